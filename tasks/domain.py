"""What a domain's code tells the platform: its skills, what they take and return, and how they think offline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel

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


@dataclass(frozen=True)
class Known:
    """All that a skill knows so far: the context it was handed and the tool results, in call order."""

    context: Mapping[str, Any]
    results: Sequence[ToolResult] = ()

    def of(self, tool: str) -> list[ToolResult]:
        """The successful results of one tool, in call order."""
        return [result for result in self.results if result.name == tool and result.status == "ok"]


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
"""Joins facts from tool results to the model's draft (None when a limit left no draft): the skill's output."""


@dataclass(frozen=True)
class Skill:
    """One skill of a domain.

    Attributes:
        draft: what the model writes.
        output: what the skill returns: the draft, with its facts joined from data by `complete`.
        decide: how it thinks when no model is configured.
        prompt: file name under the domain's `prompts/`, without `.md`; the skill's name if empty.
    """

    draft: type[BaseModel]
    output: type[BaseModel]
    decide: Decide
    complete: Complete
    prompt: str = ""


@dataclass(frozen=True)
class Domain:
    """A domain's code, found through the config by module path as `<module>.DOMAIN`.

    Attributes:
        input: what a run takes.
        pattern: one item of the manager's `patterns`; routing rules see it as `manager`.
        skills: by the names in the config.
        flow: entrypoint of the domain's Prefect flow, `module:name`.
    """

    name: str
    input: type[BaseModel]
    pattern: type[BaseModel]
    pattern_key: str
    skills: Mapping[str, Skill]
    flow: str
