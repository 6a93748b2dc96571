"""Quantities as people write them in config: `4h`, `$5/day`, `120/hour`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

MICRO = 1_000_000
"""Micro-dollars in one dollar."""

_SECONDS = {
    "s": 1, "sec": 1, "second": 1,
    "m": 60, "min": 60, "minute": 60,
    "h": 3600, "hour": 3600,
    "d": 86400, "day": 86400,
    "w": 604800, "week": 604800,
}  # fmt: skip
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)")
_RATE = re.compile(r"(\d+)\s*/\s*([a-z]+)")
_BUDGET = re.compile(r"\$\s*(\d+(?:\.\d{1,6})?)\s*(?:/\s*day)?")


@dataclass(frozen=True)
class Rate:
    """At most `count` events in each window of `seconds`."""

    count: int
    seconds: int

    def __str__(self) -> str:
        names = {1: "s", 60: "minute", 3600: "hour", 86400: "day", 604800: "week"}
        return f"{self.count}/{names[self.seconds]}"

    @property
    def interval(self) -> float:
        """Seconds between two evenly spaced events."""
        return self.seconds / self.count


def parse_duration(value: Any) -> timedelta:
    """`90s`, `15m`, `4h`, `2d` or a number of seconds as a timedelta; ValueError otherwise."""
    if isinstance(value, timedelta):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return timedelta(seconds=value)
    match = _DURATION.fullmatch(str(value).strip().lower())
    unit = match and _SECONDS.get(match[2].removesuffix("s") or "s")
    if not match or not unit:
        raise ValueError(f"{value!r} is no duration; write a number and a unit, such as 30s, 15m, 4h or 2d")
    try:
        return timedelta(seconds=float(match[1]) * unit)
    except OverflowError as error:
        raise ValueError(f"{value!r} is longer than any duration here; write less") from error


def parse_rate(value: Any) -> Rate:
    """`120/hour` or `2/s` as a Rate; ValueError otherwise."""
    if isinstance(value, Rate):
        return value
    match = _RATE.fullmatch(str(value).strip().lower())
    unit = match and _SECONDS.get(match[2])
    if not match or not unit or int(match[1]) == 0:
        raise ValueError(f"{value!r} is no rate; write a count and a unit, such as 2/s, 120/hour or 500/day")
    return Rate(int(match[1]), unit)


def parse_moment(value: Any) -> datetime:
    """`2026-12-01 22:00` or any ISO date and time as an aware UTC datetime; ValueError otherwise.

    Without a zone it is UTC.
    """
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value).strip())
    except ValueError as error:
        raise ValueError(f"{value!r} is no moment; write it as 2026-12-01 22:00 (UTC)") from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def parse_budget(value: Any) -> int:
    """`$5/day` as micro-dollars a day; ValueError otherwise."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = _BUDGET.fullmatch(str(value).strip().lower())
    if not match:
        raise ValueError(f"{value!r} is no budget; write dollars a day, such as $5/day or $0.50/day")
    return int(Decimal(match[1]) * MICRO)


def dollars(micro: int) -> float:
    """Micro-dollars as dollars."""
    return micro / MICRO


def format_dollars(micro: int) -> str:
    """Micro-dollars for people: `$0.12`, and `$0.0034` below one cent."""
    value = Decimal(micro) / MICRO
    return f"${value:,.2f}" if micro == 0 or micro >= 10_000 else f"${value:.4f}"


def format_duration(value: timedelta) -> str:
    """A timedelta as `2d`, `4h`, `15m` or `30s`: the largest unit that divides it."""
    seconds = int(value.total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


Duration = Annotated[timedelta, BeforeValidator(parse_duration), PlainSerializer(format_duration)]
RateLimit = Annotated[Rate, BeforeValidator(parse_rate), PlainSerializer(str)]
DailyBudget = Annotated[int, BeforeValidator(parse_budget)]
