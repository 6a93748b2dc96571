"""Seeded sample worlds: a bank's transfers with laundering planted among ordinary traffic, and alerts.

`draw` writes a world under the state directory. Its truth lies in `fincrime/truth.json`, which no skill or
tool reads.
"""

from flows.fincrime.sample.world import DEFAULT_SEED, World, draw

__all__ = ["DEFAULT_SEED", "World", "draw"]
