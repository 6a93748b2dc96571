"""One run of a domain: claimed, admitted, manager, routing, specialists, recorded."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal

import httpx
from pydantic import BaseModel
from sqlalchemy import Connection

from blocks.database import DatabaseError
from tasks import admission, handoffs, inbox, notices, record, report
from tasks.admission import Refused
from tasks.beside import beside
from tasks.domain import Domain
from tasks.execution import allowed_actions
from tasks.handoffs import Handoff
from tasks.lease import claimant
from tasks.outage import outage
from tasks.platform import Platform, opened
from tasks.progress import tell
from tasks.routing import Route, Router
from tasks.skill import SkillFailed, equipped, is_over
from tasks.together import together

HEARTBEAT_SECONDS = 15.0
_LEFT_OUT = ("context", "headline")
"""What a pattern of the previous run does not hand on to the manager."""

SkillFlow = Callable[[str], Awaitable[None]]
"""Performs the execution of that id: a skill's Prefect flow, or `tasks.skill.perform`."""


class RunFailed(Exception):
    """The run could not do its work. The message says why; what was done is recorded."""


class Run:
    """An admitted run.

    Args:
        trigger: what started it.
    """

    def __init__(self, platform: Platform, code: Domain, trigger: inbox.Trigger) -> None:
        self._platform = platform
        self._code = code
        self._settings = platform.domain(code.name)
        self._router = Router(self._settings, code)
        self._room = asyncio.Semaphore(self._settings.guardrails.max_parallel_specialists)
        self.trigger = trigger
        self.refusal = ""
        """Why a guardrail said no; the run then does nothing."""

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.trigger.run_id

    async def manage(self, flow: SkillFlow) -> record.Execution:
        """Runs the manager.

        Raises:
            RunFailed: it gave no output.
        """
        name = self._settings.manager.name

        def begin(conn: Connection) -> record.Execution:
            context = {**(self.trigger.payload or {}), "previous": self._previous(conn, name)}
            return self._begin(conn, name, "manager", context)

        row = await self._platform.database.write(begin)
        await self._perform(flow, row)
        ended = await self._get(row.execution_id)
        if ended.output_data is None:
            raise RunFailed(ended.error or f"{name} gave no output")
        return ended

    async def pursue(self, manager: record.Execution, flows: Mapping[str, SkillFlow]) -> None:
        """Routes each of the manager's patterns, and runs the specialists that the rules lead to."""
        patterns = manager.output_data["patterns"]
        routed = [(pattern, self._router.after_manager(pattern)) for pattern in patterns]
        nowhere = [
            self._handoff(manager, Route(handoffs.NONE, ""), self._key(pattern), {})
            for pattern, routes in routed
            if not routes
        ]
        if nowhere:
            await self._platform.database.write(lambda conn: [handoffs.add(conn, each) for each in nowhere])
        await together(
            self._pursue_pattern(manager, pattern, routes, flows) for pattern, routes in routed if routes
        )

    async def _pursue_pattern(
        self,
        manager: record.Execution,
        pattern: Mapping[str, Any],
        routes: Sequence[Route],
        flows: Mapping[str, SkillFlow],
    ) -> None:
        key = self._key(pattern)
        visited: set[str] = set()
        context = {**pattern["context"], "actions": allowed_actions(self._settings)}
        found = {"manager": dict(pattern)}
        await together(self._follow(manager, route, key, context, found, visited, flows) for route in routes)

    async def _follow(
        self,
        sender: record.Execution,
        route: Route,
        key: str,
        context: Mapping[str, Any],
        found: Mapping[str, Mapping[str, Any]],
        visited: set[str],
        flows: Mapping[str, SkillFlow],
    ) -> None:
        """Runs one specialist on one pattern, then those that follow from what it found."""
        if route.to_skill in visited:
            return
        visited.add(route.to_skill)
        handoff = self._handoff(sender, route, key, context)

        def hand_over(conn: Connection) -> record.Execution:
            handoffs.add(conn, handoff)
            begun = self._begin(conn, route.to_skill, "specialist", context, handoff)
            handoffs.lead(conn, handoff, begun.execution_id)
            return begun

        row = await self._platform.database.write(hand_over)
        tell("route", f"{key}: {sender.skill_name} → {route.to_skill} ({route.when})")
        async with self._room:
            await self._perform(flows[route.to_skill], row)
        ended = await self._get(row.execution_id)
        if ended.outcome != "success" or not isinstance(ended.output_data, dict):
            return
        known = {**found, route.to_skill: ended.output_data}
        further = {**context, self._router.bound(route.to_skill): ended.output_data}
        await together(
            self._follow(ended, onward, key, further, known, visited, flows)
            for onward in self._router.after(route.to_skill, known)
        )

    def _key(self, pattern: Mapping[str, Any]) -> str:
        return str(pattern[self._code.pattern_key])

    def _handoff(
        self, sender: record.Execution, route: Route, key: str, context: Mapping[str, Any]
    ) -> Handoff:
        return Handoff(
            run_id=self.run_id,
            from_execution_id=sender.execution_id,
            from_skill=sender.skill_name,
            to_skill=route.to_skill,
            rule=route.when,
            pattern_key=key,
            context=context,
        )

    def _begin(
        self,
        conn: Connection,
        skill: str,
        role: record.Role,
        context: Mapping[str, Any],
        handoff: Handoff | None = None,
    ) -> record.Execution:
        provider = self._platform.provider
        return record.begin(
            conn,
            run_id=self.run_id,
            domain=self._code.name,
            skill=skill,
            role=role,
            model="offline" if provider == "offline" else self._settings.skill(skill).model,
            provider=provider,
            input_data=context,
            handoff=handoff.key if handoff else "",
            from_skill=handoff.from_skill if handoff else None,
            rule=handoff.rule if handoff else None,
            pattern_key=handoff.pattern_key if handoff else None,
        )

    async def _perform(self, flow: SkillFlow, row: record.Execution) -> None:
        """Performs an execution, unless the domain was stopped; how it ended stands in the record."""
        try:
            await self._platform.database.read(lambda conn: admission.check_switch(conn, row.domain))
        except Refused as error:
            refused = error
            await self._platform.database.write(lambda conn: _refuse(conn, row, refused))
            return
        try:
            await flow(row.execution_id)
        except SkillFailed:
            return
        except httpx.HTTPError as error:
            over = await self._platform.database.read(lambda conn: is_over(conn, row.execution_id))
            if not over or not outage(error):
                raise
            tell("run", f"its work is done, and Prefect does not know: {outage(error)}", row.skill_name)

    async def _get(self, execution_id: str) -> record.Execution:
        return await self._platform.database.read(lambda conn: record.get(conn, execution_id))

    def _previous(self, conn: Connection, manager: str) -> dict[str, Any] | None:
        """What the last run of the manager reported."""
        last = record.latest(conn, manager, not_run=self.run_id)
        if last is None or last.output_data is None:
            return None
        patterns = [
            {name: value for name, value in pattern.items() if name not in _LEFT_OUT}
            for pattern in last.output_data["patterns"]
        ]
        return {"run_id": last.run_id, "at": last.started_at.isoformat(), "patterns": patterns}


