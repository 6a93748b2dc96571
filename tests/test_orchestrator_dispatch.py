"""Waiting triggers are sent to Prefect, wait for guardrails, are noticed when lost, and given up at last."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, text

from blocks.database import Database
from flows import orchestrator
from flows.orchestrator.dispatch import BATCH, BEGINNING, dispatch, recover
from tasks import admission, controls, inbox, lease, notices
from tasks.platform import Platform
from tests.orchestrated import ALERT, Prefect, alert, platform_of, received, row
from tests.record_world import MINUTE, NOW, new_database, new_postgres  # noqa: F401

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
GONE = lease.claimant().rsplit(":", 2)[0] + ":1:1"
"""The name of a process that has ended."""


@pytest.fixture
def prefect() -> Prefect:
    return Prefect()


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What people were told, and why."""
    heard: list[tuple[str, str]] = []
    for name in ("refused", "deferred"):
        monkeypatch.setattr(
            notices, name, lambda conn, settings, trigger, reason, name=name: heard.append((name, reason))
        )
    monkeypatch.setattr(
        notices, "ended", lambda conn, settings, trigger: heard.append(("ended", trigger.reason))
    )
    return heard


def guarded(database: Database, **guardrails: Any) -> Platform:
    """A platform whose ECM has these guardrails."""
    platform = platform_of(database, ALERT)
    config = platform.config.model_dump(mode="json")
    config["domains"]["ecm"]["guardrails"] |= guardrails
    config["platform"]["guardrails"] |= {"rate_limit": None, "max_parallel_runs": 1000}
    from dataclasses import replace

    return replace(platform, config=type(platform.config).model_validate(config))


def until(done: Callable[[], bool]) -> None:
    """Waits in this thread until it is so."""
    end = time.monotonic() + 30
    while not done():
        assert time.monotonic() < end
        time.sleep(0.01)


def stopped(platform: Platform) -> None:
    platform.database.write_now(lambda conn: controls.stop(conn, controls.domain("ecm"), by="Ada"))


def lifted(platform: Platform) -> None:
    platform.database.write_now(lambda conn: controls.start(conn, controls.domain("ecm"), by="Ada"))


def claimed(platform: Platform, trigger: inbox.Trigger, at: datetime = NOW, owner: str = "") -> str:
    owner = owner or lease.claimant()
    assert platform.database.write_now(lambda c: inbox.claim(c, trigger.id, owner, HOUR, now=at))
    return owner


# sending


async def test_a_waiting_trigger_is_sent_once(database: Database, prefect: Prefect) -> None:
    platform = platform_of(database, ALERT)
    trigger = received(platform, alert())
    for seconds in (0, 1, 29):
        await dispatch(platform, prefect, NOW + seconds * SECOND)
    assert prefect.events == [(trigger.id, 1)]
    kept = row(platform, trigger.id)
    assert (kept.state, kept.dispatches, kept.dispatched_at) == ("pending", 1, NOW)


async def test_only_what_waits_from_outside_is_sent(database: Database, prefect: Prefect) -> None:
    """A run by hand is worked on by its own process."""
    platform = platform_of(database, ALERT)
    received(platform, alert(alertname="Other"))
    for source in ("cli", "run"):
        database.write_now(lambda c, s=source: inbox.accept(c, s, "ecm", s, now=NOW))
    claimed(platform, received(platform, alert()))
    await dispatch(platform, prefect, NOW)
    assert prefect.events == []


async def test_services_that_run_twice_send_once(database: Database) -> None:
    platform, servers = platform_of(database, ALERT), [Prefect() for _ in range(4)]
    ids = {received(platform, alert()).id for _ in range(10)}
    await asyncio.gather(*(dispatch(platform, server, NOW) for server in servers))
    sent = [id for server in servers for id, _ in server.events]
    assert sorted(sent) == sorted(ids)


async def test_a_crowd_is_sent_in_rounds_oldest_first(database: Database, prefect: Prefect) -> None:
    platform = guarded(database, max_parallel_runs=500)
    triggers = [received(platform, alert(), NOW + n * SECOND) for n in range(BATCH + 5)]
    for _ in range(2):
        await dispatch(platform, prefect, NOW + HOUR)
    assert [id for id, _ in prefect.events] == [each.id for each in triggers]


# guardrails


