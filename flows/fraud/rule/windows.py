"""Windowed features as SQL over a table of transactions, the same for every database.

A window is `RANGE` over one whole number a row, made of its second and its id, where the database has such
frames and the ids are small numbers. Elsewhere (Redshift, ids that are text) each row counts up when it
arrives and down when it leaves the window, and a running sum does the rest.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction

from flows.fraud.rule.replay import PARTS
from flows.fraud.rule.tree import Feature

Column = sa.ColumnElement[Any]

DAY = 86400
TIES = 2**31
"""A row's place in time is its second times this, plus its id from the lowest; ids fill less than half."""

_UNIX_EPOCH = sqlite3.sqlite_version_info >= (3, 38)
"""The quicker way to read a time."""


class _Seconds(GenericFunction[int]):
    """Whole seconds since 1970 of a timestamp in UTC."""

    name = "aspora_seconds"
    inherit_cache = True
    type = sa.BigInteger()


@compiles(_Seconds)
def _from_timestamp(element: _Seconds, compiler: Any, **options: Any) -> str:
    return f"CAST(FLOOR(EXTRACT(EPOCH FROM {compiler.process(element.clauses, **options)})) AS BIGINT)"


@compiles(_Seconds, "sqlite")
def _from_text(element: _Seconds, compiler: Any, **options: Any) -> str:
    text = compiler.process(element.clauses, **options)
    return f"unixepoch({text})" if _UNIX_EPOCH else f"CAST(strftime('%s', {text}) AS INTEGER)"


class _Mean(GenericFunction[float]):
    """The mean of whole numbers: one window where the database means them exactly, else a sum by a count.

    SQLite passes over the rows once a window, also if two are the same.
    """

    name = "aspora_mean"
    inherit_cache = True
    type = sa.Double()


@compiles(_Mean)
def _from_sum(element: _Mean, compiler: Any, **options: Any) -> str:
    _, joined = element.clauses
    return str(compiler.process(joined, **options))


@compiles(_Mean, "sqlite")
def _from_mean(element: _Mean, compiler: Any, **options: Any) -> str:
    mean, _ = element.clauses
    return str(compiler.process(mean, **options))


def seconds(moment: Column) -> Column:
    """Whole seconds since 1970 of a timestamp column; null where SQLite's text is none."""
    return sa.func.aspora_seconds(moment)


def units(amount: Column) -> Column:
    """An amount in whole ten-thousandths, so that sums are exact."""
    return sa.cast(sa.func.round(amount * PARTS), sa.BigInteger)


def divided(left: Column, right: Column) -> Column:
    """A division of two numbers in double precision, without what SQLAlchemy adds for whole ones."""
    return left.op("/", precedence=8, return_type=sa.Double())(right)


