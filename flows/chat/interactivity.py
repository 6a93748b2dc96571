"""Clicks in Slack, handed to what they are about. Who clicks is verified, since Slack signs the request.

A click is answered at once. What people see of it is enqueued and sent by the background services; only forms
are opened right here, since Slack takes them within three seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from blocks.config import SlackBot
from flows.chat import click as clicks
from flows.chat import deciding, judging
from tasks import notices
from tasks.platform import Platform

_DONE = {
    notices.APPROVE: deciding.approve,
    notices.RIGHT: judging.approve,
    notices.AGREE: judging.agree,
    notices.TAKE_BACK: judging.take_back,
}
_ASKED = {notices.REJECT: deciding.ask_reason, notices.WRONG: judging.ask}
_SUBMITTED = {deciding.FORM: deciding.submitted, judging.FORM: judging.submitted}


async def clicked(platform: Platform, bot: SlackBot, payload: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Takes a click or a filled-in form; what to answer Slack with.

    Args:
        payload: verified to come from Slack.
    """
    if payload.get("type") == "block_actions":
        for action in clicks.listed(payload, "actions"):
            await _clicked(platform, bot, payload, action)
    elif payload.get("type") == "view_submission":
        submit = _SUBMITTED.get(str(clicks.part(payload, "view").get("callback_id")))
        return await submit(platform, payload) if submit else None
    return None


async def _clicked(
    platform: Platform, bot: SlackBot, payload: Mapping[str, Any], action: Mapping[str, Any]
) -> None:
    click, name = clicks.read(payload, action), str(action.get("action_id"))
    if click and name in _DONE:
        await _DONE[name](platform, bot, click)
    elif click and name in _ASKED:
        await _ASKED[name](platform, bot, click, str(payload.get("trigger_id") or ""))
