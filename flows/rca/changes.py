"""Which change caused the trouble: by service, by time before the onset, by chance, and by what is logged.

It works on what the tools returned, in whatever order they were asked, so an offline skill and a language
model's turns come to the same facts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from flows.rca.models import Confidence
from tasks.domain import Known

LOOK_BACK = timedelta(hours=72)
"""How far before the onset changes are asked for."""
LATE = timedelta(minutes=6)
"""A change so long after the onset may still be its cause: samples are minutes apart."""
SETTLES = 2.0
"""Hours in which a change's suspicion halves."""
UNRELATED = 0.1
"""What is left of the suspicion for a change of a service that the trouble doesn't pass."""
ON_THE_WAY = 0.2
"""And of one that calls the service, unless it sends far more than usual."""
SUSPECTED = 0.25
"""A change of less suspicion is no cause."""
LIKELY = 0.5
CLEAR = 1.5
"""How much more suspicious than the next a change must be to be the only candidate."""
NEW_ERROR = 0.5
"""Log templates of such a score are signals."""
TOLD = 0.25
"""What words of the change in new log lines add."""

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9]{2,}")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_DULL = frozenset(
    (
        "the", "and", "for", "with", "from", "that", "this", "was", "are", "has", "not", "its", "new", "now",
        "out", "into", "add", "adds", "added", "set", "use", "uses", "fix", "error", "errors", "failed",
        "fail", "warn", "info", "service", "request", "requests", "files", "version", "release", "deploy",
        "deployed", "update", "updates", "change", "changes", "commits", "main", "master", "http", "https",
        "com", "api", "app", "production", "prod", "after", "before",
    )
)  # fmt: skip


@dataclass(frozen=True)
class Suspect:
    """A change before the onset.

    Attributes:
        call: number of the tool call that showed it.
        minutes: how long before the onset; negative if after.
        chance: how likely a change of this service stands so near by chance, 0 to 1.
        shared: words of it that new log lines have too.
        suspicion: 0 to 1.
    """

    call: int
    change: Mapping[str, Any]
    minutes: float
    chance: float
    shared: Sequence[str]
    suspicion: float

    @property
    def id(self) -> str:
        """The change's id."""
        return str(self.change["id"])

    @property
    def text(self) -> str:
        """What and when, in words."""
        version = f" {self.change['version']}" if self.change.get("version") else ""
        where = self.change.get("service") or "no service named"
        return f"{self.change['kind']}{version} of {where} ({self.id}): {self.change['summary'][:160]}"


@dataclass(frozen=True)
class Signal:
    """A log template that is new or surges."""

    call: int
    template: str
    count: int
    first_seen: datetime
    services: Sequence[str]