@dataclass(frozen=True)
class Relation:
    """Transactions with their features.

    Attributes:
        rows: has `place` (method `range`), or `sec` and `id`; `units`, the amount in whole ten-thousandths;
            and the fields by their logical names.
        features: feature → its column's name in `rows`.
    """

    rows: sa.FromClause
    method: Literal["range", "sweep"]
    features: Mapping[Feature, str] = field(default_factory=dict)

    def widened(self, features: Iterable[Feature]) -> Relation:
        """With these features, each computed once."""
        wanted = list(dict.fromkeys(features))
        swept = [feature for feature in wanted if self._is_swept(feature)]
        direct = {feature: f"feature_{place}" for place, feature in enumerate(wanted) if feature not in swept}
        rows = self.rows
        if direct:
            found = [self._direct(feature).label(name) for feature, name in direct.items()]
            selected = sa.select(self.rows, *found)
            rows = selected.cte("aspora_features") if swept else selected.subquery("aspora_features")
        relation = Relation(rows, self.method, direct)
        for feature in swept:
            name = f"swept_{len(relation.features)}"
            relation = Relation(
                relation._swept(feature, name), self.method, {**relation.features, feature: name}
            )
        return relation

    @property
    def sec(self) -> Column:
        """The transaction's second since 1970."""
        columns = self.rows.c
        return columns.place // TIES if self.method == "range" else columns.sec

    def value(self, name: str) -> Column:
        """A field of the transaction, computed ones included."""
        if name == "hour":
            return (self.sec % DAY) // 3600
        if name == "weekday":
            return (self.sec // DAY + 3) % 7 + 1
        if name == "monthday":
            return _monthday(self.sec // DAY)
        if name == "tenure":
            return self.sec - self.rows.c.customer_since
        return self.rows.c[name]

    def _is_swept(self, feature: Feature) -> bool:
        if feature.kind in ("since", "age"):
            return False
        return self.method == "sweep" or feature.kind == "distinct"

    @property
    def _order(self) -> tuple[Column, ...]:
        columns = self.rows.c
        return (columns.place,) if self.method == "range" else (columns.sec, columns.id)

    def _direct(self, feature: Feature) -> Column:
        key = self.value(feature.key)
        if feature.kind == "since":
            found = self.sec - sa.func.lag(self.sec).over(partition_by=key, order_by=self._order)
        elif feature.kind == "age":
            found = self.sec - sa.func.min(self.sec).over(partition_by=key)
        else:
            found = self._ranged(feature, key)
        return _if_keyed(key, found)

    def _ranged(self, feature: Feature, key: Column) -> Column:
        """Over all rows of the key whose second lies in the window and whose place is not after this one's.

        A window of w seconds begins between the last place of the second that is just out and the first of
        the one that is just in: half a second's places further back than the row's own place in its second.
        """
        back = (feature.seconds - 1) * TIES + TIES // 2

        def over(total: Any) -> Column:
            return total.over(partition_by=key, order_by=self.rows.c.place, range_=(-back, 0))  # type: ignore[no-any-return]

        if feature.kind == "count":
            return over(sa.func.count())
        parts = self._units(feature.of)
        total = over(sa.func.sum(parts))
        if feature.kind == "sum":
            return _exact(total)
        number = sa.func.nullif(over(sa.func.count(parts)), 0)
        return _exact(sa.func.aspora_mean(over(sa.func.avg(parts)), _mean(total, number)))

    def _units(self, name: str) -> Column:
        return self.rows.c.units if name == "amount" else units(self.value(name))

    def _swept(self, feature: Feature, name: str) -> sa.FromClause:
        """Rows arrive with a weight and leave again with its negative; a running sum over both."""
        weighed = self._weighed(feature, name)
        columns = weighed.c
        left_out = ("weight", "number", "leaves")
        own = [column for column in columns if column.name not in left_out]
        arrivals = sa.select(
            *own,
            self._second(weighed).label("moment"),
            sa.literal_column("1", sa.Integer).label("kind"),
            columns.weight.label("weight"),
            columns.number.label("number"),
        )
        nothing = [
            columns[feature.key].label(column.name)
            if column.name == feature.key
            else sa.null().label(column.name)
            for column in own
        ]
        leaving = sa.literal_column("1", sa.Integer) if feature.kind == "distinct" else columns.weight
        exits = sa.select(
            *nothing,
            (self._second(weighed) + feature.seconds).label("moment"),
            sa.literal_column("0", sa.Integer).label("kind"),
            (-leaving).label("weight"),
            (-columns.number).label("number"),
        ).where(columns.leaves == 1)
        moves = sa.union_all(arrivals, exits).cte(f"aspora_moves_{name}")
        key = moves.c[feature.key]

        def over(weight: Column) -> Column:
            order = (moves.c.moment, moves.c.kind, moves.c.place if self.method == "range" else moves.c.id)
            return sa.func.sum(weight).over(partition_by=key, order_by=order, rows=(None, 0))

        found = _joined(feature, over(moves.c.weight), over(moves.c.number))
        kept = [moves.c[column.name] for column in own]
        swept = sa.select(*kept, moves.c.kind, _if_keyed(key, found).label(name)).cte(f"aspora_summed_{name}")
        names = [column.name for column in own]
        return (
            sa.select(*(swept.c[n] for n in (*names, name)))
            .where(swept.c.kind == 1)
            .cte(f"aspora_with_{name}")
        )

    def _second(self, rows: sa.FromClause) -> Column:
        return Relation(rows, self.method).sec

    def _weighed(self, feature: Feature, name: str) -> sa.CTE:
        """Each row with its `weight`, whether that counts (`number`), and whether it `leaves` by itself."""
        columns = self.rows.c
        always: Column = sa.literal_column("1", sa.Integer)
        weight: Column
        number: Column
        if feature.kind == "count":
            weight, number, leaves = always, always, always
        elif feature.kind == "distinct":
            weight, leaves = self._fresh(feature)
            number = weight
        else:
            of = self.value(feature.of)
            weight = sa.func.coalesce(self._units(feature.of), 0)
            number = sa.case((of.is_(None), 0), else_=1)
            leaves = always
        keyed = sa.case((self.value(feature.key).is_(None), 0), else_=leaves)
        return sa.select(*columns, weight.label("weight"), number.label("number"), keyed.label("leaves")).cte(
            f"aspora_weighed_{name}"
        )

    def _fresh(self, feature: Feature) -> tuple[Column, Column]:
        """A value counts where it was not in the window yet, and leaves where it does not come again in time.

        A row that comes before the value has left keeps it in; then the later row is the one that leaves.
        """
        key, of = self.value(feature.key), self.value(feature.of)

        def beside(step: Any) -> Column:
            return step.over(partition_by=(key, of), order_by=self._order)  # type: ignore[no-any-return]

        before = self.sec - beside(sa.func.lag(self.sec))
        after = beside(sa.func.lead(self.sec)) - self.sec
        weight = sa.case((of.is_(None), 0), (before < feature.seconds, 0), else_=1)
        leaves = sa.case((of.is_(None), 0), (after < feature.seconds, 0), else_=1)
        return weight, leaves


def _monthday(day: Column) -> Column:
    """The day of the month of a day since 1970, by whole numbers alone (years begin in March)."""
    shifted = day + 719_468
    in_era = shifted % 146_097
    year = (in_era - in_era // 1460 + in_era // 36_524 - in_era // 146_096) // 365
    in_year = in_era - (365 * year + year // 4 - year // 100)
    month = (5 * in_year + 2) // 153
    return in_year - (153 * month + 2) // 5 + 1


def _exact(total: Column) -> Column:
    """Whole ten-thousandths as the nearest number."""
    return divided(sa.cast(total, sa.Double), sa.literal_column(f"{PARTS}.0", sa.Double))


def _mean(total: Column, number: Column) -> Column:
    return divided(sa.cast(total, sa.Double), sa.cast(number, sa.Double))


def _joined(feature: Feature, total: Column, number: Column) -> Column:
    if feature.kind in ("count", "distinct"):
        return total
    return sa.case((number > 0, _exact(_mean(total, number) if feature.kind == "avg" else total)))


def _if_keyed(key: Column, found: Column) -> Column:
    return sa.case((key.is_not(None), found))
