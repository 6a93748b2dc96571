"""How the fraud skills think when no model is configured.

Each skill is a pure function from what is known so far to the next tool calls or the answer. The counting is
in the tools; here it is only asked for and put into words.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from flows.fraud.models import (
    Backtest,
    Checklist,
    EdgeCases,
    EdgeDraft,
    Evasion,
    PatternDraft,
    QaDraft,
    Verdict,
)
from flows.fraud.models import SimulationDraft as Draft
from flows.fraud.review import key
from tasks.domain import Answer, Ask, Known, ToolCall

Advice = Literal["keep", "refine", "drop"]


def simulate(known: Known) -> Ask | Answer:
    """Asks for the backtests once, puts the rules that most need a look first, and words them."""
    if not known.results:
        arguments = _arguments(known.context, "rule", "replaces", "threshold", "since", "as_of")
        if known.context.get("tests"):
            arguments["tests"] = json.dumps(known.context["tests"])
        return Ask([ToolCall("backtest_rule", arguments)], "What would it have done in the past?")
    content = known.results[-1].content if known.results[-1].status != "error" else {}
    judged = [Backtest.model_validate(each) for each in content.get("backtests", [])]
    judged.sort(key=lambda each: -(each.change.newly_hit_genuine if each.change else 0))
    patterns = [PatternDraft(rule=key(each), headline=_headline(each)) for each in judged]
    return Answer(Draft(patterns=patterns, summary=_summary(judged)), "Ranked by customers hurt.")


def edge_cases(known: Known) -> Ask | Answer:
    """Asks where the rule misfires, and advises on what was counted."""
    if not known.results:
        arguments = _arguments(known.context, "rule", "since", "as_of")
        return Ask([ToolCall("find_edge_cases", arguments)], "Whom does it hit that it should not?")
    if known.results[-1].status == "error":
        return Answer(
            EdgeDraft(verdict="keep", refined_rule=None, findings=[], summary="It could not be judged.")
        )
    facts = EdgeCases.model_validate(known.results[-1].content)
    advice = _advice(facts)
    best = facts.refinement.rule if advice == "refine" and facts.refinement else None
    draft = EdgeDraft(
        verdict=advice, refined_rule=best, findings=_findings(facts), summary=_verdict(facts, advice)
    )
    return Answer(draft, f"{len(facts.segments)} segments misfire; {len(facts.tried)} variants were tried.")


def qa(known: Known) -> Ask | Answer:
    """Asks for the checklist, and says what stands in the way."""
    if not known.results:
        arguments = _arguments(known.context, "rule", "replaces", "since", "as_of")
        if known.context.get("tests"):
            arguments["tests"] = json.dumps(known.context["tests"])
        return Ask([ToolCall("check_rule", arguments)], "Is the rule fit to go live?")
    if known.results[-1].status == "error":
        return Answer(QaDraft(findings=[], summary="The checks could not be made."))
    facts = Checklist.model_validate(known.results[-1].content)
    bad = [check for check in facts.checks if check.verdict != Verdict.passed]
    findings = [f"{check.name} ({check.verdict.value}): {check.detail}" for check in bad]
    failed = [check.name for check in bad if check.verdict == Verdict.failed]
    if failed:
        summary = f"Not ready: {', '.join(failed)} failed."
    elif bad:
        summary = f"Ready with care: {', '.join(check.name for check in bad)}."
    else:
        summary = "Ready: every check passed."
    return Answer(QaDraft(findings=findings, summary=summary), f"{len(facts.tests)} test cases were run.")


def _arguments(context: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: context[name] for name in names if context.get(name) not in (None, "")}


def _headline(judged: Backtest) -> str:
    if judged.problem:
        return f"can't be judged: {judged.problem.message} (character {judged.problem.at + 1})"
    proposed, change = judged.proposed, judged.change
    if proposed is None or change is None:
        return "was not judged"
    if judged.never_fires:
        return f"never fires: {judged.never_fires}"
    precision = f"{proposed.precision:.1%}" if proposed.precision is not None else "unknown"
    recall = f"{proposed.recall:.1%}" if proposed.recall is not None else "unknown"
    parts = [
        f"{proposed.hits} hits, {proposed.fraud_caught} frauds worth {proposed.fraud_caught_amount:,.0f} "
        f"caught (precision {precision}, recall {recall})",
        f"{change.newly_hit_genuine} genuine transactions newly hit, "
        f"of {change.newly_hurt_customers} customers",
    ]
    if change.lost_fraud:
        parts.append(f"{change.lost_fraud} frauds no longer caught")
    if judged.evasion == Evasion.easy:
        parts.append(f"{judged.fraud_just_under} frauds pass just under the threshold")
    if judged.conflicts:
        parts.append(f"conflicts with {', '.join(judged.conflicts)}")
    if judged.duplicates:
        parts.append(f"does what {', '.join(judged.duplicates)} does")
    return "; ".join(parts)


def _summary(judged: list[Backtest]) -> str:
    if not judged:
        return "No rule was proposed and none waits."
    bad = [each for each in judged if each.problem]
    good = [each for each in judged if each.change and each.change.net_amount > 0]
    parts = [f"{len(judged)} proposed rule{'s' if len(judged) > 1 else ''} judged on the past"]
    if bad:
        parts.append(f"{len(bad)} can't be read")
    parts.append(f"{len(good)} would have saved more than false alarms cost")
    return "; ".join(parts) + "."


def _advice(facts: EdgeCases) -> Advice:
    if facts.refinement:
        return "refine"
    if facts.before and facts.before.net_amount < 0:
        return "drop"
    return "keep"


def _findings(facts: EdgeCases) -> list[str]:
    found = [
        f"{one.field} {one.value}: {one.rate:.2%} of its genuine transactions are hit, {one.elsewhere:.2%} "
        f"elsewhere ({one.false_positives} in all)"
        for one in facts.segments
    ]
    if facts.fraud_just_under:
        others = facts.just_under - facts.fraud_just_under
        found.append(
            f"{facts.fraud_just_under} frauds pass within a tenth of the threshold, with {others} other "
            f"transactions; evasion is {facts.evasion.value}"
        )
    hurt = [sample for sample in facts.samples if sample.why == "genuine and hit"]
    if hurt:
        found.append(f"hit though genuine, for example: {', '.join(each.transaction_id for each in hurt)}")
    return found


def _verdict(facts: EdgeCases, advice: Advice) -> str:
    if facts.problem:
        return f"The rule can't be judged: {facts.problem.message}."
    before, best = facts.before, facts.refinement
    if advice == "refine" and before and best:
        return (
            f"Refine it: {best.rule} ({best.how}) hits {best.false_positives} genuine transactions instead "
            f"of {before.false_positives}, and catches {best.fraud_caught} frauds instead of "
            f"{before.fraud_caught}."
        )
    if advice == "drop" and before:
        cost = f"{-before.net_amount:,.0f}"
        return f"Drop it: it costs {cost} more than it saves, and no variant tried does better."
    return "Keep it as proposed: no variant tried does better on the older and the newer days alike."
