"""Slack at the gateway: who signed, what a person wrote, and what is none of our business."""

from __future__ import annotations

import asyncio
import json
import sys
import time
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from flows.gateway.slack_text import readable
from tests.gateway_world import (
    BOT,
    OTHER_BOT,
    Town,
    configure,
    mention,
    new_town,
    serving,
    set_surroundings,
    slack_signed,
)  # fmt: skip

__all__ = ["new_town", "set_surroundings"]
PATH = "/slack/events"


async def send(town: Town, value: Any, secret: str = "slack-secret", **headers: str) -> httpx.Response:
    """An event, signed."""
    body = json.dumps(value).encode()
    return await town.post(PATH, body, {**slack_signed(body, secret), **headers})


async def form(
    town: Town, path: str, fields: Mapping[str, str], secret: str = "slack-secret"
) -> httpx.Response:
    """A form, signed."""
    body = urlencode(fields).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded", **slack_signed(body, secret)}
    return await town.client.post(path, content=body, headers=headers)


async def test_the_address_is_verified(town: Town) -> None:
    """Slack's challenge comes back."""
    answer = await send(town, {"type": "url_verification", "challenge": "3eZbrw1a"})
    assert (answer.status_code, answer.json()) == (200, {"challenge": "3eZbrw1a"})


async def test_a_mention_is_a_trigger(town: Town) -> None:
    """With the bot's mention as field, the text as the person saw it, and the thread for the answer."""
    answer = await send(town, mention(f"<@{BOT}> why is <#C9|payouts> &lt; 5 &amp; slow?"))
    [row] = town.rows()
    assert answer.status_code == 200
    assert answer.json()["id"] == row.id
    assert (row.source, row.dedupe_key, row.asked_by, row.domain) == ("slack", "slack:Ev1", "anna", "ecm")
    assert row.received["text"] == "why is #payouts < 5 & slow?"
    assert row.received["fields"]["mention"] == "@ecm-agent"
    assert row.origin == {
        "kind": "slack", "bot": "@ecm-agent", "channel": "C1", "thread": "17.01", "user": "U0ANNA",
    }  # fmt: skip


async def test_the_answer_goes_into_the_thread(town: Town) -> None:
    """Of the message, or the one in which it was written; a person unknown to the config stays an id."""
    await send(town, mention(thread_ts="16.99", user="U0NEW"))
    [row] = town.rows()
    assert (row.origin["thread"], row.asked_by) == ("16.99", "slack:U0NEW")


async def test_a_direct_message_needs_no_mention(town: Town) -> None:
    """What is written to the bot is meant for it."""
    await send(town, mention("look at lulu", type="message", channel_type="im"))
    [row] = town.rows()
    assert (row.received["text"], row.received["fields"]["mention"]) == ("look at lulu", "@ecm-agent")


async def test_the_secret_tells_the_bot(town: Town) -> None:
    """Each app has its own."""
    await send(town, mention(f"<@{OTHER_BOT}> look"), "other-slack-secret")
    [row] = town.rows()
    assert (row.received["fields"]["mention"], row.state) == ("@fraud-agent", "unmatched")


async def test_bots_that_share_a_secret(surroundings: Path) -> None:
    """Slack says for which of them an event is, or the text does."""
    bots = [{"mention": f"@{name}", "user_id": f"U{name.upper()}"} for name in ("one", "two")]
    configure(surroundings, slack={"bots": bots})
    async with serving() as town:
        await send(town, {**mention("look", "Ev1"), "authorizations": [{"user_id": "UTWO"}]})
        await send(town, mention("<@UTWO> look", "Ev2"))
        await send(town, mention("look", "Ev3", type="message", channel_type="im"))
        found = {row.dedupe_key: row.received["fields"]["mention"] for row in town.rows()}
    assert found == {"slack:Ev1": "@two", "slack:Ev2": "@two", "slack:Ev3": "@one"}


