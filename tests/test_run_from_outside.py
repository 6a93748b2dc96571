"""A run that a message from outside started: deferred, told of, taken once, and going on when cut off."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, update

from blocks.database import DatabaseError
from blocks.schema import triggers
from flows import orchestrator
from flows.ecm import DOMAIN
from flows.ecm.models import EcmInput
from flows.orchestrator.dispatch import dispatch, recover
from tasks import controls, inbox, lease, notices
from tasks.admission import LEASE, Taken
from tasks.platform import open_now
from tasks.run import admitted
from tests.commands import Aspora, new_aspora  # noqa: F401
from tests.fix_world import World, new_api, new_world, run  # noqa: F401
from tests.orchestrated import ALERT, Prefect, alert
from tests.test_admission import over, spent, stopped

HOUR = timedelta(hours=1)
GONE = lease.claimant().rsplit(":", 2)[0] + ":1:1"


@pytest.fixture(name="trigger")
def new_trigger(world: World) -> inbox.Trigger:
    """An alert that came in."""
    world.config["triggers"] = [ALERT]
    world.write()
    platform = open_now()
    return world.database.write_now(lambda conn: orchestrator.receive(conn, platform, alert()))


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What people were told, in order: what, the trigger's state then, why."""
    heard: list[tuple[Any, ...]] = []

    def hear(name: str) -> Callable[..., None]:
        return lambda conn, settings, trigger, *reason: heard.append((name, trigger.state, *reason))

    for name in ("working", "ended", "refused", "deferred"):
        monkeypatch.setattr(notices, name, hear(name))
    return heard


def row(world: World, id: str) -> inbox.Trigger:
    return world.database.read_now(lambda conn: inbox.get(conn, id))


async def interrupted(trigger_id: str) -> None:
    """A run that is told to stop once it was admitted."""
    async with admitted(DOMAIN, EcmInput(), trigger_id, "f1"):
        raise asyncio.CancelledError


# guardrails


@pytest.mark.parametrize(
    ("before", "guardrails"),
    [(stopped, {}), (spent, {"budget": "$2/day"}), (over, {"rate_limit": "1/hour"})],
)
async def test_what_may_not_start_now_waits(
    world: World, trigger: inbox.Trigger, told: list[Any], before: Any, guardrails: dict[str, Any]
) -> None:
    """Nothing of it runs; who asked hears of it once."""
    world.domain["guardrails"] |= guardrails
    world.write()
    world.database.write_now(before)
    for _ in range(2):
        result = await run(trigger_id=trigger.id)
        assert (result["state"], result["executions"]) == ("deferred", [])
    kept = row(world, trigger.id)
    assert (kept.state, kept.attempts, kept.dispatched_at) == ("deferred", 0, None)
    assert kept.next_attempt_at > datetime.now(UTC)
    assert told == [("deferred", "deferred", kept.reason)]


async def test_a_run_by_hand_that_may_not_start_is_refused(world: World, told: list[Any]) -> None:
    world.database.write_now(stopped)
    result = await run()
    assert told == [("refused", "refused", result["reason"])]


def maintained(world: World) -> None:
    now = datetime.now(UTC)
    window = {"start": (now - HOUR).isoformat(), "end": (now + HOUR).isoformat(), "reason": "database move"}
    world.config["platform"]["maintenance"] = [window]
    world.write()


async def test_a_maintenance_window_holds_back_what_waits(world: World, trigger: inbox.Trigger) -> None:
    maintained(world)
    assert (await run(trigger_id=trigger.id))["state"] == "deferred"
    assert row(world, trigger.id).reason.startswith("maintenance until ")


def test_a_maintenance_window_refuses_runs_by_hand(aspora: Aspora, world: World) -> None:
    maintained(world)
    done = aspora("run", "ecm", "--json")
    assert done.code == 3
    assert done.json["reason"].endswith("UTC (database move)")


async def test_runs_that_go_on_are_not_held_back_by_a_window(world: World, trigger: inbox.Trigger) -> None:
    world.database.write_now(lambda conn: inbox.claim(conn, trigger.id, GONE, LEASE))
    maintained(world)
    assert (await run(trigger_id=trigger.id))["state"] == "awaiting_approval"


# told


async def test_people_hear_that_it_works_and_what_came_of_it(
    world: World, trigger: inbox.Trigger, told: list[Any]
) -> None:
    await run(trigger_id=trigger.id)
    assert told == [("working", "running"), ("ended", "done")]


async def test_a_run_that_went_on_is_announced_once(
    world: World, trigger: inbox.Trigger, told: list[Any]
) -> None:
    with pytest.raises(asyncio.CancelledError):
        await interrupted(trigger.id)
    await run(trigger_id=trigger.id)
    assert [name for name, *_ in told] == ["working", "ended"]


async def without_a_database(trigger_id: str) -> None:
    """A run that can't write what it does any more."""
    async with admitted(DOMAIN, EcmInput(), trigger_id, "f1") as begun:
        await begun.manage(locked_out)


async def locked_out(execution_id: str) -> None:
    raise DatabaseError("the database is locked")


