"""The architecture document's queries for its three levels, in SQLite's and PostgreSQL's own words."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from blocks.database import Database
from tasks import corrections, journal, record, spend
from tests.record_world import began, new_database, new_postgres, step  # noqa: F401

AGO = {
    "sqlite": {
        "24 hours": "datetime('now', '-24 hours')",
        "7 days": "datetime('now', '-7 days')",
        "30 days": "datetime('now', '-30 days')",
    },
    "postgresql": {
        "24 hours": "NOW() - INTERVAL '24 hours'",
        "7 days": "NOW() - INTERVAL '7 days'",
        "30 days": "NOW() - INTERVAL '30 days'",
    },
}
CAUSE = {
    "sqlite": "JSON_EXTRACT(user_correction, '$.actual_root_cause')",
    "postgresql": "user_correction ->> 'actual_root_cause'",
}

HEALTH = """
SELECT COUNT(*) as total_executions, SUM(cost_dollars) as total_cost,
  AVG(CASE WHEN outcome='success' THEN 1 ELSE 0 END) as success_rate,
  COUNT(DISTINCT domain) as active_domains
FROM skill_executions WHERE timestamp > {24 hours}
"""
VOLUME = """
SELECT domain, COUNT(*) as executions FROM skill_executions WHERE timestamp > {24 hours}
GROUP BY domain ORDER BY executions DESC LIMIT 5
"""
COST = """
SELECT domain, SUM(cost_dollars) as cost FROM skill_executions WHERE timestamp > {24 hours}
GROUP BY domain ORDER BY cost DESC
"""
DOMAIN = """
SELECT skill_role, COUNT(*) as executions, AVG(latency_seconds) as avg_latency,
  SUM(cost_dollars) as cost,
  AVG(CASE WHEN user_correction IS NOT NULL THEN 0 ELSE 1 END) as satisfaction
FROM skill_executions WHERE domain = 'ecm' AND timestamp > {24 hours} GROUP BY skill_role
"""
ROUTING = """
SELECT manager_skill, specialist_skill, COUNT(*) as routing_count
FROM skill_executions
WHERE domain = 'ecm' AND specialist_skill IS NOT NULL AND timestamp > {7 days}
GROUP BY manager_skill, specialist_skill
"""
SKILL = """
SELECT execution_id, input_data, output_data, reasoning_trace, tool_calls, latency_seconds,
  cost_dollars, user_correction
FROM skill_executions WHERE skill_name = 'ecm-diagnose' AND timestamp > {7 days}
ORDER BY timestamp DESC LIMIT 50
"""
MISTAKES = """
SELECT {cause} as correction, COUNT(*) as frequency
FROM skill_executions
WHERE skill_name = 'ecm-diagnose' AND user_correction IS NOT NULL AND timestamp > {30 days}
GROUP BY correction ORDER BY frequency DESC
"""

# skill, hours ago, outcome, dollars in micro, seconds, from, corrected to
HISTORY: list[tuple[str, float, Any, int, float, str | None, str | None]] = [
    ("ecm-triage", 1, "success", 3_000, 2.0, None, None),
    ("ecm-triage", 23.99, "success", 5_000, 4.0, None, None),
    ("ecm-triage", 24.01, "success", 7_000, 6.0, None, None),
    ("ecm-diagnose", 2, "success", 120_000, 10.0, "ecm-triage", "rate limit"),
    ("ecm-diagnose", 3, "partial", 80_000, 20.0, "ecm-triage", None),
    ("ecm-diagnose", 100, "success", 1, 1.0, "ecm-triage", "rate limit"),
    ("ecm-diagnose", 200, "success", 1, 1.0, "ecm-triage", "timeout"),
    ("ecm-resolve", 2, None, 9_999, 1.0, "ecm-diagnose", None),
    ("ecm-resolve", 3, "rejected", 0, 5.0, "ecm-diagnose", None),
    ("fraud-score", 5, "error", 500_000, 3.0, "fraud-triage", None),
]


@pytest.fixture
def history(database: Database) -> Database:
    """Ten executions of two domains, one of them not finished."""
    now = datetime.now(UTC)

    def work(conn: record.Connection) -> None:
        for number, (skill, hours, outcome, micro, seconds, sender, cause) in enumerate(HISTORY):
            at = now - timedelta(hours=hours)
            given = {"from_skill": sender, "input_data": {"stuck_at": "lulu"}, "now": at}
            id_ = began(conn, skill, f"run-{number}", **given).execution_id
            asked = {"domain": skill.partition("-")[0], "execution_id": id_, "budgets": spend.Budgets()}
            paid = spend.reserve(conn, sequence=1, micro=micro + 1, **asked)
            turn = step(id_, 1, kind="model", name="claude", call=None, cost_micro=micro)
            journal.append(conn, turn, paid)
            journal.append(conn, step(id_, 11, name="get_similar_incidents", status="no_data"))
            journal.append(conn, step(id_, 2, name="search_runbooks"))
            if outcome:
                given = {"output": {"n": number}, "trace": "thought", "latency_seconds": seconds}
                record.finish(conn, id_, outcome, **given)
            if cause:
                corrections.add(conn, id_, {"actual_root_cause": cause}, by="ann", via="cli")

    database.write_now(work)
    return database


def ask(database: Database, query: str) -> list[dict[str, Any]]:
    """The rows of one of the document's queries, as the database itself answers."""
    dialect = "sqlite" if database._sqlite else "postgresql"
    sql = query.format(cause=CAUSE[dialect], **AGO[dialect])
    return database.read_now(lambda c: [dict(row) for row in c.execute(text(sql)).mappings()])