async def test_retries_are_recognised(town: Town) -> None:
    """Slack sends an event up to four times, at once too."""
    answers = await asyncio.gather(
        *(send(town, mention(), **{"X-Slack-Retry-Num": str(number)}) for number in range(4))
    )
    [row] = town.rows()
    assert {answer.json()["id"] for answer in answers} == {row.id}


@pytest.mark.parametrize(
    "event",
    [
        mention(bot_id="B1"),
        mention(user=OTHER_BOT),
        mention(type="message", channel_type="channel"),
        mention(type="message", channel_type="im", subtype="message_changed"),
        {
            "type": "event_callback",
            "event_id": "Ev1",
            "event": {"type": "channel_rename", "channel": {"id": "C"}},
        },
        {"type": "app_rate_limited", "minute_rate_limited": 1},
    ],
)
async def test_what_starts_nothing(town: Town, event: dict[str, Any]) -> None:
    """200, or Slack would send it again; bots never answer each other."""
    answer = await send(town, event)
    assert (answer.status_code, answer.json()["ignored"], town.rows()) == (200, True, [])


async def test_forged_stale_and_replayed_events(town: Town) -> None:
    """401 for each way to be not Slack; a genuine copy within five minutes is the same trigger."""
    body = json.dumps(mention()).encode()
    now = time.time()
    good = slack_signed(body)
    wrong: list[dict[str, str]] = [
        {},
        slack_signed(body, "guessed"),
        slack_signed(body + b" "),
        slack_signed(body, at=now - 301),
        slack_signed(body, at=now + 400),
        {**good, "X-Slack-Request-Timestamp": str(int(now) - 1)},
        {**good, "X-Slack-Request-Timestamp": "soon"},
        {**good, "X-Slack-Request-Timestamp": "9" * 5000},
        {**good, "X-Slack-Signature": ""},
        {"X-Slack-Signature": good["X-Slack-Signature"]},
    ]
    for headers in wrong:
        answer = await town.post(PATH, body, headers)
        assert (answer.status_code, town.rows()) == (401, []), headers
        assert "signature" in answer.json()["error"]
    odd: Any = {**good, "X-Slack-Signature": "v0=\u00e9".encode("latin-1")}
    assert (await town.post(PATH, body, odd)).status_code == 401
    assert [(await town.post(PATH, body, good)).status_code for _ in range(3)] == [200] * 3
    assert len(town.rows()) == 1


async def test_an_event_that_cannot_be_answered(town: Town) -> None:
    """Without a channel there is nowhere to answer."""
    assert (await send(town, mention(channel=""))).status_code == 422
    assert (await send(town, {**mention(), "event_id": ""})).status_code == 422
    assert not town.rows()


async def test_no_bot_is_set_up(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 that says what to set, on all three routes."""
    monkeypatch.delenv("SLACK_SIGNING_SECRET")
    monkeypatch.setenv("OTHER_SIGNING_SECRET", " ")
    for path in (PATH, "/slack/interactivity", "/slack/commands"):
        answer = await town.post(path, {})
        assert (answer.status_code, "signing secret" in answer.json()["error"]) == (503, True)


@pytest.fixture(name="chat")
def stand_in_chat(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What answers clicks and commands here: `said` is its answer, `heard` what it was handed."""
    state: dict[str, Any] = {"said": None, "heard": None, "wait": None}

    async def hear(platform: Any, bot: Any, given: Any) -> Any:
        state["heard"] = (bot.mention, given)
        if state["wait"]:
            await state["wait"].wait()
        return state["said"]

    chat, interactivity, commands = (types.ModuleType(f"flows.chat{name}") for name in ("", ".a", ".b"))
    interactivity.clicked, commands.obey = hear, hear  # type: ignore[attr-defined]
    chat.interactivity, chat.commands = interactivity, commands  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "flows.chat", chat)
    return state


