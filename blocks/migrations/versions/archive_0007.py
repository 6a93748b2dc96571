"""Where an execution's journal was archived."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

UNARCHIVED = "archive IS NULL AND finished_at IS NOT NULL"


def upgrade() -> None:
    """Add the column, and the index by which what is due is found."""
    op.add_column("executions", sa.Column("archive", sa.Text(), nullable=True))
    op.create_index(
        "ix_executions_unarchived",
        "executions",
        ["finished_at"],
        sqlite_where=sa.text(UNARCHIVED),
        postgresql_where=sa.text(UNARCHIVED),
    )
