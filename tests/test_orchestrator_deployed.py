"""Alerts on a real server with a real worker: event, automation, flow run; lost, killed and doubled ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from flows import orchestrator
from tasks import inbox
from tasks.domain import Incoming
from tasks.platform import open_now
from tests.deployed import WAIT_SECONDS, Deployed
from tests.held_model import HeldModel
from tests.worlds import DIAGNOSED, platform_database

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def model() -> Iterator[HeldModel]:
    held = HeldModel()
    yield held
    held.close()


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory, model: HeldModel) -> Iterator[Deployed]:
    """Server, deployments, worker and background services."""
    directory = tmp_path_factory.mktemp("deployed")
    instance = Deployed(directory, model, PREFECT_SERVER_SERVICES_EVENT_PERSISTER_ENABLED="true")
    try:
        answer = instance.deploy()
        assert answer.returncode == 0, answer.stdout + answer.stderr
        instance.start_worker()
        instance.start_services()
        yield instance
    finally:
        instance.close()


@pytest.fixture(autouse=True)
def same_home(deployed: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process stores alerts where the deployed one looks for them."""
    for name in ("ASPORA_HOME", "ASPORA_CONFIG"):
        monkeypatch.setenv(name, deployed.environment[name])


def fire(deployed: Deployed, key: str) -> inbox.Trigger:
    """An alert that comes in."""
    message = Incoming("prometheus", key, {"alertname": "StuckOrders", "stage": "lulu"})
    platform = open_now()
    return platform.database.write_now(lambda conn: orchestrator.receive(conn, platform, message))


def row(deployed: Deployed, trigger: inbox.Trigger) -> inbox.Trigger:
    return platform_database(deployed.environment).read_now(lambda conn: inbox.get(conn, trigger.id))


def ended(deployed: Deployed, trigger: inbox.Trigger) -> inbox.Trigger:
    """Waits until the trigger's run has ended."""
    over = ("done", "failed", "refused")
    deployed.until(lambda: row(deployed, trigger).state in over, WAIT_SECONDS, lambda: row(deployed, trigger))
    return row(deployed, trigger)


def flow_runs(deployed: Deployed, trigger: inbox.Trigger) -> list[dict[str, Any]]:
    """Flow runs that were started for a trigger."""
    runs = deployed.flow_runs("ecm", limit=100)
    return [run for run in runs if run["parameters"].get("trigger_id") == trigger.id]


def test_an_alert_runs_the_domain_once_through_event_and_automation(deployed: Deployed) -> None:
    trigger = fire(deployed, "first")
    over = ended(deployed, trigger)
    assert (over.result, over.dispatches, over.attempts) == ("awaiting_approval", 1, 1)
    [run] = flow_runs(deployed, trigger)
    assert (run["id"], run["name"]) == (over.flow_run_id, over.run_id)
    assert run["created_by"]["type"] == "AUTOMATION"
    assert deployed.reaches(run["id"], "Completed", "Failed") == "Completed"


def test_a_second_flow_run_of_a_trigger_ends_quietly(deployed: Deployed) -> None:
    [trigger] = platform_database(deployed.environment).read_now(inbox.find)
    deployment = deployed.api.get("/deployments/name/ecm/ecm").json()["id"]
    asked = {"state": {"type": "SCHEDULED"}, "parameters": {"trigger_id": trigger.id}}
    id = deployed.post(f"/deployments/{deployment}/create_flow_run", asked)["id"]
    assert deployed.reaches(id, "Completed", "Failed") == "Completed"
    state = deployed.api.get(f"/flow_runs/{id}").json()["state"]
    assert state["message"] == f"run {trigger.run_id} is done already"
    assert row(deployed, trigger) == trigger


def test_a_run_whose_worker_was_killed_goes_on_by_itself(deployed: Deployed, model: HeldModel) -> None:
    """Nobody tells Prefect; at most the turn in flight is asked for again."""
    deployed.stop_services()
    deployed.set_up(DIAGNOSED)
    deployed.start_services()
    deployed.stop_worker()
    deployed.start_worker(ANTHROPIC_BASE_URL=model.url)
    trigger = fire(deployed, "killed")
    assert model.holding.wait(WAIT_SECONDS)
    deployed.stop_worker()
    model.release.set()
    deployed.start_worker(ANTHROPIC_BASE_URL=model.url)
    over = ended(deployed, trigger)
    assert (over.state, over.attempts) == ("done", 2)
    assert over.dispatches >= 2
    assert model.asked == {("patterns", 1): 1, ("patterns", 2): 1, ("root_cause", 1): 1, ("root_cause", 2): 2}


def test_an_event_that_starts_no_run_is_noticed_and_sent_again(deployed: Deployed) -> None:
    """The deployment's automation points nowhere; once it is deployed again, the run starts."""
    deployed.stop_services()
    deployed.set_up()
    deployed.start_services()
    deployed.stop_worker()
    deployed.start_worker()
    automations = deployed.post("/automations/filter", {})
    [automation] = [each for each in automations if each["trigger"]["match"]["aspora.domain"] == "ecm"]
    for action in automation["actions"]:
        action["deployment_id"] = "00000000-0000-4000-8000-000000000000"
    kept = ("name", "description", "enabled", "trigger", "actions")
    body = {name: automation[name] for name in kept}
    assert deployed.api.put(f"/automations/{automation['id']}", json=body).is_success
    trigger = fire(deployed, "lost")
    why = "no run was started: Unexpected status from 'run-deployment' action: 404"
    deployed.until(lambda: row(deployed, trigger).reason == why, WAIT_SECONDS, lambda: row(deployed, trigger))
    assert row(deployed, trigger).state in inbox.WAITING
    assert deployed.deploy().returncode == 0
    assert ended(deployed, trigger).state == "done"
