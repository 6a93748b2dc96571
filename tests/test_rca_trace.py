"""From a cause to the change behind it: time, service, chance, logs; and what the review lets pass."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from flows.rca import offline, review
from flows.rca.asked import read
from flows.rca.changes import Case
from flows.rca.conclusion import action_for, conclude
from flows.rca.models import Confidence, Evidence, Metric, TraceDraft
from flows.rca.resolution import Changes
from tasks.domain import Answer, Ask, Incoming, Incomplete, Known, ToolResult

ONSET = datetime(2026, 2, 17, 8, 0, tzinfo=UTC)
ACTIONS = [
    {"name": "roll_back_deploy", "description": "", "dangerous": False},
    {"name": "undo", "description": "Puts a configuration back.", "dangerous": False},
]
CONTEXT = {
    "service": "bank", "alert_service": "web", "metric": "latency", "at": ONSET.isoformat(),
    "onset": ONSET.isoformat(), "usual": 0.1, "peak": 0.9, "score": 0.9, "path": ["web", "shop", "bank"],
    "new_callees": [], "others": [], "reasons": ["slow"], "actions": ACTIONS,
}  # fmt: skip


def change(id: str, minutes: float, **given: Any) -> dict[str, Any]:
    return {
        "id": id, "at": (ONSET - timedelta(minutes=minutes)).isoformat(), "service": "bank",
        "kind": "deploy", "summary": f"change {id}", "author": "", "version": "v2",
        "previous_version": "v1", "diff": "", "status": "done", "url": "", "undoes": "", **given,
    }  # fmt: skip


def template(text: str, minutes: float = 0.0, **given: Any) -> dict[str, Any]:
    return {
        "template": text, "level": "ERROR", "services": ["bank"], "count": 90, "baseline_count": 0,
        "score": 0.9, "first_seen": (ONSET - timedelta(minutes=minutes)).isoformat(), **given,
    }  # fmt: skip


def known(*changes: dict[str, Any], logs: tuple[dict[str, Any], ...] = (), **context: Any) -> Known:
    return Known(
        {**CONTEXT, **context},
        (
            ToolResult(1, "query_changes", {}, "ok" if changes else "no_data", {"changes": list(changes)}),
            ToolResult(
                2, "query_application_logs", {}, "ok" if logs else "no_data", {"templates": list(logs)}
            ),
            ToolResult(3, "query_metrics", {}, "ok", {"series": [{"metric": "latency"}]}),
        ),
    )


def traced(facts: Known) -> Any:
    step = offline.trace(facts)
    assert isinstance(step, Answer)
    return review.trace(step.draft, facts)


def test_the_last_change_before_the_onset_is_suspected() -> None:
    found = traced(known(change("old", 2000), change("new", 4), logs=(template("timeout in Mapper"),)))
    assert (found.suspected_change, found.confidence, found.fix_action) == (
        "new", Confidence.high, "roll_back_deploy",
    )  # fmt: skip
    assert found.change.minutes_before_onset == 4
    assert [(fix.action, fix.scope) for fix in found.fixes] == [("roll_back_deploy", "new")]
    assert found.recommended_fix == "Roll bank back from v2 to v1."
    assert any("does not come back to about 0.1" in each for each in found.refuted_by)
    assert any("still run v1" in each for each in found.refuted_by)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"minutes": -20}, "after the trouble began"),
        ({"minutes": 5, "status": "failed"}, "never took effect"),
        ({"minutes": 5, "service": "search"}, ""),
        ({"minutes": 60 * 60}, ""),
    ],
)
def test_what_cannot_be_the_cause_is_not_suspected(given: dict[str, Any], reason: str) -> None:
    found = traced(known(change("one", **given)))
    assert (found.root_cause, found.suspected_change, found.fixes) == (None, None, [])
    assert reason in " ".join(each.reason for each in found.ruled_out)


def test_a_change_that_was_taken_back_before_is_not_suspected() -> None:
    undone = change("undo", 60, kind="rollback", undoes="one", summary="takes it back")
    found = Case(known(change("one", 90), undone))
    assert "one" not in [suspect.id for suspect in found.suspects]


def test_changes_that_come_all_the_time_mean_less() -> None:
    seldom = Case(known(change("x", 60))).suspects[0]
    often = Case(known(change("x", 60), *(change(f"o{n}", 60 + 40 * n) for n in range(1, 80)))).suspects[0]
    assert often.id == "x" and often.chance > 0.5 > seldom.chance
    assert often.suspicion < seldom.suspicion


def test_words_that_a_change_and_new_errors_share_decide_between_two() -> None:
    told = change("told", 9, diff="MoneyCodec writes strings")
    found = Case(known(change("near", 6), told, logs=(template("cannot parse MoneyCodec strings"),)))
    assert found.cause is not None and found.cause.id == "told"
    assert list(found.cause.shared) == ["codec", "money", "strings"]


def test_a_caller_that_changed_is_suspected_where_it_sends_far_more() -> None:
    callers = change("caller", 5, service="shop")
    assert Case(known(callers)).cause is None
    overloaded = Case(known(callers, overloaded=True)).cause
    assert overloaded is not None and overloaded.id == "caller"


def test_without_any_record_people_are_asked_and_told_what_is_logged() -> None:
    found = traced(known(logs=(template("disk is full"),)))
    assert (found.root_cause, found.confidence) == (None, Confidence.low)
    assert "have the team of bank look at it" in found.recommended_fix
    assert "disk is full" in found.recommended_fix


def test_errors_that_were_there_before_the_change_speak_against_it() -> None:
    found = conclude(Case(known(change("new", 4), logs=(template("boom", minutes=20),))))
    assert found.confidence != Confidence.high
    assert any(each.startswith("Against it: “boom”") for each in found.refuted_by)


def test_a_migration_is_left_to_people() -> None:
    found = traced(known(change("m", 3, kind="migration"), logs=(template("lock wait"),)))
    assert (found.suspected_change, found.fix_action, found.fixes) == ("m", None, [])
    assert "may lose data" in found.recommended_fix


@pytest.mark.parametrize(
    ("kind", "action"), [("deploy", "roll_back_deploy"), ("config", "undo"), ("flag", None), ("other", None)]
)
def test_the_action_follows_the_kind_of_change(kind: str, action: str | None) -> None:
    assert action_for(ACTIONS, {"kind": kind}) == action


def test_the_first_look_asks_for_changes_logs_and_metrics() -> None:
    step = offline.trace(Known(CONTEXT))
    assert isinstance(step, Ask)
    calls = {call.name: call.arguments for call in step.calls}
    assert calls["query_changes"]["services"] == ["bank", "web", "shop"]
    assert calls["query_application_logs"]["service"] == "bank"


def draft(**given: Any) -> TraceDraft:
    return TraceDraft.model_validate(
        {
            "root_cause": "v2", "suspected_change": "new", "evidence": [], "refuted_by": ["x"],
            "recommended_fix": "back", "fix_action": "roll_back_deploy", "confidence": "high",
            "ruled_out": [], **given,
        }
    )  # fmt: skip


def test_a_model_that_invents_a_change_an_action_or_evidence_proposes_nothing() -> None:
    facts = known(change("new", 4))
    real = Evidence(tool_call=1, source="changes", finding="", quote="new")
    invented = [
        Evidence(tool_call=9, source="logs", finding=""),
        Evidence(tool_call=1, source="logs", finding=""),
        Evidence(tool_call=1, source="changes", finding="", quote="nowhere"),
    ]
    found = review.trace(draft(evidence=[real, *invented]), facts)
    assert (len(found.evidence), found.dropped_evidence, found.confidence) == (1, 3, Confidence.medium)
    assert [fix.scope for fix in found.fixes] == ["new"]
    assert review.trace(draft(evidence=[real], suspected_change="other"), facts).fixes == []
    assert review.trace(draft(evidence=[real], fix_action="drop_database"), facts).fixes == []
    assert review.trace(draft(evidence=invented), facts).fixes == []
    assert review.trace(draft(evidence=[real], root_cause=" "), facts).fixes == []


def test_without_a_valid_answer_there_is_no_cause() -> None:
    assert review.trace(None, known(change("new", 4))).root_cause is None


def report(*roles: str) -> dict[str, Any]:
    suspects = [
        {"service": f"s{n}", "role": role, "score": 0.5, "share": 0.5, "usual": 1.0, "peak": 2.0,
         "spreads": 9.0, "path": [], "new_callees": [], "overloaded": False, "reasons": ["slow"]}
        for n, role in enumerate(roles)
    ]  # fmt: skip
    return {
        "service": "web", "metric": "latency", "at": ONSET.isoformat(), "onset": ONSET.isoformat(),
        "anomalous": bool(roles), "rarity": 0.0, "suspects": suspects, "picture": ["web  ▁█"], "note": "",
    }  # fmt: skip


def detected(*contents: Any, draft: Any = None, status: Any = "ok") -> Any:
    results = [
        ToolResult(number, "find_anomalies", {}, status, content)
        for number, content in enumerate(contents, 1)
    ]
    return review.detection(draft, Known({"service": "web"}, results))


def test_causes_come_before_symptoms_whatever_a_model_says() -> None:
    from flows.rca.models import AnomaliesDraft, PatternDraft

    words = [PatternDraft(service=name, headline=name) for name in ("s1", "invented", "s0")]
    found = detected(report("cause", "symptom", "cause"), draft=AnomaliesDraft(patterns=words, summary="x"))
    assert [(one.service, one.rank) for one in found.patterns] == [("s0", 1), ("s2", 2), ("s1", 3)]
    assert found.patterns[2].headline == "s1"


def test_of_several_looks_the_one_that_found_something_counts() -> None:
    assert [one.service for one in detected(report("cause"), report()).patterns] == ["s0"]
    assert detected(report()).summary.startswith("Nothing anomalous")


def test_metrics_that_could_not_be_read_are_no_silence() -> None:
    with pytest.raises(Incomplete, match="Prometheus is down"):
        detected("Prometheus is down", status="error")


async def test_a_change_that_was_replaced_or_taken_back_needs_no_rollback() -> None:
    one = change("one", 4)

    async def due(*later: dict[str, Any]) -> list[str]:
        async def call(name: str, arguments: Any) -> Any:
            return "ok", {"changes": [one] if arguments.get("id") else [one, *later]}

        return [target.key for target in await Changes().targets(CONTEXT, {"scope": "one"}, call)]

    assert await due() == [f"one@{one['at']}"]
    assert await due(change("x", 1, kind="config")) != []
    assert await due(change("x", 1, status="failed")) != []
    assert await due(change("x", 1)) == []
    assert await due(change("x", 1, kind="config", undoes="one")) == []


async def test_changes_that_cannot_be_read_stop_the_rollback() -> None:
    async def call(name: str, arguments: Any) -> Any:
        return "error", "the table is gone"

    with pytest.raises(Incomplete, match="the table is gone"):
        await Changes().targets(CONTEXT, {"scope": "one"}, call)


@pytest.mark.parametrize(
    ("fields", "text", "service", "metric"),
    [
        ({"alertname": "HighAPILatency", "service": "web"}, "", "web", Metric.latency),
        ({"alertname": "Burn", "job": "api"}, "5xx responses", "api", Metric.failures),
        ({"alertname": "Burn"}, "errors and latency", "", None),
        ({"alertname": "HighErrorRate", "service": "x", "metric": "latency"}, "", "x", Metric.latency),
    ],
)
def test_what_an_alert_asks(fields: dict[str, str], text: str, service: str, metric: Metric | None) -> None:
    data = {"startsAt": "2026-02-17T08:05:32.123Z"}
    asked = read(Incoming("prometheus", "k", fields, text, data), None)  # type: ignore[arg-type]
    assert (asked.service, asked.metric) == (service, metric)
    assert asked.at == datetime(2026, 2, 17, 8, 5, 32, 123000, tzinfo=UTC)


def test_what_a_chat_message_and_a_webhook_ask() -> None:
    said = read(Incoming("slack", "k", {"mention": "@rca"}, "why is service web-gateway so slow?"), None)  # type: ignore[arg-type]
    assert (said.service, said.metric) == ("web-gateway", Metric.latency)
    sent = read(Incoming("webhook", "k", {}, "", {"service": "web", "metric": "failures"}), None)  # type: ignore[arg-type]
    assert (sent.service, sent.metric) == ("web", Metric.failures)
    with pytest.raises(ValueError, match="surprise"):
        read(Incoming("webhook", "k", {}, "", {"surprise": 1}), None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no service's name"):
        read(Incoming("prometheus", "k", {"service": "a\nb"}), None)  # type: ignore[arg-type]
