"""What drives people away, as lines of bars that every page, report and terminal shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

WIDTH = 30
_AVOIDABLE, _REST = "█", "░"


def drivers(segments: Sequence[tuple[str, int, float, float]]) -> list[str]:
    """Value at risk by reason: the part that goes away with the reason, and the rest.

    Args:
        segments: reason, customers, value at risk, and the avoidable part of it.
    """
    most = max((value for _, _, value, _ in segments), default=0.0)
    if most <= 0:
        return []
    width = max(len(driver) for driver, _, _, _ in segments)
    rows = []
    for driver, customers, value, avoidable in segments:
        whole = max(1, round(value / most * WIDTH))
        part = min(whole, max(0, round(avoidable / most * WIDTH)))
        bar = _AVOIDABLE * part + _REST * (whole - part)
        rows.append(f"{driver:<{width}}  {bar:<{WIDTH}}  ${value:>10,.0f}  {customers:>6} customers")
    return [
        "Value at risk a year, by reason",
        *rows,
        f"{_AVOIDABLE} goes away with the reason  {_REST} the rest",
    ]


def pushes(driver: str, found: Mapping[str, float]) -> list[str]:
    """What pushes a segment's customers: mean added log-odds by reason, the strongest first."""
    told = sorted(((value, name) for name, value in found.items() if value > 0), reverse=True)[:6]
    if not told:
        return []
    most, width = told[0][0], max(len(name) for _, name in told)
    rows = [
        f"{name:<{width}}  {_AVOIDABLE * max(1, round(value / most * WIDTH)):<{WIDTH}}  {value:+.2f}"
        for value, name in told
    ]
    return [f"What pushes the customers of “{driver}” (log-odds against all)", *rows]
