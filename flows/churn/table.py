"""Where customers and what they do stand in the warehouse, and what they may be offered."""

from __future__ import annotations

from datetime import timedelta
from difflib import get_close_matches
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field, field_validator, model_validator

from blocks.config import Section, Table
from blocks.units import Duration, parse_duration
from blocks.warehouse import Kind, condition_columns

_CONFIG = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class _Mapped(Table):
    """A table with known columns."""

    model_config = _CONFIG
    kinds: ClassVar[dict[str, Kind]]
    required: ClassVar[tuple[str, ...]]

    @field_validator("columns")
    @classmethod
    def _known(cls, columns: dict[str, str]) -> dict[str, str]:
        for name, physical in columns.items():
            if name not in cls.kinds:
                close = get_close_matches(name, cls.kinds, n=1)
                hint = f"did you mean {close[0]}?" if close else f"these are known: {', '.join(cls.kinds)}"
                raise ValueError(f"unknown column {name}; {hint}")
            if not physical.strip():
                raise ValueError(f"{name} is empty; write the name of the physical column")
        missing = [name for name in cls.required if name not in columns]
        if missing:
            raise ValueError(f"needs {', '.join(missing)} as well")
        return columns


class CustomersTable(_Mapped):
    """`warehouse.tables.churn_customers`: one row a customer."""

    kinds: ClassVar[dict[str, Kind]] = {"customer": "any", "joined_at": "moment", "left_at": "moment"}
    required: ClassVar[tuple[str, ...]] = ("customer", "joined_at")

    columns: dict[str, str]
    """Logical → physical: customer, joined_at; optional left_at. Without left_at, a customer has left who
    makes no transfer for a whole horizon."""
    attributes: dict[str, str] = Field(default_factory=dict)
    """Name → physical column of what else is known of a customer, such as corridor or channel. What looks
    protected, leaks the answer, or names the customer is left out by itself, and told."""
    contact_when: str = ""
    """Condition for a customer who may be sent offers, such as `marketing_opt_in = 1`; nobody if empty."""

    @field_validator("contact_when")
    @classmethod
    def _parsable(cls, condition: str) -> str:
        if condition.strip():
            condition_columns(condition)
        return condition.strip()


class TransfersTable(_Mapped):
    """`warehouse.tables.churn_transfers`: one row a transfer or payment."""

    kinds: ClassVar[dict[str, Kind]] = {
        "customer": "any",
        "time": "moment",
        "amount": "number",
        "revenue": "number",
    }
    required: ClassVar[tuple[str, ...]] = ("customer", "time", "amount")

    columns: dict[str, str]
    """Logical → physical: customer, time, amount; optional revenue, what the company earns by it."""
    failed_when: str = ""
    """Condition for a payment that failed; none if empty."""

    @field_validator("failed_when")
    @classmethod
    def _parsable(cls, condition: str) -> str:
        if condition.strip():
            condition_columns(condition)
        return condition.strip()


class UsageTable(_Mapped):
    """`warehouse.tables.churn_usage`: how often a customer used the product, by day or week."""

    kinds: ClassVar[dict[str, Kind]] = {"customer": "any", "time": "moment", "sessions": "number"}
    required: ClassVar[tuple[str, ...]] = ("customer", "time", "sessions")

    columns: dict[str, str]
    """Logical → physical: customer, time, sessions."""


class ComplaintsTable(_Mapped):
    """`warehouse.tables.churn_complaints`: one row a complaint."""

    kinds: ClassVar[dict[str, Kind]] = {"customer": "any", "time": "moment"}
    required: ClassVar[tuple[str, ...]] = ("customer", "time")

    columns: dict[str, str]
    """Logical → physical: customer, time."""


class PriceChangesTable(_Mapped):
    """`warehouse.tables.churn_price_changes`: one row a customer and change of what they pay."""

    kinds: ClassVar[dict[str, Kind]] = {"customer": "any", "time": "moment", "percent": "number"}
    required: ClassVar[tuple[str, ...]] = ("customer", "time", "percent")

    columns: dict[str, str]
    """Logical → physical: customer, time, percent (above 0 for a rise)."""


class ContactsTable(_Mapped):
    """`warehouse.tables.churn_contacts`: one row a message that a customer was sent."""

    kinds: ClassVar[dict[str, Kind]] = {"customer": "any", "time": "moment"}
    required: ClassVar[tuple[str, ...]] = ("customer", "time")

    columns: dict[str, str]
    """Logical → physical: customer, time."""


class Contact(Section):
    """How often a customer may be written to."""

    most: int = Field(1, ge=1)
    """Messages at most."""
    within: Duration = parse_duration("30d")
    """In this time."""


class Offer(Section):
    """An entry of the catalogue: what customers may be sent, word for word."""

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
    """As actions name it: `fee_back`."""
    drivers: list[str] = Field(min_length=1)
    """The reasons for leaving that it answers: `failed payments`, or the name of an attribute."""
    text: str = Field(min_length=1, max_length=500)
    """The message."""
    discount: float = Field(0, ge=0, le=100)
    """Percent of the customer's fees that are given up for three months."""
    cost: float = Field(0, ge=0)
    """US dollars that one message with all it promises costs besides the discount."""
    effect: float = Field(0.2, gt=0, lt=1)
    """The company's own assumption of how many of those who would leave it keeps, as a share; an experiment
    is designed to find out."""


class Limits(Section):
    """What no offer may exceed."""

    discount: float = Field(15, ge=0, le=100)
    """Percent at most."""
    contact: Contact = Contact()


class Options(Section):
    """How risk is learnt and told, and what may be offered."""

    horizon: Duration = parse_duration("28d")
    """Customers are scored by their risk to leave within this time. Whole weeks are best: no weekly
    rhythm then looks like a change."""
    look_back: Duration = parse_duration("56d")
    """What customers did in this time tells their risk; the newer half is compared with the older one."""
    margin: float = Field(0.01, gt=0, le=1)
    """Share of a transfer's amount that the company earns, where no revenue is mapped."""
    lift: float = Field(2.0, ge=1.1, le=20)
    """A customer is at risk with so many times the usual probability of leaving."""
    limits: Limits = Limits()
    offers: list[Offer] = Field(default_factory=list)
    """The catalogue."""

    @field_validator("horizon", "look_back")
    @classmethod
    def _bounded(cls, span: timedelta) -> timedelta:
        if not timedelta(days=7) <= span <= timedelta(days=366):
            raise ValueError("lies between 7d and 366d")
        return span

    @model_validator(mode="after")
    def _within_limits(self) -> Options:
        seen: set[str] = set()
        for offer in self.offers:
            if offer.id in seen:
                raise ValueError(f"the offer {offer.id} is listed twice")
            seen.add(offer.id)
            if offer.discount > self.limits.discount:
                raise ValueError(
                    f"the offer {offer.id} gives {offer.discount:g} %, more than limits.discount "
                    f"({self.limits.discount:g} %)"
                )
        return self
