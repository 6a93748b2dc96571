"""A home of its own with a config and a sample world, for tests that run whole flows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from blocks.database import Database
from blocks.home import ROOT
from flows.ecm.sample import draw

SEED = 7
STRAIGHT = [{"when": "manager.critical_count >= 50", "route_to": "ecm-resolve"}]
"""Routing from triage to a proposed fix, with no diagnosis in between; lulu alone in the world of SEED."""
DIAGNOSED = [{"when": "manager.critical_count >= 50", "route_to": "ecm-diagnose"}]


def write_config(path: Path, routing: list[dict[str, str]], **guardrails: Any) -> Path:
    """The project's own config with one quick action, this routing, and these guardrails of ECM."""
    config = yaml.safe_load((ROOT / "aspora.config.yaml").read_text(encoding="utf-8"))
    config["mcp_servers"]["runbooks-mcp"]["path"] = str(ROOT / "runbooks")
    ecm = config["domains"]["ecm"]
    ecm["routing"] = routing
    ecm["actions"] = [{**ecm["actions"][0], "rate": "500/s"}]
    ecm["guardrails"] |= guardrails
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def draw_world(home: Path) -> None:
    """The sample world of SEED, drawn anew."""
    home.mkdir(parents=True, exist_ok=True)
    draw(SEED, home)


def platform_database(environment: Mapping[str, str]) -> Database:
    """The platform database of a home."""
    return Database(f"sqlite:///{environment['ASPORA_HOME']}/aspora.db")
