"""metrics-mcp and the anomaly tool as a client sees them: files, a Prometheus that misbehaves, a real one."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from mcp import Client
from pydantic import ValidationError

from blocks.config import Config
from flows.rca import tools
from mcp_servers import metrics, prometheus, series
from mcp_servers.metrics import Options

NOW = datetime.now(UTC).replace(microsecond=0)
QUERIES = {
    "latency": {"query": 'seconds{service=~"$service"}'},
    "requests": {"query": 'sum by (service) (rate(asked_total{service=~"$service"}[$step]))'},
}
GRAPH = {"web": ["shop"], "shop": ["bank"], "bank": []}


async def ask(options: dict[str, Any], tool: str, base: Path = Path(), **arguments: Any) -> Any:
    server = metrics.build(Options.model_validate(options), Config(models={}, domains={}), base)
    async with Client(server) as client:
        return await client.call_tool(tool, arguments)


async def told(options: dict[str, Any], tool: str, base: Path = Path(), **arguments: Any) -> Any:
    result = await ask(options, tool, base, **arguments)
    assert not result.is_error, result.content
    return result.structured_content


async def refused(options: dict[str, Any], tool: str, base: Path = Path(), **arguments: Any) -> str:
    result = await ask(options, tool, base, **arguments)
    assert result.is_error, result.structured_content
    return str(result.content[0].text)


def anomalies(options: dict[str, Any]) -> Any:
    config = Config.model_validate(
        {
            "models": {},
            "domains": {},
            "mcp_servers": {"metrics-mcp": {"module": "mcp_servers.metrics", **options}},
        }
    )
    return tools.build(tools.Options(), config, Path())


async def look(options: dict[str, Any], **arguments: Any) -> Any:
    async with Client(anomalies(options)) as client:
        return await client.call_tool("find_anomalies", arguments)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three days of a shop whose bank is slow since ten minutes."""
    rows = ["metric,service,time,value"]
    end = int(NOW.timestamp()) // 300 * 300
    for at in range(end - 3 * 86_400, end + 1, 300):
        slow = 0.4 if at > end - 900 else 0.0
        noise = (at // 300 * 7919 % 100) / 10_000
        for name, seconds, count in (("web", 0.05, 20), ("shop", 0.04, 10), ("bank", 0.02, 10)):
            extra = slow * (0.5 if name == "web" else 1)
            rows += [f"latency,{name},{at},{seconds + noise + extra}", f"requests,{name},{at},{count}"]
    rows += ["latency,web,yesterday,1", "latency,web,1771200000,nan", "torn"]
    (tmp_path / "series.csv").write_text("\n".join(rows))
    (tmp_path / "graph.json").write_text(json.dumps(GRAPH))
    alert = {"labels": {"alertname": "Slow", "service": "web"}, "since": NOW.isoformat(), "summary": "slow"}
    (tmp_path / "alerts.json").write_text(json.dumps([alert]))
    return tmp_path


async def test_series_of_files(folder: Path) -> None:
    span = {"since": "6h", "until": NOW.isoformat()}
    found = await told({"path": str(folder)}, "query_metrics", service="bank", metric="latency", **span)
    (latency,) = found["series"]
    assert latency["kind"] == "latency" and latency["samples"] in (72, 73)
    assert latency["middle"] < 0.05 < 0.4 < latency["highest"]
    assert len(latency["points"]) <= metrics.MAX_POINTS
    assert "3 rows of series.csv were left out" in found["note"]


async def test_the_graph_around_a_service_and_the_firing_alerts(folder: Path) -> None:
    options = {"path": str(folder), "graph": {"edges": {"shop": ["ledger"]}}}
    found = await told(options, "get_service_graph", service="bank", depth=1)
    assert found["calls"] == [["shop", "bank"]]
    assert len((await told(options, "get_service_graph"))["calls"]) == 3
    (alert,) = (await told(options, "list_alerts"))["alerts"]
    assert (alert["name"], alert["service"], alert["summary"]) == ("Slow", "web", "slow")
    assert (await told(options, "list_alerts", service="bank"))["note"] == "no alert fires"


async def test_the_cause_is_found_in_files(folder: Path) -> None:
    found = (await look({"path": str(folder)}, service="web", metric="latency")).structured_content
    assert found["anomalous"]
    first = found["suspects"][0]
    assert (first["service"], first["role"], first["path"]) == ("bank", "cause", ["web", "shop", "bank"])
    assert {one["role"] for one in found["suspects"][1:]} <= {"symptom"}
    assert [line.split()[0] for line in found["picture"]] == ["web", "bank"]
    assert all("█" in line for line in found["picture"])


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"service": "shopp"}, "no samples of shopp; there are shop"),
        ({"service": "web", "metric": "mood"}, "there are latency and failures"),
        ({"service": "web", "at": "noon"}, "at='noon' is no time"),
        ({"service": "web", "at": "2019-01-01"}, "no samples of any service in that time"),
    ],
)
async def test_what_cannot_be_looked_at_is_explained(
    folder: Path, arguments: dict[str, str], reason: str
) -> None:
    result = await look({"path": str(folder)}, **arguments)
    assert result.is_error and reason in result.content[0].text


