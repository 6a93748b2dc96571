"""How the ECM skills think when no model is configured.

Each skill is a pure function from what is known so far to the next tool calls or the answer. The analysis
is in the tools and in `analysis.py`; here it is only asked for and put into words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from flows.ecm import analysis
from flows.ecm.models import DiagnosisDraft, FixDraft, PatternDraft, ResolutionDraft, TriageDraft
from flows.ecm.signals import CHANGE_LEAD, Signal, onset_of
from tasks.domain import Answer, Ask, Known, ToolCall

WINDOW = 24.0
"""Hours that the logs are looked at, beyond the stage's SLA."""
MAX_WINDOW = 21 * 24.0
BASELINE = 96
"""Hours before the window that it is compared with, as far as the logs reach."""
AFTER = timedelta(minutes=30)


def triage(known: Known) -> Ask | Answer:
    """Asks for the stuck orders once, ranks the stages, and says what is new."""
    if not known.results:
        arguments = {name: known.context[name] for name in ("stage", "as_of") if known.context.get(name)}
        return Ask([ToolCall("query_stuck_orders", arguments)], "Which orders are beyond their stage's SLA?")
    facts = known.results[-1].content if known.results[-1].status != "error" else {"stages": []}
    stages = sorted(
        (stage for stage in facts["stages"] if stage["count"]),
        key=lambda stage: (stage["critical_count"], stage["trend"] == "UP", stage["count"]),
        reverse=True,
    )
    previous = {item["stuck_at"] for item in (known.context.get("previous") or {}).get("patterns", [])}
    patterns = [PatternDraft(stuck_at=stage["stage"], headline=_headline(stage)) for stage in stages]
    summary = _triage_summary(stages, previous)
    return Answer(TriageDraft(patterns=patterns, summary=summary), "Ranked by critical orders, then growth.")


def diagnose(known: Known) -> Ask | Answer:
    """Looks at logs and past incidents, then at runbooks for what stands out, and concludes."""
    stage = str(known.context["stuck_at"])
    if not known.results:
        return Ask(_first_look(known.context), f"What is unusual around {stage}, and has it happened before?")
    if not known.of("search_runbooks") and not _asked(known, "search_runbooks"):
        found = analysis.signals_of(known)
        return Ask(_second_look(known, found), _seen(stage, found))
    conclusion = analysis.conclude(known)
    return Answer(conclusion, _reason(conclusion))


def _first_look(context: Mapping[str, Any]) -> list[ToolCall]:
    stage = str(context["stuck_at"])
    window = _window(context)
    return [
        ToolCall("query_application_logs", {"service": stage, **window, "limit": 20}),
        ToolCall("query_application_logs", {**window, "limit": 20}),
        ToolCall("get_similar_incidents", {"query": f"orders stuck in {stage}", "stage": stage, "limit": 5}),
    ]


def _window(context: Mapping[str, Any]) -> dict[str, Any]:
    """Logs from well before the first orders of a fresh fault went beyond the SLA, against the time before."""
    hours = min(MAX_WINDOW, float(context.get("sla_hours") or 0) + WINDOW)
    window: dict[str, Any] = {"since": f"{hours:.0f}h", "baseline_hours": BASELINE}
    if context.get("as_of"):
        window["until"] = str(context["as_of"])
    return window


def _second_look(known: Known, found: Sequence[Signal]) -> list[ToolCall]:
    stage = str(known.context["stuck_at"])
    calls = [ToolCall("search_runbooks", {"query": query, "limit": 5}) for query in analysis.queries(stage, found)]
    told = analysis.symptoms(stage, found)
    if told:
        calls.append(ToolCall("get_similar_incidents", {"query": told, "stage": stage, "limit": 5}))
    onset = onset_of(found)
    if onset:
        around = {"since": (onset - CHANGE_LEAD).isoformat(), "until": (onset + AFTER).isoformat()}
        calls.append(
            ToolCall("query_application_logs", {"service": stage, **around, "baseline_hours": 6, "limit": 40})
        )
    return calls


def resolve(known: Known) -> Ask | Answer:
    """Proposes the diagnosed action for the orders that are stuck now."""
    stage = known.context["stuck_at"]
    if not known.results:
        return Ask([ToolCall("query_stuck_orders", {"stage": stage})], "What is stuck at this moment?")
    stuck = _count(known)
    name = (known.context.get("diagnose") or {}).get("fix_action") or _only_action(known.context)
    if not stuck:
        return Answer(ResolutionDraft(fixes=[], summary=f"No order is stuck at {stage} any more."))
    if not name:
        text = f"None of the allowed actions carries out the fix for {stage}; a person has to do it."
        return Answer(ResolutionDraft(fixes=[], summary=text))
    cause = (known.context.get("diagnose") or {}).get("root_cause") or "no diagnosis was made"
    fix = FixDraft(action=name, scope="all", reason=f"It is the allowed action for: {cause}"[:300])
    return Answer(
        ResolutionDraft(fixes=[fix], summary=f"Apply {name} to the {stuck} orders stuck at {stage}."),
        f"{stuck} orders are still stuck at {stage}; {name} is allowed.",
    )


def _asked(known: Known, tool: str) -> bool:
    return any(result.name == tool for result in known.results)


def _seen(stage: str, found: Sequence[Signal]) -> str:
    tied = [signal for signal in found if signal.weight > 0]
    if not tied:
        return f"Nothing unusual is logged about {stage}. Is there a runbook for the symptom alone?"
    return f"Unusual about {stage}: {tied[0].template} ({tied[0].count} lines). What do the runbooks say?"


def _reason(conclusion: DiagnosisDraft) -> str:
    dropped = len(conclusion.ruled_out)
    found = "One cause stands out" if conclusion.root_cause else "No cause stands out"
    return f"{found}; {dropped} other explanations were ruled out."


def _headline(stage: Mapping[str, Any]) -> str:
    ratio = stage.get("trend_ratio")
    against = f", {ratio:.1f} times the usual" if ratio else ""
    return (
        f"{stage['count']} orders beyond the {stage['sla_hours']:g} h SLA, {stage['critical_count']} critical, "
        f"{stage['trend']}{against}; oldest {stage['oldest_age_hours']:.0f} h, "
        f"${stage['amount_at_risk_usd']:,.0f} at risk"
    )


def _triage_summary(stages: list[Mapping[str, Any]], previous: set[str]) -> str:
    if not stages:
        return "No order is beyond its stage's SLA."
    total = sum(stage["count"] for stage in stages)
    critical = sum(stage["critical_count"] for stage in stages)
    rising = [stage["stage"] for stage in stages if stage["trend"] == "UP"]
    new = [stage["stage"] for stage in stages if stage["stage"] not in previous]
    parts = [f"{total} orders are stuck in {len(stages)} stages, {critical} of them critical"]
    parts.append(f"growing at {', '.join(rising)}" if rising else "no backlog is growing")
    if previous:
        parts.append(f"new since the last run: {', '.join(new)}" if new else "nothing new since the last run")
    return "; ".join(parts) + "."


def _count(known: Known) -> int:
    stages = [stage for result in known.of("query_stuck_orders") for stage in result.content["stages"]]
    return int(sum(stage["count"] for stage in stages))


def _only_action(context: Mapping[str, Any]) -> str | None:
    """Without a diagnosis, the single safe action if there is just one to choose."""
    names = [action["name"] for action in context.get("actions", []) if not action.get("dangerous")]
    return names[0] if len(names) == 1 else None
