"""One execution of a skill, from its row in the record to its outcome."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any

from blocks import config
from blocks.mcp import McpUnavailable
from blocks.model import ModelError, Request, Turn, Usage, connect, price, take_turn
from tasks import journal, record, spend
from tasks.clock import utc
from tasks.domain import Skill, ToolResult
from tasks.loop import BudgetEnded, Loop, Result, Setting
from tasks.offline import OfflineTransport
from tasks.platform import Platform
from tasks.progress import tell
from tasks.tools import Toolbox

BYTES_PER_TOKEN = 2.5
"""Low on purpose: a reservation should not fall short of what a turn costs."""
LEASE = timedelta(minutes=5)


class Execution:
    """Runs a begun execution with its skill's code and settings, and journals what it does.

    Args:
        row: the execution as recorded.
        toolbox: the domain's tools.
    """

    def __init__(self, platform: Platform, row: record.Execution, toolbox: Toolbox) -> None:
        self._platform = platform
        self._row = row
        self._toolbox = toolbox
        self._domain = platform.domain(row.domain)
        self._settings = self._domain.skill(row.skill_name)
        self._model = platform.config.models[self._settings.model]
        self._steps: dict[int, journal.Step] = {}

    async def run(self, skill: Skill) -> Result:
        """Runs the skill's loop; what it did before a crash is not done again."""
        row = self._row
        steps = await self._platform.database.read(lambda conn: journal.steps(conn, row.execution_id))
        self._steps = {step.sequence: step for step in steps}
        if steps:
            tell("skill", f"continues after {len(steps)} journaled steps", row.skill_name)
        try:
            setting = await self._setting(skill)
        except McpUnavailable as error:
            return Result("error", None, str(error))
        client = connect(OfflineTransport(skill.decide) if self._offline else None)
        try:
            loop = Loop(
                skill,
                setting,
                self._platform.masker.data(row.input_data),
                lambda request: take_turn(client, request),
                lambda name, arguments: self._toolbox.call_for_model(self._settings, name, arguments),
                self,
            )
            return await loop.run()
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
            BudgetEnded: a budget does not allow it.
        """
        reservation = await self._reserve(sequence, request)
        started_at, started = utc(), time.perf_counter()
        turn = await self._take(take, reservation)
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

    async def _take(self, take: Callable[[], Awaitable[Turn]], reservation: spend.Reservation | None) -> Turn:
        """Takes the turn; a request that the API refused cost nothing, and its reservation is freed."""
        try:
            return await take()
        except ModelError as error:
            if reservation and not error.billed:
                await self._platform.database.write(lambda conn: spend.settle(conn, reservation, 0))
            raise

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

    async def _setting(self, skill: Skill) -> Setting:
        return Setting(
            model=self._model.id,
            max_tokens=self._model.max_tokens,
            prompt=self._platform.prompt(self._row.domain, self._row.skill_name),
            tools=await self._toolbox.definitions(self._settings.tools),
            limits=self._settings.limits,
            schema=_schema(skill),
        )

    async def _reserve(self, sequence: int, request: Request) -> spend.Reservation | None:
        if self._offline:
            return None
        most = Usage(input_tokens=_estimate(request), output_tokens=request.max_tokens)
        micro = price(request.model, most)
        budgets = spend.Budgets(
            domain_day=self._domain.guardrails.budget,
            platform_day=self._platform.config.platform.guardrails.budget,
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
            raise BudgetEnded(str(error)) from error


def allowed_actions(domain: config.Domain) -> list[dict[str, Any]]:
    """The domain's actions as skills see them."""
    return [
        {"name": action.name, "description": action.description, "dangerous": action.dangerous}
        for action in domain.actions
    ]


def summarise(result: ToolResult) -> str:
    """A tool result in a line: its lists' lengths, or its text."""
    if result.status == "error" or not isinstance(result.content, dict):
        return str(result.content).replace("\n", " ")[:200]
    counts = [f"{len(value)} {name}" for name, value in result.content.items() if isinstance(value, list)]
    scalars = [f"{name} {value}" for name, value in result.content.items() if isinstance(value, int | float)]
    note = result.content.get("note") or ""
    return "; ".join([*(counts or scalars)[:4], *([str(note)[:120]] if note else [])])


def _shown(result: ToolResult) -> str:
    arguments = ", ".join(f"{name}={str(value)[:60]}" for name, value in result.arguments.items() if value)
    return f"{result.name}({arguments})"


def _schema(skill: Skill) -> Mapping[str, Any]:
    from anthropic import transform_schema

    schema: dict[str, Any] = transform_schema(skill.draft)
    return schema


def _estimate(request: Request) -> int:
    size = len(request.system) + sum(
        len(json.dumps(part, default=str, ensure_ascii=False).encode())
        for part in (request.tools, request.messages, request.schema)
    )
    return int(size / BYTES_PER_TOKEN)


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