@dataclass(frozen=True)
class Case:
    """All that is known about one service's trouble, read together."""

    known: Known

    @property
    def service(self) -> str:
        """The service that is the cause."""
        return str(self.known.context["service"])

    @cached_property
    def onset(self) -> datetime:
        """When the trouble began."""
        return _time(self.known.context["onset"])

    @cached_property
    def signals(self) -> list[Signal]:
        """What the service's logs say since the trouble and hardly said before, the most anomalous first."""
        found: dict[str, tuple[float, Signal]] = {}
        for result in self.known.of("query_application_logs"):
            for item in result.content.get("templates", []):
                if item["score"] < NEW_ERROR or item["level"] in ("DEBUG", "INFO", "TRACE"):
                    continue
                signal = Signal(
                    result.number,
                    str(item["template"]),
                    int(item["count"]),
                    _time(item["first_seen"]),
                    tuple(item["services"]),
                )
                found.setdefault(signal.template, (float(item["score"]), signal))
        return [signal for _, signal in sorted(found.values(), key=lambda pair: -pair[0])]

    @cached_property
    def suspects(self) -> list[Suspect]:
        """Changes that may have caused it, the most suspicious first."""
        found = [self._suspect(call, change) for call, change in self._changes if self._in_time(change)]
        return sorted(found, key=lambda one: (-one.suspicion, one.minutes, one.id))

    @cached_property
    def cleared(self) -> list[tuple[Mapping[str, Any], str]]:
        """Changes that can't have caused it, and why."""
        return [(change, reason) for _, change in self._changes if (reason := self._cleared(change))]

    @property
    def cause(self) -> Suspect | None:
        """The change that most likely caused it."""
        first = self.suspects[:1]
        return first[0] if first and first[0].suspicion >= SUSPECTED else None

    @property
    def clear(self) -> bool:
        """Whether the cause stands out from every other change."""
        second = self.suspects[1].suspicion if len(self.suspects) > 1 else 0.0
        return bool(self.cause and self.cause.suspicion >= CLEAR * second)

    @property
    def confidence(self) -> Confidence:
        """High only where one change stands out, near the onset, and logs agree."""
        if self.cause is None:
            return Confidence.low
        agrees = any(signal.first_seen >= _time(self.cause.change["at"]) - LATE for signal in self.signals)
        if self.cause.suspicion >= LIKELY and self.clear and agrees:
            return Confidence.high
        return Confidence.medium if self.cause.suspicion >= LIKELY or self.clear else Confidence.low

    @cached_property
    def _changes(self) -> list[tuple[int, Mapping[str, Any]]]:
        """Each change once, with the call that showed it first."""
        found: dict[str, tuple[int, Mapping[str, Any]]] = {}
        for result in self.known.of("query_changes"):
            for change in result.content.get("changes", []):
                found.setdefault(str(change["id"]), (result.number, change))
        return list(found.values())

    @cached_property
    def _undone(self) -> dict[str, datetime]:
        """Changes that were taken back, and when."""
        return {
            str(change["undoes"]): _time(change["at"]) for _, change in self._changes if change.get("undoes")
        }

    def _in_time(self, change: Mapping[str, Any]) -> bool:
        return not self._cleared(change)

    def _cleared(self, change: Mapping[str, Any]) -> str:
        at = _time(change["at"])
        if at > self.onset + LATE:
            return f"It came {_span(at - self.onset)} after the trouble began."
        if change.get("status", "done") != "done":
            return f"It never took effect: {change['status']}."
        undone = self._undone.get(str(change["id"]))
        if undone and undone < self.onset - LATE:
            return f"It had been taken back {_span(self.onset - undone)} before the trouble began."
        return ""

    def _suspect(self, call: int, change: Mapping[str, Any]) -> Suspect:
        at = _time(change["at"])
        hours = max(0.0, (self.onset - at).total_seconds() / 3600)
        chance = self._chance(change, max(hours, 0.1))
        shared = self._shared(change)
        suspicion = self._nearness(change) * (1 - chance) * SETTLES / (SETTLES + hours)
        told = TOLD * min(1.0, len(shared) / 2) * (suspicion > 0)
        return Suspect(
            call=call,
            change=change,
            minutes=round((self.onset - at).total_seconds() / 60, 1),
            chance=round(chance, 3),
            shared=shared,
            suspicion=round(min(1.0, suspicion + told * self._nearness(change)), 3),
        )

    def _nearness(self, change: Mapping[str, Any]) -> float:
        """How surely the trouble passes the service that was changed."""
        service = str(change.get("service") or "")
        if service == self.service:
            return 1.0
        if service in self.known.context.get("new_callees", []):
            return 0.6
        if not service:
            return 0.4
        if service not in self.known.context.get("path", []):
            return UNRELATED
        return 0.6 if self.known.context.get("overloaded") else ON_THE_WAY

    def _chance(self, change: Mapping[str, Any], hours: float) -> float:
        """How likely it is that one of the service's usual changes stands so near before the onset."""
        earlier = sum(
            other is not change and other.get("service") == change.get("service") and self._in_time(other)
            for _, other in self._changes
        )
        return 1 - math.exp(-earlier / (LOOK_BACK.total_seconds() / 3600) * hours)

    def _shared(self, change: Mapping[str, Any]) -> list[str]:
        """Telling words that both the change and new log lines of the service have."""
        own = set(_words(f"{change.get('summary', '')} {change.get('diff', '')}"))
        logged = {word for signal in self.signals[:5] for word in _words(signal.template)}
        called = {word for callee in self.known.context.get("new_callees", []) for word in _words(callee)}
        names = set(_words(self.service))
        return sorted((own & (logged | called)) - names - _DULL)


def _words(text: str) -> Iterator[str]:
    return (word.lower() for word in _WORD.findall(_HUMP.sub(" ", text.replace("_", " "))))


def _time(value: Any) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(str(value))


def _span(length: timedelta) -> str:
    minutes = length.total_seconds() / 60
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"
