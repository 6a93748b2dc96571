"""Whether a run may start: kill switch, budget, rate, parallel runs. Refused with a reason; recorded."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection

from tasks import controls, inbox, lease, record, spend
from tests.fix_world import World, new_api, new_world, run  # noqa: F401

_numbers = itertools.count()


def started(conn: Connection, owner: str = "") -> inbox.Trigger:
    """A run that works, in this process or another."""
    trigger = inbox.accept(conn, "test", "ecm", f"run {next(_numbers)}")
    assert inbox.claim(conn, trigger.id, owner or lease.claimant(), timedelta(minutes=1))
    return trigger


def over(conn: Connection) -> None:
    """A run that has ended."""
    owner = lease.claimant()
    trigger = started(conn, owner)
    inbox.finish(conn, trigger.id, owner, "done", result="no_action")


def spent(conn: Connection) -> None:
    """A domain that has spent two dollars today."""
    row = record.begin(
        conn, run_id="r", domain="ecm", skill="ecm-triage", role="manager", model="m", provider="anthropic"
    )
    budgets = spend.Budgets(domain_day=10**9, platform_day=10**9, execution=10**9)
    reservation = spend.reserve(
        conn, domain="ecm", execution_id=row.execution_id, sequence=1, micro=2_000_000, budgets=budgets,
        lease=timedelta(minutes=1),
    )  # fmt: skip
    spend.settle(conn, reservation, 2_000_000)


def stopped(conn: Connection) -> None:
    controls.stop(conn, controls.domain("ecm"), by="bob", reason="a bank holiday")


@pytest.mark.parametrize(
    ("before", "domain", "platform", "words"),
    [
        (stopped, {}, {}, "domain ecm was stopped by bob (a bank holiday); `aspora start ecm` lifts it"),
        (spent, {"budget": "$2/day"}, {}, "domain ecm has spent its budget of $2.00 for today"),
        (spent, {}, {"budget": "$1/day"}, "the platform has spent its budget of $1.00"),
        (over, {"rate_limit": "1/hour"}, {}, "domain ecm is limited to 1/hour runs and has started 1"),
        (over, {}, {"rate_limit": "1/day"}, "the platform is limited to 1/day"),
        (started, {"max_parallel_runs": 1}, {}, "domain ecm has 1 runs under way, and 1 are allowed"),
        (started, {}, {"max_parallel_runs": 1}, "the platform has 1 runs under way"),
    ],
)
async def test_a_guardrail_refuses_the_run(
    world: World, before: Any, domain: dict[str, Any], platform: dict[str, Any], words: str
) -> None:
    """Nothing of it runs, and the inbox says why."""
    world.domain["guardrails"].update(domain)
    world.config["platform"]["guardrails"] = platform
    world.write()
    world.database.write_now(before)
    result = await run()
    assert result["state"] == "refused"
    assert words in result["reason"]
    assert (result["executions"], result["handoffs"], result["approvals"]) == ([], [], [])


async def test_below_its_limits_it_runs(world: World) -> None:
    world.domain["guardrails"].update({"budget": "$3/day", "rate_limit": "2/hour", "max_parallel_runs": 2})
    world.write()
    for before in (spent, over):
        world.database.write_now(before)
    assert (await run())["state"] == "awaiting_approval"


async def test_a_run_whose_process_died_does_not_count(world: World) -> None:
    world.domain["guardrails"]["max_parallel_runs"] = 1
    world.write()
    gone = lease.claimant().rsplit(":", 2)[0] + ":1:1"
    world.database.write_now(lambda conn: started(conn, gone))
    assert (await run())["state"] == "awaiting_approval"


async def test_the_kill_switch_holds_back_a_run_that_goes_on(world: World) -> None:
    """A crashed run was admitted once; a stop since then still counts."""
    gone = lease.claimant().rsplit(":", 2)[0] + ":1:1"
    trigger = world.database.write_now(lambda conn: started(conn, gone))
    world.database.write_now(stopped)
    result = await run(trigger_id=trigger.id)
    assert (result["state"], result["executions"]) == ("refused", [])
    assert world.database.read_now(lambda conn: inbox.get(conn, trigger.id)).state == "refused"


async def test_a_stop_in_the_middle_lets_no_further_skill_begin(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks import handoffs

    add = handoffs.add

    def stops_then_adds(conn: Connection, *given: Any) -> bool:
        stopped(conn)
        return add(conn, *given)

    monkeypatch.setattr(handoffs, "add", stops_then_adds)
    result = await run()
    assert result["state"] == "refused"
    assert [each["outcome"] for each in result["executions"]] == ["success", "refused"]
    assert result["approvals"] == []


async def test_runs_that_start_together_keep_to_the_limit(world: World) -> None:
    import asyncio

    world.domain["guardrails"]["rate_limit"] = "2/hour"
    world.write()
    states = [result["state"] for result in await asyncio.gather(*(run() for _ in range(5)))]
    assert states.count("refused") == 3
