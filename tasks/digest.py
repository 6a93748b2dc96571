"""The weekly digest of a domain, for its Slack channel and for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection

from blocks.config import Config, Digest
from blocks.units import MICRO, format_dollars
from tasks import averages, messages, notices
from tasks.averages import against, points, share
from tasks.clock import utc
from tasks.config_changes import Change
from tasks.markup import SLACK, Markup, Paragraph
from tasks.mistakes import Mistake
from tasks.platform import Platform
from tasks.reports import WEEK, DomainReport
from tasks.telling import moment
from tasks.weekly import Wait, WeekReport, week

MOST = 5
"""Mistakes of a skill, approvals and config changes that a digest names."""
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def text(m: Markup, of: WeekReport) -> list[Paragraph]:
    """The digest in words."""
    report = of.report
    head = f"{m.bold(f'The week of {m.data(of.domain)}')}, {moment(report.since)} to {moment(report.until)}"
    command = f"aspora report domain {m.data(of.domain)} --week"
    if not report.executions:
        figures = ["Nothing was executed."]
    else:
        figures = [_volume(m, report), _cost(m, report), _quality(m, report)]
    paragraphs = [
        [head, *figures],
        _mistakes(m, of.mistakes),
        _waited(m, of.waits),
        _changed(m, of.changes),
        [m.code(command)],
    ]
    return [each for each in paragraphs if each]


async def send(platform: Platform, now: datetime | None = None) -> int:
    """Tells each domain's channel of its week, once a week; how many were told now."""
    settings = platform.config.slack.digest
    if not settings.enabled:
        return 0
    at = due(settings, utc(now))
    return sum([await _send(platform, name, at) for name in platform.config.domains])


def due(settings: Digest, now: datetime) -> datetime:
    """The last time at which a digest was due."""
    today = now.replace(hour=settings.hour, minute=0, second=0, microsecond=0)
    at = today - timedelta(days=(now.weekday() - _DAYS.index(settings.day)) % 7)
    return at if at <= now else at - WEEK


async def _send(platform: Platform, name: str, at: datetime) -> bool:
    settings, database = platform.config, platform.database
    channel = _channel(settings, name)
    if not channel or not await database.read(lambda conn: _missing(conn, name, at)):
        return False
    told = await database.read(lambda conn: week(conn, settings, name, at))
    return await database.write(lambda conn: _tell(conn, settings, told, channel, at))


def _tell(conn: Connection, settings: Config, told: WeekReport, channel: str, at: datetime) -> bool:
    name = _name(told.domain, at)
    address = {"bot": notices.bot(settings, told.domain), "channel": channel, "thread": ""}
    return messages.add(conn, name, "slack", address, SLACK.body(text(SLACK, told)), about=name)


def _missing(conn: Connection, name: str, at: datetime) -> bool:
    """Whether the digest is due and nobody wrote it yet. Of a domain that never ran there is none."""
    first = averages.first(conn, name)
    return first is not None and first < at and not messages.of_key(conn, _key(name, at))


def _name(domain: str, at: datetime) -> str:
    """One for each calendar week, whatever becomes of day and hour in the config."""
    return f"digest:{domain}:{at:%G-W%V}"


def _key(domain: str, at: datetime) -> str:
    return messages.key("slack", _name(domain, at))


def _channel(settings: Config, domain: str) -> str:
    """Where a domain's digest goes; empty if nowhere."""
    places = (settings.slack.digest.channels, settings.slack.channels)
    named = [each.get(name) for each in places for name in (domain, "default")]
    return next((channel for channel in named if channel), "")


def _volume(m: Markup, report: DomainReport) -> str:
    usual = report.average
    change = f" ({against(report.executions, usual.executions)})" if usual else ""
    each = ", ".join(f"{m.data(row.skill_name)} {row.executions:,}" for row in report.skills)
    return f"{m.bold('Executions:')} {report.executions:,}{change}: {each}"


def _cost(m: Markup, report: DomainReport) -> str:
    usual = report.average
    change = f" ({against(report.cost, usual.cost)})" if usual else ""
    return f"{m.bold('Cost:')} {format_dollars(round(report.cost * MICRO))}{change}"


def _quality(m: Markup, report: DomainReport) -> str:
    rate, usual = report.success_rate, report.average.success_rate if report.average else None
    change = f" ({points(rate, usual)})" if rate is not None and usual is not None else ""
    success = f"{m.bold('Success:')} {share(rate)}{change}, " if rate is not None else ""
    right = report.executions - report.corrected
    satisfied = f"{right:,} of {report.executions:,} not corrected"
    return f"{success}{m.bold('satisfaction:')} {share(right / report.executions)} ({satisfied})"


def _mistakes(m: Markup, said: dict[str, list[Mistake]]) -> Paragraph:
    lines = [
        f"• {m.data(skill)}: {m.data(each.text)} ({each.count}x)"
        for skill, found in said.items()
        for each in found[:MOST]
    ]
    return [m.bold("Common mistakes"), *lines] if lines else [f"{m.bold('Common mistakes:')} none reported"]


def _waited(m: Markup, waits: Sequence[Wait]) -> Paragraph:
    if not waits:
        return [f"{m.bold('Approvals:')} none waited"]
    open, over = (sum(each.status == status for each in waits) for status in ("waiting", "expired"))
    middle = sorted(each.seconds for each in waits)[len(waits) // 2]
    counts = f"{len(waits)} waited, {period(middle)} in the middle"
    counts += f", {over} expired" if over else ""
    counts += f", {open} still wait" if open else ""
    lines = [
        f"• {each.id} {m.data(each.subject)}: {period(each.seconds)}, {each.status}"
        + (f" by {m.data(each.decided_by)}" if each.decided_by else "")
        for each in waits[:MOST]
    ]
    more = [f"… {len(waits) - MOST} more"] if len(waits) > MOST else []
    return [f"{m.bold('Approvals:')} {counts}", *lines, *more]


def _changed(m: Markup, changes: Sequence[Change]) -> Paragraph:
    if not changes:
        return [f"{m.bold('Config:')} unchanged"]
    more = [f"… {len(changes) - MOST} more: {m.code('aspora report changes')}"] if len(changes) > MOST else []
    lines = [f"• {m.data(change_in_words(each), 1000)}" for each in changes[:MOST]]
    return [m.bold("Config changes"), *lines, *more]


def change_in_words(each: Change) -> str:
    """What became what, when, and who was there."""
    what = "" if each.old is None and each.new is None else f": {each.old or '–'} → {each.new or '–'}"
    commit = f", commit {each.commit_hash} by {each.commit_author}" if each.commit_hash else ""
    return f"{each.key}{what} ({moment(each.seen_at)}, seen by {each.seen_by}{commit})"


def period(seconds: float) -> str:
    """A time in its largest unit: `14 h`."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