async def test_a_guardrail_defers_and_the_trigger_is_tried_again(
    database: Database, prefect: Prefect, told: list[tuple[str, str]]
) -> None:
    platform = platform_of(database, ALERT)
    stopped(platform)
    trigger = received(platform, alert())
    waits, at = [], NOW
    for _ in range(12):
        await dispatch(platform, prefect, at)
        kept = row(platform, trigger.id)
        assert kept.next_attempt_at is not None
        waits.append(kept.next_attempt_at - at)
        at = kept.next_attempt_at
    assert prefect.events == []
    assert waits == sorted(waits)
    assert waits[0] == 2 * SECOND < waits[-1] <= admission.LATEST
    reason = "domain ecm was stopped by Ada; `aspora start ecm` lifts it"
    assert (kept.state, kept.reason) == ("deferred", reason)
    assert told == [("deferred", reason)]
    lifted(platform)
    await dispatch(platform, prefect, at - SECOND)
    assert prefect.events == []
    await dispatch(platform, prefect, at)
    assert prefect.events == [(trigger.id, 1)]


async def test_what_was_sent_counts_as_started(database: Database, prefect: Prefect) -> None:
    """Three may run at a time: of ten, three events go out, and a fourth once one has ended."""
    platform = guarded(database, max_parallel_runs=3)
    triggers = [received(platform, alert(), NOW + n * SECOND) for n in range(10)]
    at = NOW + MINUTE
    await dispatch(platform, prefect, at)
    assert [id for id, _ in prefect.events] == [each.id for each in triggers[:3]]
    states = [row(platform, each.id).state for each in triggers]
    assert states == ["pending"] * 3 + ["deferred"] * 7
    owner = claimed(platform, triggers[0], at)
    await dispatch(platform, prefect, at + 3 * SECOND)
    assert len(prefect.events) == 3
    database.write_now(lambda c: inbox.finish(c, triggers[0].id, owner, "done", result="no_action"))
    await dispatch(platform, prefect, at + 29 * SECOND)
    assert [id for id, _ in prefect.events] == [each.id for each in triggers[:4]]


async def test_the_end_of_a_run_lets_the_next_one_start_at_once(database: Database, prefect: Prefect) -> None:
    """However long it was put off."""
    platform = guarded(database, max_parallel_runs=1)
    first, *waiting = [received(platform, alert(), NOW + n * SECOND) for n in range(4)]
    await dispatch(platform, prefect, NOW + MINUTE)
    owner = claimed(platform, first, NOW + MINUTE)
    for minutes in range(2, 40):
        database.write_now(
            lambda c, at=NOW + minutes * MINUTE: inbox.extend(c, first.id, owner, HOUR, now=at)
        )
        await dispatch(platform, prefect, NOW + minutes * MINUTE)
    at = NOW + 39 * MINUTE + SECOND
    await dispatch(platform, prefect, at)
    assert [id for id, _ in prefect.events] == [first.id]
    database.write_now(lambda c: inbox.finish(c, first.id, owner, "done", result="no_action", now=at))
    await dispatch(platform, prefect, at)
    assert [id for id, _ in prefect.events] == [first.id, waiting[0].id]


async def test_a_domain_without_a_worker_holds_up_no_other(database: Database, prefect: Prefect) -> None:
    """What was sent and does not begin counts for two minutes."""
    other = {**ALERT, "match": {"alertname": "Other"}, "domain": "fraud"}
    platform = platform_of(database, ALERT, other, guardrails={"max_parallel_runs": 3})
    for _ in range(3):
        prefect.run(received(platform, alert()), "SCHEDULED", "Late")
    await dispatch(platform, prefect, NOW)
    assert len(prefect.events) == 3
    waits = received(platform, alert(alertname="Other"), NOW + SECOND)
    await dispatch(platform, prefect, NOW + SECOND)
    assert "has 3 runs under way" in row(platform, waits.id).reason
    await dispatch(platform, prefect, NOW + BEGINNING)
    assert [id for id, _ in prefect.events[3:]] == [waits.id]


async def test_what_was_deferred_long_ago_does_not_hold_up_what_comes_in(
    database: Database, prefect: Prefect
) -> None:
    other = {**ALERT, "match": {"alertname": "Other"}, "domain": "fraud"}
    platform = platform_of(database, ALERT, other)
    stopped(platform)
    for _ in range(BATCH + 5):
        received(platform, alert())
    for _ in range(2):
        await dispatch(platform, prefect, NOW)
    fresh = received(platform, alert(alertname="Other"), NOW + MINUTE)
    await dispatch(platform, prefect, NOW + HOUR)
    assert prefect.events == [(fresh.id, 1)]


async def test_each_domain_has_its_share_of_a_round(database: Database, prefect: Prefect) -> None:
    other = {**ALERT, "match": {"alertname": "Other"}, "domain": "fraud"}
    platform = platform_of(database, ALERT, other)
    stopped(platform)
    for _ in range(BATCH + 5):
        received(platform, alert())
    fresh = received(platform, alert(alertname="Other"), NOW + MINUTE)
    await dispatch(platform, prefect, NOW + MINUTE)
    assert prefect.events == [(fresh.id, 1)]


