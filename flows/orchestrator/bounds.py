"""Messages of unknown origin, made fit to be kept: bounded in length and depth, without control signs."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from blocks.printable import printable
from tasks.domain import Incoming

LONGEST_KEY = 250
LONGEST_FIELD = 1_000
LONGEST_TEXT = 20_000
MOST_FIELDS = 200
MOST_ITEMS = 20_000
"""Items of one list or object."""
DEEPEST = 32


@dataclass
class _Cut:
    """What had to be left out."""

    places: list[str] = field(default_factory=list)


def bounded(message: Incoming) -> tuple[Incoming, str]:
    """The message as it is kept, and what was cut from it for people; empty if nothing was."""
    cut = _Cut()
    fields = {
        _line(name, 200, cut, "a field's name"): _line(value, LONGEST_FIELD, cut, f"field {name[:50]}")
        for name, value in list(message.fields.items())[:MOST_FIELDS]
    }
    if len(message.fields) > MOST_FIELDS:
        cut.places.append(f"fields beyond {MOST_FIELDS}")
    kept = replace(
        message,
        dedupe_key=key(message.dedupe_key),
        fields=fields,
        text=_line(message.text, LONGEST_TEXT, cut, "the text"),
        data=_value(message.data, cut, "data", 0),
        group=key(message.group),
        asked_by=_line(message.asked_by, 200, cut, "asked_by"),
        origin=_origin(message.origin, cut),
    )
    return kept, "; ".join(cut.places[:5])


def key(text: str) -> str:
    """A key that a database can index: itself where it is short and plain, else its start and its digest."""
    if len(text) <= LONGEST_KEY and text.isprintable():
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{_clean(text[: LONGEST_KEY - 65])}#{digest}"


def _origin(origin: Mapping[str, str] | None, cut: _Cut) -> dict[str, str] | None:
    if origin is None:
        return None
    return {name: _line(value, LONGEST_FIELD, cut, f"origin.{name}") for name, value in origin.items()}


def _value(value: Any, cut: _Cut, place: str, depth: int) -> Any:
    if isinstance(value, str):
        return _line(value, LONGEST_TEXT, cut, place)
    if not isinstance(value, Mapping | list | tuple):
        return None if isinstance(value, float) and not math.isfinite(value) else value
    if depth >= DEEPEST:
        cut.places.append(f"{place[:50]} is deeper than {DEEPEST} levels")
        return None
    if len(value) > MOST_ITEMS:
        cut.places.append(f"{place[:50]} has more than {MOST_ITEMS} items")
    if isinstance(value, Mapping):
        return {
            _line(str(name), 200, cut, place): _value(item, cut, str(name), depth + 1)
            for name, item in list(value.items())[:MOST_ITEMS]
        }
    return [_value(item, cut, place, depth + 1) for item in value[:MOST_ITEMS]]


def _line(text: str, longest: int, cut: _Cut, place: str) -> str:
    if len(text) > longest:
        cut.places.append(f"{_clean(place[:50])} is longer than {longest} characters")
        text = text[: longest - 1] + "…"
    return _clean(text)


def _clean(text: str) -> str:
    return text if text.isprintable() else printable(text.replace("\r\n", "\n"))
