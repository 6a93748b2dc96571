"""Order tables for the warehouse tests: on SQLite and PostgreSQL, and the tool's answer about them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import mcp
import sqlalchemy as sa

from blocks.config import Config
from mcp_servers.redshift import Options, build

AS_OF = datetime(2026, 2, 17, 8, tzinfo=UTC)
COLUMNS = {
    "order_id": "order_id",
    "stage": "stuck_at",
    "entered_at": "stage_entered_at",
    "priority": "priority",
    "amount": "amount_usd",
}
DDL = (
    "CREATE TABLE orders (order_id varchar(40), status varchar(20), stuck_at varchar(40), "
    "stage_entered_at timestamp, left_at timestamp, priority varchar(20), amount_usd numeric(18, 2))"
)


@dataclass(frozen=True)
class Order:
    """A row of the test table; times are hours before AS_OF."""

    id: str
    stage: str | None = "lulu"
    age: float | None = 10
    left: float | None = None
    status: str = "open"
    priority: str = "normal"
    amount: float | None = 100

    def row(self) -> dict[str, Any]:
        return {
            "order_id": self.id,
            "status": self.status,
            "stuck_at": self.stage,
            "stage_entered_at": _before(self.age),
            "left_at": _before(self.left),
            "priority": self.priority,
            "amount_usd": self.amount,
        }


@dataclass
class Book:
    """A database with an order table, and the URLs that a warehouse may read it by."""

    writer: sa.Engine
    url: str
    extra: dict[str, Any] = field(default_factory=dict)

    def fill(self, orders: Iterable[Order]) -> None:
        """Replaces all orders."""
        rows = [order.row() for order in orders]
        with self.writer.begin() as connection:
            connection.execute(sa.text("DROP TABLE IF EXISTS orders"))
            connection.execute(sa.text(DDL))
            if rows:
                names = ", ".join(f":{name}" for name in rows[0])
                connection.execute(
                    sa.text(f"INSERT INTO orders ({', '.join(rows[0])}) VALUES ({names})"), rows
                )

    def run(self, *statements: str) -> None:
        """Executes statements as the owner."""
        with self.writer.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    def config(self, **table: Any) -> Config:
        """The config over this book; keyword arguments replace keys of the table's mapping."""
        orders = {
            "table": "orders",
            "columns": COLUMNS,
            "open_when": "status = 'open'",
            "critical_when": "priority = 'critical'",
            "stage_sla": {"default": "4h", "lulu": "2h"},
        }
        warehouse = {"url": self.url, "tables": {"orders": orders | self.extra | table}}
        return Config.model_validate({"models": {}, "domains": {}, "warehouse": warehouse})


async def ask(config: Config, **arguments: Any) -> dict[str, Any]:
    """The tool's answer; RuntimeError with its message where it refuses."""
    async with mcp.Client(build(Options(), config, Path("/"))) as client:
        arguments.setdefault("as_of", AS_OF.isoformat())
        result = await client.call_tool("query_stuck_orders", arguments)
    if result.is_error:
        raise RuntimeError(result.content[0].text)
    return dict(result.structured_content)


def _before(hours: float | None) -> str | None:
    if hours is None:
        return None
    return (AS_OF - timedelta(hours=hours)).replace(tzinfo=None).isoformat(sep=" ", timespec="seconds")
