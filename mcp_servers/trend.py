"""Is a backlog growing? Its figure now against the same hour of the previous days."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from mcp_servers.orders import TrendRule


class Trend(NamedTuple):
    """A direction and what it rests on."""

    direction: Literal["UP", "DOWN", "STABLE"]
    ratio: float | None
    basis: Literal["history", "arrivals", "none"]
    previous: list[int]


def compare(
    now: int, previous: Sequence[int], rule: TrendRule, basis: Literal["history", "arrivals"]
) -> Trend:
    """UP or DOWN where `now` leaves the mean of `previous` by the rule's share and by its least change.

    Without previous days the trend is STABLE and its basis `none`; with previous days at zero it is UP from
    the least change on, and the ratio is null.
    """
    if not previous:
        return Trend("STABLE", None, "none", [])
    mean = sum(previous) / len(previous)
    change = now - mean
    ratio = now / mean if mean else None
    moved = abs(change) >= max(rule.min_change, 1) and (ratio is None or abs(ratio - 1) > rule.threshold)
    direction: Literal["UP", "DOWN", "STABLE"] = "STABLE"
    if moved:
        direction = "UP" if change > 0 else "DOWN"
    return Trend(direction, None if ratio is None else round(ratio, 3), basis, list(previous))
