"""What lists of a large record are found by."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the index by which the newest triggers are found."""
    op.create_index("ix_triggers_created_at", "triggers", ["created_at"])
