"""The one loop that every skill runs through: model turn → tool calls in parallel → … → validated output.

Each turn and each call is journaled, so the loop started again after a crash replays what was done and goes
on from there; at most the turn in flight is repeated, and its reservation stays counted.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ValidationError

from blocks.config import Limits
from blocks.model import ModelError, Request, Turn
from blocks.units import format_duration
from tasks.admission import Guardrail
from tasks.compact import Compact
from tasks.conversation import LAST_TURN, context_message, cut_call, invalid_answer, result_block, user
from tasks.domain import CallTool, Incomplete, Known, Skill, ToolResult, ToolStatus
from tasks.together import together
from tasks.visible import visible

PARALLEL_CALLS = 8
CALLS_PER_TURN = 20
_FENCE = re.compile(r"```(?:json)?\s*(.*)```", re.DOTALL)

Outcome = Literal["success", "partial", "error", "refused"]


class Halted(Exception):
    """A guardrail does not allow the next turn. The message names it.

    Attributes:
        guardrail: which one, as it is counted; None for a limit of the run or the execution itself.
    """

    def __init__(self, reason: str, guardrail: Guardrail | None = None) -> None:
        super().__init__(reason)
        self.guardrail = guardrail


class Journal(Protocol):
    """Where steps are kept, and paid for, under their sequence number within the execution."""

    def turn(self, sequence: int) -> Turn | None:
        """The turn that was taken there before, if any."""

    def call(self, sequence: int) -> ToolResult | None:
        """The call that was made there before, if any."""

    async def pay(self, sequence: int, request: Request, take: Callable[[], Awaitable[Turn]]) -> Turn:
        """Reserves the turn's cost, takes it, and records it together with what it really cost.

        Raises:
            Halted: a guardrail does not allow it.
        """

    async def keep(self, sequence: int, result: ToolResult, seconds: float) -> None:
        """Records a call."""


@dataclass(frozen=True)
class Setting:
    """What a skill runs with."""

    model: str
    max_tokens: int
    prompt: str
    tools: Sequence[Mapping[str, Any]]
    limits: Limits
    schema: Mapping[str, Any]
    missing: Sequence[str] = ()
    """Tools that the skill should have but that can't be reached."""


@dataclass(frozen=True)
class Result:
    """How a skill ended. `output` is None only with outcome error or refused."""

    outcome: Outcome
    output: BaseModel | None
    reason: str = ""
    """Why it is no success, for people."""
    trace: str = ""
    """What the model wrote besides its answer, turn by turn."""
    guardrail: Guardrail | None = None
    """The guardrail that ended it, if one did."""


AskModel = Callable[[Request], Awaitable[Turn]]


