"""The figures of a backtest counted a second time, without a database: the truth of `aspora eval fraud`."""

from __future__ import annotations

import csv
import gzip
import io
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flows.fraud.models import Backtest, Figures
from flows.fraud.rule import Rule
from flows.fraud.rule.replay import PARTS, replay

ALIASES: Mapping[str, tuple[str, ...]] = {
    "transaction_id": ("transaction_id", "id", "tx_id"),
    "time": ("time", "tx_datetime", "timestamp", "datetime", "at"),
    "amount": ("amount", "tx_amount", "amount_usd"),
    "customer": ("customer", "customer_id"),
    "terminal": ("terminal", "terminal_id"),
    "card": ("card", "card_id"),
    "device": ("device", "device_id"),
    "country": ("country",),
    "fraud": ("fraud", "tx_fraud", "is_fraud"),
}
"""Field → what its column may be called in a file."""

_NEEDED = ("transaction_id", "time", "amount", "customer", "fraud")


class UnreadableFile(ValueError):
    """The file holds no labelled transactions. The message says what is missing, and where."""


def read(path: Path) -> list[dict[str, Any]]:
    """The transactions of a CSV file, gzipped or not: fields by logical name, `time` in seconds.

    Raises:
        UnreadableFile: it can't be read, lacks a column, or has a value that is no number or time.
    """
    try:
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode("utf-8-sig")
    except (OSError, ValueError, EOFError) as error:
        raise UnreadableFile(f"{path}: {error}") from None
    rows = csv.DictReader(io.StringIO(text))
    columns = _columns(path, rows.fieldnames or [])
    found = []
    for number, row in enumerate(rows, 2):
        try:
            found.append({name: _value(name, row[column]) for name, column in columns.items()})
        except (ValueError, TypeError):
            raise UnreadableFile(f"{path}, line {number}: a value is no number or time: {row}") from None
    if not found:
        raise UnreadableFile(f"{path} has no transaction")
    return found


def write(path: Path, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The transactions as an SQLite table; its mapping for the config."""
    names = [name for name in rows[0] if name != "fraud"]
    with closing(sqlite3.connect(path)) as connection:
        columns = ", ".join(f"{name} {'TEXT' if name == 'time' else 'NUMERIC'}" for name in (*names, "fraud"))
        connection.execute(f"CREATE TABLE transactions ({columns})")
        marks = ", ".join("?" * (len(names) + 1))
        connection.executemany(f"INSERT INTO transactions VALUES ({marks})", map(_stored, rows))
        connection.commit()
    return {"table": "transactions", "columns": {name: name for name in names}, "fraud_when": "fraud = 1"}


def compared(
    backtest: Backtest, rule: Rule, rows: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[str, Any, Any]]:
    """Each figure of a backtest of a new rule: its name, as told, and as counted here."""
    hits = replay(rule, rows)
    told = backtest.proposed
    for name, value in _figures(rows, hits).items():
        yield name, getattr(told, name, None), value
    yield "transactions", backtest.transactions, len(rows)
    yield "frauds", backtest.frauds, sum(row["fraud"] for row in rows)
    yield "fraud_amount", backtest.fraud_amount, _money([row for row in rows if row["fraud"]])
    if backtest.change:
        yield "newly_caught", backtest.change.newly_caught, _figures(rows, hits)["fraud_caught"]
        yield "lost_fraud", backtest.change.lost_fraud, 0
    yield from _days(backtest, rows, hits)


def _figures(rows: Sequence[Mapping[str, Any]], hits: Sequence[bool]) -> dict[str, Any]:
    hit = [row for row, is_hit in zip(rows, hits, strict=True) if is_hit]
    caught = [row for row in hit if row["fraud"]]
    false = [row for row in hit if not row["fraud"]]
    frauds = [row for row in rows if row["fraud"]]
    genuine = len(rows) - len(frauds)
    found: dict[str, Any] = {
        "hits": len(hit),
        "amount": _money(hit),
        "customers": len({row["customer"] for row in hit}),
        "immature_hits": 0,
        "fraud_caught": len(caught),
        "fraud_caught_amount": _money(caught),
        "false_positives": len(false),
        "false_positive_amount": _money(false),
        "customers_hurt": len({row["customer"] for row in false}),
        "precision": len(caught) / len(hit) if hit else None,
        "recall": len(caught) / len(frauds) if frauds else None,
        "recall_amount": _money(caught) / _money(frauds) if _money(frauds) else None,
        "false_positive_rate": len(false) / genuine if genuine else None,
    }
    assert set(found) <= set(Figures.model_fields)  # noqa: S101
    return found


def _days(
    backtest: Backtest, rows: Sequence[Mapping[str, Any]], hits: Sequence[bool]
) -> Iterator[tuple[str, Any, Any]]:
    counted: dict[str, list[int]] = {}
    for row, hit in zip(rows, hits, strict=True):
        day = datetime.fromtimestamp(row["time"], UTC).date()
        if backtest.by == "week":
            day = datetime.fromtimestamp(row["time"] - day.weekday() * 86400, UTC).date()
        one = counted.setdefault(day.isoformat(), [0, 0, 0])
        one[0] += hit
        one[1] += hit and bool(row["fraud"])
        one[2] += bool(row["fraud"])
    told = {each.day.isoformat(): [each.hits, each.fraud_caught, each.frauds] for each in backtest.by_day}
    for name, value in sorted(counted.items()):
        if name in told or any(value):
            yield f"day {name}", told.get(name), value


def _money(rows: Sequence[Mapping[str, Any]]) -> float:
    return sum(round((row["amount"] or 0) * PARTS) for row in rows) / PARTS


def _columns(path: Path, header: Sequence[str]) -> dict[str, str]:
    there = {name.strip().lower(): name for name in header}
    found = {
        name: there[alias]
        for name, aliases in ALIASES.items()
        for alias in [next((alias for alias in aliases if alias in there), "")]
        if alias
    }
    missing = [name for name in _NEEDED if name not in found]
    if missing:
        raise UnreadableFile(
            f"{path} has no column for {', '.join(missing)}; it has: {', '.join(header)[:300]}"
        )
    return found


def _value(name: str, text: str) -> Any:
    if name == "time":
        moment = datetime.fromisoformat(text)
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    if name == "fraud":
        return text.strip().lower() in ("1", "true", "yes")
    if text == "":
        return None
    if name == "amount":
        return float(text)
    return int(text) if (text.isdecimal() and not text.startswith("0")) or text == "0" else text


def _stored(row: Mapping[str, Any]) -> tuple[Any, ...]:
    moment = datetime.fromtimestamp(row["time"], UTC).strftime("%Y-%m-%d %H:%M:%S")
    return tuple(moment if name == "time" else int(value) if name == "fraud" else value
                 for name, value in row.items())  # fmt: skip
