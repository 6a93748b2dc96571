"""What a field of a pydantic model can hold: its kind, its choices, its range."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo

Kind = Literal["bool", "number", "text", "choice", "time", "list", "record", "unknown"]

KIND_WORDS: Mapping[Kind, str] = {
    "bool": "true or false",
    "number": "a number",
    "text": "text",
    "choice": "one of a fixed set",
    "time": "a time",
    "list": "a list",
    "record": "a record",
    "unknown": "something",
}


@dataclass(frozen=True)
class FieldType:
    """What may stand in a field.

    Attributes:
        choices: the only values, for enums and literals.
        low, high: the range of a number; `low_open` and `high_open` leave the bound itself out.
        model: the model of a record.
    """

    kind: Kind
    optional: bool = False
    whole: bool = False
    choices: tuple[Any, ...] | None = None
    low: float | None = None
    high: float | None = None
    low_open: bool = False
    high_open: bool = False
    model: type[BaseModel] | None = None

    @property
    def words(self) -> str:
        """The type for people: `a number from 0`, `one of high, medium, low`."""
        if self.choices:
            return "one of " + ", ".join(map(str, self.choices))
        words = "a whole number" if self.whole else KIND_WORDS[self.kind]
        if self.low is not None:
            words += f" {'above' if self.low_open else 'from'} {self.low:g}"
        if self.high is not None:
            words += f" {'below' if self.high_open else 'up to'} {self.high:g}"
        return words


def field_names(model: type[BaseModel]) -> tuple[str, ...]:
    """The names under which a model dumps its fields, computed ones included."""
    return (*model.model_fields, *model.model_computed_fields)


def field_at(model: type[BaseModel], parts: tuple[str, ...]) -> FieldType | None:
    """The type of a field below a model; `unknown` kind where types stop telling, None if there is none."""
    found = FieldType("record", model=model)
    for part in parts:
        if found.model is None:
            return FieldType("unknown") if found.kind == "unknown" else None
        info = found.model.model_fields.get(part)
        computed = found.model.model_computed_fields.get(part)
        if not info and computed:
            inner = _typed(computed.return_type, [])
        elif info:
            inner = _typed(info.annotation, info.metadata)
        else:
            open_model = found.model.model_config.get("extra") == "allow"
            return FieldType("unknown") if open_model else None
        found = inner
    return found


def example(held: FieldType, depth: int = 5) -> Any:
    """A value of the type, plain as rules see it; null where the type doesn't tell."""
    if held.kind == "record" and held.model and depth:
        found = {name: field_at(held.model, (name,)) for name in field_names(held.model)}
        return {name: example(inner, depth - 1) for name, inner in found.items() if inner}
    examples: Mapping[str, Any] = {
        "bool": True,
        "number": 1 if held.whole else 1.5,
        "text": "text",
        "choice": held.choices[0] if held.choices else None,
        "time": datetime(2026, 1, 31, tzinfo=UTC),
        "list": [],
    }
    return examples.get(held.kind)


def _typed(annotation: Any, metadata: list[Any]) -> FieldType:
    optional = False
    while True:
        if get_origin(annotation) is Annotated:
            annotation, *more = get_args(annotation)
            metadata = [*metadata, *more]
        elif get_origin(annotation) in (Union, types.UnionType):
            parts = [part for part in get_args(annotation) if part is not type(None)]
            optional = optional or len(parts) < len(get_args(annotation))
            if len(parts) != 1:
                return FieldType("unknown", optional)
            annotation = parts[0]
        else:
            return _single(annotation, metadata, optional)


_KINDS: tuple[tuple[type, Kind], ...] = (
    (bool, "bool"),
    (int, "number"),
    (float, "number"),
    (str, "text"),
    (datetime, "time"),
    (list, "list"),
    (tuple, "list"),
    (set, "list"),
    (frozenset, "list"),
)


def _single(annotation: Any, metadata: list[Any], optional: bool) -> FieldType:
    origin = get_origin(annotation) or annotation
    if origin is Literal:
        return _choice(get_args(annotation), optional)
    if not isinstance(origin, type):
        return FieldType("unknown", optional)
    if issubclass(origin, Enum):
        return _choice(tuple(member.value for member in origin), optional)
    if issubclass(origin, BaseModel):
        return FieldType("record", optional, model=origin)
    kind: Kind = next((kind for base, kind in _KINDS if issubclass(origin, base)), "unknown")
    bounds = _range(metadata) if kind == "number" else {}
    return FieldType(kind, optional, whole=issubclass(origin, int) and kind == "number", **bounds)


def _choice(values: tuple[Any, ...], optional: bool) -> FieldType:
    plain = tuple(value.value if isinstance(value, Enum) else value for value in values)
    if not all(isinstance(value, str | None) for value in plain):
        return FieldType("unknown", optional)
    choices = tuple(value for value in plain if value is not None)
    return FieldType("choice", optional or None in plain, choices=choices)


def _range(metadata: list[Any]) -> dict[str, Any]:
    bounds: dict[str, Any] = {}
    for part in metadata:
        if isinstance(part, FieldInfo):
            bounds |= _range(part.metadata)
        elif isinstance(part, annotated_types.Interval):
            bounds |= _range(list(part))
        elif isinstance(part, annotated_types.Ge):
            bounds["low"] = part.ge
        elif isinstance(part, annotated_types.Gt):
            bounds |= {"low": part.gt, "low_open": True}
        elif isinstance(part, annotated_types.Le):
            bounds["high"] = part.le
        elif isinstance(part, annotated_types.Lt):
            bounds |= {"high": part.lt, "high_open": True}
    return bounds
