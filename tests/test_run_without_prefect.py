"""A run whose Prefect server fails in the middle: no failure of its own, and nothing is done twice."""

from __future__ import annotations

from collections import Counter

import httpx
import pytest

from flows.ecm import DOMAIN
from flows.ecm.models import EcmInput
from flows.orchestrator.dispatch import dispatch
from tasks import inbox
from tasks.outage import outage
from tasks.platform import open_now
from tasks.run import SkillFlow, admitted
from tasks.skill import perform
from tests.fix_world import World, new_api, new_world  # noqa: F401
from tests.orchestrated import Prefect
from tests.test_run_from_outside import new_trigger, row  # noqa: F401

API = "http://127.0.0.1:4200/api"
REQUEST = httpx.Request("POST", f"{API}/flow_runs/1/set_state")
REFUSED = httpx.ConnectError("All connection attempts failed", request=REQUEST)


@pytest.fixture(autouse=True)
def server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", API)


def answered(status: int, url: str = f"{API}/flow_runs/") -> httpx.HTTPStatusError:
    request = httpx.Request("POST", url)
    return httpx.HTTPStatusError(f"{status}", request=request, response=httpx.Response(status))


class Flows:
    """Skills whose Prefect flows fail as the test says, before or after their work.

    Attributes:
        begun: how often each skill's work was begun, by execution.
    """

    def __init__(self, before: Exception | None = None, after: Exception | None = None) -> None:
        self.before, self.after = before, after
        self.begun: Counter[str] = Counter()

    async def __call__(self, execution_id: str) -> None:
        if self.before:
            raise self.before
        self.begun[execution_id] += 1
        await perform(execution_id)
        if self.after:
            raise self.after


async def run(fix: SkillFlow, trigger_id: str = "", flow_run_id: str = "") -> None:
    async with admitted(DOMAIN, EcmInput(), trigger_id, flow_run_id) as admitted_run:
        manager = await admitted_run.manage(perform)
        await admitted_run.pursue(manager, {"ecm-resolve": fix})


@pytest.mark.parametrize("error", [REFUSED, answered(500), answered(503)])
async def test_a_run_that_can_not_reach_prefect_goes_on_by_itself(
    world: World, trigger: inbox.Trigger, error: Exception
) -> None:
    prefect, flows = Prefect(), Flows(before=error)
    with pytest.raises(type(error)):
        await run(flows, trigger.id, "f1")
    kept = row(world, trigger.id)
    assert (kept.state, kept.reason) == ("deferred", f"{outage(error)}; it goes on by itself")
    await dispatch(open_now(), prefect)
    assert prefect.events == [(trigger.id, 1)]
    flows.before = None
    await run(flows, trigger.id, "f2")
    kept = row(world, trigger.id)
    assert (kept.state, kept.result) == ("done", "awaiting_approval")
    assert set(flows.begun.values()) == {1}


async def test_a_run_by_schedule_goes_on_too(world: World) -> None:
    with pytest.raises(httpx.ConnectError):
        await run(Flows(before=REFUSED), "", "f1")
    (kept,) = world.database.read_now(inbox.find)
    assert (kept.source, kept.state) == ("run", "deferred")


async def test_a_run_by_hand_fails_and_says_why(world: World) -> None:
    by_hand = world.database.write_now(lambda conn: inbox.accept(conn, "cli", "ecm", "by hand"))
    with pytest.raises(httpx.ConnectError):
        await run(Flows(before=REFUSED), by_hand.id)
    kept = row(world, by_hand.id)
    assert kept.state == "failed"
    assert kept.reason.startswith("Prefect can't be reached: ConnectError")


async def test_it_is_not_tried_for_ever(world: World, trigger: inbox.Trigger) -> None:
    for attempt in range(1, inbox.MOST_ATTEMPTS + 1):
        assert row(world, trigger.id).state in inbox.WAITING, attempt
        with pytest.raises(httpx.ConnectError):
            await run(Flows(before=REFUSED), trigger.id, f"f{attempt}")
    assert row(world, trigger.id).state == "failed"


async def test_work_that_is_done_counts_though_prefect_was_not_told(
    world: World, trigger: inbox.Trigger
) -> None:
    await run(Flows(after=REFUSED), trigger.id, "f1")
    kept = row(world, trigger.id)
    assert (kept.state, kept.result, kept.attempts) == ("done", "awaiting_approval", 1)


@pytest.mark.parametrize(
    "error",
    [
        answered(404),
        answered(503, "https://partner.example/api/orders"),
        httpx.ConnectError("no route", request=httpx.Request("GET", "http://127.0.0.1:42001/api/x")),
        httpx.ConnectError("nobody was asked"),
        ValueError("a fault of the skill"),
    ],
)
async def test_other_errors_are_failures_of_the_run(
    world: World, trigger: inbox.Trigger, error: Exception
) -> None:
    with pytest.raises(type(error)):
        await run(Flows(before=error), trigger.id, "f1")
    kept = row(world, trigger.id)
    assert (kept.state, kept.reason) == ("failed", f"{type(error).__name__}: {error}")
