"""The keys of `aspora.config.yaml` for people: a page of tables, made from the config's own types."""

from __future__ import annotations

import types
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from blocks.config import Config, Section
from blocks.units import Rate, format_dollars, format_duration, parse_budget

_PLAIN = {str: "text", int: "number", float: "number", bool: "true or false"}
_BUDGET = "budget such as `$5/day`"
_QUANTITIES = {
    timedelta: "duration such as `30s`, `15m`, `4h`, `2d`",
    Rate: "rate such as `2/s`, `120/hour`",
    datetime: "moment such as `2026-12-01 22:00`, UTC",
}


def reference() -> str:
    """The page, in markdown."""
    return "\n\n".join(["# Keys of `aspora.config.yaml`", _INTRODUCTION, *_sections(Config, "")]) + "\n"


_INTRODUCTION = (
    "Made by `aspora check --keys`. Unknown keys are refused; `aspora check` names file, line and remedy of "
    "whatever is wrong. **Bold** keys must be written."
)


def _sections(model: type[BaseModel], path: str) -> Iterator[str]:
    """A section's table, then those of the sections in it, depth first."""
    yield _section(model, path)
    for name, field in model.model_fields.items():
        for inner, place in sections_in(field.annotation, f"{path}.{name}".lstrip(".")):
            yield from _sections(inner, place)


def _section(model: type[BaseModel], path: str) -> str:
    title = f"## `{path}`" if path else "## Top level"
    rows = [_row(name, field) for name, field in model.model_fields.items()]
    meaning = " ".join((model.__doc__ or "").split("\n\n")[0].split())
    return "\n".join(
        [title, "", meaning, "", "| key | takes | default | meaning |", "| --- | --- | --- | --- |", *rows]
    )


def _row(name: str, field: FieldInfo) -> str:
    key = f"**`{name}`**" if field.is_required() else f"`{name}`"
    return f"| {key} | {_takes(field)} | {_default(field)} | {meaning(name, field)} |".replace("|  |", "| |")


def meaning(name: str, field: FieldInfo) -> str:
    """What a key means: its own words, or those of the sections that it holds."""
    inner = next((model for model, _ in sections_in(field.annotation, name)), None)
    words = field.description or (inner.__doc__ if inner else "") or ""
    return " ".join(words.split("\n\n")[0].split())


def _takes(field: FieldInfo) -> str:
    return _BUDGET if _is_budget(field.metadata) else _named(field.annotation)


def _is_budget(marks: Iterable[Any]) -> bool:
    return any(getattr(mark, "func", None) is parse_budget for mark in marks)


def _named(annotation: Any) -> str:
    """A type for people."""
    kind, arguments = get_origin(annotation), get_args(annotation)
    if kind is Annotated:
        return _BUDGET if _is_budget(arguments[1:]) else _named(arguments[0])
    if kind in (Union, types.UnionType):
        return " or ".join(_named(each) for each in arguments if each is not type(None))
    if kind is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if kind in (list, dict):
        nouns = _plural(_named(arguments[-1]))
        return f"list of {nouns}" if kind is list else f"mapping of names to {nouns}"
    if _is_section(annotation):
        return "section"
    return _PLAIN.get(annotation) or _QUANTITIES.get(annotation) or "any"


def _plural(noun: str) -> str:
    return {"text": "texts", "section": "sections", "number": "numbers"}.get(noun, noun)


def _default(field: FieldInfo) -> str:
    if field.is_required() or isinstance(field.default, Section):
        return ""
    value = field.default
    if value in (None, "", [], {}):
        return ""
    if isinstance(value, timedelta):
        return f"`{format_duration(value)}`"
    if _is_budget(field.metadata):
        return f"`{format_dollars(value).removesuffix('.00')}/day`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def sections_in(annotation: Any, path: str) -> Iterator[tuple[type[BaseModel], str]]:
    """The sections that a type contains, and where they stand."""
    kind, arguments = get_origin(annotation), get_args(annotation)
    if kind in (Annotated, Union, types.UnionType):
        for each in arguments:
            yield from sections_in(each, path)
    elif kind is list:
        yield from sections_in(arguments[0], f"{path}[]")
    elif kind is dict:
        yield from sections_in(arguments[1], f"{path}.NAME")
    elif _is_section(annotation):
        yield annotation, path


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
