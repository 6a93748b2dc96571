"""Redshift without a cluster: statements by its rules, both drivers over the wire, and what people are told.

`docs/redshift.md` says what is left out.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import mcp
import pytest
import redshift_connector.iam_helper
import sqlalchemy as sa
from mcp.server import MCPServer

from blocks.config import Warehouse as Settings
from blocks.config_file import load
from blocks.home import ROOT
from blocks.warehouse import Reader, Warehouse, WarehouseError, bind
from flows.churn import sample as churn_sample
from flows.churn import tools as churn
from flows.ecm import sample as ecm_sample
from flows.fincrime import sample as fincrime_sample
from flows.fincrime import tools as fincrime
from flows.fraud import sample as fraud_sample
from flows.fraud import tools as fraud
from flows.rca import sample as rca_sample
from mcp_servers import deploys, logs, redshift, transactions
from tests.redshift import DRIVERS, Relay
from tests.redshift_rules import broken
from tests.warehouse_orders import COLUMNS, Book, Order, ask

NOW = datetime(2026, 3, 11, 6, 30, tzinfo=UTC)
AT = NOW.isoformat()
RULE = (
    "block if (sum(amount, customer, 1d) > 400 or avg(amount, card, 7d) > 90 or count(terminal, 1h) > 3) and "
    "distinct(country, customer, 1d) >= 1 and (since(card) > 60 or since(card) is null) and "
    "age(terminal) >= 0 and tenure > 10 and hour < 23 and weekday < 8 and monthday < 32 and "
    "amount * 2 / 3 > 5 and terminal_type not in ('none')"
)
LOGS = {"time": "at", "level": "severity", "service": "app", "message": "body"}


@pytest.fixture
def book(relay: Relay) -> Iterator[Book]:
    """An order table, read through the relay by redshift_connector."""
    writer = sa.create_engine(relay.server)
    yield Book(writer, relay.url("redshift+redshift_connector"))
    writer.dispose()


def reading(relay: Relay, driver: str = DRIVERS[1], timeout: str = "30s", **query: str) -> Warehouse:
    return Warehouse(Settings(url=relay.url(driver, **query), statement_timeout=timeout))


def own(relay: Relay) -> list[str]:
    """What Aspora sent, without what the drivers ask by themselves."""
    asked = ("select pg_catalog.", "show ", "select current_schema", "select t.oid, null", "select 1")
    return [sql for sql in relay.heard if not sql.lower().startswith(asked)]


@pytest.fixture(scope="module")
def worlds(postgres: sa.URL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[sa.URL]:
    """A database of its own with every domain's sample world."""
    home = tmp_path_factory.mktemp("worlds")
    for sample in (ecm_sample, fraud_sample, fincrime_sample, churn_sample, rca_sample):
        sample.draw(7, home, now=NOW)
    url = postgres.set(database="redshift_worlds")
    _administer(postgres, "CREATE DATABASE redshift_worlds")
    target = sa.create_engine(url)
    for path in (home / "warehouse.db", home / "rca" / "changes.db"):
        _copy(path, target)
    with target.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE app_logs (at timestamp, severity text, app text, body text)")
        connection.exec_driver_sql(f"INSERT INTO app_logs VALUES ('{NOW:%F %T}', 'ERROR', 'pay', 'timeout')")
    target.dispose()
    yield url
    _administer(postgres, "DROP DATABASE redshift_worlds WITH (FORCE)")


def _administer(url: sa.URL, statement: str) -> None:
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()


def _copy(path: Path, target: sa.Engine) -> None:
    from psycopg2.extras import execute_values

    with closing(sqlite3.connect(path)) as source, target.begin() as connection:
        tables = source.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall()
        for name, sql in tables:
            connection.exec_driver_sql(sql)
            rows = source.execute(f"SELECT * FROM {name}").fetchall()
            execute_values(
                connection.connection.cursor(), f"INSERT INTO {name} VALUES %s", rows, page_size=5000
            )