async def test_a_click_is_handed_on(town: Town, chat: dict[str, Any]) -> None:
    """With the bot that posted the message."""
    chat["said"] = {"text": "approved"}
    payload = {"type": "block_actions", "user": {"id": "U0ANNA"}, "message": {"user": BOT}}
    answer = await form(town, "/slack/interactivity", {"payload": json.dumps(payload)})
    assert (answer.status_code, answer.json()) == (200, {"text": "approved"})
    assert chat["heard"] == ("@ecm-agent", payload)
    chat["said"] = None
    answer = await form(town, "/slack/interactivity", {"payload": "{}"}, "other-slack-secret")
    assert (answer.status_code, answer.content, chat["heard"][0]) == (200, b"", "@fraud-agent")


async def test_a_command_is_handed_on(town: Town, chat: dict[str, Any]) -> None:
    """Its fields as Slack sent them."""
    chat["said"] = {"text": "ecm is stopped"}
    fields = {"command": "/aspora", "text": "stop ecm \u00e9", "user_id": "U0ANNA"}
    answer = await form(town, "/slack/commands", fields)
    assert (answer.json(), chat["heard"]) == ({"text": "ecm is stopped"}, ("@ecm-agent", fields))


async def test_a_command_that_is_sent_again_is_not_obeyed_again(town: Town, chat: dict[str, Any]) -> None:
    """A captured `start actions` must not undo the `stop actions` that came after it."""
    chat["said"] = {"text": "actions are started"}
    body = urlencode({"command": "/aspora", "text": "start actions", "user_id": "U0ANNA"}).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded", **slack_signed(body)}
    first, second = [
        await town.client.post("/slack/commands", content=body, headers=headers) for _ in range(2)
    ]
    assert (first.status_code, second.status_code) == (200, 409)
    assert "obeyed already" in second.json()["error"]


async def test_slack_never_waits_long(
    town: Town, chat: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What takes longer is finished after the answer."""
    monkeypatch.setattr("flows.gateway.slack.SECONDS", 0.05)
    chat["wait"] = asyncio.Event()
    click = await form(town, "/slack/interactivity", {"payload": "{}"})
    command = await form(town, "/slack/commands", {"command": "/aspora"})
    assert (click.status_code, "longer" in command.json()["text"]) == (200, True)
    chat["wait"].set()
    await town.app.state.door.finish()


@pytest.mark.parametrize("path", ["/slack/interactivity", "/slack/commands"])
async def test_forms_that_are_none(town: Town, chat: dict[str, Any], path: str) -> None:
    """4xx, and nobody is bothered."""
    kind = "application/x-www-form-urlencoded"
    for body, status in (
        (b"payload=%ff&command=%ff", 400),
        (b"payload=\xc3\xa9", 400),
        (b"&=".join([b"a"] * 200), 400),
    ):
        headers = {"Content-Type": kind, **slack_signed(body)}
        assert (await town.client.post(path, content=body, headers=headers)).status_code == status
    headers = {"Content-Type": "application/json", **slack_signed(b"{}")}
    assert (await town.client.post(path, content=b"{}", headers=headers)).status_code == 415
    assert (await form(town, path, {}, "guessed")).status_code == 401
    if path.endswith("interactivity"):
        for payload in ("", "{", "[]"):
            assert (await form(town, path, {"payload": payload})).status_code == 400
    assert chat["heard"] is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"<@{BOT}> hello", "hello"),
        (f"hello <@{BOT}|ecm-agent>, look", "hello , look"),
        ("ask <@U0ANNA> or <@U9>", "ask @anna or @U9"),
        ("<#C1|general> <#C2>", "#general #C2"),
        ("<!here> <!subteam^S1|@ops> <!date^1>", "@here @ops @date"),
        ("<https://a.b/c|the page> <https://a.b>", "the page (https://a.b/c) https://a.b"),
        ("<https://a.b|a.b> <mailto:x@y.z|x@y.z>", "https://a.b x@y.z"),
        ("&lt;b&gt; &amp;lt;", "<b> &lt;"),
        ("two\n  lines ", "two\nlines"),
    ],
)
def test_text_as_people_saw_it(text: str, said: str) -> None:
    """Slack's marks and escapes undone, each once."""
    assert readable(text, BOT, {"U0ANNA": "anna"}) == said
