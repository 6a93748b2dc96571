"""The limit at the door: so many requests of one route at once, and then so many a second."""

from __future__ import annotations

import time
from collections.abc import Callable

from blocks.units import Rate


class Flood:
    """A token bucket for each key.

    Args:
        rate: how many may come, all at once at most.
        clock: seconds that only grow.
    """

    def __init__(self, rate: Rate, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def wait(self, key: str) -> float:
        """Takes one: 0.0 if there was one, else the seconds until there is."""
        now = self._clock()
        left, seen = self._buckets.get(key, (float(self._rate.count), now))
        left = min(self._rate.count, left + (now - seen) / self._rate.interval)
        if left < 1:
            self._buckets[key] = (left, now)
            return (1 - left) * self._rate.interval
        self._buckets[key] = (left - 1, now)
        return 0.0
