"""A dashboard as one HTML page with its answers drawn in, for a picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from typing import Any

from grafana.preview.asking import span
from grafana.preview.charts import chart
from grafana.preview.formats import Config, colour, shown, tone
from grafana.preview.frames import Answer, Row, Series, arranged

COLUMN, UNIT, GAP = 64, 38, 8
"""Pixels: a column of the 24, a row of the grid, and what is between panels."""
ROW = 26
"""Pixels of a table's line."""
NOTICE = (
    "Preview of the dashboard's JSON with sample data, drawn by grafana/preview. "
    "This is not Grafana, whose own drawing differs."
)
STYLE = """
* { box-sizing: border-box; margin: 0; }
body { background: #111217; color: #ccccdc; font: 14px Inter, "DejaVu Sans", sans-serif; }
.notice { background: #3d2a05; color: #ffcf73; padding: 6px 16px; font-size: 13px; }
.title { font-size: 20px; font-weight: 600; padding: 12px 16px 4px; }
.title small { font-size: 13px; font-weight: 400; color: #9a9aad; margin-left: 16px; }
.grid { position: relative; margin: 8px 12px; }
.panel { position: absolute; background: #181b1f; border: 1px solid #2c3036; border-radius: 3px;
  overflow: hidden; display: flex; flex-direction: column; }
.panel h2 { font-size: 13px; font-weight: 600; padding: 6px 10px 2px; white-space: nowrap; }
.body { flex: 1; min-height: 0; padding: 2px 10px 8px; display: flex; flex-direction: column;
  justify-content: center; }
.row { position: absolute; font-weight: 600; padding: 8px 4px 0; }
.stat { display: flex; justify-content: space-between; align-items: baseline; gap: 10px; line-height: 1.35; }
.stat span { color: #9a9aad; font-size: 13px; }
.stat b { font-size: 19px; font-weight: 600; white-space: nowrap; }
.stat.first b { font-size: 30px; }
.stat.only { flex-direction: column; align-items: center; gap: 0; }
.none { color: #9a9aad; text-align: center; }
table { border-collapse: collapse; width: 100%; table-layout: auto; }
.top { justify-content: flex-start; }
th { text-align: left; font-size: 12px; color: #8ab8ff; font-weight: 600; padding: 4px 8px; }
td { padding: 4px 8px; border-top: 1px solid #2c3036; font-size: 13px; white-space: nowrap; height: 26px; }
td.n, th.n { text-align: right; }
td a { color: #8ab8ff; text-decoration: none; }
.more { color: #9a9aad; font-size: 12px; padding: 4px 8px; }
.bars { display: grid; grid-template-columns: max-content 1fr max-content; gap: 5px 10px; align-items: center;
  font-size: 13px; }
.bars i { display: block; background: #23272e; height: 16px; border-radius: 2px; }
.bars i i { background: currentColor; }
.bars b { text-align: right; font-weight: 600; }
"""


def page(
    dashboard: Mapping[str, Any], variables: Mapping[str, str], answers: Mapping[int, Answer], at: float
) -> str:
    """The page.

    Args:
        answers: by the panel's id.
        at: the end of the time range.
    """
    panels = dashboard["panels"]
    bottom = max(_place(each)["y"] + _place(each)["h"] for each in panels)
    drawn = "".join(_panel(each, answers.get(each["id"], Answer()), at) for each in panels)
    chosen = " · ".join(
        f"{each.get('label') or each['name']}: {variables[each['name']]}"
        for each in dashboard["templating"]["list"]
        if each.get("hide") != 2
    )
    return (
        f"<!doctype html><meta charset=utf-8><style>{STYLE}</style>"
        f"<div class=notice>{NOTICE}</div>"
        f"<div class=title>{escape(dashboard['title'])}<small>{escape(chosen)}</small></div>"
        f"<div class=grid style='height:{bottom * UNIT}px;width:{24 * COLUMN}px'>{drawn}</div>"
    )


def _place(panel: Mapping[str, Any]) -> Mapping[str, int]:
    place: Mapping[str, int] = panel["gridPos"]
    return place


def _panel(panel: Mapping[str, Any], answer: Answer, at: float) -> str:
    place = {"x": 0, **_place(panel)}
    box = (
        f"left:{place['x'] * COLUMN}px;top:{place['y'] * UNIT}px;"
        f"width:{place['w'] * COLUMN - GAP}px;height:{place['h'] * UNIT - GAP}px"
    )
    if panel["type"] == "row":
        return f"<div class=row style='{box}'>{escape(panel['title'])}</div>"
    width, height = place["w"] * COLUMN - GAP - 22, place["h"] * UNIT - GAP - 38
    kind = " top" if panel["type"] == "table" else ""
    if panel["type"] == "timeseries":
        tones = [
            tone(_config(panel, each.name, each.ref), number) for number, each in enumerate(answer.series)
        ]
        defaults: Config = panel["fieldConfig"]["defaults"]
        inner = chart(defaults, answer.series, tones, span(panel, at), width, height)
    else:
        inner = _DRAWN[panel["type"]](panel, answer, height)
    inner = inner or f"<div class=none>{escape(_empty(panel))}</div>"
    head = f"<h2>{escape(panel['title'])}</h2>"
    return f"<div class=panel style='{box}'>{head}<div class='body{kind}'>{inner}</div></div>"


