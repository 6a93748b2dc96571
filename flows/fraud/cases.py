"""Test cases for a rule: made from its thresholds, and run through the same SQL as a backtest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from blocks.warehouse import Reader
from flows.fraud.history import History, Period
from flows.fraud.models import RuleTest, TestRun
from flows.fraud.rule import Rule, Schema
from flows.fraud.rule.change import thresholds
from flows.fraud.rule.check import DERIVED
from flows.fraud.rule.replay import replay
from flows.fraud.rule.tree import Compare, Feature, Field, Number, OneOf, Text, walk
from flows.fraud.rule.words import number, spelled
from flows.fraud.table import TIMES, TransactionsTable

MAX_CASES = 60
MOMENT = int(datetime(2026, 1, 14, 12, tzinfo=UTC).timestamp())
"""When the judged transaction of a made case happens: a Wednesday noon."""

_CENT = 0.01
_MOST_ROWS = 60


@dataclass(frozen=True)
class Case:
    """Transactions, the last of which is judged; `expected` is None where the replay tells."""

    name: str
    transactions: Sequence[Mapping[str, Any]]
    expected: bool | None = None


def made(rule: Rule, schema: Schema) -> list[Case]:
    """Cases at, just below and just above each threshold, with each field absent, and one ordinary one."""
    usual = _usual(rule, schema)
    cases = [Case("an ordinary transaction", [usual])]
    for name in rule.fields:
        if name not in DERIVED:
            cases.append(Case(f"{name} is absent", [{**usual, name: None}]))
    for compare in thresholds(rule):
        cases += _around(compare, usual)
    return cases[:MAX_CASES]


def given(tests: Sequence[RuleTest]) -> list[Case]:
    """The cases that came with a proposal.

    Raises:
        ValueError: a time is no time, or a field no plain value.
    """
    return [Case(f"test {place}", _timed(test.transactions), test.hit) for place, test in enumerate(tests, 1)]


def run(rule: Rule, schema: Schema, cases: Sequence[Case]) -> list[TestRun]:
    """What the rule decides in each case, by its SQL on an empty database, against what is expected."""
    runs = []
    for case in cases:
        rows = [
            {"transaction_id": place, "time": MOMENT, **dict.fromkeys(schema.types), **row}
            for place, row in enumerate(case.transactions, 1)
        ]
        expected = replay(rule, rows)[-1] if case.expected is None else case.expected
        runs.append(TestRun(name=case.name, expected=expected, got=_decided(rule, schema, rows)))
    return runs


def _decided(rule: Rule, schema: Schema, rows: Sequence[Mapping[str, Any]]) -> bool:
    names = [name for name in schema.types if name not in DERIVED]
    columns = ["transaction_id", "time", *names, *(["customer_since"] if "tenure" in schema.types else [])]
    engine = sa.create_engine("sqlite://")
    book = sa.Table(
        "cases", sa.MetaData(),
        *(sa.Column(name, sa.NUMERIC if schema.types.get(name) == "number" else sa.Text) for name in columns),
        sa.Column("fraud", sa.Integer),
    )  # fmt: skip
    try:
        with engine.connect() as connection:
            book.create(connection)
            connection.execute(sa.insert(book), [_stored(row, columns) for row in rows])
            until = datetime.fromtimestamp(max(row["time"] for row in rows) + 1, UTC)
            mapping = {
                "table": "cases",
                "columns": {name: name for name in columns},
                "fraud_when": "fraud = 1",
            }
            table = TransactionsTable.model_validate(mapping)
            history = History(Reader(connection), table, Period(None, until, until))
            return len(rows) in [int(id) for id in history.hit_ids(rule, len(rows))]
    finally:
        engine.dispose()


def _stored(row: Mapping[str, Any], columns: Sequence[str]) -> dict[str, Any]:
    def value(name: str) -> Any:
        found = row.get(name)
        if name in TIMES and found is not None:
            return datetime.fromtimestamp(found, UTC).strftime("%Y-%m-%d %H:%M:%S")
        return found

    return {**{name: value(name) for name in columns}, "fraud": 0}


def _usual(rule: Rule, schema: Schema) -> dict[str, Any]:
    """A transaction that meets as many of the rule's equalities as can be."""
    found: dict[str, Any] = {
        name: 1 if kind == "number" else "A" for name, kind in schema.types.items() if name not in DERIVED
    }
    found |= {"amount": 100, "time": MOMENT}
    if "tenure" in schema.types:
        found["customer_since"] = MOMENT - 400 * 86400
    for node in walk(rule.condition):
        if isinstance(node, OneOf) and isinstance(node.value, Field):
            found[node.value.name] = node.choices[0].value
        elif isinstance(node, Compare) and node.operator == "=" and isinstance(node.left, Field):
            if isinstance(node.right, Number | Text):
                found[node.left.name] = node.right.value
        elif compare := next((one for one in thresholds(rule) if one is node), None):
            _meet(compare, found)
    return {name: value for name, value in found.items() if name not in DERIVED}


