"""Evidence checked against the tool calls that it says it rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

from tasks.domain import ToolResult


class Item(Protocol):
    """A finding, as a skill states it.

    Attributes:
        tool_call: the number of the call that it rests on, from 1.
        source: what kind of source that is: `logs`, `metrics`.
        quote: words that stand in the call's result; empty if no single ones prove it.
    """

    @property
    def tool_call(self) -> int: ...
    @property
    def source(self) -> str: ...
    @property
    def quote(self) -> str: ...


T = TypeVar("T", bound=Item)


def held(items: Sequence[T], results: Sequence[ToolResult], source_of: Mapping[str, str]) -> list[T]:
    """The items whose call exists, found something, is of the claimed source, and holds the quoted words.

    Args:
        source_of: tool → the source that it is.
    """
    return [item for item in items if _holds(item, results, source_of)]


def _holds(item: Item, results: Sequence[ToolResult], source_of: Mapping[str, str]) -> bool:
    result = next((result for result in results if result.number == item.tool_call), None)
    if result is None or result.status != "ok" or source_of.get(result.name, item.source) != item.source:
        return False
    return _plain(item.quote) in _plain(str(result.content))


def _plain(text: str) -> str:
    return " ".join(text.lower().replace("\\n", " ").split())