def _empty(panel: Mapping[str, Any]) -> str:
    return str(panel["fieldConfig"]["defaults"].get("noValue", "No data"))


def _config(panel: Mapping[str, Any], name: str, ref: str = "") -> dict[str, Any]:
    """A field's config: the panel's defaults and what overrides say of it."""
    config = dict(panel["fieldConfig"]["defaults"])
    for each in panel["fieldConfig"].get("overrides", ()):
        matcher = each["matcher"]
        if (matcher["id"], matcher["options"]) in (("byName", name), ("byFrameRefID", ref)):
            config |= {given["id"]: given["value"] for given in each["properties"]}
    return config


def _stat(panel: Mapping[str, Any], answer: Answer, _: int) -> str:
    found = [(each.name, each.last, _config(panel, each.name, each.ref)) for each in answer.series]
    for ref, rows in answer.tables.items():
        found += [(*_named(row), _config(panel, "", ref)) for row in rows]
    lines = []
    for number, (name, value, config) in enumerate(found):
        kind = " only" if len(found) == 1 else " first" if number == 0 else ""
        style = f"style='color:{colour(value, config)}'"
        text = f"<b {style}>{escape(shown(value, config))}</b>"
        label = f"<span>{escape(name)}</span>"
        lines.append(f"<div class='stat{' first' if len(found) == 1 else ''}{kind}'>{label}{text}</div>")
    return "".join(lines)


def _named(row: Row) -> tuple[str, float]:
    """A row's number, and the texts beside it as its name."""
    texts = [value for value in row.values() if isinstance(value, str)]
    name, number = next((name, value) for name, value in row.items() if not isinstance(value, str))
    return " ".join(texts) or name, float(number)


def _table(panel: Mapping[str, Any], answer: Answer, height: int) -> str:
    rows = arranged(answer, panel.get("transformations", ()))
    if not rows:
        return ""
    columns = [name for name in rows[0] if not _config(panel, name).get("custom.hidden")]
    for row in rows:
        columns += [name for name in row if name not in columns and not _hidden(panel, name)]
    room = max(1, height // ROW - 1)
    room -= len(rows) > room
    numbers = {name for name in columns if any(isinstance(row.get(name), int | float) for row in rows)}
    numbers -= {name for name in columns if _config(panel, name).get("unit") == "dateTimeAsIso"}
    heads = "".join(f"<th{_right(name, numbers)}>{escape(name)}</th>" for name in columns)
    body = "".join(
        "<tr>" + "".join(_cell(panel, name, row.get(name), numbers) for name in columns) + "</tr>"
        for row in rows[:room]
    )
    more = f"<div class=more>{len(rows) - room} more by scrolling</div>" if len(rows) > room else ""
    return f"<table><tr>{heads}</tr>{body}</table>{more}"


def _hidden(panel: Mapping[str, Any], name: str) -> bool:
    return bool(_config(panel, name).get("custom.hidden"))


def _right(name: str, numbers: set[str]) -> str:
    return " class=n" if name in numbers else ""


def _cell(panel: Mapping[str, Any], name: str, value: Any, numbers: set[str]) -> str:
    config = _config(panel, name)
    text = escape(shown(value, config))
    style = ""
    if config.get("custom.cellOptions", {}).get("type") == "color-text":
        style = f" style='color:{colour(value, config)}'"
    if config.get("links") and text:
        text = f"<a>{text}</a>"
    return f"<td{_right(name, numbers)}{style}>{text}</td>"


def _bars(panel: Mapping[str, Any], answer: Answer, _: int) -> str:
    defaults: Config = panel["fieldConfig"]["defaults"]
    most = defaults.get("max") or max((each.last for each in answer.series), default=0) or 1
    drawn = "".join(_bar(each, _config(panel, each.name, each.ref), most) for each in answer.series)
    return f"<div class=bars>{drawn}</div>" if drawn else ""


def _bar(series: Series, config: Config, most: float) -> str:
    share = max(0.0, min(1.0, series.last / most))
    shade = colour(series.last, config)
    fill = f"<i><i style='width:{share:.1%};color:{shade}'></i></i>"
    text = f"<b style='color:{shade}'>{escape(shown(series.last, config))}</b>"
    return f"<span>{escape(series.name)}</span>{fill}{text}"


_DRAWN: Mapping[str, Callable[[Mapping[str, Any], Answer, int], str]] = {
    "stat": _stat,
    "table": _table,
    "bargauge": _bars,
}
