"""Draws a sample world and writes it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from blocks.sample_warehouse import rewritten
from flows.fraud.sample.payments import Payment, payments
from flows.fraud.sample.stories import SOUND, STORIES, Plot, Story

DEFAULT_SEED = 7
"""The demo: a threshold that stops fraud, and the salaries that people send home from the Emirates."""

IN_FORCE = (
    ("R-10", "block if amount > 2500"),
    ("R-20", "review if count(card, 10m) > 8"),
    ("R-30", "review if sum(amount, customer, 1d) > 4000"),
)
"""Rules that every world has."""

_TABLES = (
    "DROP TABLE IF EXISTS fraud_transactions",
    "DROP TABLE IF EXISTS fraud_rules",
    "DROP TABLE IF EXISTS fraud_proposals",
    "CREATE TABLE fraud_transactions (transaction_id INTEGER PRIMARY KEY, tx_time TIMESTAMP NOT NULL, "
    "amount_usd NUMERIC(12, 2) NOT NULL, customer_id TEXT NOT NULL, card_id TEXT NOT NULL, "
    "terminal_id TEXT NOT NULL, device_id TEXT, country TEXT NOT NULL, terminal_type TEXT NOT NULL, "
    "customer_since TIMESTAMP NOT NULL, is_fraud INTEGER NOT NULL, reported_at TIMESTAMP)",
    "CREATE TABLE fraud_rules (rule_id TEXT PRIMARY KEY, rule TEXT NOT NULL, status TEXT NOT NULL)",
    "CREATE TABLE fraud_proposals (proposal_id TEXT PRIMARY KEY, rule TEXT NOT NULL, replaces TEXT, "
    "tests TEXT, status TEXT NOT NULL)",
)


@dataclass(frozen=True)
class World:
    """A world that was written.

    Attributes:
        now: the moment it shows, UTC.
        truth: each proposal with its story, the specialist that must look, and what it must find.
    """

    seed: int
    now: datetime
    transactions: int
    frauds: int
    truth: tuple[Mapping[str, Any], ...]


def draw(seed: int, home: Path, *, now: datetime | None = None, stories: Sequence[Story] = STORIES) -> World:
    """Writes the world of a seed and a moment: its tables into `warehouse.db`, in place of earlier ones.

    Other tables of the warehouse stay. `fraud/world.json` holds seed and moment, `truth.json` beside it what
    only the evaluation may read.

    Args:
        now: with a time zone; the present minute if absent. The same seed and moment give the same world.
        stories: what can be proposed in the world.
    """
    moment = (now or datetime.now(UTC)).astimezone(UTC).replace(microsecond=0)
    moment = moment if now else moment.replace(second=0)
    plots = plan(seed, stories)
    book = payments(Random(f"{seed}:payments"), moment, plots)  # noqa: S311
    folder = home / "fraud"
    folder.mkdir(parents=True, exist_ok=True)
    truth = tuple(_truth(place, plot) for place, plot in enumerate(plots, 1))
    _write(home / "warehouse.db", book, plots)
    _keep(folder / "truth.json", truth)
    _keep(folder / "world.json", {"seed": seed, "drawn_at": moment.isoformat()})
    return World(seed, moment, len(book), sum(payment.fraud for payment in book), truth)


def plan(seed: int, stories: Sequence[Story] = STORIES) -> list[Plot]:
    """The proposals of a world: one in six has only a sound one, the others one or two that are not."""
    rng = Random(f"{seed}:plan")  # noqa: S311
    if seed == DEFAULT_SEED:
        tests = json.dumps([{"transactions": [{"amount": 300}], "hit": True}])
        truth = {"field": "country", "value": "AE"}
        return [Plot("misfires", "block if amount > 220", truth, tests, hurt=("country", "AE"))]
    count = rng.choices((0, 1, 2), weights=(17, 63, 20))[0]
    chosen = rng.sample(list(stories), min(count, len(stories)))
    if {"misfires", "evaded"} <= {story.name for story in chosen}:
        chosen = chosen[:1]
    plots = [story.plot(rng) for story in chosen]
    clear = all(not plot.in_force.startswith("allow") for plot in plots)
    if not plots or (clear and rng.random() < 0.4):
        plots.append(SOUND.plot(rng))
    rng.shuffle(plots)
    return plots


def route_of(story: str) -> str:
    """The specialist that must look at a story's proposal; empty if none must."""
    return next((each.route for each in STORIES if each.name == story), "")


def _truth(place: int, plot: Plot) -> dict[str, Any]:
    return {"proposal": f"P-{place}", "story": plot.story, "route": route_of(plot.story), **plot.truth}


def _keep(path: Path, content: Any) -> None:
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps(content, indent=2), encoding="utf-8")
    beside.replace(path)


def _write(path: Path, book: Sequence[Payment], plots: Sequence[Plot]) -> None:
    rules = [
        *IN_FORCE,
        *((f"R-{40 + place}", plot.in_force) for place, plot in enumerate(plots) if plot.in_force),
    ]
    with rewritten(path) as connection:
        for statement in _TABLES:
            connection.execute(statement)
        connection.executemany(
            f"INSERT INTO fraud_transactions VALUES ({', '.join('?' * 12)})", map(_row, book)
        )
        connection.executemany("INSERT INTO fraud_rules VALUES (?, ?, 'active')", rules)
        connection.executemany(
            "INSERT INTO fraud_proposals VALUES (?, ?, NULL, ?, 'open')",
            [(f"P-{place}", plot.rule, plot.tests or None) for place, plot in enumerate(plots, 1)],
        )


def _row(payment: Payment) -> tuple[Any, ...]:
    reported = payment.time + timedelta(hours=payment.reported_after) if payment.fraud else None
    return (
        payment.id, _text(payment.time), payment.amount, payment.customer, payment.card, payment.terminal,
        payment.device, payment.country, payment.terminal_type, _text(payment.customer_since),
        int(payment.fraud), _text(reported) if reported else None,
    )  # fmt: skip


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S")
