"""Corrections that others confirm and that can be taken back, and what memory makes of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0005"
down_revision = "0004"

UTC = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(JSONB(), "postgresql")

CORRECTIONS = (
    "kind VARCHAR(20) NOT NULL DEFAULT 'correction' "
    "CONSTRAINT ck_corrections_kind CHECK (kind IN ('correction', 'confirmation', 'withdrawal'))",
    "refers_to {serial} CONSTRAINT fk_corrections_refers_to REFERENCES corrections (id)",
)
INCIDENTS = "correction_id {serial} CONSTRAINT fk_incidents_correction_id REFERENCES corrections (id)"
STANDING = (
    "c.execution_id = e.execution_id AND c.kind = 'correction' "
    "AND NOT EXISTS (SELECT 1 FROM corrections w WHERE w.refers_to = c.id AND w.kind = 'withdrawal')"
)
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
    WHEN EXISTS (SELECT 1 FROM corrections c WHERE {standing})
    THEN 'user_corrected' ELSE e.outcome
  END AS outcome,
  e.input_data,
  e.output_data,
  e.reasoning_trace,
  {tool_calls} AS tool_calls,
  e.latency_seconds,
  {cost} AS cost_dollars,
  (SELECT c.correction FROM corrections c WHERE {standing} ORDER BY c.id DESC LIMIT 1) AS user_correction
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


def upgrade() -> None:
    """Add the columns and make the view anew: what was taken back counts no more."""
    sqlite = op.get_bind().dialect.name == "sqlite"
    serial = "INTEGER" if sqlite else "BIGINT"
    for column in CORRECTIONS:
        op.execute(f"ALTER TABLE corrections ADD COLUMN {column.format(serial=serial)}")
    op.execute(f"ALTER TABLE incidents ADD COLUMN {INCIDENTS.format(serial=serial)}")
    op.create_index("ix_corrections_refers_to", "corrections", ["refers_to"])
    op.create_index("uq_incidents_correction_id", "incidents", ["correction_id"], unique=True)
    op.add_column("incidents", sa.Column("said_by", JSON, nullable=True))
    op.add_column("incidents", sa.Column("said_at", UTC, nullable=True))
    op.add_column(
        "incidents", sa.Column("trusted", sa.Boolean(), server_default=sa.text("true"), nullable=False)
    )
    op.execute("DROP VIEW skill_executions")
    tools = SQLITE_TOOL_CALLS if sqlite else POSTGRESQL_TOOL_CALLS
    cost = "e.cost_micro / 1000000.0" if sqlite else "e.cost_micro::double precision / 1000000"
    view = VIEW.format(tool_calls=tools, cost=cost, standing=STANDING)
    op.get_bind().exec_driver_sql(view)
