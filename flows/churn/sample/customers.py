"""The customers of a sample world, week by week: transfers, usage, complaints, prices, and who leaves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import exp
from random import Random

from flows.churn.sample.stories import BY_THE_WAY, STORIES, USUAL_LEAVING, WEEKS_FELT, Happening, Story

WEEKS = 32
CUSTOMERS = 2400
WEEK = timedelta(days=7)
CORRIDORS = ("IN", "PH", "MX", "NG", "KE", "BD")
CHANNELS = ("app", "web", "agent")
FADING = 0.35
"""What is left of a customer's usage after each week, once it falls."""
_NEW = timedelta(days=90)


@dataclass
class Customer:
    """A customer and all that happened to them."""

    id: str
    joined: datetime
    corridor: str
    channel: str
    opted_in: bool
    left: datetime | None = None
    transfers: list[tuple[datetime, float, float, bool]] = field(default_factory=list)
    """Time, amount, revenue, whether it failed."""
    usage: list[tuple[datetime, int]] = field(default_factory=list)
    complaints: list[datetime] = field(default_factory=list)
    price_changes: list[tuple[datetime, float]] = field(default_factory=list)
    contacts: list[datetime] = field(default_factory=list)


def lives(rng: Random, now: datetime, stories: Sequence[Story]) -> list[Customer]:
    """All customers of a world until now."""
    return [_life(rng, now, number, stories) for number in range(1, CUSTOMERS + 1)]


def _life(rng: Random, now: datetime, number: int, stories: Sequence[Story]) -> Customer:
    customer = Customer(
        id=f"C-{number:05d}",
        joined=now - timedelta(days=rng.uniform(5, 1100)),
        corridor=rng.choices(CORRIDORS, weights=(8, 5, 5, 3, 2, 2))[0],
        channel=rng.choices(CHANNELS, weights=(7, 2, 1))[0],
        opted_in=rng.random() < 0.78,
    )
    pace, amount = rng.lognormvariate(-0.4, 0.5), rng.lognormvariate(5.5, 0.5)
    felt: dict[Happening, int] = {}
    for week in range(WEEKS):
        start = now - WEEK * (WEEKS - week)
        if start < customer.joined:
            continue
        for happening, at in _happenings(rng, start, stories):
            felt[happening] = week
            _note(rng, customer, happening, at)
        failing = week - felt.get("failed payments", -99) < 3
        _transfers(rng, customer, start, pace, amount, failing)
        sessions = _poisson(rng, (3 + 5 * pace) * FADING ** max(0, week - felt.get("falling usage", week)))
        customer.usage.append((start + timedelta(days=6), sessions))
        if rng.random() < _leaving(customer, start, week, felt, stories):
            customer.left = start + timedelta(days=rng.uniform(6.95, 6.99))
            break
    if rng.random() < 0.3:
        customer.contacts.append(now - timedelta(days=rng.uniform(1, 90)))
    return customer


def _happenings(
    rng: Random, start: datetime, stories: Sequence[Story]
) -> Iterator[tuple[Happening, datetime]]:
    told = {story.happens: story.weekly for story in stories}
    for story in STORIES:
        if rng.random() < told.get(story.happens, BY_THE_WAY):
            yield story.happens, start + timedelta(days=rng.uniform(0, 6.5))


def _note(rng: Random, customer: Customer, happening: Happening, at: datetime) -> None:
    if happening == "price rise":
        customer.price_changes.append((at, float(rng.choice((8, 10, 12, 15, 20, 25)))))
    elif happening == "complaints":
        customer.complaints += [at + timedelta(hours=30 * n) for n in range(rng.choice((1, 1, 2)))]


def _transfers(
    rng: Random, customer: Customer, start: datetime, pace: float, amount: float, failing: bool
) -> None:
    for _ in range(_poisson(rng, pace)):
        at = start + timedelta(days=rng.uniform(0, 6.8))
        sent = round(amount * rng.lognormvariate(0, 0.3), 2)
        failed = rng.random() < 0.004
        if failing:
            tries = rng.choice((1, 2, 2, 3))
            customer.transfers += [(at + timedelta(minutes=9 * n), sent, 0.0, True) for n in range(tries)]
            at += timedelta(hours=3)
        customer.transfers.append((at, sent, 0.0 if failed else round(2 + 0.012 * sent, 2), failed))


def _leaving(
    customer: Customer, start: datetime, week: int, felt: Mapping[Happening, int], stories: Sequence[Story]
) -> float:
    """The probability to leave in this week."""
    odds = 0.4 if start - customer.joined < _NEW else 0.0
    for story in stories:
        if week - felt.get(story.happens, -99) <= WEEKS_FELT:
            odds += story.push
    return min(0.5, USUAL_LEAVING * exp(odds))


def _poisson(rng: Random, mean: float) -> int:
    limit, product, count = exp(-min(mean, 30.0)), rng.random(), 0
    while product > limit:
        product *= rng.random()
        count += 1
    return count
