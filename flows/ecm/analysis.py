"""How findings about a stage become a diagnosis: signals, hypotheses, contrast, verdict.

It works on what the tools returned, in whatever order they were asked, so an offline skill and a language
model's turns come to the same facts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple

from flows.ecm import prose
from flows.ecm.models import Confidence
from flows.ecm.signals import (
    HARM,
    Signal,
    alike,
    changes,
    onset_of,
    precursors,
    search_text,
    signals,
    stage_words,
    words,
)
from tasks.domain import Known
from tasks.incidents import REJECTION

DOUBTFUL = 0.6
"""What a signal must weigh to be believed where the backlog isn't growing."""
FITS = 0.2
"""A runbook that fits the signals less is about something else."""
FITS_ALONE = 0.15
"""Enough for a runbook that is the only one near: `AHEAD` times as good as the next."""
AHEAD = 1.25
FITS_WELL = 0.3
MARGIN = 1.15
"""How much better than the next a runbook must fit to be the only candidate."""
ADOPTS = 0.3
"""So alike, an incident lends its cause where no runbook has one."""
TELLING = 4
"""A search of fewer words says less."""
HARMLESS = 0.5
"""What is left of the fit of a page that says that it is about something harmless."""
RECALLS = 0.2
"""An incident whose symptoms resemble the signals less is no corroboration."""
SIGNATURE = 0.6
"""So much of what is logged now, by weight, must have been logged when people corrected a diagnosis."""
COVERED = 0.8
"""And so many of a line's words, where the diagnosis quoted no lines."""
FOUND = 0.3
"""A runbook that a cause in people's words finds with a lower score is about something else."""

_OWN_CODE = re.compile(
    r"(?i)null ?pointer|nil pointer|\bpanic\b|segfault|traceback|undefined|unhandled|uncaught|is null\b"
    r"|none ?type|(?:Type|Key|Attribute|Name|Index|Import|Reference|Assertion|Lookup|Value)Error\b"
    r"|ClassNotFound|NoSuch\w+|NoClassDef|IllegalState|crash ?loop|module ?not ?found"
    r"|missing (?:required )?(?:setting|property|config\w*|env\w*|key)"
)
_QUOTED = re.compile("“([^”]+)”")
_CODE_CHANGE = "new version released shortly before, exceptions and crashes in our own code since the deploy"


@dataclass(frozen=True)
class Recalled:
    """A past incident, and how much its symptoms resemble what is logged now (0 to 1)."""

    call: int
    incident: Mapping[str, Any]
    likeness: float

    @property
    def text(self) -> str:
        """What was seen and what it was."""
        return " ".join(str(self.incident.get(name) or "") for name in ("symptoms", "root_cause"))


@dataclass(frozen=True)
class Candidate:
    """A runbook as an explanation. `fit`: how well it explains the signals, 0 to 1."""

    page: Mapping[str, Any]
    call: int
    fit: float


