"""Column types of the platform database: UTC times, JSON and text that every database accepts."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from pydantic_core import PydanticSerializationError, to_json, to_jsonable_python
from sqlalchemy import JSON, DateTime, Dialect, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """Aware datetimes in, aware UTC datetimes out; a naive one is a ValueError.

    SQLite stores `YYYY-MM-DD HH:MM:SS.ffffff`, which sorts and compares with its own `datetime('now')`.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """The value in UTC; without its zone where the database keeps none."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value.isoformat()} has no time zone; times in the record are UTC-aware")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """The stored time with UTC as its zone."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class PlainText(TypeDecorator[str]):
    """Text whose NUL characters and lone surrogates, which PostgreSQL refuses, become U+FFFD."""

    impl = Text()
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """The text as every database accepts it."""
        return None if value is None else plain(value)


Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
"""Any JSON value; pydantic models and datetimes are written as JSON too."""


def plain(text: str) -> str:
    """The text without NUL characters and lone surrogates."""
    if "\x00" not in text and text.isascii():
        return text
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def dump_json(value: Any) -> str:
    """The value as JSON text that SQLite and PostgreSQL both accept. NaN and infinities become null."""
    try:
        text = to_json(value, inf_nan_mode="null").decode()
    except (PydanticSerializationError, UnicodeError):
        text = ""
    if text and "\\u0000" not in text:
        return text
    unclean = json.loads(json.dumps(value, default=to_jsonable_python))
    return to_json(_clean(unclean), inf_nan_mode="null").decode()


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, dict):
        return {plain(key): _clean(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_clean(item) for item in value]
    return value
