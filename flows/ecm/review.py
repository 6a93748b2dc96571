"""Joins measured facts to what a model wrote, and checks its claims: each skill's final output.

A model can rank, name and summarise; it can't change a number that routing reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from flows.ecm.models import (
    Confidence,
    Diagnosis,
    DiagnosisDraft,
    Evidence,
    Handoff,
    Pattern,
    PatternDraft,
    Resolution,
    ResolutionDraft,
    Triage,
    TriageDraft,
)
from tasks.domain import Incomplete, Known
from tasks.evidence import held

MAX_STAGES = 50
"""Stages in one report; the most urgent ones."""
_SOURCE_OF = {
    "query_application_logs": "logs",
    "search_runbooks": "runbook",
    "read_runbook": "runbook",
    "get_similar_incidents": "incident",
    "query_stuck_orders": "orders",
}


def triage(draft: BaseModel | None, known: Known) -> Triage:
    """The report: every stage that the tool found, in the model's order, with the tool's numbers.

    Raises:
        Incomplete: the orders could not be read.
    """
    words = draft if isinstance(draft, TriageDraft) else TriageDraft(patterns=[], summary="")
    facts = _order_facts(known)
    previous = {item["stuck_at"]: item for item in (known.context.get("previous") or {}).get("patterns", [])}
    stages = {stage["stage"]: stage for stage in facts["stages"] if stage["count"]}
    ranked = _ranked(stages, words.patterns)[:MAX_STAGES]
    return Triage(
        patterns=[_pattern(stages[name], facts, headline, previous.get(name)) for name, headline in ranked],
        summary=words.summary or _plain_summary(stages),
        recovered=sorted(set(previous) - set(stages)) if not known.context.get("stage") else [],
        open_orders=facts.get("open_orders", 0),
        data_as_of=facts.get("data_as_of"),
        warnings=_warnings(facts),
    )


def diagnosis(draft: BaseModel | None, known: Known) -> Diagnosis:
    """The diagnosis with only that evidence which rests on a finding; confidence follows what remains."""
    stage = str(known.context["stuck_at"])
    if not isinstance(draft, DiagnosisDraft):
        return _no_cause(stage)
    kept = held(draft.evidence, known.results, _SOURCE_OF)
    cause = (draft.root_cause or "").strip() or None
    allowed = {action["name"] for action in known.context.get("actions", [])}
    return Diagnosis(
        stuck_at=stage,
        root_cause=cause,
        evidence=kept,
        recommended_fix=draft.recommended_fix if cause else None,
        fix_action=draft.fix_action if cause and draft.fix_action in allowed else None,
        runbook=_known_runbook(draft.runbook, known),
        confidence=_confidence(draft.confidence, cause, kept),
        ruled_out=draft.ruled_out,
        dropped_evidence=len(draft.evidence) - len(kept),
    )


def resolution(draft: BaseModel | None, known: Known) -> Resolution:
    """The proposal with only allowed actions, each once."""
    words = draft if isinstance(draft, ResolutionDraft) else ResolutionDraft(fixes=[], summary="No proposal.")
    allowed = {action["name"] for action in known.context.get("actions", [])}
    fixes = {fix.action: fix for fix in words.fixes if fix.action in allowed}
    return Resolution(
        stuck_at=str(known.context["stuck_at"]), fixes=list(fixes.values()), summary=words.summary
    )


def _order_facts(known: Known) -> Mapping[str, Any]:
    calls = [result for result in known.results if result.name == "query_stuck_orders"]
    read = [result.content for result in calls if result.status != "error"]
    if read and isinstance(read[-1], dict) and isinstance(read[-1].get("stages"), list):
        facts: Mapping[str, Any] = read[-1]
        return facts
    raise Incomplete(f"the orders could not be read: {calls[-1].content if calls else 'no tool was called'}")


def _warnings(facts: Mapping[str, Any]) -> list[str]:
    cut = [f"the order tool's answer was cut to the skill's limit: {what}" for what in facts.get("cut", [])]
    return [*facts.get("warnings", []), *cut]


def _ranked(stages: Mapping[str, Mapping[str, Any]], drafts: Sequence[PatternDraft]) -> list[tuple[str, str]]:
    """Stage names with headlines: the model's order first, then what it left out, most critical first."""
    headlines = {item.stuck_at: item.headline for item in drafts if item.stuck_at in stages}
    left_out = [name for name in stages if name not in headlines]
    left_out.sort(key=lambda name: (-stages[name]["critical_count"], -stages[name]["count"]))
    return [*headlines.items(), *((name, "") for name in left_out)]


def _pattern(
    stage: Mapping[str, Any], facts: Mapping[str, Any], headline: str, before: Mapping[str, Any] | None
) -> Pattern:
    return Pattern(
        stuck_at=stage["stage"],
        count=stage["count"],
        critical_count=stage["critical_count"],
        trend=stage["trend"],
        trend_ratio=stage.get("trend_ratio"),
        oldest_age_hours=stage["oldest_age_hours"],
        amount_at_risk_usd=stage["amount_at_risk_usd"],
        continuing=before is not None,
        count_change=stage["count"] - before["count"] if before else None,
        headline=headline[:300],
        context=Handoff(
            stuck_at=stage["stage"],
            count=stage["count"],
            critical_count=stage["critical_count"],
            trend=stage["trend"],
            as_of=facts["as_of"],
            onset=stage.get("onset"),
            sla_hours=stage["sla_hours"],
            sample_orders=stage.get("sample_orders", []),
        ),
    )


def _plain_summary(stages: Mapping[str, Mapping[str, Any]]) -> str:
    total = sum(stage["count"] for stage in stages.values())
    return f"{total} orders are beyond their SLA in {len(stages)} stages." if stages else "Nothing is stuck."


def _no_cause(stage: str) -> Diagnosis:
    return Diagnosis(
        stuck_at=stage,
        root_cause=None,
        evidence=[],
        recommended_fix=None,
        fix_action=None,
        runbook=None,
        confidence=Confidence.low,
        ruled_out=[],
    )


def _confidence(claimed: Confidence, cause: str | None, evidence: Sequence[Evidence]) -> Confidence:
    sources = {item.source for item in evidence}
    if not cause or not sources:
        return Confidence.low
    if len(sources) == 1 and claimed == Confidence.high:
        return Confidence.medium
    return claimed


def _known_runbook(name: str | None, known: Known) -> str | None:
    """The runbook's name if a search of this execution showed it."""
    hits = (hit for result in known.of("search_runbooks") for hit in result.content.get("hits", []))
    shown = {hit["runbook"] for hit in hits}
    return name if name in shown else None