def test_platform(history: Database) -> None:
    """Level 1: finished executions of the last 24 hours; a corrected one is no success."""
    (health,) = ask(history, HEALTH)
    assert health["total_executions"] == 6
    assert float(health["total_cost"]) == pytest.approx(0.708)
    assert float(health["success_rate"]) == pytest.approx(2 / 6)
    assert health["active_domains"] == 2
    assert ask(history, VOLUME) == [
        {"domain": "ecm", "executions": 5},
        {"domain": "fraud", "executions": 1},
    ]
    costs = {row["domain"]: row["cost"] for row in ask(history, COST)}
    assert list(costs) == ["fraud", "ecm"]
    assert costs == pytest.approx({"fraud": 0.5, "ecm": 0.208})


def test_domain(history: Database) -> None:
    """Level 2: managers and specialists, and who routed to whom."""
    roles = {row["skill_role"]: row for row in ask(history, DOMAIN)}
    manager, specialist = roles["manager"], roles["specialist"]
    assert (manager["executions"], specialist["executions"]) == (2, 3)
    assert (manager["avg_latency"], float(manager["cost"])) == (3.0, pytest.approx(0.008))
    assert specialist["avg_latency"] == pytest.approx(35 / 3)
    assert float(specialist["satisfaction"]) == pytest.approx(2 / 3)
    assert float(manager["satisfaction"]) == 1
    routes = {(r["manager_skill"], r["specialist_skill"]): r["routing_count"] for r in ask(history, ROUTING)}
    assert routes == {("ecm-triage", "ecm-diagnose"): 3, ("ecm-diagnose", "ecm-resolve"): 1}


def test_skill(history: Database) -> None:
    """Level 3: what one skill did, newest first, and what users said it confused."""
    rows = ask(history, SKILL)
    assert [as_json(row["output_data"])["n"] for row in rows] == [3, 4, 5]
    assert as_json(rows[0]["input_data"]) == {"stuck_at": "lulu"}
    assert as_json(rows[0]["user_correction"]) == {"actual_root_cause": "rate limit"}
    assert rows[1]["user_correction"] is None
    assert (rows[0]["reasoning_trace"], rows[0]["latency_seconds"]) == ("thought", 10.0)
    expected = {"input": {"query": "lulu"}, "seconds": 0.5, "summary": "nothing found"}
    assert as_json(rows[0]["tool_calls"]) == [
        {"tool": "search_runbooks", "status": "ok", **expected},
        {"tool": "get_similar_incidents", "status": "no_data", **expected},
    ]
    mistakes = [(row["correction"], row["frequency"]) for row in ask(history, MISTAKES)]
    assert mistakes == [("rate limit", 2), ("timeout", 1)]


def test_the_view_has_exactly_the_documents_columns(history: Database) -> None:
    """In their order; outcome shows corrections, the manager's row names itself."""
    columns = ask(history, "SELECT * FROM skill_executions LIMIT 1")[0]
    assert list(columns) == [
        *("execution_id", "timestamp", "domain", "skill_name", "skill_role", "manager_skill"),
        *("specialist_skill", "outcome", "input_data", "output_data", "reasoning_trace", "tool_calls"),
        *("latency_seconds", "cost_dollars", "user_correction"),
    ]
    found = history.read_now(lambda c: record.search(c, skill="ecm-triage"))
    assert {(row.manager_skill, row.specialist_skill) for row in found} == {("ecm-triage", None)}
    outcomes = history.read_now(lambda c: [row.outcome for row in record.search(c, domain="ecm")])
    assert outcomes.count("user_corrected") == 3


def as_json(value: Any) -> Any:
    """PostgreSQL answers with values, SQLite with text."""
    return json.loads(value) if isinstance(value, str) else value
