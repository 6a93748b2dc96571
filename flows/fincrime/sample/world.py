"""Draws a sample world and writes it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from blocks.sample_warehouse import rewritten
from flows.fincrime.sample.lookalikes import HELD_OUT_LOOK_ALIKES, LOOK_ALIKES, ordinary
from flows.fincrime.sample.setting import HELD_OUT, LEVELS, Setting
from flows.fincrime.sample.town import Account, Town, settle
from flows.fincrime.sample.typologies import TYPOLOGIES, Planted, gather_scatter

DEFAULT_SEED = 7
"""The demo: a hub that gathers and scatters, beside customers who only look like it."""
REASONS = (
    "velocity above the usual", "volume above the usual", "many counterparties", "large single transfer",
    "rule R-114", "rule R-207",
)  # fmt: skip

_TABLES = (
    "DROP TABLE IF EXISTS fincrime_transfers",
    "DROP TABLE IF EXISTS fincrime_accounts",
    "DROP TABLE IF EXISTS fincrime_alerts",
    "CREATE TABLE fincrime_transfers (transfer_id TEXT PRIMARY KEY, booked_at TIMESTAMP NOT NULL, "
    "from_account TEXT, to_account TEXT, amount NUMERIC(14, 2) NOT NULL, currency TEXT NOT NULL, "
    "kind TEXT NOT NULL)",
    "CREATE TABLE fincrime_accounts (account_id TEXT PRIMARY KEY, customer_id TEXT NOT NULL, "
    "kind TEXT NOT NULL, country TEXT NOT NULL, opened_at TIMESTAMP NOT NULL)",
    "CREATE TABLE fincrime_alerts (alert_id TEXT PRIMARY KEY, account_id TEXT NOT NULL, "
    "raised_at TIMESTAMP NOT NULL, reason TEXT NOT NULL, status TEXT NOT NULL)",
    "CREATE INDEX fincrime_transfers_from ON fincrime_transfers (from_account, booked_at)",
    "CREATE INDEX fincrime_transfers_to ON fincrime_transfers (to_account, booked_at)",
)


@dataclass(frozen=True)
class World:
    """A world that was written.

    Attributes:
        now: the moment it shows, UTC.
        level: the name of its noise level.
        truth: each alert with what is behind it; `typology` is null for innocent customers.
    """

    seed: int
    now: datetime
    level: str
    transfers: int
    truth: tuple[Mapping[str, Any], ...]


def draw(seed: int, home: Path, *, now: datetime | None = None, held_out: bool = False) -> World:
    """Writes the world of a seed and a moment: its tables into `warehouse.db`, in place of earlier ones.

    Other tables of the warehouse stay. `fincrime/world.json` holds seed and moment, `truth.json` beside it
    what only the evaluation may read.

    Args:
        now: with a time zone; the present minute if absent. The same seed and moment give the same world.
        held_out: from the levels and with the look-alikes that were kept out of the skills' building.
    """
    moment = (now or datetime.now(UTC)).astimezone(UTC).replace(microsecond=0)
    moment = moment if now else moment.replace(second=0)
    levels: Sequence[Setting] = HELD_OUT if held_out else LEVELS
    setting = levels[seed % len(levels)]
    rng = Random(f"{seed}:{setting.name}:fincrime")  # noqa: S311
    town = Town(rng, setting, moment)
    settle(town)
    planted = [plant(town) for plant in typologies(seed)]
    alike = HELD_OUT_LOOK_ALIKES if held_out else LOOK_ALIKES
    innocent = [(draw_one.__name__, draw_one(town)) for draw_one in rng.sample(list(alike), 5)]
    innocent += [("ordinary", ordinary(town)) for _ in range(3)]
    truth = _truth(town, planted, innocent)
    folder = home / "fincrime"
    folder.mkdir(parents=True, exist_ok=True)
    _write(home / "warehouse.db", town, truth)
    _keep(folder / "truth.json", {"level": setting.name, "alerts": truth})
    _keep(folder / "world.json", {"seed": seed, "drawn_at": moment.isoformat()})
    return World(seed, moment, setting.name, len(town.moves), truth)


def typologies(seed: int) -> list[Callable[[Town], Planted]]:
    """What is planted in a world: nothing in one of six, else one to four typologies."""
    rng = Random(f"{seed}:fincrime plan")  # noqa: S311
    if seed == DEFAULT_SEED:
        return [gather_scatter]
    count = rng.choices((0, 1, 2, 3, 4), weights=(17, 15, 28, 25, 15))[0]
    return rng.sample(list(TYPOLOGIES), count)


def _truth(
    town: Town, planted: Sequence[Planted], innocent: Sequence[tuple[str, Account]]
) -> tuple[dict[str, Any], ...]:
    ids = _ids(town)
    cases: dict[str, dict[str, Any]] = {}
    for one in planted:
        cases[one.subject] = {
            "account": one.subject,
            "typology": one.name,
            "innocent": None,
            "members": list(one.members),
            "transfers": [ids[place] for place in one.places],
        }
    for name, account in innocent:
        if account.id not in cases:
            cases[account.id] = {
                "account": account.id, "typology": None, "innocent": name, "members": [], "transfers": [],
            }  # fmt: skip
    listed = list(cases.values())
    town.rng.shuffle(listed)
    return tuple({"alert": f"AL-{place}", **case} for place, case in enumerate(listed, 1))


def _ids(town: Town) -> list[str]:
    """An id for each transfer, in the order of time, whoever drew it."""
    order = sorted(range(len(town.moves)), key=lambda place: town.moves[place].time)
    ids = [""] * len(order)
    for number, place in enumerate(order, 1):
        ids[place] = f"T-{number}"
    return ids


def _keep(path: Path, content: Any) -> None:
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps(content, indent=2), encoding="utf-8")
    beside.replace(path)


def _write(path: Path, town: Town, truth: Sequence[Mapping[str, Any]]) -> None:
    rng = Random(f"{town.setting.name}:{len(town.moves)}:alerts")  # noqa: S311
    transfers = sorted(
        (
            (
                id,
                _text(move.time),
                move.sender or None,
                move.receiver or None,
                move.amount,
                move.currency,
                move.kind,
            )
            for id, move in zip(_ids(town), town.moves, strict=True)
        ),
        key=lambda row: int(row[0][2:]),
    )
    accounts = [
        (each.id, each.customer, each.kind, each.country, _text(each.opened))
        for each in town.accounts.values()
    ]
    alerts = [
        (
            case["alert"],
            case["account"],
            _text(town.now - timedelta(minutes=rng.randint(1, 600))),
            rng.choice(REASONS),
        )
        for case in truth
    ]
    with rewritten(path) as connection:
        for statement in _TABLES:
            connection.execute(statement)
        connection.executemany("INSERT INTO fincrime_transfers VALUES (?, ?, ?, ?, ?, ?, ?)", transfers)
        connection.executemany("INSERT INTO fincrime_accounts VALUES (?, ?, ?, ?, ?)", accounts)
        connection.executemany("INSERT INTO fincrime_alerts VALUES (?, ?, ?, ?, 'open')", alerts)


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S")
