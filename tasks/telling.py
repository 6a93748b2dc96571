"""What a report, a proposed fix and its fate read like in a chat: paragraphs for any channel."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from blocks.config import Config
from blocks.units import format_dollars
from tasks import demands
from tasks.approvals import Approval
from tasks.corrections import Correction
from tasks.markup import Markup, Paragraph
from tasks.votes import Vote

_STATES = {
    "completed": "completed",
    "awaiting_approval": "a fix waits for approval",
    "no_action": "no action needed",
    "refused": "refused",
    "failed": "failed",
}
_FATES = {
    "approved": "Approved",
    "rejected": "Rejected",
    "expired": "Expired: nobody decided in time. Nothing was done",
    "superseded": "Superseded by",
    "done": "Done",
    "failed": "Carried out in part",
    "stopped": "Stopped",
}
_VIA = {"slack": "in Slack", "cli": "on the command line", "prefect": "in Prefect", "config": "by config"}
_MOST = 12
"""Patterns, pieces of evidence or approvals that one message tells."""
_HIDDEN = ("context", "headline", "continuing", "route_to")
_ID = re.compile(r"[0-9a-f-]{36}")


def report(m: Markup, of_run: Mapping[str, Any]) -> list[Paragraph]:
    """A run's report: what was found, why, and what became of it.

    Args:
        of_run: from `tasks.report.of_run`.
    """
    state = _STATES.get(of_run["state"], str(of_run["state"]))
    reason = f": {m.data(of_run['reason'], 1000)}" if of_run["reason"] else ""
    paragraphs: list[Paragraph] = [[f"{m.bold(m.data(of_run['run_id']))}: {state}{reason}"]]
    asking = {each["execution_id"] for each in of_run["approvals"]}
    outputs = {each["execution_id"]: each["output"] or {} for each in of_run["executions"]}
    managers = [each for each in of_run["executions"] if each["role"] == "manager"]
    others = [
        each
        for each in of_run["executions"]
        if each["role"] != "manager" and each["execution_id"] not in asking
    ]
    paragraphs += [_triage(m, outputs[each["execution_id"]]) for each in managers]
    paragraphs += [_fix(m, each) for each in of_run["approvals"][:_MOST]]
    paragraphs += [_specialist(m, each, outputs[each["execution_id"]]) for each in others[:_MOST]]
    paragraphs.append([f"… {len(others) - _MOST} more"] if len(others) > _MOST else [])
    paragraphs.append([_cost(of_run["executions"])] if of_run["executions"] else [])
    return [paragraph for paragraph in paragraphs if paragraph]


def proposal(m: Markup, settings: Config, asked: Approval, approved: Sequence[Vote]) -> list[Paragraph]:
    """A proposed fix with its grounds, its dry run, and what its approval takes."""
    approvers = asked.proposal.get("approvers", [])
    who = ", ".join(m.data(name) for name in approvers) or "anybody"
    what = f"{m.bold(m.data(asked.subject))} ({m.data(asked.domain)})"
    head = f"{m.bold(asked.id)} asks {who} for approval: {what}"
    return [
        paragraph
        for paragraph in (
            [head, m.data(asked.proposal.get("summary", ""))],
            _grounds(m, asked.proposal.get("diagnosis") or {}),
            [line for plan in asked.proposal.get("plans", []) for line in _plan(m, plan)],
            _terms(m, settings, asked, approved),
        )
        if paragraph
    ]


def judgement(m: Markup, said: Sequence[Correction]) -> Paragraph:
    """The question whether a report was right, and what people have said to it."""
    return [m.bold("Was this right?"), *(statement(m, each) for each in said[-_MOST:])]


def statement(m: Markup, said: Correction) -> str:
    """What a person said about an execution, in one line."""
    proof = "" if said.verified else ", by a typed name"
    who = f"{m.data(said.corrected_by)} {_VIA.get(said.via, m.data(said.via))}{proof}"
    about = m.data(said.execution_id)
    if said.kind == "confirmation" and not said.correction:
        words = "says the same as the correction" if said.refers_to else "says that it was right"
        return f"• {who} {words}: {about}"
    parts = [
        f"{m.data(name.replace('_', ' '))}: {m.data(value, 1000)}" for name, value in said.correction.items()
    ]
    verb = "confirms the correction of" if said.kind == "confirmation" else "corrected"
    return f"• {who} {verb} {about}: {'; '.join(parts)}"


def fate(m: Markup, asked: Approval, approved: Sequence[Vote] = ()) -> str:
    """Who decided what and when, in one line."""
    words = _FATES.get(asked.status, asked.status)
    if asked.status == "superseded":
        return f"{m.bold(words)} {m.data(asked.superseded_by)}"
    if not asked.decided_by or not asked.decided_at:
        return m.bold(words)
    who = ", ".join(m.data(vote.name) for vote in approved) if len(approved) > 1 else m.data(asked.decided_by)
    proof = "" if asked.verified else ", by a typed name"
    how = f"{_VIA.get(asked.decided_via or '', m.data(asked.decided_via))}{proof}"
    comment = f": {m.data(asked.comment, 1000)}" if asked.comment else ""
    return f"{m.bold(words)} by {who} {how} at {moment(asked.decided_at)}{comment}"


def outcome(m: Markup, asked: Approval) -> list[Paragraph]:
    """What carrying a fix out has changed."""
    result = asked.result or {}
    words = _FATES.get(asked.status, asked.status)
    head = f"{m.bold(asked.id)} {m.data(asked.subject)}: {m.bold(words)}"
    return [[head, m.data(result.get("text", ""), 1000)]]


def links(m: Markup, settings: Config, flow_run_id: str | None, *commands: str) -> Paragraph:
    """Where more is to be seen: Prefect's page of the run, and commands that show it."""
    lines = [m.code(command) for command in commands]
    if flow_run_id and _ID.fullmatch(flow_run_id):
        url = f"{prefect_address(settings)}/runs/flow-run/{flow_run_id}"
        lines = [m.link(url, "the run in Prefect"), *lines]
    return [" · ".join(lines)] if lines else []


