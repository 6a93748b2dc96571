"""How the ECM skills think when no model is configured.

Each skill is a pure function from what is known so far to the next tool calls or the answer. The analysis
is in the tools and in `analysis.py`; here it is only asked for and put into words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from flows.ecm.analysis import Case, first_queries, further_queries, symptoms
from flows.ecm.conclusion import conclude
from flows.ecm.models import DiagnosisDraft, FixDraft, PatternDraft, ResolutionDraft, TriageDraft
from flows.ecm.signals import CHANGE_LEAD
from tasks.domain import Answer, Ask, Known, ToolCall, ToolResult

WINDOW = 24.0
"""Hours that the logs are looked at, beyond the stage's SLA."""
SHORT_WINDOW = 12.0
SHARE = 0.4
"""Of logs that don't reach back before the window, so much is looked at and the rest compared with."""
MAX_WINDOW = 21 * 24.0
BASELINE = 96
"""Hours before the window that it is compared with, as far as the logs reach."""
AFTER = timedelta(minutes=30)
MAX_CALLS = 30
"""After so many tool calls the skill concludes."""


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
    case = Case(known)
    if not known.results:
        thought = f"What is unusual around {case.stage}, and has it happened before?"
        return Ask(_first_look(known.context), thought)
    if not _asked(known, "search_runbooks"):
        again = _another_look(known)
        if again:
            return Ask(again, "That tells too little. Another look at the logs.")
        return Ask(_second_look(case), _seen(case))
    further = [query for query in further_queries(case) if not _asked(known, "search_runbooks", query)]
    if further and len(known.results) < MAX_CALLS:
        calls = [ToolCall("search_runbooks", {"query": query, "limit": 5}) for query in further]
        return Ask(calls, "A change or an earlier incident suggests another look at the runbooks.")
    conclusion = conclude(case)
    return Answer(conclusion, _reason(conclusion))


def _first_look(context: Mapping[str, Any]) -> list[ToolCall]:
    stage = str(context["stuck_at"])
    window = _window(context)
    return [
        ToolCall("query_application_logs", {"service": stage, **window, "limit": 20}),
        ToolCall("query_application_logs", {**window, "limit": 20}),
        ToolCall("get_similar_incidents", {"query": f"orders stuck in {stage}", "stage": stage, "limit": 5}),
    ]


def _another_look(known: Known) -> list[ToolCall]:
    """Once more at the logs, where the first look failed, could not compare, or found no service."""
    looks = [result for result in known.results if result.name == "query_application_logs"]
    if len(looks) != len(_first_look(known.context)) - 1:
        return []
    context, window = known.context, _window(known.context)
    read = [look for look in looks if look.status != "error"]
    orders = [f'"{order}"' for order in context.get("sample_orders") or []]
    if len(read) == 1 and looks[0].status == "error" and orders:
        return [ToolCall("query_application_logs", {**window, "query": " ".join(orders), "limit": 20})]
    first = _first_line(read)
    if read and first is None:
        return []
    hours = _hours_between(first, context) * SHARE if first else SHORT_WINDOW
    window |= {"since": f"{max(1, hours):.0f}h", "baseline_hours": max(2, round(hours / SHARE))}
    return [ToolCall("query_application_logs", {"service": str(context["stuck_at"]), **window, "limit": 20})]


def _first_line(looks: Sequence[ToolResult]) -> datetime | None:
    """When the logs begin, if they begin within the window, so that nothing in them can be called new."""
    items = [item for look in looks for item in look.content.get("templates", [])]
    if not items or any(item.get("change") != "unknown" for item in items):
        return None
    return min(datetime.fromisoformat(item["first_seen"]) for item in items)


def _hours_between(first: datetime, context: Mapping[str, Any]) -> float:
    until = datetime.fromisoformat(str(context["as_of"])) if context.get("as_of") else datetime.now(UTC)
    return (until - first).total_seconds() / 3600


def _window(context: Mapping[str, Any]) -> dict[str, Any]:
    """Logs from well before orders went beyond the SLA, against the time before."""
    hours = min(MAX_WINDOW, float(context.get("sla_hours") or 0) + WINDOW)
    window: dict[str, Any] = {"since": f"{hours:.0f}h", "baseline_hours": BASELINE}
    if context.get("as_of"):
        window["until"] = str(context["as_of"])
    return window


def _second_look(case: Case) -> list[ToolCall]:
    calls = [ToolCall("search_runbooks", {"query": query, "limit": 5}) for query in first_queries(case)]
    told = symptoms(case)
    if told:
        calls.append(ToolCall("get_similar_incidents", {"query": told, "stage": case.stage, "limit": 5}))
    if case.onset:
        around = {"since": (case.onset - CHANGE_LEAD).isoformat(), "until": (case.onset + AFTER).isoformat()}
        calls.append(
            ToolCall(
                "query_application_logs", {"service": case.stage, **around, "baseline_hours": 6, "limit": 40}
            )
        )
    return calls


def resolve(known: Known) -> Ask | Answer:
    """Proposes the diagnosed action for the orders that are stuck now."""
    stage = known.context["stuck_at"]
    if not known.results:
        return Ask([ToolCall("query_stuck_orders", {"stage": stage})], "What is stuck at this moment?")
    stuck = _count(known)
    diagnosis = known.context.get("diagnose")
    name = diagnosis.get("fix_action") if diagnosis else _first_safe(known.context)
    if not stuck:
        return Answer(ResolutionDraft(fixes=[], summary=f"No order is stuck at {stage} any more."))
    if not name:
        text = f"None of the allowed actions carries out the fix for {stage}; a person has to do it."
        return Answer(ResolutionDraft(fixes=[], summary=text))
    cause = diagnosis.get("root_cause") if diagnosis else "routed here without a diagnosis"
    fix = FixDraft(action=name, scope="all", reason=f"It is the allowed action for: {cause}"[:300])
    return Answer(
        ResolutionDraft(fixes=[fix], summary=f"Apply {name} to the {stuck} orders stuck at {stage}."),
        f"{stuck} orders are still stuck at {stage}; {name} is allowed.",
    )


def _asked(known: Known, tool: str, query: str = "") -> bool:
    return any(
        result.name == tool and (not query or result.arguments.get("query") == query)
        for result in known.results
    )


def _seen(case: Case) -> str:
    if not case.harm:
        return f"Nothing logged explains the wait at {case.stage}. Is there a runbook for the symptom alone?"
    lead = case.harm[0]
    return f"Unusual at {case.stage}: {lead.template} ({lead.count} lines). What do the runbooks say?"


def _reason(conclusion: DiagnosisDraft) -> str:
    dropped = len(conclusion.ruled_out)
    found = "One cause stands out" if conclusion.root_cause else "No cause stands out"
    return f"{found}; {dropped} other explanations were ruled out."


def _headline(stage: Mapping[str, Any]) -> str:
    ratio = stage.get("trend_ratio")
    against = f", {ratio:.1f} times the usual" if ratio else ""
    return (
        f"{stage['count']} orders beyond the {stage['sla_hours']:g} h SLA, "
        f"{stage['critical_count']} critical, {stage['trend']}{against}; "
        f"oldest {stage['oldest_age_hours']:.0f} h, ${stage['amount_at_risk_usd']:,.0f} at risk"
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


def _first_safe(context: Mapping[str, Any]) -> str | None:
    """What the config lists first of the actions that aren't dangerous; a person decides on it."""
    names = [action["name"] for action in context.get("actions", []) if not action.get("dangerous")]
    return names[0] if names else None
