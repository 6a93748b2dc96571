"""A message from outside becomes a row of the inbox: a run that waits, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from flows.orchestrator.asking import Unfit, payload
from flows.orchestrator.bounds import bounded, key
from flows.orchestrator.matching import Match, described, match
from tasks import admission, inbox, maintenance, notices
from tasks.clock import utc
from tasks.domain import Incoming
from tasks.platform import NoSuchDomain, Platform

NOT_RUN = "resolved before it ran"
_NOTHING = timedelta(0)


@dataclass(frozen=True)
class Judgement:
    """What becomes of a message.

    Attributes:
        completes: counted triggers that this one completes, and takes along.
        until: when a deferred one is looked at.
    """

    state: inbox.State
    reason: str = ""
    payload: Mapping[str, Any] | None = None
    part_of: str | None = None
    completes: Sequence[str] = ()
    until: datetime | None = None


def receive(
    conn: Connection, platform: Platform, incoming: Incoming, now: datetime | None = None
) -> inbox.Trigger:
    """Stores a message: matched, its input made, counted, grouped. Whatever it says, it is kept.

    In the caller's transaction, which waits for others that receive. The same `dedupe_key` again returns
    the first row unchanged.
    """
    inbox.serialise(conn)
    at = utc(now)
    message, cut = bounded(incoming)
    same = inbox.find_same(conn, message.dedupe_key)
    if same:
        return same
    found = match(platform.config, message)
    judged = _held_back(conn, platform, found, judge(platform, message, found, cut), at)
    trigger = inbox.add(conn, {**_columns(message, found, at), **outcome(judged, at)})
    inbox.join(conn, judged.completes, trigger.id)
    if message.origin and judged.state in ("unmatched", "refused", "suppressed"):
        notices.refused(conn, platform.config, trigger, judged.reason)
    if judged.state == "deferred":
        admission.count(conn, trigger.domain, "maintenance")
        notices.deferred(conn, platform.config, trigger, judged.reason)
    return trigger


def resolve(
    conn: Connection, platform: Platform, dedupe_key: str, now: datetime | None = None
) -> inbox.Trigger | None:
    """Notes that an alert ended: a run that nothing else asks for and that has not started never will.

    Returns:
        The alert's row; None if it never came in.
    """
    inbox.serialise(conn)
    at = utc(now)
    trigger = inbox.find_same(conn, key(dedupe_key))
    if trigger is None or trigger.resolved_at:
        return trigger
    inbox.note_resolved(conn, trigger.id, at)
    leader = inbox.get(conn, trigger.part_of or trigger.id)
    if all(each.resolved_at for each in (leader, *inbox.members(conn, leader.id))):
        ended = inbox.drop(conn, leader.id, NOT_RUN, at)
        if not ended and leader.started_at:
            notices.resolved(conn, platform.config, leader)
    return inbox.get(conn, trigger.id)


def judge(platform: Platform, message: Incoming, found: Match | None, cut: str) -> Judgement:
    """What becomes of a message that matches `found`, if nothing holds it back.

    Args:
        cut: what was cut from it.
    """
    if found is None:
        about = described(message.fields)
        return Judgement("unmatched", f"no {message.source} trigger of the config matches: {about}")
    if message.source == "whatsapp" and not message.asked_by:
        return Judgement("refused", "whatsapp.senders of the config does not have the sender")
    domain = found.trigger.domain
    try:
        platform.domain(domain)
    except NoSuchDomain:
        known = ", ".join(platform.config.domains)
        return Judgement("unmatched", f"there is no domain {domain!r} yet; there are: {known}")
    if cut and message.source == "webhook":
        return Judgement("refused", f"the message is too large: {cut}")
    try:
        return Judgement("pending", payload=payload(platform, domain, message))
    except Unfit as error:
        return Judgement("refused", str(error))


def _held_back(
    conn: Connection, platform: Platform, found: Match | None, judged: Judgement, at: datetime
) -> Judgement:
    """The judgement, looking at the time and at what else came in."""
    if found is None or judged.payload is None:
        return judged
    among = _among(conn, found, judged.payload, at) if found.incident else judged
    window = maintenance.open_window(platform.config, found.trigger.domain, at)
    if among.state != "pending" or window is None:
        return among
    return replace(among, state="deferred", reason=maintenance.words(window), until=window.end)


def _among(conn: Connection, found: Match, given: Mapping[str, Any], at: datetime) -> Judgement:
    """Judged among what else came in of the same incident."""
    after, quiet = found.trigger.after, found.trigger.quiet
    within = after.within if after else _NOTHING
    others = inbox.of_incident(conn, found.incident, at - within, at - (quiet or _NOTHING))
    under_way = [each for each in others if each.state in (*inbox.WAITING, "running")]
    if found.grouped and under_way:
        return Judgement("grouped", f"joined run {under_way[0].run_id}", given, part_of=under_way[0].id)
    recent = [each for each in others if each.state != "counted"]
    if quiet and recent:
        return Judgement("suppressed", _quiet(recent[-1], quiet), given)
    counted = [each.id for each in others if each.state == "counted"]
    if after and len(counted) + 1 < after.count:
        return Judgement("counted", f"{len(counted) + 1} of {after.count} that start a run", given)
    return Judgement("pending", payload=given, completes=counted)


def _quiet(last: inbox.Trigger, quiet: timedelta) -> str:
    if last.started_at is None:
        return f"quiet: run {last.run_id} of the same incident is about to start"
    return f"quiet until {last.started_at + quiet:%Y-%m-%d %H:%M:%S} UTC after run {last.run_id}"


def _columns(message: Incoming, found: Match | None, at: datetime) -> dict[str, Any]:
    return {
        "source": message.source,
        "domain": found.trigger.domain if found else "",
        "dedupe_key": message.dedupe_key,
        "received": {
            "source": message.source,
            "fields": message.fields,
            "text": message.text,
            "data": message.data,
            "group": message.group,
        },
        "rule": found.name if found else "",
        "incident": found.incident if found else "",
        "asked_by": message.asked_by,
        "origin": message.origin,
        "created_at": at,
    }


def outcome(judged: Judgement, at: datetime) -> dict[str, Any]:
    """The columns in which a judgement stands."""
    refused = judged.state == "refused"
    return {
        "state": judged.state,
        "reason": judged.reason,
        "payload": judged.payload,
        "part_of": judged.part_of,
        "result": "refused" if refused else None,
        "finished_at": at if refused else None,
        "next_attempt_at": judged.until,
    }
