"""Joins counted facts to what a model wrote: each skill's final output.

A model can rank, name and advise; it can't change a number that routing reads, nor propose a rule that was
not backtested.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from flows.fraud import checklist, drawing
from flows.fraud.models import (
    Backtest,
    Checklist,
    EdgeCases,
    EdgeDraft,
    EdgeReport,
    Handoff,
    Pattern,
    PatternDraft,
    QaDraft,
    QaReport,
    Refinement,
    Simulation,
    SimulationDraft,
)
from flows.fraud.rule import RuleError, parse, written
from tasks.domain import Known

MAX_FINDINGS = 10
MAX_PICTURES = 3
_LONGEST = 500


def simulation(draft: BaseModel | None, known: Known) -> Simulation:
    """The report: every proposed rule that the tool judged, in the model's order, with the tool's numbers.

    Raises:
        Incomplete: the history could not be read.
    """
    words = draft if isinstance(draft, SimulationDraft) else SimulationDraft(patterns=[], summary="")
    facts = known.facts("backtest_rule", "the rule could not be judged")
    judged = [Backtest.model_validate(each) for each in facts.get("backtests", [])]
    found = {key(each): each for each in judged}
    ranked = _ranked(found, words.patterns)
    pictures = [picture for name, _ in ranked if (picture := drawing.by_day(found[name]))]
    return Simulation(
        patterns=[_pattern(name, found[name], headline, known.context) for name, headline in ranked],
        summary=words.summary or f"{len(found)} proposed rules were judged.",
        backtests=[found[name] for name, _ in ranked],
        rules_in_force=facts.get("rules_in_force", 0),
        warnings=_warnings(facts, [warning for each in judged for warning in each.warnings]),
        picture=drawing.stacked(pictures[:MAX_PICTURES]),
    )


def edge_cases(draft: BaseModel | None, known: Known) -> EdgeReport:
    """The findings, with a refined rule only if it is one of those backtested.

    Raises:
        Incomplete: the history could not be read.
    """
    facts = EdgeCases.model_validate(known.facts("find_edge_cases", "the rule could not be judged"))
    words = draft if isinstance(draft, EdgeDraft) else None
    chosen = _chosen(words.refined_rule if words else None, facts)
    verdict = words.verdict if words else "keep"
    if verdict == "refine" and chosen is None:
        verdict = "keep"
    return EdgeReport(
        rule=facts.rule,
        verdict=verdict,
        refined_rule=chosen.rule if chosen else None,
        findings=_short(words.findings if words else []),
        summary=words.summary if words else "The edge cases were counted; no summary was written.",
        segments=facts.segments,
        samples=facts.samples,
        evasion=facts.evasion,
        fraud_just_under=facts.fraud_just_under,
        refinement=chosen,
        before=facts.before,
        warnings=_warnings(facts.model_dump(), facts.warnings),
        picture=drawing.stacked([drawing.misfires(facts.segments), drawing.variants(facts.before, chosen)]),
    )


def qa(draft: BaseModel | None, known: Known) -> QaReport:
    """The checklist with the tool's verdicts.

    Raises:
        Incomplete: the checks could not be made.
    """
    facts = Checklist.model_validate(known.facts("check_rule", "the rule could not be judged"))
    words = draft if isinstance(draft, QaDraft) else None
    worst = checklist.worst(facts.checks)
    return QaReport(
        rule=facts.rule,
        verdict=worst,
        findings=_short(words.findings if words else []),
        summary=words.summary if words else f"{len(facts.checks)} checks were made, the worst: {worst}.",
        checks=facts.checks,
        tests_run=len(facts.tests),
        tests_failed=sum(not test.right for test in facts.tests),
        tests=facts.tests,
        warnings=_warnings(facts.model_dump(), facts.warnings),
    )


def key(backtest: Backtest) -> str:
    """What a proposal is called: its id, or its text."""
    return backtest.rule_id or backtest.rule or f"{backtest.replaces} changed"


def _warnings(facts: Mapping[str, Any], own: Sequence[str]) -> list[str]:
    cut = [f"the tool's answer was cut to the skill's limit: {what}" for what in facts.get("cut", [])]
    note = [facts["note"]] if facts.get("note") else []
    return list(dict.fromkeys([*own, *facts.get("warnings", []), *note, *cut]))


def _ranked(found: Mapping[str, Backtest], drafts: Sequence[PatternDraft]) -> list[tuple[str, str]]:
    headlines = {item.rule: item.headline for item in drafts if item.rule in found}
    return [*headlines.items(), *((name, "") for name in found if name not in headlines)]


def _pattern(name: str, judged: Backtest, headline: str, context: Mapping[str, Any]) -> Pattern:
    proposed, change = judged.proposed, judged.change
    return Pattern(
        rule=name,
        text=judged.rule,
        action=judged.action,
        replaces=judged.replaces,
        hits=proposed.hits if proposed else 0,
        fraud_caught=proposed.fraud_caught if proposed else 0,
        fraud_caught_amount=proposed.fraud_caught_amount if proposed else 0,
        false_positives=proposed.false_positives if proposed else 0,
        precision=proposed.precision if proposed else None,
        recall=proposed.recall if proposed else None,
        false_positive_rate=proposed.false_positive_rate if proposed else None,
        newly_caught=change.newly_caught if change else 0,
        newly_hit_genuine=change.newly_hit_genuine if change else 0,
        customers_hurt=change.newly_hurt_customers if change else 0,
        lost_fraud=change.lost_fraud if change else 0,
        net_amount=change.net_amount if change else 0,
        fraud_just_under=judged.fraud_just_under,
        evasion=judged.evasion,
        conflicts=len(judged.conflicts),
        duplicates=len(judged.duplicates),
        never_fires=bool(judged.never_fires),
        tested=judged.tests > 0,
        valid=judged.problem is None,
        headline=headline[:_LONGEST],
        context=Handoff(
            rule=judged.rule,
            replaces=judged.replaces,
            tests=judged.test_cases or context.get("tests") or [],
            since=context.get("since"),
            as_of=context.get("as_of"),
            hits=proposed.hits if proposed else 0,
            newly_hit_genuine=change.newly_hit_genuine if change else 0,
            fraud_caught=proposed.fraud_caught if proposed else 0,
        ),
    )


def _chosen(text: str | None, facts: EdgeCases) -> Refinement | None:
    """The backtested variant that the model's refined rule is."""
    if not text:
        return None
    try:
        plain = written(parse(text))
    except RuleError:
        return None
    return next((each for each in facts.tried if each.rule == plain), None)


def _short(findings: Sequence[str]) -> list[str]:
    return [finding[:_LONGEST] for finding in findings[:MAX_FINDINGS]]
