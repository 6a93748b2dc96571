"""What a domain's code tells the platform: its skills, their models, and how they think offline."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic import BaseModel

from blocks.config import Config

ToolStatus = Literal["ok", "no_data", "error"]


@dataclass(frozen=True)
class ToolCall:
    """A tool that a skill wants called, with its arguments."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ToolResult:
    """What came back. `number` counts the execution's calls from 1; evidence refers to it."""

    number: int
    name: str
    arguments: Mapping[str, Any]
    status: ToolStatus
    content: Any
    """Structured content (a dict) on success; the error's text otherwise."""


class Incomplete(Exception):
    """A skill can't give a truthful output: its facts could not be read. The message says why."""


@dataclass(frozen=True)
class Known:
    """All that a skill knows so far: the context it was handed and the tool results, in call order."""

    context: Mapping[str, Any]
    results: Sequence[ToolResult] = ()

    def of(self, tool: str) -> list[ToolResult]:
        """The successful results of one tool, in call order."""
        return [result for result in self.results if result.name == tool and result.status == "ok"]

    def facts(self, tool: str, failing: str) -> Mapping[str, Any]:
        """What a tool said last, also that it found nothing.

        Args:
            failing: what is told if it said nothing, such as `the orders could not be read`.

        Raises:
            Incomplete: it was not called, or it failed each time.
        """
        calls = [result for result in self.results if result.name == tool]
        read = [result.content for result in calls if result.status != "error"]
        if read and isinstance(read[-1], Mapping):
            return read[-1]
        raise Incomplete(f"{failing}: {calls[-1].content if calls else f'{tool} was not called'}")


@dataclass(frozen=True)
class Ask:
    """The skill wants these tools called, in parallel."""

    calls: Sequence[ToolCall]
    thought: str = ""


@dataclass(frozen=True)
class Answer:
    """The skill is done. `draft` is an instance of the skill's draft model."""

    draft: BaseModel
    thought: str = ""


Decide = Callable[[Known], Ask | Answer]
"""An offline skill: a pure function from what is known so far to the next tool calls or the answer."""

Complete = Callable[[BaseModel | None, Known], BaseModel]
"""Joins facts from tool results to the draft (None when a limit left none): the skill's output."""


@dataclass(frozen=True)
class Incoming:
    """A message from outside that may start a run. All of it is untrusted, apart from who sent it.

    Attributes:
        dedupe_key: the same message again has the same key.
        fields: what triggers match and group by: an alert's labels, a chat message's `mention`, a webhook's
            `path`.
        text: what a person wrote, or an alert's summary.
        data: the whole message: an alert, a webhook's body.
        group: how the source itself groups it, such as Alertmanager's group key; empty if it doesn't.
        asked_by: who asks, where the source has proven it.
        origin: where the answer goes, such as a Slack thread.
    """

    source: Literal["prometheus", "slack", "whatsapp", "webhook"]
    dedupe_key: str
    fields: Mapping[str, str]
    text: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    group: str = ""
    asked_by: str = ""
    origin: Mapping[str, str] | None = None


Read = Callable[[Incoming, Config], BaseModel]
"""Makes a run's input of a message; ValueError, worded for who sent it, if that can't be done."""


CallTool = Callable[[str, Mapping[str, Any]], Awaitable[tuple[ToolStatus, Any]]]
"""Calls one of the domain's tools; its full result, unmasked."""


@dataclass(frozen=True)
class Target:
    """One object that an action touches.

    Attributes:
        key: the object in this very episode; no two proposals act on one key in the same way.
        fields: what the action's URL and body may name, such as `order_id`.
        amount: money it stands for, in US dollars.
    """

    key: str
    fields: Mapping[str, str]
    amount: float = 0.0


class Fixer(Protocol):
    """How a skill's fixes find the objects that they touch."""

    noun: str
    """What the objects are called, in the plural."""
    fields: tuple[str, ...]
    """Fields of an object that an action's URL and body may name."""

    async def targets(
        self, context: Mapping[str, Any], fix: Mapping[str, Any], call: CallTool
    ) -> list[Target]:
        """The objects that need the fix at this moment, read from data, in order of urgency.

        Raises:
            Incomplete: they can't be read.
        """


@dataclass(frozen=True)
class Skill:
    """One skill of a domain.

    Attributes:
        draft: what the model writes.
        output: what the skill returns: the draft, with its facts joined from data by `complete`.
        decide: how it thinks when no model is configured.
        fixer: for a skill whose output has `fixes`, each naming an `action`: what they touch.
    """

    draft: type[BaseModel]
    output: type[BaseModel]
    decide: Decide
    complete: Complete
    fixer: Fixer | None = None


@dataclass(frozen=True)
class Domain:
    """A domain's code, found through the config by module path as `<module>.DOMAIN`.

    Attributes:
        input: what a run takes.
        pattern: one item of the manager's `patterns`; routing rules see it as `manager`.
        pattern_key: the pattern's field that names its subject, such as `stuck_at`.
        skills: by the names in the config.
        flow: entrypoint of the domain's Prefect flow, `module:name`.
        read: makes a run's input of a message. If None, a webhook's body is the input, and other messages
            give the input's fields by name.
        draw: draws a sample world from a seed into the state directory; the past incidents it has.
        worlds: files of the sample world, within the state directory; the first one tells seed and time.
        sampled: whether a config points at the sample world; by its warehouse if None.
        companies: URL scheme (`sample://`) → builds the transport that answers it, from the state directory.
    """

    name: str
    input: type[BaseModel]
    pattern: type[BaseModel]
    pattern_key: str
    skills: Mapping[str, Skill]
    flow: str
    read: Read | None = None
    draw: Callable[[int, Path], Sequence[Mapping[str, Any]]] | None = None
    worlds: Sequence[str] = ("sample/world.json", "warehouse.db")
    sampled: Callable[[Config], bool] | None = None
    companies: Mapping[str, Callable[[Path], Any]] = field(default_factory=dict)
