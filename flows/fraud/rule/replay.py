"""Rules evaluated one transaction after the other, slowly and plainly, with no database.

Written apart from the SQL, so that the two check each other: `aspora eval fraud`, the generated test cases of
`fraud-qa`, and the tests compare them.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

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

Transaction = Mapping[str, Any]
"""Logical field → value, None if absent; `time` is whole seconds since 1970 (`customer_since` too)."""

PARTS = 10_000
"""Sums are exact to one part in so many of the unit."""

_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_JOIN: Mapping[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}


def replay(rule: Rule, transactions: Sequence[Transaction]) -> list[bool]:
    """Whether the rule hits each transaction, in the order given.

    Args:
        transactions: each with `transaction_id`, `time` and the rule's fields.
    """
    order = sorted(range(len(transactions)), key=lambda n: _when(transactions[n]))
    known: dict[tuple[str, Any], list[Transaction]] = {}
    hits = [False] * len(transactions)
    keys = {feature.key for feature in rule.features}
    for place in order:
        transaction = transactions[place]
        for key in keys:
            if transaction.get(key) is not None:
                known.setdefault((key, transaction[key]), []).append(transaction)
        hits[place] = _holds(rule.condition, transaction, known) is True
    return hits


def _when(transaction: Transaction) -> tuple[int, Any]:
    return transaction["time"], transaction["transaction_id"]


Known = Mapping[tuple[str, Any], Sequence[Transaction]]


def _holds(node: Condition, transaction: Transaction, known: Known) -> bool | None:
    """True, false, or None where a value is absent, as SQL has it."""
    match node:
        case All():
            found = [_holds(part, transaction, known) for part in node.parts]
            return False if False in found else None if None in found else True
        case Some():
            found = [_holds(part, transaction, known) for part in node.parts]
            return True if True in found else None if None in found else False
        case Not():
            inner = _holds(node.part, transaction, known)
            return None if inner is None else not inner
        case Missing():
            return _value(node.value, transaction, known) is None
        case OneOf():
            value = _value(node.value, transaction, known)
            return None if value is None else value in [choice.value for choice in node.choices]
        case Compare():
            left, right = _value(node.left, transaction, known), _value(node.right, transaction, known)
            return None if left is None or right is None else _COMPARE[node.operator](left, right)


def _value(node: Value, transaction: Transaction, known: Known) -> Any:
    match node:
        case Number() | Text():
            return node.value
        case Field():
            return _field(node.name, transaction)
        case Feature():
            return _feature(node, transaction, known)
        case Arithmetic():
            left, right = _value(node.left, transaction, known), _value(node.right, transaction, known)
            if left is None or right is None or (node.operator == "/" and right == 0):
                return None
            return _JOIN[node.operator](float(left), float(right))


def _field(name: str, transaction: Transaction) -> Any:
    moment = datetime.fromtimestamp(transaction["time"], UTC)
    if name == "hour":
        return moment.hour
    if name == "weekday":
        return moment.isoweekday()
    if name == "monthday":
        return moment.day
    if name == "tenure":
        since = transaction.get("customer_since")
        return None if since is None else transaction["time"] - since
    return transaction.get(name)


def _feature(node: Feature, transaction: Transaction, known: Known) -> Any:
    if transaction.get(node.key) is None:
        return None
    history = known[node.key, transaction[node.key]]
    now = transaction["time"]
    if node.kind == "since":
        return now - history[-2]["time"] if len(history) > 1 else None
    if node.kind == "age":
        return now - history[0]["time"]
    return _over(node, _window(node.seconds, now, history))


def _window(seconds: int, now: int, history: Sequence[Transaction]) -> list[Transaction]:
    """The transactions of the last seconds, the latest first."""
    window: list[Transaction] = []
    for earlier in reversed(history):
        if earlier["time"] <= now - seconds:
            break
        window.append(earlier)
    return window


def _over(node: Feature, window: Sequence[Transaction]) -> Any:
    if node.kind == "count":
        return len(window)
    values = [earlier[node.of] for earlier in window if earlier.get(node.of) is not None]
    if node.kind == "distinct":
        return len(set(values))
    if not values:
        return None
    total = sum(round(float(value) * PARTS) for value in values)
    return (total if node.kind == "sum" else total / len(values)) / PARTS
