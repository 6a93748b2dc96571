"""What the orchestrator finds out from Prefect, however many flow runs there are."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.orchestrator.events import MOST, PAGE, Server
from tasks.inbox import Trigger
from tests.record_world import NOW

SECOND = timedelta(seconds=1)


class Runs:
    """A Prefect server's flow runs: it filters, sorts and pages as asked."""

    def __init__(self) -> None:
        self.runs: list[dict[str, Any]] = []

    def add(self, trigger: str, at: datetime, state: str = "SCHEDULED", parent: str | None = None) -> str:
        id = f"f{len(self.runs)}"
        times = {"expected_start_time": at.isoformat(), "parent_task_run_id": parent}
        named = {"id": id, "name": id, "state_type": state, "state_name": state.title()}
        self.runs.append({**named, **times, "parameters": {"trigger_id": trigger} if trigger else {}})
        return id

    def answer(self, request: httpx.Request) -> httpx.Response:
        asked = json.loads(request.content)
        wanted = asked["flow_runs"]
        found = [run for run in self.runs if self._fits(run, wanted)]
        newest = asked.get("sort") == "EXPECTED_START_TIME_DESC"
        found.sort(key=lambda run: str(run["expected_start_time"]), reverse=newest)
        start = asked.get("offset", 0)
        return httpx.Response(200, json=found[start : start + asked.get("limit", PAGE)])

    def _fits(self, run: dict[str, Any], wanted: dict[str, Any]) -> bool:
        if "id" in wanted:
            return run["id"] in wanted["id"]["any_"]
        top = not wanted.get("parent_task_run_id", {}).get("is_null_") or run["parent_task_run_id"] is None
        return top and bool(run["expected_start_time"] >= wanted["expected_start_time"]["after_"])


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Runs:
    kept = Runs()

    @asynccontextmanager
    async def client() -> AsyncIterator[httpx.AsyncClient]:
        transport = httpx.MockTransport(kept.answer)
        async with httpx.AsyncClient(transport=transport, base_url="http://prefect/api") as opened:
            yield opened

    monkeypatch.setattr("prefect.client.orchestration.get_client", client)
    return kept


def sent(id: str, at: datetime, flow_run_id: str | None = None) -> Trigger:
    values = {"source": "prometheus", "domain": "ecm", "dedupe_key": id, "run_id": f"ecm-{id}"}
    times = {"created_at": at, "dispatched_at": at, "flow_run_id": flow_run_id}
    return Trigger(id=id, state="pending", **values, **times)


async def asked(*triggers: Trigger) -> dict[str, str]:
    """Trigger id → its flow run's id."""
    with temporary_settings({PREFECT_API_URL: "http://prefect/api"}):
        async with Server() as server:
            found = await server.flow_runs(triggers)
    return {id: run.id for id, run in found.items()}


async def test_an_old_trigger_that_waits_hides_no_newer_one(runs: Runs) -> None:
    for n in range(MOST * PAGE + 1):
        runs.add("", NOW + n * SECOND)
    new = runs.add("new", NOW + 3000 * SECOND)
    found = await asked(sent("old", NOW), sent("new", NOW + 3000 * SECOND))
    assert found == {"new": new}


async def test_skills_flow_runs_hide_no_trigger(runs: Runs) -> None:
    old = runs.add("old", NOW)
    for n in range(MOST * PAGE + 1):
        runs.add("", NOW + n * SECOND, parent="task")
    assert await asked(sent("old", NOW)) == {"old": old}


async def test_the_newest_flow_run_of_a_trigger_counts(runs: Runs) -> None:
    first = runs.add("t", NOW, "CRASHED")
    second = runs.add("t", NOW + 60 * SECOND)
    assert await asked(sent("t", NOW, first)) == {"t": second}
    assert await asked(sent("t", NOW + 3600 * SECOND, first)) == {"t": first}