@dataclass(frozen=True)
class Case:
    """All that is known about a stage's trouble, read together."""

    known: Known

    @property
    def stage(self) -> str:
        """The stage's name."""
        return str(self.known.context["stuck_at"])

    @cached_property
    def signals(self) -> list[Signal]:
        """Unusual log templates, the weightiest first; those of other services weigh nothing."""
        return signals(self.known.context, self.known.of("query_application_logs"))

    @cached_property
    def harm(self) -> list[Signal]:
        """The signals that may hold the stage's orders up."""
        growing = self.known.context.get("trend") == "UP"
        least = HARM if growing else DOUBTFUL
        if not self.signals or self.signals[0].weight < least:
            return []
        return [signal for signal in self.signals if signal.weight >= HARM]

    @cached_property
    def onset(self) -> datetime | None:
        """When the trouble began, if logs tell."""
        return onset_of(self.harm)

    @cached_property
    def precursors(self) -> list[Signal]:
        """First-time messages of the stage right before the trouble."""
        return precursors(self.signals, self.onset) if self.onset else []

    @cached_property
    def changes(self) -> list[tuple[int, str]]:
        """Deploys and other changes of the stage shortly before the trouble: call and log line."""
        reports = self.known.of("query_application_logs")
        return changes(self.stage, reports, self.onset) if self.onset else []

    @cached_property
    def own_code(self) -> bool:
        """Whether what fails looks like our own code rather than someone else's answer."""
        return any(_OWN_CODE.search(signal.template) for signal in self.harm[:3])

    @cached_property
    def recalled(self) -> list[Recalled]:
        """Past incidents whose symptoms are like the signals, the likest first; no rejected fixes."""
        found: dict[Any, Recalled] = {}
        for result in self.known.of("get_similar_incidents"):
            share = self._told(str(result.arguments.get("query") or ""), self._seen) / self._heaviest
            for incident in result.content["incidents"]:
                if incident.get("source") == REJECTION:
                    continue
                likeness = round(float(incident["similarity"]) * share, 3)
                key = incident["id"]
                if likeness >= RECALLS and (key not in found or found[key].likeness < likeness):
                    found[key] = Recalled(result.number, incident, likeness)
        return sorted(found.values(), key=lambda one: -one.likeness)

    @cached_property
    def corrected(self) -> list[Recalled]:
        """What people said when the same lines were logged at this stage; the trusted and newest first."""
        found: dict[Any, Recalled] = {}
        for result in self.known.of("get_similar_incidents"):
            for incident in result.content.get("corrections", []):
                if self._is_stage(incident):
                    likeness = self._signature(str(incident.get("symptoms") or ""))
                    if likeness >= SIGNATURE:
                        found.setdefault(incident["id"], Recalled(result.number, incident, likeness))
        newest = sorted(found.values(), key=lambda one: -int(one.incident["id"]))
        return sorted(newest, key=lambda one: not one.incident.get("trusted"))

    @property
    def lesson(self) -> Recalled | None:
        """What people said the cause is, if enough of them did."""
        first = self.corrected[:1]
        return first[0] if first and first[0].incident.get("trusted") else None

    @property
    def precedent(self) -> Recalled | None:
        """The incident that is so alike that its cause may be the cause now."""
        alike = self.recalled[:1]
        return alike[0] if alike and alike[0].likeness >= ADOPTS else None

    @cached_property
    def candidates(self) -> list[Candidate]:
        """Runbooks by how well they explain the signals, the best first."""
        return _candidates(self)

    def _is_stage(self, incident: Mapping[str, Any]) -> bool:
        return str(incident.get("stage") or "").casefold() == self.stage.casefold()

    def _signature(self, symptoms: str) -> float:
        """Which share of the strongest signals stands in what was seen then, 0 to 1."""
        quoted, told = _QUOTED.findall(symptoms), set(words(symptoms))
        total = same = 0.0
        for signal in self.harm[:3]:
            total += signal.weight
            then = any(alike(signal.template, each) for each in quoted)
            same += signal.weight * (then or (not quoted and _within(signal.template, told)))
        return same / total if total else 0.0

    @cached_property
    def _seen(self) -> dict[str, float]:
        """Words of the signals, each with the weight of the weightiest that has it."""
        weights: dict[str, float] = {}
        for signal in self.harm:
            _weigh(weights, signal.template, signal.weight)
        for signal in self.precursors:
            _weigh(weights, signal.template, 0.5)
        return weights

    @property
    def _heaviest(self) -> float:
        return max(self._seen.values(), default=1.0)

    @cached_property
    def _vocabulary(self) -> dict[str, float]:
        """Words that bear on the cause: of signals, of changes before it, of like incidents."""
        weights = dict(self._seen)
        for _, line in self.changes:
            _weigh(weights, f"{_message(line)} {_CODE_CHANGE}", 0.9 if self.own_code else 0.3)
        for past in self.recalled[:1]:
            _weigh(weights, past.text, past.likeness)
        return weights

    def relevance(self, query: str) -> float:
        """How much a search is about the signals: more if it holds several, less if it names the stage."""
        asked = set(words(query))
        covered = sum(_covers(asked, signal.template) for signal in [*self.harm[:3], *self.precursors])
        if self.own_code:
            covered += 3 * any(_covers(asked, _message(line)) for _, line in self.changes)
        named = bool(stage_words(self.stage) & asked)
        telling = min(1.0, sum(len(word) > 3 for word in asked) / TELLING)
        share = max(1.0, (1 + covered) / 2) * telling * (0.5 if named else 1.0)
        return self._told(query, self._vocabulary) * share

    def _told(self, query: str, weights: Mapping[str, float]) -> float:
        asked = [word for word in words(query) if word not in stage_words(self.stage)]
        return sum(weights.get(word, 0.05) for word in asked) / len(asked) if asked else 0.05


def first_queries(case: Case) -> list[str]:
    """What to search the runbooks for: each strong signal, what came before, all together, the symptom."""
    names = stage_words(case.stage)
    told = [search_text(signal.template, names) for signal in [*case.harm[:3], *case.precursors[:2]]]
    together = " ".join(told[:4])[:400]
    asked = [*told, together, f"{case.stage} orders stuck {told[0] if told else 'backlog'}"]
    return list(dict.fromkeys(query for query in asked if query.strip()))


def further_queries(case: Case) -> list[str]:
    """What changes before the trouble, and like incidents, suggest to search the runbooks for."""
    names = stage_words(case.stage)
    asked = []
    if case.changes:
        asked.append(f"{search_text(_message(case.changes[-1][1]), names)} {_CODE_CHANGE}")
    asked += [search_text(past.text, names) for past in case.recalled[:1]]
    return [*asked, *([_in_words(case, case.lesson)] if case.lesson else [])]


