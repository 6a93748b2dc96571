"""A rule's condition as SQL over the relation of transactions and features. Every value is bound."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa

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
    Some,
    Text,
    Value,
)
from flows.fraud.rule.windows import Column, Relation, divided

_COMPARE: Mapping[str, Callable[[Any, Any], Any]] = {
    "=": lambda left, right: left == right,
    "<>": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}


def hit(rule: Rule, relation: Relation) -> sa.ColumnElement[bool]:
    """Whether the rule hits a row of the relation, which must have the rule's features."""
    return _condition(rule.condition, relation)


def _condition(node: Condition, relation: Relation) -> sa.ColumnElement[bool]:
    match node:
        case All():
            return sa.and_(*(_condition(part, relation) for part in node.parts))
        case Some():
            return sa.or_(*(_condition(part, relation) for part in node.parts))
        case Not():
            return sa.not_(_condition(node.part, relation))
        case Missing():
            return _value(node.value, relation).is_(None)
        case OneOf():
            return _value(node.value, relation).in_([_plain(choice) for choice in node.choices])
        case Compare():
            found: sa.ColumnElement[bool] = _COMPARE[node.operator](
                _value(node.left, relation), _value(node.right, relation)
            )
            return found


def _value(node: Value, relation: Relation) -> Column:
    match node:
        case Number() | Text():
            return sa.literal(_plain(node))
        case Field():
            return relation.value(node.name)
        case Feature():
            column: Column = relation.rows.c[relation.features[node]]
            return column
        case Arithmetic():
            left, right = _real(node.left, relation), _real(node.right, relation)
            if node.operator == "/":
                return divided(left, sa.func.nullif(right, 0.0, type_=sa.Double))
            joined: Column = {"+": left + right, "-": left - right, "*": left * right}[node.operator]
            return joined


def _real(node: Value, relation: Relation) -> Column:
    """A value to calculate with, in double precision."""
    if isinstance(node, Number):
        return sa.literal(float(node.value), sa.Double)
    value = _value(node, relation)
    real = isinstance(node, Arithmetic) or (isinstance(node, Feature) and node.kind in ("sum", "avg"))
    return value if real else sa.cast(value, sa.Double)


def _plain(node: Number | Text) -> Any:
    if isinstance(node, Text):
        return node.value
    return int(node.value) if node.value == int(node.value) and abs(node.value) < 2**53 else node.value
