"""The report on a question about logs: which lines count, what they say, what is new about it."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from pydantic import BaseModel

from mcp_servers.log_files import Reading
from mcp_servers.log_lines import LEVELS, Record
from mcp_servers.log_scores import Change
from mcp_servers.log_table import LogTableError
from mcp_servers.log_tally import Book, Tally
from mcp_servers.log_words import ServiceName, match_level, match_words

SAMPLE_CHARS = 300
"""Length of a sample line at most."""

_ODD = 0.3
"""From this score on a template is anomalous enough to be looked at more closely."""
_SERVICES = 30
_TEMPLATE_CHARS = 500
_FEW = 0.05
_STEADY = 10
"""So many templates of which there is nothing to tell are shown."""
_SECRET = re.compile(
    r"(?i)\b(authorization|password|passwd|secret|api[_-]?key|access[_-]?token|token|bearer)\b"
    r"(\"?\s?[=:]\s?\"?(?:bearer\s+|basic\s+)?|\s+(?=[\w.~+/-]{20,}))[^\s\",;&]{4,}"
)


class ServiceLines(BaseModel):
    """How much a service logged."""

    service: str
    lines: int
    """In the window."""
    errors: int
    """Of level ERROR or FATAL, in the window."""
    baseline_errors: int


class LogTemplate(BaseModel):
    """Messages that say the same; what varies between them is `<*>`."""

    template: str
    level: str
    services: list[str]
    count: int
    """Lines in the window."""
    baseline_count: int
    """Lines in the hours before."""
    rate_ratio: float | None
    """Lines an hour in the window over those before; null if there were none before."""
    score: float
    """How anomalous, from 0 (steady noise) to 1 (a new or surging error)."""
    change: Change
    """Against the time before; `unknown` without any lines from then."""
    first_seen: datetime
    """In window and baseline together."""
    last_seen: datetime
    mentions_ids: int
    """How many different ids (orders, transactions) the window's lines name."""
    samples: list[str]
    """Up to three lines of what is anomalous, one of what is not."""


class LogReport(BaseModel):
    """What was logged from `since` to `until`, compared with `baseline_since` to `since`."""

    since: datetime
    until: datetime
    baseline_since: datetime
    lines: int
    baseline_lines: int
    services: list[ServiceLines]
    templates: list[LogTemplate]
    note: str
    """What was cut, left out, or taken otherwise than asked."""


@dataclass(frozen=True)
class LogQuery:
    """A question about logs. `since` may be a length of time before `until`; `until` None means the end."""

    service: str
    query: str
    level: str
    since: datetime | timedelta
    until: datetime | None
    baseline_hours: float
    limit: int

    def __str__(self) -> str:
        given = {"service": self.service, "query": self.query, "level": self.level}
        shown = [f"{name}={value!r}" for name, value in given.items() if value]
        if self.until:
            shown.append(f"until={self.until.isoformat()}")
        return ", ".join([f"since={self.since}", *shown])


class NoLogsError(Exception):
    """There is nothing to report; the text says why and what there is instead."""


class Source(Protocol):
    """Where log records come from."""

    def newest(self, reading: Reading) -> float | None:
        """The time of the newest record."""

    def read(self, since: float, until: float, reading: Reading) -> Iterator[Record]:
        """The records of `since` ≤ time < `until`."""


Filter = tuple[str, Callable[[Record], bool]]


class _Selection:
    """Counts the records a question means by the strictest of its filters that any record passes."""

    def __init__(self, query: LogQuery, since: float) -> None:
        self._filters = _filters(query)
        self._level = match_level(query.level) if query.level else None
        self._books = [Book(since) for _ in self._filters]
        self.seen: dict[str, int] = {}
        self.earliest = math.inf

    def add(self, record: Record) -> None:
        """Counts a record, if it is meant."""
        self.seen[record.service] = self.seen.get(record.service, 0) + 1
        self.earliest = min(self.earliest, record.time)
        if self._level and not self._level(record):
            return
        for (_, matches), book in zip(self._filters, self._books, strict=True):
            if matches(record):
                book.add(record)
                return
            if book.tallies:
                return

    def chosen(self) -> tuple[str, Book]:
        """How the question was understood (empty if as asked), and what was counted."""
        pairs = zip(self._filters, self._books, strict=True)
        return next(((note, book) for (note, _), book in pairs if book.tallies), ("", self._books[0]))


