"""Series over time as SVG: lines, or stacked bars."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from math import floor, log10

from grafana.preview.asking import Span
from grafana.preview.formats import Config, shown
from grafana.preview.frames import Series

LEFT, BOTTOM, LEGEND = 56, 18, 22
DAY = 86400
_LINES = 4
"""Lines of the grid."""


def chart(
    config: Config, series: Sequence[Series], tones: Sequence[str], over: Span, width: int, height: int
) -> str:
    """The drawing; empty if there is nothing to draw.

    Args:
        tones: the colour of each series.
    """
    if not series:
        return ""
    stacked = config["custom"]["drawStyle"] == "bars"
    top = _ceiling(_highest(series, stacked), config)
    place = _Place(over, top, width - LEFT - 6, height - BOTTOM - LEGEND - 6)
    drawn = _stacked(series, tones, place) if stacked else _lines(series, tones, place)
    return (
        f"<svg width={width} height={height} font-size=11 fill='#9a9aad'>"
        f"{_grid(config, place)}<g transform='translate({LEFT},6)'>{drawn}</g>"
        f"{_legend(series, tones, height)}</svg>"
    )


class _Place:
    """Where a moment and a value are drawn."""

    def __init__(self, over: Span, top: float, width: int, height: int) -> None:
        self.first, self.last = over.start - over.step / 2, over.end + over.step / 2
        self.step, self.top = over.step, top
        self.width, self.height = width, height

    def x(self, moment: float) -> float:
        return (moment - self.first) / (self.last - self.first) * self.width

    def y(self, value: float) -> float:
        return self.height - value / self.top * self.height


def _highest(series: Sequence[Series], stacked: bool) -> float:
    if not stacked:
        return max(value for each in series for _, value in each.points)
    sums: dict[float, float] = {}
    for each in series:
        for moment, value in each.points:
            sums[moment] = sums.get(moment, 0) + value
    return max(sums.values())


def _ceiling(highest: float, config: Config) -> float:
    """A round number that nothing is above."""
    if config.get("max"):
        return float(config["max"])
    if highest <= 0:
        return 1.0
    size = 10 ** floor(log10(highest))
    return float(next(each * size for each in (1, 2, 4, 8, 10) if each * size >= highest))


def _grid(config: Config, place: _Place) -> str:
    lines = []
    for number in range(_LINES + 1):
        value = place.top * number / _LINES
        y = place.y(value) + 6
        lines.append(f"<path d='M{LEFT} {y:.1f}h{place.width}' stroke='#2c3036'/>")
        text = escape(shown(value, {**config, "decimals": _decimals(place.top, config)}))
        lines.append(f"<text x={LEFT - 6} y={y + 4:.1f} text-anchor=end>{text}</text>")
    day = (place.first // DAY + 1) * DAY
    while day <= place.last:
        x = place.x(day) + LEFT
        lines.append(f"<path d='M{x:.1f} 6v{place.height}' stroke='#23272e'/>")
        text = f"{datetime.fromtimestamp(day, tz=UTC):%m-%d}"
        lines.append(f"<text x={x:.1f} y={place.height + 21} text-anchor=middle>{text}</text>")
        day += DAY
    return "".join(lines)


def _decimals(top: float, config: Config) -> int:
    """As many as tell the grid's lines apart."""
    scale = 100 if config.get("unit") == "percentunit" else 1
    step = top * scale / _LINES
    return next(places for places in range(6) if round(step, places) == round(step, 8) or places == 5)


def _stacked(series: Sequence[Series], tones: Sequence[str], place: _Place) -> str:
    bar = place.step / (place.last - place.first) * place.width * 0.8
    below: dict[float, float] = {}
    drawn = []
    for each, tone in zip(series, tones, strict=True):
        for moment, value in each.points:
            under = below.get(moment, 0.0)
            low, high = place.y(under), place.y(under + value)
            x = place.x(moment) - bar / 2
            box = f"x={x:.1f} y={high:.1f} width={bar:.1f} height={low - high:.1f}"
            drawn.append(f"<rect {box} fill='{tone}'/>")
            below[moment] = under + value
    return "".join(drawn)


def _lines(series: Sequence[Series], tones: Sequence[str], place: _Place) -> str:
    drawn = []
    for each, tone in zip(series, tones, strict=True):
        path, before = "", None
        for moment, value in each.points:
            joined = before is not None and moment - before <= place.step
            path += f"{'L' if joined else 'M'}{place.x(moment):.1f} {place.y(value):.1f}"
            before = moment
        drawn.append(f"<path d='{path}' fill=none stroke='{tone}' stroke-width=2 />")
    return "".join(drawn)


def _legend(series: Sequence[Series], tones: Sequence[str], height: int) -> str:
    drawn, x = [], LEFT
    for each, tone in zip(series, tones, strict=True):
        y = height - 8
        drawn.append(f"<rect x={x} y={y - 5} width=14 height=4 rx=2 fill='{tone}'/>")
        drawn.append(f"<text x={x + 20} y={y} fill='#ccccdc'>{escape(each.name)}</text>")
        x += 36 + 7 * len(each.name)
    return "".join(drawn)
