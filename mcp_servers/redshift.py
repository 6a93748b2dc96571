"""`redshift-mcp`: what the warehouse says about stuck orders, whatever database it is. Read-only."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import sqlalchemy as sa
from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations
from pydantic import BaseModel, ConfigDict, Field

from blocks.config import Config
from blocks.units import format_duration
from blocks.warehouse import Reader, Warehouse, WarehouseError
from mcp_servers.backlog import Backlog, Health, label
from mcp_servers.orders import NO_STAGE, OrdersTable, StageBacklog, StuckOrder, StuckOrders
from mcp_servers.serve import serve
from mcp_servers.trend import Trend, compare

TABLES = {"orders": OrdersTable}
"""The strict form of each table under `warehouse.tables` that this server reads."""

MAX_STAGES = 50
"""Stages reported; the rest is summed up in the note."""

_STAGE_CAP = 10_000


class Options(BaseModel):
    """This server has no options of its own: it reads `warehouse`."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Query(BaseModel):
    """What one call of the tool asks, checked."""

    stage: str
    as_of: datetime
    critical_only: bool
    orders: int
    after: str


def build(options: Options, config: Config, base: Path) -> MCPServer:
    """The server over the config's warehouse.

    Args:
        options: none so far.
        config: the whole config; `warehouse` is read.
        base: the config file's directory.

    Raises:
        WarehouseError: `warehouse.url` is no URL of a supported database.
        pydantic.ValidationError: `warehouse.tables.orders` is not an OrdersTable.
    """
    warehouse = Warehouse(config.warehouse, base)
    given = config.warehouse.tables.get("orders")
    table = OrdersTable.model_validate(given.model_dump()) if given else None
    server = MCPServer("redshift-mcp", instructions="Counts stuck orders in the warehouse. Read-only.")

    @server.tool(annotations=ToolAnnotations(readOnlyHint=True, idempotentHint=True, openWorldHint=False))
    async def query_stuck_orders(
        stage: Annotated[str, Field(max_length=200, description="only this stage; all if empty")] = "",
        as_of: Annotated[str, Field(description="ISO time to look from; now if empty")] = "",
        critical_only: Annotated[bool, Field(description="count and list critical orders only")] = False,
        orders: Annotated[int, Field(ge=0, le=1000, description="how many single orders to list")] = 0,
        after: Annotated[str, Field(max_length=200, description="next_after of the page before")] = "",
    ) -> StuckOrders:
        """Open orders beyond their stage's SLA: count, critical count, trend, age and amount for each stage.

        The counts come from SQL over the whole table. Single orders are listed by order id, in pages.
        """
        asked = f"query_stuck_orders(stage={stage!r}, as_of={as_of!r}, orders={orders}, after={after!r})"
        if table is None:
            raise ToolError(f"{asked}: the config has no warehouse.tables.orders; map your order table there")
        try:
            query = Query(
                stage=stage, as_of=_moment(as_of), critical_only=critical_only, orders=orders, after=after
            )
            return await warehouse.read(lambda reader: stuck_orders(reader, table, query))
        except (WarehouseError, ValueError) as error:
            raise ToolError(f"{asked}: {error}") from None

    return server


def stuck_orders(reader: Reader, table: OrdersTable, query: Query) -> StuckOrders:
    """Answers a query within one read-only transaction.

    Raises:
        WarehouseError: the warehouse can't be read, the mapping doesn't fit, or the stage is unknown.
    """
    backlog = Backlog(reader, table, query.as_of, query.stage, query.critical_only)
    health, stages = backlog.summary(_STAGE_CAP)
    if query.stage and not stages:
        _require_stage(backlog, query.stage)
    past = backlog.history(_STAGE_CAP) if "left_at" in table.columns else None
    covered = backlog.days_covered(min(row.onset for row in stages)) if stages else 0
    rows = [_stage(row, table, query.as_of, _trend(row, table, past, covered)) for row in stages]
    listed = backlog.orders(query.orders + 1, query.after) if query.orders else []
    page = [_order(row) for row in listed[: query.orders]]
    newest = _newest(backlog, health)
    return StuckOrders(
        as_of=query.as_of,
        data_as_of=newest,
        open_orders=health.open_orders,
        stages=rows[:MAX_STAGES],
        orders=page,
        next_after=page[-1].order_id if len(listed) > query.orders else "",
        warnings=[*_faults(health), *_staleness(newest, table, query.as_of), *_unknown(rows, table)],
        note=_note(rows, query, health),
    )


def _newest(backlog: Backlog, health: Health) -> datetime | None:
    """Open orders tell how fresh the data is; only if they look old is the whole table searched."""
    return health.newest or backlog.newest()