def _filters(query: LogQuery) -> list[Filter]:
    """From strict to loose: service by all its words, then by some; query words all, then any."""
    name = ServiceName(query.service)
    services: list[Filter] = [("", name.means), (f"no service is called {query.service}", name.may_mean)]
    texts: list[Filter] = [
        ("", match_words(query.query, every=True)),
        ("no line has all words of the query, so any of them counts", match_words(query.query, every=False)),
    ]
    return [
        ("; ".join(filter(None, (said, wording))), _both(means, matches))
        for said, means in (services if query.service else [("", _always)])
        for wording, matches in (texts if query.query else [("", _always)])
    ]


def _always(record: Record) -> bool:
    return True


def _both(one: Callable[[Record], bool], other: Callable[[Record], bool]) -> Callable[[Record], bool]:
    return lambda record: one(record) and other(record)


def report(source: Source, query: LogQuery, seconds: float) -> LogReport:
    """Reads the logs and answers a question. Blocks; takes at most about `seconds`.

    Raises:
        NoLogsError: the logs can't be read, or have no service of that name.
    """
    reading = Reading(time.monotonic() + seconds)
    try:
        since, until, ending = _window(source, query, reading)
        first = since - query.baseline_hours * 3600
        selection = _Selection(query, since)
        for record in source.read(first, until, reading):
            selection.add(record)
    except (OSError, LogTableError) as error:
        raise NoLogsError(f"the logs can't be read: {error}") from error
    understood, book = selection.chosen()
    if query.service and not book.tallies and not query.query and not query.level:
        raise NoLogsError(_no_service(query, selection.seen, reading))
    known = _known_hours(selection.earliest, first, since)
    rated = _rated(book, until, known)
    shown = _worth_telling(rated)[: query.limit]
    notes = [
        ending,
        understood,
        _baseline_note(known, query),
        _empty_note(book, selection.seen),
        *reading.notes(),
    ]
    notes += [_cut_note(rated, shown), f"{book.overflow} lines of rare wording were counted together as …"]
    if not book.overflow:
        notes.pop()
    return LogReport(
        since=_utc(since),
        until=_utc(until),
        baseline_since=_utc(first),
        lines=book.lines.total(),
        baseline_lines=book.before.total(),
        services=_services(book),
        templates=shown,
        note=". ".join(filter(None, notes)),
    )


def _window(source: Source, query: LogQuery, reading: Reading) -> tuple[float, float, str]:
    """Where the window begins and ends, and a note if the logs end before now."""
    end, note = (query.until.timestamp() if query.until else time.time()), ""
    if not query.until:
        newest = source.newest(reading)
        if newest is not None and newest < end - 300:
            end = math.floor(newest) + 1.0
            note = (
                f"the newest log line is of {_utc(newest).isoformat(timespec='seconds')}: until is set there"
            )
    start = (
        end - query.since.total_seconds() if isinstance(query.since, timedelta) else query.since.timestamp()
    )
    if start >= end:
        raise NoLogsError(
            f"since {_utc(start).isoformat()} is not before the logs' end {_utc(end).isoformat()}"
        )
    return start, end, note


def _no_service(query: LogQuery, seen: dict[str, int], reading: Reading) -> str:
    if not seen:
        return ". ".join(["there are no log lines at all in that time or in the baseline", *reading.notes()])
    names = sorted(seen, key=lambda name: (-seen[name], name))
    more = f" and {len(names) - _SERVICES} more" if len(names) > _SERVICES else ""
    return f"no service or line matches {query.service!r}; there are {', '.join(names[:_SERVICES])}{more}"


