"""Transfers, accounts and alerts as the config maps them, and what the transaction tools say about them."""

from __future__ import annotations

from datetime import datetime
from difflib import get_close_matches
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from blocks.config import Table
from blocks.warehouse import Kind, condition_columns

TRANSFER_KINDS: dict[str, Kind] = {
    "transfer_id": "any",
    "time": "moment",
    "amount": "number",
    "sender": "any",
    "receiver": "any",
    "currency": "any",
}
ACCOUNT_KINDS: dict[str, Kind] = {
    "account": "any",
    "customer": "any",
    "country": "any",
    "opened_at": "moment",
}
ALERT_KINDS: dict[str, Kind] = {"alert_id": "any", "account": "any", "time": "moment", "reason": "any"}
"""What each logical column holds."""

_OPTIONAL = ("currency", "customer", "country", "opened_at", "reason")

Direction = Literal["in", "out"]


def _checked(columns: dict[str, str], known: dict[str, Kind]) -> dict[str, str]:
    for name, physical in columns.items():
        if name not in known:
            close = get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"these are known: {', '.join(known)}"
            raise ValueError(f"unknown column {name}; {hint}")
        if not physical.strip():
            raise ValueError(f"{name} is empty; write the name of the physical column")
    missing = [name for name in known if name not in columns and name not in _OPTIONAL]
    if missing:
        raise ValueError(f"needs {', '.join(missing)} as well")
    return columns


def _parsed(condition: str) -> str:
    if condition.strip():
        condition_columns(condition)
    return condition.strip()


class TransfersTable(Table):
    """`warehouse.tables.transfers`: one row a movement of money between two accounts."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    columns: dict[str, str]
    """Logical → physical: transfer_id, time, amount, sender, receiver; optional currency."""
    currency: str = Field("USD", min_length=1, max_length=10)
    """The currency that amounts are told and compared in."""
    rates: dict[str, float] = Field(default_factory=dict)
    """Other currency → how much of `currency` one unit is. Transfers in one without a rate count as
    transfers, but add to no sum; the tools tell how many there are."""
    cash_when: str = ""
    """Condition for cash paid in or out, such as `kind = 'cash'`; without it nothing counts as cash."""

    @field_validator("columns")
    @classmethod
    def _known_columns(cls, columns: dict[str, str]) -> dict[str, str]:
        return _checked(columns, TRANSFER_KINDS)

    @field_validator("rates")
    @classmethod
    def _positive(cls, rates: dict[str, float]) -> dict[str, float]:
        for currency, rate in rates.items():
            if not 0 < rate < 1e9:
                raise ValueError(f"{currency}: a rate is a number above 0")
        return rates

    @field_validator("cash_when")
    @classmethod
    def _parsable(cls, condition: str) -> str:
        return _parsed(condition)


class AccountsTable(Table):
    """`warehouse.tables.accounts`: one row an account, whose it is."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    columns: dict[str, str]
    """Logical → physical: account; optional customer, country, `opened_at`."""
    business_when: str = ""
    """Condition for an account of a business; without it none is known to be one."""

    @field_validator("columns")
    @classmethod
    def _known_columns(cls, columns: dict[str, str]) -> dict[str, str]:
        return _checked(columns, ACCOUNT_KINDS)

    @field_validator("business_when")
    @classmethod
    def _parsable(cls, condition: str) -> str:
        return _parsed(condition)


class AlertsTable(Table):
    """`warehouse.tables.account_alerts`: one row an alert of the monitoring system."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    columns: dict[str, str]
    """Logical → physical: alert_id, account, time; optional reason."""
    open_when: str = ""
    """Condition for an alert that nobody has looked at yet; every row if empty."""

    @field_validator("columns")
    @classmethod
    def _known_columns(cls, columns: dict[str, str]) -> dict[str, str]:
        return _checked(columns, ALERT_KINDS)

    @field_validator("open_when")
    @classmethod
    def _parsable(cls, condition: str) -> str:
        return _parsed(condition)


class Transfer(BaseModel):
    """One movement of money."""

    model_config = ConfigDict(frozen=True)

    id: str
    time: datetime
    sender: str
    """Empty for money that came in from nowhere known, such as cash."""
    receiver: str
    amount: float
    """As booked."""
    currency: str
    value: float | None
    """In the reporting currency; null where there is no rate for it."""
    cash: bool = False


class Party(BaseModel):
    """An account as it is registered."""

    model_config = ConfigDict(frozen=True)

    id: str
    customer: str = ""
    country: str = ""
    opened_at: datetime | None = None
    business: bool = False
    known: bool = True
    """Whether it stands in the table of accounts."""


class Alert(BaseModel):
    """What the monitoring system noticed."""

    id: str
    subject: str
    """The account."""
    time: datetime | None
    reason: str = ""


class Neighbour(BaseModel):
    """All that an account and one counterparty moved in one direction."""

    counterparty: str
    direction: Direction
    count: int
    total: float
    """In the reporting currency."""
    first: datetime | None
    last: datetime | None


class Side(BaseModel):
    """What came in or went out in a period, counted over all of it."""

    count: int = 0
    total: float = 0.0
    counterparties: int = 0
    first: datetime | None = None
    last: datetime | None = None
    unpriced: int = 0
    """Transfers in a currency without a rate; they are in `count` and not in `total`."""
