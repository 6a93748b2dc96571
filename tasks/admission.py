"""Whether a run may start now: kill switch, budget, rate, and how many run already."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection

from blocks import config
from blocks.units import Rate, format_dollars
from tasks import controls, inbox, spend
from tasks.clock import utc

LEASE = timedelta(seconds=60)


class Refused(Exception):
    """A guardrail does not allow the run. The message names the guardrail."""


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
    if trigger.state in ("pending", "deferred", "running"):
        check_switch(conn, trigger.domain)
    if trigger.state in ("pending", "deferred") and trigger.attempts == 0:
        check(conn, settings, trigger.domain, at)
    if not inbox.claim(conn, trigger.id, owner, LEASE, at):
        current = inbox.get(conn, trigger.id)
        raise Taken(f"run {current.run_id} is {current.state} already")


def check(conn: Connection, settings: config.Config, domain: str, at: datetime) -> None:
    """Raises Refused if a guardrail does not allow another run of the domain."""
    check_switch(conn, domain)
    own, shared = settings.domains[domain].guardrails, settings.platform.guardrails
    _budget(f"domain {domain}", spend.of_day(conn, domain, at.date()), own.budget)
    _budget("the platform", spend.of_day(conn, "", at.date()), shared.budget)
    _rate(conn, f"domain {domain}", domain, own.rate_limit, at)
    _rate(conn, "the platform", "", shared.rate_limit, at)
    _parallel(f"domain {domain}", inbox.running(conn, domain, at), own.max_parallel_runs)
    _parallel("the platform", inbox.running(conn, "", at), shared.max_parallel_runs)


def refuse(conn: Connection, trigger: inbox.Trigger, owner: str, reason: str) -> None:
    """Records a refusal: of a trigger that nobody has claimed, or of a run whose process is gone."""
    if not inbox.refuse(conn, trigger.id, reason) and inbox.claim(conn, trigger.id, owner, LEASE):
        inbox.finish(conn, trigger.id, owner, "refused", result="refused", reason=reason)


def check_switch(conn: Connection, domain: str) -> None:
    """Raises Refused if the domain's kill switch is off."""
    stop = controls.stopped(conn, controls.domain(domain))
    if stop:
        why = f" ({stop.reason})" if stop.reason else ""
        raise Refused(
            f"domain {domain} was stopped by {stop.changed_by}{why}; `aspora start {domain}` lifts it"
        )


def _budget(who: str, spent: int, limit: int) -> None:
    if spent >= limit:
        raise Refused(
            f"{who} has spent its budget of {format_dollars(limit)} for today; it is renewed at 00:00 UTC"
        )


def _rate(conn: Connection, who: str, domain: str, limit: Rate | None, at: datetime) -> None:
    if limit is None:
        return
    started = inbox.started_since(conn, at - timedelta(seconds=limit.seconds), domain)
    if started >= limit.count:
        raise Refused(f"{who} is limited to {limit} runs and has started {started}; try again later")


def _parallel(who: str, running: int, limit: int | None) -> None:
    if limit is not None and running >= limit:
        raise Refused(f"{who} has {running} runs under way, and {limit} are allowed at a time")
