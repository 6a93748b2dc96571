"""What people see of a run on a terminal."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.markup import escape as escape_markup
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from blocks.printable import printable

_TREND = {"UP": "[red]▲ UP[/]", "DOWN": "[green]▼ DOWN[/]", "STABLE": "● STABLE"}
_STATE = {
    "completed": "[green]completed[/]",
    "awaiting_approval": "[yellow]waits for approval[/]",
    "no_action": "[green]no action needed[/]",
    "refused": "[red]refused[/]",
    "failed": "[red]failed[/]",
}
_RULED_OUT = 3
"""Causes that were considered and dropped, shown in a report."""
_LONGEST_CELL = 40
"""Signs of a table's cell."""
_HIDDEN = ("context", "headline", "continuing", "route_to", "trend_ratio")


def escape(text: str) -> str:
    """Text of unknown origin for rich: no markup, and nothing that the terminal obeys."""
    return escape_markup(printable(text))


@cache
def console() -> Console:
    """The terminal; what is printed on it can be saved as a picture."""
    return Console(highlight=False, record=True)


def save_picture(path: Path, title: str) -> None:
    """Saves what was printed so far as an SVG."""
    console().save_svg(str(path), title=title)


def show_report(report: dict[str, Any]) -> None:
    """A run: what the manager found, what specialists concluded, what waits, what it cost."""
    out = console()
    proposing = {approval["execution_id"] for approval in report["approvals"]}
    traced = {each["execution_id"] for each in report["executions"] if "root_cause" in (each["output"] or {})}
    for execution in report["executions"]:
        if execution["role"] == "manager" and execution["output"]:
            out.print(_triage(execution))
        elif execution["role"] == "specialist" and execution["execution_id"] not in proposing:
            out.print(_specialist(execution))
    for approval in report["approvals"]:
        show_proposal(approval, grounds=approval["execution_id"] in traced)
    _foot(out, report)


def show_proposal(approval: dict[str, Any], grounds: bool = True) -> None:
    """A proposed fix: what it will do, and what became of it.

    Args:
        grounds: the diagnosis and its evidence too.
    """
    proposal = approval["proposal"]
    lines = [escape(proposal.get("summary", ""))]
    found = proposal.get("diagnosis") or {}
    if grounds and found.get("root_cause"):
        sure = found.get("confidence", "unknown")
        lines.append(f"[bold]Because:[/] {escape(found['root_cause'])} (confidence {sure})")
        lines += _evidence(found)
        lines += [f"[dim]would refute it: {escape(each)}[/]" for each in found.get("refuted_by", [])]
    for plan in proposal["plans"]:
        lines += _plan(plan)
    if approval["result"]:
        lines.append(f"[bold]Result:[/] {escape(approval['result']['text'])}")
    if approval["comment"]:
        lines.append(f"[bold]Comment:[/] {escape(approval['comment'])}")
    if approval["status"] == "waiting":
        asked = ", ".join(proposal.get("approvers", [])) or "anybody"
        until = approval["expires_at"][:16].replace("T", " ")
        lines.append(f"[dim]for {escape(asked)}, until {until} UTC[/]")
        if proposal.get("needed", 1) > 1:
            lines.append(f"[red]needs {proposal['needed']} different verified people[/]")
    who = f" by {escape(approval['decided_by'])}" if approval["decided_by"] else ""
    if approval["superseded_by"]:
        who = f" by {approval['superseded_by']}"
    title = f"{approval['id']} {escape(approval['subject'])}: {approval['status']}{who}"
    console().print(Panel("\n".join(lines), title=title, title_align="left", border_style="yellow"))


def _plan(plan: dict[str, Any]) -> list[str]:
    sample = ", ".join(str(next(iter(fields.values()), "")) for fields in plan["sample"])
    more = " …" if plan["objects"] > len(plan["sample"]) else ""
    lines = [f"[bold]{escape(plan['text'])}[/], ${plan['amount']:,.0f} in all"]
    if plan["dangerous"]:
        lines.append("[red]dangerous: needs a verified approver[/]")
    return [*lines, f"[dim]{escape(sample)}{more}[/]"] if sample else lines


def _evidence(found: dict[str, Any]) -> list[str]:
    return [f"  · {escape(item['source'])}: {escape(item['finding'])}" for item in found.get("evidence", [])]


