"""One round of sending: each waiting trigger gets its Prefect event, waits longer, or is given up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import Connection

from flows.orchestrator.events import FlowRun, Prefect, Unreachable
from tasks import admission, inbox, notices
from tasks.clock import utc
from tasks.inbox import MOST_ATTEMPTS, Trigger
from tasks.platform import Platform

BATCH = 50
"""Triggers of one round: a short transaction lets the gateway write in between."""
LOOK_AGAIN = timedelta(seconds=30)
"""How long after its event a trigger may go without a run, until somebody looks why."""
BEGINNING = timedelta(minutes=2)
"""How long a flow run may take from its event to its trigger's claim, once it has a worker.

So long it counts as started. One that takes longer may have no worker, and holds up nothing else.
"""
_ENDED = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED", "CANCELLING"}


@dataclass(frozen=True)
class Step:
    """What this round does with a trigger.

    Attributes:
        reason: why, for people; kept with the trigger.
        guardrail: the one that holds it back, if it is one.
    """

    trigger: Trigger
    kind: Literal["send", "defer", "put_off", "refuse", "fail"]
    reason: str = ""
    guardrail: admission.Guardrail | None = None


@dataclass(frozen=True)
class News:
    """What Prefect knows of the triggers that were sent to it."""

    flow_runs: Mapping[str, FlowRun]
    failures: Mapping[str, str]


async def dispatch(platform: Platform, server: Prefect, now: datetime | None = None) -> None:
    """Looks at the triggers that are due."""
    at = utc(now)
    due = await platform.database.read(lambda conn: inbox.due(conn, at, BATCH))
    if not due:
        return
    news = await _news(server, due)
    steps = await platform.database.read(lambda conn: _plan(conn, platform, due, news, at))
    sent = await platform.database.write(lambda conn: _carry_out(conn, platform, steps, at))
    try:
        if sent:
            await server.emit(sent)
    except Unreachable as error:
        reason = str(error)
        await platform.database.write(lambda conn: _take_back(conn, platform, sent, reason, at))


async def recover(platform: Platform, now: datetime | None = None) -> None:
    """Lets runs whose process died wait to be started again; one that died too often fails."""
    at = utc(now)
    if await platform.database.read(lambda conn: inbox.cut_off(conn, at)):
        await platform.database.write(lambda conn: _recover(conn, platform, at))


async def _news(server: Prefect, due: Sequence[Trigger]) -> News | None:
    """None if Prefect doesn't answer."""
    asked = [each for each in due if each.dispatched_at or (each.attempts and each.flow_run_id)]
    if not asked:
        return News({}, {})
    try:
        flow_runs = await server.flow_runs(asked)
        lost = [each for each in asked if each.dispatched_at and each.id not in flow_runs]
        return News(flow_runs, await server.failures(lost) if lost else {})
    except Unreachable:
        return None


def _plan(
    conn: Connection, platform: Platform, due: Sequence[Trigger], news: News | None, at: datetime
) -> list[Step]:
    promised, refused = inbox.promised(conn, at - BEGINNING), dict[str, admission.Refused]()
    steps = []
    for trigger in due:
        step = _known(trigger, news, at) or _allowed(conn, platform, trigger, promised, refused, at)
        if step.kind == "send" and not _promised(trigger, at):
            promised[trigger.domain] = promised.get(trigger.domain, 0) + 1
        if step.kind == "send" and news:
            step = Step(trigger, "send", _lost(trigger, news))
        steps.append(step)
    return steps


def _known(trigger: Trigger, news: News | None, at: datetime) -> Step | None:
    """What to do that no guardrail has a say in."""
    if trigger.give_up_at and trigger.give_up_at <= at:
        return Step(
            trigger, "refuse", f"its run could not start in time: {trigger.reason or 'no worker took it'}"
        )
    if news is None and trigger.dispatched_at:
        return Step(trigger, "put_off", "Prefect can't be reached")
    run = news.flow_runs.get(trigger.id) if news else None
    if run and run.state in ("CANCELLED", "CANCELLING"):
        return Step(trigger, "fail", f"its flow run {run.name} was cancelled in Prefect")
    if run and trigger.dispatched_at and run.state not in _ENDED:
        waits = run.state == "SCHEDULED"
        if waits or at < trigger.dispatched_at + BEGINNING:
            return Step(trigger, "put_off", f"its flow run {run.name} is {run.state_name} in Prefect")
    return None


