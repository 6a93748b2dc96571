"""A rule with its thresholds moved, or with one more condition; and whether it can ever fire."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from flows.fraud.rule.tree import (
    All,
    Compare,
    Comparison,
    Condition,
    Feature,
    Field,
    Number,
    OneOf,
    Rule,
    Some,
    Text,
    Value,
    walk,
)
from flows.fraud.rule.words import spelled, written

_FLIPPED: Mapping[Comparison, Comparison] = {"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_CALENDAR: Mapping[str, tuple[float, float]] = {"hour": (0, 23), "weekday": (1, 7), "monthday": (1, 31)}
_LEAST: Mapping[str, float] = {"count": 1, "distinct": 0, "since": 0, "age": 0}
_FOREVER = float("inf")


def loosened(rule: Rule, share: float = 0.1) -> Rule | None:
    """The rule with every threshold met a little sooner; None if it has none that could be.

    What the looser rule hits and the rule doesn't is what passes just under the threshold.
    """
    return _changed(rule, lambda compare: _looser(compare, share))


def scaled(rule: Rule, factor: float) -> Rule | None:
    """The rule with its thresholds of money and counts multiplied; None if it has none."""
    return _changed(rule, lambda compare: _moved(compare, factor))


def moved_to(rule: Rule, threshold: float) -> Rule | None:
    """The rule with its only threshold set; None if it has none or several."""
    if len(thresholds(rule)) != 1:
        return None
    return _changed(rule, lambda compare: _set(compare, threshold))


def narrowed(rule: Rule, condition: Condition) -> Rule:
    """The rule with one more condition."""
    own = rule.condition
    parts = own.parts if isinstance(own, All) else (own,)
    return _named(replace(rule, condition=All((*parts, condition))))


def thresholds(rule: Rule) -> list[Compare]:
    """Comparisons of a measure with a number, the number on the right."""
    return [compare for node in walk(rule.condition) if (compare := _threshold(node))]


def rests_on_amount(rule: Rule) -> bool:
    """Whether a fraudster passes by lowering amounts: no part of it remembers earlier transactions."""
    measured = [compare.left for compare in thresholds(rule)]
    amounts = any(isinstance(value, Field) and value.name == "amount" for value in measured)
    return amounts and not rule.features


def contradiction(rule: Rule) -> str:
    """Why no transaction can ever meet the rule; empty if some could, as far as its text tells."""
    return _contradiction(rule.condition)


@dataclass
class _Range:
    low: float
    high: float
    low_open: bool = False
    high_open: bool = False

    @property
    def empty(self) -> bool:
        return self.low > self.high or (self.low == self.high and (self.low_open or self.high_open))

    def narrow(self, operator: Comparison, value: float) -> None:
        if operator in (">", ">=", "=") and (value > self.low or (value == self.low and operator == ">")):
            self.low, self.low_open = value, operator == ">"
        if operator in ("<", "<=", "=") and (value < self.high or (value == self.high and operator == "<")):
            self.high, self.high_open = value, operator == "<"


def _contradiction(node: Condition) -> str:
    if isinstance(node, Some):
        found = [_contradiction(part) for part in node.parts]
        return found[0] if all(found) else ""
    parts = list(_flat(node))
    ranges: dict[str, _Range] = {}
    texts: dict[str, set[str]] = {}
    for part in parts:
        if isinstance(part, Some) and (reason := _contradiction(part)):
            return reason
        if compare := _threshold(part):
            name = spelled(compare.left)
            range_ = ranges.setdefault(name, _bounds(compare.left))
            range_.narrow(compare.operator, _number(compare))
            if range_.empty:
                return f"{name} can't be all that at once"
        elif (allowed := _allowed(part)) is not None:
            name, values = allowed
            texts[name] = texts.get(name, values) & values
            if not texts[name]:
                return f"{name} can't be all that at once"
    return ""


def _flat(node: Condition) -> list[Condition]:
    if isinstance(node, All):
        return [part for each in node.parts for part in _flat(each)]
    return [node]


def _allowed(node: Condition) -> tuple[str, set[str]] | None:
    if isinstance(node, OneOf):
        return spelled(node.value), {str(choice.value) for choice in node.choices}
    if isinstance(node, Compare) and node.operator == "=" and isinstance(node.right, Text):
        return spelled(node.left), {node.right.value}
    return None


def _bounds(value: Value) -> _Range:
    if isinstance(value, Field) and value.name in _CALENDAR:
        return _Range(*_CALENDAR[value.name])
    if isinstance(value, Feature) and value.kind in _LEAST:
        return _Range(_LEAST[value.kind], _FOREVER)
    return _Range(-_FOREVER, _FOREVER)


def _threshold(node: object) -> Compare | None:
    if not isinstance(node, Compare):
        return None
    if isinstance(node.right, Number) and not isinstance(node.left, Number | Text):
        return node
    if isinstance(node.left, Number) and not isinstance(node.right, Number | Text):
        return Compare(_FLIPPED[node.operator], node.right, node.left, node.at)
    return None


def _number(compare: Compare) -> float:
    return compare.right.value if isinstance(compare.right, Number) else 0.0


def _looser(compare: Compare, share: float) -> Compare | None:
    if compare.operator in ("=", "<>") or _is_calendar(compare.left):
        return None
    number, up = _number(compare), compare.operator in ("<", "<=")
    if isinstance(compare.left, Feature) and compare.left.kind in ("count", "distinct"):
        return _with(compare, number + (1 if up else -1))
    return _with(compare, number + abs(number) * share * (1 if up else -1))


def _moved(compare: Compare, factor: float) -> Compare | None:
    left = compare.left
    if compare.operator in ("=", "<>") or _is_calendar(left):
        return None
    if isinstance(left, Feature) and left.kind in ("since", "age"):
        return None
    number = _number(compare) * factor
    counts = isinstance(left, Feature) and left.kind in ("count", "distinct")
    return _with(compare, float(max(1, round(number))) if counts else round(number, 2))


def _set(compare: Compare, threshold: float) -> Compare | None:
    return _with(compare, threshold)


def _with(compare: Compare, value: float) -> Compare:
    duration = isinstance(compare.right, Number) and compare.right.duration
    return replace(compare, right=Number(value, compare.at, duration))


def _is_calendar(value: Value) -> bool:
    return isinstance(value, Field) and value.name in (*_CALENDAR, "tenure")


def _changed(rule: Rule, change: Callable[[Compare], Compare | None]) -> Rule | None:
    condition = _rebuilt(rule.condition, change)
    if condition == rule.condition:
        return None
    return _named(replace(rule, condition=condition))


def _rebuilt(node: Condition, change: Callable[[Compare], Compare | None]) -> Condition:
    """What is negated is left as it is: there, looser would be stricter."""
    if isinstance(node, All | Some):
        return replace(node, parts=tuple(_rebuilt(part, change) for part in node.parts))
    compare = _threshold(node)
    return (change(compare) or node) if compare else node


def _named(rule: Rule) -> Rule:
    return replace(rule, text=written(rule))
