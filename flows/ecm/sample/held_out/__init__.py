"""Faults of another author, kept apart from those that the skills were built with.

They measure how a diagnosis fares on logs and pages that nobody had in view while writing it:
`draw(seed, home, faults=HELD_OUT)` draws their worlds, `RUNBOOKS` is the folder of their pages.
"""

from __future__ import annotations

from pathlib import Path

from flows.ecm.sample.fault import Fault
from flows.ecm.sample.held_out.address import ADDRESS
from flows.ecm.sample.held_out.switchover import SWITCHOVER
from flows.ecm.sample.held_out.time import TIME

HELD_OUT: tuple[Fault, ...] = (TIME, ADDRESS, SWITCHOVER)
"""Three kinds of failure that do not occur among `FAULTS`."""

RUNBOOKS = Path(__file__).parent / "runbooks"
"""Pages for them, with others that only look as if they fitted."""

__all__ = ["HELD_OUT", "RUNBOOKS"]
