"""Panels in the shapes that the dashboards share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from grafana_foundation_sdk.builders import bargauge, common, prometheus, stat, table, timeseries
from grafana_foundation_sdk.builders.dashboard import (
    Dashboard,
    DashboardLink,
    QueryVariable,
    Row,
    TextBoxVariable,
    ThresholdsConfig,
)
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat, QueryEditorMode

UID = "aspora-prometheus"
SOURCE = models.DataSourceRef(type_val="prometheus", uid=UID)
PLATFORM = "/d/aspora-platform/platform-overview"
DOMAIN = "/d/aspora-domain/domain-deep-dive"
SKILL = "/d/aspora-skill/skill-performance"
KEPT = "var-prefect=${prefect:percentencode}&${__url_time_range}"
"""What every link between dashboards passes on."""
TO_DOMAIN = ("Domain", f"{DOMAIN}?var-domain=${{__value.raw:percentencode}}&{KEPT}")
TO_SKILL = ("Skill", f"{SKILL}?var-skill=${{__value.raw:percentencode}}&{KEPT}")
TO_PAGE = ("Detail page, Prefect's artifact", "${prefect:raw}/artifacts/key/${__data.fields.page}")

NEUTRAL, GOOD, WARNING, BAD = "blue", "green", "orange", "red"
Steps = Sequence[tuple[float | None, str]]
RATE: Steps = ((None, BAD), (0.8, WARNING), (0.9, GOOD))
"""Colours of a share that should be high; the alert on the platform's success rate is at 0.9."""
USED: Steps = ((None, GOOD), (0.8, WARNING), (0.95, BAD))
"""Colours of a share of a budget; the alert is at 0.95."""
FEW: Steps = ((None, GOOD), (1, WARNING))
"""Colours of what there should be none of."""
PLAIN: Steps = ((None, NEUTRAL),)
MOST_BARS = 60
"""Steps of a graph of bars: three hours each over a week, an hour each over a day."""
Fields = Mapping[str, Mapping[str, Any]]
"""By a table's column: what its field's config says."""


def ask(expression: str, legend: str = "", ref: str = "A") -> prometheus.Dataquery:
    """A question about the end of the dashboard's time range; an empty legend makes it a table's."""
    query = _query(expression, ref).instant()
    if legend:
        return query.legend_format(legend)
    return query.format(PromQueryFormat.TABLE)


def ask_over_time(expression: str, legend: str, ref: str = "A") -> prometheus.Dataquery:
    """A question about every step of the dashboard's time range."""
    return _query(expression, ref).range().legend_format(legend)


def number(
    title: str,
    description: str,
    queries: Sequence[Builder[Dataquery]],
    *,
    width: int,
    height: int = 4,
    unit: str = "none",
    decimals: int | None = None,
    steps: Steps = PLAIN,
    source: models.DataSourceRef = SOURCE,
    empty: str = "–",
    rows: bool = False,
) -> stat.Panel:
    """One or a few numbers, each with its name.

    Args:
        rows: every row of a table is a number, named by its text.
    """
    reduced = common.ReduceDataOptions().calcs(["lastNotNull"]).values(rows)
    panel = (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(source)
        .targets(list(queries))
        .span(width)
        .height(height)
        .unit(unit)
        .no_value(empty)
        .thresholds(_thresholds(steps))
        .reduce_options(reduced)
        .graph_mode(options.BigValueGraphMode.NONE)
        .color_mode(options.BigValueColorMode.VALUE)
        .justify_mode(options.BigValueJustifyMode.CENTER)
        .orientation(options.VizOrientation.HORIZONTAL)
        .text_mode(options.BigValueTextMode.VALUE_AND_NAME)
    )
    return panel if decimals is None else panel.decimals(decimals)


def compared(panel: stat.Panel, change: str, *, more: str, less: str, unit: str = "percent") -> stat.Panel:
    """A number with its change against the average of the days before: ▲, ▼, or ● where there is none.

    Args:
        more: the colour of a rise.
        less: the colour of a fall.
    """
    ways = (("up", "▲", "> 0", more), ("down", "▼", "< 0", less), ("same", "●", "== 0", NEUTRAL))
    for ref, sign, condition, colour in ways:
        panel.with_target(ask(f"round({change}, 0.1) {condition}", f"{sign} vs. 7-day average", ref))
        panel.override_by_query(
            ref,
            [
                models.DynamicConfigValue("unit", unit),
                models.DynamicConfigValue("decimals", 1),
                models.DynamicConfigValue("color", {"mode": "fixed", "fixedColor": colour}),
            ],
        )
    return panel


def rows(
    title: str,
    description: str,
    queries: Sequence[Builder[Dataquery]],
    columns: Mapping[str, str],
    *,
    width: int,
    height: int = 8,
    fields: Fields | None = None,
    sort: str = "",
    limit: int = 0,
    source: models.DataSourceRef = SOURCE,
    empty: str = "none",
) -> table.Panel:
    """A table.

    Args:
        columns: what the queries call a column → its heading, in the order shown. Others are left out.
        fields: by heading: what the field's config says of it.
        sort: the heading to sort by, the largest first.
    """
    panel = (
        table.Panel()
        .title(title)
        .description(description)
        .datasource(source)
        .targets(list(queries))
        .span(width)
        .height(height)
        .no_value(empty)
        .cell_height(options.TableCellHeight.SM)
        .transformations(_arranged(columns, joined=source is SOURCE, sort=sort, limit=limit))
    )
    for heading, config in (fields or {}).items():
        panel.override_by_name(
            heading, [models.DynamicConfigValue(name, value) for name, value in config.items()]
        )
    return panel


