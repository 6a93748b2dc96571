"""Draws a sample world and writes it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

from blocks.sample_warehouse import rewritten
from flows.churn.sample import api
from flows.churn.sample.customers import Customer, lives
from flows.churn.sample.stories import STORIES, Story

DEFAULT_SEED = 7
"""The demo: payments that fail, and their customers who go elsewhere."""

_TABLES = {
    "churn_customers": "customer_id TEXT PRIMARY KEY, joined_at TIMESTAMP NOT NULL, left_at TIMESTAMP, "
    "corridor TEXT NOT NULL, channel TEXT NOT NULL, marketing_opt_in INTEGER NOT NULL",
    "churn_transfers": "customer_id TEXT NOT NULL, sent_at TIMESTAMP NOT NULL, amount_usd REAL NOT NULL, "
    "revenue_usd REAL NOT NULL, status TEXT NOT NULL",
    "churn_usage": "customer_id TEXT NOT NULL, week_end TIMESTAMP NOT NULL, sessions INTEGER NOT NULL",
    "churn_complaints": "customer_id TEXT NOT NULL, complained_at TIMESTAMP NOT NULL",
    "churn_price_changes": "customer_id TEXT NOT NULL, changed_at TIMESTAMP NOT NULL, percent REAL NOT NULL",
    "churn_contacts": "customer_id TEXT NOT NULL, sent_at TIMESTAMP NOT NULL, offer TEXT NOT NULL",
}


@dataclass(frozen=True)
class World:
    """A world that was written.

    Attributes:
        now: the moment it shows, UTC.
        truth: the reasons to leave that it has; empty if nothing is wrong.
    """

    seed: int
    now: datetime
    customers: int
    left: int
    truth: tuple[str, ...]


def draw(seed: int, home: Path, *, now: datetime | None = None) -> World:
    """Writes the world of a seed and a moment: its tables into `warehouse.db`, in place of earlier ones.

    Other tables of the warehouse stay. `churn/world.json` holds seed and moment, `truth.json` beside it what
    only the evaluation may read.

    Args:
        now: with a time zone; the present minute if absent. The same seed and moment give the same world.
    """
    moment = (now or datetime.now(UTC)).astimezone(UTC).replace(microsecond=0)
    moment = moment if now else moment.replace(second=0)
    stories = plan(seed)
    customers = lives(Random(f"{seed}:customers"), moment, stories)  # noqa: S311
    folder = home / "churn"
    folder.mkdir(parents=True, exist_ok=True)
    _write(home / "warehouse.db", customers)
    api.create(folder / "company.db")
    truth = tuple(story.driver for story in stories)
    _keep(folder / "truth.json", {"drivers": truth})
    _keep(folder / "world.json", {"seed": seed, "drawn_at": moment.isoformat()})
    return World(seed, moment, len(customers), sum(each.left is not None for each in customers), truth)


def plan(seed: int) -> list[Story]:
    """Why customers leave in a world: in one of five for no reason, in others for one or two."""
    rng = Random(f"{seed}:plan")  # noqa: S311
    if seed == DEFAULT_SEED:
        return [story for story in STORIES if story.driver == "failed payments"]
    count = rng.choices((0, 1, 2), weights=(20, 55, 25))[0]
    return rng.sample(list(STORIES), count)


def _keep(path: Path, content: Any) -> None:
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps(content, indent=2), encoding="utf-8")
    beside.replace(path)


def _write(path: Path, customers: Sequence[Customer]) -> None:
    rows: dict[str, list[tuple[Any, ...]]] = {
        "churn_customers": [
            (each.id, _text(each.joined), _text(each.left) if each.left else None, each.corridor,
             each.channel, int(each.opted_in))
            for each in customers
        ],
        "churn_transfers": [
            (each.id, _text(at), amount, revenue, "failed" if failed else "paid")
            for each in customers for at, amount, revenue, failed in each.transfers
        ],
        "churn_usage": [(each.id, _text(at), count) for each in customers for at, count in each.usage],
        "churn_complaints": [(each.id, _text(at)) for each in customers for at in each.complaints],
        "churn_price_changes": [
            (each.id, _text(at), percent) for each in customers for at, percent in each.price_changes
        ],
        "churn_contacts": [(each.id, _text(at), "newsletter") for each in customers for at in each.contacts],
    }  # fmt: skip
    with rewritten(path) as connection:
        for name, columns in _TABLES.items():
            connection.execute(f"DROP TABLE IF EXISTS {name}")
            connection.execute(f"CREATE TABLE {name} ({columns})")
            marks = ", ".join("?" * (columns.count(",") + 1))
            connection.executemany(f"INSERT INTO {name} VALUES ({marks})", rows[name])


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S")
