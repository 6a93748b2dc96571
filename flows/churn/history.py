"""Customers at a moment, aggregated in SQL: what they did before it, and whether they left after it.

Nothing after the moment enters what is known of a customer, except the attributes: the warehouse has only
their present value, which is why leaks are looked for among them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from blocks.warehouse import (
    BoundTable,
    ConditionError,
    MappingError,
    Reader,
    WarehouseError,
    bind,
    compile_condition,
)
from flows.churn.columns import (
    Excluded,
    Floats,
    Frame,
    Role,
    as_categories,
    as_numbers,
    role_of,
    text,
)
from flows.churn.protected import looks_protected
from flows.churn.table import CustomersTable, TransfersTable

PAGE = 20_000
"""Rows that are read at a time."""
DAY = 86400.0
MEASURES = ("customers", "transfers", "usage", "complaints", "price_changes", "contacts")

Column = sa.ColumnElement[Any]


@dataclass(frozen=True)
class Tables:
    """The mapped tables; an optional one is None where the config has none."""

    customers: CustomersTable
    transfers: TransfersTable
    usage: Any = None
    complaints: Any = None
    price_changes: Any = None
    contacts: Any = None


@dataclass(frozen=True)
class Snapshot:
    """Customers at a moment.

    Attributes:
        ids: the customers.
        frame: what is known of them, without attributes.
        attributes: name → raw values.
        value: US dollars a year that the company earns by each.
        left: whether each left within the horizon; None where that lies in the future.
        every: one customer in so many was read.
    """

    at: datetime
    ids: Sequence[str]
    frame: Frame
    attributes: Mapping[str, Sequence[Any]]
    value: Floats
    left: NDArray[np.bool_] | None
    every: int = 1


@dataclass(frozen=True)
class Extent:
    """How much there is."""

    customers: int
    doubles: int
    """Rows whose customer stands in another one too."""
    first: datetime | None
    """The oldest transfer."""
    last: datetime | None
    """The newest transfer before the moment."""


class History:
    """The customers of a warehouse.

    Args:
        margin: share of an amount that the company earns, where no revenue is mapped.
    """

    def __init__(
        self, reader: Reader, tables: Tables, look_back: timedelta, horizon: timedelta, margin: float
    ) -> None:
        self._reader = reader
        self._tables = tables
        self._look_back, self._horizon, self._margin = look_back, horizon, margin
        self._bound = {
            name: _bound(reader, name, table)
            for name in MEASURES
            if (table := getattr(tables, name)) is not None
        }

    def extent(self, before: datetime) -> Extent:
        """How many customers there are, and since when they made transfers."""
        customers = self._bound["customers"]
        id = customers.columns["customer"]
        counted = sa.select(sa.func.count(id), sa.func.count(sa.distinct(id))).select_from(customers.source)
        rows, different = self._reader.one(counted)
        time = self._bound["transfers"].columns["time"]
        span = sa.select(sa.func.min(time, type_=time.type), sa.func.max(time, type_=time.type)).select_from(
            self._bound["transfers"].source
        )
        first, last = self._reader.one(span.where(time < _moment(before, time)))
        return Extent(int(rows), int(rows) - int(different), first, last)

    def snapshot(self, at: datetime, outcome: bool, most: int, customers: int) -> Snapshot:
        """The customers at a moment who had not left.

        Args:
            outcome: whether it is known who left within the horizon.
            most: of more customers, every second, third … by their id is taken.
            customers: how many there are.
        """
        every = max(1, ceil(customers / most))
        statement = self._statement(at, outcome, every)
        names = [column.name for column in statement.selected_columns]
        pages: dict[str, list[Any]] = {name: [] for name in names}
        for page in self._pages(statement):
            for name, values in zip(names, zip(*page, strict=True), strict=True):
                pages[name].append(_read(name, values, at))
        return self._read(at, pages, outcome, every)

    def off_limits(self, at: datetime, within: timedelta, most: int) -> dict[str, str]:
        """The customers who may not be written to now, with the reason. Contacts after the moment count."""
        customers = self._bound["customers"]
        id = _text(customers.columns["customer"])
        condition = self._tables.customers.contact_when
        found: dict[str, str] = {}
        allowed = _condition("customers", "contact_when", condition, customers) if condition else sa.false()
        refused = sa.select(id).where(sa.or_(sa.not_(allowed), allowed.is_(None)))
        for page in self._pages(refused):
            found |= {str(row[0]): "opted out" for row in page}
        if "left_at" in customers.columns:
            gone = sa.select(id).where(customers.columns["left_at"].is_not(None))
            for page in self._pages(gone):
                found |= {str(row[0]): "left" for row in page}
        if contacts := self._bound.get("contacts"):
            whom, time = _text(contacts.columns["customer"]), contacts.columns["time"]
            written = sa.select(whom).where(time >= _moment(at - within, time)).group_by(whom)
            for page in self._pages(written.having(sa.func.count() >= most)):
                found |= {str(row[0]): "contacted lately" for row in page if str(row[0]) not in found}
        return found

    def last_contacts(self) -> dict[str, datetime]:
        """When each customer was written to last; customers who never were are absent."""
        contacts = self._bound.get("contacts")
        if contacts is None:
            return {}
        whom, time = _text(contacts.columns["customer"]), contacts.columns["time"]
        newest = sa.select(whom, sa.func.max(time, type_=time.type)).group_by(whom)
        return {str(row[0]): row[1] for page in self._pages(newest) for row in page if row[1]}

    def _pages(self, statement: sa.Select[Any]) -> Iterator[Sequence[sa.Row[Any]]]:
        with self._reader.connection.execution_options(yield_per=PAGE).execute(statement) as result:
            yield from result.partitions(PAGE)

    def _statement(self, at: datetime, outcome: bool, every: int) -> sa.Select[Any]:
        base = self._present(at, every).subquery("aspora_customers")
        parts = [self._transfers(at, outcome), *self._others(at)]
        selected: list[Any] = [*base.c]
        joined: sa.FromClause = base
        for part in parts:
            joined = joined.outerjoin(part, base.c.customer == part.c.customer)
            selected += [column for column in part.c if column.name != "customer"]
        statement = sa.select(*selected).select_from(joined)
        if "left_at" not in self._bound["customers"].columns:
            statement = statement.where(parts[0].c.transfers > 0)
        return statement

    def _present(self, at: datetime, every: int) -> sa.Select[Any]:
        """The customers who had joined and not left."""
        table = self._bound["customers"]
        id, joined = table.columns["customer"], table.columns["joined_at"]
        columns = [_text(id).label("customer"), joined.label("joined_at")]
        wanted: list[Any] = [sa.or_(joined.is_(None), joined < _moment(at, joined))]
        if "left_at" in table.columns:
            gone = table.columns["left_at"]
            wanted.append(sa.or_(gone.is_(None), gone >= _moment(at, gone)))
            soon = gone < _moment(at + self._horizon, gone)
            columns.append(sa.case((soon, 1), else_=0).label("gone"))
        for place, (name, physical) in enumerate(self._tables.customers.attributes.items()):
            columns.append(self._attribute(name, physical).label(f"attribute_{place}"))
        selected = sa.select(*columns).where(*wanted)
        if every == 1:
            return selected
        numbered = sa.select(*columns, sa.func.row_number().over(order_by=id).label("place")).where(*wanted)
        rows = numbered.subquery("aspora_numbered")
        kept = [column for column in rows.c if column.name != "place"]
        return sa.select(*kept).where(rows.c.place % every == 0)

    def _attribute(self, name: str, physical: str) -> Column:
        try:
            return self._bound["customers"].column(physical)
        except WarehouseError as error:
            raise MappingError(f"warehouse.tables.churn_customers.attributes.{name}", str(error)) from None

    def _transfers(self, at: datetime, outcome: bool) -> sa.Subquery:
        table = self._bound["transfers"]
        time, amount = table.columns["time"], table.columns["amount"]
        condition = self._tables.transfers.failed_when
        failed: Any = sa.false()
        if condition:
            failed = sa.func.coalesce(_condition("transfers", "failed_when", condition, table), sa.false())
        before, recent = time < _moment(at, time), time >= _moment(at - self._look_back / 2, time)
        earned = table.columns["revenue"] if "revenue" in table.columns else amount * self._margin
        done = sa.and_(before, sa.not_(failed))
        until = at + self._horizon if outcome else at
        columns = [
            _text(table.columns["customer"]).label("customer"),
            _count(done).label("transfers"),
            _count(sa.and_(done, recent)).label("transfers_recent"),
            sa.func.sum(sa.case((done, amount), else_=0)).label("amount"),
            sa.func.sum(sa.case((done, earned), else_=0)).label("earned"),
            sa.func.max(sa.case((done, time)), type_=time.type).label("last_at"),
            _count(sa.and_(before, failed)).label("failed"),
            _count(sa.and_(before, failed, recent)).label("failed_recent"),
            _count(sa.and_(sa.not_(before), sa.not_(failed))).label("after"),
        ]
        return self._grouped("transfers", columns, at - self._look_back, until)

    def _others(self, at: datetime) -> list[sa.Subquery]:
        found = []
        if usage := self._bound.get("usage"):
            time, sessions = usage.columns["time"], usage.columns["sessions"]
            recent = time >= _moment(at - self._look_back / 2, time)
            columns = [
                _text(usage.columns["customer"]).label("customer"),
                sa.func.sum(sa.case((recent, sessions), else_=0)).label("sessions_recent"),
                sa.func.sum(sa.case((recent, 0), else_=sessions)).label("sessions_before"),
            ]
            found.append(self._grouped("usage", columns, at - self._look_back, at))
        if complaints := self._bound.get("complaints"):
            columns = [
                _text(complaints.columns["customer"]).label("customer"),
                sa.func.count().label("complaints"),
            ]
            found.append(self._grouped("complaints", columns, at - self._look_back, at))
        if changes := self._bound.get("price_changes"):
            columns = [
                _text(changes.columns["customer"]).label("customer"),
                sa.func.sum(changes.columns["percent"]).label("price_rise"),
            ]
            found.append(self._grouped("price_changes", columns, at - self._look_back, at))
        return found

    def _grouped(self, name: str, columns: Sequence[Any], since: datetime, until: datetime) -> sa.Subquery:
        table = self._bound[name]
        time = table.columns["time"]
        selected = sa.select(*columns).select_from(table.source)
        selected = selected.where(time >= _moment(since, time), time < _moment(until, time))
        return selected.group_by(columns[0].element).subquery(f"aspora_{name}")

    def _read(self, at: datetime, pages: Mapping[str, list[Any]], outcome: bool, every: int) -> Snapshot:
        def whole(name: str) -> Floats:
            return np.concatenate(pages[name]) if pages[name] else np.zeros(0)

        def measured(name: str) -> Floats:
            return np.nan_to_num(whole(name))

        days = self._look_back.total_seconds() / DAY
        transfers = measured("transfers")
        numbers = {
            "days_since_joining": whole("joined_at"),
            "transfers": transfers,
            "transfer_trend": _trend(measured("transfers_recent"), transfers),
            "days_since_transfer": np.nan_to_num(whole("last_at"), nan=days),
            "average_amount": measured("amount") / np.maximum(transfers, 1),
            "failed_payments": measured("failed"),
            "failed_payments_recent": measured("failed_recent"),
        }
        if "sessions_recent" in pages:
            recent, before = measured("sessions_recent"), measured("sessions_before")
            numbers["sessions"] = recent
            numbers["session_trend"] = _trend(recent, recent + before)
        for name in ("complaints", "price_rise"):
            if name in pages:
                numbers[name] = measured(name)
        left = None
        if outcome:
            left = measured("gone") > 0 if "gone" in pages else measured("after") == 0
        names = self._tables.customers.attributes
        return Snapshot(
            at=at,
            ids=[id for page in pages["customer"] for id in page],
            frame=Frame(numbers, {}, len(transfers)),
            attributes={
                name: [value for page in pages[f"attribute_{place}"] for value in page]
                for place, name in enumerate(names)
            },
            value=measured("earned") * 365 / days,
            left=left,
            every=every,
        )


def attributed(snapshots: Sequence[Snapshot]) -> tuple[list[Snapshot], list[Excluded]]:
    """The snapshots with their attributes among what is known, and the attributes that no model may use."""
    excluded, roles = [], {}
    for name in snapshots[0].attributes:
        values = [value for each in snapshots for value in each.attributes[name]]
        role, reason = role_of(name, values)
        if what := looks_protected(name, {text(value) for value in values[:10_000]}):
            excluded.append(Excluded(name, Role.protected, f"looks like {what}"))
        elif role in (Role.id, Role.constant):
            excluded.append(Excluded(name, role, reason))
        else:
            roles[name] = role
    return [_widened(each, roles) for each in snapshots], excluded


def _widened(snapshot: Snapshot, roles: Mapping[str, Role]) -> Snapshot:
    numbers = dict(snapshot.frame.numbers)
    categories = dict(snapshot.frame.categories)
    for name, role in roles.items():
        values = snapshot.attributes[name]
        if role == Role.number:
            numbers[name] = as_numbers(values)
        else:
            categories[name] = as_categories(values)
    return Snapshot(**{**snapshot.__dict__, "frame": Frame(numbers, categories, snapshot.frame.rows)})


def _bound(reader: Reader, name: str, table: Any) -> BoundTable:
    kinds = {column: table.kinds[column] for column in table.columns}
    return bind(reader, f"warehouse.tables.churn_{name}", table.table, table.columns, kinds)


def _condition(name: str, key: str, text: str, table: BoundTable) -> Any:
    try:
        return compile_condition(text, table.column)
    except (ConditionError, WarehouseError) as error:
        raise MappingError(f"warehouse.tables.churn_{name}.{key}", str(error)) from None


def _moment(at: datetime, column: Column) -> Column:
    return sa.literal(at, column.type)


def _text(column: Column) -> Column:
    return sa.cast(column, sa.String)


def _count(condition: Any) -> Column:
    return sa.func.sum(sa.case((condition, 1), else_=0))


def _trend(recent: Floats, both: Floats) -> Floats:
    """The newer half's share of both halves, drawn to a half where there is little: 0.5 is steady."""
    return (recent + 1) / (both + 2)


def _read(name: str, values: Sequence[Any], at: datetime) -> Any:
    """A page of one column: days for moments, floats for measures, the rest as it is."""
    if name in ("joined_at", "last_at"):
        return _days(at, values)
    if name == "customer":
        return [str(value) for value in values]
    if name.startswith("attribute_"):
        return [sys.intern(value) if isinstance(value, str) else value for value in values]
    return np.array(values, dtype=np.float64)


def _days(at: datetime, moments: Sequence[datetime | None]) -> Floats:
    stamp = at.timestamp()
    days = [np.nan if moment is None else (stamp - moment.timestamp()) / DAY for moment in moments]
    return np.array(days, dtype=np.float64)
