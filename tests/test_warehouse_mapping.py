"""A mapping that doesn't fit is refused under its config key; conditions stay within their grammar."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from blocks.config import Warehouse as Settings
from blocks.warehouse import ConditionError, Warehouse, WarehouseError, compile_condition, condition_columns
from mcp_servers.orders import OrdersTable
from tests.warehouse_orders import COLUMNS, Book, Order, ask

KEY = "warehouse.tables.orders"


@pytest.fixture
def book(order_book: Book) -> Book:
    order_book.fill([Order("a")])
    return order_book


def mapped(**columns: str) -> dict[str, str]:
    return COLUMNS | columns


@pytest.mark.parametrize(
    ("change", "key", "words"),
    [
        ({"table": "order"}, "table", "no table order .*did you mean orders"),
        ({"table": "nowhere.orders"}, "table", "no table nowhere.orders"),
        ({"columns": mapped(stage="stuckat")}, "columns.stage", "no column stuckat .*did you mean stuck_at"),
        ({"columns": mapped(entered_at="status")}, "columns.entered_at", "status holds .*timestamp in UTC"),
        ({"columns": mapped(amount="priority")}, "columns.amount", "priority holds .*a number is needed"),
        ({"columns": mapped(left_at="amount_usd")}, "columns.left_at", "amount_usd holds"),
        ({"open_when": "state = 'open'"}, "open_when", "no column state .*did you mean status"),
        ({"critical_when": "vip"}, "critical_when", "no column vip"),
    ],
)
async def test_what_is_missing_or_wrong_is_named_by_its_key(
    book: Book, change: dict[str, Any], key: str, words: str
) -> None:
    with pytest.raises(RuntimeError, match=rf"{KEY}\.{key}: .*{words}"):
        await ask(book.config(**change))


async def test_column_names_may_differ_in_case_and_be_words_of_sql(book: Book) -> None:
    book.run('ALTER TABLE orders RENAME COLUMN stuck_at TO "Group"')
    answer = await ask(
        book.config(columns=mapped(stage="Group"), open_when="STATUS = 'open' AND \"Group\" > 'a'")
    )
    assert answer["stages"][0]["stage"] == "lulu"


async def test_a_condition_that_the_database_refuses_is_explained(tmp_path: Path, postgres: sa.URL) -> None:
    url = postgres.render_as_string(hide_password=False)
    book = Book(sa.create_engine(postgres), url)
    book.fill([Order("a")])
    with pytest.raises(RuntimeError, match=r"operator does not exist: numeric"):
        await ask(book.config(open_when="amount_usd LIKE 'x'"))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (["1700000000"], "holds values such as 1700000000"),
        (["'17/02/2026 08:00'"], "17/02/2026"),
        (["'2026-02-17 08:00:00+05:30'"], "timestamp in UTC"),
        (["'2026-02-17'"], "timestamp in UTC"),
    ],
)
async def test_sqlite_values_that_are_no_timestamps_are_refused(
    tmp_path: Path, values: list[str], words: str
) -> None:
    with pytest.raises(RuntimeError, match=rf"{KEY}\.columns\.entered_at: .*{words}"):
        await ask(_sqlite_times(tmp_path, values).config())


@pytest.mark.parametrize("form", ["{}T{}", "{} {}", "{}T{}Z", "{} {}.000000", "{}T{}.5+00:00"])
async def test_sqlite_reads_iso_text_in_either_form(tmp_path: Path, form: str) -> None:
    times = [f"'{form.format('2026-02-17', time)}'" for time in ("05:59:59", "06:00:00", "06:00:01")]
    answer = await ask(_sqlite_times(tmp_path, times).config())
    assert answer["stages"][0]["count"] == 1
    assert answer["stages"][0]["onset"].startswith("2026-02-17T05:59:59")


async def test_sqlite_rows_of_another_form_are_left_out_with_a_warning(tmp_path: Path) -> None:
    times = ["'2026-02-16 05:00:00'"] * 3 + [
        "'2026-02-16T05:00:00'",
        "5",
        "''",
        "'2026-02-16 05:00:00+05:30'",
    ]
    answer = await ask(_sqlite_times(tmp_path, times).config())
    assert answer["stages"][0]["count"] == 3
    assert "4 open orders have a time that is not in UTC, in another form" in answer["warnings"][0]


async def test_time_zones_of_postgresql_are_honoured(postgres: sa.URL) -> None:
    book = Book(sa.create_engine(postgres), postgres.render_as_string(hide_password=False))
    book.fill([])
    book.run(
        "ALTER TABLE orders ALTER stage_entered_at TYPE timestamptz, ALTER order_id TYPE uuid USING NULL",
        "SET TIME ZONE 'Asia/Dubai'",
        "INSERT INTO orders VALUES ('00000000-0000-0000-0000-00000000000a', 'open', 'lulu', "
        "'2026-02-17 09:59:00+04', NULL, 'x', 'NaN'), "
        "('00000000-0000-0000-0000-00000000000b', 'open', 'lulu', '-infinity', NULL, 'x', 1)",
    )
    answer = await ask(book.config(), orders=5)
    assert answer["stages"][0]["onset"] == "2026-02-17T05:59:00Z"
    assert answer["stages"][0]["amount_at_risk_usd"] == 0
    assert [order["order_id"][-1] for order in answer["orders"]] == ["a"]
    assert len(answer["warnings"]) == 2


def _sqlite_times(folder: Path, values: list[str]) -> Book:
    path = folder / "times.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "CREATE TABLE orders (order_id TEXT, status TEXT, stuck_at TEXT, stage_entered_at, "
            "priority TEXT, amount_usd REAL)"
        )
        for number, value in enumerate(values):
            connection.execute(f"INSERT INTO orders VALUES ('{number}', 'open', 'lulu', {value}, 'x', 1)")
        connection.commit()
    return Book(sa.create_engine(f"sqlite:///{path}"), f"sqlite:///{path}")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tabel": "orders"}, "tabel"),
        ({"columns": COLUMNS | {"stagee": "x"}}, "unknown column stagee; did you mean stage"),
        ({"columns": {"order_id": "id"}}, "needs stage, entered_at, amount"),
        ({"stage_sla": {"lulu": "2h"}}, "needs default"),
        ({"stage_sla": {"default": "0s"}}, "default: an SLA lies between"),
        ({"open_when": "status = 'open'; DROP TABLE orders"}, "';' at character 16"),
        ({"trend": {"treshold": 1}}, "treshold"),
    ],
)
def test_a_mapping_of_the_wrong_shape_is_refused(change: dict[str, Any], words: str) -> None:
    table = {"table": "orders", "columns": COLUMNS, "stage_sla": {"default": "4h"}} | change
    with pytest.raises(ValidationError, match=words):
        OrdersTable.model_validate(table)


@pytest.mark.parametrize(
    "condition",
    [
        "status = 'open' -- all",
        "status = 'open' /* all */",
        "id IN (SELECT id FROM users)",
        "EXISTS (SELECT 1)",
        "pg_sleep(10) = 1",
        "status = 'open' OR",
        "(status = 'open'",
        "status = 'open' status",
        "status NOT",
        "status = $1",
        "a || b = 'x'",
        "",
        "(" * 40 + "a" + ")" * 40,
        "a = 'x' OR " * 400 + "a = 'x'",
    ],
)
def test_conditions_outside_the_grammar_are_refused(condition: str) -> None:
    with pytest.raises(ConditionError):
        condition_columns(condition)


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        ("status = 'open'", "acd"),
        ("NOT status = 'open' OR n >= 3", "bcd"),
        ("status = 'open' AND (n = 1 OR n = 4)", "ad"),
        ("n BETWEEN 2 AND 3 AND status <> 'it''s'", "c"),
        ("n NOT IN (1, 2) and note is not null", "c"),
        ("note IS NULL", "bd"),
        ("lower(note) LIKE 'vip%'", "ac"),
        ("coalesce(note, 'none') = 'none' AND n > -1.5", "bd"),
        ("\"status\" = 'open' AND TRUE = true", "acd"),
    ],
)
def test_conditions_mean_what_they_mean_in_sql(condition: str, rows: str) -> None:
    table = sa.table("t", *(sa.column(name) for name in ("id", "status", "n", "note")))
    engine = sa.create_engine("sqlite://")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (id, status, n, note)")
        connection.exec_driver_sql(
            "INSERT INTO t VALUES ('a', 'open', 1, 'VIP'), ('b', 'it''s', 2, NULL), "
            "('c', 'open', 3, 'vip 2'), ('d', 'open', 4, NULL)"
        )
        expression = compile_condition(condition, lambda name: table.c[name])
        found = connection.execute(sa.select(table.c.id).where(expression).order_by(table.c.id)).scalars()
        assert "".join(found) == rows


@given(st.text(max_size=40))
def test_any_text_literal_stays_a_literal(text: str) -> None:
    quoted = "'" + text.replace("'", "''") + "'"
    expression = compile_condition(f"status = {quoted}", sa.column)
    assert list(expression.compile().params.values()) == [text]


async def test_a_missing_file_is_an_error_and_is_not_created(tmp_path: Path) -> None:
    path = tmp_path / "none.db"
    with pytest.raises(RuntimeError, match=f"there is no warehouse at {path}; set warehouse.url"):
        await ask(Book(sa.create_engine("sqlite://"), f"sqlite:///{path}").config())
    assert not path.exists()


async def test_a_locked_file_is_explained(tmp_path: Path) -> None:
    path = tmp_path / "locked.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("CREATE TABLE t (n)")
        writer.execute("BEGIN EXCLUSIVE")
        warehouse = Warehouse(Settings(url=f"sqlite:///{path}", statement_timeout="0.2s"))
        with pytest.raises(WarehouseError, match="is locked by a writer"):
            await warehouse.read(lambda reader: reader.one(sa.text("SELECT count(*) FROM t")))


async def test_a_file_that_is_no_database_is_explained(tmp_path: Path) -> None:
    path = tmp_path / "text.db"
    path.write_text("no database at all, " * 100)
    warehouse = Warehouse(Settings(url=f"sqlite:///{path}"))
    with pytest.raises(WarehouseError, match="is no SQLite database"):
        await warehouse.read(lambda reader: reader.one(sa.text("SELECT count(*) FROM sqlite_master")))


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("not a url with hunter2", "is no SQLAlchemy URL"),
        ("mysql://u:hunter2@host/db", "mysql is unknown; these are known: sqlite"),
        ("sqlite://", "needs a file"),
    ],
)
def test_a_wrong_url_is_refused_without_showing_it(url: str, words: str) -> None:
    with pytest.raises(WarehouseError, match=words) as caught:
        Warehouse(Settings(url=url))
    assert "hunter2" not in str(caught.value)


async def test_credentials_stay_out_of_connection_errors() -> None:
    url = "postgresql://user:hunter2@127.0.0.1:1/hunter2?connect_timeout=1"
    with pytest.raises(WarehouseError, match=r"127\.0\.0\.1") as caught:
        await Warehouse(Settings(url=url)).read(lambda reader: reader.one(sa.text("SELECT 1")))
    assert caught.value.__cause__ is None
    assert "user:" not in str(caught.value)
    assert ":hunter2" not in str(caught.value)


async def test_the_environment_wins_and_the_state_directory_holds_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASPORA_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ASPORA_WAREHOUSE_URL", raising=False)
    assert str(tmp_path / "home" / "warehouse.db") in Warehouse(Settings()).name
    assert str(tmp_path / "beside.db") in Warehouse(Settings(url="sqlite:///beside.db"), tmp_path).name
    monkeypatch.setenv("ASPORA_WAREHOUSE_URL", f"sqlite:///{tmp_path / 'env.db'}")
    assert "env.db" in Warehouse(Settings()).name


async def test_without_a_mapped_order_table_the_tool_says_so(book: Book) -> None:
    config = book.config()
    bare = config.model_copy(update={"warehouse": Settings(url=book.url)})
    with pytest.raises(RuntimeError, match=r"no warehouse\.tables\.orders"):
        await ask(bare)
