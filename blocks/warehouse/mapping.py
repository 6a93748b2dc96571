"""Logical tables of the config, found in the warehouse and checked: table, columns, types."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from blocks.warehouse.engine import Reader, WarehouseError
from blocks.warehouse.moment import Moment, Style, iso_style
from blocks.warehouse.refusal import undefined

Kind = Literal["moment", "number", "text", "any"]
"""What a column must hold. `any` reads as text unless it is text or a number."""

_SAMPLE = 200
_TYPES: dict[int, tuple[str, Kind]] = {
    16: ("boolean", "any"),
    19: ("name", "text"),
    20: ("bigint", "number"),
    21: ("smallint", "number"),
    23: ("integer", "number"),
    25: ("text", "text"),
    700: ("real", "number"),
    701: ("double precision", "number"),
    1042: ("char", "text"),
    1043: ("varchar", "text"),
    1082: ("date", "any"),
    1083: ("time", "any"),
    1114: ("timestamp", "moment"),
    1184: ("timestamp with time zone", "moment"),
    1188: ("interval year to month", "any"),
    1190: ("interval day to second", "any"),
    1266: ("time with time zone", "any"),
    1700: ("numeric", "number"),
    2950: ("uuid", "any"),
    3000: ("geometry", "any"),
    3001: ("geography", "any"),
    4000: ("super", "any"),
    6551: ("varbyte", "any"),
}
"""Column types by their number on the wire; from 1188 on, but for numeric and uuid, Redshift's own."""
_STYLES: dict[str, Style] = {"timestamp": "naive", "timestamp with time zone": "aware"}
_WANTED = {
    "moment": "a timestamp in UTC (in SQLite as text such as 2026-02-17 08:00:23)",
    "number": "a number",
    "text": "text",
}