def _triage(execution: dict[str, Any]) -> Group:
    output = execution["output"]
    table = Table(title=f"{execution['skill']} · {execution['model']}", title_justify="left")
    patterns = output["patterns"]
    shown = [name for name in (patterns[0] if patterns else {}) if name not in _HIDDEN]
    columns = _fitting(shown, patterns, console().width)
    for name in columns:
        numeric = isinstance(patterns[0][name], int | float)
        table.add_column(name.replace("_", " "), justify="right" if numeric else "left")
    table.add_column("route to")
    for pattern in patterns:
        cells = [_cell(name, pattern[name]) for name in columns]
        table.add_row(*cells, escape(pattern["route_to"] or "–"))
    notes = [Text(printable(line)) for line in output.get("picture", [])]
    notes.append(Text(printable(output.get("summary", ""))))
    notes += [Text(printable(f"! {warning}"), style="yellow") for warning in output.get("warnings", [])]
    if output.get("recovered"):
        notes.append(
            Text(printable(f"recovered since the last run: {', '.join(output['recovered'])}"), style="green")
        )
    return Group(table, *notes) if patterns else Group(*notes)


def _fitting(names: list[str], patterns: list[dict[str, Any]], width: int) -> list[str]:
    """The first columns that a table of that width has room for; the execution's page shows all."""
    left = width - len(" route to ") - max((len(each["route_to"] or "") for each in patterns), default=0)
    fitting = []
    for name in names:
        left -= max(len(name), *(len(_cell(name, each[name])) for each in patterns)) + 3
        if left < 0:
            break
        fitting.append(name)
    return fitting


def _cell(name: str, value: Any) -> str:
    if name == "trend":
        return _TREND.get(value, escape(str(value)))
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 1000 else f"{value:.1f}" if value >= 10 else f"{value:.3g}"
    text = str(value)
    return escape(text if len(text) <= _LONGEST_CELL else f"{text[: _LONGEST_CELL - 1]}…")


def _specialist(execution: dict[str, Any]) -> Panel:
    output = execution["output"] or {}
    lines = []
    if "root_cause" in output:
        cause = output["root_cause"] or "no root cause found"
        lines.append(f"[bold]Root cause:[/] {escape(cause)}")
        lines += _evidence(output)
        if output.get("recommended_fix"):
            lines.append(f"[bold]Fix:[/] {escape(output['recommended_fix'])}")
        lines.append(f"[bold]Confidence:[/] {output.get('confidence', 'unknown')}")
        lines += _ruled_out(output.get("ruled_out", []))
    elif output.get("summary"):
        lines.append(escape(output["summary"]))
    lines += [f"  · {escape(finding)}" for finding in output.get("findings", [])]
    lines += [escape(line) for line in output.get("picture", [])]
    if execution["error"]:
        lines.append(f"[red]{escape(execution['error'])}[/]")
    outcome = execution["outcome"] or "waits"
    title = f"{execution['skill']} {escape(execution['pattern'] or '')}: {outcome}"
    return Panel("\n".join(lines) or "–", title=title, title_align="left", subtitle=execution["execution_id"])


def _ruled_out(dropped: list[dict[str, Any]]) -> list[str]:
    lines = [
        f"[dim]ruled out: {escape(item['cause'])} ({escape(item['reason'])})[/]"
        for item in dropped[:_RULED_OUT]
    ]
    more = len(dropped) - _RULED_OUT
    return [*lines, f"[dim]and {more} more; `aspora show` has all[/]"] if more > 0 else lines


def _foot(out: Console, report: dict[str, Any]) -> None:
    cost = sum(execution["cost_dollars"] for execution in report["executions"])
    seconds = sum(execution["latency_seconds"] or 0 for execution in report["executions"])
    offline = any(execution["provider"] == "offline" for execution in report["executions"])
    model = " · offline rules, no language model" if offline else ""
    state = _STATE.get(report["state"], report["state"])
    reason = f" ({escape(report['reason'])})" if report["reason"] else ""
    out.print(f"[bold]{report['run_id']}[/]: {state}{reason} · {seconds:.1f} s of work · ${cost:.4f}{model}")
    for approval in report["approvals"]:
        if approval["status"] == "waiting":
            out.print(f"  aspora approve {approval['id']} --as NAME")
            out.print(f"  aspora reject {approval['id']} --as NAME --reason WHY")


def show_executions(listed: list[dict[str, Any]]) -> None:
    """Found executions, newest first."""
    out = console()
    if not listed:
        out.print("No execution matches.")
        return
    table = Table()
    for name in ("execution", "outcome"):
        table.add_column(name, overflow="fold")
    for name in ("latency", "cost"):
        table.add_column(name, justify="right")
    for row in listed:
        table.add_row(
            row["execution_id"],
            row["outcome"] or "–",
            f"{row['latency_seconds'] or 0:.2f} s",
            f"${row['cost_dollars']:.4f}",
        )
    out.print(table)


def show_triggers(listed: list[dict[str, Any]]) -> None:
    """Triggers, newest first: what came in, and what became of it."""
    out = console()
    if not listed:
        out.print("No trigger matches.")
        return
    table = Table()
    for name in ("trigger", "came (UTC)", "state"):
        table.add_column(name, no_wrap=True)
    table.add_column("what and why", overflow="fold")
    for row in listed:
        state = row["result"] or row["state"]
        came = row["created_at"][5:16].replace("T", " ")
        table.add_row(row["id"], came, _STATE.get(state, state), escape(_what(row)))
    out.print(table)


def _what(trigger: dict[str, Any]) -> str:
    """Where a trigger came from, what it is about, and the reason for its state."""
    fields = (trigger["received"] or {}).get("fields") or {}
    about = ", ".join(f"{name}={value}" for name, value in fields.items())
    led = f"{trigger['source']} → {trigger['domain'] or 'nowhere'}"
    return ": ".join(part for part in (led, about[:200], trigger["reason"]) if part)


def show_routes(rows: list[dict[str, Any]]) -> None:
    """What rules would do against what was done: the decisions that would differ, and all of them counted."""
    out = console()
    changed = [row for row in rows if row["was"] != row["would_be"]]
    if changed:
        table = Table(title="Decisions that would differ", title_justify="left")
        for name in ("run", "pattern", "from", "was", "would be"):
            table.add_column(name, overflow="fold")
        for row in changed:
            was, would = _led(row["was"]), _led(row["would_be"])
            table.add_row(row["run_id"], escape(row["pattern"]), row["from"], was, f"[yellow]{would}[/]")
        out.print(table)
    runs = len({row["run_id"] for row in rows})
    for (sender, would), count in Counter((row["from"], _led(row["would_be"])) for row in rows).items():
        out.print(f"  {count:>5} x {sender} → {would}")
    out.print(f"{len(changed)} of {len(rows)} decisions in {runs} runs would differ.")


def _led(skills: list[str]) -> str:
    return ", ".join(skills) or "none"


def show_quality(rows: list[tuple[str, ...]], done: list[dict[str, Any]]) -> None:
    """All evaluations: a row a metric, then what was not measured, and why."""
    out = console()
    table = Table()
    for name in ("evaluation", "metric", "cases", "reference", "target", "ours", "95 % interval", "verdict"):
        table.add_column(
            name, justify="right" if name in ("cases", "reference", "target", "ours") else "left"
        )
    for row in rows:
        table.add_row(*row)
    out.print(table)
    for each in done:
        for word in ("skipped", "failed"):
            if word in each:
                out.print(
                    f"  {each['evaluation']}, {each['on']}: {word}: {printable(each[word])}", markup=False
                )
        for failure in each.get("failures", []):
            out.print(f"  {each['evaluation']}, {each['on']}: {printable(failure)}", markup=False)


def show_metrics(name: str, result: dict[str, Any]) -> None:
    """An evaluation: each metric as a share of the cases, with its interval and what that means, if known."""
    out = console()
    table = Table(title=f"{name}, {result['n']} cases", title_justify="left")
    table.add_column("metric")
    table.add_column("share", justify="right")
    table.add_column("95 % interval")
    table.add_column("verdict")
    intervals, verdicts = result.get("intervals", {}), result.get("verdicts", {})
    for metric, value in result["metrics"].items():
        interval = intervals.get(metric)
        between = f"{interval[0]:.3f} to {interval[1]:.3f}" if interval else "–"
        verdict = verdicts.get(metric) or "–"
        table.add_row(metric, "–" if value is None else f"{value:.3f}", between, verdict)
    out.print(table)
    for column, why in result.get("left_out", {}).items():
        out.print(f"  left out: {printable(column)} ({printable(why)})", markup=False)
    for failure in result.get("failures", []):
        out.print(f"  {printable(failure)}", markup=False)
