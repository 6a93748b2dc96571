"""A proposed fix: its dry run, and the question to people."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from math import ceil
from typing import Any

from sqlalchemy import Connection

from blocks.config import Action
from blocks.units import format_duration
from tasks import actions, approvals, calls, notices, record, report
from tasks.domain import Incomplete, Skill, Target
from tasks.loop import Result
from tasks.platform import Platform
from tasks.progress import tell
from tasks.tools import Toolbox

SAMPLE = 5
"""Objects that an effect shows by name."""
LONGEST_KEY = 500
"""Characters of an object's key that the record holds."""
_CONTROL = re.compile(r"[\x00-\x1f]")


async def propose(
    platform: Platform, row: record.Execution, skill: Skill, result: Result, toolbox: Toolbox
) -> approvals.Approval | None:
    """Dry-runs a resolution's fixes and asks for a decision; None, with the outcome recorded, if idle.

    With `auto_fix`, no person in the loop for the skill, and no action that is dangerous or needs several
    people, config approves it.
    """
    settings = platform.domain(row.domain)
    proposal = result.output.model_dump(mode="json") if result.output else {}
    allowed = {action.name: action for action in settings.actions}
    try:
        plans = await _plans(platform, row, skill, allowed, proposal["fixes"], toolbox)
    except Incomplete as error:
        await _end(platform, row, "error", proposal, str(error), result.trace)
        return None
    effect = {"plans": plans, "text": [plan["text"] for plan in plans]}
    if not any(plan["objects"] for plan in plans):
        await _end(platform, row, "success", {**proposal, "effect": effect}, "", result.trace)
        return None
    subject = row.pattern_key or row.run_id
    needed = max(allowed[plan["action"]].needed for plan in plans)
    automatic = (
        settings.auto_fix
        and row.skill_name not in settings.guardrails.human_in_loop
        and not any(plan["dangerous"] for plan in plans)
        and needed == 1
    )

    def ask(conn: Connection) -> approvals.Approval:
        asked = approvals.propose(
            conn,
            row.execution_id,
            subject=subject,
            proposal={
                **proposal,
                "plans": plans,
                "trace": result.trace,
                "diagnosis": diagnosis(row, proposal),
                "approvers": settings.guardrails.approvers,
                "needed": needed,
            },
            effect=effect,
            expires=settings.guardrails.approval_expires,
            output={**proposal, "effect": effect},
        )
        if automatic:
            approvals.decide(conn, asked.id, True, by="config", via="no human_in_loop")
        elif asked.status == "waiting":
            notices.asked(conn, platform.config, asked)
        for older in approvals.superseded(conn, asked.id):
            report.conclude(conn, older.run_id)
            notices.superseded(conn, platform.config, older)
        return asked

    asked = await platform.database.write(ask)
    tell("approval", f"{asked.id} proposes: {'; '.join(effect['text'])}", row.skill_name)
    return asked


def diagnosis(row: record.Execution, output: Any = None) -> dict[str, Any]:
    """The root cause and its evidence: found by the skill itself, or handed to it; empty if there is none.

    Args:
        output: the skill's output, where the record does not have it yet.
    """
    known = (output, row.output_data, *(row.input_data or {}).values())
    return next((value for value in known if isinstance(value, dict) and "root_cause" in value), {})


async def _plans(
    platform: Platform,
    row: record.Execution,
    skill: Skill,
    allowed: Mapping[str, Action],
    fixes: list[dict[str, Any]],
    toolbox: Toolbox,
) -> list[dict[str, Any]]:
    """Each fix's dry run; an object stands in one of them only."""
    if skill.fixer is None:
        raise Incomplete(f"{row.skill_name} has no objects to act on")
    plans: list[dict[str, Any]] = []
    planned: set[str] = set()
    for fix in fixes:
        if fix["action"] not in allowed:
            raise Incomplete(f"{fix['action']} is no longer allowed by the config")
        targets = await skill.fixer.targets(row.input_data, fix, toolbox.call)
        left = [target for target in targets if target.key not in planned]
        plan = await _plan(platform, allowed[fix["action"]], fix, left, skill.fixer.noun)
        planned |= {target["key"] for target in plan["targets"]}
        plans.append(plan)
    return plans


async def _plan(
    platform: Platform, action: Action, fix: Mapping[str, Any], targets: list[Target], noun: str
) -> dict[str, Any]:
    """What one action would do now: the dry run."""
    taken = await platform.database.read(
        lambda conn: actions.taken(conn, action.name, [target.key for target in targets])
    )
    free = [target for target in targets if target.key not in taken]
    fit = [target for target in free if _fits(action, target)]
    if free and not fit:
        raise Incomplete(_unfit(action, free[0]))
    chosen = fit[: action.max_objects]
    seconds = len(chosen) * action.rate.interval
    text = f"{action.name}: {len(chosen)} {noun} at {action.rate}, about {_lasting(seconds)}"
    if taken:
        text += f"; {len(taken)} left out, acted on before"
    if len(fit) < len(free):
        text += f"; {len(free) - len(fit)} left out, their ids can't be put into a request"
    if len(fit) > len(chosen):
        text += f"; {len(fit) - len(chosen)} left for a next run, {action.max_objects} are allowed at a time"
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


def _fits(action: Action, target: Target) -> bool:
    return not _unfit(action, target)


def _unfit(action: Action, target: Target) -> str:
    """Why no request can be made for the object; empty if one can."""
    if len(target.key) > LONGEST_KEY or _CONTROL.search(target.key):
        return f"{target.key[:80]!r} is no usable id"
    try:
        calls.prepare(action, target.fields, action.body)
    except calls.Unfit as error:
        return f"{action.name}: {error}"
    return ""


def _lasting(seconds: float) -> str:
    whole = ceil(seconds)
    return format_duration(timedelta(seconds=whole if whole < 120 else ceil(whole / 60) * 60))


async def _end(
    platform: Platform, row: record.Execution, outcome: record.Outcome, output: Any, error: str, trace: str
) -> None:
    await platform.database.write(
        lambda conn: record.finish(
            conn, row.execution_id, outcome, output=output, error=error or None, trace=trace
        )
    )
    tell("skill", f"ends: {outcome}" + (f" ({error})" if error else ", nothing to act on"), row.skill_name)