def symptoms(case: Case) -> str:
    """The strongest signals' words, as a question to memory."""
    return " ".join(search_text(signal.template) for signal in case.harm[:2])


def _in_words(case: Case, lesson: Recalled) -> str:
    """What people said the cause is, as a search."""
    return search_text(str(lesson.incident["root_cause"]), stage_words(case.stage))


def taught(case: Case, lesson: Recalled) -> Candidate | None:
    """The runbook about what people said the cause is, with how well it fits the signals; None if none is."""
    asked = _in_words(case, lesson)
    fits = {str(one.page["runbook"]): one.fit for one in case.candidates}
    hits = [
        Candidate(hit, result.number, fits.get(str(hit["runbook"]), 0.0))
        for result in case.known.of("search_runbooks")
        if result.arguments.get("query") == asked
        for hit in result.content["hits"]
        if float(hit["score"]) > FOUND
    ]
    return max(hits, key=lambda one: float(one.page["score"]), default=None)


def explanation(case: Case) -> Candidate | None:
    """The runbook that explains the signals; None if none does well enough, or better than others.

    Where people corrected the diagnosis of the same lines, the runbook about what they said.
    """
    return taught(case, case.lesson) if case.lesson else fitting(case)


def fitting(case: Case) -> Candidate | None:
    """The runbook that explains the signals, whatever people said."""
    if not case.candidates:
        return None
    best = case.candidates[0]
    second = case.candidates[1].fit if len(case.candidates) > 1 else 0.0
    alone = best.fit >= FITS_ALONE and best.fit >= AHEAD * second
    return best if best.fit >= FITS or alone else None


def confidence(case: Case) -> Confidence:
    """High only where logs and another tool point clearly to the same cause.

    What people said is believed, but high takes a runbook about it that fits the logs too.
    """
    if case.harm and case.lesson:
        page = taught(case, case.lesson)
        sure = page is not None and page.fit >= FITS_WELL and case.harm[0].weight >= 0.4
        return Confidence.high if sure else Confidence.medium
    if not case.harm or not explanation(case):
        return Confidence.medium if case.harm and case.precedent else Confidence.low
    best = case.candidates[0].fit
    second = case.candidates[1].fit if len(case.candidates) > 1 else 0.0
    clear = best >= FITS_WELL and best >= MARGIN * second and case.harm[0].weight >= 0.4
    return Confidence.high if clear else Confidence.medium


def _message(line: str) -> str:
    """A sample line's message, without its time, level and service."""
    return line.split(": ", 1)[-1]


def _covers(asked: set[str], template: str) -> bool:
    told = set(words(search_text(template)))
    return bool(told) and len(asked & told) >= 0.6 * len(told)


def _within(template: str, told: set[str]) -> bool:
    """Whether the words of a template stand in a text."""
    asked = set(words(search_text(template)))
    return bool(asked) and len(asked & told) >= COVERED * len(asked)


def _weigh(weights: dict[str, float], text: str, weight: float) -> None:
    for word in words(search_text(text)):
        weights[word] = max(weights.get(word, 0.0), weight)


class Entry(NamedTuple):
    """A page found by one search: the search's relevance, the page's score, and what was asked."""

    relevance: float
    score: float
    call: int
    asked: str
    page: Mapping[str, Any]


def _candidates(case: Case) -> list[Candidate]:
    scored: dict[str, list[Entry]] = {}
    total = strongest = 0.0
    for result in case.known.of("search_runbooks"):
        asked = str(result.arguments.get("query") or "")
        relevance = case.relevance(asked) ** 2
        total, strongest = total + relevance, max(strongest, relevance)
        for hit in result.content["hits"]:
            entry = Entry(relevance, float(hit["score"]), result.number, asked, hit)
            scored.setdefault(str(hit["runbook"]), []).append(entry)
    return sorted(
        (_candidate(entries, total, strongest) for entries in scored.values()),
        key=lambda one: (-one.fit, str(one.page["runbook"])),
    )


def _candidate(entries: Sequence[Entry], total: float, strongest: float) -> Candidate:
    """A page's fit: its mean score over all searches and its best in one, both by the searches' relevance."""
    mean = sum(entry.relevance * entry.score for entry in entries) / total
    best = max(entries, key=lambda entry: entry.relevance * entry.score)
    peak = best.relevance * best.score / strongest
    share = HARMLESS if _says_harmless(best.page, best.asked) else 1.0
    return Candidate(best.page, best.call, round((0.6 * mean + 0.4 * peak) * share, 3))


def _says_harmless(page: Mapping[str, Any], asked: str) -> bool:
    """Whether the page's sentence that is nearest to a question says that it is about something harmless."""
    parts = prose.sentences(f"{page['cause']}\n\n{page['excerpt']}")
    return any(prose.is_harmless(part) for part in prose.nearest(parts, asked, 1)) if parts else False