class MappingError(WarehouseError):
    """The config maps something that the warehouse doesn't have. `key` is the config key at fault."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"{key}: {reason}")
        self.key = key


@dataclass(frozen=True)
class BoundTable:
    """A mapped table, ready for queries.

    Attributes:
        source: the physical table.
        columns: logical name → typed expression; optional columns that the config leaves out are absent.
        physical: every column that the table has, by its physical name.
        numeric: logical columns that hold numbers.
    """

    source: sa.TableClause
    columns: Mapping[str, sa.ColumnElement[Any]]
    physical: Mapping[str, sa.ColumnElement[Any]]
    numeric: frozenset[str]

    def column(self, name: str) -> sa.ColumnElement[Any]:
        """A physical column by the name as a condition writes it; WarehouseError with the closest match."""
        found = _match(name, self.physical)
        if found is None:
            raise WarehouseError(_absent("column", name, self.source.fullname, list(self.physical)))
        return self.physical[found]


@dataclass(frozen=True)
class _Found:
    """What a physical column holds."""

    shown: str
    kinds: frozenset[str]
    style: Style = " "


def bind(
    reader: Reader, key: str, table: str, columns: Mapping[str, str], kinds: Mapping[str, Kind]
) -> BoundTable:
    """Finds a logical table's physical one and checks its columns.

    Args:
        reader: an open read.
        key: the config key of the table, such as `warehouse.tables.orders`.
        table: the physical table, schema included.
        columns: logical → physical column.
        kinds: what each logical column must hold.

    Raises:
        MappingError: a missing table, column or a wrong type, under its config key.
    """
    schema, _, name = table.rpartition(".")
    found = _columns(reader, key, table, sa.table(name, schema=schema or None))
    source = sa.table(name, *(sa.column(column) for column in found), schema=schema or None)
    physical = dict(source.columns.items())
    names = {logical: _physical(key, table, logical, columns[logical], found) for logical in columns}
    if reader.sqlite:
        found |= _sampled(reader, source, sorted(set(names.values())))
    for logical, column in names.items():
        _check(f"{key}.columns.{logical}", column, kinds[logical], found[column])
    return BoundTable(
        source=source,
        columns={logical: _typed(physical[c], kinds[logical], found[c]) for logical, c in names.items()},
        physical=physical,
        numeric=frozenset(logical for logical, c in names.items() if found[c].kinds == {"number", "any"}),
    )


def _physical(key: str, table: str, logical: str, name: str, found: Mapping[str, _Found]) -> str:
    match = _match(name, found)
    if match is None:
        raise MappingError(f"{key}.columns.{logical}", _absent("column", name, table, list(found)))
    return match


def _match(name: str, names: Mapping[str, Any]) -> str | None:
    if name in names:
        return name
    folded = [other for other in names if other.lower() == name.lower()]
    return folded[0] if len(folded) == 1 else None


def _absent(what: str, name: str, table: str, names: Sequence[str]) -> str:
    close = get_close_matches(name.lower(), [other.lower() for other in names], n=1, cutoff=0.5)
    hint = f"; did you mean {close[0]}?" if close else ""
    there = ", ".join(names[:30]) + (", …" if len(names) > 30 else "")
    return f"there is no {what} {name} in {table}{hint} There are: {there or 'none'}"


def _columns(reader: Reader, key: str, table: str, source: sa.TableClause) -> dict[str, _Found]:
    statement = sa.select(sa.text("*")).select_from(source).limit(0)
    try:
        with reader.connection.execute(statement) as result:
            cursor: Any = result.cursor
            return {column[0]: _declared(column[1]) for column in cursor.description}
    except DBAPIError as error:
        if not undefined(error):
            raise
        reader.connection.rollback()
        tables = _tables(reader)
        if table.lower() in (known.lower() for known in tables):
            raise
        reason = _absent("table", table, "the warehouse", tables)
        raise MappingError(f"{key}.table", reason) from None


def _declared(code: object) -> _Found:
    shown, kind = _TYPES.get(code if isinstance(code, int) else 0, (f"type {code}", "any"))
    return _Found(shown, frozenset({kind, "any"}), _STYLES.get(shown, " "))


def _tables(reader: Reader) -> list[str]:
    """The tables and views that this user can name, schema included and without."""
    if reader.sqlite:
        catalog = sa.table("sqlite_master", sa.column("name"), sa.column("type"))
        listing = sa.select(catalog.c.name).where(catalog.c.type.in_(["table", "view"]))
        return [row[0] for row in reader.rows(listing.order_by(catalog.c.name).limit(1000))]
    catalog = sa.table(
        "tables", sa.column("table_schema"), sa.column("table_name"), schema="information_schema"
    )
    listing = sa.select(catalog.c.table_schema, catalog.c.table_name)
    listing = listing.where(catalog.c.table_schema.not_in(["pg_catalog", "information_schema"]))
    rows = reader.rows(listing.order_by(catalog.c.table_schema, catalog.c.table_name).limit(1000))
    return [name if schema == "public" else f"{schema}.{name}" for schema, name in rows]


def _sampled(reader: Reader, source: sa.TableClause, names: list[str]) -> dict[str, _Found]:
    """SQLite columns hold any type: look at the first values instead of the declaration."""
    statement = sa.select(*(source.columns[name] for name in names)).limit(_SAMPLE)
    rows = reader.rows(statement)
    return {
        name: _observed([row[index] for row in rows if row[index] is not None])
        for index, name in enumerate(names)
    }


def _observed(values: Sequence[object]) -> _Found:
    if not values:
        return _Found("no values", frozenset({"moment", "number", "text", "any"}))
    styles = Counter(style for style in map(iso_style, values) if style)
    numbers = sum(isinstance(value, int | float) for value in values)
    kinds = {"any", "number" if numbers * 2 > len(values) else "text"}
    if styles.total() * 2 > len(values):
        kinds.add("moment")
    style = styles.most_common(1)[0][0] if styles else " "
    return _Found(f"values such as {values[0]!r:.60}", frozenset(kinds), style)


def _check(key: str, column: str, kind: Kind, found: _Found) -> None:
    if kind in found.kinds:
        return
    remedy = "map another column, or a view that converts it" if kind != "text" else "map another column"
    raise MappingError(key, f"column {column} holds {found.shown}, but {_WANTED[kind]} is needed; {remedy}")


def _typed(column: sa.ColumnElement[Any], kind: Kind, found: _Found) -> sa.ColumnElement[Any]:
    if kind == "moment":
        return sa.type_coerce(column, Moment(found.style))
    if kind == "number" or found.kinds & {"text", "number"}:
        return column
    if found.shown == "boolean":  # which Redshift doesn't cast to text
        return sa.case((column, "true"), (sa.not_(column), "false"))
    return sa.cast(column, sa.String)
