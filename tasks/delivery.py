"""Sends what people are to be told. One round sends all that is due.

A message is claimed before it is sent, so that of any number of processes one sends it, and noted as sent
right after. A process that dies between the two, or an answer that gets lost, makes the message be sent once
more when the claim has run out: neither channel knows a key by which it could tell.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta

from sqlalchemy import Connection

from blocks import whatsapp
from blocks.config import Config
from blocks.messengers import Limited, Refused, Undelivered
from blocks.slack import Slack
from tasks import messages
from tasks.clock import utc
from tasks.messages import Message
from tasks.platform import Platform

CLAIM = timedelta(seconds=60)
"""Longer than any attempt lasts."""
LONGEST_WAIT = timedelta(minutes=5)
"""Between two attempts, unless the other side asks for more."""
PATIENCE = timedelta(days=1)
WHISPER_PATIENCE = timedelta(minutes=10)
"""An answer to a click helps nobody later."""
AT_ONCE = 8
ROUNDS = 20

_log = logging.getLogger(__name__)


async def deliver(platform: Platform) -> int:
    """Sends what is due, in the order of each thread; how many messages were sent."""
    count = 0
    for _ in range(ROUNDS):
        due = await platform.database.read(lambda conn: messages.due(conn, AT_ONCE))
        sent = sum(await asyncio.gather(*(_one(platform, message) for message in due)))
        count += sent
        if not sent:
            break
    return count


async def _one(platform: Platform, message: Message) -> bool:
    """Whether this process sent it, now."""
    write = platform.database.write
    target = await write(lambda conn: _claim(conn, message))
    if target is None:
        return False
    try:
        external_id = await _send(platform.config, message, target)
    except Undelivered as error:
        fault = error
        await write(lambda conn: _put_off(conn, message, fault))
        _log.warning("message %s was not sent: %s", message.key, error)
        return False
    await write(lambda conn: messages.sent(conn, message.id, external_id))
    return True


class _Target:
    """Where a message goes, now that its thread is known.

    Attributes:
        thread: timestamp of the message that it answers in Slack.
        replaced: channel and timestamp of the message that it takes the place of.
    """

    def __init__(self, thread: str = "", replaced: tuple[str, str] | None = None) -> None:
        self.thread = thread
        self.replaced = replaced


def _claim(conn: Connection, message: Message) -> _Target | None:
    """The message's target, if this process may send it."""
    if not messages.claim(conn, message, CLAIM):
        return None
    if message.channel != "slack":
        return _Target()
    before = messages.of_key(conn, message.replaces) if message.replaces else None
    replaced = _place(before) if before else None
    return _Target(str(message.address.get("thread") or "") or _opened(conn, message), replaced)


def _opened(conn: Connection, message: Message) -> str:
    """The timestamp of the message that opened the thread; empty if this one does."""
    thread = messages.of_thread(conn, message.about, message.channel)
    posts = [place for place in map(_place, thread) if place]
    return posts[0][1] if posts else ""


def _place(message: Message) -> tuple[str, str] | None:
    """Channel and timestamp of a posted message."""
    channel, _, timestamp = (message.external_id or "").partition("/")
    return (channel, timestamp) if timestamp else None


async def _send(settings: Config, message: Message, target: _Target) -> str:
    """The message's external id."""
    address, body = message.address, message.body
    if message.channel == "whatsapp":
        return await whatsapp.send(str(address["phone_number_id"]), str(address["to"]), str(body["text"]))
    slack = Slack(_token(settings, str(address.get("bot") or "")))
    channel, text, blocks = str(address["channel"]), str(body["text"]), body["blocks"]
    if address.get("user"):
        await slack.whisper(channel, str(address["user"]), text, target.thread)
        return ""
    if target.replaced:
        await slack.update(*target.replaced, text, blocks)
        return ""
    return "/".join(await slack.post(channel, text, blocks, target.thread))


def _token(settings: Config, mention: str) -> str:
    """The name of the secret with the bot's token."""
    named = (bot.token_env for bot in settings.slack.bots if bot.mention == mention)
    return next(named, "SLACK_BOT_TOKEN")


def _put_off(conn: Connection, message: Message, error: Undelivered, now: datetime | None = None) -> None:
    at = utc(now)
    patience = WHISPER_PATIENCE if message.address.get("user") else PATIENCE
    if (isinstance(error, Refused) and error.final) or at - message.created_at >= patience:
        messages.give_up(conn, message.id, str(error))
        return
    wait = min(timedelta(seconds=2**message.attempts), LONGEST_WAIT)
    if isinstance(error, Limited):
        wait = timedelta(seconds=error.seconds)
        messages.hold(conn, message, at + wait)
    messages.put_off(conn, message.id, str(error), at + wait)