def prefect_address(settings: Config) -> str:
    """Where people reach Prefect's UI: as the config says, or on this machine."""
    port = os.environ.get("ASPORA_PREFECT_PORT", "4200")
    here = os.environ.get("PREFECT_UI_URL") or f"http://127.0.0.1:{port if port.isdigit() else '4200'}"
    return (settings.platform.links.prefect or here).rstrip("/")


def moment(at: datetime) -> str:
    """A time for people."""
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _triage(m: Markup, output: Mapping[str, Any]) -> Paragraph:
    patterns = output.get("patterns") or []
    lines = [m.data(output["summary"], 1000)] if output.get("summary") else []
    lines += [f"• {_pattern(m, pattern)}" for pattern in patterns[:_MOST]]
    lines += [f"… {len(patterns) - _MOST} more"] if len(patterns) > _MOST else []
    lines += [f"! {m.data(warning)}" for warning in output.get("warnings", [])[:_MOST]]
    return lines


def _pattern(m: Markup, pattern: Mapping[str, Any]) -> str:
    """What a pattern is about, and its own words; its plain fields, if it has none."""
    plain = {name: value for name, value in pattern.items() if name not in _HIDDEN}
    if pattern.get("headline"):
        about = next((value for value in plain.values() if isinstance(value, str)), "")
        return f"{m.bold(m.data(about))}: {m.data(pattern['headline'])}"
    given = (f"{name} {value}" for name, value in plain.items() if isinstance(value, str | int | float))
    return m.data(", ".join(given))


def _specialist(m: Markup, execution: Mapping[str, Any], output: Mapping[str, Any]) -> Paragraph:
    about = f" {m.data(execution['pattern'])}" if execution["pattern"] else ""
    lines = [f"{m.bold(m.data(execution['skill']))}{about}: {execution['outcome'] or 'waits'}"]
    if "root_cause" in output:
        lines += _grounds(m, output) or ["no root cause found"]
        fix = output.get("recommended_fix")
        lines += [f"{m.bold('Fix:')} {m.data(fix)}"] if fix else []
    elif output.get("summary"):
        lines.append(m.data(output["summary"], 1000))
    lines += [m.data(execution["error"])] if execution["error"] else []
    return lines


def _grounds(m: Markup, diagnosis: Mapping[str, Any]) -> list[str]:
    """The diagnosis, with its evidence."""
    if not diagnosis.get("root_cause"):
        return []
    confidence = m.data(diagnosis.get("confidence", "unknown"))
    lines = [f"{m.bold('Root cause:')} {m.data(diagnosis['root_cause'], 1000)} (confidence {confidence})"]
    evidence = diagnosis.get("evidence") or []
    return lines + [f"• {m.data(item['source'])}: {m.data(item['finding'])}" for item in evidence[:_MOST]]


def _plan(m: Markup, plan: Mapping[str, Any]) -> list[str]:
    lines = [f"{m.bold('Effect:')} {m.data(plan['text'])}, ${plan['amount']:,.0f} in all"]
    sample = ", ".join(str(next(iter(fields.values()), "")) for fields in plan["sample"])
    more = " …" if plan["objects"] > len(plan["sample"]) else ""
    return [*lines, f"{m.data(sample)}{more}"] if sample else lines


def _terms(m: Markup, settings: Config, asked: Approval, approved: Sequence[Vote]) -> Paragraph:
    count, dangerous = demands.needed(settings, asked), demands.dangerous(settings, asked)
    lines = [f"{m.bold('Dangerous:')} {', '.join(map(m.data, dangerous))}"] if dangerous else []
    if count > 1:
        names = ", ".join(m.data(vote.name) for vote in approved) or "nobody"
        lines.append(f"Needs {count} different verified people, and not who asked for the run.")
        lines.append(f"Approved so far: {names}")
    elif dangerous:
        lines.append("Needs a verified approver, and not who asked for the run.")
    if asked.status == "waiting":
        lines.append(f"Waits until {moment(asked.expires_at)}")
    return lines


def _fix(m: Markup, asked: Mapping[str, Any]) -> Paragraph:
    """A fix of a report, in short."""
    result = (asked["result"] or {}).get("text", "")
    lines = [f"{m.bold(asked['id'])} {m.data(asked['subject'])}: {asked['status']}"]
    lines += [m.data(plan["text"]) for plan in asked["proposal"].get("plans", [])[:_MOST]]
    if asked["status"] == "waiting":
        command = m.code(f"aspora approve {asked['id']} --as NAME")
        lines.append(f"It waits for a decision: in Slack, in Prefect, or by {command}")
    return [*lines, m.data(result, 1000)] if result else lines


def _cost(executions: Sequence[Mapping[str, Any]]) -> str:
    micro = round(sum(each["cost_dollars"] for each in executions) * 1_000_000)
    seconds = sum(each["latency_seconds"] or 0 for each in executions)
    offline = any(each["provider"] == "offline" for each in executions)
    model = ", offline rules, no language model" if offline else ""
    return f"{seconds:.1f} s of work, {format_dollars(micro)}{model}"
