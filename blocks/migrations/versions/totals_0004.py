"""Totals of executions and counters for metrics, and the outbox for Langfuse and Opik."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

UTC = sa.DateTime(timezone=True)
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300)

TOTALS = """
INSERT INTO execution_totals
  (domain, skill_name, skill_role, model, outcome, bucket, executions, cost_micro, latency_seconds)
SELECT domain, skill_name, skill_role, model, outcome, {bucket}, COUNT(*), SUM(cost_micro),
  SUM(COALESCE(latency_seconds, 0))
FROM executions WHERE outcome IS NOT NULL GROUP BY 1, 2, 3, 4, 5, 6
"""
SLOTS = """
INSERT INTO execution_slots (slot, domain, skill_name, outcome, executions, cost_micro)
SELECT {slot}, domain, skill_name, outcome, COUNT(*), SUM(cost_micro)
FROM executions WHERE outcome IS NOT NULL GROUP BY 1, 2, 3, 4
"""
SQLITE_SLOT = (
    "strftime('%Y-%m-%d %H:%M:%S', strftime('%s', started_at) / 900 * 900, 'unixepoch') || '.000000'"
)
POSTGRESQL_SLOT = "to_timestamp(floor(extract(epoch FROM started_at) / 900) * 900)"

COUNTED = (
    (
        "aspora_skill_routing_decisions",
        ("from_skill", "to_skill"),
        "SELECT from_skill, to_skill, COUNT(*) FROM handoffs GROUP BY from_skill, to_skill",
    ),
    (
        "aspora_feedback_corrections_total",
        ("domain",),
        "SELECT domain, COUNT(*) FROM corrections JOIN executions USING (execution_id) GROUP BY domain",
    ),
    (
        "aspora_approval_decisions_total",
        ("domain", "decision"),
        "SELECT domain, CASE WHEN status IN ('rejected', 'expired', 'superseded') THEN status "
        "ELSE 'approved' END AS decision, COUNT(*) FROM approvals WHERE status <> 'waiting' GROUP BY 1, 2",
    ),
)


def upgrade() -> None:
    """Create the tables and count what the record has."""
    _create_totals()
    _create_outbox()
    op.create_index("ix_corrections_created_at", "corrections", ["created_at"])
    slot = SQLITE_SLOT if op.get_bind().dialect.name == "sqlite" else POSTGRESQL_SLOT
    cases = " ".join(f"WHEN COALESCE(latency_seconds, 0) <= {each} THEN '{each:g}'" for each in BUCKETS)
    op.get_bind().exec_driver_sql(TOTALS.format(bucket=f"CASE {cases} ELSE '+Inf' END"))
    op.get_bind().exec_driver_sql(SLOTS.format(slot=slot))
    _count()


def _count() -> None:
    """Counters of what the record has."""
    connection = op.get_bind()
    add = sa.text("INSERT INTO counters (name, labels, value) VALUES (:name, :labels, :value)")
    for name, names, query in COUNTED:
        for *values, number in connection.execute(sa.text(query)):
            labels = json.dumps(dict(zip(names, values, strict=True)), sort_keys=True, separators=(",", ":"))
            connection.execute(add, {"name": name, "labels": labels, "value": number})


def _names(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.String(length=200), nullable=False) for name in names]


def _sums(*kinds: tuple[str, Any]) -> list[sa.Column[Any]]:
    return [sa.Column(name, kind, server_default="0", nullable=False) for name, kind in kinds]


def _create_totals() -> None:
    amounts = (("executions", sa.BigInteger()), ("cost_micro", sa.BigInteger()))
    op.create_table(
        "execution_totals",
        *_names("domain", "skill_name"),
        sa.Column("skill_role", sa.String(length=20), nullable=False),
        *_names("model"),
        sa.Column("outcome", sa.String(length=20), nullable=False),
        sa.Column("bucket", sa.String(length=10), nullable=False),
        *_sums(*amounts, ("latency_seconds", sa.Float())),
        sa.Column("exemplar", sa.String(length=200), server_default="", nullable=False),
        *_sums(("exemplar_seconds", sa.Float())),
        sa.Column("exemplar_at", UTC, nullable=True),
        sa.PrimaryKeyConstraint(
            "domain", "skill_name", "skill_role", "model", "outcome", "bucket", name="pk_execution_totals"
        ),
    )
    op.create_table(
        "execution_slots",
        sa.Column("slot", UTC, nullable=False),
        *_names("domain", "skill_name"),
        sa.Column("outcome", sa.String(length=20), nullable=False),
        *_sums(*amounts),
        sa.PrimaryKeyConstraint("slot", "domain", "skill_name", "outcome", name="pk_execution_slots"),
    )
    op.create_table(
        "counters",
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("labels", sa.String(length=500), nullable=False),
        *_sums(("value", sa.BigInteger())),
        sa.PrimaryKeyConstraint("name", "labels", name="pk_counters"),
    )


def _create_outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("destination", sa.String(length=20), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_attempt_at", UTC, nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
        sa.UniqueConstraint("destination", "kind", "subject", name="uq_outbox_destination_kind_subject"),
        sa.CheckConstraint("destination IN ('langfuse', 'opik')", name=op.f("ck_outbox_destination")),
        sa.CheckConstraint("state IN ('pending', 'failed')", name=op.f("ck_outbox_state")),
    )
    op.create_index(
        "ix_outbox_destination_state_next_attempt_at", "outbox", ["destination", "state", "next_attempt_at"]
    )
