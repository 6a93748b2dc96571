"""The auto-RCA domain in a home of its own: its config over a sample world, and runs without Prefect."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from blocks.home import ROOT
from flows.rca import DOMAIN
from flows.rca.models import RcaInput
from tasks import report
from tasks.platform import opened
from tasks.run import RunFailed, admitted
from tasks.skill import perform

CHANGE_COLUMNS = {
    "id": "id", "time": "at", "service": "service", "kind": "kind", "summary": "summary", "diff": "diff",
    "author": "author", "version": "version", "previous_version": "previous_version", "status": "status",
    "undoes": "undoes",
}  # fmt: skip


def sections(metrics: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The parts of a config that the domain needs; the series of the sample world, or other ones."""
    changes = {"url": "sqlite:///.aspora/rca/changes.db", "table": "changes", "columns": CHANGE_COLUMNS}
    return {
        "mcp_servers": {
            "metrics-mcp": {
                "module": "mcp_servers.metrics",
                **(metrics or {"path": ".aspora/rca/metrics/"}),
            },
            "rca-mcp": {"module": "flows.rca.tools"},
            "deploys-mcp": {"module": "mcp_servers.deploys", "table": changes},
            "service-logs-mcp": {"module": "mcp_servers.logs", "path": ".aspora/rca/logs/"},
            "memory-mcp": {"module": "mcp_servers.memory"},
        },
        "domains": {
            "auto-rca": {
                "module": "flows.rca",
                "auto_fix": True,
                "skills": [
                    {
                        "name": "rca-detect-anomaly",
                        "role": "manager",
                        "model": "claude-haiku-4.5",
                        "tools": ["find_anomalies", "query_metrics", "get_service_graph", "list_alerts"],
                    },
                    {
                        "name": "rca-trace-deploy",
                        "role": "specialist",
                        "model": "claude-sonnet-4.6",
                        "tools": [
                            "query_changes",
                            "query_application_logs",
                            "query_metrics",
                            "get_similar_incidents",
                        ],
                    },
                ],
                "routing": [{"when": "manager.role == cause", "route_to": "rca-trace-deploy"}],
                "guardrails": {
                    "budget": "$5/day",
                    "human_in_loop": ["rca-trace-deploy"],
                    "approvers": ["ops-leads"],
                },
                "mcp_tools": {
                    "rca-mcp": ["find_anomalies"],
                    "metrics-mcp": ["query_metrics", "get_service_graph", "list_alerts"],
                    "deploys-mcp": ["query_changes"],
                    "service-logs-mcp": ["query_application_logs"],
                    "memory-mcp": ["get_similar_incidents"],
                },
                "actions": [
                    {
                        "name": "roll_back_deploy",
                        "description": "Put the version back that a deploy replaced.",
                        "url": "sample://changes/{change_id}/rollback",
                    },
                    {
                        "name": "revert_config",
                        "description": "Put a configuration back as it was before a change.",
                        "url": "sample://changes/{change_id}/revert",
                    },
                    {
                        "name": "turn_flag_off",
                        "description": "Turn a feature flag off again.",
                        "url": "sample://changes/{change_id}/off",
                    },
                ],
            }
        },
    }


def write_config(path: Path, **changed: Any) -> Path:
    """A config with this domain alone."""
    models = yaml.safe_load((ROOT / "aspora.config.yaml").read_text(encoding="utf-8"))["models"]
    config = {"platform": {"provider": "auto"}, "models": models, **sections(**changed)}
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


@pytest.fixture(name="rca_home")
def new_rca_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state directory with the domain's config and no world yet."""
    monkeypatch.setenv("ASPORA_HOME", str(tmp_path))
    monkeypatch.setenv("ASPORA_CONFIG", str(write_config(tmp_path / "aspora.config.yaml")))
    for name in ("ASPORA_DATABASE_URL", "ASPORA_WAREHOUSE_URL", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


async def run(given: RcaInput | None = None) -> dict[str, Any]:
    """A whole run; its report."""
    async with opened() as platform:
        with contextlib.suppress(RunFailed):
            async with admitted(DOMAIN, given or RcaInput()) as admitted_run:
                if not admitted_run.refusal:
                    manager = await admitted_run.manage(perform)
                    await admitted_run.pursue(manager, {"rca-trace-deploy": perform})
        return await platform.database.read(lambda conn: report.of_run(conn, admitted_run.run_id))
