"""The deployments of prefect.yaml on a real server with a real worker: schedule, approval, crash."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import pytest

from tasks import approvals, inbox, record
from tests.deployed import WAIT_SECONDS, Deployed
from tests.held_model import HeldModel
from tests.worlds import DIAGNOSED, platform_database

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def model() -> Iterator[HeldModel]:
    """The model server that a worker may be pointed at."""
    held = HeldModel()
    yield held
    held.close()


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory, model: HeldModel) -> Iterator[Deployed]:
    """Server, deployments and worker."""
    directory = tmp_path_factory.mktemp("deployed")
    instance = Deployed(directory, model)
    try:
        answer = instance.deploy()
        assert answer.returncode == 0, answer.stdout + answer.stderr
        instance.start_worker()
        yield instance
    finally:
        instance.close()


def waiting(deployed: Deployed) -> approvals.Approval:
    """The newest proposal."""
    return platform_database(deployed.environment).read_now(lambda conn: approvals.find(conn, limit=1))[0]


def test_the_cron_deployment_is_scheduled(deployed: Deployed) -> None:
    scheduled = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
    runs = deployed.until(lambda: deployed.flow_runs("ecm", **scheduled), 30)
    hours = {datetime.fromisoformat(run["expected_start_time"]).strftime("%H:%M") for run in runs}
    assert hours <= {"00:00", "08:00", "16:00"}


def test_an_approval_given_after_the_worker_was_restarted_frees_the_orders(deployed: Deployed) -> None:
    deployed.set_up()
    run = deployed.suspended()
    assert deployed.resume(run, decision="maybe", name="Ada") == "REJECT"
    assert deployed.resume(run, decision="approve", name=" ") == "REJECT"
    assert deployed.state(run) == "Suspended"
    assert waiting(deployed).status == "waiting"
    deployed.stop_worker()
    deployed.start_worker()
    assert deployed.resume(run, decision="approve", name="Ada") == "ACCEPT"
    assert deployed.resume(run, decision="reject", name="Bob") == "ABORT"
    assert deployed.reaches(run, "Completed", "Failed") == "Completed"
    approval = waiting(deployed)
    assert (approval.status, approval.decided_by, approval.decided_via) == ("done", "Ada", "prefect")
    assert approval.result["done"] > 10
    assert approval.result["still_due"] == 0
    trigger = platform_database(deployed.environment).read_now(lambda conn: inbox.get(conn, approval.run_id))
    assert trigger.result == "completed"


def test_each_execution_left_its_page_and_runs_are_named_after_it(deployed: Deployed) -> None:
    database = platform_database(deployed.environment)
    approval = waiting(deployed)
    rows = database.read_now(lambda conn: record.of_run(conn, approval.run_id))
    artifacts = deployed.post("/artifacts/filter", {"limit": 200})
    for row in rows:
        pages = [each["data"] for each in artifacts if each["description"] == f"Execution {row.execution_id}"]
        assert pages
        assert all(page.startswith(f"# {row.execution_id}") for page in pages)
        assert any(run["name"] == row.execution_id for run in deployed.flow_runs(row.skill_name))
    assert any(run["name"] == approval.run_id for run in deployed.flow_runs("ecm"))


def test_a_rejection_in_prefect_ends_the_fix(deployed: Deployed) -> None:
    deployed.set_up()
    run = deployed.suspended()
    assert deployed.resume(run, decision="reject", name="Ada") == "ACCEPT"
    deployed.until(lambda: "Not accepted" in deployed.form(run), WAIT_SECONDS)
    assert waiting(deployed).status == "waiting"
    assert deployed.resume(run, decision="reject", name="Ada", comment="not today") == "ACCEPT"
    assert deployed.reaches(run, "Completed", "Failed") == "Completed"
    approval = waiting(deployed)
    assert (approval.status, approval.comment, approval.result) == ("rejected", "not today", None)
    ended = platform_database(deployed.environment).read_now(
        lambda conn: record.get(conn, approval.execution_id)
    )
    assert ended.outcome == "rejected"


def test_a_decision_on_the_command_line_wakes_the_suspended_run(deployed: Deployed) -> None:
    deployed.set_up()
    run = deployed.suspended()
    id = waiting(deployed).id
    first = deployed.run("aspora", "approve", id, "--as", "Ada", "--json")
    assert first.returncode == 0, first.stderr
    assert '"status": "approved"' in first.stdout
    assert deployed.reaches(run, "Completed", "Failed") == "Completed"
    second = deployed.run("aspora", "approve", id, "--as", "Bob", "--json")
    assert second.returncode != 0
    assert '"status": "already_decided"' in second.stdout
    approval = waiting(deployed)
    assert (approval.status, approval.decided_by, approval.flow_run_id) == ("done", "Ada", None)


def test_an_approval_expires(deployed: Deployed) -> None:
    deployed.set_up(approval_expires="40s")
    run = deployed.suspended()
    id = waiting(deployed).id
    assert deployed.reaches(run, "Failed") == "Failed"
    late = deployed.run("aspora", "approve", id, "--as", "Ada", "--json")
    assert late.returncode != 0
    assert '"status": "expired"' in late.stdout
    assert waiting(deployed).status == "expired"


def test_a_killed_run_started_again_continues_from_its_journal(deployed: Deployed, model: HeldModel) -> None:
    deployed.set_up(DIAGNOSED)
    deployed.stop_worker()
    deployed.start_worker(ANTHROPIC_BASE_URL=model.url)
    run = deployed.start_run()
    assert model.holding.wait(WAIT_SECONDS)
    deployed.stop_worker()
    model.release.set()
    again = {"state": {"type": "SCHEDULED", "name": "AwaitingRetry"}, "force": True}
    deployed.post(f"/flow_runs/{run}/set_state", again)
    deployed.start_worker(ANTHROPIC_BASE_URL=model.url)
    assert deployed.reaches(run, "Completed", "Failed", "Crashed") == "Completed"
    assert model.asked == {("patterns", 1): 1, ("patterns", 2): 1, ("root_cause", 1): 1, ("root_cause", 2): 2}


def test_a_correction_from_the_form_is_kept(deployed: Deployed) -> None:
    deployed.set_up()
    assert deployed.reaches(deployed.start_run(), "Completed", "Failed", "Crashed") == "Completed"
    database = platform_database(deployed.environment)
    triage = database.read_now(lambda conn: record.latest(conn, "ecm-triage"))
    assert triage
    deployment = deployed.api.get("/deployments/name/correct/correct").json()["id"]
    given = {"execution_id": triage.execution_id, "actual_root_cause": "a quota", "name": "Ada"}
    body = {"state": {"type": "SCHEDULED"}, "parameters": given}
    run = deployed.post(f"/deployments/{deployment}/create_flow_run", body)["id"]
    assert deployed.reaches(run, "Completed", "Failed", "Crashed") == "Completed"
    shown = database.read_now(lambda conn: record.view(conn, triage.execution_id))
    assert shown and shown.user_correction == {"actual_root_cause": "a quota"}
