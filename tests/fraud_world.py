"""A home of its own with a sample world of the fraud domain, and the domain's runs without a server."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import mcp
import pytest
import yaml

from blocks.config import Config
from blocks.database import Database
from blocks.home import ROOT, database_url
from flows.fraud import DOMAIN
from flows.fraud.models import FraudInput
from flows.fraud.tools import Options, build
from tasks import report
from tasks.platform import opened
from tasks.run import admitted
from tasks.skill import perform

NOW = datetime(2026, 3, 11, 6, 30, tzinfo=UTC)


def write_config(path: Path) -> dict[str, Any]:
    """The project's own config, as the fraud domain needs it."""
    config: dict[str, Any] = yaml.safe_load((ROOT / "aspora.config.yaml").read_text(encoding="utf-8"))
    config["mcp_servers"]["runbooks-mcp"]["path"] = str(ROOT / "runbooks")
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
        async with admitted(DOMAIN, FraudInput(**{"as_of": NOW, **given})) as begun:
            manager = await begun.manage(perform)
            await begun.pursue(manager, dict.fromkeys(DOMAIN.skills, perform))
        return dict(await platform.database.read(lambda conn: report.of_run(conn, begun.run_id)))


async def ask(config: Config, tool: str, **arguments: Any) -> dict[str, Any]:
    """A tool's answer; RuntimeError with its message where it refuses."""
    async with mcp.Client(build(Options(), config, Path("/"))) as client:
        result = await client.call_tool(tool, arguments)
    if result.is_error:
        raise RuntimeError(result.content[0].text)
    return dict(result.structured_content)
