"""The graph of transfers in SQL: the same on every database, bounded, and honest about bad data."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from blocks.config import Config
from flows.fincrime.sample import draw
from mcp_servers.transfers import TransfersTable
from tests.fincrime_world import NOW, ask, config, ledger, new_fincrime_home, text, usual

__all__ = ["new_fincrime_home"]
AT = NOW.isoformat()


@pytest.fixture(
    params=["sqlite", "postgresql+psycopg2", pytest.param("redshift+psycopg2", marks=pytest.mark.full)]
)
def drawn(request: pytest.FixtureRequest, fincrime_home: Path) -> Iterator[Config]:
    """A world of the sample, read in each way."""
    draw(7, fincrime_home, now=NOW)
    if request.param == "sqlite":
        yield config(fincrime_home)
        return
    server: sa.URL = request.getfixturevalue("postgres")
    url = server.set(drivername=request.param).update_query_dict({"sslmode": "disable"})
    _copied(fincrime_home / "warehouse.db", server)
    yield config(fincrime_home, url)


def _copied(path: Path, server: sa.URL) -> None:
    engine = sa.create_engine(server)
    with closing(sqlite3.connect(path)) as source, engine.begin() as target:
        for name, sql in source.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'table'"
        ).fetchall():
            target.exec_driver_sql(f"DROP TABLE IF EXISTS {name}")
            target.exec_driver_sql(sql)
            rows = source.execute(f"SELECT * FROM {name}").fetchall()
            raw = target.connection.cursor()
            from psycopg2.extras import execute_values

            execute_values(raw, f"INSERT INTO {name} VALUES %s", rows, page_size=5000)
    engine.dispose()


EXPECTED: dict[str, Any] = {}


async def test_every_database_says_the_same(drawn: Config) -> None:
    account = await ask(drawn, "get_account", account="A-1472")
    near = await ask(drawn, "get_neighbours", account="A-1472", until=AT, limit=5)
    weeks = await ask(drawn, "get_time_profile", account="A-1472", until=AT, buckets=8)
    flows = await ask(drawn, "get_flows", account="A-1472", direction="in", until=AT, least=500, limit=20)
    case = await ask(drawn, "test_hypotheses", account="A-1472", as_of=AT)
    assert account["party"]["customer"] == "C-1472"
    assert sum(each["count_in"] for each in weeks["buckets"]) > 3
    found = {"account": account, "near": near, "weeks": weeks, "flows": flows, "case": case}
    assert found == EXPECTED.setdefault("all", found)


async def test_what_was_cut_is_told(fincrime_home: Path) -> None:
    ledger(fincrime_home, [(f"T-{n}", 1 + n / 100, f"A-{n}", "HUB", 100.0 + n) for n in range(60)])
    of = config(fincrime_home)
    near = await ask(of, "get_neighbours", account="HUB", direction="in", until=AT, limit=10)
    assert (near["in_all"], near["note"]) == ({"in": 60}, "in: the 10 with the largest sums of 60")
    assert [each["counterparty"] for each in near["neighbours"][:2]] == ["A-59", "A-58"]
    flows = await ask(of, "get_flows", account="HUB", until=AT, limit=10)
    assert len(flows["transfers"]) == 10 and "there are more" in flows["note"]


async def test_paths_follow_the_order_of_time(fincrime_home: Path) -> None:
    ledger(
        fincrime_home,
        [
            ("T-1", 5, "A", "B", 100.0),
            ("T-2", 4, "B", "C", 95.0),
            ("T-3", 3, "C", "A", 90.0),
            ("T-0", 6, "B", "D", 95.0),
            ("T-4", 2, "B", "B", 95.0),
        ],
    )
    of = config(fincrime_home)
    back = await ask(of, "find_paths", source="A", until=AT)
    assert [each["accounts"] for each in back["paths"]] == [["A", "B", "C", "A"]]
    assert (await ask(of, "find_paths", source="A", target="D", until=AT))["paths"] == []


async def test_ids_that_do_not_exist_are_told(fincrime_home: Path) -> None:
    ledger(fincrime_home, usual("A-1", 2))
    found = await ask(config(fincrime_home), "get_transactions", ids=["S-A-1-0", "T-666"])
    assert ([each["id"] for each in found["transfers"]], found["missing"]) == (["S-A-1-0"], ["T-666"])


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("get_account", {"account": "nobody"}, "there is no such account"),
        ("get_neighbours", {"account": "A-1", "since": "yesterday"}, "no ISO time"),
        ("get_neighbours", {"account": "A-1", "direction": "up"}, "there are in and out"),
        ("get_flows", {"account": "A-1", "since": "2027-01-01", "until": "2026-01-01"}, "is not before"),
        ("screen_accounts", {"account": "A-1", "alert": "AL-1"}, "name one of"),
        ("test_hypotheses", {"account": "'; DROP TABLE x"}, "there is no account"),
    ],
)
async def test_a_bad_question_gets_a_clear_answer(
    fincrime_home: Path, tool: str, arguments: dict[str, Any], said: str
) -> None:
    ledger(fincrime_home, usual("A-1", 2))
    with pytest.raises(RuntimeError, match=said):
        await ask(config(fincrime_home), tool, **arguments)


async def test_nothing_is_lost_of_bad_data(fincrime_home: Path) -> None:
    """Self-transfers, an id twice, another transfer under the same id, and rows out of order."""
    rows = [
        *usual("A-1"),
        ("T-9", 1, "A-1", "A-1", 500.0),
        ("T-8", 9, "B", "A-1", 40.0),
        ("T-8", 9, "B", "A-1", 40.0),
        ("T-7", 8, "B", "A-1", 41.0),
        ("T-7", 2, "C", "A-1", 42.0),
    ]
    ledger(fincrime_home, reversed(rows), {"A-1": "person"})
    with closing(sqlite3.connect(fincrime_home / "warehouse.db")) as connection:
        connection.execute(
            "INSERT INTO fincrime_transfers VALUES ('T-6', 'soon', 'B', 'A-1', 9, 'USD', 'transfer')"
        )
        connection.commit()
    case = await ask(config(fincrime_home), "test_hypotheses", account="A-1", as_of=AT)
    told = " | ".join(case["warnings"])
    for said in ("1 transfers to itself", "1 transfers that stand in the warehouse twice",
                 "1 ids that stand for several", "1 transfers whose time can't be read"):  # fmt: skip
        assert said in told
    flows = await ask(config(fincrime_home), "get_flows", account="A-1", since=text(20), until=AT)
    times = [each["time"] for each in flows["transfers"]]
    assert times == sorted(times) and len(times) == 6


async def test_currencies_are_converted_and_those_without_a_rate_are_told(fincrime_home: Path) -> None:
    ledger(fincrime_home, [("T-1", 3, "A", "B", 100.0)], {"B": "person"})
    with closing(sqlite3.connect(fincrime_home / "warehouse.db")) as connection:
        connection.executemany(
            "INSERT INTO fincrime_transfers VALUES (?, ?, 'A', 'B', 100, ?, 'transfer')",
            [("T-2", text(2), "EUR"), ("T-3", text(1), "XYZ")],
        )
        connection.commit()
    case = await ask(config(fincrime_home), "test_hypotheses", account="B", as_of=AT)
    assert (case["transfers"], case["total_in"]) == (3, 208.0)
    assert "1 transfers in a currency without a rate" in case["warnings"][0]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"columns": {"transfer_id": "id", "time": "at"}}, "needs amount"),
        ({"columns": {"sendr": "a"}}, "did you mean sender"),
        ({"rates": {"EUR": -1}}, "a number above 0"),
        ({"cash_when": "kind = ; drop"}, "Value error"),
    ],
)
def test_a_wrong_mapping_is_told(changed: dict[str, Any], said: str) -> None:
    columns = {"transfer_id": "id", "time": "at", "amount": "a", "sender": "s", "receiver": "r"}
    with pytest.raises(ValueError, match=said):
        TransfersTable.model_validate({"table": "t", "columns": columns, **changed})


def _large(path: Path) -> None:
    """A million transfers; HUB has 100,000 counterparties that pay it, and A-1 pays HUB and nine others."""
    days = [
        (NOW - timedelta(minutes=1 + 7 * n % 300_000)).strftime("%Y-%m-%d %H:%M:%S") for n in range(50_000)
    ]
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.executemany(
            "INSERT INTO fincrime_transfers VALUES (?, ?, ?, ?, ?, 'USD', 'transfer')",
            (
                (
                    f"L-{n}", days[n % 50_000], f"N-{n % 100_000}",
                    "HUB" if n < 150_000 else f"M-{n % 70_001}", 20.0 + n % 300,
                )
                for n in range(1_000_000)
            ),
        )  # fmt: skip
        connection.commit()


@pytest.mark.full
async def test_a_million_transfers_and_a_hub_of_100000_neighbours(fincrime_home: Path) -> None:
    ledger(
        fincrime_home,
        [
            *usual("A-1"),
            *((f"O-{n}", 5 - n / 10, "A-1", "HUB" if n == 0 else f"R-{n}", 900.0) for n in range(10)),
        ],
        {"A-1": "person", "HUB": "business"},
    )
    _large(fincrime_home / "warehouse.db")
    of = config(fincrime_home)
    near = await ask(of, "get_neighbours", account="HUB", direction="in", until=AT, limit=20)
    assert near["in_all"] == {"in": 100_001} and len(near["neighbours"]) == 20
    hub = await ask(of, "screen_accounts", account="HUB", as_of=AT)
    assert "only the newest 3000 incoming" in " ".join(hub["cases"][0]["cut"])
    assert hub["cases"][0]["transfers"] > 20_000
    small = await ask(of, "test_hypotheses", account="A-1", as_of=AT)
    assert small["hypotheses"][0]["kind"] == "fan_out"
    paths = await ask(of, "find_paths", source="N-1", target="M-3", until=AT)
    assert paths["note"] or paths["looked_at"] < 30_000
