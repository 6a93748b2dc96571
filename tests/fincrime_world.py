"""A home with a sample world of the FinCrime domain, ledgers of a test's own, and runs without a server."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import mcp
import pytest
import sqlalchemy as sa

from blocks.config import Config
from blocks.config_file import load
from blocks.home import ROOT
from flows.fincrime import DOMAIN
from flows.fincrime.models import FinCrimeInput
from flows.fincrime.sample.world import _TABLES
from flows.fincrime.tools import Options, build
from mcp_servers import transactions
from tasks import report
from tasks.platform import opened
from tasks.run import admitted
from tasks.skill import perform
from tests.gateway_world import empty_record

NOW = datetime(2026, 3, 11, 6, 30, tzinfo=UTC)
Row = tuple[str, float, str | None, str | None, float]
"""Id, days ago, sender, receiver, amount."""


def ledger(home: Path, rows: Iterable[Row], accounts: Mapping[str, str] | None = None, **more: str) -> None:
    """Writes a warehouse with these transfers; accounts are those named, account → kind, opened long ago.

    Args:
        more: currency, or kind, of all of them.
    """
    currency, kind = more.get("currency", "USD"), more.get("kind", "transfer")
    with closing(sqlite3.connect(home / "warehouse.db")) as connection:
        for statement in _TABLES:
            connection.execute(statement.replace("transfer_id TEXT PRIMARY KEY", "transfer_id TEXT"))
        connection.executemany(
            "INSERT INTO fincrime_transfers VALUES (?, ?, ?, ?, ?, ?, ?)",
            ((id, text(days), a, b, amount, currency, kind) for id, days, a, b, amount in rows),
        )
        connection.executemany(
            "INSERT INTO fincrime_accounts VALUES (?, ?, ?, 'GB', '2015-01-01 00:00:00')",
            ((id, f"C-{id}", of) for id, of in (accounts or {}).items()),
        )
        connection.commit()


def text(days: float) -> str:
    """A time so many days before NOW, as the warehouse has it."""
    return (NOW - timedelta(days=days)).strftime("%Y-%m-%d %H:%M:%S")


def usual(account: str, months: int = 6) -> list[Row]:
    """A salary and a rent every month: what an account did before."""
    return [
        row
        for month in range(months)
        for row in (
            (f"S-{account}-{month}", 5 + 30 * month, "EMPLOYER", account, 2500.0),
            (f"R-{account}-{month}", 3 + 30 * month, account, "LANDLORD", 800.0),
        )
    ]


def config(home: Path, url: sa.URL | None = None) -> Config:
    """The home's config, over its own warehouse or another one."""
    found = _project()
    address = url.render_as_string(hide_password=False) if url else f"sqlite:///{home / 'warehouse.db'}"
    warehouse = found.warehouse.model_copy(update={"url": address})
    return found.model_copy(update={"warehouse": warehouse})


@cache
def _project() -> Config:
    """The project's own config."""
    return load(ROOT / "aspora.config.yaml")


async def ask(of: Config, tool: str, **arguments: Any) -> dict[str, Any]:
    """A tool's answer, of either server; RuntimeError with its message where it refuses."""
    own = ("screen_accounts", "test_hypotheses", "challenge_hypotheses")
    server = build(Options(), of, Path("/")) if tool in own else None
    server = server or transactions.build(transactions.Options(), of, Path("/"))
    async with mcp.Client(server) as client:
        result = await client.call_tool(tool, arguments)
    if result.is_error:
        raise RuntimeError(result.content[0].text)
    return dict(result.structured_content)


async def run(**given: Any) -> dict[str, Any]:
    """One run of the domain without a workflow server; its report."""
    async with opened() as platform:
        async with admitted(DOMAIN, FinCrimeInput(**{"as_of": NOW, **given})) as begun:
            manager = await begun.manage(perform)
            await begun.pursue(manager, {"fincrime-diagnose": perform})
        return dict(await platform.database.read(lambda conn: report.of_run(conn, begun.run_id)))


@pytest.fixture(name="fincrime_home")
def new_fincrime_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state directory of its own, with the project's config and no world yet."""
    for name in ("ASPORA_DATABASE_URL", "ASPORA_WAREHOUSE_URL", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    written = (ROOT / "aspora.config.yaml").read_text(encoding="utf-8")
    (tmp_path / "aspora.config.yaml").write_text(
        written.replace("path: runbooks/", f"path: {ROOT}/runbooks/")
    )
    (tmp_path / "aspora.db").write_bytes(empty_record())
    monkeypatch.setenv("ASPORA_HOME", str(tmp_path))
    monkeypatch.setenv("ASPORA_CONFIG", str(tmp_path / "aspora.config.yaml"))
    return tmp_path
