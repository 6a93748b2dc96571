"""What proposed fixes need besides people: reminders, an end, and a flow run that waits or carries out.

One round does what is due. Any number of processes may run rounds: a reminder is sent by one of them, and
flow runs have keys by which the server knows them, so that a fix has one.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import Connection

from blocks.config import Config, DomainGuardrails
from tasks import approvals, decision, fix, notices
from tasks.approvals import Standing
from tasks.clock import utc
from tasks.platform import Platform

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun

STALE = timedelta(minutes=5)
"""A run that should wait, and has been starting or running for so long, has lost its process."""
FORM_TIME = timedelta(minutes=1)
"""A suspended run without a form for so long died between the two: nobody could resume it."""
COOL_DOWN = timedelta(seconds=10)
"""How long after a run broke down a new one starts; twice as long each time."""
LONGEST_COOL_DOWN = timedelta(minutes=30)
TOO_LATE = timedelta(seconds=10)
"""A fix that expires so soon gets no new run."""
_ATTEMPTS = 100
_AT_ONCE = 200

_log = logging.getLogger(__name__)
_formed: set[str] = set()
"""Suspended runs that were seen to have their form."""


async def look_after(platform: Platform) -> None:
    """One round over all fixes that wait or are approved."""
    await _call_people(platform)
    await _tend(platform)


async def wake(platform: Platform) -> None:
    """Resumes every suspended run whose fix was decided elsewhere; best effort, and tried again next time."""
    asleep = await platform.database.read(approvals.asleep)
    if asleep:
        await _with_server(platform, asleep, ())


async def give_run(platform: Platform, asked: Standing) -> None:
    """Starts the flow run that waits for a decision, if its skill has a deployment and none waits yet."""
    await _with_server(platform, (), (asked,))


async def _call_people(platform: Platform) -> None:
    """Expires, reminds and escalates."""
    at = utc()
    over, due = await platform.database.read(
        lambda conn: (approvals.overdue(conn, at), _due(conn, platform.config, at))
    )
    if over:
        await decision.expire(platform)
    if due:
        await platform.database.write(lambda conn: _tell(conn, platform.config, due, at))


def _due(conn: Connection, settings: Config, at: datetime) -> list[Standing]:
    """Those that people are to be reminded of, or that are to be escalated."""
    found: list[Standing] = []
    for name, domain in settings.domains.items():
        remind, escalate = domain.guardrails.remind_after, domain.guardrails.escalate_after
        found += approvals.uncalled(
            conn,
            name,
            at,
            reminded_before=at - remind if remind is not None else None,
            created_before=at - escalate if escalate is not None else None,
        )
    return found


def _tell(conn: Connection, settings: Config, due: Sequence[Standing], at: datetime) -> None:
    for asked in due:
        guardrails = settings.domains[asked.domain].guardrails
        if _escalates(guardrails, asked, at) and approvals.escalate(conn, asked, at):
            notices.escalated(conn, settings, approvals.get(conn, asked.id))
        if _reminds(guardrails, asked, at) and approvals.remind(conn, asked, at):
            notices.reminded(conn, settings, approvals.get(conn, asked.id))


def _reminds(guardrails: DomainGuardrails, asked: Standing, at: datetime) -> bool:
    last = asked.reminded_at or asked.created_at
    return guardrails.remind_after is not None and last + guardrails.remind_after <= at


def _escalates(guardrails: DomainGuardrails, asked: Standing, at: datetime) -> bool:
    after = guardrails.escalate_after
    return after is not None and asked.escalated_at is None and asked.created_at + after <= at


async def _tend(platform: Platform) -> None:
    """Gives each waiting or abandoned fix its flow run, and wakes those that wait in vain."""

    def read(conn: Connection) -> tuple[list[Standing], list[Standing]]:
        at = utc()
        needy = [each for each in approvals.standing(conn, "waiting", "approved") if _needs_run(each, at)]
        return approvals.asleep(conn), needy

    asleep, needy = await platform.database.read(read)
    if asleep or needy:
        await _with_server(platform, asleep, needy)


def _needs_run(approval: Standing, at: datetime) -> bool:
    if approval.status == "waiting":
        return approval.expires_at > at + TOO_LATE
    return fix.abandoned(approval, at)


async def _with_server(platform: Platform, asleep: Sequence[Standing], needy: Sequence[Standing]) -> None:
    """Does what needs the Prefect server, if one is configured and answers."""
    from prefect.settings import get_current_settings

    if not get_current_settings().api.url:
        return
    import httpx
    from prefect.client.orchestration import get_client

    try:
        async with get_client() as client:
            runs = await _runs(client, [*asleep, *needy])
            for step, of in ((_wake, asleep), (_give, needy)):
                for approval in of:
                    with contextlib.suppress(httpx.HTTPStatusError):
                        await step(client, platform, approval, runs)
    except httpx.HTTPError as error:
        _log.info("the Prefect server can't be asked about approvals: %s", error)


async def waits_elsewhere(platform: Platform, asked: Standing, flow_run_id: str) -> bool:
    """Whether another flow run than this one waits for the same decision."""
    if asked.flow_run_id in (None, flow_run_id):
        return False
    from prefect.client.orchestration import get_client

    async with get_client() as client:
        run = (await _runs(client, [asked])).get(str(asked.flow_run_id))
        return run is not None and await _goes_on(client, run)


async def _runs(client: PrefectClient, of: Sequence[Standing]) -> dict[str, FlowRun]:
    """The flow runs that these fixes name, by id; without those that the server does not know."""
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    ids = [UUID(each.flow_run_id) for each in of if each.flow_run_id]
    found: dict[str, FlowRun] = {}
    for start in range(0, len(ids), _AT_ONCE):
        chosen = FlowRunFilter(id=FlowRunFilterId(any_=ids[start : start + _AT_ONCE]))
        runs = await client.read_flow_runs(flow_run_filter=chosen, limit=_AT_ONCE)
        found.update({str(run.id): run for run in runs})
    return found


async def _wake(
    client: PrefectClient, platform: Platform, approval: Standing, runs: Mapping[str, FlowRun]
) -> None:
    """Resumes a suspended run; forgets one that is over. One that another server knows is left alone."""
    run = runs.get(str(approval.flow_run_id))
    if run is None or run.state is None:
        return
    if not await _goes_on(client, run):
        await platform.database.write(lambda conn: approvals.detach(conn, approval.id, str(run.id)))
    elif run.state.is_paused():
        await client.resume_flow_run(run.id, run_input=_verdict(approval))


def _verdict(approval: Standing) -> dict[str, str]:
    """An input that the form takes; the woken run looks at the record, not at this."""
    approved = approval.status in ("approved", "done", "failed", "stopped")
    name = (approval.decided_by or "nobody")[: decision.LONGEST_NAME]
    return {"decision": "approve" if approved else "reject", "name": name}


async def _give(
    client: PrefectClient, platform: Platform, approval: Standing, runs: Mapping[str, FlowRun]
) -> None:
    """Makes sure that a fix has a flow run that goes on, unless its skill has no deployment."""
    from prefect.exceptions import ObjectNotFound

    known = runs.get(str(approval.flow_run_id))
    if known and await _goes_on(client, known):
        return
    try:
        deployment = await client.read_deployment_by_name(f"{approval.skill}/{approval.skill}")
    except ObjectNotFound:
        _log.debug("no deployment %s; `aspora approve %s` decides", approval.skill, approval.id)
        return
    first = _number(known) if known else 0
    for number in range(first, first + _ATTEMPTS):
        run = await client.create_flow_run_from_deployment(
            deployment.id,
            parameters={"execution_id": approval.execution_id},
            idempotency_key=_key(approval, number),
        )
        if await _goes_on(client, run):
            await _attach(platform, approval, str(run.id))
            return
        if run.state and run.state.timestamp + min(COOL_DOWN * 2**number, LONGEST_COOL_DOWN) > utc():
            return


async def _goes_on(client: PrefectClient, run: FlowRun) -> bool:
    """Whether a run waits, or will soon. One that has lost its process is declared crashed."""
    from prefect.client.schemas.objects import State, StateType

    state = run.state
    if state is None or state.is_scheduled():
        return True
    if state.is_final():
        return False
    patience = FORM_TIME if state.is_paused() else STALE
    if state.timestamp + patience > utc() or (state.is_paused() and await _has_form(client, run)):
        return True
    message = "it should wait for a decision, and its process is gone"
    crashed: State[Any] = State(type=StateType.CRASHED, name="Crashed", message=message)
    await client.set_flow_run_state(run.id, crashed, force=True)
    return False


async def _has_form(client: PrefectClient, run: FlowRun) -> bool:
    """Whether a suspended run can be resumed: its form is saved right after its state."""
    keys = run.state.state_details.run_input_keyset if run.state else None
    name = f"{run.id} {keys['schema']}" if keys else ""
    if keys and name not in _formed:
        found = await client.filter_flow_run_input(run.id, keys["schema"], 1, set())
        if not found:
            return False
        _formed.add(name)
    return True


async def _attach(platform: Platform, approval: Standing, flow_run_id: str) -> None:
    """Notes the run, unless the fix has gone on meanwhile."""

    def write(conn: Connection) -> None:
        now = approvals.get(conn, approval.id)
        if now.status == approval.status and now.flow_run_id == approval.flow_run_id:
            approvals.attach(conn, approval.id, flow_run_id)

    await platform.database.write(write)


def _key(approval: Standing, number: int) -> str:
    """By which the server knows a fix's run, the first one and those that follow it."""
    return f"{approval.id} {number}" if number else approval.id


def _number(run: FlowRun) -> int:
    """The number of a run by its key; 0 if somebody else started it."""
    last = (run.idempotency_key or "").rpartition(" ")[2]
    return int(last) if last.isdigit() else 0
