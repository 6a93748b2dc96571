"""Clicks in Slack: approve, reject with a reason. Who clicks is verified, since Slack signs the request.

A click is answered at once. What people see of it is enqueued and sent by the background services; only the
form that asks for the reason is opened right here, since Slack takes that within three seconds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from blocks.config import SlackBot
from blocks.messengers import Undelivered
from blocks.slack import Slack
from tasks import approvals, decision, notices, people, telling
from tasks.markup import SLACK
from tasks.platform import Platform

FORM = "reject"
REASON = "reason"
_LONGEST_REASON = 3000


@dataclass(frozen=True)
class _Click:
    """Who clicked, on what, and where an answer to them goes."""

    user: str
    approval: str
    channel: str
    thread: str


async def clicked(platform: Platform, bot: SlackBot, payload: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Takes a click or a filled-in form; what to answer Slack with.

    Args:
        payload: verified to come from Slack.
    """
    if payload.get("type") == "block_actions":
        for action in _listed(payload, "actions"):
            click = _click(payload, action)
            if click and action.get("action_id") == notices.APPROVE:
                await _tell(platform, bot, click, await _decided(platform, click, True, ""))
            elif click and action.get("action_id") == notices.REJECT:
                await _ask_reason(platform, bot, click, str(payload.get("trigger_id") or ""))
        return None
    if payload.get("type") == "view_submission" and _part(payload, "view").get("callback_id") == FORM:
        return await _submitted(platform, bot, payload)
    return None


async def _decided(platform: Platform, click: _Click, approve: bool, comment: str) -> str:
    """Decides; what the person is to be told besides what all see, if anything."""
    person = people.of_slack(platform.config, click.user)
    try:
        made = await decision.decide(
            platform, click.approval, approve, by=person, via="slack", verified=True, comment=comment
        )
    except (decision.NotAllowed, approvals.UnknownApproval) as error:
        return str(error)
    if made.status == "recorded":
        more = f"{made.missing} more {'person' if made.missing == 1 else 'people'} must approve"
        return f"Your approval of {click.approval} counts; {more}."
    return "" if made.decided else _too_late(made.approval)


def _too_late(approval: approvals.Approval) -> str:
    if approval.decided_by and approval.decided_at:
        word = "rejected" if approval.status == "rejected" else "approved"
        at = telling.moment(approval.decided_at)
        return f"{approval.id} was {word} by {approval.decided_by} at {at}; your click changed nothing."
    by = f" by {approval.superseded_by}" if approval.superseded_by else ""
    return f"{approval.id} is {approval.status}{by}; your click changed nothing."


async def _ask_reason(platform: Platform, bot: SlackBot, click: _Click, trigger_id: str) -> None:
    """Opens the form that asks why."""
    try:
        asked = await platform.database.read(lambda conn: approvals.get(conn, click.approval))
    except approvals.UnknownApproval as error:
        await _tell(platform, bot, click, str(error))
        return
    if asked.status != "waiting":
        await _tell(platform, bot, click, _too_late(asked))
        return
    try:
        await Slack(bot.token_env).open_view(trigger_id, _form(click, asked))
    except Undelivered as error:
        instead = f"reject it by `aspora reject {asked.id} --as NAME --reason WHY`"
        await _tell(platform, bot, click, f"The form could not be opened ({error}). Try again, or {instead}")


async def _submitted(
    platform: Platform, bot: SlackBot, payload: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    """Records a rejection; an error beside the field, if it has no reason or can't be taken."""
    view = _part(payload, "view")
    values = _part(_part(_part(_part(view, "state"), "values"), REASON), REASON)
    click = _kept(payload, str(view.get("private_metadata") or ""))
    if click is None:
        return _error("The form does not tell which fix it is about; press Reject again.")
    reason = str(values.get("value") or "").strip()
    if not reason:
        return _error("A rejection needs a reason.")
    said = await _decided(platform, click, False, reason)
    return _error(said) if said else None


async def _tell(platform: Platform, bot: SlackBot, click: _Click, text: str) -> None:
    """Tells the person who clicked, and nobody else."""
    if text and click.channel:
        await platform.database.write(
            lambda conn: notices.whispered(conn, bot.mention, click.channel, click.thread, click.user, text)
        )


def _form(click: _Click, asked: approvals.Approval) -> dict[str, Any]:
    kept = {"approval": click.approval, "channel": click.channel, "thread": click.thread}
    about = f"Why should {asked.id} ({SLACK.data(asked.subject)}) not be done? It is kept, and learned from."
    field = {
        "type": "plain_text_input",
        "action_id": REASON,
        "multiline": True,
        "max_length": _LONGEST_REASON,
    }
    return {
        "type": "modal",
        "callback_id": FORM,
        "private_metadata": json.dumps(kept),
        "title": _words("Reject a fix"),
        "submit": _words("Reject"),
        "close": _words("Cancel"),
        "blocks": [
            {"type": "section", "text": {"type": "mrkdwn", "text": about, "verbatim": True}},
            {"type": "input", "block_id": REASON, "label": _words("Reason"), "element": field},
        ],
    }


def _words(text: str) -> dict[str, str]:
    return {"type": "plain_text", "text": text}


def _error(text: str) -> dict[str, Any]:
    return {"response_action": "errors", "errors": {REASON: text[:1000]}}


def _click(payload: Mapping[str, Any], action: Mapping[str, Any]) -> _Click | None:
    message, container = _part(payload, "message"), _part(payload, "container")
    user, approval = str(_part(payload, "user").get("id") or ""), str(action.get("value") or "")
    channel = str(_part(payload, "channel").get("id") or container.get("channel_id") or "")
    thread = str(message.get("thread_ts") or message.get("ts") or "")
    return _Click(user, approval, channel, thread) if user and approval else None


def _kept(payload: Mapping[str, Any], text: str) -> _Click | None:
    """The click that a form was opened by."""
    try:
        kept = json.loads(text)
    except ValueError:
        return None
    user = str(_part(payload, "user").get("id") or "")
    if not isinstance(kept, dict) or not kept.get("approval") or not user:
        return None
    return _Click(user, str(kept["approval"]), str(kept.get("channel", "")), str(kept.get("thread", "")))


def _part(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A part of a message, empty if it isn't there."""
    value = data.get(name)
    return value if isinstance(value, Mapping) else {}


def _listed(data: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    value = data.get(name)
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []
