"""Runs the migrations. Apart from `blocks.database`, so that Alembic is imported only when needed."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, text

_ADVISORY_LOCK = 4_160_226
"""Any number that all processes of Aspora agree on."""


class UnknownVersion(Exception):
    """The tables are of a version that this checkout doesn't know."""


def alembic_config(connection: Connection | None = None) -> Config:
    """Alembic's config for these migrations."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def upgrade(connection: Connection) -> None:
    """Apply what is missing, in the connection's transaction; processes that come together take turns.

    Raises:
        UnknownVersion: if the tables are of an unknown version.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:id)"), {"id": _ADVISORY_LOCK})
    try:
        command.upgrade(alembic_config(connection), "head")
    except CommandError as error:
        raise UnknownVersion(str(error)) from error
