"""Changes of the config, key by key."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0006"
down_revision = "0005"

UTC = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(JSONB(), "postgresql")
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "config_versions",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("content", JSON, nullable=True),
        sa.Column("seen_at", UTC, nullable=False),
        sa.Column("seen_by", sa.Text(), nullable=False),
        sa.Column("commit_hash", sa.Text(), server_default="", nullable=False),
        sa.Column("commit_author", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_config_versions"),
    )
    op.create_index("ix_config_versions_seen_at", "config_versions", ["seen_at"])
    op.create_table(
        "config_changes",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("version_id", SERIAL, nullable=False),
        sa.Column("domain", sa.Text(), server_default="", nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("old", sa.Text(), nullable=True),
        sa.Column("new", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_config_changes"),
        sa.ForeignKeyConstraint(["version_id"], ["config_versions.id"], name="fk_config_changes_version_id"),
    )
    op.create_index("ix_config_changes_version_id", "config_changes", ["version_id"])
