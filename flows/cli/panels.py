"""Reports on a terminal: the architecture document's panels."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from blocks.printable import printable
from blocks.units import MICRO, format_dollars, format_duration
from flows.cli.pictures import console, escape
from tasks import averages
from tasks.averages import Average, against, points
from tasks.handoffs import NONE

if TYPE_CHECKING:
    from tasks.config_changes import Change
    from tasks.mistakes import Mistake
    from tasks.reports import DomainReport, PlatformReport, SkillReport, SkillRow
    from tasks.weekly import WeekReport

DAY = timedelta(days=1)
_NONE = "[no routing]"


class _Terminal:
    """How a digest is written on a terminal."""

    def data(self, text: Any, longest: int = 400) -> str:
        one_line = " ".join(str(text).split())
        return escape(one_line if len(one_line) <= longest else f"{one_line[: longest - 1]}…")

    def bold(self, text: str) -> str:
        return f"[bold]{text}[/]"

    def code(self, text: str) -> str:
        return f"[cyan]{text}[/]"

    def link(self, url: str, label: str) -> str:
        return f"{label}: {url}"

    def body(self, paragraphs: Any, buttons: Any = ()) -> dict[str, Any]:
        return {"text": "\n\n".join("\n".join(lines) for lines in paragraphs)}


def show_platform(report: PlatformReport) -> None:
    """Level 1."""
    period = report.until - report.since
    when = _when(period)
    figures, usual = _figures(), report.average
    if not report.total_executions:
        _print("ASPORA PLATFORM OVERVIEW", [Text(_nothing("Nothing", period))], report)
        return
    figures.add_row(
        f"Executions {when}:",
        f"{report.total_executions:,}",
        _coloured(against(report.total_executions, usual.executions)) if usual else "",
    )
    figures.add_row(
        f"Cost {when}:",
        _dollars(report.total_cost),
        _coloured(against(report.total_cost, usual.cost)) if usual else "",
    )
    figures.add_row("Success Rate:", _share(report.success_rate), _points(report.success_rate, usual))
    figures.add_row("Active Domains:", str(report.active_domains), "")
    top = _listing("", "domain", "executions>", "cost>")
    for place, row in enumerate(report.top_domains, 1):
        top.add_row(f"{place}.", escape(row.domain), f"{row.executions:,} exec", _dollars(row.cost))
    parts: list[RenderableType] = [
        figures,
        Text(_compared(usual, period), style="dim"),
        Text("\nTop Domains (by volume):"),
        top,
    ]
    dearest = report.costs[0]
    parts.append(Text(f"\nTop Domain by cost: {printable(dearest.domain)} ({_dollars(dearest.cost)})"))
    _print("ASPORA PLATFORM OVERVIEW", parts, report)


def show_domain(report: DomainReport) -> None:
    """Level 2."""
    title = f"{report.domain.upper()} DOMAIN DASHBOARD"
    period = report.until - report.since
    parts: list[RenderableType] = []
    if not report.executions:
        parts.append(Text(_nothing(f"No skill of {report.domain}", period)))
    else:
        parts += _skills(report)
        parts.append(_satisfaction(report))
        figures, usual = _figures(), report.average
        figures.add_row(
            f"Executions {_when(period)}:",
            f"{report.executions:,}",
            _coloured(against(report.executions, usual.executions)) if usual else "",
        )
        figures.add_row("Success Rate:", _share(report.success_rate), _points(report.success_rate, usual))
        parts += [figures, Text(_compared(usual, period), style="dim")]
    if report.routing:
        parts += [Text("\nRouting Flow (last 7 days):"), _routing(report)]
    _print(title, parts, report)


def show_skill(report: SkillReport) -> None:
    """Level 3."""
    period = report.until - report.since
    figures = _figures()
    figures.add_row(
        "Executions:", f"{report.executions_today:,} today, {report.executions_30_days:,} last 30 days", ""
    )
    parts: list[RenderableType] = [figures]
    if not report.executions:
        parts.append(Text(_nothing("Nothing", period)))
    else:
        corrected = f"{report.corrected} user correction" + ("" if report.corrected == 1 else "s")
        figures.add_row("Success Rate:", f"{_share(report.success_rate)} ({corrected})", "")
        figures.add_row("Latency:", f"{_seconds(report.p50)} (p50), {_seconds(report.p95)} (p95)", "")
        figures.add_row("Avg cost:", f"{_dollars(report.avg_cost or 0)} per execution", "")
        tool = report.tool
        used = f"{escape(tool.tool)} ({averages.share(tool.share)} of executions)" if tool else "none"
        figures.add_row("Most used tool:", used, "")
    parts += _mistakes(report.mistakes)
    if report.latest:
        parts += [Text("\nNewest executions:"), _newest(report)]
    note = f"Success, latency, cost and tools of the last {_length(period)}; mistakes of 30 days."
    parts.append(Text(f"\n{note}", style="dim"))
    _print(f"{report.skill} ({report.domain})", parts, report)


def show_week(digest: WeekReport) -> None:
    """The weekly digest."""
    from tasks.digest import text

    markup = _Terminal()
    body = markup.body(text(markup, digest))["text"]
    console().print(Panel(Text.from_markup(body), title_align="left"))


def show_changes(found: Sequence[Change]) -> None:
    """Changes of the config, newest first."""
    out = console()
    if not found:
        out.print("No change of the config is on record.")
        return
    table = Table()
    table.add_column("when (UTC)", no_wrap=True)
    table.add_column("what, and who was there", overflow="fold")
    for each in found:
        commit = f"commit {each.commit_hash} by {each.commit_author}" if each.commit_hash else "not committed"
        what = f"{each.key}\n{each.old or '–'} → {each.new or '–'}"
        who = f"seen by {each.seen_by}, {commit}"
        table.add_row(f"{each.seen_at:%Y-%m-%d %H:%M}", f"{escape(what)}\n[dim]{escape(who)}[/]")
    out.print(table)


def _skills(report: DomainReport) -> list[RenderableType]:
    managers = [row for row in report.skills if row.skill_name == report.manager]
    others = [row for row in report.skills if row.skill_name != report.manager]
    parts: list[RenderableType] = []
    for row in managers:
        cron = f" (cron {', '.join(report.schedules)})" if report.schedules else ""
        figures = _figures()
        figures.add_row("  Executions:", f"{row.executions:,}{escape(cron)}", "")
        figures.add_row("  Avg latency:", _seconds(row.avg_latency), "")
        figures.add_row("  Cost:", _dollars(row.cost), "")
        per_run = f"{report.routed:,}/{row.executions:,} = {report.specialists_per_run or 0:.2f}"
        figures.add_row("  Routing:", f"{per_run} avg specialists/run", "")
        parts += [Text(f"Manager ({printable(row.skill_name)}):"), figures]
    if others:
        parts += [Text("\nSpecialists:" if managers else "Specialists:"), _specialists(others)]
    return parts


def _specialists(rows: Sequence[SkillRow]) -> Table:
    table = _listing("skill", "executions>", "latency>", "cost>")
    for row in rows:
        latency = f"{_seconds(row.avg_latency)} avg"
        table.add_row(f"  {escape(row.skill_name)}:", f"{row.executions:,} exec", latency, _dollars(row.cost))
    return table


def _satisfaction(report: DomainReport) -> Text:
    right = f"{report.executions - report.corrected:,}/{report.executions:,} no correction"
    return Text(f"\nUser Satisfaction: {_share(report.satisfaction)} ({right})\n")


def _routing(report: DomainReport) -> Table:
    table = _listing("flow", "times")
    width = max(len(f"{row.routing_count:,}") for row in report.routing)
    for row in report.routing:
        to = _NONE if row.specialist_skill == NONE else row.specialist_skill
        count, several = f"{row.routing_count:>{width},}", "" if row.routing_count == 1 else "s"
        table.add_row(escape(f"  {row.manager_skill} → {to}:"), f"{count} time{several}")
    return table


def _newest(report: SkillReport) -> Table:
    table = _listing("execution", "outcome", "latency>", "cost>")
    for row in report.latest:
        latency, cost = _seconds(row.latency_seconds), _dollars(row.cost_dollars)
        table.add_row(f"  {escape(row.execution_id)}", row.outcome, latency, cost)
    return table


def _mistakes(found: Sequence[Mistake]) -> list[RenderableType]:
    if not found:
        return [Text("Common mistakes: none reported")]
    lines = [f"  {printable(' '.join(each.text.split()))[:200]} ({each.count}x)" for each in found]
    return [Text("\n".join(("Common mistakes:", *lines)))]


def _print(title: str, parts: Sequence[RenderableType], report: Any) -> None:
    shown = list(parts)
    if report.in_future:
        note = f"! {report.in_future:,} executions are dated in the future and left out; check the clocks."
        shown.append(Text(f"\n{note}", style="yellow"))
    console().print(Panel.fit(Group(*shown), title=Text(printable(title), style="bold"), title_align="left"))


def _figures() -> Table:
    """Name, figure, change."""
    table = Table.grid(padding=(0, 2))
    for _ in range(3):
        table.add_column(no_wrap=True)
    return table


def _listing(*columns: str) -> Table:
    table = Table.grid(padding=(0, 2))
    for name in columns:
        table.add_column(justify="right" if name.endswith(">") else "left", overflow="fold")
    return table


def _nothing(what: str, period: timedelta) -> str:
    return f"{what} ended within the last {_length(period)}."


def _when(period: timedelta) -> str:
    return "Today" if period == DAY else f"({_length(period)})"


def _length(period: timedelta) -> str:
    return "24 hours" if period == DAY else format_duration(period)


def _compared(usual: Average | None, period: timedelta) -> str:
    if usual is None:
        return f"No average to compare with: the record does not reach back another {_length(period)}."
    several = "s" if usual.periods > 1 else ""
    unit = f"day{several}" if period == DAY else f"period{several}"
    return f"▲▼ against the average of the {usual.periods} {unit} before"


def _points(share: float | None, usual: Average | None) -> Text:
    if share is None or usual is None or usual.success_rate is None:
        return Text("")
    words = points(share, usual.success_rate)
    return Text(words, style="red" if "⚠" in words else "green" if "▲" in words else "")


def _coloured(words: str) -> Text:
    return Text(f"{words} vs. avg" if words[0] in "▲▼" else words)


def _share(value: float | None) -> str:
    return "–" if value is None else averages.share(value)


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}s" if value >= 1 else f"{value:.2f}s"


def _dollars(value: float) -> str:
    return format_dollars(round(value * MICRO))
