"""An approval in Slack, with everything real but Slack: server, worker, background services."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from flows.chat import interactivity
from tasks import approvals, record
from tasks.platform import open_now
from tests import slack_server
from tests.deployed import WAIT_SECONDS, Deployed
from tests.held_model import HeldModel
from tests.slack_server import Post, SlackServer, clicking, submitting
from tests.worlds import platform_database

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def slack() -> Iterator[SlackServer]:
    """Slack."""
    with slack_server.serving() as server:
        yield server


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory, slack: SlackServer) -> Iterator[Deployed]:
    """Server, deployments, worker and services, which speak to that Slack."""
    model = HeldModel()
    there = {"SLACK_API_URL": slack.url, "SLACK_BOT_TOKEN": slack_server.TOKEN}
    instance = Deployed(tmp_path_factory.mktemp("deployed"), model, **there)
    try:
        answer = instance.deploy()
        assert answer.returncode == 0, answer.stdout + answer.stderr
        instance.start_worker()
        yield instance
    finally:
        instance.close()
        model.close()


@pytest.fixture(autouse=True)
def here(deployed: Deployed, slack: SlackServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A new world whose config knows Slack, for the services and for this process, which takes the clicks."""
    for name in ("ASPORA_HOME", "ASPORA_CONFIG", "SLACK_API_URL", "SLACK_BOT_TOKEN"):
        monkeypatch.setenv(name, deployed.environment[name])
    monkeypatch.delenv("ASPORA_DATABASE_URL", raising=False)
    deployed.set_up()
    config = yaml.safe_load(Path(deployed.config).read_text())
    bots = [{"mention": "@ecm-agent", "user_id": "U0BOT"}]
    config["slack"] = {"bots": bots, "channels": {"default": "C0OPS"}, "users": {"U0ADA": "Ada"}}
    Path(deployed.config).write_text(yaml.safe_dump(config))
    slack.posts.clear()
    deployed.start_services()
    yield
    deployed.stop_services()


def question(slack: SlackServer) -> Post | None:
    """The message with the buttons."""
    return next((post for post in slack.posts if post.buttons), None)


def newest(deployed: Deployed) -> approvals.Approval:
    return platform_database(deployed.environment).read_now(lambda conn: approvals.find(conn, limit=1))[0]


async def sent(payload: dict[str, object]) -> None:
    platform = open_now()
    await interactivity.clicked(platform, platform.config.slack.bots[0], payload)
    platform.database.close()


async def test_a_click_frees_the_orders(deployed: Deployed, slack: SlackServer) -> None:
    """The suspended run wakes and carries the fix out; the thread is told."""
    deployed.start_run()
    asked = deployed.until(lambda: question(slack), WAIT_SECONDS)
    await sent(clicking(asked, "approve", "U0ADA"))
    deployed.until(lambda: newest(deployed).status == "done", WAIT_SECONDS, lambda: newest(deployed).status)
    approval = newest(deployed)
    assert (approval.decided_by, approval.decided_via, approval.verified) == ("Ada", "slack", True)
    assert approval.result["still_due"] == 0
    told = deployed.until(lambda: [post for post in slack.posts if " orders done" in post.words], 30)
    assert told[0].thread == asked.thread
    assert asked.buttons == {}
    assert "by Ada in Slack at" in asked.words
    deployed.until(lambda: newest(deployed).flow_run_id is None, WAIT_SECONDS)


def suspended(deployed: Deployed) -> bool:
    """Whether the newest fix's flow run waits."""
    run = newest(deployed).flow_run_id
    return bool(run) and deployed.state(str(run)) == "Suspended"


async def test_a_worker_that_is_killed_while_it_waits_loses_nothing(
    deployed: Deployed, slack: SlackServer
) -> None:
    """Decided while no worker and no services run; they carry it on when they are back."""
    deployed.start_run()
    asked = deployed.until(lambda: question(slack), WAIT_SECONDS)
    deployed.until(lambda: suspended(deployed), WAIT_SECONDS)
    deployed.stop_worker()
    deployed.stop_services()
    await sent(clicking(asked, "approve", "U0ADA"))
    assert newest(deployed).status == "approved"
    deployed.start_services()
    deployed.start_worker()
    deployed.until(lambda: newest(deployed).status == "done", WAIT_SECONDS, lambda: newest(deployed).status)
    deployed.until(lambda: not asked.buttons, 30)


async def test_a_rejection_ends_the_suspended_run(deployed: Deployed, slack: SlackServer) -> None:
    deployed.start_run()
    asked = deployed.until(lambda: question(slack), WAIT_SECONDS)
    run = deployed.until(lambda: newest(deployed).flow_run_id, WAIT_SECONDS)
    assert deployed.until(lambda: deployed.form(run), WAIT_SECONDS)
    await sent(clicking(asked, "reject", "U0ADA"))
    await sent(submitting(slack.views[-1], "U0ADA", "not today"))
    assert deployed.reaches(run, "Completed", "Failed") == "Completed"
    approval = newest(deployed)
    assert (approval.status, approval.comment) == ("rejected", "not today")
    ended = platform_database(deployed.environment).read_now(
        lambda conn: record.get(conn, approval.execution_id)
    )
    assert ended.outcome == "rejected"
