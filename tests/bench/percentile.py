"""Percentiles of what was measured."""

from __future__ import annotations

import math
from collections.abc import Sequence


def at(values: Sequence[float], share: float) -> float:
    """The value that so much of all values, from 0 to 1, does not exceed, by nearest rank; 0 without any."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)] if values else 0.0
