"""How the auto-RCA skills think when no model is configured.

Each skill is a pure function from what is known so far to the next tool calls or the answer. The analysis
is in the tools, in `analysis.py` and in `changes.py`; here it is only asked for and put into words.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from flows.rca.asked import metric_of
from flows.rca.changes import LOOK_BACK, Case
from flows.rca.conclusion import conclude
from flows.rca.models import AnomaliesDraft, PatternDraft
from tasks.domain import Answer, Ask, Known, ToolCall

LOGS_BEFORE = timedelta(minutes=30)
AFTER = timedelta(minutes=30)
LOGS_BASELINE = 24
METRICS_BEFORE = timedelta(hours=3)
MAX_ALERTS = 3
"""Alerting services that are looked at where the run names none."""
MAX_CALLED = 20
"""Services behind the cause whose changes are asked for."""


def detect(known: Known) -> Ask | Answer:
    """Compares the alert's window with normal times; without an alert, those that fire now."""
    if not known.results:
        if known.context.get("service"):
            return Ask([_look(known.context)], "Which service behind the alert deviates by itself?")
        return Ask([ToolCall("list_alerts")], "Which alerts fire?")
    if not any(result.name == "find_anomalies" for result in known.results):
        return Ask(_looks(known), "What do the metrics around the longest firing alerts show?")
    found = [result.content for result in known.results if _reported(result.status, result.content)]
    best: Mapping[str, Any] = max(found, key=_weight, default={})
    suspects = best.get("suspects", [])
    patterns = [
        PatternDraft(service=str(suspect["service"]), headline=_headline(best, suspect))
        for suspect in suspects
    ]
    return Answer(AnomaliesDraft(patterns=patterns, summary=summary(best)), "Ranked by what is its own.")


def summary(found: Mapping[str, Any]) -> str:
    """What the metrics show, in a few sentences."""
    if not found:
        return "No metrics could be read."
    where, metric = str(found["service"]), str(found["metric"])
    if not found["suspects"]:
        return f"Nothing anomalous: {where} and what it calls behave as in normal times."
    causes = [one for one in found["suspects"] if one["role"] == "cause"]
    others = len(found["suspects"]) - len(causes)
    told = _rarity(found.get("rarity"))
    names = ", ".join(str(one["service"]) for one in causes)
    parts = [f"The {metric} of {where} is anomalous since {str(found['onset'])[:16]} UTC{told}"]
    parts.append(f"it comes from {names}: {causes[0]['reasons'][0]}")
    if others:
        parts.append(
            f"{others} other services only show symptoms" if others > 1 else "one other shows symptoms"
        )
    return "; ".join(parts) + "."


def _rarity(share: float | None) -> str:
    if share is None:
        return ""
    return f", as unusual as {share:.1%} of normal windows" if share else ", more than in any normal window"


def trace(known: Known) -> Ask | Answer:
    """Looks at changes, logs, metrics and past incidents of the service, and concludes."""
    case = Case(known)
    if not known.results:
        return Ask(_first_look(case), f"What changed at {case.service} before it began, and what is logged?")
    drafted = conclude(case)
    stands = "One change stands out" if case.clear else "No change stands out"
    return Answer(drafted, f"{stands}; {len(drafted.ruled_out)} were ruled out.")


def _reported(status: str, content: Any) -> bool:
    return status != "error" and isinstance(content, dict) and "suspects" in content


def _weight(found: Mapping[str, Any]) -> tuple[bool, float]:
    return bool(found["suspects"]), max((one["score"] for one in found["suspects"]), default=0.0)


def _look(context: Mapping[str, Any]) -> ToolCall:
    given = {name: str(context[name]) for name in ("service", "metric", "at") if context.get(name)}
    return ToolCall("find_anomalies", given)


def _looks(known: Known) -> list[ToolCall]:
    """The longest firing alerts' services; without any, whatever service deviates most."""
    at = known.context.get("at")
    metric = known.context.get("metric")
    looks: dict[str, ToolCall] = {}
    for result in known.of("list_alerts"):
        for alert in result.content["alerts"]:
            about = metric or metric_of(f"{alert['name']} {alert['summary']}")
            look = _look({"service": alert["service"], "metric": about, "at": at or alert["since"]})
            if alert["service"]:
                looks.setdefault(str(alert["service"]), look)
    return list(looks.values())[:MAX_ALERTS] or [_look({"metric": metric, "at": at})]


def _headline(found: Mapping[str, Any], suspect: Mapping[str, Any]) -> str:
    what = "cause" if suspect["role"] == "cause" else "symptom"
    return f"{what} ({suspect['score']:.2f}): {'; '.join(suspect['reasons'][:3])}"


def _first_look(case: Case) -> list[ToolCall]:
    context = case.known.context
    until = (case.onset + AFTER).isoformat()
    services = [case.service, *context.get("new_callees", []), *context.get("path", [])]
    return [
        ToolCall(
            "query_changes",
            {
                "services": list(dict.fromkeys(services))[:MAX_CALLED],
                "since": (case.onset - LOOK_BACK).isoformat(),
                "until": until,
                "limit": 100,
            },
        ),
        ToolCall(
            "query_application_logs",
            {
                "service": case.service,
                "since": (case.onset - LOGS_BEFORE).isoformat(),
                "until": until,
                "baseline_hours": LOGS_BASELINE,
                "limit": 20,
            },
        ),
        ToolCall(
            "query_metrics",
            {
                "service": case.service,
                "metric": str(context["metric"]),
                "since": (case.onset - METRICS_BEFORE).isoformat(),
                "until": until,
            },
        ),
        ToolCall(
            "get_similar_incidents",
            {"query": " ".join(context.get("reasons", []))[:400], "stage": case.service, "limit": 3},
        ),
    ]