async def test_files_that_are_not_there_or_not_as_they_should_be(tmp_path: Path) -> None:
    options = {"path": str(tmp_path)}
    assert "series.csv can't be read" in await refused(options, "query_metrics", service="web")
    (tmp_path / "series.csv").write_text("time,value\n")
    assert "the header must be metric,service,time,value" in await refused(
        options, "query_metrics", service="web"
    )
    (tmp_path / "graph.json").write_text('["web"]')
    assert "caller → list of callees" in await refused(options, "get_service_graph")
    (tmp_path / "alerts.json").write_text('[{"labels": 3}]')
    assert "each alert needs labels and since" in await refused(options, "list_alerts")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, "either prometheus"),
        ({"path": "x", "prometheus": "http://a"}, "either prometheus"),
        ({"prometheus": "http://a"}, "needs metrics"),
        ({"prometheus": "http://a", "metrics": {"latency": {}}}, "metrics.latency needs a query"),
        ({"prometheus": "http://a", "metrics": {"p99": {"query": "x"}}}, "metrics.p99 needs a kind"),
        ({"prometheus": "ftp://a", "metrics": QUERIES}, "pattern"),
        ({"path": "x", "service_label": "a-b"}, "pattern"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        Options.model_validate(options)


def test_the_anomaly_tool_needs_a_metrics_section() -> None:
    with pytest.raises(ValueError, match="no section metrics-mcp"):
        tools.build(tools.Options(), Config(models={}, domains={}), Path())


@dataclass
class Fake:
    """A Prometheus that answers as `answer` says: a status and a body."""

    port: int = 0
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    answer: Callable[[str, dict[str, str]], tuple[int, bytes]] = lambda path, form: (200, b"")

    @property
    def options(self) -> dict[str, Any]:
        return {"prometheus": f"http://127.0.0.1:{self.port}", "metrics": QUERIES, "time_limit": "2s"}


@contextmanager
def serving() -> Iterator[Fake]:
    fake = Fake()

    class Handler(BaseHTTPRequestHandler):
        def _handle(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            form = {name: found[0] for name, found in parse_qs(self.rfile.read(length).decode()).items()}
            fake.asked.append((self.path, form))
            status, body = fake.answer(self.path, form)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _handle

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    fake.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield fake
    server.shutdown()
    server.server_close()


@pytest.fixture(name="fake")
def new_fake() -> Iterator[Fake]:
    with serving() as fake:
        yield fake


def data(kind: str, result: list[Any]) -> tuple[int, bytes]:
    return 200, json.dumps({"status": "success", "data": {"resultType": kind, "result": result}}).encode()


def one(name: str, *values: Any, **labels: str) -> dict[str, Any]:
    start = NOW.timestamp() - 600
    pairs = [[start + 60 * place, str(value)] for place, value in enumerate(values)]
    return {"metric": {"service": name, **labels}, "values": pairs}


async def test_a_service_is_asked_for_by_name_whatever_the_name(fake: Fake) -> None:
    """Nothing in a name is a pattern or ends the quotes."""
    name = 'a.b"} or vector(1) or {x=~".*|\\'
    fake.answer = lambda path, form: data("matrix", [one(name, 1, "NaN", 3), one("other", 9)])
    found = await told(fake.options, "query_metrics", service=name, metric="latency")
    (latency,) = found["series"]
    assert [value for _, value in latency["points"]] == [1, 3]
    asked = fake.asked[0][1]["query"]
    assert asked.startswith('seconds{service=~"a\\\\x{2e}b\\\\x{22}') and asked.endswith('"}')
    assert asked.count('"') == 2


async def test_steps_and_requests_are_filled_in(fake: Fake) -> None:
    fake.answer = lambda path, form: data("matrix", [one("web", 1)])
    await told(fake.options, "query_metrics", service="web", metric="requests")
    path, form = fake.asked[0]
    assert path == "/api/v1/query_range"
    assert form["query"] == 'sum by (service) (rate(asked_total{service=~"web"}[300s]))'
    assert float(form["step"]) == 300


async def test_several_series_of_one_metric_are_told(fake: Fake) -> None:
    fake.answer = lambda path, form: data("matrix", [one("web", 1, pod="a"), one("web", 2, pod="b")])
    found = await told(fake.options, "query_metrics", service="web", metric="latency")
    assert "web has several series of one metric" in found["note"]


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (
            400,
            b'{"status":"error","error":"parse error: unexpected end"}',
            "HTTP 400: parse error: unexpected end",
        ),
        (503, b"starting up", "HTTP 503: starting up"),
        (200, b"<html>", "HTTP 200: <html>"),
        (200, b'["x"]', "HTTP 200"),
        (200, b'{"status":"success","data":{"resultType":"matrix","result":null}}', ""),
        (200, b'{"status":"success","data":null}', ""),
    ],
)
async def test_answers_that_are_no_series(fake: Fake, status: int, body: bytes, reason: str) -> None:
    fake.answer = lambda path, form: (status, body)
    if reason:
        assert reason in await refused(fake.options, "query_metrics", service="web", metric="latency")
    else:
        found = await told(fake.options, "query_metrics", service="web", metric="latency")
        assert found["series"] == [] and "no samples of web" in found["note"]