class Desk:
    """Every server that reads a warehouse, over the worlds; it notes which tools were asked."""

    def __init__(self, url: str) -> None:
        found = load(ROOT / "aspora.config.yaml")
        self.config = found.model_copy(update={"warehouse": found.warehouse.model_copy(update={"url": url})})
        table = found.mcp_servers["deploys-mcp"].options["table"] | {"url": url}
        logged = {"url": url, "table": "app_logs", "columns": LOGS}
        self.servers: dict[str, MCPServer] = {
            "orders": redshift.build(redshift.Options(), self.config, ROOT),
            "fraud": fraud.build(fraud.Options(), self.config, ROOT),
            "transfers": transactions.build(transactions.Options(), self.config, ROOT),
            "fincrime": fincrime.build(fincrime.Options(), self.config, ROOT),
            "churn": churn.build(self._options("churn-mcp", churn.Options), self.config, ROOT),
            "changes": deploys.build(deploys.Options.model_validate({"table": table}), self.config, ROOT),
            "logs": logs.build(logs.Options.model_validate({"table": logged}), self.config, ROOT),
        }
        self.asked: dict[str, set[str]] = {name: set() for name in self.servers}

    def _options(self, name: str, kind: Any) -> Any:
        return kind(**self.config.mcp_servers[name].options)

    async def ask(self, server: str, tool: str, **arguments: Any) -> dict[str, Any]:
        """A tool's answer; RuntimeError with its message where it refuses."""
        self.asked[server].add(tool)
        async with mcp.Client(self.servers[server]) as client:
            result = await client.call_tool(tool, arguments)
        if result.is_error:
            raise RuntimeError(f"{tool}: {result.content[0].text}")
        return dict(result.structured_content)

    async def unasked(self) -> set[str]:
        """Tools that nobody asked."""
        found: set[str] = set()
        for name, server in self.servers.items():
            async with mcp.Client(server) as client:
                found |= {tool.name for tool in (await client.list_tools()).tools} - self.asked[name]
        return found


async def everything(desk: Desk) -> dict[str, Any]:
    """Asks every tool, in the ways that lead to statements of their own; answers by name."""
    found: dict[str, Any] = {}
    found["orders"] = await desk.ask("orders", "query_stuck_orders", as_of=AT, orders=3)
    after = found["orders"]["next_after"]
    stage = found["orders"]["stages"][0]["stage"]
    await desk.ask("orders", "query_stuck_orders", as_of=AT, orders=3, after=after, critical_only=True)
    await desk.ask("orders", "query_stuck_orders", as_of=AT, stage=stage, orders=1)
    with pytest.raises(RuntimeError, match="no order was ever in stage"):
        await desk.ask("orders", "query_stuck_orders", as_of=AT, stage="nowhere")
    later = (NOW + timedelta(days=3)).isoformat()
    await desk.ask("orders", "query_stuck_orders", as_of=later)

    found["waiting"] = await desk.ask("fraud", "backtest_rule", as_of=AT)
    found["rule"] = await desk.ask("fraud", "backtest_rule", rule=RULE, as_of=AT)
    since = (NOW - timedelta(days=10)).isoformat()
    found["lately"] = await desk.ask("fraud", "backtest_rule", rule=RULE, as_of=AT, since=since)
    simple = "block if amount > 300 and country = 'NG'"
    found["edges"] = await desk.ask("fraud", "find_edge_cases", rule=simple, as_of=AT)
    found["checks"] = await desk.ask("fraud", "check_rule", rule=simple, as_of=AT)

    party = "A-1472"
    for tool in ("get_account", "get_neighbours", "get_flows", "get_time_profile"):
        arguments = {"account": party} | ({} if tool == "get_account" else {"until": AT})
        found[tool] = await desk.ask("transfers", tool, **arguments)
    await desk.ask("transfers", "get_neighbours", account=party, direction="in", since=since, limit=2)
    await desk.ask("transfers", "get_flows", account=party, direction="out", least=100, limit=2)
    found["paths"] = await desk.ask("transfers", "find_paths", source=party, until=AT)
    ids = [each["id"] for each in found["get_flows"]["transfers"][:3]]
    found["ids"] = await desk.ask("transfers", "get_transactions", ids=ids)
    found["screened"] = await desk.ask("fincrime", "screen_accounts", as_of=AT)
    customer = found["get_account"]["party"]["customer"]
    await desk.ask("fincrime", "screen_accounts", customer=customer, as_of=AT)
    found["case"] = await desk.ask("fincrime", "test_hypotheses", account=party, as_of=AT)
    await desk.ask("fincrime", "challenge_hypotheses", account=party, as_of=AT)

    found["risks"] = await desk.ask("churn", "score_customers", as_of=AT)
    driver = found["risks"]["segments"][0]["driver"]
    found["profile"] = await desk.ask("churn", "profile_segment", driver=driver, as_of=AT)
    found["offers"] = await desk.ask("churn", "list_offers", driver=driver, as_of=AT)
    offer = found["offers"]["offers"][0]["id"]
    found["experiment"] = await desk.ask("churn", "plan_experiment", driver=driver, offer=offer, as_of=AT)
    found["recipients"] = await desk.ask("churn", "list_recipients", driver=driver, offer=offer, as_of=AT)

    found["changes"] = await desk.ask("changes", "query_changes", **_day())
    found["logs"] = await desk.ask("logs", "query_application_logs", **_day())
    return found


