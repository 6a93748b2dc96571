"""The committed dashboards, and what their panels' queries give on a platform that runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import text

from blocks.database import Database
from grafana.build import DIRECTORY
from grafana.preview.asking import Select, Sources, ask
from grafana.preview.frames import Answer, Row
from tests.dashboards_world import Platform

SQLITE, POSTGRESQL = "dashboards", "dashboards-postgresql"
NAMES = ("platform-overview", "domain-deep-dive", "skill-performance")
CHOSEN = {"domain": "ecm", "skill": "ecm-diagnose", "prefect": "http://127.0.0.1:4200"}
"""What the variables are set to."""


def read(name: str, folder: str = SQLITE) -> dict[str, Any]:
    """A committed dashboard."""
    path = DIRECTORY / folder / f"{name}.json"
    dashboard: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return dashboard


def panels(dashboard: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Its panels that ask something."""
    return [each for each in dashboard["panels"] if each["type"] != "row"]


def links(panel: Mapping[str, Any]) -> Iterator[str]:
    """The addresses that a panel's values lead to."""
    yield from (each["url"] for each in panel["fieldConfig"]["defaults"].get("links", ()))
    for override in panel["fieldConfig"].get("overrides", ()):
        for given in override["properties"]:
            if given["id"] == "links":
                yield from (each["url"] for each in given["value"])


def sources(platform: Platform, database: Database) -> Sources:
    """The platform's Prometheus, and a database with its record."""
    prometheus = platform.prometheus

    def over_time(expression: str, start: float, end: float, step: int) -> list[Any]:
        found = prometheus.query_range(expression, start, end, f"{step}s")
        return [(each["metric"], [(at, float(value)) for at, value in each["values"]]) for each in found]

    return Sources(
        lambda expression, at: [tuple(each) for each in prometheus.query(expression, at)],
        over_time,
        selecting(database),
        platform.at,
    )


def selecting(database: Database) -> Select:
    """Asks a database, which changes nothing."""

    def select(query: str) -> list[Row]:
        plain = text(query.replace(":", "\\:"))
        return database.read_now(lambda conn: [dict(row._mapping) for row in conn.execute(plain)])

    return select


def answers(
    dashboard: Mapping[str, Any], asked: Sources, chosen: Mapping[str, str] = CHOSEN
) -> Iterator[tuple[dict[str, Any], Answer]]:
    """Each panel and what its queries give."""
    for panel in panels(dashboard):
        yield panel, ask(panel, chosen, asked)
