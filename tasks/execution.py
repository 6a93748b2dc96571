"""One execution of a skill, from its row in the record to its outcome."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import Any

from pydantic import BaseModel

from blocks import config
from blocks.model import AnswerLost, ModelError, Request, Turn, Usage, connect, price, take_turn
from tasks import admission, journal, record, spend
from tasks.clock import utc
from tasks.compact import LEGEND
from tasks.domain import Skill, ToolResult
from tasks.loop import Halted, Loop, Result, Setting
from tasks.offline import OfflineTransport
from tasks.platform import Platform
from tasks.progress import tell
from tasks.tools import Toolbox

BYTES_PER_TOKEN = 2.5
"""Low on purpose: a reservation should not fall short of what a turn costs."""
OVERHEAD_TOKENS = 1000
"""What the API adds to a request for tools and the answer's form."""
LEASE = timedelta(minutes=5)
SWITCH_SECONDS = 1.0
"""Between two looks at the domain's kill switch."""
ATTEMPTS = 2
"""So often a turn is taken whose answer gets lost on its way."""


class Execution:
    """Runs a begun execution with its skill's code and settings, and journals what it does.

    Args:
        row: the execution as recorded.
        steps: what it did before a crash.
        toolbox: the domain's tools.
    """

    def __init__(
        self, platform: Platform, row: record.Execution, steps: Sequence[journal.Step], toolbox: Toolbox
    ) -> None:
        self._platform = platform
        self._row = row
        self._toolbox = toolbox
        self._domain = platform.domain(row.domain)
        self._settings = self._domain.skill(row.skill_name)
        self._model = platform.config.models[self._settings.model]
        self._steps = {step.sequence: step for step in steps}
        self._look_again = time.monotonic() + SWITCH_SECONDS

    async def run(self, skill: Skill) -> Result:
        """Runs the skill's loop; what it did before a crash is not done again."""
        row = self._row
        if self._steps:
            tell("skill", f"continues after {len(self._steps)} journaled steps", row.skill_name)
        tools, missing = await self._toolbox.offered(self._settings.tools)
        if missing and not tools:
            return Result("error", None, "; ".join(dict.fromkeys(missing.values())))
        client = connect(OfflineTransport(skill.decide) if self._offline else None)
        try:
            loop = Loop(
                skill,
                self._setting(skill, tools, tuple(missing)),
                self._platform.masker.data(row.input_data),
                lambda request: take_turn(client, request),
                lambda name, arguments: self._toolbox.call_for_model(self._settings, name, arguments),
                self,
            )
            return _without(missing, await loop.run())
        finally:
            await client.close()

    def turn(self, sequence: int) -> Turn | None:
        """The journaled turn at that place."""
        step = self._steps.get(sequence)
        if step is None or step.kind != "model":
            return None
        tokens = {f"{name}_tokens": count for name, count in (step.tokens or {}).items()}
        return Turn(step.output["content"], step.output["stop_reason"], Usage(**tokens))

    def call(self, sequence: int) -> ToolResult | None:
        """The journaled call at that place."""
        step = self._steps.get(sequence)
        if step is None or step.kind != "tool" or step.call is None:
            return None
        return ToolResult(step.call, step.name, step.input or {}, step.status, step.output)

    async def pay(self, sequence: int, request: Request, take: Callable[[], Awaitable[Turn]]) -> Turn:
        """Reserves what the turn may cost, takes it, and settles with its step in one transaction.

        Raises:
            Halted: a budget does not allow it, or the domain was stopped.
        """
        await self._check_switch()
        started_at, started = utc(), time.perf_counter()
        turn, reservation = await self._take(sequence, request, take)
        cost = 0 if self._offline else price(request.model, turn.usage)
        step = journal.Step(
            execution_id=self._row.execution_id,
            sequence=sequence,
            kind="model",
            name="offline" if self._offline else self._settings.model,
            request_digest=_digest(request),
            output={"content": turn.content, "stop_reason": turn.stop_reason},
            summary=turn.stop_reason,
            started_at=started_at,
            seconds=time.perf_counter() - started,
            tokens=_tokens(turn.usage),
            cost_micro=cost,
        )
        await self._platform.database.write(lambda conn: journal.append(conn, step, reservation))
        tell("model", turn.text.split("\n")[0][:200] if turn.tool_uses else "answers", self._row.skill_name)
        return turn

    async def _take(
        self, sequence: int, request: Request, take: Callable[[], Awaitable[Turn]], attempts: int = ATTEMPTS
    ) -> tuple[Turn, spend.Reservation | None]:
        """Takes the turn; again if its answer was lost, which stays counted at what was reserved.

        A request that the API refused cost nothing: its reservation is freed.
        """
        reservation = await self._reserve(sequence, request)
        try:
            return await take(), reservation
        except AnswerLost:
            if attempts == 1:
                raise
        except ModelError as error:
            if reservation and not error.billed:
                await self._platform.database.write(lambda conn: spend.settle(conn, reservation, 0))
            raise
        tell("model", "the answer was lost on its way; asks again", self._row.skill_name)
        return await self._take(sequence, request, take, attempts - 1)

    async def keep(self, sequence: int, result: ToolResult, seconds: float) -> None:
        """Journals a call."""
        step = journal.Step(
            execution_id=self._row.execution_id,
            sequence=sequence,
            kind="tool",
            name=result.name,
            call=result.number,
            input=dict(result.arguments),
            output=result.content,
            summary=summarise(result),
            status=result.status,
            started_at=utc() - timedelta(seconds=seconds),
            seconds=seconds,
        )
        await self._platform.database.write(lambda conn: journal.append(conn, step))
        tell("tool", f"{_shown(result)} → {step.summary}", self._row.skill_name)

    @property
    def _offline(self) -> bool:
        return self._row.provider == "offline"

    def _setting(self, skill: Skill, tools: Sequence[Mapping[str, Any]], missing: Sequence[str]) -> Setting:
        return Setting(
            model=self._model.id,
            max_tokens=self._model.max_tokens,
            prompt=f"{self._platform.prompt(self._row.domain, self._row.skill_name)}\n{LEGEND}",
            tools=tools,
            missing=missing,
            limits=self._settings.limits,
            schema=_schema(skill.draft),
        )

    async def _check_switch(self) -> None:
        """Looks at the domain's kill switch, once a second at most."""
        now = time.monotonic()
        if now < self._look_again:
            return
        self._look_again = now + SWITCH_SECONDS
        domain = self._row.domain
        try:
            await self._platform.database.read(lambda conn: admission.check_switch(conn, domain))
        except admission.Refused as error:
            raise Halted(str(error), error.guardrail) from error

    async def _reserve(self, sequence: int, request: Request) -> spend.Reservation | None:
        if self._offline:
            return None
        micro = price(request.model, _most(request))
        budgets = spend.Budgets(
            domain_day=self._domain.guardrails.budget,
            platform_day=self._platform.config.platform.guardrails.budget,
            run=self._domain.guardrails.run_budget,
            execution=self._settings.limits.budget,
        )
        row = self._row
        try:
            return await self._platform.database.write(
                lambda conn: spend.reserve(
                    conn,
                    domain=row.domain,
                    execution_id=row.execution_id,
                    sequence=sequence,
                    micro=micro,
                    budgets=budgets,
                    lease=LEASE,
                )
            )
        except spend.BudgetExceeded as error:
            of_run = error.which in ("run", "execution")
            raise Halted(str(error), None if of_run else "budget") from error