def _day() -> dict[str, str]:
    return {"since": (NOW - timedelta(days=1)).isoformat(), "until": (NOW + timedelta(minutes=1)).isoformat()}


ANSWERS: dict[str, Any] = {}


@pytest.mark.full
@pytest.mark.parametrize("driver", ["postgresql+psycopg2", *DRIVERS])
async def test_every_tool_of_every_domain_says_the_same_by_each_driver(worlds: sa.URL, driver: str) -> None:
    relay = Relay(worlds)
    try:
        desk = Desk(relay.url(driver))
        found = json.loads(json.dumps(await everything(desk)), parse_float=lambda text: round(float(text), 6))
    finally:
        relay.close()
    assert await desk.unasked() == set()
    assert found == ANSWERS.setdefault("all", found)
    sent = own(relay)
    assert len(sent) > 100
    if driver in DRIVERS:
        assert {(what, sql[:300]) for sql in sent for what in broken(sql)} == set()


@pytest.mark.parametrize(
    ("sql", "what"),
    [
        ("SELECT count(*) FILTER (WHERE a > 1) FROM t", "FILTER"),
        ("SELECT sum(a) OVER (PARTITION BY b ORDER BY c) FROM t", "without a frame"),
        ("SELECT sum(coalesce(a, (b))) OVER (ORDER BY c RANGE BETWEEN 5 PRECEDING AND CURRENT ROW)", "ROWS"),
        ("SELECT lag(a) OVER (ORDER BY b NULLS LAST) FROM t", "orders nulls"),
        ("SELECT a FROM (SELECT b AS open FROM t) AS x", "reserved word open"),
        ("SELECT a FROM t WHERE b > now()", "clock"),
        ("SELECT date_trunc($1, a) FROM t GROUP BY date_trunc($2, a)", "time arithmetic"),
        ("SELECT a / $1 FROM t GROUP BY a / $2", "GROUP BY"),
        ("SELECT a IS TRUE FROM t", "boolean"),
        ("DELETE FROM t", "writes"),
        ("WITH x AS MATERIALIZED (SELECT 1) SELECT * FROM x", "materialized"),
    ],
)  # fmt: skip
def test_the_rules_see_what_redshift_does_not_understand(sql: str, what: str) -> None:
    assert [found for found in broken(sql) if what in found], sql


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT sum(a) OVER (PARTITION BY b ORDER BY c ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)",
        "SELECT lag(a) OVER (PARTITION BY b ORDER BY c), min(a) OVER (PARTITION BY b) FROM t",
        'SELECT "open".a FROM (SELECT \'now() RETURNING\' AS a) AS "open"',
    ],
)
def test_the_rules_let_pass_what_redshift_understands(sql: str) -> None:
    assert broken(sql) == []


@pytest.mark.parametrize("protocol", [0, 1])
async def test_stuck_orders_over_redshift_connectors_own_wire(postgres: sa.URL, protocol: int) -> None:
    relay = Relay(postgres, protocol)
    book = Book(sa.create_engine(postgres), relay.url("redshift+redshift_connector"))
    book.fill([Order("a", age=3, priority="critical", amount=10.5), Order("b", age=9), Order("c", age=1)])
    answer = await ask(book.config(columns=COLUMNS | {"left_at": "left_at"}), orders=2)
    (lulu,) = answer["stages"]
    assert (lulu["count"], lulu["critical_count"], lulu["amount_at_risk_usd"]) == (2, 1, 110.5)
    assert [order["order_id"] for order in answer["orders"]] == ["a", "b"]
    assert relay.starts[0]["driver_version"].startswith("Redshift Python Driver")
    relay.close()


