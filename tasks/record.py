"""The record of skill executions: begun, finished once, found again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import ColumnElement, Connection, Text, and_, bindparam, cast, func, or_, select, update

from blocks.columns import dump_json, plain
from blocks.database import Prepared, insert_new
from blocks.schema import approvals, corrections, execution_steps, executions, skill_executions
from tasks import ids, outbox, spend, tally
from tasks.clock import utc

Role = Literal["manager", "specialist"]
Outcome = Literal["success", "partial", "error", "refused", "rejected", "expired"]


_TOTALS = (
    "model_seconds",
    "tool_seconds",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
)


CORRECTED: Literal["user_corrected"] = "user_corrected"
"""What the view shows as the outcome of an execution that somebody corrected."""


class UnknownExecution(LookupError):
    """There is no such execution."""


class Execution(BaseModel):
    """One execution of a skill. `outcome` is None while it runs or waits."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    execution_id: str
    key: str
    run_id: str
    domain: str
    skill_name: str
    skill_role: Role
    from_skill: str | None
    rule: str | None
    pattern_key: str | None
    model: str
    provider: str
    started_at: datetime
    finished_at: datetime | None
    outcome: Outcome | None
    error: str | None
    input_data: Any
    output_data: Any
    reasoning_trace: str | None
    latency_seconds: float | None
    model_seconds: float
    tool_seconds: float
    cost_micro: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    archive: str | None = None
    """The file that the journal was moved to; see `tasks.archive`."""


class SkillExecution(BaseModel):
    """A row of the view `skill_executions`: a finished execution with the newest correction."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    execution_id: str
    timestamp: datetime
    domain: str
    skill_name: str
    skill_role: Role
    manager_skill: str | None
    specialist_skill: str | None
    outcome: Outcome | Literal["user_corrected"]
    input_data: Any
    output_data: Any
    reasoning_trace: str | None
    tool_calls: list[dict[str, Any]]
    latency_seconds: float | None
    cost_dollars: float
    user_correction: Any


def begin(
    conn: Connection,
    *,
    run_id: str,
    domain: str,
    skill: str,
    role: Role,
    model: str,
    provider: str,
    input_data: Any = None,
    handoff: str = "",
    from_skill: str | None = None,
    rule: str | None = None,
    pattern_key: str | None = None,
    now: datetime | None = None,
) -> Execution:
    """Start an execution, or find it: the same run, skill and handoff is the same execution, always.

    Args:
        handoff: tells apart a run's executions of one skill; the sender's execution id and the pattern's
            key, for example. Empty for the manager.
        from_skill: the skill that routed here; None for the manager.
    """
    at, key = utc(now), ids.execution_key(run_id, skill, handoff)
    values = {
        "key": key,
        "run_id": run_id,
        "domain": domain,
        "skill_name": skill,
        "skill_role": role,
        "from_skill": from_skill,
        "rule": rule,
        "pattern_key": pattern_key,
        "model": model,
        "provider": provider,
        "started_at": at,
        "input_data": input_data,
    }
    for execution_id in ids.stamped(skill, at, key):
        insert_new(conn, executions, {**values, "execution_id": execution_id})
        if execution := _found(conn, _SAME, key):
            return execution
    raise RuntimeError(f"no free execution id for {skill} of {run_id}")


def finish(
    conn: Connection,
    execution_id: str,
    outcome: Outcome,
    *,
    output: Any = None,
    error: str | None = None,
    trace: str | None = None,
    latency_seconds: float | None = None,
    now: datetime | None = None,
) -> bool:
    """Record the outcome, once. Times and tokens are summed from the journal, the cost from the spend.

    Args:
        output: what the skill returned; if None, what `draft` left stays.
        latency_seconds: if None, from start to now without the time that people took to decide.

    Returns:
        False if an outcome stands already; nothing changes then.
    """
    at = utc(now)
    execution = get(conn, execution_id)
    if execution.outcome is not None:
        return False
    spend.close(conn, execution_id)
    if latency_seconds is None:
        latency_seconds = (at - execution.started_at).total_seconds() - _waited(conn, execution_id, at)
    values: dict[str, Any] = {
        "outcome": outcome,
        "error": error,
        "reasoning_trace": trace,
        "finished_at": at,
        "latency_seconds": max(0.0, latency_seconds),
        "cost_micro": spend.of_execution(conn, execution_id),
        **_totals(conn, execution_id),
    }
    given = {f"new_{name}": value for name, value in values.items()}
    if _FINISH.execute(conn, {**given, "new_output_data": output, "of": execution_id}).written != 1:
        return False
    tally.ended(conn, execution.model_copy(update=values), at)
    outbox.put(conn, "execution", execution_id, at)
    return True


def draft(conn: Connection, execution_id: str, output: Any) -> None:
    """Note the output of an execution that still waits: its record if nobody carries it further."""
    conn.execute(update(executions).where(_OPEN).values(output_data=output), {"of": execution_id})


def get(conn: Connection, execution_id: str) -> Execution:
    """The execution of that id; UnknownExecution if there is none."""
    execution = _found(conn, _GET, execution_id)
    if execution is None:
        raise UnknownExecution(f"there is no execution {execution_id!r}; `aspora executions` lists them")
    return execution


def of_run(conn: Connection, run_id: str) -> list[Execution]:
    """The run's executions in the order they started."""
    query = select(executions).where(executions.c.run_id == run_id)
    rows = conn.execute(query.order_by(executions.c.started_at, executions.c.execution_id))
    return [Execution.model_validate(row) for row in rows]


