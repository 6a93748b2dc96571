"""The architecture document's queries for its three levels, as SQLite and PostgreSQL both take them.

They ask the view `skill_executions`. What is dated later than now, by a clock that was wrong, is left out.
"""

from __future__ import annotations

from sqlalchemy import TextClause, bindparam, text

from blocks.columns import UtcDateTime
from tasks.handoffs import NONE

_SUCCESS = (
    "AVG(CASE WHEN outcome = 'success' THEN 1.0 "
    "WHEN outcome IN ('refused', 'rejected', 'expired') THEN NULL ELSE 0.0 END) AS success_rate"
)
"""What a guardrail or a person stopped is neither success nor failure, and is left out."""
_SATISFIED = "AVG(CASE WHEN user_correction IS NOT NULL THEN 0.0 ELSE 1.0 END) AS satisfaction"
_CORRECTED = "COALESCE(SUM(CASE WHEN user_correction IS NOT NULL THEN 1 ELSE 0 END), 0) AS corrected"
_WITHIN = "timestamp > :since AND timestamp <= :until"
_STARTED = "e.started_at > :since AND e.started_at <= :until"


def _query(sql: str) -> TextClause:
    times = [bindparam(name, type_=UtcDateTime()) for name in ("since", "until") if f":{name}" in sql]
    return text(sql).bindparams(*times)


HEALTH = _query(f"""
SELECT COUNT(*) AS total_executions, COALESCE(SUM(cost_dollars), 0.0) AS total_cost, {_SUCCESS},
  COUNT(DISTINCT domain) AS active_domains
FROM skill_executions WHERE {_WITHIN}
""")
VOLUME = _query(f"""
SELECT domain, COUNT(*) AS executions, SUM(cost_dollars) AS cost FROM skill_executions WHERE {_WITHIN}
GROUP BY domain ORDER BY executions DESC, domain LIMIT 5
""")
COST = _query(f"""
SELECT domain, SUM(cost_dollars) AS cost FROM skill_executions WHERE {_WITHIN}
GROUP BY domain ORDER BY cost DESC, domain
""")
DOMAIN = _query(f"""
SELECT skill_role, skill_name, COUNT(*) AS executions, AVG(latency_seconds) AS avg_latency,
  SUM(cost_dollars) AS cost, {_SUCCESS}, {_SATISFIED}, {_CORRECTED}
FROM skill_executions WHERE domain = :name AND {_WITHIN}
GROUP BY skill_role, skill_name ORDER BY skill_role, executions DESC, skill_name
""")
SUCCESS = _query(f"SELECT {_SUCCESS} FROM skill_executions WHERE domain = :name AND {_WITHIN}")
ROUTING = _query(f"""
SELECT manager_skill, specialist_skill, COUNT(*) AS routing_count
FROM skill_executions
WHERE domain = :name AND manager_skill IS NOT NULL AND specialist_skill IS NOT NULL AND {_WITHIN}
GROUP BY manager_skill, specialist_skill ORDER BY routing_count DESC, manager_skill, specialist_skill
""")
UNROUTED = _query(f"""
SELECT h.from_skill AS manager_skill, '{NONE}' AS specialist_skill, COUNT(*) AS routing_count
FROM executions e JOIN handoffs h ON h.from_execution_id = e.execution_id
WHERE e.domain = :name AND {_STARTED} AND h.to_skill = '{NONE}' GROUP BY h.from_skill
""")
COUNT = _query(f"SELECT COUNT(*) AS executions FROM skill_executions WHERE skill_name = :name AND {_WITHIN}")
SKILL = _query(f"""
SELECT COUNT(*) AS executions, {_SUCCESS}, {_CORRECTED}, AVG(cost_dollars) AS avg_cost,
  COUNT(latency_seconds) AS timed
FROM skill_executions WHERE skill_name = :name AND {_WITHIN}
""")
RANKED = _query(f"""
SELECT latency_seconds FROM skill_executions
WHERE skill_name = :name AND latency_seconds IS NOT NULL AND {_WITHIN}
ORDER BY latency_seconds LIMIT 1 OFFSET :rank
""")
TOOL = _query(f"""
SELECT s.name AS tool, COUNT(DISTINCT s.execution_id) AS executions
FROM executions e JOIN execution_steps s ON s.execution_id = e.execution_id
WHERE e.skill_name = :name AND e.outcome IS NOT NULL AND {_STARTED} AND s.kind = 'tool'
GROUP BY s.name ORDER BY executions DESC, s.name LIMIT 1
""")
AHEAD = _query("SELECT COUNT(*) FROM executions WHERE started_at > :until AND outcome IS NOT NULL")

SLOTS = _query("""
SELECT COALESCE(SUM(executions), 0) AS executions, COALESCE(SUM(cost_micro), 0) / 1000000.0 AS cost,
  COALESCE(SUM(CASE WHEN outcome = 'success' THEN executions END), 0) AS successes,
  COALESCE(SUM(CASE WHEN outcome NOT IN ('refused', 'rejected', 'expired') THEN executions END), 0) AS counted
FROM execution_slots WHERE slot >= :since AND slot < :until AND (domain = :name OR :name = '')
""")
CORRECTED = _query("""
SELECT COALESCE(SUM(CASE WHEN e.outcome = 'success' THEN 1 ELSE 0 END), 0) AS successes,
  COALESCE(SUM(CASE WHEN e.outcome IN ('refused', 'rejected', 'expired') THEN 1 ELSE 0 END), 0) AS others
FROM executions e JOIN skill_executions v ON v.execution_id = e.execution_id
WHERE e.execution_id IN (SELECT execution_id FROM corrections) AND v.outcome = 'user_corrected'
  AND e.started_at >= :since AND e.started_at < :until AND (e.domain = :name OR :name = '')
""")
