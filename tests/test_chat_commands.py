"""Slash commands in Slack: who may turn the kill switches, and what people see."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flows.chat import commands
from tasks import controls
from tasks.platform import opened
from tests.chat_world import ANN, BOB, EVE, approval, new_slack  # noqa: F401
from tests.fix_world import Api, World, approve, carry_out, new_api, new_world, proposed, run  # noqa: F401
from tests.slack_server import SlackServer


async def typed(text: str, user: str = ANN) -> str:
    """What a user who types `/aspora text` is answered."""
    async with opened() as platform:
        form = {"command": "/aspora", "text": text, "user_id": user, "channel_id": "C0OPS"}
        answer: Any = await commands.obey(platform, platform.config.slack.bots[0], form)
    assert answer["response_type"] == "ephemeral"
    return str(answer["text"])


@pytest.fixture(autouse=True)
def operators(world: World, slack: SlackServer) -> None:
    world.config["platform"] |= {"people": {"ops-leads": ["ann", "bob"]}, "operators": ["ops-leads"]}
    world.write()


def stopped(world: World, name: str) -> controls.Control | None:
    return world.database.read_now(lambda conn: controls.stopped(conn, name))


async def test_an_operator_stops_and_starts_a_domain(world: World) -> None:
    assert await typed("stop ecm bank <holiday>") == "ecm: stopped by ann (bank &lt;holiday&gt;)."
    stop = stopped(world, "domain:ecm")
    assert stop
    assert (stop.changed_by, stop.reason) == ("ann", "bank <holiday>")
    assert (await run())["state"] == "refused"
    assert "it is stopped by ann: bank &lt;holiday&gt;" in await typed("status", EVE)
    assert await typed("start ecm", BOB) == "ecm: started by bob."
    assert (await run())["state"] == "awaiting_approval"


async def test_an_operator_stops_all_actions_in_the_middle_of_a_fix(world: World, api: Api) -> None:
    waiting = await proposed()
    await approve(waiting["id"], by="ann")
    assert await typed("STOP actions") == "All actions: stopped by ann."
    done = await carry_out(waiting["id"])
    assert (done.status, api.calls) == ("stopped", [])
    assert "all actions are stopped by ann" in await typed("status")


@pytest.mark.parametrize("text", ["stop ecm", "start ecm", "stop actions", "start actions"])
async def test_nobody_else_does(world: World, text: str) -> None:
    name = "domain:ecm" if "ecm" in text else "actions"
    if "start" in text:
        world.database.write_now(lambda conn: controls.stop(conn, name, by="zoe"))
    before = stopped(world, name)
    assert "slack:U0EVE is not among platform.operators" in await typed(text, EVE)
    assert "is not among platform.operators" in await typed(text, "")
    world.config["platform"]["operators"] = []
    world.write()
    assert "platform.operators is empty" in await typed(text, ANN)
    assert stopped(world, name) == before


@pytest.mark.parametrize("text", ["stop", "stop nope", "start <!channel>", "stop Actions now"])
async def test_what_is_to_be_stopped_must_exist(world: World, text: str) -> None:
    answer = await typed(text)
    assert "there are: ecm, actions. Nothing was changed." in answer
    assert "<!" not in answer


async def test_the_fixes_that_wait_are_listed(world: World) -> None:
    assert await typed("approvals") == "No fix waits for a decision."
    await proposed()
    listed = await typed("approvals")
    assert listed.startswith(f"*{approval(world).id}* lulu (ecm), until 20")
    assert "retry_orders: 3 orders" in listed
    assert "1 fix waits for approval, actions are allowed" in await typed("status")


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=60))
async def test_anything_else_shows_the_commands(world: World, text: str) -> None:
    answer = await typed(f"x{text}")
    assert answer.startswith("There is no command x")
    assert answer.endswith(commands.HELP)
    assert await typed("help") == await typed("") == commands.HELP
