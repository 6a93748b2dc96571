"""A whole course of faults: injected in batches, each followed by rest and an audit."""

from __future__ import annotations

import itertools
import random
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from blocks.database import DatabaseError
from tests.faults import world as worlds
from tests.faults.audit import audit, read, wait_until_quiet
from tests.faults.faults import Scene, wait_for
from tests.faults.plan import Injection, draw
from tests.faults.traffic import Traffic
from tests.faults.world import World

LANES = 4
"""Faults at the same time, at most."""


@dataclass
class Outcome:
    """What came of a course.

    Attributes:
        injected: kind → how often.
        violations: kind → what was found after a batch with it.
        facts: figures about the course, for people.
    """

    seed: int
    disk: bool = True
    injected: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    moments: Counter[str] = field(default_factory=Counter)
    violations: list[tuple[tuple[str, ...], str]] = field(default_factory=list)
    rests: list[float] = field(default_factory=list)
    seconds: float = 0.0
    facts: dict[str, object] = field(default_factory=dict)


def run(
    directory: Path,
    seed: int,
    injections: int,
    minutes: float,
    batch: int,
    names: Sequence[str] = (),
    keep: Callable[[], None] = lambda: None,
) -> Outcome:
    """Runs a course, and tells of its progress on stdout.

    Args:
        keep: called before the platform and its home are gone.
    """
    began, outcome = time.monotonic(), Outcome(seed)
    chance = random.Random(f"world {seed}")
    with worlds.running(directory, chance) as world:
        outcome.disk = world.disk
        traffic = Traffic(world, random.Random(f"traffic {seed}"))
        scene = Scene(world, traffic, random.Random(f"scene {seed}"))
        drawn = draw(seed, injections, world.disk, names)
        until = time.monotonic() + minutes * 60
        try:
            while time.monotonic() < until and (some := [*itertools.islice(drawn, batch)]):
                _batch(scene, some, outcome)
                outcome.facts = _facts(world, traffic)
        finally:
            traffic.close()
            keep()
        outcome.seconds = time.monotonic() - began
    return outcome


class Lanes:
    """Faults side by side; one that restarts the platform is alone."""

    def __init__(self, scene: Scene, outcome: Outcome) -> None:
        self._scene, self._outcome = scene, outcome
        self._room = threading.Semaphore(LANES)
        self._alone = threading.Lock()

    def inject(self, some: Sequence[Injection]) -> None:
        """All of them; returns once they are over."""
        with ThreadPoolExecutor(LANES) as lanes:
            for each in [lanes.submit(self._inject, injection) for injection in some]:
                each.result()

    def _inject(self, injection: Injection) -> None:
        time.sleep(injection.pause)
        with self._placed(injection.fault.alone):
            came = _came(self._scene.world, injection)
            reached = injection.moment if came else f"{injection.moment} (not reached)"
            _say(f"{injection.number:>4} {injection.fault.name}, {reached}")
            try:
                done = injection.fault.harm(self._scene)
            except Exception as error:
                _say(f"     {injection.fault.name} could not be injected: {error!r}"[:500])
                done = False
        if done is not False:
            self._outcome.injected[injection.fault.name] += 1
            self._outcome.moments[reached] += 1
        else:
            self._outcome.missed[injection.fault.name] += 1

    @contextmanager
    def _placed(self, alone: bool) -> Iterator[None]:
        places = LANES if alone else 1
        with self._alone if alone else nullcontext():
            for _ in range(places):
                self._room.acquire()
        try:
            yield
        finally:
            self._room.release(places)


def _batch(scene: Scene, some: Sequence[Injection], outcome: Outcome) -> None:
    scene.traffic.go_on()
    Lanes(scene, outcome).inject(some)
    scene.world.heal()
    time.sleep(1.0)
    scene.traffic.pause()
    rest, restless = wait_until_quiet(scene.world)
    outcome.rests.append(rest)
    kinds = tuple(dict.fromkeys(each.fault.name for each in some))
    found = [f"not at rest: {each}" for each in restless]
    try:
        found += audit(scene.world, scene.traffic.ledger)
    except Exception:
        found.append(f"the audit failed: {traceback.format_exc()}")
    known = {told for _, told in outcome.violations}
    new = [each for each in found if each not in known]
    outcome.violations += [(kinds, each) for each in new]
    _say(f"     at rest after {rest:.0f} s; {len(new)} new violations")
    for each in new:
        _say(f"     VIOLATION {each}")


def _came(world: World, injection: Injection) -> bool:
    with suppress(DatabaseError, httpx.HTTPError):
        return wait_for(world, injection.moment)
    return False


def _facts(world: World, traffic: Traffic) -> dict[str, object]:
    now = read(world)
    return {
        "triggers accepted": len(traffic.ledger.accepted),
        "deliveries tried": traffic.ledger.sent,
        "runs by result": dict(Counter(row.result for row in now.triggers if row.result)),
        "failed runs by reason": dict(
            Counter(row.reason[:80] for row in now.triggers if row.state == "failed")
        ),
        "starts": sum(row.attempts for row in now.triggers),
        "executions by outcome": dict(Counter(str(row.outcome) for row in now.executions)),
        "model turns answered": world.model.answered,
        "turns reserved": len(now.spend),
        "turns lost and counted as reserved": sum(bool(row.lapsed) for row in now.spend),
        "fixes by status": dict(Counter(row.status for row in now.approvals)),
        "actions by status": dict(Counter(row.status for row in now.actions)),
        "acts of the company": len(world.company.acts),
    }


def _say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)
