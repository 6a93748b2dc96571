"""The order table as the config maps it, and what the tool says about it."""

from __future__ import annotations

from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator

from blocks.config import Section, Table
from blocks.units import Duration, parse_duration
from blocks.warehouse import Kind, condition_columns

Column = Literal["order_id", "stage", "entered_at", "amount", "priority", "left_at"]

KINDS: dict[str, Kind] = {
    "order_id": "any",
    "stage": "any",
    "entered_at": "moment",
    "amount": "number",
    "priority": "any",
    "left_at": "moment",
}
"""What each logical column holds."""

NO_STAGE = "(none)"
"""What orders with a null or empty stage are listed under."""

_REQUIRED = ("order_id", "stage", "entered_at", "amount")


class TrendRule(Section):
    """When a backlog counts as growing or shrinking."""

    threshold: float = Field(0.25, gt=0, le=10)
    """Share by which the backlog must differ from its mean of the previous days."""
    days: int = Field(5, ge=1, le=28)
    """Previous days to compare with, each at the same hour."""
    min_change: int = Field(3, ge=0)
    """Orders by which it must differ at least, so that 1 → 2 is no trend."""


class OrdersTable(Table):
    """`warehouse.tables.orders`: an order book with one row an order."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    columns: dict[str, str]
    """Logical → physical: order_id, stage, entered_at, amount; optional priority, left_at.

    `entered_at` is when the order entered its stage, `left_at` when it left it or was closed. Mapping
    `left_at` makes the trend exact; without it the trend compares arrivals.
    """
    open_when: str = ""
    """Condition for an order that is not finished; every row if empty."""
    critical_when: str = ""
    """Condition for a critical order; none if empty."""
    stage_sla: dict[str, Duration]
    """Stage → how long an order may stay there; `default` for every other stage."""
    trend: TrendRule = TrendRule()
    stale_after: Duration = parse_duration("12h")
    """Age of the newest timestamp from which on the data counts as stale."""

    @field_validator("columns")
    @classmethod
    def _known_columns(cls, columns: dict[str, str]) -> dict[str, str]:
        known = get_args(Column)
        for name, physical in columns.items():
            if name not in known:
                close = get_close_matches(name, known, n=1)
                hint = f"did you mean {close[0]}?" if close else f"these are known: {', '.join(known)}"
                raise ValueError(f"unknown column {name}; {hint}")
            if not physical.strip():
                raise ValueError(f"{name} is empty; write the name of the physical column")
        missing = [name for name in _REQUIRED if name not in columns]
        if missing:
            raise ValueError(f"needs {', '.join(missing)} as well")
        return columns

    @field_validator("open_when", "critical_when")
    @classmethod
    def _parsable(cls, condition: str) -> str:
        if condition.strip():
            condition_columns(condition)
        return condition.strip()

    @field_validator("stage_sla")
    @classmethod
    def _has_default(cls, slas: dict[str, timedelta]) -> dict[str, timedelta]:
        if "default" not in slas:
            raise ValueError("needs default, the SLA of every stage that has none of its own, such as 4h")
        for stage, sla in slas.items():
            if sla < timedelta(seconds=1) or sla > timedelta(days=3650):
                raise ValueError(f"{stage}: an SLA lies between 1s and 3650d")
        return slas

    def sla(self, stage: str) -> timedelta:
        """How long an order may stay in a stage."""
        return self.stage_sla.get(stage, self.stage_sla["default"])


class StageBacklog(BaseModel):
    """The orders of one stage that are open beyond its SLA."""

    stage: str
    """`(none)` for orders without a stage."""
    sla_hours: float
    count: int
    critical_count: int
    trend: Literal["UP", "DOWN", "STABLE"]
    trend_ratio: float | None
    """The figure now divided by the mean of `previous`; null without previous orders."""
    trend_basis: Literal["history", "arrivals", "none"]
    """What the trend compares: the backlog itself, arrivals beyond the SLA in 24 hours, or nothing."""
    previous: list[int]
    """That figure at the same hour of the previous days, newest first."""
    onset: datetime | None
    """When the oldest stuck order entered the stage, UTC."""
    oldest_age_hours: float
    amount_at_risk_usd: float
    """Sum of the positive amounts."""
    sample_orders: list[str]
    """Up to three order ids: the lowest, the highest and the lowest critical one."""


class StuckOrder(BaseModel):
    """One open order beyond its stage's SLA."""

    order_id: str
    stage: str
    entered_at: datetime | None
    critical: bool
    amount_usd: float
    priority: str = ""


class StuckOrders(BaseModel):
    """Open orders beyond their stage's SLA, most urgent stage first, as counted in the warehouse."""

    as_of: datetime
    data_as_of: datetime | None
    """The newest timestamp of an open order, or, where that is over an hour old, in the whole order table.

    UTC; timestamps in the future don't count.
    """
    open_orders: int
    stages: list[StageBacklog]
    orders: list[StuckOrder] = []
    next_after: str = ""
    """Pass it as `after` to get the next page of orders; empty at the end."""
    warnings: list[str] = []
    """What is wrong with the data itself."""
    note: str = ""
