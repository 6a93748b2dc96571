"""Messages to people: once, in order, whatever the other side does; and WhatsApp."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from blocks.database import Database
from blocks.schema import messages as messages_table
from tasks import controls, decision, messages, notices
from tasks.clock import utc
from tasks.delivery import deliver
from tasks.platform import opened
from tests.chat_world import (  # noqa: F401
    approval,
    delivered,
    new_slack,
    new_whatsapp,
    run_from,
)
from tests.fix_world import World, new_api, new_world, run  # noqa: F401
from tests.record_world import MINUTE, NOW, new_database, new_postgres  # noqa: F401
from tests.slack_server import SlackServer, limited, refusing
from tests.whatsapp_server import WhatsappServer, fault


def enqueue(database: Database, name: str, about: str = "run-1", **given: Any) -> messages.Message:
    """A message to the channel."""
    address = {"bot": "", "channel": "C0OPS", "thread": "", **given.pop("address", {})}
    body = {"text": name, "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": name}}]}

    def write(conn: Any) -> messages.Message:
        messages.add(conn, name, "slack", address, body, about=about, **given)
        found = messages.of_key(conn, messages.key("slack", name))
        assert found
        return found

    return database.write_now(write)


def kept(world: World, name: str) -> messages.Message:
    found = world.database.read_now(lambda conn: messages.of_key(conn, messages.key("slack", name)))
    assert found
    return found


def again(world: World) -> None:
    """Time passes, until all that waits is due."""
    past = utc() - timedelta(seconds=1)
    world.database.write_now(lambda conn: conn.execute(update(messages_table).values(next_attempt_at=past)))


async def test_a_thread_is_told_in_order_and_its_first_message_opens_it(
    world: World, slack: SlackServer
) -> None:
    for number in range(5):
        enqueue(world.database, f"a{number}", "run-a")
        enqueue(world.database, f"b{number}", "run-b")
    assert await delivered() == 10
    for name in "ab":
        root = next(post for post in slack.posts if post.text == f"{name}0")
        assert [post.text for post in slack.thread(root.ts)] == [f"{name}{number}" for number in range(5)]
    assert await delivered() == 0


async def test_a_message_is_enqueued_once(world: World, slack: SlackServer) -> None:
    enqueue(world.database, "once")
    enqueue(world.database, "once")
    enqueue(world.database, "x" * 300)
    enqueue(world.database, "x" * 300)
    await delivered()
    assert [post.text for post in slack.posts] == ["once", "x" * 300]


async def test_many_senders_send_each_message_once(world: World, slack: SlackServer) -> None:
    for number in range(12):
        enqueue(world.database, f"m{number}", f"run-{number % 3}")
    async with opened() as platform:
        counts = await asyncio.gather(*(deliver(platform) for _ in range(6)))
        await deliver(platform)
    assert sum(counts) <= 12
    assert sorted(post.text for post in slack.posts) == sorted(f"m{number}" for number in range(12))


def test_one_of_many_claims_a_message(database: Database) -> None:
    """On both databases; after the claim's time another one may."""
    message = enqueue(database, "m", now=NOW)
    claim = lambda at: database.write_now(lambda c: messages.claim(c, message, MINUTE, at))  # noqa: E731
    assert [claim(NOW), claim(NOW)] == [True, False]
    assert database.read_now(lambda c: messages.due(c, 10, NOW)) == []
    (left,) = database.read_now(lambda c: messages.due(c, 10, NOW + 2 * MINUTE))
    assert left.attempts == 1
    database.write_now(lambda c: messages.sent(c, message.id, "C/1", NOW))
    assert database.read_now(lambda c: messages.due(c, 10, NOW + 2 * MINUTE)) == []


def test_a_thread_waits_for_its_first_message(database: Database) -> None:
    first = enqueue(database, "1", now=NOW)
    enqueue(database, "2", now=NOW)
    other = enqueue(database, "3", "run-2", now=NOW)
    database.write_now(lambda c: messages.put_off(c, first.id, "down", NOW + 5 * MINUTE))
    due = lambda at: [m.key for m in database.read_now(lambda c: messages.due(c, 10, at))]  # noqa: E731
    assert due(NOW + MINUTE) == [other.key]
    database.write_now(lambda c: messages.give_up(c, first.id, "never"))
    assert due(NOW + MINUTE) == ["slack:2", "slack:3"]