async def test_a_prometheus_that_is_down(fake: Fake) -> None:
    options = {**fake.options, "prometheus": "http://127.0.0.1:9"}
    said = await refused(options, "list_alerts")
    assert "Prometheus at http://127.0.0.1:9" in said and "check mcp_servers: prometheus" in said
    result = await look(options, service="web")
    assert result.is_error and "http://127.0.0.1:9" in result.content[0].text


async def test_a_prometheus_that_does_not_answer_in_time(fake: Fake) -> None:
    held = threading.Event()
    fake.answer = lambda path, form: (200, b"late") if held.wait(20) else (200, b"")
    try:
        said = await refused({**fake.options, "time_limit": "1s"}, "query_metrics", service="web")
    finally:
        held.set()
    assert "no answer within 1 s" in said


async def test_an_answer_beyond_all_bounds(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus, "MAX_ANSWER", 10_000)
    fake.answer = lambda path, form: data("matrix", [one("web", *range(5000))])
    assert "larger than 10,000 bytes" in await refused(fake.options, "query_metrics", service="web")


async def test_ten_thousand_services_are_cut_and_told(fake: Fake) -> None:
    """Without a graph all services would be compared: the first ones are, in batches."""
    names = [f"s{number:05d}" for number in range(10_000)]

    def answer(path: str, form: dict[str, str]) -> tuple[int, bytes]:
        if path.endswith("/query"):
            assert form["query"].startswith("group by (service)")
            return data("vector", [{"metric": {"service": name}, "value": [0, "1"]} for name in names])
        return data("matrix", [one(name, *[1] * 8) for name in names if name in form["query"]])

    fake.answer = answer
    found = (await look(fake.options, service="s09999", metric="latency")).structured_content
    assert not found["anomalous"] and found["services"] == series.MAX_SERVICES + 1
    assert "10000 services; only the first 300 by name were read" in found["note"]
    ranges = [form["query"] for path, form in fake.asked if path.endswith("query_range")]
    assert max(query.count("|") for query in ranges) < prometheus.BATCH


async def test_the_graph_and_the_alerts_of_a_prometheus(fake: Fake) -> None:
    def answer(path: str, form: dict[str, str]) -> tuple[int, bytes]:
        if path.endswith("/alerts"):
            alerts = [
                {"labels": {"alertname": "Slow", "service": "web"}, "state": "firing",
                 "annotations": {"summary": "it is"}, "activeAt": "2026-02-17T08:00:00.5Z"},
                {"labels": {"alertname": "Later"}, "state": "pending", "activeAt": "2026-02-17T08:00:00Z"},
            ]  # fmt: skip
            return 200, json.dumps({"status": "success", "data": {"alerts": alerts}}).encode()
        pair = {"metric": {"client": "web", "server": "shop"}, "value": [0, "3"]}
        return data("vector", [pair, pair, {"metric": {"client": "web"}, "value": [0, "1"]}])

    fake.answer = answer
    options = {**fake.options, "graph": {"query": "calls", "edges": {"shop": ["bank"]}}}
    assert (await told(options, "get_service_graph"))["calls"] == [["shop", "bank"], ["web", "shop"]]
    (alert,) = (await told(options, "list_alerts"))["alerts"]
    assert (alert["name"], alert["summary"]) == ("Slow", "it is")
