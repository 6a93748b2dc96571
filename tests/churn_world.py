"""The churn domain in a home of its own, its runs without a server, and labelled customers made up."""

from __future__ import annotations

import csv
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import mcp
import pytest
import yaml

from blocks.config import Config
from blocks.config_file import load
from blocks.database import Database
from blocks.home import ROOT, database_url
from flows.churn import DOMAIN
from flows.churn.models import ChurnInput
from flows.churn.tools import Options, build
from tasks import report
from tasks.platform import opened
from tasks.run import RunFailed, admitted
from tasks.skill import perform

NOW = datetime(2026, 3, 2, 7, 0, tzinfo=UTC)
OURS = ("churn_customers", "churn_transfers", "churn_usage", "churn_complaints", "churn_price_changes",
        "churn_contacts")  # fmt: skip


def write_config(path: Path) -> dict[str, Any]:
    """The project's own config with this domain alone."""
    whole: dict[str, Any] = yaml.safe_load((ROOT / "aspora.config.yaml").read_text(encoding="utf-8"))
    tables = {name: table for name, table in whole["warehouse"]["tables"].items() if name in OURS}
    config = {
        "platform": {"provider": "auto"},
        "models": whole["models"],
        "warehouse": {**whole["warehouse"], "tables": tables},
        "mcp_servers": {"churn-mcp": whole["mcp_servers"]["churn-mcp"]},
        "triggers": [each for each in whole["triggers"] if each["domain"] == "churn"],
        "slack": {"bots": [bot for bot in whole["slack"]["bots"] if bot["mention"] == "@churn-agent"]},
        "domains": {"churn": whole["domains"]["churn"]},
    }
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return config


def settle(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes `home` the state directory of this process, with the config and an empty record."""
    for name in ("ASPORA_DATABASE_URL", "ASPORA_WAREHOUSE_URL", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    write_config(home / "aspora.config.yaml")
    monkeypatch.setenv("ASPORA_HOME", str(home))
    monkeypatch.setenv("ASPORA_CONFIG", str(home / "aspora.config.yaml"))
    database = Database(database_url())
    database.migrate()
    database.close()


async def run(**given: Any) -> dict[str, Any]:
    """One run of the domain without a workflow server; its report."""
    async with opened() as platform:
        with suppress(RunFailed):
            async with admitted(DOMAIN, ChurnInput(**{"as_of": NOW, **given})) as begun:
                manager = await begun.manage(perform)
                await begun.pursue(manager, dict.fromkeys(DOMAIN.skills, perform))
        return dict(await platform.database.read(lambda conn: report.of_run(conn, begun.run_id)))


async def ask(home: Path, tool: str, **arguments: Any) -> dict[str, Any]:
    """A tool's answer over the home's warehouse; RuntimeError with its message where it refuses."""
    config = load(home / "aspora.config.yaml")
    options = Options(**config.mcp_servers["churn-mcp"].options)
    return await answer(options, config, home, tool, **arguments)


async def answer(options: Options, config: Config, base: Path, tool: str, **arguments: Any) -> dict[str, Any]:
    """A tool's answer."""
    async with mcp.Client(build(options, config, base)) as client:
        result = await client.call_tool(tool, arguments)
    if result.is_error:
        raise RuntimeError(result.content[0].text)
    return dict(result.structured_content)


def change(home: Path, *statements: str) -> None:
    """Changes the home's warehouse."""
    with closing(sqlite3.connect(home / "warehouse.db")) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def customers(count: int, leaving: float = 0.3, seed: int = 1) -> list[dict[str, Any]]:
    """Customers of whom those with short tenure, monthly contracts and many calls leave."""
    rng = Random(seed)
    found = []
    for number in range(count):
        tenure, calls = rng.randint(1, 72), rng.choice((0, 0, 1, 2, 5))
        contract = rng.choice(("Month-to-month", "One year", "Two year"))
        push = 1.8 * (contract == "Month-to-month") + 0.5 * calls - tenure / 24
        left = rng.random() < leaving * 2 * (1 / (1 + 2.718 ** (0.3 - push)))
        found.append(
            {
                "customerID": f"{number:05d}-{rng.choice('ABCDEFGH')}",
                "gender": rng.choice(("Male", "Female")),
                "tenure": tenure,
                "Contract": contract,
                "calls": calls if rng.random() > 0.02 else " ",
                "Churn": "Yes" if left else "No",
            }
        )
    return found


def write(path: Path, rows: Sequence[Mapping[str, Any]], delimiter: str = ",") -> Path:
    """Customers as a CSV."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path
