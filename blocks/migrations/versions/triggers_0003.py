"""Triggers from outside, votes, approver tokens, and messages to people."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"

UTC = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(JSONB(), "postgresql")
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
STATES = "pending running done refused failed deferred unmatched counted grouped suppressed"


def upgrade() -> None:
    """Add the columns and tables."""
    _widen_triggers()
    op.create_index(
        "ix_triggers_incident_part_of_created_at", "triggers", ["incident", "part_of", "created_at"]
    )
    op.create_index("ix_triggers_state_next_attempt_at", "triggers", ["state", "next_attempt_at"])
    op.create_index("ix_triggers_part_of", "triggers", ["part_of"])
    op.add_column("approvals", sa.Column("escalated_at", UTC, nullable=True))
    _create_votes()
    _create_messages()


def _widen_triggers() -> None:
    """New columns and states. SQLite can't change a check, so its table is built anew.

    Databases of the first days have no check.
    """
    checks = {check["name"] for check in sa.inspect(op.get_bind()).get_check_constraints("triggers")}
    with op.batch_alter_table("triggers") as table:
        if "ck_triggers_state" in checks:
            table.drop_constraint(op.f("ck_triggers_state"), type_="check")
        table.create_check_constraint(op.f("ck_triggers_state"), f"state IN ({_listed(STATES)})")
        for column in _columns():
            table.add_column(column)


def _columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("received", JSON, nullable=True),
        sa.Column("rule", sa.Text(), server_default="", nullable=False),
        sa.Column("incident", sa.Text(), server_default="", nullable=False),
        sa.Column("part_of", sa.String(length=40), nullable=True),
        sa.Column("asked_by", sa.Text(), server_default="", nullable=False),
        sa.Column("origin", JSON, nullable=True),
        sa.Column("next_attempt_at", UTC, nullable=True),
        sa.Column("give_up_at", UTC, nullable=True),
        sa.Column("dispatches", sa.Integer(), server_default="0", nullable=False),
        sa.Column("dispatched_at", UTC, nullable=True),
        sa.Column("resolved_at", UTC, nullable=True),
    ]


def _create_votes() -> None:
    op.create_table(
        "votes",
        sa.Column("approval_id", sa.String(length=40), nullable=False),
        sa.Column("person", sa.String(length=200), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("via", sa.Text(), nullable=False),
        sa.Column("verified", sa.Boolean(), nullable=False),
        sa.Column("comment", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.PrimaryKeyConstraint("approval_id", "person", name="pk_votes"),
        sa.ForeignKeyConstraint(["approval_id"], ["approvals.id"], name="fk_votes_approval_id"),
    )
    op.create_table(
        "approver_tokens",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.Column("revoked_at", UTC, nullable=True),
        sa.PrimaryKeyConstraint("digest", name="pk_approver_tokens"),
    )


def _create_messages() -> None:
    op.create_table(
        "messages",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("channel", sa.String(length=20), nullable=False),
        sa.Column("address", JSON, nullable=False),
        sa.Column("body", JSON, nullable=False),
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column("replaces", sa.String(length=200), nullable=True),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_attempt_at", UTC, nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("created_at", UTC, nullable=False),
        sa.Column("sent_at", UTC, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_messages"),
        sa.UniqueConstraint("key", name="uq_messages_key"),
        sa.CheckConstraint(f"channel IN ({_listed('slack whatsapp')})", name=op.f("ck_messages_channel")),
        sa.CheckConstraint(f"state IN ({_listed('pending sent failed')})", name=op.f("ck_messages_state")),
    )
    op.create_index("ix_messages_state_next_attempt_at", "messages", ["state", "next_attempt_at"])
    op.create_index("ix_messages_about", "messages", ["about"])


def _listed(values: str) -> str:
    return ", ".join(f"'{value}'" for value in values.split())
