"""Seeded sample worlds of a remittance company's customers: what they do, why some leave, whom to write to.

`draw` writes a world under the state directory, `company` answers the sample action's URL. A world's truth
lies in `churn/truth.json`, which no skill or tool reads.
"""

from flows.churn.sample.api import company
from flows.churn.sample.stories import STORIES, Story
from flows.churn.sample.world import DEFAULT_SEED, World, draw

__all__ = ["DEFAULT_SEED", "STORIES", "Story", "World", "company", "draw"]
