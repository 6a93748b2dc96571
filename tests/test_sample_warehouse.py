"""The warehouse that several domains' sample worlds share: each draws its own tables anew, all or nothing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from blocks import sample_warehouse
from blocks.sample_warehouse import rewritten
from flows.ecm import sample as ecm
from flows.fraud import sample as fraud

NOW = datetime(2026, 2, 17, 8, 0, 23, tzinfo=UTC)
TABLES = {"orders", "fraud_transactions", "fraud_rules", "fraud_proposals"}


def dump(path: Path) -> dict[str, list[tuple]]:
    with closing(sqlite3.connect(path)) as connection:
        named = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return {name: connection.execute(f"SELECT * FROM {name}").fetchall() for (name,) in named}


@pytest.mark.full
def test_domains_draw_beside_each_other(tmp_path: Path) -> None:
    path = tmp_path / "warehouse.db"
    ecm.draw(3, tmp_path, now=NOW)
    fraud.draw(3, tmp_path, now=NOW)
    first = dump(path)
    assert set(first) == TABLES
    ecm.draw(4, tmp_path, now=NOW)
    second = dump(path)
    assert second["orders"] != first["orders"]
    assert {**second, "orders": None} == {**first, "orders": None}
    fraud.draw(4, tmp_path, now=NOW)
    third = dump(path)
    assert third["orders"] == second["orders"]
    assert third["fraud_transactions"] != second["fraud_transactions"]


def test_what_fails_in_the_middle_leaves_all_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "warehouse.db"
    with rewritten(path) as connection:
        connection.execute("CREATE TABLE a AS SELECT 1 AS n")
    with pytest.raises(OSError, match="disk full"), rewritten(path) as connection:
        connection.execute("DROP TABLE a")
        connection.execute("CREATE TABLE b AS SELECT 2 AS n")
        raise OSError("disk full")
    assert dump(path) == {"a": [(1,)]}


def test_a_file_that_is_no_database_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "warehouse.db"
    path.write_text("no database, and long enough to be looked at. " * 40)
    with rewritten(path) as connection:
        connection.execute("CREATE TABLE a AS SELECT 1 AS n")
    assert dump(path) == {"a": [(1,)]}


def test_who_else_writes_is_named_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "warehouse.db"
    monkeypatch.setattr(sample_warehouse, "PATIENCE", 0)
    with rewritten(path) as connection:
        connection.execute("CREATE TABLE a AS SELECT 1 AS n")
        with pytest.raises(OSError, match="can't be written: database is locked"), rewritten(path):
            pass
    assert dump(path) == {"a": [(1,)]}
