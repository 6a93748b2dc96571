"""Cuts a tool result to a size without breaking its structure, and tells what was cut."""

from __future__ import annotations

import json
from typing import Any

_STEPS = ((4000, 200), (2000, 100), (1000, 50), (500, 20), (250, 10), (120, 5), (60, 2), (30, 1))
"""Pairs of longest string (characters) and longest list (items), tried in turn."""


def shrink(content: Any, limit: int) -> Any:
    """`content` as JSON of at most `limit` bytes: long strings and lists are cut, a dict gains `cut`.

    Args:
        content: JSON-like data.
        limit: bytes of its JSON text.
    """
    for longest_text, longest_list in ((limit, limit), *_STEPS):
        cuts: list[str] = []
        smaller = _cut(content, longest_text, longest_list, "", cuts)
        if _size(smaller) + _size(cuts[:5]) + 20 <= limit:
            return _tell(smaller, cuts)
    return {"cut": [f"the whole result: it does not fit into {limit} bytes"]}


def _size(content: Any) -> int:
    return len(json.dumps(content, default=str, ensure_ascii=False).encode())


def _cut(content: Any, longest_text: int, longest_list: int, path: str, cuts: list[str]) -> Any:
    if isinstance(content, str):
        if len(content) <= longest_text:
            return content
        cuts.append(f"{path or 'text'}: {len(content)} characters to {longest_text}")
        return content[:longest_text] + "…"
    if isinstance(content, list):
        if len(content) > longest_list:
            cuts.append(f"{path or 'list'}: {len(content)} items to {longest_list}")
        return [_cut(item, longest_text, longest_list, f"{path}[]", cuts) for item in content[:longest_list]]
    if isinstance(content, dict):
        return {
            str(key)[:200]: _cut(value, longest_text, longest_list, f"{path}.{key}".lstrip("."), cuts)
            for key, value in list(content.items())[:longest_list]
        }
    return content


def _tell(content: Any, cuts: list[str]) -> Any:
    if not cuts:
        return content
    told = list(dict.fromkeys(cuts))[:5]
    return {**content, "cut": told} if isinstance(content, dict) else {"result": content, "cut": told}
