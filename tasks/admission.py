"""Whether a run may start now: kill switch, budget, rate, and how many run already."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import Connection

from blocks import config
from blocks.units import Rate, format_dollars
from tasks import controls, inbox, maintenance, notices, spend, tally
from tasks.clock import utc

LEASE = timedelta(seconds=60)
SOONEST = timedelta(seconds=2)
LATEST = timedelta(minutes=5)
"""How soon, and how late at most, a trigger that may not start is tried again."""
_NONE: Mapping[str, int] = {}


Guardrail = Literal[
    "kill_switch", "maintenance", "budget", "rate_limit", "parallel_runs", "unknown_domain",
]  # fmt: skip


class Refused(Exception):
    """A guardrail does not allow the run. The message says why.

    Attributes:
        guardrail: which one, as it is counted.
    """

    def __init__(self, guardrail: Guardrail, reason: str) -> None:
        super().__init__(reason)
        self.guardrail = guardrail


class Taken(Exception):
    """The trigger's run is under way elsewhere, or over. The message says which."""


def admit(
    conn: Connection, settings: config.Config, trigger: inbox.Trigger, owner: str, now: datetime | None = None
) -> None:
    """Checks the guardrails and claims the trigger, as one step.

    A run that goes on after a crash was admitted before; only the kill switch holds it back.

    Raises:
        Refused: a guardrail says no.
        Taken: another process has the trigger, or it is over.
    """
    inbox.serialise(conn)
    at = utc(now)
    if trigger.state in (*inbox.WAITING, "running"):
        look(conn, settings, trigger, at)
    if not inbox.claim(conn, trigger.id, owner, LEASE, at):
        current = inbox.get(conn, trigger.id)
        raise Taken(f"run {current.run_id} is {current.state} already")


def look(
    conn: Connection,
    settings: config.Config,
    trigger: inbox.Trigger,
    at: datetime,
    promised: Mapping[str, int] = _NONE,
) -> None:
    """Raises Refused if the trigger's run may not start, or go on, at this moment.

    Args:
        promised: domain → runs that were sent for and have not started; they count as started.
    """
    check_switch(conn, trigger.domain)
    if trigger.started_at is None:
        check(conn, settings, trigger.domain, at, promised)


def check(
    conn: Connection,
    settings: config.Config,
    domain: str,
    at: datetime,
    promised: Mapping[str, int] = _NONE,
) -> None:
    """Raises Refused if a guardrail does not allow another run of the domain."""
    check_switch(conn, domain)
    if domain not in settings.domains:
        known = ", ".join(settings.domains)
        raise Refused("unknown_domain", f"there is no domain {domain!r}; there are: {known}")
    if closed := maintenance.closed(settings, domain, at):
        raise Refused("maintenance", closed)
    sent, all_sent = promised.get(domain, 0), sum(promised.values())
    own, shared = settings.domains[domain].guardrails, settings.platform.guardrails
    _budget(f"domain {domain}", spend.of_day(conn, domain, at.date()), own.budget)
    _budget("the platform", spend.of_day(conn, "", at.date()), shared.budget)
    _rate(conn, f"domain {domain}", domain, own.rate_limit, at, sent)
    _rate(conn, "the platform", "", shared.rate_limit, at, all_sent)
    _parallel(f"domain {domain}", inbox.running(conn, domain, at) + sent, own.max_parallel_runs)
    _parallel("the platform", inbox.running(conn, "", at) + all_sent, shared.max_parallel_runs)


def turn_away(
    conn: Connection,
    settings: config.Config,
    trigger: inbox.Trigger,
    owner: str,
    refused: Refused,
    now: datetime | None = None,
) -> None:
    """Records that a run may not start or go on, and tells who asked.

    What came from outside is tried again later, the rest is refused.
    """
    at, reason = utc(now), str(refused)
    claimed = trigger.state == "running" and inbox.claim(conn, trigger.id, owner, LEASE, at)
    if trigger.from_outside:
        if claimed:
            inbox.finish(conn, trigger.id, owner, "deferred", reason=reason, now=at)
        defer(conn, settings, trigger, reason, at, refused.guardrail)
        return
    if claimed:
        inbox.finish(conn, trigger.id, owner, "refused", result="refused", reason=reason, now=at)
    if claimed or inbox.refuse(conn, trigger.id, reason, at):
        count(conn, trigger.domain, refused.guardrail)
        notices.refused(conn, settings, inbox.get(conn, trigger.id), reason)


def defer(
    conn: Connection,
    settings: config.Config,
    trigger: inbox.Trigger,
    reason: str,
    at: datetime,
    guardrail: Guardrail | None = None,
) -> None:
    """Lets a trigger wait, each time longer; the first time it is counted, and who asked is told.

    It waits for the end of maintenance, however long that is, and only then for as long as others do.

    Args:
        guardrail: the one that holds it back, if it is one.
    """
    retry_for = settings.platform.retry_for
    give_up = trigger.give_up_at or at + retry_for
    waited = at - (give_up - retry_for)
    again = at + min(max(waited / 2, SOONEST), LATEST)
    if window := maintenance.open_window(settings, trigger.domain, at):
        again, give_up = window.end, max(give_up, window.end + retry_for)
    if inbox.defer(conn, trigger.id, reason, again, give_up) and trigger.state != "deferred":
        if guardrail:
            count(conn, trigger.domain, guardrail)
        notices.deferred(conn, settings, inbox.get(conn, trigger.id), reason)


def count(conn: Connection, domain: str, guardrail: Guardrail) -> None:
    """Counts that a guardrail held something back, in the transaction that records it."""
    tally.count(conn, tally.REFUSALS, domain=domain, guardrail=guardrail)


def check_switch(conn: Connection, domain: str) -> None:
    """Raises Refused if the domain's kill switch is off."""
    stop = controls.stopped(conn, controls.domain(domain))
    if stop:
        why = f" ({stop.reason})" if stop.reason else ""
        raise Refused(
            "kill_switch",
            f"domain {domain} was stopped by {stop.changed_by}{why}; `aspora start {domain}` lifts it",
        )


def _budget(who: str, spent: int, limit: int) -> None:
    if spent >= limit:
        raise Refused(
            "budget",
            f"{who} has spent its budget of {format_dollars(limit)} for today; it is renewed at 00:00 UTC",
        )


def _rate(conn: Connection, who: str, domain: str, limit: Rate | None, at: datetime, sent: int) -> None:
    if limit is None:
        return
    started = inbox.started_since(conn, at - timedelta(seconds=limit.seconds), domain) + sent
    if started >= limit.count:
        raise Refused(
            "rate_limit", f"{who} is limited to {limit} runs and has started {started}; try again later"
        )


def _parallel(who: str, running: int, limit: int | None) -> None:
    if limit is not None and running >= limit:
        raise Refused(
            "parallel_runs", f"{who} has {running} runs under way, and {limit} are allowed at a time"
        )
