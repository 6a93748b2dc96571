"""Why customers of a sample world leave, beyond what is usual."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Happening = Literal["price rise", "failed payments", "complaints", "falling usage"]


@dataclass(frozen=True)
class Story:
    """A reason to leave.

    Attributes:
        driver: the reason as the model's columns name it.
        happens: what happens to a customer.
        weekly: the probability that it happens to a customer in a week.
        push: what it adds to the log-odds of leaving, in each of the weeks after it.
    """

    driver: str
    happens: Happening
    weekly: float
    push: float


STORIES: tuple[Story, ...] = (
    Story("price rise", "price rise", 0.014, 2.0),
    Story("failed payments", "failed payments", 0.014, 2.1),
    Story("complaints", "complaints", 0.013, 2.0),
    Story("falling usage", "falling usage", 0.02, 2.4),
)

BY_THE_WAY = 0.0015
"""In a week, the probability of what happens without making anybody leave."""
WEEKS_FELT = 8
USUAL_LEAVING = 0.006
"""In a week, the probability to leave without a reason."""
