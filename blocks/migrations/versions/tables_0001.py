"""Tables of the record."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None

UTC = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(JSONB(), "postgresql")
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _one_of(table: str, column: str, values: str) -> sa.CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values.split())
    return sa.CheckConstraint(f"{column} IN ({listed})", name=op.f(f"ck_{table}_{column}"))


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "budget_days",
        sa.Column("scope", sa.String(length=200), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("committed_micro", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("scope", "day", name="pk_budget_days"),
    )
    op.create_table(
        "controls",
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("stopped", sa.Boolean(), nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("changed_at", UTC, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_controls"),
    )
    op.create_table(
        "executions",
        sa.Column("execution_id", sa.String(length=200), nullable=False),
        sa.Column("key", sa.String(length=36), nullable=False),
        sa.Column("run_id", sa.String(length=200), nullable=False),
        sa.Column("domain", sa.Text(), nullable=False),
        sa.Column("skill_name", sa.Text(), nullable=False),
        sa.Column("skill_role", sa.String(length=20), nullable=False),
        sa.Column("from_skill", sa.Text(), nullable=True),
        sa.Column("rule", sa.Text(), nullable=True),
        sa.Column("pattern_key", sa.Text(), nullable=True),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("started_at", UTC, nullable=False),
        sa.Column("finished_at", UTC, nullable=True),
        sa.Column("outcome", sa.String(length=20), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("input_data", JSON, nullable=True),
        sa.Column("output_data", JSON, nullable=True),
        sa.Column("reasoning_trace", sa.Text(), nullable=True),
        sa.Column("latency_seconds", sa.Float(), nullable=True),
        sa.Column("model_seconds", sa.Float(), server_default="0", nullable=False),
        sa.Column("tool_seconds", sa.Float(), server_default="0", nullable=False),
        sa.Column("cost_micro", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("cache_read_tokens", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("cache_write_tokens", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("execution_id", name="pk_executions"),
        _one_of("executions", "skill_role", "manager specialist"),
        _one_of("executions", "outcome", "success partial error refused rejected expired"),
        sa.UniqueConstraint("key", name="uq_executions_key"),
    )
    op.create_index("ix_executions_domain_started_at", "executions", ["domain", "started_at"], unique=False)
    op.create_index("ix_executions_run_id", "executions", ["run_id"], unique=False)
    op.create_index(
        "ix_executions_skill_name_started_at", "executions", ["skill_name", "started_at"], unique=False
    )
    op.create_index("ix_executions_started_at", "executions", ["started_at"], unique=False)
    op.create_table(
        "triggers",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("domain", sa.Text(), nullable=False),
        sa.Column("dedupe_key", sa.Text(), nullable=False),
        sa.Column("payload", JSON, nullable=True),
        sa.Column("run_id", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("result", sa.String(length=20), nullable=True),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("claimed_by", sa.Text(), nullable=True),
        sa.Column("lease_until", UTC, nullable=True),
        sa.Column("flow_run_id", sa.Text(), nullable=True),
        sa.Column("created_at", UTC, nullable=False),
        sa.Column("started_at", UTC, nullable=True),
        sa.Column("finished_at", UTC, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_triggers"),
        _one_of("triggers", "state", "pending running done refused failed deferred"),
        _one_of("triggers", "result", "completed awaiting_approval no_action refused failed"),
        sa.UniqueConstraint("dedupe_key", name="uq_triggers_dedupe_key"),
        sa.UniqueConstraint("run_id", name="uq_triggers_run_id"),
    )
    op.create_index("ix_triggers_domain_started_at", "triggers", ["domain", "started_at"], unique=False)
    op.create_index("ix_triggers_started_at", "triggers", ["started_at"], unique=False)
    op.create_index("ix_triggers_state_domain", "triggers", ["state", "domain"], unique=False)
    op.create_table(
        "approvals",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("run_id", sa.String(length=200), nullable=False),
        sa.Column("execution_id", sa.String(length=200), nullable=False),
        sa.Column("domain", sa.Text(), nullable=False),
        sa.Column("skill", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("proposal", JSON, nullable=False),
        sa.Column("effect", JSON, nullable=True),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.Column("expires_at", UTC, nullable=False),
        sa.Column("reminded_at", UTC, nullable=True),
        sa.Column("flow_run_id", sa.Text(), nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_via", sa.Text(), nullable=True),
        sa.Column("verified", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("decided_at", UTC, nullable=True),
        sa.Column("comment", sa.Text(), server_default="", nullable=False),
        sa.Column("superseded_by", sa.String(length=40), nullable=True),
        sa.Column("claimed_by", sa.Text(), nullable=True),
        sa.Column("lease_until", UTC, nullable=True),
        sa.Column("started_at", UTC, nullable=True),
        sa.Column("result", JSON, nullable=True),
        sa.Column("finished_at", UTC, nullable=True),
        sa.ForeignKeyConstraint(
            ["execution_id"], ["executions.execution_id"], name="fk_approvals_execution_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_approvals"),
        _one_of("approvals", "status", "waiting approved rejected expired superseded stopped done failed"),
        sa.UniqueConstraint("execution_id", "subject", name="uq_approvals_execution_id_subject"),
    )
    op.create_index("ix_approvals_run_id", "approvals", ["run_id"], unique=False)
    op.create_index("ix_approvals_status_expires_at", "approvals", ["status", "expires_at"], unique=False)
    op.create_index(
        "uq_approvals_waiting",
        "approvals",
        ["domain", "subject"],
        unique=True,
        sqlite_where=sa.text("status = 'waiting'"),
        postgresql_where=sa.text("status = 'waiting'"),
    )
    op.create_table(
        "corrections",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("execution_id", sa.String(length=200), nullable=False),
        sa.Column("correction", JSON, nullable=False),
        sa.Column("corrected_by", sa.Text(), nullable=False),
        sa.Column("via", sa.Text(), nullable=False),
        sa.Column("verified", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.ForeignKeyConstraint(
            ["execution_id"], ["executions.execution_id"], name="fk_corrections_execution_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_corrections"),
    )
    op.create_index("ix_corrections_execution_id", "corrections", ["execution_id"], unique=False)
    op.create_table(
        "execution_steps",
        sa.Column("execution_id", sa.String(length=200), nullable=False),
        sa.Column("sequence", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("call", sa.Integer(), nullable=True),
        sa.Column("request_digest", sa.String(length=64), server_default="", nullable=False),
        sa.Column("input", JSON, nullable=True),
        sa.Column("output", JSON, nullable=True),
        sa.Column("summary", sa.Text(), server_default="", nullable=False),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("started_at", UTC, nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("tokens", JSON, nullable=True),
        sa.Column("cost_micro", sa.BigInteger(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["execution_id"], ["executions.execution_id"], name="fk_execution_steps_execution_id"
        ),
        sa.PrimaryKeyConstraint("execution_id", "sequence", name="pk_execution_steps"),
        _one_of("execution_steps", "kind", "model tool"),
        _one_of("execution_steps", "status", "ok no_data error"),
    )
    op.create_table(
        "handoffs",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("run_id", sa.String(length=200), nullable=False),
        sa.Column("from_execution_id", sa.String(length=200), nullable=False),
        sa.Column("from_skill", sa.Text(), nullable=False),
        sa.Column("to_skill", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), server_default="", nullable=False),
        sa.Column("pattern_key", sa.Text(), server_default="", nullable=False),
        sa.Column("context", JSON, nullable=True),
        sa.Column("to_execution_id", sa.String(length=200), nullable=True),
        sa.Column("created_at", UTC, nullable=False),
        sa.ForeignKeyConstraint(
            ["from_execution_id"], ["executions.execution_id"], name="fk_handoffs_from_execution_id"
        ),
        sa.ForeignKeyConstraint(
            ["to_execution_id"], ["executions.execution_id"], name="fk_handoffs_to_execution_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_handoffs"),
        sa.UniqueConstraint(
            "from_execution_id",
            "pattern_key",
            "to_skill",
            name="uq_handoffs_from_execution_id_pattern_key_to_skill",
        ),
    )
    op.create_index("ix_handoffs_run_id", "handoffs", ["run_id"], unique=False)
    op.create_table(
        "incidents",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("domain", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), server_default="", nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("symptoms", sa.Text(), server_default="", nullable=False),
        sa.Column("root_cause", sa.Text(), server_default="", nullable=False),
        sa.Column("fix", sa.Text(), server_default="", nullable=False),
        sa.Column("outcome", sa.Text(), server_default="", nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("opened_at", UTC, nullable=False),
        sa.Column("resolved_at", UTC, nullable=True),
        sa.Column("execution_id", sa.String(length=200), nullable=True),
        sa.ForeignKeyConstraint(
            ["execution_id"], ["executions.execution_id"], name="fk_incidents_execution_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_incidents"),
        sa.UniqueConstraint("execution_id", name="uq_incidents_execution_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_incidents_domain_stage", "incidents", ["domain", "stage"], unique=False)
    op.create_table(
        "spend",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("domain", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("run_id", sa.String(length=200), nullable=False),
        sa.Column("execution_id", sa.String(length=200), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("reserved_micro", sa.BigInteger(), nullable=False),
        sa.Column("settled_micro", sa.BigInteger(), nullable=True),
        sa.Column("lapsed", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("lease_until", UTC, nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.ForeignKeyConstraint(["execution_id"], ["executions.execution_id"], name="fk_spend_execution_id"),
        sa.PrimaryKeyConstraint("id", name="pk_spend"),
    )
    op.create_index("ix_spend_day_domain", "spend", ["day", "domain"], unique=False)
    op.create_index("ix_spend_execution_id_sequence", "spend", ["execution_id", "sequence"], unique=False)
    op.create_index(
        "ix_spend_open",
        "spend",
        ["lease_until"],
        unique=False,
        sqlite_where=sa.text("settled_micro IS NULL"),
        postgresql_where=sa.text("settled_micro IS NULL"),
    )
    op.create_table(
        "actions",
        sa.Column("approval_id", sa.String(length=40), nullable=False),
        sa.Column("action", sa.String(length=200), nullable=False),
        sa.Column("object_key", sa.String(length=500), nullable=False),
        sa.Column("idempotency_key", sa.String(length=36), nullable=True),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("request", JSON, nullable=True),
        sa.Column("response", JSON, nullable=True),
        sa.Column("started_at", UTC, nullable=True),
        sa.Column("finished_at", UTC, nullable=True),
        sa.ForeignKeyConstraint(["approval_id"], ["approvals.id"], name="fk_actions_approval_id"),
        sa.PrimaryKeyConstraint("approval_id", "action", "object_key", name="pk_actions"),
        _one_of("actions", "status", "pending running done failed skipped unknown"),
        sa.UniqueConstraint("idempotency_key", name="uq_actions_idempotency_key"),
    )
    op.create_index("ix_actions_action_object_key", "actions", ["action", "object_key"], unique=False)
    op.create_index(
        "uq_actions_taken",
        "actions",
        ["action", "object_key"],
        unique=True,
        sqlite_where=sa.text("status IN ('running', 'done', 'unknown')"),
        postgresql_where=sa.text("status IN ('running', 'done', 'unknown')"),
    )
