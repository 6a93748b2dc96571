"""What an approver reads above the form of Prefect's UI, as markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from blocks.config import Config
from tasks import demands
from tasks.approvals import Approval
from tasks.page import escape
from tasks.votes import Vote


def text(settings: Config, asked: Approval, approved: Sequence[Vote], refused: str) -> str:
    """The proposal, its dry run, what its approval takes, and its grounds, for which people have to scroll.

    Args:
        approved: who has approved so far.
        refused: why the last answer was not taken; empty for the first.
    """
    approvers = ", ".join(asked.proposal.get("approvers", [])) or "anybody"
    parts = [
        f"**Not accepted:** {escape(refused)}" if refused else "",
        f"**{asked.id}** asks {escape(approvers)} for approval: **{escape(asked.subject)}**",
        escape(asked.proposal.get("summary", "")),
        _effect(asked),
        _terms(settings, asked, approved),
        _grounds(asked.proposal.get("diagnosis") or {}),
        f"Waits until {asked.expires_at:%Y-%m-%d %H:%M} UTC. A rejection needs a reason as its comment.",
    ]
    return "\n\n".join(part for part in parts if part)


def _grounds(diagnosis: Mapping[str, Any]) -> str:
    """The diagnosis that led to the proposal, with its evidence."""
    if not diagnosis.get("root_cause"):
        return ""
    evidence = "\n".join(
        f"- {escape(str(item['source']))}: {escape(str(item['finding']))}"
        for item in diagnosis.get("evidence", [])
    )
    confidence = escape(str(diagnosis.get("confidence", "unknown")))
    cause = f"### Root cause\n\n{escape(diagnosis['root_cause'])} (confidence {confidence})"
    return f"{cause}\n\n### Evidence\n\n{evidence}" if evidence else cause


def _effect(asked: Approval) -> str:
    """What the dry run says that each action will do."""
    lines = ["### What will be done", ""]
    for plan in asked.proposal.get("plans", []):
        danger = " **Dangerous.**" if plan.get("dangerous") else ""
        lines.append(f"- {escape(plan['text'])}, ${plan['amount']:,.0f} in all.{danger}")
        if plan.get("description"):
            lines.append(f"  {escape(plan['description'])}")
        sample = ", ".join(str(next(iter(fields.values()), "")) for fields in plan["sample"])
        more = " …" if plan["objects"] > len(plan["sample"]) else ""
        if sample:
            lines.append(f"  For example {escape(sample)}{more}")
    return "\n".join(lines)


def _terms(settings: Config, asked: Approval, approved: Sequence[Vote]) -> str:
    """Who must approve, where a typed name is not enough."""
    if not demands.verified(settings, asked):
        return ""
    count = demands.needed(settings, asked)
    people = "a verified person" if count == 1 else f"{count} different verified people"
    names = f" Approved so far: {', '.join(escape(vote.name) for vote in approved)}." if approved else ""
    return (
        f"### Needs {people}\n\nA name typed here is no verification: approve in Slack, or by "
        f"`aspora approve {asked.id} --as NAME` with a personal token. Who asked for the run can't "
        f"approve it.{names} Here it can be rejected."
    )
