"""The background round over proposed fixes: reminders, escalation, expiry, and the flow runs that wait."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update

from blocks.schema import approvals as approvals_table
from flows import approving
from tasks import approvals, decision, lease, record
from tasks.clock import utc
from tasks.platform import opened
from tests.chat_world import ANN, approval, delivered, new_slack, press, question  # noqa: F401
from tests.fix_world import World, approve, new_api, new_world, proposed, run  # noqa: F401
from tests.slack_server import SlackServer


async def look() -> None:
    async with opened() as platform:
        await approving.look_after(platform)


def ago(world: World, **times: Any) -> None:
    """Sets times of the proposal back by so much."""
    values = {name: utc() - timedelta(**{unit: number}) for name, (number, unit) in times.items()}
    world.database.write_now(lambda conn: conn.execute(update(approvals_table).values(**values)))


async def test_people_are_reminded_again_and_again(world: World, slack: SlackServer) -> None:
    """After each period, by one of any number of processes; those who have a Slack account are called."""
    world.config["platform"]["people"] = {"ops-leads": ["ann", "zoe"]}
    world.write()
    await run()
    for _ in range(2):
        await look()
    assert approval(world).reminded_at is None
    for _ in range(2):
        ago(world, created_at=(3, "hours"), reminded_at=(61, "minutes"))
        async with opened() as platform:
            await asyncio.gather(*(approving.look_after(platform) for _ in range(5)))
    await delivered()
    reminders = [post.words for post in slack.posts if "*Reminder:*" in post.words]
    assert len(reminders) == 2
    assert all(words.endswith(f"UTC. <@{ANN}>, zoe") for words in reminders)


async def test_a_fix_that_waits_too_long_is_escalated_once(world: World, slack: SlackServer) -> None:
    """Who it is escalated to is called, and may decide from then on."""
    world.config["platform"]["people"] = {"ops-leads": ["bob"], "heads": ["ann"]}
    world.domain["guardrails"] |= {"escalate_after": "2h", "escalate_to": ["heads"], "remind_after": None}
    world.write()
    await run()
    await delivered()
    await press(question(slack), "approve", ANN)
    assert approval(world).status == "waiting"
    ago(world, created_at=(121, "minutes"))
    for _ in range(3):
        await look()
    await delivered()
    assert len([post for post in slack.posts if "*Escalated:*" in post.words]) == 1
    assert f"<@{ANN}>" in slack.posts[-1].words
    await press(question(slack), "approve", ANN)
    assert approval(world).status == "approved"


async def test_an_expiry_is_told_and_nothing_is_done(world: World, slack: SlackServer) -> None:
    await run()
    await delivered()
    stale = question(slack)
    buttons = dict(stale.buttons)
    ago(world, expires_at=(1, "seconds"))
    await look()
    await look()
    await delivered()
    assert approval(world).status == "expired"
    assert stale.buttons == {}
    told = [post for post in slack.posts if "Expired: nobody decided in time. Nothing was done" in post.words]
    assert len(told) == 2
    assert buttons
    ended = world.database.read_now(lambda conn: record.get(conn, approval(world).execution_id))
    assert ended.outcome == "expired"


async def test_without_a_server_the_round_still_does_the_rest(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    await run()
    ago(world, expires_at=(1, "seconds"))
    await look()
    assert approval(world).status == "expired"


@pytest.mark.full
@pytest.mark.prefect
@pytest.mark.usefixtures("prefect")
class TestWithAServer:
    """Flow runs that wait, on a real Prefect server; nothing runs them, so the tests set their states."""

    @pytest.fixture(autouse=True)
    async def deployed(self, prefect: None) -> str:
        """The skill's deployment; its id."""
        from prefect.client.orchestration import get_client

        async with get_client() as client:
            flow = await client.create_flow_from_name("ecm-resolve")
            return str(await client.create_deployment(flow, "ecm-resolve"))

    async def runs(self, world: World) -> list[Any]:
        """The flow runs of the newest proposal."""
        from prefect.client.orchestration import get_client

        id = approval(world).execution_id
        async with get_client() as client:
            found = await client.read_flow_runs(limit=200)
        return [run for run in found if run.parameters.get("execution_id") == id]

    async def put(self, run_id: str, kind: str, name: str) -> None:
        """Puts a flow run into a state."""
        from prefect.client.orchestration import get_client
        from prefect.client.schemas.objects import State, StateType

        async with get_client() as client:
            state: State[Any] = State(type=StateType(kind), name=name)
            await client.set_flow_run_state(UUID(run_id), state, force=True)

    async def test_a_waiting_fix_has_one_run_whoever_looks(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await proposed()
        async with opened() as platform:
            await asyncio.gather(*(approving.look_after(platform) for _ in range(4)))
            await asyncio.gather(*(approving.give_run(platform, approval(world)) for _ in range(4)))
        (run,) = await self.runs(world)
        assert approval(world).flow_run_id == str(run.id)
        await self.put(str(run.id), "PAUSED", "Suspended")
        monkeypatch.setattr(approving, "utc", lambda: utc() + timedelta(hours=20))
        await look()
        assert [each.id for each in await self.runs(world)] == [run.id]

    @pytest.mark.parametrize(
        ("kind", "name", "age"),
        [
            ("CRASHED", "Crashed", timedelta(minutes=1)),
            ("COMPLETED", "Completed", timedelta(minutes=1)),
            ("RUNNING", "Running", approving.STALE),
            ("PENDING", "Pending", approving.STALE),
        ],
    )
    async def test_a_run_that_broke_down_gets_a_successor(
        self, world: World, monkeypatch: pytest.MonkeyPatch, kind: str, name: str, age: timedelta
    ) -> None:
        """One; the old one is over for good."""
        await proposed()
        await look()
        (first,) = await self.runs(world)
        await self.put(str(first.id), kind, name)
        monkeypatch.setattr(approving, "utc", lambda: utc() + age)
        async with opened() as platform:
            await asyncio.gather(*(approving.look_after(platform) for _ in range(4)))
        after = {run.id: run.state for run in await self.runs(world)}
        assert len(after) == 2
        assert after.pop(first.id).is_final()
        (second,) = after
        assert approval(world).flow_run_id == str(second)

    async def test_runs_that_break_down_again_and_again_come_less_often(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await proposed()
        await look()
        for age, count in ((0, 1), (11, 2), (11, 2), (21, 3)):
            await self.put(str(approval(world).flow_run_id), "CRASHED", "Crashed")
            now = utc() + timedelta(seconds=age)
            monkeypatch.setattr(approving, "utc", lambda now=now: now)
            await look()
            assert len(await self.runs(world)) == count

    async def test_a_run_that_has_just_begun_is_left_alone(self, world: World) -> None:
        await proposed()
        await look()
        await self.put(str(approval(world).flow_run_id), "RUNNING", "Running")
        await look()
        assert len(await self.runs(world)) == 1

    @pytest.mark.parametrize("formed", [True, False])
    async def test_a_suspended_run_without_its_form_is_replaced(
        self, world: World, monkeypatch: pytest.MonkeyPatch, formed: bool
    ) -> None:
        """Prefect saves the form after the state; a process that dies between the two leaves none."""
        from prefect.client.orchestration import get_client
        from prefect.client.schemas.objects import State, StateDetails, StateType

        await proposed()
        await look()
        id = UUID(str(approval(world).flow_run_id))
        keys = {"schema": "paused-1-schema", "response": "paused-1-response"}
        async with get_client() as client:
            details = StateDetails(run_input_keyset=keys)
            state: State[Any] = State(type=StateType.PAUSED, name="Suspended", state_details=details)
            await client.set_flow_run_state(id, state, force=True)
            if formed:
                await client.create_flow_run_input(id, "paused-1-schema", "{}")
        await look()
        assert len(await self.runs(world)) == 1
        monkeypatch.setattr(approving, "utc", lambda: utc() + approving.FORM_TIME)
        await look()
        assert len(await self.runs(world)) == (1 if formed else 2)

    async def test_a_run_of_a_server_that_is_gone_is_replaced(self, world: World) -> None:
        await proposed()
        elsewhere = "00000000-0000-4000-8000-000000000000"
        world.database.write_now(lambda conn: approvals.attach(conn, approval(world).id, elsewhere))
        await look()
        (run,) = await self.runs(world)
        assert approval(world).flow_run_id == str(run.id)

    async def test_a_fix_that_was_decided_elsewhere_wakes_its_run(self, world: World) -> None:
        """A suspended one goes on; one that is over is forgotten."""
        waiting = await proposed()
        await look()
        run_id = str(approval(world).flow_run_id)
        async with opened() as platform:
            await decision.decide(platform, waiting["id"], False, by="ann", via="cli", comment="no")
        await self.put(run_id, "PAUSED", "Suspended")
        await look()
        (run,) = await self.runs(world)
        assert not run.state.is_paused()
        assert approval(world).flow_run_id == run_id
        await self.put(run_id, "COMPLETED", "Completed")
        await look()
        assert approval(world).flow_run_id is None

    async def test_an_approved_fix_whose_process_died_is_carried_on(self, world: World) -> None:
        """By a new run, once the claim is free; not while somebody holds it."""
        waiting = await proposed()
        await approve(waiting["id"])
        await look()
        assert await self.runs(world) == []
        owner, period = lease.claimant(), timedelta(minutes=1)
        world.database.write_now(lambda c: approvals.claim_execution(c, waiting["id"], owner, period))
        ago(world, decided_at=(10, "minutes"))
        await look()
        assert await self.runs(world) == []
        gone = owner.rsplit(":", 2)[0] + ":1:1"
        values = {"claimed_by": gone}
        world.database.write_now(lambda c: c.execute(update(approvals_table).values(**values)))
        async with opened() as platform:
            await asyncio.gather(*(approving.look_after(platform) for _ in range(4)))
        assert len(await self.runs(world)) == 1

    async def test_a_skill_without_a_deployment_waits_for_people(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await proposed()
        values = {"skill": "ecm-other"}
        world.database.write_now(lambda c: c.execute(update(approvals_table).values(**values)))
        await look()
        assert approval(world).flow_run_id is None
        assert approval(world).status == "waiting"


@pytest.fixture(autouse=True)
def no_server_by_chance(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    yield