def _meet(compare: Compare, found: dict[str, Any]) -> None:
    """Sets a compared field to a value that meets the comparison."""
    if isinstance(compare.left, Field) and isinstance(compare.right, Number):
        step = {">": 1, ">=": 0, "<": -1, "<=": 0, "=": 0, "<>": 1}[compare.operator]
        if compare.left.name == "tenure":
            found["customer_since"] = MOMENT - int(compare.right.value) - step
        elif compare.left.name not in DERIVED:
            found[compare.left.name] = compare.right.value + step


def _around(compare: Compare, usual: Mapping[str, Any]) -> Iterator[Case]:
    left, value = compare.left, compare.right.value if isinstance(compare.right, Number) else 0.0
    if isinstance(left, Field):
        yield from _around_field(left.name, value, usual)
    elif isinstance(left, Feature) and left.kind == "count":
        yield from _around_count(left, int(value), usual)
    elif isinstance(left, Feature) and left.kind == "sum":
        for total in (value - _CENT, value, value + _CENT):
            first = {**usual, left.of: round(value / 2, 2), "time": MOMENT - max(1, left.seconds // 2)}
            last = {**usual, left.of: round(total - round(value / 2, 2), 2)}
            yield Case(f"{spelled(left)} is {number(round(total, 2))}", [first, last])
    elif isinstance(left, Feature) and left.kind == "since":
        for gap in (int(value) - 1, int(value), int(value) + 1):
            yield Case(f"{spelled(left)} is {gap} s", [{**usual, "time": MOMENT - max(0, gap)}, usual])


def _around_field(name: str, value: float, usual: Mapping[str, Any]) -> Iterator[Case]:
    if name == "tenure":
        for seconds in (int(value) - 1, int(value), int(value) + 1):
            yield Case(f"tenure is {seconds} s", [{**usual, "customer_since": MOMENT - seconds}])
    elif name == "hour" and value == int(value):
        for hour in (int(value) - 1, int(value), int(value) + 1):
            if 0 <= hour <= 23:
                yield Case(f"hour is {hour}", [{**usual, "time": MOMENT + (hour - 12) * 3600}])
    elif name not in DERIVED:
        for around in (value - _CENT, value, value + _CENT):
            yield Case(f"{name} is {number(round(around, 2))}", [{**usual, name: round(around, 2)}])


def _around_count(feature: Feature, value: int, usual: Mapping[str, Any]) -> Iterator[Case]:
    if not 0 <= value <= _MOST_ROWS:
        return
    for many in {max(1, value - 1), max(1, value), value + 1, value + 2}:
        inside = [{**usual, "time": MOMENT - _back(feature, place, many)} for place in range(many)]
        yield Case(f"{spelled(feature)} is {many}", sorted(inside, key=lambda row: int(row["time"])))
    edge = [{**usual, "time": MOMENT - feature.seconds}] * (value + 1)
    yield Case(f"{value + 1} more exactly {feature.seconds} s ago, just out of the window", [*edge, usual])


def _back(feature: Feature, place: int, many: int) -> int:
    """How long ago the place-th of many transactions of a window was; the last is now."""
    return (feature.seconds - 1) * (many - 1 - place) // max(1, many - 1)


def _timed(transactions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    last = len(transactions) - 1
    rows = []
    for place, given_row in enumerate(transactions):
        row = dict(given_row)
        row.pop("transaction_id", None)
        for name, value in row.items():
            if not isinstance(value, str | int | float | None):
                raise ValueError(f"the test's field {name} must be a text, a number or null")  # noqa: TRY004
        for name in ("time", "customer_since"):
            if name in row:
                row[name] = _second(row[name])
        rows.append({"time": MOMENT - (last - place), **row})
    return rows


def _second(value: Any) -> int:
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        raise ValueError(f"{value!r} is no ISO time such as 2026-02-17T08:00:00Z") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int((moment - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(seconds=1))