class Loop:
    """One execution of a skill.

    Args:
        skill: the domain's code for it.
        setting: model, prompt, tools and limits.
        context: what the skill is handed, measured by the platform.
        ask: takes one model turn.
        call: calls one tool.
        journal: keeps and replays the steps.
    """

    def __init__(
        self,
        skill: Skill,
        setting: Setting,
        context: Mapping[str, Any],
        ask: AskModel,
        call: CallTool,
        journal: Journal,
    ) -> None:
        self._skill = skill
        self._setting = setting
        self._context = context
        self._ask = ask
        self._call = call
        self._journal = journal
        self._messages: list[dict[str, Any]] = [context_message(context, setting.missing)]
        self._results: list[ToolResult] = []
        self._compact = Compact()
        self._trace: list[str] = []
        self._sequence = 0
        self._turns = 0
        self._tokens = 0
        self._reasked = False

    async def run(self) -> Result:
        """Runs the skill to its end; never raises for what a model, a tool or a limit does."""
        limit = asyncio.timeout(self._setting.limits.wall_time.total_seconds())
        try:
            async with limit:
                return await self._converse()
        except TimeoutError:
            if not limit.expired():
                raise
            wall_time = format_duration(self._setting.limits.wall_time)
            return self._partial(f"the time limit of {wall_time} was reached")
        except Halted as ended:
            reason, first = str(ended), self._turns <= 1
            result = self._end("refused", None, reason) if first else self._partial(reason)
            return replace(result, guardrail=ended.guardrail)
        except ModelError as error:
            return self._end("error", None, str(error))

    async def _converse(self) -> Result:
        limit = ""
        while True:
            if not limit and (limit := self._limit_reached()):
                self._add(user(LAST_TURN))
            turn = await self._turn(tools_allowed=not limit)
            if turn.stop_reason == "refusal":
                return self._end("error", None, "the model declined to answer")
            if turn.tool_uses and turn.stop_reason != "max_tokens":
                if limit:
                    return self._partial(limit)
                await self._tools(turn)
            else:
                result = self._answer(turn, limit)
                if result:
                    return result

    async def _turn(self, tools_allowed: bool) -> Turn:
        self._sequence += 1
        self._turns += 1
        sequence = self._sequence
        turn = self._journal.turn(sequence)
        if turn is None:
            request = Request(
                model=self._setting.model,
                max_tokens=self._setting.max_tokens,
                system=self._setting.prompt,
                tools=[dict(tool) for tool in self._setting.tools],
                messages=self._messages,
                schema=dict(self._setting.schema),
                tools_allowed=tools_allowed,
            )
            turn = await visible(
                f"model turn {self._turns}",
                lambda: self._journal.pay(sequence, request, lambda: self._ask(request)),
            )
        self._tokens += turn.usage.total
        self._messages.append({"role": "assistant", "content": _kept(turn) or [_nothing()]})
        if turn.text and (turn.tool_uses or len(_texts(turn)) > 1):
            self._trace.append(turn.text if turn.tool_uses else "\n".join(_texts(turn)[:-1]))
        return turn

    async def _tools(self, turn: Turn) -> None:
        uses = turn.tool_uses
        room = asyncio.Semaphore(PARALLEL_CALLS)
        first = len(self._results) + 1
        results = await together(self._tool(use, first + place, room) for place, use in enumerate(uses))
        self._sequence += len(uses)
        self._results += results
        blocks = [
            result_block(use["id"], result, self._compact) for use, result in zip(uses, results, strict=True)
        ]
        self._messages.append({"role": "user", "content": blocks})

    async def _tool(self, use: Mapping[str, Any], number: int, room: asyncio.Semaphore) -> ToolResult:
        sequence = self._sequence + number - len(self._results)
        done = self._journal.call(sequence)
        if done:
            return done
        name, given = str(use["name"]), use["input"] if isinstance(use["input"], dict) else {}
        arguments = self._compact.written_out(given)
        async with room:
            started = time.perf_counter()
            status: ToolStatus = "error"
            content: Any = f"at most {CALLS_PER_TURN} calls in one turn"
            if number - len(self._results) <= CALLS_PER_TURN:
                status, content = await visible(f"tool {name[:80]}", lambda: self._call(name, arguments))
            result = ToolResult(number, name[:200], arguments, status, content)
            await self._journal.keep(sequence, result, time.perf_counter() - started)
        return result

    def _answer(self, turn: Turn, limit: str) -> Result | None:
        """The result if the turn's text is a valid answer; None to ask once more."""
        try:
            draft = self._skill.draft.model_validate(self._compact.written_out(_json(turn)))
        except (ValidationError, ValueError, RecursionError) as error:
            if limit:
                return self._partial(f"{limit}, and the last answer was not valid")
            if self._reasked:
                return self._partial("the model gave no valid answer, though asked again", outcome="error")
            self._reasked = True
            self._add(_ask_again(turn, error))
            return None
        return self._complete("partial" if limit else "success", draft, limit)

    def _limit_reached(self) -> str:
        limits = self._setting.limits
        if self._turns >= limits.turns - 1:
            return f"the limit of {limits.turns} turns was reached"
        if self._tokens >= limits.tokens * 0.8:
            return f"the limit of {limits.tokens} tokens was reached"
        return ""

    def _partial(self, reason: str, outcome: Outcome = "partial") -> Result:
        return self._complete(outcome, None, reason)

    def _complete(self, outcome: Outcome, draft: BaseModel | None, reason: str) -> Result:
        """The skill's own code joins the facts; if it can't, or fails on them, that is the outcome."""
        try:
            return self._end(outcome, self._skill.complete(draft, self._known), reason)
        except Incomplete as error:
            fault = str(error)
        except Exception as error:  # the outcome has to be recorded whatever a domain's code does
            fault = f"the skill's code failed on the tools' results: {error!r}"[:500]
        return self._end("error", None, f"{reason}; {fault}" if reason else fault)

    def _end(self, outcome: Outcome, output: BaseModel | None, reason: str) -> Result:
        return Result(outcome, output, reason, "\n".join(self._trace))

    @property
    def _known(self) -> Known:
        return Known(self._context, tuple(self._results))

    def _add(self, message: dict[str, Any]) -> None:
        """Appends a user message; to the last one if that is a user's too, since roles must alternate."""
        if self._messages[-1]["role"] == "user":
            self._messages[-1]["content"] += message["content"]
        else:
            self._messages.append(message)


def _nothing() -> dict[str, str]:
    return {"type": "text", "text": "(no answer)"}


def _kept(turn: Turn) -> list[dict[str, Any]]:
    """The turn's content for the conversation; cut-off calls and empty texts are left out."""
    cut = turn.stop_reason == "max_tokens"
    return [
        block
        for block in turn.content
        if not (cut and block["type"] == "tool_use") and (block["type"] != "text" or block["text"].strip())
    ]


def _texts(turn: Turn) -> list[str]:
    return [block["text"] for block in turn.content if block["type"] == "text"]


def _json(turn: Turn) -> Any:
    """The last text block as JSON; a fence around it is taken off."""
    text = (_texts(turn) or [""])[-1].strip()
    fenced = _FENCE.search(text)
    return json.loads(fenced[1] if fenced and not text.startswith("{") else text)


def _ask_again(turn: Turn, error: Exception) -> dict[str, Any]:
    cut = turn.stop_reason == "max_tokens"
    return cut_call() if cut and turn.tool_uses else invalid_answer(_summary(error), cut)


def _summary(error: Exception) -> str:
    if isinstance(error, ValidationError):
        faults = [
            f"{'.'.join(map(str, fault['loc'])) or 'answer'}: {fault['msg']}" for fault in error.errors()[:5]
        ]
        return "Faults: " + "; ".join(faults)
    return f"It is not JSON: {str(error)[:200]}"
