"""What differs between two contents of the config, key by key."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Any

from blocks.config_file import Keys, key_text
from tasks.config_content import short

_ABSENT: Any = object()


@dataclass(frozen=True)
class Difference:
    """A key whose value differs.

    Attributes:
        domain: the domain that it concerns; empty if all.
        key: such as `domains.ecm.routing[0].when`.
        old: as text; None if the key is new.
        new: None if the key is gone.
    """

    domain: str
    key: str
    old: str | None
    new: str | None


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[Difference]:
    """What differs, in the order of the config. A section that moved within its list is gone and new."""
    return [
        Difference(_domain(keys, was, now, old, new), key_text(keys), _text(was), _text(now))
        for keys, was, now in _differ((), old, new)
    ]


def _differ(keys: Keys, old: Any, new: Any) -> Iterator[tuple[Keys, Any, Any]]:
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for name in dict.fromkeys([*old, *new]):
            yield from _differ((*keys, name), old.get(name, _ABSENT), new.get(name, _ABSENT))
    elif isinstance(old, list) and isinstance(new, list) and _sections([*old, *new]):
        yield from _items(keys, old, new)
    else:
        yield keys, old, new


def _sections(items: list[Any]) -> bool:
    return all(isinstance(item, dict) for item in items)


def _items(keys: Keys, old: list[Any], new: list[Any]) -> Iterator[tuple[Keys, Any, Any]]:
    """Lists of sections: what stayed is found again where it is now."""
    were, are = ([json.dumps(item, sort_keys=True) for item in items] for items in (old, new))
    for kind, i1, i2, j1, j2 in SequenceMatcher(None, were, are, autojunk=False).get_opcodes():
        if kind == "equal":
            continue
        for i, j in zip_longest(range(i1, i2), range(j1, j2)):
            was = _ABSENT if i is None else old[i]
            now = _ABSENT if j is None else new[j]
            yield from _differ((*keys, i if j is None else j), was, now)


def _domain(keys: Keys, was: Any, now: Any, old: dict[str, Any], new: dict[str, Any]) -> str:
    first, *others = keys
    if first == "domains" and others:
        return str(others[0])
    if first == "triggers" and others:
        item = next((each for each in (now, was) if isinstance(each, dict)), None)
        if item is None:
            item = new["triggers"][others[0]]
        return str(item.get("domain", ""))
    return ""


def _text(value: Any) -> str | None:
    if value is _ABSENT:
        return None
    return short(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