def _known_hours(earliest: float, first: float, since: float) -> float:
    """Hours of the baseline that the logs cover; 0 if they begin with the window."""
    if earliest >= since:
        return 0.0
    begun = first if earliest - first < max(3600.0, (since - first) / 20) else earliest
    return (since - begun) / 3600


def _baseline_note(known: float, query: LogQuery) -> str:
    if known == 0:
        return "there are no lines before since: what is new can't be told, scores follow severity only"
    short = known < query.baseline_hours * 0.95
    return (
        f"the logs begin only {known:.1f} hours before since: rates are compared with those" if short else ""
    )


def _empty_note(book: Book, seen: dict[str, int]) -> str:
    if book.lines:
        return ""
    total = sum(seen.values())
    if not total:
        return "there are no log lines at all in that time or in the baseline"
    services = ", ".join(sorted(seen, key=lambda name: (-seen[name], name))[:10])
    return f"no line of the window matches; window and baseline have {total} lines in all, of {services}"


def _worth_telling(rated: list[LogTemplate]) -> list[LogTemplate]:
    """Without most of what is steady, chatter before errors: it would hide the rest from a model."""
    steady = [each for each in rated if not each.score and each.change == "steady"]
    steady.sort(key=lambda one: -LEVELS.index(one.level))
    left_out = {id(each) for each in steady[_STEADY:]}
    return [each for each in rated if id(each) not in left_out]


def _cut_note(rated: list[LogTemplate], shown: list[LogTemplate]) -> str:
    left = len(rated) - len(shown)
    return (
        f"{left} more templates, with scores up to {rated[len(shown)].score:.2f}, are not shown"
        if left
        else ""
    )


def _rated(book: Book, until: float, baseline_hours: float) -> list[LogTemplate]:
    found = (
        _template(level, text, tally, since=book.since, until=until, baseline_hours=baseline_hours)
        for level, text, tally in book.templates()
    )
    kept = [template for template in found if template.count or template.score >= _FEW]
    return sorted(kept, key=lambda one: (-one.score, -one.count, one.template, one.level))


def _template(
    level: str, text: str, tally: Tally, *, since: float, until: float, baseline_hours: float
) -> LogTemplate:
    verdict = tally.judge(level, text, since=since, until=until, baseline_hours=baseline_hours)
    samples = tally.samples if verdict.score >= _ODD else tally.samples[:1]
    before = tally.baseline / baseline_hours if baseline_hours else 0.0
    return LogTemplate(
        template=_hidden(text)[:_TEMPLATE_CHARS],
        level=level,
        services=tally.services[:10],
        count=tally.count,
        baseline_count=tally.baseline,
        rate_ratio=round(tally.count * 3600 / (until - since) / before, 3) if before else None,
        score=verdict.score,
        change=verdict.change,
        first_seen=_utc(tally.first),
        last_seen=_utc(tally.last),
        mentions_ids=len(tally.ids),
        samples=[_sample(record) for record in samples],
    )


def _sample(record: Record) -> str:
    when = _utc(record.time).isoformat(timespec="seconds").replace("+00:00", "Z")
    text = f"{when} {record.level} {record.service}: {_hidden(record.message)}"
    return text if len(text) <= SAMPLE_CHARS else f"{text[: SAMPLE_CHARS - 1]}…"


def _services(book: Book) -> list[ServiceLines]:
    names = {*book.lines, *book.before}
    found = [
        ServiceLines(
            service=name,
            lines=book.lines[name],
            errors=book.errors[name],
            baseline_errors=book.errors_before[name],
        )
        for name in names
    ]
    return sorted(found, key=lambda one: (-one.errors, -one.lines, one.service))[:_SERVICES]


def _utc(moment: float) -> datetime:
    return datetime.fromtimestamp(moment, UTC)


def _hidden(text: str) -> str:
    """Text without the passwords and tokens that it gives away."""
    return _SECRET.sub(r"\1\2***", text)