@pytest.mark.parametrize("driver", DRIVERS)
async def test_each_transaction_begins_read_only_in_redshifts_words(relay: Relay, driver: str) -> None:
    warehouse = reading(relay, driver, timeout="7s")
    for _ in range(2):
        await warehouse.read(lambda reader: reader.one(sa.text("SELECT 1 AS one")))
    sent = own(relay)
    assert sent.count("BEGIN READ ONLY") == 2
    assert sent.count("SET LOCAL statement_timeout = 7000") == 2
    assert not [sql for sql in sent if sql.startswith("SET TRANSACTION")]
    with pytest.raises(WarehouseError, match="read-only transaction"):
        await warehouse.read(lambda reader: reader.connection.exec_driver_sql("CREATE TABLE x (n integer)"))


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize(
    ("message", "told"),
    [
        (
            "Query (150) canceled on user's request",
            "longer than statement_timeout .0.1 s., waiting in its queue",
        ),
        (
            'Query (7) cancelled by WLM abort action of Query Monitoring Rule "no_loops"',
            'the rule "no_loops"',
        ),
        (
            'Failed to incorporate external table "s"."t" into local catalog. Error=transaction is read-only',
            "map a materialized view",
        ),
        (
            "permission denied for relation orders",
            "the warehouse postgres on 127.0.0.1: permission denied for",
        ),
    ],
)
async def test_what_redshift_stops_is_told_with_a_remedy(
    relay: Relay, driver: str, message: str, told: str
) -> None:
    relay.words = {b"canceling statement due to statement timeout": message.encode()}
    with pytest.raises(WarehouseError, match=told) as caught:
        await reading(relay, driver, timeout="0.1s").read(
            lambda reader: reader.one(sa.text("SELECT count(*) FROM generate_series(1, 1000000000)"))
        )
    assert "{" not in str(caught.value)


async def test_an_answer_that_never_comes_ends_with_the_timeout(relay: Relay, monkeypatch: Any) -> None:
    monkeypatch.setattr("blocks.warehouse.engine._CONNECT_SECONDS", 1)
    warehouse = reading(relay, timeout="0.1s")

    def silent(reader: Reader) -> Any:
        relay.silent = True
        return reader.one(sa.text("SELECT 1"))

    with pytest.raises(WarehouseError, match=r"did not answer within|longer than statement_timeout"):
        await warehouse.read(silent)
    relay.silent = False
    assert (await warehouse.read(lambda reader: reader.one(sa.text("SELECT 2"))))[0] == 2


@pytest.mark.parametrize("driver", DRIVERS)
async def test_connections_that_were_dropped_are_made_again(relay: Relay, driver: str) -> None:
    warehouse = reading(relay, driver)
    for number in (1, 2):
        found = await warehouse.read(lambda reader, n=number: reader.one(sa.text(f"SELECT {n}")))
        assert found[0] == number
        relay.drop()


COLUMN_TYPES = {
    "id": ("bigint", "7", 7),
    "price": ("numeric(18, 4)", "1234567890.1234", "1234567890.1234"),
    "ratio": ("double precision", "0.5", 0.5),
    "flag": ("boolean", "true", "true"),
    "day": ("date", "'2026-03-01'", "2026-03-01"),
    "padded": ("char(3)", "'ab'", "ab "),
    "name": ("varchar(20)", "'né'", "né"),
    "naive": ("timestamp", "'2026-03-01 10:00:00'", "2026-03-01T10:00:00+00:00"),
    "aware": ("timestamptz", "'2026-03-01 10:00:00+04'", "2026-03-01T06:00:00+00:00"),
}
"""Column → type, value as SQL, value as Aspora reads it."""
KINDS: dict[str, Any] = {
    "id": "number",
    "price": "number",
    "ratio": "number",
    "naive": "moment",
    "aware": "moment",
}