@asynccontextmanager
async def admitted(
    code: Domain, given: BaseModel, trigger_id: str = "", flow_run_id: str = ""
) -> AsyncIterator[Run]:
    """A run of the domain, claimed and admitted; its end is recorded when the block ends.

    A run from outside, or of a flow run, that is interrupted waits to be started again. So does one that
    can't reach Prefect or can't use the platform database, a few times.

    Args:
        given: the run's input; a stored trigger's payload replaces it.
        trigger_id: the trigger to work on; a new one is stored if empty.
        flow_run_id: the flow run that works on it. The same one without a trigger id is the same trigger,
            also if that failed.

    Raises:
        Taken: another process works on the trigger, or it is over.
        UnknownTrigger: the domain has no such trigger.
    """
    async with opened() as platform, beside(), equipped(platform, code.name):
        owner = claimant()
        trigger = await platform.database.write(
            lambda conn: _trigger(conn, code.name, given, trigger_id, flow_run_id or owner)
        )
        run = Run(platform, code, trigger)
        try:
            await platform.database.write(lambda conn: _admit(conn, platform, trigger, owner, flow_run_id))
        except Refused as error:
            refused, run.refusal = error, str(error)
            await platform.database.write(
                lambda conn: admission.turn_away(conn, platform.config, trigger, owner, refused)
            )
            tell("run", f"run {run.run_id} refused: {run.refusal}")
            yield run
            return
        tell("run", f"run {run.run_id} of {code.name}, model {platform.provider}")
        async with _heartbeat(platform, trigger, owner):
            try:
                yield run
            except BaseException as error:
                await _end(platform, trigger, owner, error)
                raise
            await _end(platform, trigger, owner, None)