async def test_what_waited_in_a_maintenance_window_is_sent_at_its_end(
    database: Database, prefect: Prefect
) -> None:
    window = {"start": NOW - HOUR, "end": NOW + 48 * HOUR}
    platform = platform_of(database, ALERT, maintenance=[window])
    trigger = received(platform, alert())
    await dispatch(platform, prefect, NOW + 48 * HOUR - SECOND)
    assert prefect.events == []
    await dispatch(platform, prefect, NOW + 48 * HOUR)
    assert prefect.events == [(trigger.id, 1)]


async def test_maintenance_that_begins_while_a_trigger_waits_does_not_use_up_its_time(
    database: Database, prefect: Prefect
) -> None:
    """It may wait for an hour, and the window is five hours long."""
    window = {"start": NOW + 30 * MINUTE, "end": NOW + 6 * HOUR}
    platform = platform_of(database, ALERT, maintenance=[window], retry_for="1h")
    stopped(platform)
    trigger = received(platform, alert())
    for minutes in (0, 31, 90, 240):
        await dispatch(platform, prefect, NOW + minutes * MINUTE)
    lifted(platform)
    await dispatch(platform, prefect, NOW + 6 * HOUR - SECOND)
    assert prefect.events == []
    await dispatch(platform, prefect, NOW + 6 * HOUR)
    assert prefect.events == [(trigger.id, 1)]


async def test_alerts_that_end_while_they_are_sent_do_not_deadlock(
    postgres_url: str, prefect: Prefect
) -> None:
    """They end in one transaction, in the other order."""
    database, gateway = Database(postgres_url), Database(postgres_url)
    database.migrate()
    platform = platform_of(database, ALERT)
    for n, key in enumerate(("a1", "a2")):
        received(platform, alert(key), NOW + n * SECOND)
    begun = threading.Event()

    def end(conn: Connection) -> None:
        orchestrator.resolve(conn, platform, "a2", NOW)
        begun.set()
        blocked = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        until(lambda: conn.execute(blocked).scalar_one() > 0)
        orchestrator.resolve(conn, platform, "a1", NOW)

    async def send() -> None:
        await asyncio.to_thread(begun.wait, 30)
        await dispatch(platform, prefect, NOW + MINUTE)

    try:
        await asyncio.gather(gateway.write(end), send())
        assert [each.state for each in database.read_now(inbox.find)] == ["done", "done"]
        assert prefect.events == []
    finally:
        database.close()
        gateway.close()


async def test_what_waits_too_long_is_refused_and_told(
    database: Database, prefect: Prefect, told: list[tuple[str, str]]
) -> None:
    platform = platform_of(database, ALERT, retry_for="1h")
    stopped(platform)
    trigger = received(platform, alert())
    for minutes in (0, 5, 59, 66):
        await dispatch(platform, prefect, NOW + minutes * MINUTE)
    kept = row(platform, trigger.id)
    assert (kept.state, kept.result) == ("refused", "refused")
    assert kept.reason.startswith("its run could not start in time: domain ecm was stopped by Ada")
    assert [name for name, _ in told] == ["deferred", "refused"]


# Prefect


async def test_prefect_down_defers_and_it_is_sent_later(database: Database, prefect: Prefect) -> None:
    platform = platform_of(database, ALERT)
    trigger = received(platform, alert())
    prefect.down = True
    await dispatch(platform, prefect, NOW)
    kept = row(platform, trigger.id)
    assert (kept.state, kept.reason) == ("deferred", "Prefect can't be reached: it is down")
    assert kept.next_attempt_at == NOW + 2 * SECOND
    prefect.down = False
    await dispatch(platform, prefect, NOW + 2 * SECOND)
    assert prefect.events == [(trigger.id, 2)]


async def test_an_event_that_started_nothing_is_noticed_and_sent_again(
    database: Database, prefect: Prefect
) -> None:
    platform = platform_of(database, ALERT)
    trigger = received(platform, alert())
    await dispatch(platform, prefect, NOW)
    await dispatch(platform, prefect, NOW + 31 * SECOND)
    assert prefect.events == [(trigger.id, 1), (trigger.id, 2)]
    lost = row(platform, trigger.id)
    assert lost.state == "pending"
    assert lost.reason == "no run was started: Prefect has no flow run for it; is the domain deployed?"
    prefect.reasons[trigger.id] = "Unexpected status from 'run-deployment' action: 404"
    await dispatch(platform, prefect, NOW + 100 * SECOND)
    assert row(platform, trigger.id).reason.endswith("'run-deployment' action: 404")
    assert len(prefect.events) == 3


