"""kill -9 of a part of `aspora up` at each stage of a run: nothing is lost, and nothing is done twice."""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest
import yaml
from sqlalchemy import Connection

from tasks import actions, approvals, decision, inbox, record
from tasks.approvals import Approval
from tasks.platform import open_now
from tests.fix_world import Api, Call, serving
from tests.held_model import HeldModel
from tests.up_world import PARTS, Up, gone
from tests.worlds import DIAGNOSED, platform_database

pytestmark = pytest.mark.full

FIXED = [*DIAGNOSED, {"when": "diagnose.confidence == low", "route_to": "ecm-resolve"}]
"""Triage, a diagnosis, a fix that waits for approval; of lulu alone in the world of the tests."""
HELD_AT = 10
"""The call that the company holds."""


class Company:
    """Does what it is asked to at once, and holds the answer to one call until told."""

    def __init__(self, api: Api, warehouse: Path) -> None:
        self.api, self._warehouse = api, warehouse
        self.holding, self.release = threading.Event(), threading.Event()
        self.calls: Counter[str] = Counter()
        api.answer = self._act

    def reset(self) -> None:
        """The orders are stuck anew; the next fix is held again."""
        self._set("status = 'open', stage_entered_at = datetime(stage_entered_at, '-1 second')", *self.calls)
        self.calls.clear()
        self.holding.clear()
        self.release.clear()

    def _act(self, call: Call) -> int:
        order = call.path.split("/")[2]
        self.calls[order] += 1
        self._set("status = 'completed'", order)
        if self.calls.total() == HELD_AT and not self.holding.is_set():
            self.holding.set()
            self.release.wait(120)
        return 200

    def _set(self, values: str, *orders: str) -> None:
        with closing(sqlite3.connect(self._warehouse, timeout=30)) as connection, connection:
            rows = [(order,) for order in orders]
            connection.executemany(f"UPDATE orders SET {values} WHERE order_id = ?", rows)


@pytest.fixture(scope="module")
def model() -> Iterator[HeldModel]:
    """A model server that holds a diagnosis until it is told."""
    held = HeldModel()
    yield held
    held.close()


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    """The company's API."""
    with serving() as api:
        yield Company(api, tmp_path_factory.getbasetemp() / "killed" / "home" / "warehouse.db")


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory, model: HeldModel, company: Company) -> Iterator[Up]:
    """A running one, with that model and that company, whose runs give Prefect up at the first failure.

    By default they try for a minute, and a server is back before.
    """
    directory = tmp_path_factory.getbasetemp() / "killed"
    directory.mkdir()
    instance = Up(directory, FIXED, ANTHROPIC_BASE_URL=model.url, PREFECT_CLIENT_MAX_RETRIES="0")
    file = Path(instance.environment["ASPORA_CONFIG"])
    config = yaml.safe_load(file.read_text())
    (action,) = config["domains"]["ecm"]["actions"]
    action |= {"url": f"{company.api.url}/orders/{{order_id}}/retry", "timeout": "120s"}
    file.write_text(yaml.safe_dump(config))
    try:
        instance.start()
        yield instance
    finally:
        company.release.set()
        instance.kill()


