"""A series as a line of bars, which every page, report and terminal shows."""

from __future__ import annotations

from collections.abc import Sequence

BARS = "▁▂▃▄▅▆▇█"
WIDTH = 40


def spark(values: Sequence[float]) -> str:
    """The values as bars from the lowest to the highest; several to a bar where there are many."""
    if not values:
        return ""
    size = -(-len(values) // WIDTH)
    columns = [max(values[start : start + size]) for start in range(0, len(values), size)]
    low, high = min(columns), max(columns)
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(BARS[round((value - low) * scale)] for value in columns)
