"""What sample worlds are drawn from: how much ordinary traffic, and how laundering looks in it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random
from typing import Literal


@dataclass(frozen=True)
class Setting:
    """One kind of world.

    Attributes:
        people: private customers of the bank.
        noise: times the ordinary traffic.
        median: of one planted transfer, in dollars.
        sigma: how far planted transfers differ, of their logarithm; a tail exponent for `pareto`.
        shape: how planted amounts are distributed.
        size: accounts that a hub is linked with.
        hours: how long money rests before it goes on.
        days: over which a planted pattern's side stretches.
        kept: the share that everyone who passes money on keeps.
        camouflage: ordinary transfers that a pattern's members make besides, for each planted one.
        bursts: whether planted transfers come in bunches instead of evenly.
    """

    name: str
    people: int = 260
    noise: float = 1.0
    median: float = 1800.0
    sigma: float = 0.6
    shape: Literal["lognormal", "uniform", "pareto"] = "lognormal"
    size: tuple[int, int] = (6, 16)
    hours: tuple[float, float] = (2.0, 60.0)
    days: tuple[float, float] = (2.0, 14.0)
    kept: tuple[float, float] = (0.0, 0.1)
    camouflage: float = 0.3
    bursts: bool = False

    def amount(self, rng: Random) -> float:
        """A planted transfer."""
        if self.shape == "uniform":
            return round(rng.uniform(0.3, 1.7) * self.median, 2)
        if self.shape == "pareto":
            return round(min(rng.paretovariate(self.sigma), 40) * self.median * 0.6, 2)
        return round(self.median * math.exp(rng.gauss(0, self.sigma)), 2)


LEVELS = (
    Setting("quiet", noise=0.6, camouflage=0.1),
    Setting(
        "faint", people=220, noise=1.2, median=800, sigma=0.8, size=(5, 9), hours=(1, 90), days=(1, 10),
        kept=(0.02, 0.15), camouflage=0.6,
    ),
    Setting("loud", noise=1.7, median=1500, camouflage=0.8, kept=(0.0, 0.15)),
    Setting("usual"),
)  # fmt: skip
"""The noise levels that the skills were built with."""

HELD_OUT = (
    Setting(
        "held-out small", people=180, noise=0.8, median=900, shape="uniform", size=(5, 10),
        hours=(0.2, 20), days=(0.5, 5), kept=(0.01, 0.05), camouflage=0.5, bursts=True,
    ),
    Setting(
        "held-out large", people=330, noise=1.3, median=4500, shape="pareto", sigma=2.2, size=(8, 30),
        hours=(12, 120), days=(6, 24), kept=(0.0, 0.2), camouflage=0.4,
    ),
    Setting(
        "held-out loud", people=240, noise=2.4, median=1300, sigma=0.9, size=(5, 20),
        hours=(1, 90), days=(1, 20), kept=(0.02, 0.18), camouflage=1.2, bursts=True,
    ),
)  # fmt: skip
"""Levels kept out of the skills' building: other noise, amounts, sizes and timing."""
