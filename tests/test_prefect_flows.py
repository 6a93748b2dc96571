"""ECM as Prefect flows: names, steps, pages, approval without a deployment, failure, refusal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from pydantic import ValidationError

from flows import approving
from flows.ecm.flow import ecm, ecm_diagnose, ecm_resolve, ecm_triage
from flows.performance import Verdict
from tasks import approvals, controls, inbox
from tasks.platform import Platform, open_now
from tasks.run import RunFailed
from tests.worlds import STRAIGHT, draw_world, write_config

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect")]


@pytest.fixture
def platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Platform:
    """A home with a sample world whose stuck lulu orders lead straight to a proposed fix."""
    draw_world(tmp_path / "home")
    return configured(tmp_path, monkeypatch)


def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **guardrails: Any) -> Platform:
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "ASPORA_DATABASE_URL", "ASPORA_WAREHOUSE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ASPORA_HOME", str(tmp_path / "home"))
    config = write_config(tmp_path / "aspora.config.yaml", STRAIGHT, **guardrails)
    monkeypatch.setenv("ASPORA_CONFIG", str(config))
    return open_now()


async def found(kind: str, **filters: Any) -> list[dict[str, Any]]:
    async with get_client() as client:
        answer = await client.request("POST", f"/{kind}/filter", json=filters)
    return list(answer.json())


async def run_named(name: str) -> dict[str, Any]:
    [run] = await found("flow_runs", flow_runs={"name": {"any_": [name]}})
    return run


async def pages(execution_id: str) -> list[str]:
    key = "".join(sign if sign.isalnum() else "-" for sign in execution_id.lower())
    return [each["data"] for each in await found("artifacts", artifacts={"key": {"any_": [key]}})]


async def steps(flow_run_id: str) -> list[str]:
    runs = await found("task_runs", flow_runs={"id": {"any_": [flow_run_id]}})
    return sorted(run["name"] for run in runs)


def test_flows_have_their_documented_names() -> None:
    names = [flow.name for flow in (ecm, ecm_triage, ecm_diagnose, ecm_resolve)]
    assert names == ["ecm", "ecm-triage", "ecm-diagnose", "ecm-resolve"]


async def test_a_run_shows_its_steps_leaves_its_pages_and_waits_for_approval(platform: Platform) -> None:
    report = await ecm()
    assert report["state"] == "awaiting_approval"
    run = await run_named(report["run_id"])
    assert run["state_name"] == "Completed"
    triage, resolve = report["executions"]
    for execution in (triage, resolve):
        own = await run_named(execution["execution_id"])
        assert await steps(own["id"]) == ["model turn 1", "model turn 2", "tool query_stuck_orders"]
        [page] = await pages(execution["execution_id"])
        assert page.startswith(f"# {execution['execution_id']}")
    assert report["approvals"][0]["status"] == "waiting"
    assert "retry\\_orders" in (await pages(resolve["execution_id"]))[0]


@pytest.mark.full
async def test_config_may_approve_and_the_run_then_frees_the_orders(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured(tmp_path, monkeypatch, human_in_loop=[])
    report = await ecm()
    assert report["state"] == "completed"
    [approval] = report["approvals"]
    assert approval["status"] == "done"
    assert approval["result"]["still_due"] == 0
    assert any("**Outcome:** success" in page for page in await pages(approval["execution_id"]))


async def test_a_run_that_cannot_read_its_orders_fails_and_so_does_its_flow_run(
    platform: Platform, tmp_path: Path
) -> None:
    (tmp_path / "home" / "warehouse.db").write_text("no database")
    with pytest.raises(RunFailed):
        await ecm()
    [trigger] = platform.database.read_now(inbox.find)
    assert trigger.state == "failed"
    assert (await run_named(trigger.run_id))["state_name"] == "Failed"


async def test_a_stopped_domain_refuses_the_run(platform: Platform) -> None:
    platform.database.write_now(lambda conn: controls.stop(conn, controls.domain("ecm"), by="Ada"))
    report = await ecm()
    assert report["state"] == "refused"
    assert report["executions"] == []


@pytest.mark.full
async def test_waking_leaves_a_run_of_another_server_for_later(platform: Platform) -> None:
    report = await ecm()
    id, elsewhere = report["approvals"][0]["id"], "00000000-0000-4000-8000-000000000000"
    platform.database.write_now(lambda conn: approvals.attach(conn, id, elsewhere))
    platform.database.write_now(lambda conn: approvals.decide(conn, id, False, by="Ada", via="cli"))
    await approving.wake(platform)
    assert platform.database.read_now(lambda conn: approvals.get(conn, id)).flow_run_id == elsewhere


@pytest.mark.full
async def test_waking_forgets_a_run_that_is_over(platform: Platform) -> None:
    report = await ecm()
    id, over = report["approvals"][0]["id"], (await run_named(report["run_id"]))["id"]
    platform.database.write_now(lambda conn: approvals.attach(conn, id, over))
    platform.database.write_now(lambda conn: approvals.decide(conn, id, False, by="Ada", via="cli"))
    await approving.wake(platform)
    assert platform.database.read_now(lambda conn: approvals.get(conn, id)).flow_run_id is None


@pytest.mark.parametrize(
    "given",
    [
        {"decision": "maybe", "name": "Ada"},
        {"decision": "approve", "name": ""},
        {"decision": "approve", "name": "   "},
        {"decision": "approve"},
        {"decision": "approve", "name": "A" * 201},
    ],
)
def test_the_form_takes_a_decision_and_a_name(given: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        Verdict.model_validate(given)
    assert Verdict(decision="approve", name="Ada").comment == ""
