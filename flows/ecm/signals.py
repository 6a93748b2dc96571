"""What logs say about one stage: unusual message templates, and how each is tied to the stage's orders."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from tasks.domain import ToolResult

LEAST = 0.25
"""A template that scores less is not unusual."""
RARE = 20
"""A wording seen less often than this may be a variant of a usual one."""
HARM = 0.3
"""A signal of at least this weight may hold orders up."""
PRECURSOR_LEAD = timedelta(hours=1)
"""A first-time message this long before the trouble may belong to it."""
CHANGE_LEAD = timedelta(hours=3)
"""A change this long before the trouble may have brought it about."""

_BAD_LEVELS = ("ERROR", "FATAL")
_WORD = re.compile(r"[^\W_]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_NOISE = re.compile(
    r"(?i)\b(?:level|lvl|severity|ts|time|msg|message|logger|caller|thread)=(?:(?:info|warn\w*|err\w*|fatal)\b)?"
    r"|[\w.-]+=<\*>|</?[a-z][^<>]{0,80}>|<[^>\s]*>|https?://\S+|\s(?:at )?(?:[\w$-]+\.){2,}\S*\(.*"
    r"|\b[\w-]+(?:\.[\w-]+){2,}\b|\b[0-9a-f]{8,}\b"
)
_QUERY_WORDS = 24
"""A message says what is wrong at its beginning; more words only blur the search."""
_CHANGE = re.compile(
    r"(?i)\b(?:deploy\w*|releas(?:e|ed|ing)\b|roll(?:ed|ing)?[ -]?(?:out|back)|upgrad\w+|migrat\w+|rotat\w+"
    r"|import(?:ed|ing)\b|activat\w+|config\w* (?:change\w*|update\w*|reload\w*)"
    r"|(?:rule|list|flag|policy|schema|threshold)\w* \w* ?(?:change\w*|update\w*|load\w*|enabled|set))"
)
_GENERIC = frozenset(
    {"service", "svc", "api", "gateway", "worker", "server", "app", "the", "connector", "core"}
)
_STATUSES = {status.value: status.phrase for status in HTTPStatus if status.value >= 400}

Tie = Literal["own", "mention", "orders", "none"]


class Signal(BaseModel):
    """An unusual template.

    Attributes:
        call: number of the tool call that showed it.
        score: how anomalous, as the log tool rates it, 0 to 1.
        tie: what ties it to the stage: the stage's own service, a mention, stuck orders it names, or nothing.
        weight: score times how surely it is about the stage's orders, 0 to 1.
    """

    model_config = ConfigDict(frozen=True)

    call: int
    template: str
    level: str
    services: tuple[str, ...]
    count: int
    baseline_count: int
    score: float
    change: str
    first_seen: datetime
    last_seen: datetime
    orders: int
    samples: tuple[str, ...]
    tie: Tie
    weight: float

    @property
    def bad(self) -> bool:
        """Whether it is an error."""
        return self.level in _BAD_LEVELS


def stage_words(stage: str) -> frozenset[str]:
    """The words of a stage's or service's name that tell it from others."""
    found = frozenset(words(stage))
    return (found - _GENERIC) or found


def words(text: str) -> list[str]:
    """The words of a text in lower case, compound names split."""
    return [word.lower() for word in _WORD.findall(_HUMP.sub(" ", text))]


def search_text(text: str, without: Iterable[str] = ()) -> str:
    """A template as a search query: without placeholders, addresses, ids, and the given words."""
    names = frozenset(without)
    plain = _NOISE.sub(" ", text)
    kept = [word for word in re.findall(r"[^\s\"'()\[\]{},;=]+", plain) if not _is_name(word, names)]
    told = [word for word in kept if _WORD.search(word)][:_QUERY_WORDS]
    return " ".join([*told, *_phrases(plain)])[:300]


def _phrases(text: str) -> list[str]:
    """What the HTTP statuses in a text mean, where it doesn't say so itself."""
    codes = {int(code) for code in re.findall(r"(?<![\w.])[45]\d\d(?![\w.])", text)} & _STATUSES.keys()
    return [_STATUSES[code] for code in sorted(codes) if _STATUSES[code].lower() not in text.lower()]


def _is_name(word: str, names: frozenset[str]) -> bool:
    parts = set(words(word))
    return bool(parts & names) and parts <= names | _GENERIC


def is_change(text: str) -> bool:
    """Whether a message tells of a deploy or another change."""
    return _CHANGE.search(text) is not None


def signals(context: Mapping[str, Any], reports: Iterable[ToolResult]) -> list[Signal]:
    """The unusual templates of all log reports, each once, the weightiest first.

    Args:
        context: what the diagnosis was handed: `stuck_at`, `count`, `sample_orders`.
        reports: results of the log tool.
    """
    read = list(reports)
    shown = [(report.number, item) for report in read for item in report.content.get("templates", [])]
    if any(item.get("change") != "unknown" for _, item in shown):
        shown = [(call, item) for call, item in shown if item.get("change") != "unknown"]
    handlers = _handlers(context, read)
    steady = [item for _, item in shown if item["score"] < LEAST and item["baseline_count"]]
    rated = [_signal(context, call, item, handlers) for call, item in shown if item["score"] >= LEAST]
    rated.sort(key=lambda one: (-one.weight, -one.score, -one.count, one.call, one.template))
    kept: list[Signal] = []
    for signal in rated:
        if not _repeats(signal, kept) and not _usual(signal, steady):
            kept.append(signal)
    return kept


