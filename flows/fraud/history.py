"""What rules would have done: the queries over the transactions of the past, the same for every database.

Each transaction gets a mask with one bit a rule. Only those that a rule hits, and frauds, are grouped; all
others are only counted, so that a backtest costs little more than finding the hits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Literal, NamedTuple

import sqlalchemy as sa

from blocks.warehouse import (
    ConditionError,
    MappingError,
    Reader,
    WarehouseError,
    bind,
    compile_condition,
    well_formed,
)
from flows.fraud.rule.check import DERIVED, Schema, Type
from flows.fraud.rule.compile import hit
from flows.fraud.rule.tree import Rule
from flows.fraud.rule.windows import DAY, TIES, Relation, seconds, units
from flows.fraud.table import TransactionsTable

KEY = "warehouse.tables.transactions"
MAX_RULES = 60
"""Rules of one pass; a mask is a whole number of the database."""
MAX_CELLS = 200_000
NEW = 30 * DAY
"""A customer of less than so many seconds is new."""
NO_DAY = -1
"""The day of transactions whose time can't be read."""

Column = sa.ColumnElement[Any]


class Cell(NamedTuple):
    """Transactions of one day that the same rules hit and that turned out alike.

    Attributes:
        day: days since 1970, UTC.
        mask: bit n is set where rule n hits; 0 for frauds that none hits.
        mature: whether the label is old enough to be believed.
        units: their amounts in ten-thousandths.
    """

    day: int
    mask: int
    fraud: bool
    mature: bool
    number: int
    units: int


class Extent(NamedTuple):
    """What lies in the period, whatever rules say."""

    first: datetime
    """The oldest transaction before the period's end, which features look back to."""
    last: datetime
    rows: int
    """Transactions of the period."""
    mature: int
    """Those whose label is old enough."""
    malformed: bool
    """Whether some times are in another form; they are left out."""


class Person(NamedTuple):
    """Whom to count: distinct customers of transactions with all bits of `all` and none of `none`."""

    all: int
    none: int = 0
    genuine: bool = False
    """Only transactions known to be no fraud."""


class Sample(NamedTuple):
    """One transaction that rules hit."""

    transaction_id: str
    time: datetime
    amount: float
    customer: str
    mask: int
    fields: dict[str, Any]


@dataclass(frozen=True)
class Period:
    """Which transactions are judged, and by what is known when.

    Attributes:
        since: from here on; None from the oldest on. Features look back further.
        until: up to and without this moment, UTC.
        as_of: what was known at this moment counts.
    """

    since: datetime | None
    until: datetime
    as_of: datetime


