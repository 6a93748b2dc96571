"""Counting log records: by service, and by template in a window and the hours before it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from mcp_servers import log_scores, log_templates
from mcp_servers.log_lines import Record
from mcp_servers.log_scores import Counts, Verdict

_DISTINCT = 10_000
"""So many masked messages of a level are kept apart; later ones are counted together."""

OTHER = "…"
"""The template of messages that were too many to be kept apart."""

_IDS = 10_000
_SAMPLES = 3
_ERRORS = ("ERROR", "FATAL")


@dataclass
class Tally:
    """The occurrences of one message, times in seconds since 1970."""

    window: Counter[str] = field(default_factory=Counter)
    """Lines in the window by service."""
    hours: dict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    """Lines of each hour before the window by service; 1 is the last one."""
    first: float = float("inf")
    """The first occurrence."""
    lasts: dict[str, float] = field(default_factory=dict)
    """The last occurrence by service."""
    samples: list[Record] = field(default_factory=list)
    """The first records, of the window where it has some."""
    ids: set[str] = field(default_factory=set)
    """Ids within the window."""

    def add(self, record: Record, since: float, id_: str) -> None:
        """Counts a record."""
        inside = record.time >= since
        if inside:
            self.window[record.service] += 1
            if id_ and len(self.ids) < _IDS:
                self.ids.add(id_)
        else:
            self.hours[record.service][int((since - record.time - 1e-6) // 3600) + 1] += 1
        self.first = min(self.first, record.time)
        if record.time > self.lasts.get(record.service, 0.0):
            self.lasts[record.service] = record.time
        if len(self.samples) < _SAMPLES or (inside and self.samples[-1].time < since):
            self.samples = _best([*self.samples, record], since)

    def merge(self, other: Tally, since: float) -> None:
        """Adds the counts of another one."""
        self.window += other.window
        for service, hours in other.hours.items():
            self.hours[service].update(hours)
        self.first = min(self.first, other.first)
        for service, last in other.lasts.items():
            self.lasts[service] = max(self.lasts.get(service, 0.0), last)
        self.samples = _best([*self.samples, *other.samples], since)
        self.ids |= other.ids

    @property
    def count(self) -> int:
        """Lines in the window."""
        return self.window.total()

    @property
    def baseline(self) -> int:
        """Lines before the window."""
        return sum(hours.total() for hours in self.hours.values())

    @property
    def last(self) -> float:
        """The last occurrence."""
        return max(self.lasts.values())

    @property
    def services(self) -> list[str]:
        """The services, those with most lines first."""
        total = Counter(self.window)
        total.update({service: hours.total() for service, hours in self.hours.items()})
        return [service for service, _ in sorted(total.items(), key=lambda item: (-item[1], item[0]))]

    def judge(self, level: str, text: str, *, since: float, until: float, baseline_hours: float) -> Verdict:
        """The verdict on all services together or on the one where it is worst."""
        everywhere: Counter[int] = Counter()
        for hours in self.hours.values():
            everywhere.update(hours)
        parts = [(Counts(self.count, everywhere), self.last)]
        if len(self.lasts) > 1:
            parts += [
                (Counts(self.window[name], self.hours.get(name, {})), self.lasts[name])
                for name in self.services[:20]
            ]
        verdicts = [
            log_scores.judge(
                level,
                text,
                counts,
                window_hours=(until - since) / 3600,
                baseline_hours=baseline_hours,
                silent_hours=(until - max(last, since)) / 3600,
            )
            for counts, last in parts
        ]
        return max(verdicts, key=lambda verdict: verdict.score)


def _best(records: list[Record], since: float) -> list[Record]:
    """Samples: of the window before older ones, another service or wording before a repetition."""
    seen: set[object] = set()

    def rank(record: Record) -> tuple[bool, bool, float, str]:
        repeated = (record.service, len(record.message)) in seen
        seen.add((record.service, len(record.message)))
        return record.time < since, repeated, record.time, record.message

    return sorted(records, key=rank)[:_SAMPLES]


@dataclass
class Book:
    """All that is counted over one reading."""

    since: float
    """Where the window begins and the baseline ends."""
    tallies: dict[tuple[str, str], Tally] = field(default_factory=dict)
    lines: Counter[str] = field(default_factory=Counter)
    """Lines in the window by service."""
    errors: Counter[str] = field(default_factory=Counter)
    before: Counter[str] = field(default_factory=Counter)
    """Lines of the baseline by service."""
    errors_before: Counter[str] = field(default_factory=Counter)
    overflow: int = 0
    """Lines that came when `_DISTINCT` messages were kept already."""
    _distinct: Counter[str] = field(default_factory=Counter, repr=False)

    def add(self, record: Record) -> None:
        """Counts a record."""
        inside = record.time >= self.since
        (self.lines if inside else self.before)[record.service] += 1
        if record.level in _ERRORS:
            (self.errors if inside else self.errors_before)[record.service] += 1
        masked, id_ = log_templates.mask(record.message)
        key = (record.level, masked)
        tally = self.tallies.get(key)
        if tally is None:
            tally = self.tallies.setdefault(self._new(key), Tally())
        tally.add(record, self.since, id_)

    def templates(self) -> list[tuple[str, str, Tally]]:
        """Level, template and tally of each template, in order of the first two."""
        counts = (
            (level, text, tally.count + tally.baseline) for (level, text), tally in self.tallies.items()
        )
        template_of = log_templates.clusters(counts)
        merged: dict[tuple[str, str], Tally] = {}
        for (level, text), tally in sorted(self.tallies.items()):
            key = (level, template_of[level, text])
            merged.setdefault(key, Tally()).merge(tally, self.since)
        return [(level, text, tally) for (level, text), tally in sorted(merged.items())]

    def _new(self, key: tuple[str, str]) -> tuple[str, str]:
        """The key for a message not met before: itself while there is room for its level."""
        level = key[0]
        if self._distinct[level] >= _DISTINCT:
            self.overflow += 1
            return level, OTHER
        self._distinct[level] += 1
        return key


def count(records: Iterable[Record], since: float) -> Book:
    """Counts records with those before `since` as the baseline."""
    book = Book(since)
    for record in records:
        book.add(record)
    return book
