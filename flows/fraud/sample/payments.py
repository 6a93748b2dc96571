"""The transactions of a sample world: two months of genuine customers, and fraud of three kinds.

Stolen cards pay large amounts, testers try many cards on one terminal within minutes, and where a story says
so fraudsters stay just under an amount.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

from flows.fraud.sample.stories import Plot

DAYS = 60
A_DAY = 500
"""Genuine transactions a day."""
CUSTOMERS = 900
COUNTRIES = ("GB", "AE", "IN", "PH", "NG", "KE", "PE", "US")
TYPES = ("shop", "online", "atm", "travel")

_TERMINALS = 300
_STOLEN = 130
"""Frauds with stolen cards, each above what is usual."""
_TESTED = 22
"""Terminals on which cards are tested."""
_HURT = 0.3
"""Share of the transactions of a story's segment that are large though genuine."""
_NEW = 30


@dataclass(frozen=True)
class Customer:
    """Who pays, from where, how much usually, and since when."""

    name: str
    country: str
    usual: float
    since: datetime

    @property
    def card(self) -> str:
        """The customer's card."""
        return self.name.replace("C-", "K-")


@dataclass(frozen=True)
class Payment:
    """One transaction. `reported_after`: hours until fraud is reported."""

    id: int
    time: datetime
    amount: float
    customer: str
    card: str
    terminal: str
    device: str | None
    country: str
    terminal_type: str
    customer_since: datetime
    fraud: bool
    reported_after: float


def payments(rng: Random, now: datetime, plots: Sequence[Plot]) -> list[Payment]:
    """All transactions until `now`, in order of time."""
    start = now - timedelta(days=DAYS)
    customers = [_customer(rng, place, start) for place in range(CUSTOMERS)]
    types = {f"T-{place}": rng.choices(TYPES, weights=(50, 30, 12, 8))[0] for place in range(_TERMINALS)}
    hurt = [plot.hurt for plot in plots if plot.hurt[0]]
    under = [plot.just_under for plot in plots if plot.just_under]
    drawn: list[dict[str, Any]] = [_genuine(rng, start, customers, types, hurt) for _ in range(DAYS * A_DAY)]
    for _ in range(_STOLEN):
        drawn.append(_stolen(rng, start, customers, types, under))
    for _ in range(_TESTED):
        drawn += _tested(rng, start, customers, types)
    drawn = [row for row in drawn if row["time"] < now]
    drawn.sort(key=lambda row: (row["time"], row["customer"].name, row["amount"]))
    first = rng.randrange(100_000, 900_000)
    return [_payment(first + place, row, types) for place, row in enumerate(drawn)]


def _customer(rng: Random, place: int, start: datetime) -> Customer:
    joined = start - timedelta(days=rng.expovariate(1 / 500))
    if rng.random() < 0.2:
        joined = start + timedelta(days=rng.uniform(-_NEW, DAYS - 5))
    country = rng.choices(COUNTRIES, weights=(22, 14, 16, 12, 12, 9, 7, 8))[0]
    return Customer(f"C-{1000 + place}", country, min(90.0, rng.lognormvariate(3.4, 0.5)), joined)


def _genuine(
    rng: Random,
    start: datetime,
    customers: Sequence[Customer],
    types: dict[str, str],
    hurt: Sequence[tuple[str, str]],
) -> dict[str, Any]:
    while True:
        customer, time = rng.choice(customers), _moment(rng, start)
        if customer.since <= time:
            break
    terminal = rng.choice(list(types))
    amount = customer.usual * rng.lognormvariate(0, 0.45)
    if any(_in(segment, customer, types[terminal], time) for segment in hurt) and rng.random() < _HURT:
        amount = rng.uniform(230, 900)
    return {"time": time, "customer": customer, "terminal": terminal, "amount": amount, "fraud": False}


def _in(segment: tuple[str, str], customer: Customer, terminal_type: str, time: datetime) -> bool:
    field, value = segment
    if field == "tenure":
        return time - customer.since < timedelta(days=_NEW)
    return value == (customer.country if field == "country" else terminal_type)


def _stolen(
    rng: Random,
    start: datetime,
    customers: Sequence[Customer],
    types: dict[str, str],
    under: Sequence[float],
) -> dict[str, Any]:
    amount = rng.uniform(260, 1400)
    if under and rng.random() < 0.6:
        amount = rng.choice(under) * rng.uniform(0.92, 0.999)
    time = start + timedelta(seconds=rng.uniform(0, DAYS * 86400))
    known = [customer for customer in rng.choices(customers, k=20) if customer.since <= time]
    customer = known[0] if known else customers[0]
    return {"time": time, "customer": customer, "terminal": rng.choice(list(types)), "amount": amount,
            "fraud": True}  # fmt: skip


def _tested(
    rng: Random, start: datetime, customers: Sequence[Customer], types: dict[str, str]
) -> list[dict[str, Any]]:
    time = start + timedelta(seconds=rng.uniform(0, DAYS * 86400))
    terminal = rng.choice(list(types))
    burst = []
    for customer in rng.sample(list(customers), rng.randint(6, 14)):
        time += timedelta(seconds=rng.uniform(15, 80))
        burst.append(
            {
                "time": time,
                "customer": customer,
                "terminal": terminal,
                "amount": rng.uniform(1, 6),
                "fraud": True,
            }
        )
    return burst


def _moment(rng: Random, start: datetime) -> datetime:
    """By day rather than by night."""
    hour = min(23.99, max(0.0, rng.gauss(14, 5)))
    return start.replace(hour=0, minute=0, second=0) + timedelta(days=rng.randrange(DAYS + 1), hours=hour)


def _payment(id: int, row: dict[str, Any], types: dict[str, str]) -> Payment:
    customer: Customer = row["customer"]
    number = sum(map(ord, customer.name)) + id
    return Payment(
        id=id,
        time=row["time"].replace(microsecond=0),
        amount=round(row["amount"], 2),
        customer=customer.name,
        card=customer.card,
        terminal=row["terminal"],
        device=None if number % 25 == 0 else f"D-{customer.name[2:]}-{number % 2}",
        country=customer.country,
        terminal_type=types[row["terminal"]],
        customer_since=customer.since.replace(microsecond=0),
        fraud=row["fraud"],
        reported_after=4 + (number * 37) % 170,
    )
