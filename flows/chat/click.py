"""A click in Slack, and the forms that clicks open: what they carry, and what answers them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from blocks.config import SlackBot
from tasks import notices
from tasks.platform import Platform

LONGEST = 3000
"""Characters that a form's field takes."""


@dataclass(frozen=True)
class Click:
    """Who clicked, on what, and where an answer to them goes."""

    user: str
    subject: str
    """The button's value: an approval's, a run's or an execution's id."""
    channel: str
    thread: str


def read(payload: Mapping[str, Any], action: Mapping[str, Any]) -> Click | None:
    """The click on a button; None if it names nobody or nothing."""
    message, container = part(payload, "message"), part(payload, "container")
    user, subject = str(part(payload, "user").get("id") or ""), str(action.get("value") or "")
    channel = str(part(payload, "channel").get("id") or container.get("channel_id") or "")
    thread = str(message.get("thread_ts") or message.get("ts") or "")
    return Click(user, subject, channel, thread) if user and subject else None


def kept(payload: Mapping[str, Any]) -> Click | None:
    """The click that the submitted form was opened by."""
    try:
        found = json.loads(str(part(payload, "view").get("private_metadata") or ""))
    except ValueError:
        return None
    user = str(part(payload, "user").get("id") or "")
    if not isinstance(found, dict) or not found.get("subject") or not user:
        return None
    return Click(user, str(found["subject"]), str(found.get("channel", "")), str(found.get("thread", "")))


def form(
    click: Click, name: str, title: str, submit: str, about: str, fields: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """A form that a click opens.

    Args:
        name: by which its submission is known.
        about: what stands above the fields, in mrkdwn.
    """
    keep = {"subject": click.subject, "channel": click.channel, "thread": click.thread}
    head = {"type": "section", "text": {"type": "mrkdwn", "text": about, "verbatim": True}}
    return {
        "type": "modal",
        "callback_id": name,
        "private_metadata": json.dumps(keep),
        "title": words(title),
        "submit": words(submit),
        "close": words("Cancel"),
        "blocks": [head, *fields],
    }


def field(name: str, label: str, optional: bool = False) -> dict[str, Any]:
    """A field for text."""
    element = {"type": "plain_text_input", "action_id": name, "multiline": True, "max_length": LONGEST}
    made = {"type": "input", "block_id": name, "label": words(label), "element": element}
    return {**made, "optional": True} if optional else made


def choice(name: str, label: str, options: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """A field with one of several values: value and what people read of it; the first one is chosen."""
    listed = [{"text": words(text[:75]), "value": value} for value, text in options]
    element = {
        "type": "static_select",
        "action_id": name,
        "options": listed,
        "initial_option": listed[0],
    }
    return {"type": "input", "block_id": name, "label": words(label), "element": element}


def filled(payload: Mapping[str, Any], name: str) -> str:
    """What the submitted form has in a field."""
    state = part(part(part(payload, "view"), "state"), "values")
    value = part(part(state, name), name)
    return str(value.get("value") or part(value, "selected_option").get("value") or "").strip()


def error(name: str, text: str) -> dict[str, Any]:
    """The answer that shows what is wrong beside a field of the form, and keeps it open."""
    return {"response_action": "errors", "errors": {name: text[:1000]}}


async def answer(platform: Platform, bot: SlackBot, click: Click, text: str) -> None:
    """Tells the person who clicked, and nobody else; nothing if there is nothing to tell."""
    if text and click.channel:
        await platform.database.write(
            lambda conn: notices.whispered(conn, bot.mention, click.channel, click.thread, click.user, text)
        )


def words(text: str) -> dict[str, str]:
    """Plain text, as Slack takes it."""
    return {"type": "plain_text", "text": text}


def part(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A part of a message, empty if it isn't there."""
    value = data.get(name)
    return value if isinstance(value, Mapping) else {}


def listed(data: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """The parts that a message lists."""
    value = data.get(name)
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []
