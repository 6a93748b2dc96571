"""Seeded sample worlds of a remittance company: order book, service logs, past incidents and its API.

`draw` writes a world under the state directory, `company` answers the sample actions' URLs. A world's truth
lies in `sample/truth/`, which no skill or tool reads.
"""

from flows.ecm.sample.api import company, repair
from flows.ecm.sample.fault import Fault, Line
from flows.ecm.sample.faults import FAULTS
from flows.ecm.sample.world import DEFAULT_SEED, World, draw

__all__ = ["DEFAULT_SEED", "FAULTS", "Fault", "Line", "World", "company", "draw", "repair"]
