"""Faults of a further author, who had seen neither the skills nor the company's pages.

They are for a last measurement, after everything else was settled: `draw(seed, home, faults=UNSEEN)` draws
their worlds, `RUNBOOKS` is the folder of their pages.
"""

from __future__ import annotations

from pathlib import Path

from flows.ecm.sample.fault import Fault
from flows.ecm.sample.unseen.delivery import DELIVERY
from flows.ecm.sample.unseen.memory import MEMORY
from flows.ecm.sample.unseen.replica import REPLICA
from flows.ecm.sample.unseen.retirement import RETIREMENT

UNSEEN: tuple[Fault, ...] = (MEMORY, RETIREMENT, REPLICA, DELIVERY)
"""Four kinds of failure that occur neither among `FAULTS` nor among `HELD_OUT`."""

RUNBOOKS = Path(__file__).parent / "runbooks"
"""Pages for them, with two that have nothing to do with stuck orders."""

__all__ = ["RUNBOOKS", "UNSEEN"]