@pytest.mark.parametrize("driver", DRIVERS)
async def test_columns_are_read_as_their_types_say(relay: Relay, driver: str) -> None:
    book = Book(sa.create_engine(relay.server), "")
    columns = ", ".join(f"{name} {kind}" for name, (kind, _, _) in COLUMN_TYPES.items())
    values = ", ".join(value for _, value, _ in COLUMN_TYPES.values())
    nulls = ", ".join("NULL" for _ in COLUMN_TYPES)
    book.run(
        "DROP TABLE IF EXISTS kinds",
        f"CREATE TABLE kinds ({columns})",
        f"INSERT INTO kinds VALUES ({values}), ({nulls})",
    )

    def work(reader: Reader) -> list[sa.Row[Any]]:
        kinds = {name: KINDS.get(name, "any") for name in COLUMN_TYPES}
        bound = bind(reader, "warehouse.tables.kinds", "kinds", {name: name for name in kinds}, kinds)
        statement = sa.select(*(column.label(name) for name, column in bound.columns.items()))
        return list(reader.rows(statement.order_by(bound.columns["id"])))

    first, second = await reading(relay, driver).read(work)
    expected = [value for _, _, value in COLUMN_TYPES.values()]
    shown = [each.isoformat() if isinstance(each, datetime) else each for each in first]
    assert [str(each) for each in shown] == [str(each) for each in expected]
    assert list(second) == [None] * len(COLUMN_TYPES)
    assert not [sql for sql in own(relay) if "CAST(kinds.flag" in sql]


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize(
    ("number", "shown"),
    [(4000, "super"), (6551, "varbyte"), (3000, "geometry"), (1188, "interval year to month")],
)
async def test_types_that_only_redshift_has_are_named(
    relay: Relay, driver: str, number: int, shown: str
) -> None:
    """PostgreSQL has no such types: the relay tells a column's type by another number."""
    book = Book(sa.create_engine(relay.server), "")
    book.run("DROP TABLE IF EXISTS odd", "CREATE TABLE odd (payload text)", "INSERT INTO odd VALUES ('5')")
    relay.types = {"payload": number}
    warehouse = reading(relay, driver)

    def work(kind: Any) -> Any:
        def bound(reader: Reader) -> Any:
            table = bind(reader, "k", "odd", {"payload": "payload"}, {"payload": kind})
            return reader.one(sa.select(table.columns["payload"].label("text")))[0]

        return bound

    with pytest.raises(WarehouseError, match=f"payload holds {shown}, but a number is needed; map another"):
        await warehouse.read(work("number"))
    assert await warehouse.read(work("any")) == "5"


@pytest.mark.parametrize("driver", DRIVERS)
async def test_views_without_a_schema_are_mapped_without_asking_the_catalogue(
    relay: Relay, driver: str
) -> None:
    """A function's body is bound as late as a late-binding view, which PostgreSQL doesn't have."""
    book = Book(sa.create_engine(relay.server), relay.url(driver))
    book.fill([Order("a", age=9)])
    book.run("DROP VIEW IF EXISTS late_orders", *_late("orders"))
    assert (await ask(book.config(table="late_orders")))["open_orders"] == 1
    assert not [sql for sql in own(relay) if "information_schema" in sql or "pg_" in sql]
    book.run("ALTER TABLE orders RENAME TO moved")
    with pytest.raises(RuntimeError, match=r'relation "orders" does not exist'):
        await ask(book.config(table="late_orders"))
    book.run("DROP VIEW late_orders", "DROP TABLE moved")


def _late(table: str) -> list[str]:
    columns = (
        "order_id varchar, status varchar, stuck_at varchar, stage_entered_at timestamp, left_at timestamp, "
        "priority varchar, amount_usd numeric"
    )
    return [
        f"CREATE OR REPLACE FUNCTION late() RETURNS TABLE ({columns}) LANGUAGE plpgsql AS "
        f"$$ BEGIN RETURN QUERY SELECT o.* FROM {table} o; END $$",
        "CREATE VIEW late_orders AS SELECT * FROM late()",
    ]