def _trigger(conn: Connection, domain: str, given: BaseModel, id: str, key: str) -> inbox.Trigger:
    if id:
        stored = inbox.get(conn, id)
        if stored.domain != domain:
            raise inbox.UnknownTrigger(f"trigger {id} is one of {stored.domain}, not of {domain}")
        return stored
    trigger = inbox.accept(conn, "run", domain, f"flow run {key}", given.model_dump(mode="json"))
    if trigger.state == "failed" and inbox.reopen(conn, trigger.id):
        return inbox.get(conn, trigger.id)
    return trigger


def _refuse(conn: Connection, row: record.Execution, refused: Refused) -> None:
    """An execution that does not begin, since its domain was stopped."""
    if record.finish(conn, row.execution_id, "refused", error=str(refused)):
        admission.count(conn, row.domain, refused.guardrail)


def _admit(
    conn: Connection, platform: Platform, trigger: inbox.Trigger, owner: str, flow_run_id: str
) -> None:
    admission.admit(conn, platform.config, trigger, owner)
    if flow_run_id:
        inbox.attach(conn, trigger.id, flow_run_id)
    if trigger.started_at is None:
        notices.working(conn, platform.config, inbox.get(conn, trigger.id))


@asynccontextmanager
async def _heartbeat(platform: Platform, trigger: inbox.Trigger, owner: str) -> AsyncIterator[None]:
    """Holds the claim while the block runs; cancels the block once another process has taken it over."""
    block = asyncio.current_task()

    async def beat() -> None:
        held = True
        while held:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            with contextlib.suppress(DatabaseError):
                held = await platform.database.write(
                    lambda conn: inbox.extend(conn, trigger.id, owner, admission.LEASE)
                )
        tell("run", f"run {trigger.run_id} was taken over by another process, and stops here")
        if block:
            block.cancel()

    beating = asyncio.create_task(beat())
    try:
        yield
    finally:
        beating.cancel()


async def _end(platform: Platform, trigger: inbox.Trigger, owner: str, error: BaseException | None) -> None:
    def end(conn: Connection) -> None:
        if why := _cut_off(error, inbox.get(conn, trigger.id)):
            inbox.finish(conn, trigger.id, owner, "deferred", reason=f"{why}; it goes on by itself")
            return
        result, reason = report.result(conn, trigger.run_id)
        if error and result != "refused":
            result, reason = "failed", _reason(error)
        state: Literal["done", "failed"] = "failed" if result == "failed" else "done"
        if inbox.finish(conn, trigger.id, owner, state, result=result, reason=reason):
            notices.ended(conn, platform.config, inbox.get(conn, trigger.id))

    await platform.database.write(end)


def _cut_off(error: BaseException | None, trigger: inbox.Trigger) -> str:
    """Why a run has to stop that is to go on later; empty if it is over, or nobody starts it again."""
    if not trigger.goes_on:
        return ""
    if _interrupted(error):
        return "interrupted"
    return _outage(error) if trigger.attempts < inbox.MOST_ATTEMPTS else ""


def _outage(error: BaseException | None) -> str:
    """How Prefect or the platform database failed the run; empty if it is no such error."""
    return str(error) if isinstance(error, DatabaseError) else outage(error)


def _interrupted(error: BaseException | None) -> bool:
    """Whether the process was told to stop, as against a fault of the run."""
    return error is not None and not isinstance(error, Exception)


def _reason(error: BaseException) -> str:
    if isinstance(error, RunFailed):
        return str(error)
    if _interrupted(error):
        return "interrupted"
    return outage(error) or f"{type(error).__name__}: {error}"[:500]
