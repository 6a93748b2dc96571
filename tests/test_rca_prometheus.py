"""A real Prometheus, filled with three days of a shop whose bank has become slow."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
from mcp import Client

from blocks.config import Config
from flows.rca import tools
from mcp_servers import metrics
from tests import needs
from tests.ports import free_port

pytestmark = pytest.mark.full

NOW = int(datetime.now(UTC).timestamp()) // 60 * 60
SCRAPE = 60
DAYS = 3
ONSET = NOW - 20 * 60
GRAPH = {"web": ["shop", "search"], "shop": ["bank"], "search": [], "bank": []}
PER_SECOND = {"web": 20.0, "shop": 12.0, "search": 8.0, "bank": 12.0}
SECONDS = {"web": 0.01, "shop": 0.03, "search": 0.05, "bank": 0.08}
RULES = """
groups:
  - name: shop
    interval: 1s
    rules:
      - {alert: HighAPILatency, expr: vector(1), labels: {service: web}, annotations: {summary: slow}}
"""


def openmetrics() -> Iterator[str]:
    """Counters as a scrape every minute would have read them."""
    rng = Random(5)
    counts = dict.fromkeys(GRAPH, 0.0)
    sums = dict.fromkeys(GRAPH, 0.0)
    failed = dict.fromkeys(GRAPH, 0.0)
    lines: dict[str, list[str]] = {"asked": [], "seconds": [], "failed": [], "calls": []}
    for at in range(NOW - DAYS * 86_400, NOW + 1, SCRAPE):
        taken: dict[str, float] = {}
        for name in ("bank", "search", "shop", "web"):
            own = SECONDS[name] * rng.lognormvariate(0, 0.05) + (0.5 if name == "bank" and at > ONSET else 0)
            shares = [PER_SECOND[callee] / PER_SECOND[name] * taken[callee] for callee in GRAPH[name]]
            taken[name] = own + sum(shares)
            asked = PER_SECOND[name] * SCRAPE
            counts[name] += asked
            sums[name] += asked * taken[name]
            failed[name] += rng.random() < 0.5
            lines["asked"].append(f'asked_total{{service="{name}"}} {counts[name]} {at}')
            lines["seconds"].append(f'seconds_total{{service="{name}"}} {sums[name]} {at}')
            lines["failed"].append(f'failed_total{{service="{name}"}} {failed[name]} {at}')
        for client, servers in GRAPH.items():
            for server in servers:
                label = f'client="{client}",server="{server}"'
                lines["calls"].append(f"calls_total{{{label}}} {counts[server]} {at}")
    for family, told in lines.items():
        yield f"# TYPE {family} counter"
        yield from sorted(told, key=lambda line: line.split("}")[0])
    yield "# EOF"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The server's address."""
    folder: Path = tmp_path_factory.mktemp("prometheus")
    promtool, program = needs.program("promtool", "prometheus"), needs.program("prometheus", "prometheus")
    (folder / "series.txt").write_text("\n".join(openmetrics()) + "\n")
    (folder / "rules.yml").write_text(RULES)
    (folder / "prometheus.yml").write_text("rule_files: [rules.yml]\n")
    filled = [promtool, "tsdb", "create-blocks-from", "openmetrics", "series.txt", "data"]
    subprocess.run(filled, cwd=folder, check=True, capture_output=True)
    port = free_port()
    process = subprocess.Popen(
        [program, f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.path=data",
         "--config.file=prometheus.yml", "--storage.tsdb.retention.time=30d"],
        cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while not _fires(url):
            assert process.poll() is None and time.monotonic() < deadline, "Prometheus fired no alert"
            time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def _fires(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/api/v1/alerts", timeout=5) as answer:
            return bool(json.load(answer)["data"]["alerts"])
    except (urllib.error.URLError, OSError):
        return False


@pytest.fixture
def config(address: str) -> Config:
    section: dict[str, Any] = {
        "module": "mcp_servers.metrics",
        "prometheus": address,
        "metrics": {
            "latency": {
                "query": 'sum by (service) (rate(seconds_total{service=~"$service"}[$step]))'
                ' / sum by (service) (rate(asked_total{service=~"$service"}[$step]))'
            },
            "failures": {
                "query": 'sum by (service) (rate(failed_total{service=~"$service"}[$step]))'
                ' / sum by (service) (rate(asked_total{service=~"$service"}[$step]))'
            },
            "requests": {"query": 'sum by (service) (rate(asked_total{service=~"$service"}[$step]))'},
        },
        "graph": {"query": "sum by (client, server) (rate(calls_total[1h])) > 0"},
    }
    return Config.model_validate({"models": {}, "domains": {}, "mcp_servers": {"metrics-mcp": section}})


async def ask(server: Any, tool: str, **arguments: Any) -> Any:
    async with Client(server) as client:
        result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    return result.structured_content


async def test_the_cause_behind_a_real_prometheus_is_found(config: Config) -> None:
    at = datetime.fromtimestamp(ONSET + 600, UTC).isoformat()
    found = await ask(tools.build(tools.Options(), config, Path()), "find_anomalies", service="web", at=at)
    assert (found["anomalous"], found["metric"]) == (True, "latency")
    assert (found["suspects"][0]["service"], found["suspects"][0]["path"]) == (
        "bank",
        ["web", "shop", "bank"],
    )
    assert abs(datetime.fromisoformat(found["onset"]).timestamp() - ONSET) <= 600


async def test_a_real_prometheus_before_the_trouble_shows_nothing(config: Config) -> None:
    at = datetime.fromtimestamp(NOW - 6 * 3600, UTC).isoformat()
    found = await ask(tools.build(tools.Options(), config, Path()), "find_anomalies", service="web", at=at)
    assert not found["anomalous"] and found["suspects"] == []


async def test_series_graph_and_alerts_of_a_real_prometheus(config: Config) -> None:
    section = config.mcp_servers["metrics-mcp"]
    server = metrics.build(metrics.Options.model_validate(section.options), config, Path())
    found = await ask(server, "query_metrics", service="bank", metric="requests")
    assert found["series"][0]["middle"] == pytest.approx(PER_SECOND["bank"], rel=0.05)
    calls = (await ask(server, "get_service_graph", service="bank", depth=2))["calls"]
    assert calls == [["shop", "bank"], ["web", "shop"]]
    (alert,) = (await ask(server, "list_alerts"))["alerts"]
    assert (alert["name"], alert["service"], alert["summary"]) == ("HighAPILatency", "web", "slow")


async def test_a_query_that_prometheus_refuses_is_told_in_its_words(config: Config) -> None:
    options = {**config.mcp_servers["metrics-mcp"].options, "metrics": {"latency": {"query": "sum by ("}}}
    server = metrics.build(metrics.Options.model_validate(options), config, Path())
    async with Client(server) as client:
        result = await client.call_tool("query_metrics", {"service": "web"})
    assert result.is_error and "parse error" in result.content[0].text
