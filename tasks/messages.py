"""The outbox: messages to people, each once, in the order of their thread, by one sender at a time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, and_, exists, select, update

from blocks.database import insert_new
from blocks.schema import messages
from tasks import ids
from tasks.clock import utc

Channel = Literal["slack", "whatsapp"]
_LONGEST_KEY = 200


class Message(BaseModel):
    """What people are to be told, and whether they were."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    id: int
    key: str
    channel: Channel
    address: dict[str, Any]
    body: dict[str, Any]
    about: str
    """What it is about: messages of one thread have the same."""
    replaces: str | None
    """The key of the message whose place it takes."""
    state: Literal["pending", "sent", "failed"]
    attempts: int
    next_attempt_at: datetime
    reason: str
    """Why it was not sent yet, or at all."""
    external_id: str | None
    created_at: datetime
    sent_at: datetime | None


def add(
    conn: Connection,
    name: str,
    channel: Channel,
    address: Mapping[str, Any],
    body: Mapping[str, Any],
    *,
    about: str,
    replaces: str = "",
    now: datetime | None = None,
) -> bool:
    """Enqueue a message; False if there is one of that name already.

    Args:
        replaces: name of the message that it takes the place of.
    """
    at = utc(now)
    values = {
        "key": key(channel, name),
        "channel": channel,
        "address": dict(address),
        "body": dict(body),
        "about": about,
        "replaces": key(channel, replaces) if replaces else None,
        "state": "pending",
        "next_attempt_at": at,
        "created_at": at,
    }
    return insert_new(conn, messages, values)


def key(channel: Channel, name: str) -> str:
    """The message of that name in a channel."""
    whole = f"{channel}:{name}"
    return whole if len(whole) <= _LONGEST_KEY else f"{channel}:{ids.key('message', name)}"


def due(conn: Connection, limit: int, now: datetime | None = None) -> list[Message]:
    """The first pending message of each thread, if its time has come; the oldest first."""
    earlier = messages.alias()
    blocked = exists().where(
        earlier.c.state == "pending",
        earlier.c.about == messages.c.about,
        earlier.c.channel == messages.c.channel,
        earlier.c.id < messages.c.id,
    )
    query = select(messages).where(
        messages.c.state == "pending", messages.c.next_attempt_at <= utc(now), ~blocked
    )
    return [Message.model_validate(row) for row in conn.execute(query.order_by(messages.c.id).limit(limit))]


def claim(conn: Connection, message: Message, period: timedelta, now: datetime | None = None) -> bool:
    """Take it on oneself to send a message; True for one caller until `period` is over."""
    seen = and_(
        messages.c.id == message.id,
        messages.c.state == "pending",
        messages.c.attempts == message.attempts,
        messages.c.next_attempt_at == message.next_attempt_at,
    )
    values = {"attempts": message.attempts + 1, "next_attempt_at": utc(now) + period}
    return conn.execute(update(messages).where(seen).values(**values)).rowcount == 1


def sent(conn: Connection, id: int, external_id: str, now: datetime | None = None) -> None:
    """Note that it was sent, and how the channel calls it."""
    values = {"state": "sent", "external_id": external_id or None, "sent_at": utc(now), "reason": ""}
    conn.execute(update(messages).where(messages.c.id == id).values(**values))


def put_off(conn: Connection, id: int, reason: str, until: datetime) -> None:
    """Note why it was not sent, and when it is tried again."""
    pending = and_(messages.c.id == id, messages.c.state == "pending")
    conn.execute(update(messages).where(pending).values(reason=reason, next_attempt_at=until))


def give_up(conn: Connection, id: int, reason: str) -> None:
    """Note that it will not be sent, and why."""
    pending = and_(messages.c.id == id, messages.c.state == "pending")
    conn.execute(update(messages).where(pending).values(state="failed", reason=reason))


def hold(conn: Connection, like: Message, until: datetime) -> None:
    """Put off what else is pending for the same sender: it was told to come back then."""
    pending = select(messages.c.id, messages.c.address).where(
        messages.c.state == "pending", messages.c.channel == like.channel, messages.c.next_attempt_at < until
    )
    same = [row.id for row in conn.execute(pending) if row.address.get("bot") == like.address.get("bot")]
    for start in range(0, len(same), 500):
        chosen = messages.c.id.in_(same[start : start + 500])
        conn.execute(update(messages).where(chosen).values(next_attempt_at=until))


def of_key(conn: Connection, key: str) -> Message | None:
    """The message of that key."""
    row = conn.execute(select(messages).where(messages.c.key == key)).first()
    return Message.model_validate(row) if row else None


def of_thread(conn: Connection, about: str, channel: Channel) -> list[Message]:
    """All messages about something in a channel, in order."""
    same = and_(messages.c.about == about, messages.c.channel == channel)
    rows = conn.execute(select(messages).where(same).order_by(messages.c.id))
    return [Message.model_validate(row) for row in rows]
