"""Whether a rule fits the data: its fields exist, and numbers are compared with numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from flows.fraud.rule.tree import (
    All,
    Arithmetic,
    Compare,
    Condition,
    Feature,
    Field,
    Missing,
    Not,
    Number,
    OneOf,
    Rule,
    RuleError,
    Some,
    Text,
    Value,
)

Type = Literal["number", "text"]

DERIVED: Mapping[str, str] = {
    "hour": "hour of the day, 0 to 23, UTC",
    "weekday": "1 is Monday, 7 Sunday, UTC",
    "monthday": "day of the month, 1 to 31, UTC",
    "tenure": "seconds since customer_since",
}
"""Fields that are computed from others."""
_LATER = {"fraud": "the label", "reported_at": "when fraud was reported"}
_TIMES = {"time": "hour or weekday", "customer_since": "tenure, as in tenure < 30d"}


@dataclass(frozen=True)
class Schema:
    """What rules may name.

    Attributes:
        types: field → what it holds.
        amount: the field that is money.
    """

    types: Mapping[str, Type]
    amount: str = "amount"

    @property
    def keys(self) -> list[str]:
        """Fields by which features may be formed."""
        return [name for name in self.types if name not in (*DERIVED, self.amount)]


def check(rule: Rule, schema: Schema) -> None:
    """RuleError at the first thing that the data doesn't have or that makes no sense."""
    _condition(rule.condition, schema)


def _condition(node: Condition, schema: Schema) -> None:
    match node:
        case All() | Some():
            for part in node.parts:
                _condition(part, schema)
        case Not():
            _condition(node.part, schema)
        case Missing():
            _type(node.value, schema)
        case OneOf():
            for choice in node.choices:
                _alike(node.value, choice, schema)
        case Compare():
            _alike(node.left, node.right, schema)
            if node.operator not in ("=", "<>") and _type(node.left, schema) == "text":
                raise RuleError("text has no order; compare it with =, <> or in", node.at)


def _alike(left: Value, right: Value, schema: Schema) -> None:
    one, other = _type(left, schema), _type(right, schema)
    if one == other:
        return
    if isinstance(right, Text) and one == "number":
        raise RuleError(f"{_name(left)} is a number; write it without quotes", right.at)
    if isinstance(right, Number) and one == "text":
        raise RuleError(f"{_name(left)} is text; write the value in quotes", right.at)
    raise RuleError(f"{_name(left)} is a {one}, but {_name(right)} is a {other}", right.at)


def _type(node: Value, schema: Schema) -> Type:
    match node:
        case Number():
            return "number"
        case Text():
            return "text"
        case Field():
            return _field(node.name, node.at, schema)
        case Arithmetic():
            for side in (node.left, node.right):
                if _type(side, schema) != "number":
                    raise RuleError(f"{_name(side)} is no number to calculate with", side.at)
        case Feature():
            _feature(node, schema)
    return "number"


def _feature(node: Feature, schema: Schema) -> None:
    _field(node.key, node.at, schema)
    if node.key not in schema.keys:
        raise RuleError(f"{node.kind} can't go by {node.key}; it can by: {', '.join(schema.keys)}", node.at)
    if node.kind in ("sum", "avg") and _field(node.of, node.at, schema) != "number":
        raise RuleError(f"{node.of} is no number to {node.kind}", node.at)
    if node.kind == "distinct" and _field(node.of, node.at, schema) and node.of == node.key:
        raise RuleError(f"distinct {node.of} per {node.key} is always 1; count another field", node.at)


def _field(name: str, at: int, schema: Schema) -> Type:
    if name in schema.types:
        return schema.types[name]
    if name in _LATER:
        raise RuleError(f"a rule can't ask for {name}: {_LATER[name]} is only known later", at)
    if name in _TIMES:
        raise RuleError(f"{name} is a time; use {_TIMES[name]}", at)
    close = get_close_matches(name, schema.types, n=1, cutoff=0.6)
    hint = f"did you mean {close[0]}? " if close else ""
    raise RuleError(f"there is no field {name}; {hint}there are: {', '.join(schema.types)}", at)


def _name(node: Value) -> str:
    if isinstance(node, Field):
        return node.name
    if isinstance(node, Feature):
        return f"{node.kind}(…)"
    return repr(node.value) if isinstance(node, Text | Number) else "the calculation"