async def test_services_killed_before_the_event_went_out_lose_nothing(
    database: Database, prefect: Prefect, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = platform_of(database, ALERT)
    trigger = received(platform, alert())

    async def dies(triggers: object) -> None:
        raise asyncio.CancelledError

    with monkeypatch.context() as patch, pytest.raises(asyncio.CancelledError):
        patch.setattr(prefect, "emit", dies)
        await dispatch(platform, prefect, NOW)
    await dispatch(platform, prefect, NOW + 30 * SECOND)
    assert prefect.events == [(trigger.id, 2)]


async def test_a_flow_run_that_waits_for_a_worker_is_waited_for(database: Database, prefect: Prefect) -> None:
    platform = platform_of(database, ALERT)
    trigger = received(platform, alert())
    await dispatch(platform, prefect, NOW)
    prefect.run(trigger, "SCHEDULED", "Late")
    for minutes in range(1, 60):
        await dispatch(platform, prefect, NOW + minutes * MINUTE)
    assert len(prefect.events) == 1
    assert row(platform, trigger.id).reason == "its flow run jade-vole is Late in Prefect"


@pytest.mark.parametrize(("state", "seconds"), [("CRASHED", 30), ("FAILED", 30), ("RUNNING", 120)])
async def test_a_flow_run_that_ended_or_hangs_before_it_took_the_trigger_is_replaced(
    database: Database, prefect: Prefect, state: str, seconds: int
) -> None:
    platform = platform_of(database, ALERT)
    trigger = received(platform, alert())
    await dispatch(platform, prefect, NOW)
    prefect.run(trigger, state)
    for second in range(1, seconds, 1):
        await dispatch(platform, prefect, NOW + second * SECOND)
    assert len(prefect.events) == 1
    await dispatch(platform, prefect, NOW + seconds * SECOND)
    assert prefect.events[1:] == [(trigger.id, 2)]


async def test_a_run_cancelled_in_prefect_stays_cancelled(
    database: Database, prefect: Prefect, told: list[tuple[str, str]]
) -> None:
    platform = platform_of(database, ALERT)
    trigger = received(platform, alert())
    owner = claimed(platform, trigger)
    database.write_now(lambda c: inbox.attach(c, trigger.id, "f1"))
    database.write_now(lambda c: inbox.finish(c, trigger.id, owner, "deferred", reason="interrupted"))
    prefect.run(trigger, "CANCELLED")
    await dispatch(platform, prefect, NOW + MINUTE)
    kept = row(platform, trigger.id)
    assert (prefect.events, kept.state, kept.result) == ([], "failed", "failed")
    assert told == [("ended", "its flow run jade-vole was cancelled in Prefect")]


# runs whose process died


async def test_a_run_whose_process_died_goes_on(database: Database, prefect: Prefect) -> None:
    """Its guardrails were asked before; what waits besides is not let through by it."""
    platform = guarded(database, rate_limit="1/hour")
    trigger = received(platform, alert())
    await dispatch(platform, prefect, NOW)
    claimed(platform, trigger, NOW, GONE)
    await recover(platform, NOW + MINUTE)
    assert row(platform, trigger.id).state == "pending"
    received(platform, alert())
    await dispatch(platform, prefect, NOW + MINUTE)
    assert prefect.events == [(trigger.id, 1), (trigger.id, 2)]


async def test_a_run_that_lives_is_left_alone(database: Database) -> None:
    platform = platform_of(database, ALERT)
    trigger = received(platform, alert())
    claimed(platform, trigger)
    await recover(platform, NOW + MINUTE)
    assert row(platform, trigger.id).state == "running"


async def test_a_run_that_keeps_dying_fails_with_a_reason(
    database: Database, prefect: Prefect, told: list[tuple[str, str]]
) -> None:
    platform = platform_of(database, ALERT)
    trigger = received(platform, alert())
    at = NOW
    while row(platform, trigger.id).state != "failed":
        assert row(platform, trigger.id).attempts < inbox.MOST_ATTEMPTS
        await dispatch(platform, prefect, at)
        claimed(platform, trigger, at, GONE)
        await recover(platform, at + MINUTE)
        at += HOUR
    assert told == [("ended", f"its process died {inbox.MOST_ATTEMPTS} times")]
    assert len(prefect.events) == inbox.MOST_ATTEMPTS


@pytest.mark.parametrize(("source", "state"), [("run", "pending"), ("cli", "running")])
async def test_a_flow_run_by_schedule_goes_on_and_one_by_hand_does_not(
    database: Database, prefect: Prefect, source: str, state: str
) -> None:
    platform = platform_of(database, ALERT)
    trigger = database.write_now(lambda c: inbox.accept(c, source, "ecm", "flow run f1", now=NOW))
    claimed(platform, trigger, NOW, GONE)
    database.write_now(lambda c: inbox.attach(c, trigger.id, "f1"))
    await recover(platform, NOW + MINUTE)
    assert row(platform, trigger.id).state == state
    await dispatch(platform, prefect, NOW + MINUTE)
    assert len(prefect.events) == (state == "pending")
