"""The small company of `fix_world` with a Slack and a WhatsApp, and people who use them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from flows.chat import interactivity
from tasks import approvals, inbox
from tasks.delivery import deliver
from tasks.platform import opened
from tests import slack_server, whatsapp_server
from tests.fix_world import World, run
from tests.slack_server import Post, SlackServer
from tests.whatsapp_server import WhatsappServer

ANN, BOB, EVE = "U0ANN", "U0BOB", "U0EVE"
BOT = {"mention": "@ecm-agent", "user_id": "U0BOT"}


@pytest.fixture(name="slack")
def new_slack(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlackServer]:
    """Slack, and a config that knows it, with a channel for all domains."""
    with slack_server.serving() as server:
        monkeypatch.setenv("SLACK_API_URL", server.url)
        monkeypatch.setenv("SLACK_BOT_TOKEN", slack_server.TOKEN)
        users = {ANN: "ann", BOB: "bob"}
        world.config["slack"] = {"bots": [BOT], "channels": {"default": "C0OPS"}, "users": users}
        world.write()
        yield server
        assert server.faults == []


@pytest.fixture(name="whatsapp")
def new_whatsapp(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[WhatsappServer]:
    """WhatsApp."""
    with whatsapp_server.serving() as server:
        monkeypatch.setenv("WHATSAPP_API_URL", server.url)
        monkeypatch.setenv("WHATSAPP_ACCESS_TOKEN", whatsapp_server.TOKEN)
        yield server


async def delivered() -> int:
    """A round of deliveries."""
    async with opened() as platform:
        return await deliver(platform)


async def press(post: Post, action: str, user: str) -> Any:
    """A user presses a button; what Slack is answered."""
    return await sent_by_slack(slack_server.clicking(post, action, user))


async def sent_by_slack(payload: dict[str, Any]) -> Any:
    async with opened() as platform:
        return await interactivity.clicked(platform, platform.config.slack.bots[0], payload)


def question(slack: SlackServer) -> Post:
    """The message that asks for approval."""
    return next(post for post in slack.posts if " asks " in post.words)


async def run_from(world: World, origin: dict[str, str], asked_by: str) -> dict[str, Any]:
    """A run that somebody asked for in a chat."""

    def store(conn: Any) -> str:
        trigger = inbox.accept(conn, origin["kind"], "ecm", f"message of {asked_by}", {})
        values = {"origin": origin, "asked_by": asked_by}
        conn.execute(inbox.triggers.update().where(inbox.triggers.c.id == trigger.id).values(**values))
        return trigger.id

    return await run(trigger_id=world.database.write_now(store))


def approval(world: World) -> approvals.Approval:
    """The newest proposal."""
    return world.database.read_now(lambda conn: approvals.find(conn, limit=1))[0]
