"""Which faults come when: drawn from a seed, each kind in its share."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.faults.faults import FAULTS, MOMENTS, Fault, Moment

PAUSE = (0.2, 3.0)
"""Seconds between faults of a batch."""


@dataclass(frozen=True)
class Injection:
    """A fault at a moment.

    Attributes:
        pause: seconds before its moment is waited for.
    """

    number: int
    fault: Fault
    moment: Moment
    pause: float


def draw(seed: int, count: int, disk: bool, names: Sequence[str] = ()) -> Iterator[Injection]:
    """So many injections; the same ones for the same seed.

    Args:
        disk: whether disks can be filled here.
        names: only these kinds; all if empty.
    """
    chance = random.Random(seed)
    deck: list[Fault] = []
    for number in range(1, count + 1):
        if not deck:
            chosen = [
                each for each in FAULTS if (disk or not each.needs_disk) and (not names or each.name in names)
            ]
            deck = [each for each in chosen for _ in range(each.weight)]
            chance.shuffle(deck)
        yield Injection(number, deck.pop(), chance.choice(MOMENTS), chance.uniform(*PAUSE))
