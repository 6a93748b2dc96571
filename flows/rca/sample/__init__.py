"""Seeded sample worlds of a payments company's services: metrics, calls, alerts, logs, and changes.

`draw` writes a world into `rca/` of the state directory, `company` answers the sample actions' URLs. A
world's truth lies in `rca/truth/`, which no skill or tool reads.
"""

from flows.rca.sample.api import company
from flows.rca.sample.faults import FAULTS, Fault
from flows.rca.sample.world import DEFAULT_SEED, World, draw

__all__ = ["DEFAULT_SEED", "FAULTS", "Fault", "World", "company", "draw"]
