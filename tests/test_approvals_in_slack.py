"""Approvals in Slack: told in the thread, decided by buttons, shown to all, late clicks answered."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tasks import approvals, controls, decision, messages
from tasks.markup import SLACK
from tasks.platform import opened
from tests.chat_world import (  # noqa: F401
    ANN,
    BOB,
    EVE,
    approval,
    delivered,
    new_slack,
    press,
    question,
    run_from,
    sent_by_slack,
)
from tests.fix_world import Api, World, approve, carry_out, new_api, new_world, proposed, run  # noqa: F401
from tests.slack_server import SlackServer, clicking, refusing, submitting

THREAD = {"kind": "slack", "bot": "@ecm-agent", "channel": "C0CHAT", "thread": "1700.0001", "user": ANN}


async def test_a_run_of_a_thread_is_told_there(world: World, api: Api, slack: SlackServer) -> None:
    """Working, the question, the report with its links; after the decision, what was changed."""
    await run_from(world, THREAD, "ann")
    await delivered()
    assert {(post.channel, post.thread) for post in slack.posts} == {("C0CHAT", "1700.0001")}
    working, asked, report = slack.posts
    assert working.words.startswith("*Working on it:* ecm-")
    assert "asked for by ann" in working.words
    assert "retry_orders: 3 orders" in asked.words
    assert asked.buttons == {"approve": approval(world).id, "reject": approval(world).id}
    assert "a fix waits for approval" in report.words
    assert "`aspora show ecm-triage-" in report.words
    assert await press(asked, "approve", BOB) is None
    await carry_out(approval(world).id)
    await delivered()
    assert asked.buttons == {}
    assert "*Approved* by bob in Slack at 20" in asked.words or "*Done* by bob" in asked.words
    assert "3 orders done" in slack.posts[-1].words
    assert slack.whispers == []


async def test_other_runs_open_a_thread_in_their_channel(world: World, slack: SlackServer) -> None:
    world.config["slack"]["channels"] |= {"ecm": "C0ECM"}
    world.write()
    await run()
    await delivered()
    root, *answers = slack.posts
    assert (root.channel, root.thread) == ("C0ECM", "")
    assert {(post.channel, post.thread) for post in answers} == {("C0ECM", root.ts)}


async def test_with_nowhere_to_tell_nothing_is_enqueued(world: World, slack: SlackServer) -> None:
    world.config["slack"]["channels"] = {}
    world.write()
    result = await proposed()
    await approve(result["id"])
    assert world.database.read_now(lambda conn: messages.due(conn, 10)) == []


async def test_the_first_click_decides_and_later_ones_are_told(world: World, slack: SlackServer) -> None:
    await run()
    await delivered()
    asked = question(slack)
    stale = clicking(asked, "reject", ANN)
    await asyncio.gather(press(asked, "approve", BOB), press(asked, "approve", EVE))
    before = approval(world)
    assert before.status == "approved"
    assert before.verified
    await delivered()
    await sent_by_slack(stale)
    await delivered()
    assert slack.views == []
    assert len(slack.whispers) == 2
    assert {whisper["channel"] for whisper in slack.whispers} == {"C0OPS"}
    assert slack.whispers[-1]["user"] == ANN
    assert f"was approved by {before.decided_by} at" in slack.whispers[-1]["text"]
    assert approval(world) == before


async def test_a_rejection_asks_why_and_the_reason_is_shown(world: World, slack: SlackServer) -> None:
    await run()
    await delivered()
    asked = question(slack)
    await press(asked, "reject", BOB)
    (view,) = slack.views
    assert view["callback_id"] == "reject"
    assert approval(world).status == "waiting"
    nothing = await sent_by_slack(submitting(view, BOB, "  "))
    assert nothing == {"response_action": "errors", "errors": {"reason": "A rejection needs a reason."}}
    assert await sent_by_slack(submitting(view, BOB, "lulu <!channel> sleeps")) is None
    late = await sent_by_slack(submitting(view, ANN, "me too"))
    assert "was rejected by bob at" in late["errors"]["reason"]
    await delivered()
    assert (approval(world).status, approval(world).comment) == ("rejected", "lulu <!channel> sleeps")
    assert asked.buttons == {}
    assert "*Rejected* by bob in Slack" in asked.words
    assert "<!channel>" not in asked.words


async def test_a_form_that_cannot_be_opened_is_told(world: World, slack: SlackServer) -> None:
    await run()
    await delivered()
    slack.misbehave = lambda method, given: refusing("expired_trigger_id") if method == "views.open" else None
    await press(question(slack), "reject", BOB)
    await delivered()
    assert "could not be opened" in slack.whispers[0]["text"]
    assert approval(world).status == "waiting"


@pytest.mark.full
async def test_a_slow_slack_does_not_hold_the_answer_to_a_click(world: World, slack: SlackServer) -> None:
    """Slack wants one within three seconds; the form is given up before."""
    await run()
    await delivered()
    slack.delay = 4
    async with asyncio.timeout(10):
        await press(question(slack), "reject", BOB)
    slack.delay = 0
    await delivered()
    assert "could not be opened" in slack.whispers[0]["text"]


async def test_two_verified_people_approve_together(world: World, api: Api, slack: SlackServer) -> None:
    """Not the same one twice, and not one whose account could be anybody's beside a token."""
    world.action["approvals"] = 2
    world.config["slack"]["users"] |= {"U0CID": "cid"}
    world.write()
    await run_from(world, THREAD, "Ann")
    await delivered()
    asked = question(slack)
    assert "Needs 2 different verified people" in asked.words
    for user in (ANN, BOB, BOB):
        await press(asked, "approve", user)
    await delivered()
    assert approval(world).status == "waiting"
    told = {whisper["user"]: whisper["text"] for whisper in slack.whispers}
    assert "ann asked for this run" in told[ANN]
    assert "1 more person must approve" in told[BOB]
    assert "Approved so far: bob" in asked.words
    assert asked.buttons
    await press(asked, "approve", "U0CID")
    await delivered()
    now = approval(world)
    assert (now.status, now.decided_by, now.verified) == ("approved", "bob, cid", True)
    assert "*Approved* by bob, cid in Slack" in asked.words
    assert (await carry_out(now.id)).status == "done"


