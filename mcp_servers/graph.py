"""The graph of transfers: bounded queries, the same for every database.

All moments are bound as parameters, so that no database does time arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import sqlalchemy as sa

from blocks.warehouse import (
    BoundTable,
    ConditionError,
    MappingError,
    Reader,
    WarehouseError,
    bind,
    compile_condition,
    well_formed,
)
from mcp_servers.transfers import (
    ACCOUNT_KINDS,
    ALERT_KINDS,
    TRANSFER_KINDS,
    AccountsTable,
    Alert,
    AlertsTable,
    Direction,
    Neighbour,
    Party,
    Side,
    Transfer,
    TransfersTable,
)

CHUNK = 400
"""Values of one IN list."""
MOST_ROWS = 20_000
"""Rows that one call reads at most."""

_KEY = "warehouse.tables"
_ABSURD = 10**15
"""Amounts from here on, infinity and not-a-number included, are not money."""

Column = sa.ColumnElement[Any]


class Tables(NamedTuple):
    """The mappings that the graph stands on."""

    transfers: TransfersTable
    accounts: AccountsTable | None = None
    alerts: AlertsTable | None = None


class Period(NamedTuple):
    """From and including `since`, up to and without `until`; None is open."""

    since: datetime | None = None
    until: datetime | None = None


class Link(NamedTuple):
    """What one account sent to another in a period."""

    sender: str
    receiver: str
    transfers: int
    total: float
    last: datetime | None


class Graph:
    """The statements over the bound tables."""

    def __init__(self, reader: Reader, tables: Tables) -> None:
        """
        Args:
            reader: an open read.

        Raises:
            MappingError: the mapping doesn't fit the warehouse; names the key at fault.
        """
        self._reader = reader
        self._tables = tables
        given = tables.transfers
        self._transfers = bind(reader, f"{_KEY}.transfers", given.table, given.columns, TRANSFER_KINDS)
        columns = self._transfers.columns
        self._id, self._time, self._amount = columns["transfer_id"], columns["time"], columns["amount"]
        self._end: Mapping[Direction, Column] = {"out": columns["sender"], "in": columns["receiver"]}
        self._far: Mapping[Direction, Column] = {"out": columns["receiver"], "in": columns["sender"]}

    @property
    def currency(self) -> str:
        """The currency of all sums."""
        return self._tables.transfers.currency

    def parties(self, ids: Iterable[str]) -> dict[str, Party]:
        """The registered accounts of these ids; those that are not registered are absent."""
        found: dict[str, Party] = {}
        if self._accounts is None:
            return found
        column = self._accounts.columns["account"]
        for chunk in _chunks(ids):
            for row in self._reader.rows(self._party_rows().where(column.in_(self._values(column, chunk)))):
                party = _party(row)
                found.setdefault(party.id, party)
        return found

    def of_customer(self, customer: str, limit: int) -> list[Party]:
        """A customer's accounts by id, at most `limit`.

        Raises:
            WarehouseError: the config maps no customers.
        """
        if self._accounts is None or "customer" not in self._accounts.columns:
            raise WarehouseError(
                "customers are unknown here; map customer in warehouse.tables.accounts, or ask by account"
            )
        column = self._accounts.columns["customer"]
        statement = self._party_rows().where(column.in_(self._values(column, [customer])))
        rows = self._reader.rows(statement.order_by(self._accounts.columns["account"]).limit(limit))
        return [_party(row) for row in rows]

    def open_alerts(self, limit: int) -> list[Alert]:
        """Alerts that nobody has looked at, the newest first.

        Raises:
            WarehouseError: the config maps no alerts.
        """
        bound, table = self._alerts
        statement = self._alert_rows(bound).order_by(bound.columns["time"].desc(), bound.columns["alert_id"])
        if table.open_when:
            statement = statement.where(self._condition(bound, table.open_when, "account_alerts.open_when"))
        return [_alert(row) for row in self._reader.rows(statement.limit(limit), limit)]

    def alert(self, id: str) -> Alert | None:
        """The alert of that id.

        Raises:
            WarehouseError: the config maps no alerts.
        """
        bound, _ = self._alerts
        column = bound.columns["alert_id"]
        rows = self._reader.rows(
            self._alert_rows(bound).where(column.in_(self._values(column, [id]))).limit(1)
        )
        return _alert(rows[0]) if rows else None

    def transfers(self, ids: Iterable[str]) -> list[Transfer]:
        """The transfers of these ids, in the order of time; an id may stand for several."""
        found: list[Transfer] = []
        for chunk in _chunks(ids):
            statement = self._rows().where(self._id.in_(self._values(self._id, chunk)))
            found += self._read(statement.limit(MOST_ROWS))
        return sorted(found, key=lambda one: (one.time, one.id))

    def sides(self, accounts: Iterable[str], direction: Direction, period: Period) -> dict[str, Side]:
        """What came in to, or went out of, each account in a period; those without a transfer are absent."""
        end, far = self._end[direction], self._far[direction]
        found: dict[str, Side] = {}
        for chunk in _chunks(accounts):
            statement = (
                sa.select(
                    end.label("party"),
                    sa.func.count().label("number"),
                    sa.func.sum(self._value).label("total"),
                    sa.func.count(sa.distinct(far)).label("counterparties"),
                    sa.func.min(self._time).label("first"),
                    sa.func.max(self._time).label("last"),
                    sa.func.count(self._value).label("priced"),
                )
                .where(end.in_(self._values(end, chunk)), *self._inside(period))
                .group_by(end)
            )
            for row in self._reader.rows(statement, CHUNK):
                found[str(row.party)] = Side(
                    count=row.number,
                    total=_money(row.total),
                    counterparties=row.counterparties,
                    first=row.first,
                    last=row.last,
                    unpriced=row.number - row.priced,
                )
        return found

    def neighbours(
        self, account: str, direction: Direction, period: Period, limit: int
    ) -> tuple[list[Neighbour], int]:
        """An account's counterparties, the largest sums first, at most `limit`; and how many there are."""
        far, end = self._far[direction], self._end[direction]
        total = sa.func.sum(self._value)
        inside = (end.in_(self._values(end, [account])), *self._inside(period))
        statement = (
            sa.select(
                far.label("party"),
                sa.func.count().label("number"),
                total.label("total"),
                sa.func.min(self._time).label("first"),
                sa.func.max(self._time).label("last"),
            )
            .where(*inside)
            .group_by(far)
            .order_by(sa.func.coalesce(total, 0).desc(), sa.func.coalesce(sa.cast(far, sa.String), ""))
            .limit(limit)
        )
        rows = self._reader.rows(statement, limit)
        all_ = len(rows)
        if all_ == limit:
            all_ = int(self._reader.one(sa.select(sa.func.count(sa.distinct(far))).where(*inside))[0])
        return [
            Neighbour(
                counterparty=_text(row.party),
                direction=direction,
                count=row.number,
                total=_money(row.total),
                first=row.first,
                last=row.last,
            )
            for row in rows
        ], all_

    def links(self, direction: Direction, accounts: Iterable[str], period: Period, limit: int) -> list[Link]:
        """Who the accounts sent to (`out`) or received from (`in`), by pair, the largest sums first."""
        end, far = self._end["out"], self._far["out"]
        found: list[Link] = []
        for chunk in _chunks(accounts):
            column = self._end[direction]
            total = sa.func.sum(self._value)
            statement = (
                sa.select(
                    end.label("sender"),
                    far.label("receiver"),
                    sa.func.count().label("number"),
                    total.label("total"),
                    sa.func.max(self._time).label("last"),
                )
                .where(column.in_(self._values(column, chunk)), *self._inside(period))
                .group_by(end, far)
                .order_by(sa.func.coalesce(total, 0).desc())
                .limit(limit)
            )
            found += [
                Link(_text(row.sender), _text(row.receiver), row.number, _money(row.total), row.last)
                for row in self._reader.rows(statement, limit)
            ]
        return sorted(found, key=lambda link: (-link.total, link.sender, link.receiver))[:limit]

    def moved(
        self,
        direction: Direction,
        accounts: Iterable[str],
        period: Period,
        limit: int,
        least: float = 0.0,
        newest: bool = True,
    ) -> tuple[list[Transfer], bool]:
        """Transfers that accounts sent (`out`) or received (`in`), and whether there are more than `limit`.

        Args:
            least: without those below so much; those without a rate are left out then.
            newest: which are kept if there are too many: the newest, or else the oldest.
        """
        column = self._end[direction]
        found: list[Transfer] = []
        cut = False
        for chunk in _chunks(accounts):
            statement = self._rows().where(column.in_(self._values(column, chunk)), *self._inside(period))
            if least > 0:
                statement = statement.where(self._value >= least)
            order = self._time.desc() if newest else self._time
            rows = self._read(statement.order_by(order, self._id).limit(limit + 1))
            cut = cut or len(rows) > limit
            found += rows[:limit]
        found.sort(key=lambda one: (one.time, one.id), reverse=newest)
        cut = cut or len(found) > limit
        return sorted(found[:limit], key=lambda one: (one.time, one.id)), cut

    def buckets(self, account: str, bounds: Sequence[datetime]) -> list[dict[str, float]]:
        """What came in and went out between each two bounds: count_in, total_in, count_out, total_out."""
        inside = Period(bounds[0], bounds[-1])
        rows = []
        for direction in ("in", "out"):
            end = self._end[direction]
            columns: list[Column] = []
            for place, (since, until) in enumerate(pairwise(bounds)):
                here = sa.and_(*self._times(Period(since, until)))
                columns.append(sa.func.sum(sa.case((here, 1), else_=0)).label(f"count_{place}"))
                columns.append(sa.func.sum(sa.case((here, self._value), else_=0)).label(f"total_{place}"))
            statement = sa.select(*columns)
            rows.append(
                self._reader.one(
                    statement.where(end.in_(self._values(end, [account])), *self._inside(inside))
                )
            )
        return [
            {
                "count_in": int(rows[0][2 * place] or 0),
                "total_in": _money(rows[0][2 * place + 1]),
                "count_out": int(rows[1][2 * place] or 0),
                "total_out": _money(rows[1][2 * place + 1]),
            }
            for place in range(len(bounds) - 1)
        ]

    def malformed(self, account: str) -> int:
        """An account's transfers whose time can't be read; nothing else counts them."""
        total = 0
        for end in self._end.values():
            own = end.in_(self._values(end, [account]))
            statement = sa.select(sa.func.count()).where(own, sa.not_(self._sound))
            total += int(self._reader.one(statement)[0])
        return total

    @cached_property
    def _sound(self) -> sa.ColumnElement[bool]:
        return sa.and_(self._time.is_not(None), well_formed(self._time))

    @cached_property
    def _value(self) -> Column:
        """The amount in the reporting currency; null without a rate, and where it is no money."""
        table = self._tables.transfers
        sound = sa.and_(self._amount > -_ABSURD, self._amount < _ABSURD)
        if "currency" not in table.columns:
            return sa.case((sound, self._amount), else_=sa.null())
        currency = self._transfers.columns["currency"]
        own = sa.or_(currency.is_(None), currency == table.currency)
        others = [
            (sa.and_(currency == name, sound), self._amount * rate)
            for name, rate in table.rates.items()
            if name != table.currency
        ]
        return sa.case((sa.and_(own, sound), self._amount), *others, else_=sa.null())

    @cached_property
    def _cash(self) -> Column:
        condition = self._tables.transfers.cash_when
        if not condition:
            return sa.false()
        return self._condition(self._transfers, condition, "transfers.cash_when")

    @cached_property
    def _accounts(self) -> BoundTable | None:
        table = self._tables.accounts
        if table is None:
            return None
        return bind(self._reader, f"{_KEY}.accounts", table.table, table.columns, ACCOUNT_KINDS)

    @cached_property
    def _alerts(self) -> tuple[BoundTable, AlertsTable]:
        table = self._tables.alerts
        if table is None:
            raise WarehouseError(
                "alerts are unknown here; map warehouse.tables.account_alerts, or ask by account"
            )
        key = f"{_KEY}.account_alerts"
        return bind(self._reader, key, table.table, table.columns, ALERT_KINDS), table

    def _condition(self, bound: BoundTable, condition: str, key: str) -> sa.ColumnElement[bool]:
        try:
            return compile_condition(condition, bound.column)
        except (ConditionError, WarehouseError) as error:
            raise MappingError(f"{_KEY}.{key}", str(error)) from None

    def _rows(self) -> sa.Select[Any]:
        currency = self._transfers.columns.get("currency", sa.literal(self.currency))
        return sa.select(
            self._id.label("id"),
            self._time.label("time"),
            self._end["out"].label("sender"),
            self._end["in"].label("receiver"),
            self._amount.label("amount"),
            currency.label("currency"),
            self._value.label("value"),
            sa.case((self._cash, 1), else_=0).label("cash"),
        ).where(self._sound)

    def _party_rows(self) -> sa.Select[Any]:
        assert self._accounts is not None  # noqa: S101 - callers have looked
        columns, table = self._accounts.columns, self._tables.accounts
        condition = table.business_when if table else ""
        business = (
            self._condition(self._accounts, condition, "accounts.business_when") if condition else sa.false()
        )
        return sa.select(
            columns["account"].label("account"),
            columns.get("customer", sa.literal("")).label("customer"),
            columns.get("country", sa.literal("")).label("country"),
            columns.get("opened_at", sa.null()).label("opened_at"),
            sa.case((business, 1), else_=0).label("business"),
        )

    def _alert_rows(self, bound: BoundTable) -> sa.Select[Any]:
        columns = bound.columns
        return sa.select(
            columns["alert_id"].label("id"),
            columns["account"].label("account"),
            columns["time"].label("time"),
            columns.get("reason", sa.literal("")).label("reason"),
        )

    def _read(self, statement: sa.Select[Any]) -> list[Transfer]:
        rows = self._reader.rows(statement, MOST_ROWS + 1)
        return [_transfer(row, self.currency) for row in rows]

    def _inside(self, period: Period) -> list[sa.ColumnElement[bool]]:
        return [self._sound, *self._times(period)]

    def _times(self, period: Period) -> list[sa.ColumnElement[bool]]:
        kind = self._time.type
        since = [self._time >= sa.literal(period.since, kind)] if period.since else []
        until = [self._time < sa.literal(period.until, kind)] if period.until else []
        return [*since, *until]

    def _values(self, column: Column, ids: Sequence[str]) -> list[Any]:
        """The ids as the column compares them: as numbers where it holds numbers."""
        bounds = [self._transfers, *([self._accounts] if self._accounts is not None else [])]
        if self._tables.alerts is not None:
            bounds.append(self._alerts[0])
        numeric = any(
            column is bound.columns[name]
            for bound in bounds
            for name in bound.numeric
            if name in bound.columns
        )
        return [int(each) if each.isdecimal() else -1 for each in ids] if numeric else list(ids)


