"""A trigger once more: one that found no domain is matched anew, one held back or over runs again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from flows.orchestrator.intake import judge, outcome
from flows.orchestrator.matching import match
from tasks import ids, inbox, record
from tasks.clock import utc
from tasks.domain import Incoming
from tasks.platform import Platform


class NotReplayable(Exception):
    """The trigger can't be replayed. The message says why."""


def replay(conn: Connection, platform: Platform, id: str, now: datetime | None = None) -> inbox.Trigger:
    """Makes a trigger wait for its run again, whatever became of it.

    A run that was cut off or never began goes on under its id; one that has ended is started anew, as a
    trigger of its own. Grouping, counting and quiet periods don't hold a replay back; guardrails and
    maintenance windows do.

    Returns:
        The trigger that waits now; still unmatched or refused if the config has no use for it.

    Raises:
        UnknownTrigger: there is no such trigger.
        NotReplayable: it waits or runs already.
    """
    inbox.serialise(conn)
    at, trigger = utc(now), inbox.get(conn, id)
    if trigger.state in ("pending", "running"):
        raise NotReplayable(f"{trigger.id} is {trigger.state} already")
    if not trigger.from_outside or _has_ended(conn, trigger):
        return _anew(conn, trigger, at)
    if trigger.payload is None:
        return _match_again(conn, platform, trigger, at)
    inbox.renew(conn, trigger.id, {"part_of": None})
    return inbox.get(conn, trigger.id)


def _has_ended(conn: Connection, trigger: inbox.Trigger) -> bool:
    """Whether the run did its work, so that going on with it would do nothing."""
    executions = record.of_run(conn, trigger.run_id)
    return bool(executions) and all(each.outcome for each in executions)


def _anew(conn: Connection, trigger: inbox.Trigger, at: datetime) -> inbox.Trigger:
    columns = ("source", "domain", "payload", "rule", "incident", "asked_by", "origin")
    values = {
        **{name: getattr(trigger, name) for name in columns},
        "received": trigger.received or {"replays": trigger.id},
        "dedupe_key": f"replay {trigger.id} {at.isoformat()}",
        "state": "pending",
        "created_at": at,
    }
    return inbox.add(conn, values)


def _match_again(conn: Connection, platform: Platform, trigger: inbox.Trigger, at: datetime) -> inbox.Trigger:
    message = _message(trigger)
    found = match(platform.config, message)
    judged = judge(platform, message, found, "")
    values = outcome(judged, at)
    if found:
        values |= {"domain": found.trigger.domain, "rule": found.name, "incident": found.incident}
    if found and not trigger.domain:
        values["run_id"] = _run_id(conn, found.trigger.domain, trigger)
    inbox.renew(conn, trigger.id, values)
    return inbox.get(conn, trigger.id)


def _message(trigger: inbox.Trigger) -> Incoming:
    """The message as it was kept."""
    kept: Mapping[str, Any] = trigger.received
    message = Incoming(dedupe_key=trigger.dedupe_key, **kept)
    return replace(message, asked_by=trigger.asked_by, origin=trigger.origin)


def _run_id(conn: Connection, domain: str, trigger: inbox.Trigger) -> str:
    """A free id for the run of a trigger that had no domain when it came."""
    candidates = ids.stamped(domain, trigger.created_at, trigger.dedupe_key)
    return next(each for each in candidates if not inbox.exists(conn, each))
