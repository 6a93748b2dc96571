"""`/metrics` at the gateway: both formats, and what happens when the record can't be read."""

from __future__ import annotations

import asyncio
import threading
from importlib import metadata
from pathlib import Path
from typing import Any

import prometheus_client
import pytest
from sqlalchemy import text

from flows.gateway import metrics
from tasks import reading
from tests.gateway_world import Town, new_town, notification, set_surroundings
from tests.scraped import OPENMETRICS, families, of, samples

__all__ = ["new_town", "set_surroundings"]
PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
"""What Prometheus 2.42 sends."""


@pytest.mark.parametrize("accept", ["*/*", "text/plain", "nonsense;version=x;q=?", ""])
async def test_the_text_format(town: Town, accept: str) -> None:
    answer = await town.client.get("/metrics", headers={"Accept": accept})
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = samples(answer.text)
    assert of(found, "aspora_build_info", version=metadata.version("aspora")) == 1
    assert of(found, "aspora_executions_total", domain="ecm", outcome="success") == 0


@pytest.mark.parametrize("accept", [PROMETHEUS, OPENMETRICS])
async def test_openmetrics_for_who_accepts_it(town: Town, accept: str) -> None:
    answer = await town.client.get("/metrics", headers={"Accept": accept})
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert len(families(answer.text)) > 20


async def test_what_comes_in_is_told_at_once(town: Town) -> None:
    await town.post("/alerts/prometheus", notification())
    found = samples((await town.client.get("/metrics")).text)
    assert of(found, "aspora_inbox_triggers", state="pending") == 1


async def test_only_destinations_that_are_set_up(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LANGFUSE_PUBLIC_KEY", "LANGFUSE_SECRET_KEY", "OPIK_URL_OVERRIDE", "OPIK_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    assert "outbox_pending{" not in (await town.client.get("/metrics")).text
    monkeypatch.setenv("OPIK_URL_OVERRIDE", "http://127.0.0.1:9/api")
    assert 'outbox_pending{destination="opik"}' in (await town.client.get("/metrics")).text


async def test_a_metric_of_the_same_name_elsewhere_in_the_process(town: Town) -> None:
    """Libraries register metrics with the client's own registry; they neither clash nor are told here."""
    other = prometheus_client.Counter("aspora_executions_total", "Somebody else's.", ["domain"])
    try:
        other.labels("ecm").inc(99)
        found = samples((await town.client.get("/metrics")).text)
        assert of(found, "aspora_executions_total", domain="ecm", outcome="success") == 0
        assert of(found, "aspora_executions_total", domain="ecm") is None
    finally:
        prometheus_client.REGISTRY.unregister(other)


async def test_a_database_without_its_tables(town: Town) -> None:
    """503 with a sentence; alerts are taken as before, and metrics are back once the tables are."""
    town.database.write_now(lambda conn: conn.execute(text("ALTER TABLE counters RENAME TO gone")))
    answer = await town.client.get("/metrics")
    assert (answer.status_code, "tables are missing" in answer.text) == (503, True)
    assert answer.headers["content-type"].startswith("text/plain")
    assert (await town.post("/alerts/prometheus", notification())).status_code == 202
    town.database.write_now(lambda conn: conn.execute(text("ALTER TABLE gone RENAME TO counters")))
    assert (await town.client.get("/metrics")).status_code == 200


async def test_a_database_that_is_no_database(town: Town, tmp_path: Path) -> None:
    town.database.close()
    file = tmp_path / "home" / "aspora.db"
    good = file.read_bytes()
    for each in file.parent.glob("aspora.db*"):
        each.unlink()
    file.write_bytes(b"no database " * 1000)
    answer = await town.client.get("/metrics")
    assert (answer.status_code, "no SQLite database" in answer.text) == (503, True)
    assert (await town.client.get("/healthz")).status_code == 200
    file.write_bytes(good)
    town.database.close()
    assert (await town.client.get("/metrics")).status_code == 200


async def test_a_database_that_hangs(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scrapes give up in time, and no number of them takes more than one of the gateway's threads."""
    released, begun = threading.Event(), []
    read = reading.read

    def hang(*given: Any) -> Any:
        begun.append(1)
        released.wait(60)
        return read(*given)

    monkeypatch.setattr(reading, "read", hang)
    monkeypatch.setattr(metrics, "SECONDS", 0.05)
    try:
        answers = await asyncio.gather(*(town.client.get("/metrics") for _ in range(20)))
        assert {each.status_code for each in answers} == {503}
        assert "did not answer within 0.05 s" in answers[0].text
        assert len(begun) == 1
        assert (await town.post("/alerts/prometheus", notification())).status_code == 202
    finally:
        released.set()
    monkeypatch.setattr(metrics, "SECONDS", 30)
    assert (await town.client.get("/metrics")).status_code == 200
