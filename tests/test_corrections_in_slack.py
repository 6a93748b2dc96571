"""Was this right? Asked under a run's report in Slack, answered by buttons and a form, shown to all."""

from __future__ import annotations

from typing import Any

import pytest

from tasks import corrections, feedback, messages
from tasks.platform import opened
from tests.chat_world import ANN, BOB, EVE, delivered, new_slack, press, sent_by_slack  # noqa: F401
from tests.fix_world import Api, World, new_api, new_world, run  # noqa: F401
from tests.slack_server import Post, SlackServer, clicking, refusing

CAUSE = "the partner's <!channel> <https://evil.example|quota> *was* used up"


async def reported(world: World, slack: SlackServer) -> Post:
    """The report of a run whose manager found something and whose resolving waits."""
    await run()
    await delivered()
    return next(post for post in slack.posts if "wrong" in post.buttons)


def filled(
    view: dict[str, Any], user: str, cause: str, wrong: str = "", execution: str = ""
) -> dict[str, Any]:
    """What Slack sends when a user submits the form."""
    choice = next(block for block in view["blocks"] if block.get("block_id") == "execution")
    chosen = {"value": execution} if execution else choice["element"]["initial_option"]
    values = {
        "execution": {"execution": {"type": "static_select", "selected_option": chosen}},
        "actual_root_cause": {"actual_root_cause": {"type": "plain_text_input", "value": cause}},
        "what_was_wrong": {"what_was_wrong": {"type": "plain_text_input", "value": wrong or None}},
    }
    return {"type": "view_submission", "user": {"id": user}, "view": {**view, "state": {"values": values}}}


def said(world: World, execution_id: str) -> list[corrections.Correction]:
    return world.database.read_now(lambda c: corrections.of_execution(c, execution_id))


async def test_the_report_asks_and_a_yes_is_shown(world: World, slack: SlackServer) -> None:
    report = await reported(world, slack)
    assert "*Was this right?*" in report.words
    assert set(report.buttons) == {"right", "wrong"}
    await press(report, "right", BOB)
    await press(report, "right", BOB)
    await delivered()
    assert report.words.count("bob in Slack says that it was right") == 1
    assert set(report.buttons) == {"right", "wrong", "take_back"}
    assert [whisper["text"] for whisper in slack.whispers] == ["You said so already; nothing was changed."]


async def test_a_no_asks_what_it_was_and_all_see_who_said_so(world: World, slack: SlackServer) -> None:
    """A verified correction; what it says is only words; others agree; who said it takes it back."""
    report = await reported(world, slack)
    await press(report, "wrong", ANN)
    (view,) = slack.views
    choice = next(block for block in view["blocks"] if block.get("block_id") == "execution")
    (option,) = choice["element"]["options"]
    assert option["text"]["text"].startswith("ecm-triage")
    empty = await sent_by_slack(filled(view, ANN, "  "))
    assert empty["errors"] == {"actual_root_cause": "Say what the root cause was, as far as you know."}
    assert await sent_by_slack(filled(view, ANN, CAUSE, "not an outage")) is None
    (kept,) = said(world, option["value"])
    assert (kept.corrected_by, kept.via, kept.verified) == ("ann", "slack", True)
    assert kept.correction == {"actual_root_cause": CAUSE, "what_was_wrong": "not an outage"}
    again = await sent_by_slack(filled(view, ANN, CAUSE))
    assert "You said so already" in again["errors"]["actual_root_cause"]
    await delivered()
    assert "ann in Slack corrected ecm-triage" in report.words
    for part in ("<!channel>", "<https:", "https://", "*was*"):
        assert part not in report.words
    await press(report, "agree", EVE)
    await press(report, "agree", ANN)
    await delivered()
    assert "slack:U0EVE in Slack says the same as the correction" in report.words
    assert "ann said so first" in slack.whispers[-1]["text"]
    await press(report, "take_back", BOB)
    await delivered()
    assert "nothing that bob said" in slack.whispers[-1]["text"]
    await press(report, "take_back", ANN)
    await delivered()
    assert "corrected ecm-triage" not in report.words
    assert [each.kind for each in said(world, option["value"])] == [
        "correction",
        "confirmation",
        "withdrawal",
    ]
    assert set(report.buttons) == {"right", "wrong"}


async def test_what_is_said_elsewhere_is_shown_too(world: World, slack: SlackServer) -> None:
    report = await reported(world, slack)
    async with opened() as platform:
        id_ = slack_execution(world)
        given = {"actual_root_cause": "a quota"}
        await feedback.say(platform, id_, "correct", given, by="kim@example.com", via="cli")
    await delivered()
    assert "on the command line, by a typed name corrected ecm-triage" in report.words
    assert "kim@" not in report.words


async def test_a_form_that_cannot_be_opened_is_told(world: World, slack: SlackServer) -> None:
    report = await reported(world, slack)
    slack.misbehave = lambda method, given: refusing("expired_trigger_id") if method == "views.open" else None
    await press(report, "wrong", BOB)
    await delivered()
    assert "could not be opened" in slack.whispers[0]["text"]
    assert "aspora correct ecm-triage-" in slack.whispers[0]["text"]


async def test_an_execution_of_another_run_is_not_taken(world: World, slack: SlackServer) -> None:
    report = await reported(world, slack)
    await press(report, "wrong", BOB)
    answer = await sent_by_slack(filled(slack.views[0], BOB, "a quota", execution="ecm-diagnose-of-others"))
    assert answer["errors"] == {"execution": "Choose one of the answers of this run."}


@pytest.mark.parametrize("action", ["right", "wrong", "agree", "take_back"])
async def test_clicks_on_what_is_gone_are_told(world: World, slack: SlackServer, action: str) -> None:
    report = await reported(world, slack)
    click = clicking(report, "right", BOB)
    click["actions"] = [{"action_id": action, "value": "ecm-gone", "type": "button"}]
    assert await sent_by_slack(click) is None
    await delivered()
    assert "ecm-gone" in slack.whispers[0]["text"]
    assert slack.views == []


@pytest.mark.parametrize(
    "view", [{"callback_id": "correct"}, {"callback_id": "correct", "private_metadata": '{"subject": "x"}'}]
)
async def test_forms_that_fit_nothing_change_nothing(
    world: World, slack: SlackServer, view: dict[str, Any]
) -> None:
    answer = await sent_by_slack({"type": "view_submission", "user": {"id": BOB}, "view": view})
    assert answer["response_action"] == "errors"


async def test_without_slack_nothing_is_enqueued(world: World) -> None:
    await run()
    async with opened() as platform:
        given = {"actual_root_cause": "a quota"}
        await feedback.say(platform, slack_execution(world), "correct", given, by="ann", via="cli")
    assert world.database.read_now(lambda conn: messages.due(conn, 10)) == []


def slack_execution(world: World) -> str:
    """The id of the manager's execution."""
    from tasks import record

    return next(row.execution_id for row in world.database.read_now(lambda c: record.search(c, domain="ecm")))
