"""Tables of transactions for the fraud tests, on each database, and random rules over them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import strategies as st

from blocks.config import Config

START = int(datetime(2026, 3, 2, tzinfo=UTC).timestamp())
COLUMNS = {
    "transaction_id": "id",
    "time": "at",
    "amount": "amount",
    "customer": "customer",
    "terminal": "terminal",
    "country": "country",
}
DDL = (
    "CREATE TABLE payments (id {id}, at {time}, amount numeric(18, 2), customer integer, terminal integer, "
    "country varchar(20), is_fraud integer)"
)


@dataclass
class Payments:
    """A database with a table of transactions, and the URL that a warehouse reads it by."""

    writer: sa.Engine
    url: str
    id_type: str = "integer"
    extra: dict[str, Any] = field(default_factory=dict)

    def fill(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Replaces all transactions: fields by logical name, `time` in seconds since 1970, `fraud`."""
        kind = {"id": self.id_type, "time": "text" if self.writer.dialect.name == "sqlite" else "timestamp"}
        with self.writer.begin() as connection:
            connection.execute(sa.text("DROP TABLE IF EXISTS payments"))
            connection.execute(sa.text(DDL.format(**kind)))
            if rows:
                connection.execute(
                    sa.text(
                        "INSERT INTO payments VALUES "
                        "(:id, :at, :amount, :customer, :terminal, :country, :fraud)"
                    ),
                    [self._row(row) for row in rows],
                )

    def _row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        id = row["transaction_id"]
        moment = datetime.fromtimestamp(row["time"], UTC).strftime("%Y-%m-%d %H:%M:%S")
        named = {name: row.get(name) for name in ("amount", "customer", "terminal", "country")}
        return {
            "id": f"{id:04d}" if self.id_type != "integer" else id,
            "at": moment,
            "fraud": int(row.get("fraud", False)),
            **named,
        }

    def mapping(self, **more: Any) -> dict[str, Any]:
        """The table's section in the config."""
        table = {"table": "payments", "columns": COLUMNS, "fraud_when": "is_fraud = 1"}
        return table | self.extra | more

    def config(self, **more: Any) -> Config:
        """A config over this table alone."""
        warehouse = {"url": self.url, "tables": {"transactions": self.mapping(**more)}}
        return Config.model_validate({"models": {}, "domains": {}, "warehouse": warehouse})


KINDS = ("sqlite", "sqlite-text", "postgresql+psycopg2", "redshift+psycopg2")
"""Each database, and each way to make windows."""


def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Payments]:
    """A table to fill, of the kind that a fixture's parameter names."""
    id_type = "varchar(20)" if request.param == "sqlite-text" else "integer"
    if request.param.startswith("sqlite"):
        url = f"sqlite:///{tmp_path / 'payments.db'}"
        writer = sa.create_engine(url)
    else:
        server: sa.URL = request.getfixturevalue("postgres")
        writer = sa.create_engine(server)
        read_by = server.set(drivername=request.param).update_query_dict({"sslmode": "disable"})
        url = read_by.render_as_string(hide_password=False)
    yield Payments(writer, url, id_type)
    writer.dispose()


def transactions() -> st.SearchStrategy[list[dict[str, Any]]]:
    """Transactions close together in time, of few customers and terminals, with gaps in every field."""
    one = st.fixed_dictionaries(
        {
            "time": st.one_of(
                st.integers(0, 20).map(lambda n: START + n * 30),
                st.integers(0, 12).map(lambda n: START + n * 3600),
                st.integers(0, 3 * 86400).map(lambda n: START + n),
            ),
            "amount": st.one_of(st.none(), st.integers(0, 40000).map(lambda n: n / 100)),
            "customer": st.one_of(st.none(), st.integers(1, 3)),
            "terminal": st.one_of(st.none(), st.integers(1, 3)),
            "country": st.sampled_from([None, "GB", "NG", "AE"]),
            "fraud": st.booleans(),
        }
    )
    listed = st.sampled_from([1, 3, 12, 40]).flatmap(lambda n: st.lists(one, min_size=n, max_size=n))
    return listed.map(lambda rows: [{**row, "transaction_id": n} for n, row in enumerate(rows, 1)])


KEYS = ("customer", "terminal", "country")
WINDOWS = ("1s", "30s", "1m", "5m", "1h", "2h", "1d", "2w")
NUMBERS = ("0", "1", "2", "3", "5", "0.5", "100", "220", "220.5", "1000")
TESTS = (
    "country in ('GB')",
    "country not in ('NG', 'AE')",
    "amount between 1 and 220",
    "amount is null",
    "country is not null",
    "since(customer) is null",
    "weekday = 1",
    "monthday in (2, 3)",
)


@st.composite
def rules(draw: st.DrawFn) -> str:
    """The text of a rule over the table's fields."""
    return f"block if {_condition(draw, 2)}"


def _condition(draw: st.DrawFn, depth: int) -> str:
    kind = draw(st.sampled_from(["compare", "compare", "test", "and", "or", "not"]))
    if kind == "test":
        return draw(st.sampled_from(TESTS))
    if kind == "compare" or not depth:
        operator = draw(st.sampled_from(["=", "<>", "<", "<=", ">", ">="]))
        return f"{_value(draw, 1)} {operator} {_value(draw, 1)}"
    if kind == "not":
        return f"not ({_condition(draw, depth - 1)})"
    return f"({_condition(draw, depth - 1)} {kind} {_condition(draw, depth - 1)})"


def _value(draw: st.DrawFn, depth: int) -> str:
    kind = draw(st.sampled_from(["feature", "feature", "number", "amount", "hour", "sum"]))
    if kind == "feature":
        return _feature(draw)
    if kind == "number":
        return draw(st.sampled_from(NUMBERS))
    if kind == "sum" and depth:
        return f"({_value(draw, 0)} {draw(st.sampled_from('+-*/'))} {_value(draw, 0)})"
    return "hour" if kind == "hour" else "amount"


def _feature(draw: st.DrawFn) -> str:
    kind = draw(st.sampled_from(["count", "sum", "avg", "distinct", "since", "age"]))
    key, window = draw(st.sampled_from(KEYS)), draw(st.sampled_from(WINDOWS))
    if kind in ("since", "age"):
        return f"{kind}({key})"
    if kind == "count":
        return f"count({key}, {window})"
    others = [name for name in (*KEYS, "amount") if name != key]
    of = draw(st.sampled_from(others)) if kind == "distinct" else "amount"
    return f"{kind}({of}, {key}, {window})"