def precursors(found: Sequence[Signal], onset: datetime) -> list[Signal]:
    """What the stage's logs said for the first time right before the trouble, and holds up nothing itself."""
    return [
        signal
        for signal in found
        if 0 < signal.weight < HARM
        and signal.change == "new"
        and onset - PRECURSOR_LEAD <= signal.first_seen <= onset + timedelta(minutes=5)
    ]


def changes(stage: str, reports: Iterable[ToolResult], onset: datetime) -> list[tuple[int, str]]:
    """Deploys and other changes of the stage shortly before the onset: call number and log line."""
    wanted = stage_words(stage)
    found: dict[str, int] = {}
    for report in reports:
        for item in report.content.get("templates", []):
            for line in item.get("samples", []):
                when = _line_time(line)
                near = when is not None and onset - CHANGE_LEAD <= when <= onset + timedelta(minutes=5)
                if near and is_change(line) and wanted <= set(words(line)):
                    found.setdefault(line, report.number)
    return [(call, line) for line, call in found.items()]


def onset_of(found: Sequence[Signal]) -> datetime | None:
    """When the trouble began, by the strongest signals that are new; None if none is."""
    begun = [signal.first_seen for signal in found[:5] if signal.weight >= HARM and signal.change == "new"]
    return min(begun) if begun else None


def _handlers(context: Mapping[str, Any], reports: Iterable[ToolResult]) -> frozenset[str]:
    """Services that complain about stuck orders, from reports that were asked for those orders."""
    orders = [str(order) for order in context.get("sample_orders") or []]
    return frozenset(
        str(service)
        for report in reports
        if any(order in str(report.arguments.get("query") or "") for order in orders)
        for item in report.content.get("templates", [])
        if item["level"] in (*_BAD_LEVELS, "WARN")
        for service in item["services"]
    )


def _signal(
    context: Mapping[str, Any], call: int, item: Mapping[str, Any], handlers: frozenset[str]
) -> Signal:
    tie = _tie(str(context["stuck_at"]), context.get("sample_orders") or [], item)
    if tie == "none" and item.get("mentions_ids") and set(item["services"][:2]) & handlers:
        tie = "orders"
    count, ids, level = int(item["count"]), int(item.get("mentions_ids") or 0), str(item["level"])
    sure = _affinity(tie, level, ids, count) * _volume(count, int(context.get("count") or 0))
    return Signal(
        call=call,
        template=str(item["template"]),
        level=level,
        services=tuple(item["services"]),
        count=count,
        baseline_count=int(item["baseline_count"]),
        score=float(item["score"]),
        change=str(item.get("change") or ("surge" if item["baseline_count"] else "new")),
        first_seen=item["first_seen"],
        last_seen=item["last_seen"],
        orders=ids,
        samples=tuple(item.get("samples", [])),
        tie=tie,
        weight=round(float(item["score"]) * sure, 3),
    )


def _volume(count: int, stuck: int) -> float:
    """What holds up many orders is logged more than once or twice."""
    return min(1.0, math.log1p(count) / math.log1p(max(3.0, 0.1 * stuck)))


def _repeats(signal: Signal, kept: Iterable[Signal]) -> bool:
    """Whether a weightier signal of the same services says nearly the same."""
    return any(signal.services == other.services and alike(signal.template, other.template) for other in kept)


def _usual(signal: Signal, steady: Iterable[Mapping[str, Any]]) -> bool:
    """Whether it only words something differently that was logged all along."""
    return signal.count < RARE and any(
        signal.level == item["level"]
        and set(signal.services) & set(item["services"])
        and alike(signal.template, str(item["template"]))
        for item in steady
    )


def alike(one: str, other: str) -> bool:
    """Whether two templates say nearly the same."""
    left, right = set(words(_NOISE.sub(" ", one))), set(words(_NOISE.sub(" ", other)))
    return bool(left and right) and len(left & right) >= 0.6 * len(left | right)


def _tie(stage: str, orders: Sequence[str], item: Mapping[str, Any]) -> Tie:
    """The stage's own service must be the first: a template of many services is about none of them."""
    wanted = stage_words(stage)
    joined = "".join(words(stage))
    text = " ".join([str(item["template"]), *map(str, item.get("samples", []))])
    services = [str(name) for name in item["services"]]
    if services and any(_same(wanted, joined, name) for name in services[: 1 if len(services) < 3 else 0]):
        return "own"
    if any(order and order in text for order in orders):
        return "orders"
    lines = [str(item["template"]), *map(str, item.get("samples", []))]
    if any(wanted <= set(words(line.split(": ", 1)[-1])) for line in lines):
        return "mention"
    return "none"


def _same(wanted: frozenset[str], joined: str, service: str) -> bool:
    parts = words(service)
    return wanted <= set(parts) or (len(joined) > 3 and joined in "".join(parts))


def _affinity(tie: Tie, level: str, ids: int, count: int) -> float:
    if tie == "none":
        return 0.0
    sure = {"own": 1.0, "orders": 0.9, "mention": 0.7}[tie]
    names_orders = ids >= max(2, 0.05 * count)
    if names_orders:
        return sure
    return sure * (0.6 if level in _BAD_LEVELS else 0.25)


def _line_time(line: str) -> datetime | None:
    try:
        return datetime.fromisoformat(line.split(" ", 1)[0])
    except ValueError:
        return None
