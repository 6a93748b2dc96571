"""Makes a tool result smaller: without digits that say nothing, and cut to a size, which is told."""

from __future__ import annotations

import json
import math
import re
from typing import Any

_STEPS = ((4000, 200), (2000, 100), (1000, 50), (500, 20), (250, 10), (120, 5), (60, 2), (30, 1))
"""Pairs of longest string (characters) and longest list or dict (items), tried in turn."""
_DEPTH = 40
"""Nesting beyond this is cut."""
_KEY = 200
_TOLD = 5
"""So many cuts are told."""
_TOLD_CHARS = 120
_FRACTION = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.\d+(Z|[+-]\d\d:\d\d)")


def lean(content: Any) -> Any:
    """`content` with times in whole seconds: a model pays for each digit."""
    if isinstance(content, dict):
        return {key: lean(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [lean(item) for item in content]
    if isinstance(content, str) and (time := _FRACTION.fullmatch(content)):
        return "".join(time.groups())
    return content


def shrink(content: Any, limit: int) -> Any:
    """`content` as JSON of at most `limit` bytes: long strings, lists and dicts are cut, and `cut` tells it.

    Never walks through much more than `limit` values, however large the content. What JSON text can't carry
    (NaN, infinities, lone surrogates) becomes text or a question mark.

    Args:
        content: JSON-like data; of a dict, a list `cut` from an earlier cut is kept and added to.
        limit: bytes of its JSON text, 150 or more.
    """
    for longest_text, longest_list in ((limit, limit), *_STEPS):
        cutter = _Cutter(longest_text, longest_list, limit)
        try:
            smaller = _tell(cutter.cut(content, "", 0), cutter.cuts)
        except _TooLarge:
            continue
        if _size(smaller) <= limit:
            return smaller
    return {"cut": [f"the whole result: it does not fit into {limit} bytes"]}


class _TooLarge(Exception):
    """What was walked through so far is beyond the limit already."""


class _Cutter:
    """One pass over the content. `cuts` is what it left out."""

    def __init__(self, longest_text: int, longest_list: int, limit: int) -> None:
        self._longest_text = longest_text
        self._longest_list = longest_list
        self._left = limit
        self.cuts: list[str] = []

    def cut(self, content: Any, path: str, depth: int) -> Any:
        """The content with what is too long cut off."""
        self._spend(1)
        if isinstance(content, str):
            return self._text(content, path)
        if isinstance(content, list | tuple | dict) and depth >= _DEPTH:
            return self._text("…", path, f"{path}: nested deeper than {_DEPTH}")
        if isinstance(content, list | tuple):
            self._count(len(content), path, "list")
            return [self.cut(item, f"{path}[]", depth + 1) for item in content[: self._longest_list]]
        if isinstance(content, dict):
            return self._dict(content, path, depth)
        return content if _plain(content) else self._text(_shown(content), path)

    def _dict(self, content: dict[Any, Any], path: str, depth: int) -> dict[str, Any]:
        self._count(len(content), path, "dict")
        smaller: dict[str, Any] = {}
        for _, (key, value) in zip(range(self._longest_list), content.items(), strict=False):
            name = _clean(str(key)[:_KEY])
            self._spend(len(name))
            smaller[name] = self.cut(value, f"{path}.{name}".lstrip("."), depth + 1)
        return smaller

    def _text(self, text: str, path: str, cut: str = "") -> str:
        if len(text) > self._longest_text:
            cut = f"{path or 'text'}: {len(text)} characters to {self._longest_text}"
            text = text[: self._longest_text] + "…"
        if cut:
            self.cuts.append(cut)
        self._spend(len(text))
        return _clean(text)

    def _count(self, items: int, path: str, kind: str) -> None:
        if items > self._longest_list:
            self.cuts.append(f"{path or kind}: {items} items to {self._longest_list}")

    def _spend(self, characters: int) -> None:
        self._left -= characters
        if self._left < 0:
            raise _TooLarge


def _plain(content: Any) -> bool:
    """True for what JSON text carries as it is."""
    if isinstance(content, float):
        return math.isfinite(content)
    if isinstance(content, int):
        return content.bit_length() <= 64
    return content is None


def _shown(content: Any) -> str:
    if isinstance(content, int):
        return f"an integer of {content.bit_length()} bits"
    return str(content)


def _clean(text: str) -> str:
    return text if text.isascii() else text.encode(errors="replace").decode()


def _size(content: Any) -> int:
    return len(json.dumps(content, default=str, ensure_ascii=False).encode())


def _tell(content: Any, cuts: list[str]) -> Any:
    if not cuts:
        return content
    before = content.get("cut") if isinstance(content, dict) else None
    told = list(dict.fromkeys(_short(cut) for cut in cuts))[:_TOLD]
    if isinstance(before, list):
        told = [*before[:_TOLD], *told]
    return {**content, "cut": told} if isinstance(content, dict) else {"result": content, "cut": told}


def _short(cut: str) -> str:
    """A cut's text, its path from the end that matters."""
    return cut if len(cut) <= _TOLD_CHARS else "…" + cut[-_TOLD_CHARS:]
