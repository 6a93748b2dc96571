"""The project's rules and Alertmanager config with real ones, on a gateway whose record real runs filled."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from tasks import inbox
from tests.fix_world import Api, World, new_api, new_world, run, serving  # noqa: F401
from tests.monitored import alertmanager, gateway, hasty_rules
from tests.prometheus import Prometheus
from tests.scraped import samples

pytestmark = pytest.mark.full
MANAGED = frozenset({"skill_name": "ecm-triage", "outcome": "success", "skill_role": "manager"}.items())


@pytest.fixture(name="url")
def new_gateway(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A gateway with a token of its own making."""
    monkeypatch.delenv("ASPORA_GATEWAY_TOKEN", raising=False)
    with gateway() as address:
        yield address


@pytest.fixture(name="slack")
def new_slack() -> Iterator[Api]:
    """What Slack is told."""
    with serving() as api:
        yield api


@pytest.fixture(name="prometheus")
def new_prometheus(world: World, url: str, slack: Api, tmp_path: Path) -> Iterator[Prometheus]:
    """It scrapes the gateway and tells Alertmanager, which tells Slack and the gateway."""
    teller = alertmanager(tmp_path, url, f"{slack.url}/slack")
    rules = hasty_rules(tmp_path / "rules")
    try:
        with Prometheus(tmp_path / "prometheus", f"{url}/metrics", rules, teller.address) as prometheus:
            yield prometheus
    finally:
        teller.close()


def firing(prometheus: Prometheus, name: str) -> list[dict[str, Any]]:
    return [each for each in prometheus.rules()[name]["alerts"] if each["state"] == "firing"]


def alerts(world: World, name: str) -> list[inbox.Trigger]:
    """What came back into the gateway."""
    rows = world.database.read_now(lambda conn: inbox.find(conn, limit=1000))
    return [each for each in rows if each.received and each.received["fields"]["alertname"] == name]


def heard(slack: Api, *words: str) -> bool:
    return any(all(word in json.dumps(call.body) for word in words) for call in slack.calls)


def test_what_prometheus_scrapes_is_the_record(prometheus: Prometheus, url: str, world: World) -> None:
    """Every sample arrives as it is told, exemplars too; no rule has an error."""
    for _ in range(2):
        assert asyncio.run(run())["state"] == "awaiting_approval"
    told = samples(httpx.get(f"{url}/metrics").text)
    steady = {key: value for key, value in told.items() if not key[0].endswith("_seconds")}
    around = {("job", "aspora"), ("instance", url.removeprefix("http://"))}

    def scraped() -> dict[Any, float]:
        found = prometheus.query('{job="aspora",__name__=~"aspora_.+"}')
        return {
            (each.labels.pop("__name__"), frozenset(each.labels.items()) - around): each.value
            for each in found
        }

    prometheus.until(lambda: steady.items() <= scraped().items())
    assert told["aspora_skill_executions_total", MANAGED] == 2
    prometheus.until(lambda: {each["health"] for each in prometheus.rules().values()} == {"ok"})
    now = time.time()
    found = prometheus.get(
        "/query_exemplars", query="aspora_skill_latency_seconds_bucket", start=now - 600, end=now
    )
    traces = {each["labels"]["trace_id"] for series in found for each in series["exemplars"]}
    assert traces and all(len(each) == 32 for each in traces)


def test_an_alert_fires_arrives_ends_and_starts_nothing(
    prometheus: Prometheus, slack: Api, world: World
) -> None:
    """A manager whose rules lead nowhere: told in Slack, kept once in the inbox, and over when it routes."""
    world.domain["routing"] = [{"when": "manager.count >= 1000", "route_to": "ecm-resolve"}]
    world.write()
    for _ in range(4):
        assert asyncio.run(run())["state"] == "no_action"
    [alert] = prometheus.until(lambda: firing(prometheus, "ManagerNotRouting"))
    assert alert["labels"] == {
        "alertname": "ManagerNotRouting", "severity": "warning", "skill_name": "ecm-triage",
    }  # fmt: skip
    prometheus.until(lambda: heard(slack, "FIRING", "executing but not routing", "Check routing rules"))
    [row] = prometheus.until(lambda: alerts(world, "ManagerNotRouting"))
    assert (row.state, row.domain, row.received["text"]) == (
        "unmatched", "", "Manager skill executing but not routing to specialists",
    )  # fmt: skip
    told = len(slack.calls)
    prometheus.until(lambda: len(slack.calls) > told + 2)
    assert [each.id for each in alerts(world, "ManagerNotRouting")] == [row.id]
    world.domain["routing"] = [{"when": "manager.count >= 1", "route_to": "ecm-resolve"}]
    world.write()
    assert asyncio.run(run())["state"] == "awaiting_approval"
    prometheus.until(lambda: not firing(prometheus, "ManagerNotRouting"))
    prometheus.until(lambda: alerts(world, "ManagerNotRouting")[0].resolved_at)
    prometheus.until(lambda: heard(slack, "RESOLVED", "not routing"))
    assert alerts(world, "ManagerNotRouting")[0].state == "unmatched"


def test_a_record_that_cannot_be_read_is_down_until_it_can(
    prometheus: Prometheus, slack: Api, url: str, world: World
) -> None:
    """The gateway survives, Slack is told, and the gateway keeps the alert although its metrics are down."""
    world.database.write_now(lambda conn: conn.execute(text("ALTER TABLE counters RENAME TO gone")))
    assert httpx.get(f"{url}/metrics").status_code == 503
    prometheus.until(lambda: prometheus.value('up{job="aspora"}') == 0)
    prometheus.until(lambda: firing(prometheus, "AsporaMetricsDown"))
    prometheus.until(lambda: heard(slack, "FIRING", "can't be scraped", "(critical)"))
    [row] = prometheus.until(lambda: alerts(world, "AsporaMetricsDown"))
    assert row.state == "unmatched"
    world.database.write_now(lambda conn: conn.execute(text("ALTER TABLE gone RENAME TO counters")))
    prometheus.until(lambda: prometheus.value('up{job="aspora"}') == 1)
    prometheus.until(lambda: not firing(prometheus, "AsporaMetricsDown"))
    prometheus.until(lambda: alerts(world, "AsporaMetricsDown")[0].resolved_at)