def latest(
    conn: Connection, skill: str, outcomes: Sequence[Outcome] = ("success", "partial"), not_run: str = ""
) -> Execution | None:
    """The newest finished execution of a skill with one of these outcomes, outside the run `not_run`."""
    query = select(executions).where(executions.c.skill_name == skill, executions.c.outcome.in_(outcomes))
    query = query.where(executions.c.run_id != not_run).order_by(executions.c.started_at.desc()).limit(1)
    row = conn.execute(query).first()
    return Execution.model_validate(row) if row else None


def search(
    conn: Connection,
    *,
    domain: str = "",
    skill: str = "",
    outcome: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
    text: str = "",
    limit: int = 100,
) -> list[SkillExecution]:
    """Finished executions, newest first.

    Args:
        outcome: one of the outcomes, or `user_corrected`.
        text: words that stand in the input, the output, the reasoning or the correction, as they are; upper
            and lower case are the same.
    """
    view = skill_executions.c
    query = select(skill_executions).order_by(view.timestamp.desc(), view.execution_id).limit(limit)
    for column, value in ((view.domain, domain), (view.skill_name, skill), (view.outcome, outcome)):
        if value:
            query = query.where(column == value)
    if since:
        query = query.where(view.timestamp >= since)
    if until:
        query = query.where(view.timestamp <= until)
    if outcome == CORRECTED:
        query = query.where(view.execution_id.in_(select(corrections.c.execution_id)))
    if text:
        query = query.where(_holds(text))
    return [SkillExecution.model_validate(row) for row in conn.execute(query)]


def view(conn: Connection, execution_id: str) -> SkillExecution | None:
    """The finished execution's row of the view; None while it runs or waits."""
    found = skill_executions.c.execution_id == execution_id
    row = conn.execute(select(skill_executions).where(found)).first()
    return SkillExecution.model_validate(row) if row else None


def _holds(words: str) -> ColumnElement[bool]:
    """Whether one of the texts holds these words; in JSON they stand as JSON writes them."""
    view, written = skill_executions.c, dump_json(plain(words))[1:-1]
    texts = [cast(each, Text) for each in (view.input_data, view.output_data, view.user_correction)]
    inside = [each.icontains(written, autoescape=True) for each in texts]
    return or_(*inside, view.reasoning_trace.icontains(plain(words), autoescape=True))


def _found(conn: Connection, statement: Prepared, of: str) -> Execution | None:
    rows = statement.execute(conn, {"of": of}).rows
    return Execution.model_validate(dict(zip(executions.c.keys(), rows[0], strict=True))) if rows else None


def _totals(conn: Connection, execution_id: str) -> Mapping[str, float]:
    totals: dict[str, float] = dict.fromkeys(_TOTALS, 0)
    for kind, seconds, tokens in _STEPS.execute(conn, {"of": execution_id}).rows:
        totals[f"{kind}_seconds"] += seconds
        for name, count in (tokens or {}).items():
            totals[f"{name}_tokens"] += count
    return totals


def _waited(conn: Connection, execution_id: str, now: datetime) -> float:
    """Seconds between proposals of the execution and the start of what was decided on them."""
    rows = _WAITS.execute(conn, {"of": execution_id}).rows
    return sum(float(((end or now) - asked).total_seconds()) for asked, end in rows)


# Statements of every execution, built once: building one takes longer than executing it.

_OF = executions.c.execution_id == bindparam("of")
_OPEN = and_(_OF, executions.c.outcome.is_(None))
_GET = Prepared(select(executions).where(_OF))
_SAME = Prepared(select(executions).where(executions.c.key == bindparam("of")))
_ENDING = ("outcome", "error", "reasoning_trace", "finished_at", "latency_seconds", "cost_micro", *_TOTALS)
_OUTPUT = executions.c.output_data
_FINISH = Prepared(
    update(executions)
    .where(_OPEN)
    .values(
        {name: bindparam(f"new_{name}", type_=executions.c[name].type) for name in _ENDING}
        | {"output_data": func.coalesce(bindparam("new_output_data", type_=_OUTPUT.type), _OUTPUT)}
    )
)
_STEPS = Prepared(
    select(execution_steps.c.kind, execution_steps.c.seconds, execution_steps.c.tokens).where(
        execution_steps.c.execution_id == bindparam("of")
    )
)
_DECIDED = func.coalesce(approvals.c.started_at, approvals.c.decided_at, type_=approvals.c.started_at.type)
_WAITS = Prepared(select(approvals.c.created_at, _DECIDED).where(approvals.c.execution_id == bindparam("of")))
