"""The Grafana dashboards as code: `python -m grafana.build` writes their JSON.

There is a set for each database that the platform's record can be kept in; they differ in their SQL alone.
"""

from __future__ import annotations

import json
from pathlib import Path

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from grafana.build import domain, platform, skill
from grafana.build.sql import POSTGRESQL, SQLITE

DIRECTORY = Path(__file__).resolve().parent.parent
FOLDERS = {SQLITE: "dashboards", POSTGRESQL: "dashboards-postgresql"}
"""Where each database's set is, below `DIRECTORY`."""
NAMES = {
    "platform-overview.json": platform.build,
    "domain-deep-dive.json": domain.build,
    "skill-performance.json": skill.build,
}


def files() -> dict[Path, str]:
    """Every dashboard's file and its text."""
    return {
        DIRECTORY / folder / name: written(build(dialect))
        for dialect, folder in FOLDERS.items()
        for name, build in NAMES.items()
    }


def written(dashboard: Dashboard) -> str:
    """A dashboard as JSON. Its panels are numbered, which the SDK leaves to Grafana."""
    built = dashboard.build()
    for number, panel in enumerate(built.panels or (), 1):
        panel.id_val = number
    return json.dumps(built, cls=JSONEncoder, indent=2, ensure_ascii=False) + "\n"