def bars(
    title: str,
    description: str,
    queries: Sequence[Builder[Dataquery]],
    *,
    width: int,
    height: int = 6,
    unit: str = "none",
    decimals: int = 0,
    steps: Steps = PLAIN,
    most: float | None = None,
) -> bargauge.Panel:
    """A bar for each series."""
    panel = (
        bargauge.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .targets(list(queries))
        .span(width)
        .height(height)
        .unit(unit)
        .decimals(decimals)
        .min(0)
        .no_value("none")
        .thresholds(_thresholds(steps))
        .orientation(options.VizOrientation.HORIZONTAL)
        .display_mode(options.BarGaugeDisplayMode.BASIC)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
    )
    return panel if most is None else panel.max(most)


def graph(
    title: str,
    description: str,
    queries: Sequence[Builder[Dataquery]],
    *,
    width: int,
    unit: str = "none",
    stacked: bool = False,
    link: tuple[str, str] | None = None,
) -> timeseries.Panel:
    """Series over time: lines, or what was added in each step as stacked bars."""
    drawn = options.GraphDrawStyle.BARS if stacked else options.GraphDrawStyle.LINE
    mode = options.StackingMode.NORMAL if stacked else options.StackingMode.NONE
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .targets(list(queries))
        .span(width)
        .height(8)
        .unit(unit)
        .min(0)
        .interval("1h")
        .draw_style(drawn)
        .fill_opacity(80 if stacked else 0)
        .line_width(1 if stacked else 2)
        .stacking(common.StackingConfig().mode(mode).group("A"))
        .legend(_legend())
    )
    if stacked:
        panel.max_data_points(MOST_BARS)
    if link:
        panel.data_links([_link(*link)])
    return panel


def linked(to: tuple[str, str], blank: bool = False) -> dict[str, Any]:
    """The config of a column whose values are links."""
    title, url = to
    return {"links": [{"title": title, "url": url, "targetBlank": blank}]}


def coloured(steps: Steps) -> dict[str, Any]:
    """The config of a column whose numbers have colours."""
    return {
        "thresholds": {"mode": "absolute", "steps": [{"value": at, "color": colour} for at, colour in steps]},
        "custom.cellOptions": {"type": "color-text"},
    }


def mapped(**texts: str) -> dict[str, Any]:
    """The config of a column in which some values are shown as another text."""
    shown = {value: {"text": text, "index": index} for index, (value, text) in enumerate(texts.items())}
    return {"mappings": [{"type": "value", "options": shown}]}


HIDDEN = {"custom.hidden": True}


def dashboard(uid: str, title: str, description: str, links: Sequence[tuple[str, str]]) -> Dashboard:
    """A dashboard without panels, over the last seven days; times are UTC, as days of budgets are."""
    begun = (
        Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(["aspora"])
        .timezone("utc")
        .time("now-7d", "now")
        .refresh("1m")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .readonly()
    )
    for name, url in links:
        begun.link(_link(name, url))
    return begun


def chosen(name: str, label: str, query: str, hidden: bool = False) -> QueryVariable:
    """A variable whose values are those of a label."""
    return (
        QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query({"query": query, "refId": name})
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
        .multi(False)
        .include_all(False)
        .hide(models.VariableHide.HIDE_VARIABLE if hidden else models.VariableHide.DONT_HIDE)
    )


def prefect() -> TextBoxVariable:
    """Where Prefect's UI is; it has the executions' detail pages."""
    address = "http://127.0.0.1:4200"
    return (
        TextBoxVariable("prefect")
        .label("Prefect's address")
        .default_value(address)
        .current(models.VariableOption(text=address, value=address))
    )


def row(title: str) -> Row:
    """A heading above the panels that follow."""
    return Row(title)


def _query(expression: str, ref: str) -> prometheus.Dataquery:
    query = prometheus.Dataquery().expr(expression).ref_id(ref).datasource(SOURCE)
    return query.editor_mode(QueryEditorMode.CODE)


def _link(title: str, url: str) -> DashboardLink:
    return DashboardLink(title).type(models.DashboardLinkType.LINK).url(url)


def _thresholds(steps: Steps) -> ThresholdsConfig:
    listed = [models.Threshold(value=at, color=colour) for at, colour in steps]
    return ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(listed)


def _legend() -> common.VizLegendOptions:
    legend = common.VizLegendOptions().display_mode(options.LegendDisplayMode.LIST)
    return legend.placement(options.LegendPlacement.BOTTOM).show_legend(True)


def _arranged(
    columns: Mapping[str, str], *, joined: bool, sort: str, limit: int
) -> list[models.DataTransformerConfig]:
    """Queries side by side in one table, its columns named and ordered."""
    steps: list[tuple[str, dict[str, Any]]] = [("merge", {})] if joined else []
    order = {name: place for place, name in enumerate(columns)}
    steps.append(
        ("organize", {"indexByName": order, "renameByName": dict(columns), "excludeByName": {"Time": True}})
    )
    if sort:
        steps.append(("sortBy", {"sort": [{"field": sort, "desc": True}]}))
    if limit:
        steps.append(("limit", {"limitField": limit}))
    return [models.DataTransformerConfig(id_val=name, options=given) for name, given in steps]
