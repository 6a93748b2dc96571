"""Joins measured facts to what a model wrote, and checks its claims: each skill's final output.

A model can rank, name and summarise; it can't change a number that routing reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from flows.rca import offline
from flows.rca.models import (
    Anomalies,
    AnomaliesDraft,
    Change,
    Confidence,
    Evidence,
    Handoff,
    Pattern,
    PatternDraft,
    Rollback,
    Trace,
    TraceDraft,
)
from tasks.domain import Incomplete, Known
from tasks.evidence import held

_SOURCE_OF = {
    "query_changes": "changes",
    "query_application_logs": "logs",
    "query_metrics": "metrics",
    "get_similar_incidents": "incident",
}


def detection(draft: BaseModel | None, known: Known) -> Anomalies:
    """The report: every service that the tool found, causes first, with the tool's numbers.

    Raises:
        Incomplete: the metrics could not be read.
    """
    words = draft if isinstance(draft, AnomaliesDraft) else AnomaliesDraft(patterns=[], summary="")
    facts = _facts(known)
    previous = {item["service"] for item in (known.context.get("previous") or {}).get("patterns", [])}
    suspects = {str(suspect["service"]): suspect for suspect in facts["suspects"]}
    return Anomalies(
        patterns=[
            _pattern(rank, suspects[name], facts, headline, name in previous)
            for rank, (name, headline) in enumerate(_ranked(suspects, words.patterns), 1)
        ],
        summary=words.summary or offline.summary(facts),
        alert_service=facts["service"],
        metric=facts["metric"],
        rarity=facts.get("rarity"),
        picture=facts.get("picture", []),
        warnings=_warnings(facts),
    )


def trace(draft: BaseModel | None, known: Known) -> Trace:
    """The trace with only that evidence which rests on a finding; confidence follows what remains."""
    service = str(known.context["service"])
    if not isinstance(draft, TraceDraft):
        return _no_cause(service)
    kept = held(draft.evidence, known.results, _SOURCE_OF)
    cause = (draft.root_cause or "").strip() or None
    change = _change(draft.suspected_change, known) if cause else None
    confidence = _confidence(draft.confidence, cause, kept)
    allowed = {action["name"] for action in known.context.get("actions", [])}
    action = draft.fix_action if change and draft.fix_action in allowed else None
    fixes = [_rollback(action, change)] if action and change and confidence != Confidence.low else []
    return Trace(
        service=service,
        root_cause=cause,
        suspected_change=change.id if change else None,
        change=change,
        evidence=kept,
        refuted_by=draft.refuted_by if cause else [],
        recommended_fix=draft.recommended_fix,
        fix_action=action,
        confidence=confidence,
        ruled_out=draft.ruled_out,
        fixes=fixes,
        summary=_summary(service, cause, draft.recommended_fix, fixes),
        dropped_evidence=len(draft.evidence) - len(kept),
    )


def _facts(known: Known) -> Mapping[str, Any]:
    """The most telling of the tool's reports."""
    calls = [result for result in known.results if result.name == "find_anomalies"]
    read = [result.content for result in calls if result.status != "error"]
    told = [content for content in read if isinstance(content, dict) and "suspects" in content]
    if told:
        return max(told, key=lambda content: (bool(content["suspects"]), content is told[-1]))
    said = calls or list(known.results)
    raise Incomplete(f"the metrics could not be read: {said[-1].content if said else 'no tool was called'}")


def _ranked(
    suspects: Mapping[str, Mapping[str, Any]], drafts: Sequence[PatternDraft]
) -> list[tuple[str, str]]:
    """Services with headlines: causes first; within causes and symptoms in the model's order."""
    headlines = {item.service: item.headline for item in drafts if item.service in suspects}
    names = [*headlines, *(name for name in suspects if name not in headlines)]
    names.sort(key=lambda name: suspects[name]["role"] != "cause")
    return [(name, headlines.get(name, "")) for name in names]


def _pattern(
    rank: int, suspect: Mapping[str, Any], facts: Mapping[str, Any], headline: str, continuing: bool
) -> Pattern:
    service = str(suspect["service"])
    return Pattern(
        service=service,
        rank=rank,
        role=suspect["role"],
        metric=facts["metric"],
        score=suspect["score"],
        share=suspect["share"],
        usual=suspect["usual"],
        peak=suspect["peak"],
        spreads=suspect["spreads"],
        onset=facts["onset"],
        continuing=continuing,
        headline=headline[:300] or "; ".join(suspect.get("reasons", []))[:300],
        context=Handoff(
            service=service,
            alert_service=facts["service"],
            metric=facts["metric"],
            at=facts["at"],
            onset=facts["onset"],
            usual=suspect["usual"],
            peak=suspect["peak"],
            score=suspect["score"],
            path=suspect.get("path", []),
            new_callees=suspect.get("new_callees", []),
            overloaded=suspect.get("overloaded", False),
            others=[str(one["service"]) for one in facts["suspects"] if one is not suspect],
            reasons=suspect.get("reasons", []),
        ),
    )


def _warnings(facts: Mapping[str, Any]) -> list[str]:
    cut = [f"the tool's answer was cut to the skill's limit: {what}" for what in facts.get("cut", [])]
    return [*([facts["note"]] if facts.get("note") else []), *cut]


def _no_cause(service: str) -> Trace:
    return Trace(
        service=service,
        root_cause=None,
        suspected_change=None,
        evidence=[],
        refuted_by=[],
        recommended_fix=None,
        fix_action=None,
        confidence=Confidence.low,
        ruled_out=[],
        summary=f"No cause of the trouble at {service} was found.",
    )


def _change(id: str | None, known: Known) -> Change | None:
    """The suspected change's record, if a tool of this execution showed it and it took effect."""
    shown = (change for result in known.of("query_changes") for change in result.content.get("changes", []))
    record = next((change for change in shown if id and change["id"] == id), None)
    if record is None or record.get("status", "done") != "done":
        return None
    at, onset = _moment(record["at"]), _moment(known.context["onset"])
    return Change(
        id=str(record["id"]),
        kind=str(record["kind"]),
        service=str(record.get("service") or known.context["service"]),
        at=at,
        minutes_before_onset=round((onset - at).total_seconds() / 60, 1),
        version=str(record.get("version") or ""),
        previous_version=str(record.get("previous_version") or ""),
        summary=str(record.get("summary") or "")[:300],
    )


def _rollback(action: str, change: Change) -> Rollback:
    when = f"{change.minutes_before_onset:.0f} min before the trouble"
    return Rollback(
        action=action,
        scope=change.id,
        reason=f"It takes back {change.kind} {change.version or change.id} of {change.service}, made {when}.",
    )


def _summary(service: str, cause: str | None, fix: str | None, fixes: Sequence[Rollback]) -> str:
    if not cause:
        return f"No change explains the trouble at {service}. {fix or ''}".strip()
    return f"{fix or cause[:200]}" + ("" if fixes else " No allowed action does this; a person has to.")


def _confidence(claimed: Confidence, cause: str | None, evidence: Sequence[Evidence]) -> Confidence:
    sources = {item.source for item in evidence}
    if not cause or not sources:
        return Confidence.low
    if not sources - {"metrics"} or (len(sources) == 1 and claimed == Confidence.high):
        return Confidence.medium if claimed == Confidence.high else claimed
    return claimed


def _moment(value: Any) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