async def test_a_stranger_in_slack_may_be_who_approved_by_token(world: World, slack: SlackServer) -> None:
    world.action["approvals"] = 2
    world.write()
    await run()
    await delivered()
    await approve(approval(world).id, by="dora", verified=True)
    await press(question(slack), "approve", EVE)
    await delivered()
    assert "slack:U0EVE may be dora" in slack.whispers[0]["text"]
    assert approval(world).status == "waiting"
    await press(question(slack), "approve", BOB)
    assert approval(world).status == "approved"


async def test_who_may_not_approve_is_told_why(world: World, slack: SlackServer) -> None:
    world.config["platform"]["people"] = {"ops-leads": ["ann"]}
    world.write()
    await run()
    await delivered()
    asked = question(slack)
    await press(asked, "approve", EVE)
    await press(asked, "reject", EVE)
    await sent_by_slack(submitting(slack.views[0], EVE, "no"))
    world.database.write_now(lambda conn: controls.stop(conn, controls.ALL_ACTIONS, by="zoe", reason="audit"))
    await press(asked, "approve", ANN)
    await delivered()
    told = {whisper["user"]: whisper["text"] for whisper in slack.whispers}
    assert "slack:U0EVE is not among the approvers of ecm" in told[EVE]
    assert "stopped by zoe: audit" in told[ANN]
    assert approval(world).status == "waiting"


async def test_a_decision_made_elsewhere_replaces_the_buttons(world: World, slack: SlackServer) -> None:
    waiting = await proposed()
    await delivered()
    async with opened() as platform:
        await decision.decide(platform, waiting["id"], False, by="ann", via="cli", comment="not now")
    await delivered()
    assert question(slack).buttons == {}
    assert "*Rejected* by ann on the command line, by a typed name at" in question(slack).words
    assert question(slack).words.endswith(": not now")


async def test_a_newer_proposal_takes_the_buttons_away(world: World, slack: SlackServer) -> None:
    await run()
    await delivered()
    await run()
    await delivered()
    first, second = [post for post in slack.posts if " asks " in post.words]
    assert (first.buttons, "*Superseded by*" in first.words) == ({}, True)
    assert second.buttons
    await sent_by_slack({**submitting({}, ANN, "x"), "view": {"callback_id": "reject"}})
    assert approval(world).status == "waiting"


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"type": "block_actions"},
        {"type": "block_actions", "actions": "approve"},
        {"type": "block_actions", "actions": [{"action_id": "approve"}], "user": None},
        {"type": "block_actions", "actions": [{"action_id": "approve", "value": 7}], "user": {"id": "U1"}},
        {"type": "block_actions", "actions": [{"action_id": "reject", "value": "x"}], "user": {"id": "U1"}},
        {"type": "view_submission", "view": []},
        {"type": "view_submission", "view": {"callback_id": "reject", "private_metadata": "{"}},
        {"type": "view_submission", "view": {"callback_id": "reject", "private_metadata": "[]"}},
        {"type": "shortcut"},
    ],
)
async def test_clicks_that_fit_nothing_change_nothing(
    world: World, slack: SlackServer, payload: dict[str, Any]
) -> None:
    await proposed()
    answer = await sent_by_slack(payload)
    assert answer is None or answer["response_action"] == "errors"
    assert approval(world).status == "waiting"
    assert world.database.read_now(lambda conn: approvals.find(conn, statuses=("approved",))) == []


async def test_what_data_says_is_only_words(world: World, slack: SlackServer) -> None:
    """In a subject, a comment, a name: no mention, link, image or command comes of it."""
    evil = "<!channel> <https://evil.example|Approve> *bold* @here https://evil.example kim@example.com"
    await run()
    async with opened() as platform:
        await decision.decide(platform, approval(world).id, False, by=evil, via="cli", comment=evil)
    await delivered()
    words = question(slack).words
    assert SLACK.data(evil) in words
    for part in ("<!channel>", "<https:", "https://", "@here", "kim@", "*bold*"):
        assert part not in words
    assert "&lt;email:" in words
