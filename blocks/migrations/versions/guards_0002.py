"""The view `skill_executions`, and triggers that keep outcomes and corrections as they were recorded."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"

VIEW = """
CREATE VIEW skill_executions AS
SELECT
  e.execution_id,
  e.started_at AS timestamp,
  e.domain,
  e.skill_name,
  e.skill_role,
  CASE WHEN e.skill_role = 'manager' THEN e.skill_name ELSE e.from_skill END AS manager_skill,
  CASE WHEN e.skill_role = 'manager' THEN NULL ELSE e.skill_name END AS specialist_skill,
  CASE
    WHEN EXISTS (SELECT 1 FROM corrections c WHERE c.execution_id = e.execution_id)
    THEN 'user_corrected' ELSE e.outcome
  END AS outcome,
  e.input_data,
  e.output_data,
  e.reasoning_trace,
  {tool_calls} AS tool_calls,
  e.latency_seconds,
  {cost} AS cost_dollars,
  (SELECT c.correction FROM corrections c WHERE c.execution_id = e.execution_id
   ORDER BY c.id DESC LIMIT 1) AS user_correction
FROM executions e
WHERE e.outcome IS NOT NULL
"""

SQLITE_TOOL_CALLS = """
  (SELECT json_group_array(json_object(
     'tool', s.name, 'input', json(s.input), 'status', s.status, 'seconds', s.seconds, 'summary', s.summary))
   FROM (SELECT * FROM execution_steps t
         WHERE t.execution_id = e.execution_id AND t.kind = 'tool' ORDER BY t.sequence) s)
"""

POSTGRESQL_TOOL_CALLS = """
  (SELECT coalesce(jsonb_agg(jsonb_build_object(
     'tool', s.name, 'input', s.input, 'status', s.status, 'seconds', s.seconds, 'summary', s.summary)
     ORDER BY s.sequence), '[]'::jsonb)
   FROM execution_steps s WHERE s.execution_id = e.execution_id AND s.kind = 'tool')
"""

GUARDS = (
    ("outcome_kept", "UPDATE", "executions", "an outcome is recorded once and never changes"),
    ("execution_kept", "DELETE", "executions", "executions are never deleted"),
    ("correction_unchanged", "UPDATE", "corrections", "corrections are append-only"),
    ("correction_kept", "DELETE", "corrections", "corrections are append-only"),
)
OUTCOME_CHANGES = "WHEN (OLD.outcome IS NOT NULL AND (NEW.outcome IS NULL OR NEW.outcome <> OLD.outcome))"


def upgrade() -> None:
    """Create the triggers and the view, in the database's own words."""
    if op.get_bind().dialect.name == "sqlite":
        _sqlite()
    else:
        _postgresql()


def _condition(name: str) -> str:
    return OUTCOME_CHANGES if name == "outcome_kept" else ""


def _sqlite() -> None:
    cost = "e.cost_micro / 1000000.0"
    op.execute(VIEW.format(tool_calls=SQLITE_TOOL_CALLS, cost=cost))
    for name, event, table, reason in GUARDS:
        op.execute(
            f"CREATE TRIGGER {name} BEFORE {event} ON {table} {_condition(name)} "
            f"BEGIN SELECT RAISE(ABORT, '{reason}'); END"
        )


def _postgresql() -> None:
    cost = "e.cost_micro::double precision / 1000000"
    op.get_bind().exec_driver_sql(VIEW.format(tool_calls=POSTGRESQL_TOOL_CALLS, cost=cost))
    op.execute(
        "CREATE FUNCTION aspora_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '%', TG_ARGV[0]; END $$"
    )
    for name, event, table, reason in GUARDS:
        op.execute(
            f"CREATE TRIGGER {name} BEFORE {event} ON {table} FOR EACH ROW {_condition(name)} "
            f"EXECUTE FUNCTION aspora_refuse('{reason}')"
        )