def _chunks(ids: Iterable[str]) -> Iterator[list[str]]:
    distinct = list(dict.fromkeys(ids))
    for start in range(0, len(distinct), CHUNK):
        yield distinct[start : start + CHUNK]


def _transfer(row: sa.Row[Any], currency: str) -> Transfer:
    return Transfer(
        id=_text(row.id),
        time=row.time,
        sender=_text(row.sender),
        receiver=_text(row.receiver),
        amount=_money(row.amount),
        currency=_text(row.currency) or currency,
        value=None if row.value is None else _money(row.value),
        cash=bool(row.cash),
    )


def _party(row: sa.Row[Any]) -> Party:
    opened = row.opened_at if isinstance(row.opened_at, datetime) else None
    return Party(
        id=_text(row.account),
        customer=_text(row.customer),
        country=_text(row.country),
        opened_at=opened,
        business=bool(row.business),
    )


def _alert(row: sa.Row[Any]) -> Alert:
    return Alert(id=_text(row.id), subject=_text(row.account), time=row.time, reason=_text(row.reason)[:300])


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _money(value: Any) -> float:
    try:
        number = float(value or 0)
    except (TypeError, ValueError):
        return 0.0
    return round(number, 2) if math.isfinite(number) and abs(number) < _ABSURD else 0.0