def _allowed(
    conn: Connection,
    platform: Platform,
    trigger: Trigger,
    promised: Mapping[str, int],
    refused: dict[str, admission.Refused],
    at: datetime,
) -> Step:
    """Whether guardrails let it start. What they say of a domain holds for the rest of the round."""
    fresh = trigger.started_at is None
    if fresh and trigger.domain in refused:
        return _deferred(trigger, refused[trigger.domain])
    others = dict(promised)
    if _promised(trigger, at):
        others[trigger.domain] = max(0, others.get(trigger.domain, 0) - 1)
    try:
        admission.look(conn, platform.config, trigger, at, others)
    except admission.Refused as error:
        if fresh:
            refused[trigger.domain] = error
        return _deferred(trigger, error)
    return Step(trigger, "send")


def _deferred(trigger: Trigger, refused: admission.Refused) -> Step:
    return Step(trigger, "defer", str(refused), refused.guardrail)


def _promised(trigger: Trigger, at: datetime) -> bool:
    """Whether its run counts as started."""
    return trigger.dispatched_at is not None and trigger.dispatched_at > at - BEGINNING


def _lost(trigger: Trigger, news: News) -> str:
    """Why an event is sent again; empty for the first one."""
    if not trigger.dispatched_at:
        return ""
    run = news.flow_runs.get(trigger.id)
    if run:
        return f"its flow run {run.name} was {run.state_name} and did not begin; started again"
    why = news.failures.get(trigger.id) or "Prefect has no flow run for it; is the domain deployed?"
    return f"no run was started: {why}"


def _carry_out(conn: Connection, platform: Platform, steps: Sequence[Step], at: datetime) -> list[Trigger]:
    """Records the steps; the triggers whose event is now this process's to send."""
    inbox.serialise(conn)
    sent = []
    for step in steps:
        trigger, config = step.trigger, platform.config
        if step.kind == "send":
            give_up = trigger.give_up_at or at + config.platform.retry_for
            if inbox.send(conn, trigger, at, _look_again(trigger, at), give_up, step.reason):
                sent.append(trigger)
        elif step.kind == "defer":
            admission.defer(conn, config, trigger, step.reason, at, step.guardrail)
        elif step.kind == "put_off":
            inbox.put_off(conn, trigger, step.reason, at + LOOK_AGAIN)
        elif step.kind == "fail":
            _fail(conn, platform, trigger, step.reason, at)
        elif inbox.refuse(conn, trigger.id, step.reason, at):
            notices.refused(conn, config, inbox.get(conn, trigger.id), step.reason)
    return sent


def _look_again(trigger: Trigger, at: datetime) -> datetime:
    """Later each time that nothing came of it."""
    again: timedelta = LOOK_AGAIN * min(2**trigger.dispatches, 10)
    return at + again


def _take_back(
    conn: Connection, platform: Platform, sent: Sequence[Trigger], reason: str, at: datetime
) -> None:
    inbox.serialise(conn)
    for trigger in sent:
        now = inbox.get(conn, trigger.id)
        admission.defer(conn, platform.config, now, reason, at)


def _recover(conn: Connection, platform: Platform, at: datetime) -> None:
    inbox.serialise(conn)
    for trigger in inbox.cut_off(conn, at):
        if trigger.attempts >= MOST_ATTEMPTS:
            _fail(conn, platform, trigger, f"its process died {trigger.attempts} times", at)
        else:
            inbox.give_back(conn, trigger, "its process died; it goes on by itself")


def _fail(conn: Connection, platform: Platform, trigger: Trigger, reason: str, at: datetime) -> None:
    if inbox.give_up(conn, trigger, reason, at):
        notices.ended(conn, platform.config, inbox.get(conn, trigger.id))