def _without(missing: Mapping[str, str], result: Result) -> Result:
    """The result of a skill some of whose tools could not be reached: partial at most, and saying so."""
    if not missing:
        return result
    reasons = [result.reason, f"without {', '.join(missing)}", *dict.fromkeys(missing.values())]
    outcome = "partial" if result.outcome == "success" else result.outcome
    return replace(result, outcome=outcome, reason="; ".join(filter(None, reasons)))


def allowed_actions(domain: config.Domain) -> list[dict[str, Any]]:
    """The domain's actions as skills see them."""
    return [
        {"name": action.name, "description": action.description, "dangerous": action.dangerous}
        for action in domain.actions
    ]


def summarise(result: ToolResult) -> str:
    """A tool result in a line: how much it found, without lists that are empty beside others; or its text."""
    if result.status == "error" or not isinstance(result.content, dict):
        return str(result.content).replace("\n", " ")[:200]
    lists = {name: value for name, value in result.content.items() if isinstance(value, list)}
    counts = [_counted(name, value) for name, value in lists.items() if value or not any(lists.values())]
    scalars = [f"{name} {value}" for name, value in result.content.items() if isinstance(value, int | float)]
    note = str(result.content.get("note") or "")
    return "; ".join([*(counts or scalars)[:4], *([_start(note, 120)] if note else [])])


def _counted(name: str, found: list[Any]) -> str:
    """How many; of runbooks and incidents also the first, of services their errors."""
    count, first = f"{len(found)} {name}", found[0] if found and isinstance(found[0], dict) else {}
    if "runbook" in first:
        return f"{count}, first {_start(str(first['runbook']), 80)}"
    if isinstance(first.get("similarity"), float) and "id" in first:
        return f"{count}, first #{first['id']} ({first['similarity']:.0%} similar)"
    errors = [each.get("errors") if isinstance(each, dict) else None for each in found]
    known = [each for each in errors if isinstance(each, int)]
    return f"{count}, {sum(known):,} errors" if known else count


def _start(text: str, length: int) -> str:
    return text if len(text) <= length else text[:length] + "…"


def _shown(result: ToolResult) -> str:
    arguments = ", ".join(f"{name}={str(value)[:60]}" for name, value in result.arguments.items() if value)
    return f"{result.name}({arguments})"


@cache
def _schema(draft: type[BaseModel]) -> Mapping[str, Any]:
    from anthropic import transform_schema

    schema: dict[str, Any] = transform_schema(draft)
    return schema


def _most(request: Request) -> Usage:
    """What a turn may use at most. All of it may have to be written to the cache, which costs most."""
    parts = _bytes(request.tools) + _bytes(request.messages) + _bytes(request.schema)
    sent = len(request.system.encode()) + parts
    return Usage(
        output_tokens=request.max_tokens,
        cache_write_tokens=int(sent / BYTES_PER_TOKEN) + OVERHEAD_TOKENS,
    )


def _bytes(part: Any) -> int:
    return len(json.dumps(part, default=str, ensure_ascii=False).encode())


def _digest(request: Request) -> str:
    text = json.dumps([request.model, request.system, request.messages], default=str, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _tokens(usage: Usage) -> dict[str, int]:
    return {
        "input": usage.input_tokens,
        "output": usage.output_tokens,
        "cache_read": usage.cache_read_tokens,
        "cache_write": usage.cache_write_tokens,
    }