def _moment(text: str) -> datetime:
    if not text.strip():
        return datetime.now(UTC).replace(microsecond=0)
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"as_of={text!r} is no ISO time such as 2026-02-17T08:00:00Z") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if not 1980 <= moment.year <= 9000:
        raise ValueError(f"as_of={text!r} lies outside the years 1980 to 9000")
    return moment.astimezone(UTC).replace(microsecond=0)


def _require_stage(backlog: Backlog, stage: str) -> None:
    if backlog.knows(stage):
        return
    there = ", ".join(backlog.names(MAX_STAGES)) or "none"
    raise WarehouseError(f"no order was ever in stage {stage!r}; stages of open orders: {there}")


def _trend(row: sa.Row[Any], table: OrdersTable, past: dict[str, list[int]] | None, covered: int) -> Trend:
    if past is not None:
        previous = past.get(label(row.stage), [0] * table.trend.days)
        return compare(int(row.stuck), previous[:covered], table.trend, "history")
    before = [int(row.stuck), *(int(row._mapping[f"before_{k}"]) for k in range(1, table.trend.days + 2))]
    arrivals = [newer - older for newer, older in pairwise(before)]
    return compare(arrivals[0], arrivals[1:][:covered], table.trend, "arrivals")


def _stage(row: sa.Row[Any], table: OrdersTable, as_of: datetime, trend: Trend) -> StageBacklog:
    stage = label(row.stage)
    onset = row.onset
    samples = dict.fromkeys([row.lowest, row.highest, row.lowest_critical])
    return StageBacklog(
        stage=stage,
        sla_hours=round(table.sla(stage).total_seconds() / 3600, 4),
        count=row.stuck,
        critical_count=row.critical,
        trend=trend.direction,
        trend_ratio=trend.ratio,
        trend_basis=trend.basis,
        previous=trend.previous,
        onset=onset,
        oldest_age_hours=round((as_of - onset).total_seconds() / 3600, 2) if onset else 0,
        amount_at_risk_usd=_usd(row.amount),
        sample_orders=[str(sample) for sample in samples if sample is not None],
    )


def _order(row: sa.Row[Any]) -> StuckOrder:
    return StuckOrder(
        order_id=str(row.order_id),
        stage=label(row.stage),
        entered_at=row.entered_at,
        critical=bool(row.critical),
        amount_usd=_usd(row.amount),
        priority=str(row._mapping.get("priority") or ""),
    )


def _usd(amount: object) -> float:
    try:
        value = float(str(amount or 0))
    except ValueError:
        return 0.0
    return round(value, 2) if math.isfinite(value) else 0.0


def _faults(health: Health) -> list[str]:
    faults = {
        "have no time of entering their stage and are not counted as stuck": health.no_time,
        "entered their stage in the future": health.future,
        "have a time that is not in UTC, in another form, or before 1970, and are left out": health.malformed,
        f"have no stage; they are listed as {NO_STAGE}": health.no_stage,
        "have a negative amount, counted as 0": health.negative,
        "have an amount that is no number or beyond reason, counted as 0": health.absurd,
    }
    return [f"{count} open orders {what}" for what, count in faults.items() if count]


def _staleness(newest: datetime | None, table: OrdersTable, as_of: datetime) -> list[str]:
    if newest is None or as_of - newest < table.stale_after:
        return []
    hours = (as_of - newest).total_seconds() / 3600
    return [f"the newest timestamp is {hours:.0f} h old ({newest:%Y-%m-%d %H:%M} UTC): has the load stopped?"]


def _unknown(rows: list[StageBacklog], table: OrdersTable) -> list[str]:
    """Stages that the config doesn't name, where it names any."""
    if set(table.stage_sla) == {"default"}:
        return []
    unknown = [row.stage for row in rows if row.stage not in table.stage_sla and row.stage != NO_STAGE]
    if not unknown:
        return []
    default = format_duration(table.stage_sla["default"])
    more = f" and {len(unknown) - 10} more" if len(unknown) > 10 else ""
    return [f"stages unknown to stage_sla, measured with default {default}: {', '.join(unknown[:10])}{more}"]


def _note(rows: list[StageBacklog], query: Query, health: Health) -> str:
    notes = []
    if not rows:
        where = f" in stage {query.stage}" if query.stage else ""
        what = "critical open order" if query.critical_only else "open order"
        notes.append(f"No {what}{where} is beyond its SLA; {health.open_orders} orders are open in all.")
    if len(rows) > MAX_STAGES:
        rest = rows[MAX_STAGES:]
        notes.append(
            f"{len(rest)} more stages with {sum(row.count for row in rest)} stuck orders are not shown."
        )
    if any(row.trend_basis == "arrivals" for row in rows):
        notes.append("Trends compare arrivals beyond the SLA in 24 hours among orders that are open still.")
    return " ".join(notes)


if __name__ == "__main__":
    serve("redshift-mcp", Options, build)
