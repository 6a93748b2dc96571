"""A fresh record on SQLite and on PostgreSQL, and short ways to put runs into it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import URL, Connection, create_engine, text

from blocks.database import Database
from tasks import journal, record

NOW = datetime(2026, 2, 17, 8, 5, 32, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


_numbers = itertools.count()


@pytest.fixture(name="postgres_url")
def new_postgres(postgres: URL) -> Iterator[str]:
    """URL of a fresh, empty PostgreSQL database."""
    name = f"record_{next(_numbers)}"
    admin = create_engine(postgres, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield postgres.set(database=name).render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


@pytest.fixture(name="database", params=["sqlite", "postgresql"])
def new_database(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[Database]:
    """A migrated, empty record; each test runs on both databases."""
    url = f"sqlite:///{tmp_path}/record.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
    database = Database(url)
    database.migrate()
    yield database
    database.close()


def began(
    conn: Connection, skill: str = "ecm-diagnose", run_id: str = "ecm-run", **given: Any
) -> record.Execution:
    """An execution under way."""
    role: record.Role = "manager" if skill.endswith("triage") else "specialist"
    values: dict[str, Any] = {
        "run_id": run_id,
        "domain": skill.partition("-")[0],
        "skill": skill,
        "role": role,
        "model": "claude-sonnet-4.6",
        "provider": "offline",
        "now": NOW,
        **given,
    }
    return record.begin(conn, **values)


def step(execution_id: str, sequence: int, **given: Any) -> journal.Step:
    """A tool call, or what is given."""
    values: dict[str, Any] = {
        "kind": "tool",
        "name": "search_runbooks",
        "call": sequence,
        "input": {"query": "lulu"},
        "output": {"hits": []},
        "summary": "nothing found",
        "started_at": NOW,
        "seconds": 0.5,
        **given,
    }
    return journal.Step(execution_id=execution_id, sequence=sequence, **values)
