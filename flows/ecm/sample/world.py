"""Draws a sample world and writes it."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from blocks.sample_warehouse import rewritten
from flows.ecm.sample import api, incidents, logs, orders
from flows.ecm.sample.fault import Affliction, Fault
from flows.ecm.sample.faults import FAULTS
from flows.ecm.sample.stages import STAGE, Stage

DEFAULT_SEED = 7
"""The demo: Lulu limits our calls, 90 orders wait, 68 of them critical."""


@dataclass(frozen=True)
class World:
    """A world that was written.

    Attributes:
        now: the moment it shows, UTC.
        orders: rows of the order book.
        log_lines: over all services.
        faults: the truth, as in the truth file; empty when nothing is wrong.
        incidents: past incidents to insert into the platform record: domain, stage, title, symptoms,
            root_cause, fix, outcome, source (`sample`), opened_at, resolved_at.
    """

    seed: int
    now: datetime
    orders: int
    log_lines: int
    faults: tuple[Mapping[str, Any], ...]
    incidents: tuple[Mapping[str, Any], ...]


def draw(seed: int, home: Path, *, now: datetime | None = None, faults: Sequence[Fault] = FAULTS) -> World:
    """Writes the world of a seed and a moment under `home`, in place of an earlier one.

    Written are the order book in `warehouse.db` (other tables of it stay), `logs/`, `sample/world.json` (seed
    and moment), and in `sample/truth/` what only the evaluation (`ecm.json`) and the company's API
    (`company.db`) may read. No reader sees half a file or half a table.

    Args:
        now: with a time zone; the present minute if absent. The same seed and moment give the same world.
        faults: what can be wrong in the world.
    """
    moment = (now or datetime.now(UTC)).astimezone(UTC)
    moment = moment.replace(microsecond=0) if now else moment.replace(second=0, microsecond=0)
    afflictions = plan(seed, moment, faults)
    home.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=".drawing-", dir=home))
    try:
        book = orders.book(Random(f"{seed}:orders"), moment, afflictions)  # noqa: S311
        world = _write(beside, seed, moment, afflictions, book)
        with rewritten(home / "warehouse.db") as warehouse:
            orders.write(warehouse, book)
            _replace(home, beside)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return world


def plan(seed: int, now: datetime, faults: Sequence[Fault] = FAULTS) -> list[Affliction]:
    """What is wrong in a world: seven in ten have one fault, the others two in different stages or none."""
    story = [fault for fault in faults if fault.name == "rate_limit"] if seed == DEFAULT_SEED else []
    if story:
        return [Affliction("lulu", story[0], 0, now - timedelta(hours=9, minutes=20), 90, 68)]
    rng = Random(f"{seed}:plan")  # noqa: S311
    count = rng.choices((0, 1, 2), weights=(15, 70, 15))[0]
    planned: list[Affliction] = []
    for _ in range(100):
        if len(planned) == count:
            break
        fault = rng.choice(faults)
        stage = STAGE[rng.choice(fault.stages)]
        if all(stage.name != other.stage and fault is not other.fault for other in planned):
            planned.append(_afflict(rng, fault, stage, now))
    return planned


def _write(
    folder: Path, seed: int, now: datetime, afflictions: Sequence[Affliction], book: Sequence[orders.Order]
) -> World:
    lines = logs.write(folder / "logs", Random(f"{seed}:logs"), now, book, afflictions)  # noqa: S311
    truth = folder / "sample" / "truth"
    truth.mkdir(parents=True)
    found = tuple(affliction.truth() for affliction in afflictions)
    (truth / "ecm.json").write_text(json.dumps(found, indent=2), encoding="utf-8")
    api.create(truth / "company.db", afflictions)
    about = {"seed": seed, "drawn_at": now.isoformat()}
    (folder / "sample" / "world.json").write_text(json.dumps(about), encoding="utf-8")
    past = incidents.past(Random(f"{seed}:incidents"), now)  # noqa: S311
    return World(seed, now, len(book), lines, found, past)


def _replace(home: Path, beside: Path) -> None:
    """Renames the new pieces into place."""
    for name in ("logs", "sample"):
        if (home / name).exists():
            (home / name).rename(beside / f"old-{name}")
        (beside / name).rename(home / name)


def _afflict(rng: Random, fault: Fault, stage: Stage, now: datetime) -> Affliction:
    least = max(3.0, stage.sla + 2)
    hours = rng.uniform(least, max(30.0, stage.sla + 16) if stage.sla > 12 else least + 14)
    held = rng.randint(*fault.stuck)
    stuck = stage.slow + (round(held * 0.75) if stage.sla < 12 else max(held, 90))
    critical = max(14, round(stuck * rng.uniform(0.2, 0.75)))
    wording = rng.randrange(len(fault.wordings))
    onset = (now - timedelta(hours=hours)).replace(microsecond=0)
    return Affliction(stage.name, fault, wording, onset, stuck, critical)
