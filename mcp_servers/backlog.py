"""Which orders are stuck: the queries, the same for every database.

An order is stuck when it is open and entered its stage longer ago than the stage's SLA. All moments are
computed here and bound as parameters, so that no database does time arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from blocks.warehouse import EPOCH, MappingError, Reader, WarehouseError, bind, compile_condition, well_formed
from mcp_servers.orders import KINDS, NO_STAGE, OrdersTable

KEY = "warehouse.tables.orders"
CLOCK_SKEW = timedelta(minutes=5)
"""How far in the future a timestamp may lie before it counts as wrong."""
FRESH = timedelta(hours=1)
"""An open order that is younger shows that the data is current."""

_DAY = timedelta(days=1)
_PROBE = 1000
"""Rows looked at to guess the share of open orders."""
_CROWDED = 0.05
"""Share of open orders from which on SQLite is quicker with two passes."""
_ABSURD = 10**15
"""Amounts from here on, infinity and not-a-number included, are not money."""


@dataclass(frozen=True)
class Health:
    """Counts of open orders and of what is wrong with them."""

    open_orders: int
    no_time: int
    future: int
    malformed: int
    no_stage: int
    negative: int
    """Of the stuck orders counted; so is `absurd`."""
    absurd: int
    newest: datetime | None
    """The newest timestamp of an open order within the last hour and not in the future."""


class Backlog:
    """The statements for one moment, over the bound order table."""

    def __init__(
        self,
        reader: Reader,
        table: OrdersTable,
        as_of: datetime,
        stage: str = "",
        critical_only: bool = False,
    ) -> None:
        """
        Args:
            reader: an open read.
            table: the mapping.
            as_of: the moment to look from, UTC, in whole seconds.
            stage: only this stage; `(none)` for orders without one; all if empty.
            critical_only: only critical orders.

        Raises:
            MappingError: the mapping doesn't fit the warehouse; names the key at fault.
        """
        self._reader = reader
        self._table = table
        self._as_of = as_of
        self._bound = bind(reader, KEY, table.table, table.columns, KINDS)
        columns = self._bound.columns
        self._order_id: sa.ColumnElement[Any] = columns["order_id"]
        self._stage: sa.ColumnElement[Any] = columns["stage"]
        self._entered: sa.ColumnElement[datetime] = columns["entered_at"]
        self._amount: sa.ColumnElement[Any] = columns["amount"]
        self._open = self._condition("open_when", default=sa.true())
        self._critical = self._condition("critical_when", default=sa.false())
        self._only = stage
        self._critical_only = critical_only

    def summary(self, cap: int) -> tuple[Health, list[sa.Row[Any]]]:
        """Counts over all open orders, and a row a stage that has stuck ones, the most critical first.

        A stage's row has stage (empty for orders without one), stuck, critical, amount, negative, absurd,
        onset, lowest, highest and lowest_critical (order ids); and without `left_at` before_1…: how many of
        its stuck orders were beyond the SLA that many days ago already.

        It is one pass over the table, or two where SQLite would sort very many open orders to group them.
        """
        if self._crowded():
            opened = self._opened()
            facts = self._reader.rows(sa.select(*self._facts(opened)))
            stuck = self._opened(*self._stuck())
            rows = self._reader.rows(self._by_stage(stuck), cap)
        else:
            opened = self._opened()
            grouped = self._by_stage(opened).add_columns(*self._facts(opened))
            facts = self._reader.rows(grouped, cap)
            rows = [row for row in facts if row.stage is not None]
        return _health(facts, rows), sorted(rows, key=lambda row: (-row.critical, -row.stuck, row.stage))

    def history(self, cap: int) -> dict[str, list[int]]:
        """The stuck orders of each stage at this hour of the previous days, newest first; needs `left_at`."""
        left: sa.ColumnElement[datetime] = self._bound.columns["left_at"]
        kind = left.type
        days = range(1, self._table.trend.days + 1)
        was_stuck = []
        for k in days:
            moment = self._as_of - k * _DAY
            there = sa.or_(left >= sa.literal(moment, kind), sa.and_(left.is_(None), self._open))
            was_stuck.append(sa.and_(there, *self._beyond(self._stage, self._entered, k)))
        oldest = self._as_of - self._table.trend.days * _DAY
        rows = (
            sa.select(
                _blank_as_null(self._stage).label("stage"),
                *(
                    sa.case((condition, 1), else_=0).label(f"day_{k}")
                    for k, condition in zip(days, was_stuck, strict=True)
                ),
            )
            .where(
                sa.or_(left >= sa.literal(oldest, kind), sa.and_(left.is_(None), self._open)),
                self._entered < self._latest(1),
                sa.or_(*was_stuck),
                well_formed(self._entered),
                *self._wanted(self._stage, self._critical),
            )
            .subquery("past")
        )
        sums = [sa.func.sum(rows.c[f"day_{k}"]) for k in days]
        statement = sa.select(rows.c.stage, *sums).group_by(rows.c.stage)
        return {label(row[0]): [int(n) for n in row[1:]] for row in self._reader.rows(statement, cap)}

    def newest(self) -> datetime | None:
        """The newest timestamp in the whole table that is not in the future."""
        found = []
        for name in ("entered_at", "left_at"):
            if name in self._bound.columns:
                column = self._bound.columns[name]
                limit = self._literal(self._as_of + CLOCK_SKEW, column)
                found.append(self._reader.one(sa.select(sa.func.max(column)).where(column < limit))[0])
        return max((moment for moment in found if moment), default=None)

    def days_covered(self, known: datetime) -> int:
        """How many of the previous days the table reaches back to, at most the trend's.

        Args:
            known: a time in the table, from which on no older one is looked for.
        """
        days = self._table.trend.days
        longest = max(self._table.stage_sla.values())
        if self._older(self._as_of - (days + 1) * _DAY - longest, sa.literal(1), limit=1):
            return days
        (found,) = self._older(known, sa.func.min(self._entered, type_=self._entered.type))
        oldest: datetime = found[0] or known
        return max(0, min(days, (self._as_of - longest - oldest) // _DAY - 1))

    def _older(
        self, than: datetime, what: sa.ColumnElement[Any], limit: int | None = None
    ) -> Sequence[sa.Row[Any]]:
        older = self._entered < self._literal(than, self._entered)
        statement = sa.select(what).select_from(self._bound.source).where(older, well_formed(self._entered))
        return self._reader.rows(statement.limit(limit))

    def orders(self, limit: int, after: str) -> Sequence[sa.Row[Any]]:
        """Stuck orders by id, from after an id: order_id, stage, entered_at, amount, critical, priority."""
        statement = sa.select(*self._order_columns()).where(
            self._open,
            *self._stuck(),
            self._order_id.is_not(None),
        )
        if "priority" in self._bound.columns:
            statement = statement.add_columns(self._bound.columns["priority"].label("priority"))
        if after:
            statement = statement.where(self._order_id > self._cursor(after))
        return self._reader.rows(statement.order_by(self._order_id).limit(limit), limit)

    def knows(self, stage: str) -> bool:
        """Whether any order, open or not, is or was in the stage."""
        found = sa.select(sa.literal(1)).select_from(self._bound.source).where(_in_stage(self._stage, stage))
        return bool(self._reader.rows(found.limit(1)))

    def names(self, cap: int) -> list[str]:
        """Stages that open orders are in, the fullest first."""
        stage = sa.select(_blank_as_null(self._stage).label("stage")).where(self._open).subquery("open")
        statement = sa.select(stage.c.stage).group_by(stage.c.stage).order_by(sa.func.count().desc())
        return [label(row[0]) for row in self._reader.rows(statement.limit(cap))]

    def _condition(self, key: str, default: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
        text = getattr(self._table, key)
        if not text:
            return default
        try:
            return compile_condition(text, self._bound.column)
        except WarehouseError as error:
            raise MappingError(f"{KEY}.{key}", str(error)) from None

    def _crowded(self) -> bool:
        """Whether the first orders suggest that so many are open that a second pass costs less than sorting.

        SQLite sorts to group; the others hash.
        """
        if not self._reader.sqlite:
            return False
        first = sa.select(sa.case((self._open, 1), else_=0).label("open")).select_from(self._bound.source)
        probe = first.limit(_PROBE).subquery("first")
        count, opened = self._reader.one(sa.select(sa.func.count(), sa.func.sum(probe.c.open)))
        return bool(count) and opened > count * _CROWDED

    def _opened(self, *only: sa.ColumnElement[bool]) -> sa.Subquery:
        """Open orders; `stuck_stage` is null for those that are not stuck, and empty without a stage."""
        stage = sa.func.coalesce(self._stage, "", type_=sa.String())
        stuck_stage = stage if only else sa.case((sa.and_(*self._stuck()), stage))
        columns = [*self._order_columns(), stuck_stage.label("stuck_stage")]
        return sa.select(*columns).where(self._open, *only).subquery("opened")

    def _stuck(self) -> list[sa.ColumnElement[bool]]:
        return [
            *self._beyond(self._stage, self._entered),
            *self._wanted(self._stage, self._critical),
            well_formed(self._entered),
        ]

    def _facts(self, opened: sa.Subquery) -> list[sa.Label[Any]]:
        entered: sa.ColumnElement[datetime] = opened.c.entered_at
        late = self._literal(self._as_of + CLOCK_SKEW, entered)
        recent = self._literal(self._as_of - FRESH, entered)
        sound = well_formed(entered)
        return [
            sa.func.count().label("open_orders"),
            sa.func.count(entered).label("timed"),
            _count_if(sound).label("sound"),
            _count_if(sa.and_(entered >= late, sound)).label("future"),
            _count_if(opened.c.stage != "").label("staged"),
            sa.func.max(sa.case((sa.and_(entered > recent, entered < late, sound), entered))).label("newest"),
        ]

    def _by_stage(self, opened: sa.Subquery) -> sa.Select[Any]:
        """One row a stage; orders that are not stuck are a row without one, whose figures mean nothing."""
        columns = opened.c
        sound = columns.entered_at >= self._literal(EPOCH, columns.entered_at)
        before = [] if "left_at" in self._bound.columns else range(1, self._table.trend.days + 2)
        return sa.select(
            columns.stuck_stage.label("stage"),
            sa.func.count().label("stuck"),
            sa.func.sum(columns.critical).label("critical"),
            sa.func.sum(_usable(columns.amount)).label("amount"),
            _count_if(columns.amount < 0).label("negative"),
            _count_if(columns.amount >= _ABSURD).label("absurd"),
            sa.func.min(sa.case((sound, columns.entered_at))).label("onset"),
            sa.func.min(columns.order_id).label("lowest"),
            sa.func.max(columns.order_id).label("highest"),
            sa.func.min(sa.case((columns.critical == 1, columns.order_id))).label("lowest_critical"),
            *(
                _count_if(sa.and_(*self._beyond(columns.stage, columns.entered_at, k))).label(f"before_{k}")
                for k in before
            ),
        ).group_by(columns.stuck_stage)

    def _order_columns(self) -> list[sa.Label[Any]]:
        return [
            self._order_id.label("order_id"),
            self._stage.label("stage"),
            self._entered.label("entered_at"),
            self._amount.label("amount"),
            sa.case((self._critical, 1), else_=0).label("critical"),
        ]

    def _beyond(
        self, stage: sa.ColumnElement[Any], entered: sa.ColumnElement[datetime], days: int = 0
    ) -> list[sa.ColumnElement[bool]]:
        """Beyond the SLA that many days ago; the constant, where it says no, spares looking at the stage."""
        cutoff = entered < self._cutoff(days, stage)
        return (
            [cutoff]
            if len(set(self._table.stage_sla.values())) == 1
            else [entered < self._latest(days), cutoff]
        )

    def _wanted(
        self, stage: sa.ColumnElement[Any], critical: sa.ColumnElement[bool]
    ) -> list[sa.ColumnElement[bool]]:
        wanted = [critical] if self._critical_only else []
        return [*wanted, _in_stage(stage, self._only)] if self._only else wanted

    def _literal(self, moment: datetime, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        return sa.literal(moment, column.type)

    def _latest(self, days: int) -> sa.ColumnElement[Any]:
        shortest = min(self._table.stage_sla.values())
        return sa.literal(self._as_of - days * _DAY - shortest, self._entered.type)

    def _cutoff(self, days: int, stage: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """The moment before which an order must have entered its stage to be stuck that many days ago."""
        by_sla: dict[timedelta, list[str]] = {}
        for name, sla in self._table.stage_sla.items():
            by_sla.setdefault(sla, []).append(name)
        default = self._table.stage_sla["default"]
        by_sla.pop(default)
        moment = self._as_of - days * _DAY
        kind = self._entered.type
        otherwise = sa.literal(moment - default, kind)
        whens = [(stage.in_(names), sa.literal(moment - sla, kind)) for sla, names in by_sla.items()]
        return sa.case(*whens, else_=otherwise) if whens else otherwise

    def _cursor(self, after: str) -> Any:
        if "order_id" not in self._bound.numeric:
            return after
        try:
            return int(after)
        except ValueError:
            raise WarehouseError(
                f"after={after!r} is no order id; pass next_after of the page before"
            ) from None


def label(stage: object) -> str:
    """A stage as reports name it."""
    return NO_STAGE if stage is None or stage == "" else str(stage)


def _health(facts: Sequence[sa.Row[Any]], stages: Sequence[sa.Row[Any]]) -> Health:
    open_orders, timed, sound = (_sum(facts, name) for name in ("open_orders", "timed", "sound"))
    return Health(
        open_orders=open_orders,
        no_time=open_orders - timed,
        future=_sum(facts, "future"),
        malformed=timed - sound,
        no_stage=open_orders - _sum(facts, "staged"),
        negative=_sum(stages, "negative"),
        absurd=_sum(stages, "absurd"),
        newest=max((row.newest for row in facts if row.newest), default=None),
    )


def _sum(rows: Sequence[sa.Row[Any]], name: str) -> int:
    return sum(int(row._mapping[name] or 0) for row in rows)


def _blank_as_null(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    return sa.func.nullif(column, "", type_=sa.String())


def _in_stage(column: sa.ColumnElement[Any], stage: str) -> sa.ColumnElement[bool]:
    return _blank_as_null(column).is_(None) if stage == NO_STAGE else column == stage


def _usable(amount: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    return sa.case((sa.and_(amount > 0, amount < _ABSURD), amount))


def _count_if(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.count(sa.case((condition, 1)))
