"""What guardrails hold back is counted: once where it is refused, once where it is put off first."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection

from blocks.config import Config
from blocks.database import Database
from flows.orchestrator.dispatch import dispatch
from tasks import handoffs, tally
from tasks.platform import Platform
from tests.fix_world import World, new_api, new_world, run  # noqa: F401
from tests.orchestrated import ALERT, Prefect, alert, platform_of, received, row
from tests.record_world import MINUTE, NOW, new_database, new_postgres  # noqa: F401
from tests.scraped import every, samples, written
from tests.test_admission import over, spent, started, stopped

HOUR = timedelta(hours=1)


def refusals(database: Database, config: Config | None = None) -> dict[str, float]:
    """By guardrail, what ECM's held back."""
    found = every(samples(written(database, config=config)), tally.REFUSALS)
    return {each["guardrail"]: value for each, value in found if value and each["domain"] == "ecm"}


@pytest.mark.parametrize(
    ("before", "guardrails", "named"),
    [
        (stopped, {}, "kill_switch"),
        (spent, {"budget": "$2/day"}, "budget"),
        (over, {"rate_limit": "1/hour"}, "rate_limit"),
        (started, {"max_parallel_runs": 1}, "parallel_runs"),
    ],
)
async def test_a_refused_run_is_counted_by_its_guardrail(
    world: World, before: Any, guardrails: dict[str, Any], named: str
) -> None:
    world.domain["guardrails"].update(guardrails)
    world.write()
    world.database.write_now(before)
    assert (await run())["state"] == "refused"
    assert refusals(world.database) == {named: 1}
    await run()
    assert refusals(world.database) == {named: 2}


async def test_a_run_that_may_start_counts_nothing(world: World) -> None:
    assert (await run())["state"] == "awaiting_approval"
    assert refusals(world.database) == {}


async def test_a_stop_in_the_middle_is_counted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The manager has ended; the specialist is refused."""
    add = handoffs.add

    def stops_then_adds(conn: Connection, *given: Any) -> bool:
        stopped(conn)
        return add(conn, *given)

    monkeypatch.setattr(handoffs, "add", stops_then_adds)
    assert (await run())["state"] == "refused"
    assert refusals(world.database) == {"kill_switch": 1}


async def test_a_trigger_that_is_put_off_again_and_again_is_counted_once(database: Database) -> None:
    platform = platform_of(database, ALERT)
    database.write_now(stopped)
    triggers = [received(platform, alert()) for _ in range(2)]
    at = NOW
    for _ in range(5):
        await dispatch(platform, Prefect(), at)
        at = row(platform, triggers[0].id).next_attempt_at or at
    assert row(platform, triggers[0].id).state == "deferred"
    assert refusals(database) == {"kill_switch": 2}


async def test_prefect_that_is_away_is_no_guardrail(database: Database) -> None:
    platform, prefect = platform_of(database, ALERT), Prefect()
    prefect.down = True
    trigger = received(platform, alert())
    await dispatch(platform, prefect, NOW)
    assert row(platform, trigger.id).state == "deferred"
    assert refusals(database) == {}


async def test_maintenance_is_counted_when_a_message_comes_in_and_when_it_begins_later(
    database: Database,
) -> None:
    window = {"start": NOW - MINUTE, "end": NOW + HOUR}
    closed = platform_of(database, ALERT, maintenance=[window])
    trigger = received(closed, alert())
    await dispatch(closed, Prefect(), NOW)
    assert refusals(database) == {"maintenance": 1}
    opened = platform_of(database, ALERT)
    waits = received(opened, alert())
    await dispatch(closed, Prefect(), NOW)
    assert {row(opened, each.id).state for each in (trigger, waits)} == {"deferred"}
    assert refusals(database) == {"maintenance": 2}


async def test_a_domain_that_is_gone_from_the_config(database: Database) -> None:
    platform = platform_of(database, ALERT)
    received(platform, alert())
    config = platform.config.model_dump(mode="json")
    del config["domains"]["ecm"]
    config["triggers"] = []
    without = Config.model_validate(config)
    await dispatch(
        Platform(without, platform.base, database, platform.provider, platform.masker), Prefect(), NOW
    )
    assert refusals(database, without) == {"unknown_domain": 1}
