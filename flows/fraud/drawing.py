"""Backtests and misfires as lines of signs, which every page, report and terminal shows."""

from __future__ import annotations

from collections.abc import Sequence

from flows.fraud.models import Backtest, Refinement, Segment

WIDTH = 40
MAX_ROWS = 62
_CAUGHT, _FALSE, _YOUNG = "█", "░", "·"


def by_day(backtest: Backtest) -> list[str]:
    """Hits by day: fraud caught, genuine, and too young to tell; no line where nothing was hit."""
    days = [day for day in backtest.by_day if day.hits or day.frauds]
    most = max((day.hits for day in days), default=0)
    if not most:
        return []
    shown = days[-MAX_ROWS:]
    rows = []
    for day in shown:
        caught = _length(day.fraud_caught, most)
        false = _length(day.fraud_caught + day.false_positives, most) - caught
        young = _length(day.hits, most) - caught - false
        bar = _CAUGHT * caught + _FALSE * false + _YOUNG * young
        rows.append(
            f"{day.day}  {bar:<{WIDTH}}  {day.fraud_caught:>5} of {day.frauds:<5} {day.false_positives:>6}"
        )
    head = f"{backtest.by:<10}  {'hits':<{WIDTH}}  {'fraud caught':<14} genuine"
    cut = f"(the last {len(shown)} of {len(days)})" if len(shown) < len(days) else ""
    legend = f"{_CAUGHT} fraud  {_FALSE} genuine  {_YOUNG} too young to tell {cut}".rstrip()
    return [f"Hits by {backtest.by}: {backtest.rule}", head, *rows, legend]


def misfires(segments: Sequence[Segment]) -> list[str]:
    """Share of genuine transactions hit in each misfiring segment, against all others."""
    if not segments:
        return []
    most = max(segment.rate for segment in segments)
    name = max(len(f"{segment.field} {segment.value}") for segment in segments)
    rows = []
    for one in segments:
        inside = "█" * max(1, round(one.rate / most * WIDTH))
        usual = "│" if one.elsewhere else ""
        at = round(one.elsewhere / most * WIDTH)
        bar = inside[:at] + usual + inside[at + 1 :]
        rows.append(f"{one.field} {one.value}".ljust(name) + f"  {bar:<{WIDTH + 1}} {one.rate:.2%}")
    return ["Genuine transactions hit, by segment", *rows, "│ the rate of all others"]


def variants(before: Refinement | None, after: Refinement | None) -> list[str]:
    """The proposed rule and the refined one beside each other."""
    if before is None or after is None:
        return []
    rows = [f"{'':<12}{'fraud caught':>14}{'genuine hit':>14}{'net':>14}"]
    for name, one in (("proposed", before), ("refined", after)):
        rows.append(f"{name:<12}{one.fraud_caught:>14,}{one.false_positives:>14,}{one.net_amount:>14,.0f}")
    return [f"Refined: {after.rule}", *rows]


def stacked(pictures: Sequence[Sequence[str]]) -> list[str]:
    """Those with a line, one under the other."""
    drawn = [picture for picture in pictures if picture]
    return [line for place, picture in enumerate(drawn) for line in (*([""] if place else []), *picture)]


def _length(value: int, most: int) -> int:
    return max(1 if value else 0, round(value / most * WIDTH))