@pytest.mark.parametrize("driver", DRIVERS)
async def test_a_table_that_may_not_be_read_is_not_called_missing(relay: Relay, driver: str) -> None:
    book = Book(sa.create_engine(relay.server), relay.url(driver))
    book.fill([])
    book.run(
        "CREATE SCHEMA IF NOT EXISTS hidden",
        "CREATE TABLE IF NOT EXISTS hidden.orders (n integer)",
        "DROP ROLE IF EXISTS nobody",
        "CREATE ROLE nobody LOGIN",
    )
    book.url = sa.make_url(book.url).set(username="nobody").render_as_string(hide_password=False)
    with pytest.raises(RuntimeError, match="permission denied for schema hidden"):
        await ask(book.config(table="hidden.orders"))
    with pytest.raises(RuntimeError, match=r"warehouse\.tables\.orders\.table: there is no table"):
        await ask(book.config(table="nowhere.orders"))
    book.run("DROP SCHEMA hidden CASCADE", "DROP ROLE nobody")


@pytest.mark.parametrize("driver", DRIVERS)
async def test_the_read_only_user_reads_the_mapped_table_and_nothing_else(relay: Relay, driver: str) -> None:
    script = (ROOT / "docs" / "redshift-user.sql").read_text(encoding="utf-8")
    book = Book(sa.create_engine(relay.server), relay.url(driver))
    book.fill([Order("a", age=9)])
    remove = (
        "DROP SCHEMA IF EXISTS ops CASCADE",
        "DROP ROLE IF EXISTS aspora_reader",
        "DROP ROLE IF EXISTS aspora_readers",
    )
    book.run(
        *remove, "CREATE SCHEMA ops", "ALTER TABLE orders SET SCHEMA ops", "CREATE TABLE ops.wages (n int)"
    )
    book.run(script)
    book.url = sa.make_url(book.url).set(username="aspora_reader").render_as_string(hide_password=False)
    assert (await ask(book.config(table="ops.orders")))["open_orders"] == 1
    warehouse = Warehouse(book.config().warehouse)
    with pytest.raises(WarehouseError, match="permission denied"):
        await warehouse.read(lambda reader: reader.one(sa.text("SELECT count(*) FROM ops.wages")))
    reader = sa.create_engine(relay.server.set(username="aspora_reader"), isolation_level="AUTOCOMMIT")
    with reader.connect() as connection:
        assert connection.exec_driver_sql("SHOW statement_timeout").scalar() == "1min"
        for statement in (
            "DELETE FROM ops.orders",
            "CREATE TABLE public.mine (n int)",
            "CREATE TABLE ops.x (n int)",
        ):
            with pytest.raises(sa.exc.ProgrammingError, match="permission denied"):
                connection.exec_driver_sql(statement)
    reader.dispose()
    book.run(*remove)


async def test_iam_takes_its_switches_from_the_url(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    """Amazon is not asked: what the driver would ask it with is looked at, and its answer is made up."""
    seen: list[Any] = []

    def credentials(info: Any) -> None:
        seen.append((info.iam, info.cluster_identifier, info.region, info.db_user, info.profile, info.ssl))
        info.put("user_name", "postgres")
        info.put("password", "temporary")
        info.put("ssl", False)

    helper = redshift_connector.iam_helper.IamHelper
    monkeypatch.setattr(helper, "set_iam_credentials", staticmethod(credentials))
    url = sa.make_url(relay.url("redshift+redshift_connector")).set(username=None, password=None)
    url = url.difference_update_query(["ssl"]).update_query_dict(
        {
            "iam": "true",
            "cluster_identifier": "payments",
            "region": "eu-west-1",
            "db_user": "aspora_reader",
            "profile": "warehouse",
        }
    )
    warehouse = Warehouse(Settings(url=url.render_as_string()))
    assert (await warehouse.read(lambda reader: reader.one(sa.text("SELECT 5"))))[0] == 5
    assert seen == [(True, "payments", "eu-west-1", "aspora_reader", "warehouse", True)]


async def test_a_refused_tls_is_told(relay: Relay) -> None:
    url = sa.make_url(relay.url("redshift+redshift_connector")).update_query_dict({"ssl": "true"})
    warehouse = Warehouse(Settings(url=url.render_as_string(hide_password=False)))
    with pytest.raises(WarehouseError, match="Server refuses SSL"):
        await warehouse.read(lambda reader: reader.one(sa.text("SELECT 1")))
