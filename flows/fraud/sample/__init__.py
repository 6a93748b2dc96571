"""Seeded sample worlds: transactions with known fraud, rules in force, and proposals that wait.

`draw` writes a world under the state directory. Its truth lies in `fraud/truth.json`, which no skill or tool
reads.
"""

from flows.fraud.sample.stories import STORIES, Story
from flows.fraud.sample.world import DEFAULT_SEED, World, draw

__all__ = ["DEFAULT_SEED", "STORIES", "Story", "World", "draw"]
