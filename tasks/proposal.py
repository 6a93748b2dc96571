"""A proposed fix: its dry run, and the question to people."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection

from blocks.config import Action
from blocks.units import format_duration
from tasks import actions, approvals, record
from tasks.domain import Incomplete, Skill
from tasks.loop import Result
from tasks.platform import Platform
from tasks.progress import tell
from tasks.tools import Toolbox

SAMPLE = 5
"""Objects that an effect shows by name."""


async def propose(
    platform: Platform, row: record.Execution, skill: Skill, result: Result, toolbox: Toolbox
) -> approvals.Approval | None:
    """Dry-runs a resolution's fixes and asks for a decision; None, with the outcome recorded, if idle.

    With no person in the loop for the skill, and no dangerous action, it counts as approved by config.
    """
    settings = platform.domain(row.domain)
    proposal = result.output.model_dump(mode="json") if result.output else {}
    allowed = {action.name: action for action in settings.actions}
    try:
        plans = [
            await _plan(platform, row, skill, allowed[fix["action"]], fix, toolbox)
            for fix in proposal["fixes"]
        ]
    except Incomplete as error:
        await _end(platform, row, "error", proposal, str(error), result.trace)
        return None
    effect = {"plans": plans, "text": [plan["text"] for plan in plans]}
    if not any(plan["objects"] for plan in plans):
        await _end(platform, row, "success", {**proposal, "effect": effect}, "", result.trace)
        return None
    subject = row.pattern_key or row.run_id
    automatic = row.skill_name not in settings.guardrails.human_in_loop and not any(
        allowed[plan["action"]].dangerous for plan in plans
    )

    def ask(conn: Connection) -> approvals.Approval:
        asked = approvals.propose(
            conn,
            row.execution_id,
            subject=subject,
            proposal={**proposal, "plans": plans, "trace": result.trace},
            effect=effect,
            expires=settings.guardrails.approval_expires,
            output={**proposal, "effect": effect},
        )
        if automatic:
            approvals.decide(conn, asked.id, True, by="config", via="no human_in_loop")
        return asked

    asked = await platform.database.write(ask)
    tell("approval", f"{asked.id} proposes: {'; '.join(effect['text'])}", row.skill_name)
    return asked


async def _plan(
    platform: Platform,
    row: record.Execution,
    skill: Skill,
    action: Action,
    fix: Mapping[str, Any],
    toolbox: Toolbox,
) -> dict[str, Any]:
    """What one action would do now: the dry run."""
    if skill.fixer is None:
        raise Incomplete(f"{row.skill_name} has no objects to act on")
    targets = await skill.fixer.targets(row.input_data, fix, toolbox.call)
    taken = await platform.database.read(
        lambda conn: actions.taken(conn, action.name, [target.key for target in targets])
    )
    free = [target for target in targets if target.key not in taken]
    chosen = free[: action.max_objects]
    seconds = len(chosen) * action.rate.interval
    noun = skill.fixer.noun
    lasting = format_duration(timedelta(seconds=int(seconds)))
    text = f"{action.name}: {len(chosen)} {noun} at {action.rate}, about {lasting}"
    if taken:
        text += f"; {len(taken)} left out, acted on before"
    if len(free) > len(chosen):
        text += f"; {len(free) - len(chosen)} left for a next run, {action.max_objects} are allowed at a time"
    return {
        "action": action.name,
        "description": action.description,
        "dangerous": action.dangerous,
        "scope": fix.get("scope", ""),
        "objects": len(chosen),
        "noun": noun,
        "seconds": seconds,
        "amount": round(sum(target.amount for target in chosen), 2),
        "sample": [target.fields for target in chosen[:SAMPLE]],
        "targets": [{"key": target.key, "fields": dict(target.fields)} for target in chosen],
        "text": text,
    }


async def _end(
    platform: Platform, row: record.Execution, outcome: record.Outcome, output: Any, error: str, trace: str
) -> None:
    await platform.database.write(
        lambda conn: record.finish(
            conn, row.execution_id, outcome, output=output, error=error or None, trace=trace
        )
    )
