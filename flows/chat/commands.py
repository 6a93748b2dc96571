"""Slash commands in Slack: the kill switches, and how things stand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from blocks.config import Config, SlackBot
from blocks.units import format_dollars
from tasks import approvals, controls, inbox, people, spend, telling
from tasks.clock import utc
from tasks.markup import SLACK
from tasks.platform import Platform

ACTIONS = "actions"
HELP = (
    "`stop DOMAIN [reason]` stops a domain, `start DOMAIN` lifts that\n"
    "`stop actions [reason]` stops all fixes of all domains, `start actions` lifts that\n"
    "`approvals` lists the fixes that wait\n"
    "`status` tells what runs, what is stopped and what was spent today"
)
_MOST = 20


async def obey(platform: Platform, bot: SlackBot, form: Mapping[str, str]) -> Mapping[str, Any]:
    """Does what a slash command says; the answer, which only who typed it sees.

    Args:
        form: verified to come from Slack.
    """
    verb, _, rest = form.get("text", "").strip().partition(" ")
    word = verb.lower()
    if word in ("stop", "start"):
        target, _, reason = rest.strip().partition(" ")
        return _answer(await _turn(platform, form.get("user_id", ""), word, target, reason.strip()))
    if word == "approvals":
        return _answer(await platform.database.read(_waiting))
    if word == "status":
        return _answer(await platform.database.read(lambda conn: _status(conn, platform.config)))
    unknown = "" if word in ("", "help") else f"There is no command {SLACK.data(verb, 50)}.\n"
    return _answer(unknown + HELP)


async def _turn(platform: Platform, user_id: str, verb: str, target: str, reason: str) -> str:
    """Turns a kill switch, if this person may."""
    person, settings = people.of_slack(platform.config, user_id), platform.config
    if not settings.platform.operators:
        return "Nobody may do that from chat: platform.operators is empty in the config. Nothing was changed."
    if not user_id or not people.contains(settings, settings.platform.operators, person):
        return f"{SLACK.data(person)} is not among platform.operators. Nothing was changed."
    if target != ACTIONS and target not in settings.domains:
        known = ", ".join([*settings.domains, ACTIONS])
        return f"There is no domain {SLACK.data(target, 50)}; there are: {known}. Nothing was changed."
    name = controls.ALL_ACTIONS if target == ACTIONS else controls.domain(target)
    turn = controls.stop if verb == "stop" else controls.start
    await platform.database.write(lambda conn: turn(conn, name, by=person, reason=reason))
    what = "All actions" if target == ACTIONS else target
    why = f" ({SLACK.data(reason)})" if reason else ""
    return f"{what}: {'stopped' if verb == 'stop' else 'started'} by {SLACK.data(person)}{why}."


def _waiting(conn: Connection) -> str:
    found = approvals.find(conn, statuses=("waiting",), limit=_MOST)
    lines = [
        f"*{each.id}* {SLACK.data(each.subject)} ({SLACK.data(each.domain)}), until "
        f"{telling.moment(each.expires_at)}: {SLACK.data('; '.join((each.effect or {}).get('text', [])))}"
        for each in found
    ]
    return "\n".join(lines) or "No fix waits for a decision."


def _status(conn: Connection, settings: Config) -> str:
    at = utc()
    off = {switch.name: switch for switch in controls.every(conn) if switch.stopped}
    lines = []
    for name, domain in settings.domains.items():
        spent = format_dollars(spend.of_day(conn, name, at.date()))
        budget = format_dollars(domain.guardrails.budget)
        running = inbox.running(conn, name, at)
        stop = off.get(controls.domain(name))
        lines.append(f"*{name}*: {running} runs under way, {spent} of {budget} spent today{_stopped(stop)}")
    waiting = len(approvals.standing(conn, "waiting"))
    actions = _stopped(off.get(controls.ALL_ACTIONS)) or ", actions are allowed"
    return "\n".join(
        [*lines, f"{waiting} {'fix waits' if waiting == 1 else 'fixes wait'} for approval{actions}"]
    )


def _stopped(stop: controls.Control | None) -> str:
    if stop is None:
        return ""
    reason = f": {SLACK.data(stop.reason)}" if stop.reason else ""
    what = "all actions are" if stop.name == controls.ALL_ACTIONS else "it is"
    return f", {what} stopped by {SLACK.data(stop.changed_by)}{reason}"


def _answer(text: str) -> dict[str, Any]:
    return {"response_type": "ephemeral", "text": text}