async def test_a_run_that_can_not_use_the_database_goes_on_later(
    world: World, trigger: inbox.Trigger, told: list[Any]
) -> None:
    """What it had begun is ended by the run that goes on."""
    with pytest.raises(DatabaseError):
        await without_a_database(trigger.id)
    kept = row(world, trigger.id)
    assert (kept.state, kept.attempts) == ("deferred", 1)
    assert kept.reason == "the database is locked; it goes on by itself"
    result = await run(trigger_id=trigger.id)
    assert [each["outcome"] for each in result["executions"] if each["skill"] == "ecm-triage"] == ["success"]
    assert [name for name, *_ in told] == ["working", "ended"]


async def test_a_run_that_can_never_use_the_database_fails_in_the_end(
    world: World, trigger: inbox.Trigger
) -> None:
    for _ in range(inbox.MOST_ATTEMPTS):
        with pytest.raises(DatabaseError):
            await without_a_database(trigger.id)
    kept = row(world, trigger.id)
    assert (kept.state, kept.result) == ("failed", "failed")
    assert "the database is locked" in kept.reason


# once


async def test_of_many_flow_runs_of_one_trigger_one_does_the_work(
    world: World, trigger: inbox.Trigger, told: list[Any]
) -> None:
    ended = await asyncio.gather(*(run(trigger_id=trigger.id) for _ in range(6)), return_exceptions=True)
    reports = [each for each in ended if isinstance(each, dict)]
    assert len(reports) == 1
    assert sum(isinstance(each, Taken) for each in ended) == 5
    assert len(reports[0]["executions"]) == 2
    assert [name for name, *_ in told] == ["working", "ended"]
    with pytest.raises(Taken, match=f"run {trigger.run_id} is done already"):
        await run(trigger_id=trigger.id)


async def test_a_trigger_of_another_domain_is_not_worked_on(world: World) -> None:
    other = world.database.write_now(lambda conn: inbox.accept(conn, "run", "fraud", "f"))
    with pytest.raises(inbox.UnknownTrigger, match=f"{other.id} is one of fraud, not of ecm"):
        await run(trigger_id=other.id)


# cut off


async def test_an_interrupted_run_goes_on_by_itself(
    world: World, trigger: inbox.Trigger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped between triage and the fix: the next flow run continues, and triages nothing twice."""
    from tasks import handoffs

    add, prefect = handoffs.add, Prefect()

    def stop(*given: Any) -> bool:
        raise asyncio.CancelledError

    monkeypatch.setattr(handoffs, "add", stop)
    with pytest.raises(asyncio.CancelledError):
        await run(trigger_id=trigger.id)
    monkeypatch.setattr(handoffs, "add", add)
    kept = row(world, trigger.id)
    assert (kept.state, kept.reason) == ("deferred", "interrupted; it goes on by itself")
    await dispatch(open_now(), prefect)
    assert prefect.events == [(trigger.id, 1)]
    report = await run(trigger_id=trigger.id)
    assert report["state"] == "awaiting_approval"
    assert [each["skill"] for each in report["executions"]] == ["ecm-triage", "ecm-resolve"]


async def test_an_interrupted_run_by_schedule_goes_on_and_one_by_hand_fails(world: World) -> None:
    with pytest.raises(asyncio.CancelledError):
        await interrupted("")
    by_hand = world.database.write_now(lambda conn: inbox.accept(conn, "cli", "ecm", "by hand"))
    with pytest.raises(asyncio.CancelledError):
        await interrupted(by_hand.id)
    states = {each.source: each.state for each in world.database.read_now(inbox.find)}
    assert states == {"run": "deferred", "cli": "failed"}


async def test_the_kill_switch_holds_a_run_that_would_go_on_until_it_is_lifted(
    world: World, trigger: inbox.Trigger
) -> None:
    prefect, platform = Prefect(), open_now()
    world.database.write_now(lambda conn: inbox.claim(conn, trigger.id, GONE, LEASE))
    world.database.write_now(stopped)
    await recover(platform)
    await dispatch(platform, prefect)
    assert (row(world, trigger.id).state, prefect.events) == ("deferred", [])
    world.database.write_now(lambda conn: controls.start(conn, controls.domain("ecm"), by="bob"))
    await dispatch(platform, prefect, datetime.now(UTC) + HOUR)
    assert prefect.events == [(trigger.id, 1)]


async def test_a_run_that_another_process_took_over_stops(
    world: World, trigger: inbox.Trigger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that slept past its lease must not go on spending beside the new one."""
    monkeypatch.setattr("tasks.run.HEARTBEAT_SECONDS", 0.01)

    def take_over(conn: Connection) -> None:
        held = triggers.c.id == trigger.id
        conn.execute(update(triggers).where(held).values(claimed_by="another", attempts=2))

    with pytest.raises(asyncio.CancelledError):
        async with admitted(DOMAIN, EcmInput(), trigger.id):
            await asyncio.to_thread(world.database.write_now, take_over)
            await asyncio.sleep(30)
    kept = row(world, trigger.id)
    assert (kept.state, kept.claimed_by) == ("running", "another")