@pytest.fixture(autouse=True)
def here(up: Up, model: HeldModel, company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process decides on fixes; model and company hold their answers again."""
    for name in ("ASPORA_HOME", "ASPORA_CONFIG"):
        monkeypatch.setenv(name, up.environment[name])
    monkeypatch.delenv("ASPORA_DATABASE_URL", raising=False)
    model.asked.clear()
    model.holding.clear()
    model.release.clear()
    company.reset()


@pytest.mark.parametrize("name", list(PARTS))
async def test_a_run_whose_part_is_killed_at_each_stage_is_done_once(
    up: Up, model: HeldModel, company: Company, name: str
) -> None:
    """Just accepted, with a model turn in flight, while it waits for people, in the middle of an action."""
    id = up.trigger(f"killed-{name}")
    kill(up, name)
    assert model.holding.wait(180)
    kill(up, name)
    model.release.set()
    trigger = up.runs(id)
    assert (trigger.state, trigger.result) == ("done", "awaiting_approval"), trigger.reason
    assert_asked_once(model, but_for=2 if name == "worker" else 0)

    asked = up.until(lambda: suspended(up, trigger.run_id), lambda: approval(up, trigger.run_id))
    kill(up, name)
    await approve(asked.id)
    assert company.holding.wait(180)
    kill(up, name)
    company.release.set()
    ended = up.until(lambda: over(up, trigger.run_id), lambda: approval(up, trigger.run_id))

    assert ended.result["still_due"] == 0
    assert ended.result["done"] + ended.result["unknown"] == len(company.calls) >= 50
    assert ended.result["unknown"] == (1 if name == "worker" else 0)
    assert set(company.calls.values()) == {1}
    assert_nothing_is_left(up, trigger, name)


def assert_asked_once(model: HeldModel, but_for: int) -> None:
    """Each turn was taken, and at most so many of them once more: those in flight when the run was killed."""
    turns = {(skill, turn) for skill in ("patterns", "root_cause", "fixes") for turn in (1, 2)}
    assert model.asked.keys() == turns
    assert model.asked.total() <= len(turns) + but_for, model.asked
    assert max(model.asked.values()) <= 2


def assert_nothing_is_left(up: Up, trigger: inbox.Trigger, name: str) -> None:
    """One run's worth of executions, each over; one fix, decided once; no flow run under way."""

    def read(conn: Connection) -> None:
        executions = record.of_run(conn, trigger.run_id)
        assert [each.skill_name for each in executions] == ["ecm-triage", "ecm-diagnose", "ecm-resolve"]
        assert None not in {each.outcome for each in executions}
        (fix,) = approvals.find(conn, run_id=trigger.run_id)
        assert fix.decided_by == "Ada"
        assert {each.status for each in actions.of_approval(conn, fix.id)} <= {"done", "unknown"}
        (row,) = inbox.find(conn, states=("done",), limit=1)
        assert row.id == trigger.id
        assert not inbox.find(conn, states=("running", "pending", "deferred"))

    platform_database(up.environment).read_now(read)
    up.until(lambda: running_part(up, name), up.log.read_text)
    up.until(lambda: not under_way(up), lambda: str(under_way(up)))


def kill(up: Up, name: str) -> None:
    """SIGKILL for a part, once it runs."""
    part = up.until(lambda: running_part(up, name), up.log.read_text)
    processes = [part, *part.children(recursive=True)]
    part.kill()
    assert gone(processes) == []


def running_part(up: Up, name: str) -> psutil.Process | None:
    """The part that has started last is back."""
    told = up.log.read_text()
    if told.count(f"{name} was ended by") > told.count(f"{name} is back"):
        return None
    return up.part(name)


def approval(up: Up, run_id: str) -> Approval:
    """The run's fix."""
    (found,) = platform_database(up.environment).read_now(lambda conn: approvals.find(conn, run_id=run_id))
    return found


def suspended(up: Up, run_id: str) -> Approval | None:
    """The run's fix, once a flow run waits for its approval."""
    found = approval(up, run_id)
    waits = found.flow_run_id and up.state(found.flow_run_id) == "Suspended"
    return found if waits else None


def over(up: Up, run_id: str) -> Approval | None:
    """The run's fix, once it was carried out."""
    found = approval(up, run_id)
    return found if found.status in ("done", "failed", "stopped") else None


async def approve(id: str) -> None:
    """Ada says yes."""
    platform = open_now()
    decided = await decision.decide(platform, id, True, by="Ada", via="cli")
    platform.database.close()
    assert decided.status == "approved"


def under_way(up: Up) -> list[str]:
    """Flow runs that have begun and not ended."""
    types = {"type": {"any_": ["PENDING", "RUNNING", "PAUSED", "CANCELLING"]}}
    runs = up.post("/flow_runs/filter", {"flow_runs": {"state": types}})
    return [f"{run['name']} is {run['state_name']}" for run in runs]