async def test_a_slack_that_is_down_loses_nothing(world: World, slack: SlackServer) -> None:
    slack.misbehave = lambda method, given: (503, {}, b"<html>down</html>")
    enqueue(world.database, "m")
    assert await delivered() == 0
    assert await delivered() == 0
    assert slack.calls == ["chat.postMessage"]
    first = kept(world, "m")
    assert (first.state, first.reason) == ("pending", "Slack failed at chat.postMessage, HTTP 503")
    slack.misbehave = lambda method, given: None
    again(world)
    assert await delivered() == 1
    assert (kept(world, "m").state, kept(world, "m").reason) == ("sent", "")


async def test_an_unreachable_slack(
    world: World, slack: SlackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLACK_API_URL", "http://127.0.0.1:9/api/")
    enqueue(world.database, "m")
    await delivered()
    assert kept(world, "m").reason.startswith("Slack can't be reached for chat.postMessage")


async def test_too_many_at_once_are_held_back_as_long_as_slack_asks(world: World, slack: SlackServer) -> None:
    """All of that bot: none of them is tried before."""
    slack.misbehave = lambda method, given: limited(120)
    for number in range(20):
        enqueue(world.database, f"m{number}", f"run-{number}")
    before = utc()
    await delivered()
    tried = len(slack.calls)
    assert tried <= 8
    await delivered()
    assert len(slack.calls) == tried
    waits = world.database.read_now(lambda conn: messages.of_thread(conn, "run-19", "slack"))
    assert waits[0].next_attempt_at >= before + timedelta(seconds=119)
    assert waits[0].attempts == 0


@pytest.mark.parametrize(
    ("error", "state"),
    [("invalid_blocks", "failed"), ("channel_not_found", "pending"), ("internal_error", "pending")],
)
async def test_what_slack_refuses(world: World, slack: SlackServer, error: str, state: str) -> None:
    """What can't heal is given up at once; what a person can put right is tried again."""
    slack.misbehave = lambda method, given: refusing(error)
    enqueue(world.database, "m")
    await delivered()
    message = kept(world, "m")
    assert message.state == state
    assert "xoxb" not in message.reason


async def test_after_a_day_a_message_is_given_up(world: World, slack: SlackServer) -> None:
    slack.tokens.clear()
    enqueue(world.database, "m", now=utc() - timedelta(days=1))
    enqueue(world.database, "fresh", "run-2")
    await delivered()
    assert (kept(world, "m").state, kept(world, "fresh").state) == ("failed", "pending")
    assert kept(world, "m").reason == "Slack refused chat.postMessage: invalid_auth"


async def test_a_token_that_is_not_set(
    world: World, slack: SlackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SLACK_BOT_TOKEN")
    enqueue(world.database, "m")
    await delivered()
    assert (kept(world, "m").reason, slack.calls) == ("SLACK_BOT_TOKEN is not set", [])


async def test_each_bot_speaks_with_its_own_token(
    world: World, slack: SlackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.config["slack"]["bots"].append(
        {"mention": "@fraud-agent", "user_id": "U0FRAUD", "token_env": "FRAUD_TOKEN"}
    )
    world.write()
    monkeypatch.setenv("FRAUD_TOKEN", "xoxb-fraud")
    slack.tokens = {"xoxb-fraud"}
    enqueue(world.database, "m", address={"bot": "@fraud-agent"})
    enqueue(world.database, "n", "run-2", address={"bot": "@ecm-agent"})
    await delivered()
    assert [post.text for post in slack.posts] == ["m"]


async def test_a_message_whose_question_was_never_sent_is_posted(world: World, slack: SlackServer) -> None:
    enqueue(world.database, "asked")
    world.database.write_now(lambda conn: messages.give_up(conn, kept(world, "asked").id, "gone"))
    enqueue(world.database, "decided", replaces="asked")
    await delivered()
    assert [post.text for post in slack.posts] == ["decided"]


async def test_a_report_of_any_size_fits(world: World, slack: SlackServer) -> None:
    """Slack takes 50 blocks of 3000 characters; the server here counts them."""
    for number in range(60):
        world.fill([f"C{number}-{n}" for n in range(3)], stage=f"stage {number} " + "<&>" * 100)
    await run()
    await delivered()
    report = slack.posts[-1].words
    assert "… 38 more" in report
    assert report.splitlines()[-1].startswith("`aspora show ecm-triage-")


WHATSAPP = {"kind": "whatsapp", "phone_number_id": "106540352242922", "to": "4915112345678"}


async def test_whatsapp_is_told_that_work_begins_what_came_out_and_where_to_decide(
    world: World, whatsapp: WhatsappServer
) -> None:
    await run_from(world, WHATSAPP, "ann")
    await delivered()
    working, asked, report = whatsapp.texts
    assert working.startswith("*Working on it:* ecm-")
    assert f"aspora approve {approval(world).id} --as NAME" in asked
    assert "Decide in Slack, or in Prefect: http" in asked
    assert "a fix waits for approval" in report
    assert set(whatsapp.paths) == {"/v23.0/106540352242922/messages"}
    assert {message["to"] for message in whatsapp.messages} == {"4915112345678"}
    assert all(len(text) <= 4096 for text in whatsapp.texts)


async def test_a_fix_asked_for_by_whatsapp_is_decided_in_slack(
    world: World, slack: SlackServer, whatsapp: WhatsappServer
) -> None:
    await run_from(world, WHATSAPP, "ann")
    await delivered()
    assert [sorted(post.buttons) for post in slack.posts] == [["approve", "reject"]]


async def test_a_decision_on_a_fix_reaches_whatsapp(world: World, whatsapp: WhatsappServer) -> None:
    await run_from(world, WHATSAPP, "ann")
    async with opened() as platform:
        await decision.decide(platform, approval(world).id, False, by="bob", via="cli", comment="not now")
    await delivered()
    assert whatsapp.texts[-1].startswith(
        f"*{approval(world).id}* lulu: *Rejected* by bob on the command line"
    )
    assert whatsapp.texts[-1].endswith(": not now")


async def test_the_same_refusal_is_told_once_an_hour_where_nobody_asked(
    world: World, slack: SlackServer
) -> None:
    world.database.write_now(lambda conn: controls.stop(conn, controls.domain("ecm"), by="zoe"))
    for _ in range(3):
        assert (await run())["state"] == "refused"
    await delivered()
    assert [post.words.splitlines()[0] for post in slack.posts] == [
        "*Refused:* domain ecm was stopped by zoe; ˋaspora start ecmˋ lifts it"
    ]


async def test_a_refusal_reaches_whatsapp(world: World, whatsapp: WhatsappServer) -> None:
    result = await run_from(world, WHATSAPP, "ann")

    def refuse(conn: Any) -> None:
        from tasks import inbox

        trigger = inbox.get(conn, result["run_id"])
        notices.refused(conn, opened_config, trigger, "domain ecm has spent its budget")

    async with opened() as platform:
        opened_config = platform.config
        await platform.database.write(refuse)
    await delivered()
    assert "*Refused:* domain ecm has spent its budget" in whatsapp.texts[-1]


@pytest.mark.parametrize(
    ("said", "state", "reason"),
    [
        ((503, {}, b"down"), "pending", "WhatsApp failed, HTTP 503"),
        ((200, {}, b"{}"), "pending", "WhatsApp's answer lacks the message's id"),
        (fault(400, 131047), "failed", "WhatsApp refused the message: HTTP 400, code 131047"),
        (fault(429, 80007), "pending", "told to come back in 30 s"),
        (fault(401, 190), "pending", "WhatsApp refused the message: HTTP 401, code 190"),
    ],
)
async def test_what_whatsapp_does_instead(
    world: World, whatsapp: WhatsappServer, said: Any, state: str, reason: str
) -> None:
    whatsapp.misbehave = lambda given: said
    address = {"phone_number_id": "106540352242922", "to": "4915112345678"}
    world.database.write_now(
        lambda conn: messages.add(conn, "m", "whatsapp", address, {"text": "hello"}, about="run-1")
    )
    await delivered()
    message = world.database.read_now(lambda conn: messages.of_key(conn, "whatsapp:m"))
    assert message
    assert (message.state, message.reason) == (state, reason)
