"""What a skill's executions of a month are counted by, without a look at each."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Put the outcome into the index of a skill's executions."""
    op.create_index(
        "ix_executions_skill_name_started_at_outcome", "executions", ["skill_name", "started_at", "outcome"]
    )
    op.drop_index("ix_executions_skill_name_started_at", "executions")
