"""Timestamps of a warehouse: each database's own form on one side, UTC-aware datetimes on the other."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.types import TypeDecorator, TypeEngine

Style = Literal["T", " ", "naive", "aware"]
"""ISO text with that separator (SQLite), or a timestamp without or with a time zone."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ISO = re.compile(r"\d{4}-\d\d-\d\d([ T])\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]00:?00)?")


def iso_style(value: object) -> Style | None:
    """The separator of a UTC timestamp in ISO text; None for everything else."""
    match = _ISO.fullmatch(value) if isinstance(value, str) else None
    if not match:
        return None
    return "T" if match[1] == "T" else " "


class Moment(TypeDecorator[datetime]):
    """A UTC-aware datetime, bound to whole seconds.

    Text of one style compares rightly with `<` and `>=` whatever its fraction or zone suffix, because the
    bound value has neither.
    """

    impl = sa.DateTime
    cache_ok = True

    def __init__(self, style: Style) -> None:
        super().__init__()
        self.style = style

    def load_dialect_impl(self, dialect: sa.Dialect) -> TypeEngine[Any]:
        if self.style in ("T", " "):
            return dialect.type_descriptor(sa.String())
        return dialect.type_descriptor(sa.DateTime(timezone=self.style == "aware"))

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> Any:
        if value is None:
            return None
        value = value.astimezone(UTC).replace(microsecond=0)
        if self.style == "aware":
            return value
        value = value.replace(tzinfo=None)
        return value if self.style == "naive" else value.isoformat(sep=self.style)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime | None:
        if isinstance(value, str):
            try:
                value = datetime.fromisoformat(value)
            except ValueError:
                return None
        if not isinstance(value, datetime):
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


class _IsoText(GenericFunction[bool]):
    """Whether an SQLite value is shaped as its column's other values; true on other databases."""

    name = "aspora_iso_text"
    inherit_cache = True
    type = sa.Boolean()


@compiles(_IsoText)
def _always(element: _IsoText, compiler: Any, **options: Any) -> str:
    return "(1 = 1)"


@compiles(_IsoText, "sqlite")
def _by_pattern(element: _IsoText, compiler: Any, **options: Any) -> str:
    (column,) = element.clauses
    text = compiler.process(column, **options)
    separator = column.type.style if isinstance(column.type, Moment) else " "
    pattern = f"'????-??-??{separator}??:??:??*'"
    offset = f"substr({text}, 20) GLOB '*[+-]*' AND substr({text}, 20) NOT GLOB '*[+-]00*00'"
    # CASE, because SQLite evaluates all of an AND or OR whose value is compared.
    return (
        f"CASE WHEN {text} NOT GLOB {pattern} THEN 0 WHEN length({text}) = 19 THEN 1 ELSE NOT ({offset}) END"
    )


def well_formed(column: sa.ColumnElement[datetime]) -> sa.ColumnElement[bool]:
    """Whether a timestamp is one: from 1970 on, and in SQLite text of the column's own style, in UTC."""
    kind = column.type
    since = column >= sa.literal(EPOCH, kind)
    if not isinstance(kind, Moment) or kind.style not in ("T", " "):
        return since
    return sa.and_(since, sa.func.aspora_iso_text(column))