class History:
    """The statements for one period, over the bound table of transactions."""

    def __init__(self, reader: Reader, table: TransactionsTable, period: Period) -> None:
        """
        Args:
            reader: an open read.

        Raises:
            MappingError: the mapping doesn't fit the warehouse; names the key at fault.
        """
        self._reader = reader
        self._table = table
        self._period = period
        self._bound = bind(reader, KEY, table.table, table.columns, table.kinds)
        self._columns = self._bound.columns
        self._time: Column = self._columns["time"]

    @property
    def schema(self) -> Schema:
        """What rules may name here."""
        types: dict[str, Type] = {
            name: "number" if name == "amount" or name in self._bound.numeric else "text"
            for name in self._table.fields
        }
        derived = [name for name in DERIVED if name != "tenure" or "customer_since" in self._columns]
        return Schema({**types, **dict.fromkeys(derived, "number")})

    @cached_property
    def extent(self) -> Extent:
        """Counts over the period.

        Raises:
            WarehouseError: there is no transaction in it.
        """
        found = self._counted(sa.true())
        malformed = not isinstance(found.first, datetime) or not isinstance(found.last, datetime)
        if found.rows and malformed:
            found = self._counted(well_formed(self._time))
        if not found.rows:
            raise WarehouseError(f"there is no transaction {self._when()} in {self._table.table}")
        return Extent(
            found.first,
            found.last,
            int(found.rows),
            int(found.mature),
            malformed,
        )

    def cells(self, rules: Sequence[Rule], people: Sequence[Person] = ()) -> tuple[list[Cell], list[int]]:
        """Hits and frauds of the period by day, rules that hit, label and its maturity; and counts of people.

        Raises:
            WarehouseError: the query can't be answered.
        """
        hits = self._hits(rules)
        grouped = sa.select(
            hits.c.day,
            hits.c.mask,
            hits.c.fraud,
            hits.c.mature,
            sa.func.count().label("number"),
            sa.func.sum(hits.c.units).label("units"),
        ).group_by(hits.c.day, hits.c.mask, hits.c.fraud, hits.c.mature)
        counts = [self._people(hits, place, person) for place, person in enumerate(people)]
        statement = sa.union_all(grouped, *counts) if counts else grouped
        rows = self._reader.rows(statement, MAX_CELLS)
        cells = [
            Cell(int(row[0]), int(row[1]), bool(row[2]), bool(row[3]), int(row[4]), int(row[5] or 0))
            for row in rows
            if row[0] is not None
        ]
        counted = {int(row[1]): int(row[4]) for row in rows if row[0] is None}
        return cells, [counted[place] for place in range(len(people))]

    def by_segment(self, rules: Sequence[Rule], name: str, cap: int) -> list[sa.Row[Any]]:
        """The period's mature transactions by a field: segment, mask, fraud, number; the rest as mask 0."""
        relation = self._relation(rules, [name])
        mask = _mask(relation, rules)
        inner = (
            sa.select(
                self._segment(relation, name).label("segment"), mask.label("mask"), relation.rows.c.fraud
            )
            .where(self._mature(relation) == 1, *self._inside(relation.sec))
            .subquery("aspora_segments")
        )
        columns = (inner.c.segment, inner.c.mask, inner.c.fraud)
        statement = sa.select(*columns, sa.func.count().label("number")).group_by(*columns)
        return list(self._reader.rows(statement, cap))

    def samples(
        self, rules: Sequence[Rule], wanted: Person, fields: Sequence[str], limit: int
    ) -> list[Sample]:
        """Mature transactions with all bits of `wanted.all` and none of `wanted.none`, the largest first."""
        relation = self._relation(rules, ["transaction_id", "amount", *fields])
        columns = relation.rows.c
        shown = [relation.value(name).label(f"shown_{name}") for name in fields]
        inner = (
            sa.select(
                columns.id, relation.sec.label("sec"), columns.amount, columns.customer, columns.fraud,
                _mask(relation, rules).label("mask"), *shown,
            )
            .where(self._mature(relation) == 1, *self._inside(relation.sec))
            .subquery("aspora_samples")
        )  # fmt: skip
        statement = (
            sa.select(inner)
            .where(_picked(inner.c.mask, wanted), inner.c.fraud == (0 if wanted.genuine else 1))
            .order_by(inner.c.amount.desc(), inner.c.id)
            .limit(limit)
        )
        return [_sample(row, fields) for row in self._reader.rows(statement, limit)]

    def hit_ids(self, rule: Rule, limit: int) -> list[Any]:
        """Ids of the period's transactions that the rule hits."""
        relation = self._relation([rule], ["transaction_id"])
        statement = sa.select(relation.rows.c.id).where(hit(rule, relation), *self._inside(relation.sec))
        return [row[0] for row in self._reader.rows(statement, limit)]

    def nulls(self, names: Sequence[str]) -> dict[str, int]:
        """How many of the period's transactions have no value in these fields."""
        mapped = [name for name in names if name in self._columns]
        if not mapped:
            return {}
        counted = [(sa.func.count() - sa.func.count(self._columns[name])).label(name) for name in mapped]
        row = self._reader.one(sa.select(*counted).select_from(self._bound.source).where(*self._within()))
        return {name: int(row._mapping[name]) for name in mapped}

    @cached_property
    def _label(self) -> Column:
        try:
            fraud = compile_condition(self._table.fraud_when, self._bound.column)
        except (ConditionError, WarehouseError) as error:
            raise MappingError(f"{KEY}.fraud_when", str(error)) from None
        if "reported_at" in self._columns:
            reported = self._columns["reported_at"]
            known = reported <= sa.literal(self._period.as_of, reported.type)
            fraud = sa.and_(fraud, sa.or_(reported.is_(None), known))
        return sa.case((fraud, 1), else_=0)

    @property
    def labels_until(self) -> datetime:
        """Transactions from here on are too young for their label."""
        return self._period.as_of - self._table.label_delay

    def _mature(self, relation: Relation) -> Column:
        if self.labels_until >= self._period.until:
            return sa.literal_column("1", sa.Integer)
        return sa.case((relation.sec < _stamp(self.labels_until), 1), else_=0)

    def _counted(self, sound: sa.ColumnElement[bool]) -> Any:
        period = self._period
        inside = self._time >= self._literal(period.since) if period.since else sa.true()
        counted = sa.func.count() if period.since is None else sa.func.sum(sa.case((inside, 1), else_=0))
        ripe: Column = counted
        if self.labels_until < period.until:
            old = sa.and_(inside, self._time < self._literal(self.labels_until))
            ripe = sa.func.sum(sa.case((old, 1), else_=0))
        statement = (
            sa.select(
                sa.func.min(self._time, type_=self._time.type).label("first"),
                sa.func.max(self._time, type_=self._time.type).label("last"),
                sa.func.coalesce(counted, 0).label("rows"),
                sa.func.coalesce(ripe, 0).label("mature"),
            )
            .select_from(self._bound.source)
            .where(self._time < self._literal(period.until), sound)
        )
        return self._reader.one(statement)

    def _within(self) -> list[sa.ColumnElement[bool]]:
        found = [self._time < self._literal(self._period.until)]
        if self._period.since:
            found.append(self._time >= self._literal(self._period.since))
        return found

    def _when(self) -> str:
        period = self._period
        since = f"from {period.since:%Y-%m-%d %H:%M} " if period.since else ""
        return f"{since}before {period.until:%Y-%m-%d %H:%M} UTC"

    def _literal(self, moment: datetime) -> Column:
        return sa.literal(moment, self._time.type)

    def _inside(self, sec: Column) -> list[sa.ColumnElement[bool]]:
        return [sec >= _stamp(self._period.since)] if self._period.since else []

    def _hits(self, rules: Sequence[Rule]) -> sa.CTE:
        if len(rules) > MAX_RULES:
            raise WarehouseError(f"{len(rules)} rules are too many for one pass; at most {MAX_RULES}")
        relation = self._relation(rules)
        columns = relation.rows.c
        any_hit = [hit(rule, relation) for rule in dict.fromkeys(rules)]
        hits = (
            sa.select(
                sa.func.coalesce(relation.sec // DAY, NO_DAY).label("day"),
                _mask(relation, rules).label("mask"),
                columns.fraud,
                self._mature(relation).label("mature"),
                columns.customer,
                sa.func.coalesce(columns.units, 0).label("units"),
            )
            .where(sa.or_(*any_hit, columns.fraud == 1), *self._inside(relation.sec))
            .cte("aspora_hits")
        )
        materialized = hits.prefix_with("MATERIALIZED", dialect="sqlite")
        return materialized.prefix_with("MATERIALIZED", dialect="postgresql")

    def _relation(self, rules: Sequence[Rule], fields: Sequence[str] = ()) -> Relation:
        """The transactions that the rules may look at, with the fields that they name, and their features."""
        features = [feature for rule in rules for feature in rule.features]
        names = {name for rule in rules for name in rule.fields} | set(fields)
        if "tenure" in names:
            names.add("customer_since")
        own = [
            self._own(name) for name in sorted(names) if name in self._columns and name != "transaction_id"
        ]
        sec = seconds(self._time)
        id = self._columns["transaction_id"]
        lowest = self._lowest_id() if features else None
        place = [id.label("id"), sec.label("sec")]
        if lowest is not None:
            place = [(sec * TIES + sa.cast(id, sa.BigInteger) - lowest).label("place")]
            place += [id.label("id")] if "transaction_id" in fields else []
        carried = [] if "customer" in names else [self._own("customer")]
        money = units(self._columns["amount"]).label("units")
        columns = [*place, self._label.label("fraud"), money, *own, *carried]
        wanted = [self._time < self._literal(self._period.until)]
        if self._period.since and all(feature.seconds for feature in features):
            longest = max((feature.seconds for feature in features), default=0)
            wanted.append(self._time >= self._literal(self._period.since - timedelta(seconds=longest)))
        selected = sa.select(*columns).select_from(self._bound.source).where(*wanted)
        method: Literal["range", "sweep"] = "sweep" if lowest is None else "range"
        swept = any(feature.kind == "distinct" or lowest is None for feature in features)
        rows = selected.cte("aspora_rows") if swept else selected.subquery("aspora_rows")
        return Relation(rows, method).widened(features)

    def _own(self, name: str) -> sa.Label[Any]:
        column = self._columns[name]
        return (seconds(column) if name == "customer_since" else column).label(name)

    def _lowest_id(self) -> int | None:
        """The lowest id, where ids are so near each other that windows can use them; None elsewhere."""
        id = self._columns["transaction_id"]
        if "transaction_id" not in self._bound.numeric or self._reader.connection.dialect.name == "redshift":
            return None
        ends = (sa.select(end(id)).scalar_subquery() for end in (sa.func.min, sa.func.max))
        low, high = self._reader.one(sa.select(*ends))
        try:
            return int(low) if int(low) == low and high - low < TIES // 2 else None
        except (TypeError, ValueError):
            return None

    def _segment(self, relation: Relation, name: str) -> Column:
        if name == "day":
            return relation.sec // DAY
        if name == "tenure":
            tenure = relation.value(name)
            return sa.case((tenure < NEW, 0), (tenure >= NEW, 1))
        return relation.value(name)

    def _people(self, hits: sa.CTE, place: int, person: Person) -> sa.Select[Any]:
        wanted = _picked(hits.c.mask, person)
        if person.genuine:
            wanted = sa.and_(wanted, hits.c.fraud == 0, hits.c.mature == 1)
        nothing = sa.null()
        counted = sa.func.count(sa.distinct(sa.case((wanted, hits.c.customer))))
        return sa.select(nothing, sa.literal(place), nothing, nothing, counted, nothing)


def _picked(mask: Column, person: Person) -> sa.ColumnElement[bool]:
    wanted = mask.op("&")(person.all) == person.all
    return sa.and_(wanted, mask.op("&")(person.none) == 0) if person.none else wanted


def _mask(relation: Relation, rules: Sequence[Rule]) -> Column:
    """The bits of the rules that hit; a rule that stands twice is asked once."""
    bits: dict[Rule, int] = {}
    for place, rule in enumerate(rules):
        bits[rule] = bits.get(rule, 0) | 1 << place
    first, *others = (sa.case((hit(rule, relation), bit), else_=0) for rule, bit in bits.items())
    mask: Column = first
    for other in others:
        mask = mask + other
    return mask


def _stamp(moment: datetime | None) -> int:
    return int(moment.timestamp()) if moment else 0


def _sample(row: sa.Row[Any], fields: Sequence[str]) -> Sample:
    return Sample(
        transaction_id=str(row.id),
        time=datetime.fromtimestamp(int(row.sec), UTC),
        amount=round(float(row.amount or 0), 2),
        customer=str(row.customer),
        mask=int(row.mask),
        fields={name: row._mapping[f"shown_{name}"] for name in fields},
    )
