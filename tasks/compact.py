"""Says tool results in fewer characters, and reads them back: a model pays for each of them in each turn.

Alike objects are said as a table, and a long text that an earlier result has already as its place there.
Nothing is lost: what is unpacked equals what was packed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

MARK = "↑"
"""Begins what is said in another way; a text or a name that begins with it itself is given one more."""
LEGEND = (
    f'Tool results are JSON. Alike objects are written as {{"{MARK}columns": [names], "rows": [values]}}. '
    f"A whole string such as `{MARK}call 1: hits[0].fix` stands for the text at that place, in an earlier "
    "result or further up in the same one, where objects are counted as if there were no tables; "
    f"`{MARK}{MARK}` begins a text or a name that itself begins with `{MARK}`; elsewhere it means nothing. "
    "In calls and answers write texts out."
)
_COLUMNS, _ROWS = f"{MARK}columns", "rows"
_LONG = 48
"""Characters from which on a text may be worth its place."""
_FRAME = 26
"""Characters of a table besides its names and values."""


class Compact:
    """One conversation's way to say its tool results, in the order of their calls."""

    def __init__(self) -> None:
        self._place: dict[str, str] = {}
        self._text: dict[str, str] = {}

    def pack(self, content: Any, call: int) -> Any:
        """JSON-like data in fewer characters; `call` is the number of the tool call."""
        return self._pack(content, f"call {call}:")

    def unpack(self, packed: Any, call: int) -> Any:
        """What `pack` was given."""
        return self._unpack(packed, f"call {call}:")

    def written_out(self, data: Any, levels: int = 40) -> Any:
        """What a model says, with the texts of the places that it names, to a depth of so many levels."""
        if isinstance(data, str):
            return self._text.get(data.removeprefix(MARK), data) if data.startswith(MARK) else data
        if isinstance(data, Mapping) and levels:
            return {name: self.written_out(value, levels - 1) for name, value in data.items()}
        if isinstance(data, list) and levels:
            return [self.written_out(item, levels - 1) for item in data]
        return data

    def _pack(self, content: Any, place: str) -> Any:
        if isinstance(content, str):
            known = self._place.get(content)
            self._tell(content, place)
            return f"{MARK}{known}" if known and len(known) < len(content) else _escaped(content)
        if isinstance(content, Mapping):
            return {_escaped(name): self._pack(value, _in(place, name)) for name, value in content.items()}
        if isinstance(content, list | tuple):
            items = [self._pack(item, f"{place}[{number}]") for number, item in enumerate(content)]
            return _table(items) if _alike(items) else items
        return content

    def _unpack(self, packed: Any, place: str) -> Any:
        if isinstance(packed, str):
            text = self._text.get(packed.removeprefix(MARK)) if packed.startswith(MARK) else None
            text = _plain(packed) if text is None else text
            self._tell(text, place)
            return text
        if isinstance(packed, Mapping):
            if _COLUMNS in packed:
                return self._unpack(_objects(packed), place)
            plain = {_plain(name): value for name, value in packed.items()}
            return {name: self._unpack(value, _in(place, name)) for name, value in plain.items()}
        if isinstance(packed, list):
            return [self._unpack(item, f"{place}[{number}]") for number, item in enumerate(packed)]
        return packed

    def _tell(self, text: str, place: str) -> None:
        """From now on this place stands for this text."""
        if len(text) >= _LONG and text not in self._place and place not in self._text:
            self._place[text] = place
            self._text[place] = text


def _in(place: str, name: str) -> str:
    return f"{place}{' ' if place.endswith(':') else '.'}{name}"


def _escaped(text: str) -> str:
    return MARK + text if text.startswith(MARK) else text


def _plain(text: str) -> str:
    return text.removeprefix(MARK)


def _alike(items: Sequence[Any]) -> bool:
    """Whether they are objects with the same names in the same order, and shorter as a table."""
    if len(items) < 2 or not all(isinstance(item, dict) and item and _COLUMNS not in item for item in items):
        return False
    names = sum(len(name) + len('"":') for name in items[0])
    return names * (len(items) - 1) > _FRAME and len({tuple(item) for item in items}) == 1


def _table(items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {_COLUMNS: list(items[0]), _ROWS: [list(item.values()) for item in items]}


def _objects(table: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [dict(zip(table[_COLUMNS], row, strict=True)) for row in table[_ROWS]]
