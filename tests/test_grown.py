"""The grown set-up, with the settings of `deploy/`: from a webhook to freed orders, and while parts die."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest

from tasks import approvals, inbox
from tasks.approvals import Approval
from tests.faults.audit import audit, wait_until_quiet
from tests.faults.faults import wait_for
from tests.faults.traffic import Said, Traffic
from tests.grown_world import Grown, growing
from tests.up_world import TOKEN

pytestmark = pytest.mark.full
SEED = 7
PAUSE = (7.0, 14.0)
"""Seconds between triggers: two cores carry all these parts, and about ten runs a minute."""
DOWN_SECONDS = 3.0
"""A killed part is started again after that, as a process manager does."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grown]:
    """All parts."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("ASPORA_HOME", "ASPORA_CONFIG", "ASPORA_DATABASE_URL"):
            patch.setenv(name, "")
        with growing(tmp_path_factory.mktemp("grown"), random.Random(SEED)) as grown:
            yield grown


def send(address: str, key: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {TOKEN}", "Idempotency-Key": key}
    return httpx.post(f"{address}/api/ecm/analyze", json={}, headers=headers, timeout=30)


def waiting(world: Grown, run_id: str) -> Approval | None:
    """The run's fix, once a suspended flow run waits for its decision."""
    found = world.database.read_now(lambda conn: approvals.find(conn, statuses=("waiting",)))
    for each in found:
        if each.run_id == run_id and each.flow_run_id:
            state = world.ask(f"/flow_runs/{each.flow_run_id}")["state"]
            if state["name"] == "Suspended" and state["state_details"].get("run_input_keyset"):
                return each
    return None


def test_from_a_webhook_to_freed_orders_by_way_of_different_replicas(world: Grown) -> None:
    """One gateway takes it, the other knows it; one API replica shows the fix, the other resumes it."""
    first, second = (send(address, "grown").json() for address in world.gateways)
    assert first["id"] == second["id"]
    row = world.until(lambda: world.database.read_now(lambda conn: ended(inbox.get(conn, first["id"]))))
    assert row.result == "awaiting_approval"
    fix = world.until(lambda: waiting(world, row.run_id))
    verdict = {"run_input": {"decision": "approve", "name": "Ada", "comment": "so it is"}}
    one, other = (world.client(f"{api}/api") for api in world.apis)
    said = other.post(f"/flow_runs/{fix.flow_run_id}/resume", json=verdict)
    assert said.json()["status"] == "ACCEPT"
    done = world.until(lambda: world.database.read_now(lambda conn: carried_out(approvals.get(conn, fix.id))))
    assert (done.status, done.decided_by, done.decided_via) == ("done", "Ada", "prefect")
    freed = [act.order for act in world.company.acts]
    assert len(freed) == len(set(freed)) == done.result["done"] > 0
    assert one.get(f"/flow_runs/{fix.flow_run_id}").json()["deployment_id"]
    assert not world.results.exists(), "a run that needs nothing of Prefect's results left some"
    one.close()
    other.close()


def ended(row: inbox.Trigger) -> inbox.Trigger | None:
    return row if row.state in ("done", "failed", "refused") else None


def carried_out(fix: Approval) -> Approval | None:
    return fix if fix.finished_at else None


def test_no_api_replica_lets_a_stranger_in(world: Grown) -> None:
    for api in world.apis:
        assert httpx.get(f"{api}/api/deployments/name/ecm/ecm").status_code == httpx.codes.UNAUTHORIZED


def test_both_gateways_tell_the_same_numbers(world: Grown) -> None:
    told = [httpx.get(f"{each}/metrics").text.splitlines() for each in world.gateways]
    counted = [[line for line in each if line.startswith("aspora_executions_total")] for each in told]
    assert counted[0] == counted[1]
    assert counted[0]


def killing(name: str) -> Callable[[Grown], None]:
    def harm(world: Grown) -> None:
        world.replicas[name].kill()
        time.sleep(DOWN_SECONDS)
        world.replicas[name].start()

    return harm


def cutting(world: Grown) -> None:
    assert world.cut_connections()


def restarting_redis(world: Grown) -> None:
    world.redis.restart(DOWN_SECONDS)


HARMS: dict[str, Callable[[Grown], None]] = {
    "an API replica is killed": killing("api 1"),
    "a worker is killed with its host": killing("worker 1"),
    "PostgreSQL cuts all connections": cutting,
    "the other worker is killed with its host": killing("worker 2"),
    "a gateway is killed": killing("gateway 2"),
    "Redis is killed and restarted": restarting_redis,
    "services are killed": killing("services 1"),
    "Prefect's services are killed": killing("prefect services"),
    "the other API replica is killed": killing("api 2"),
}


@contextmanager
def flowing(world: Grown) -> Iterator[Traffic]:
    """Triggers come in and people decide meanwhile."""
    traffic = Traffic(world, random.Random(f"traffic {SEED}"), PAUSE)
    for each in world.database.read_now(approvals.find):
        traffic.ledger.said[each.id] = Said(each.status == "done", 0.0)
    try:
        yield traffic
    finally:
        traffic.close()


def test_nothing_is_lost_doubled_or_untrue_while_parts_die(world: Grown) -> None:
    chance = random.Random(SEED)
    with flowing(world) as traffic:
        traffic.go_on()
        for name, harm in HARMS.items():
            moment = chance.choice(("at any time", "a turn in flight", "an action under way"))
            came = wait_for(world, moment)
            print(
                f"{time.strftime('%H:%M:%S')} {name}, {moment}{'' if came else ' (not reached)'}", flush=True
            )
            harm(world)
            time.sleep(chance.uniform(1, 3))
        world.heal()
        traffic.pause()
        seconds, restless = wait_until_quiet(world)
        print(f"at rest after {seconds:.0f} s; {len(traffic.ledger.accepted)} triggers", flush=True)
        assert restless == []
        assert audit(world, traffic.ledger) == []
        assert traffic.ledger.accepted
        assert all(world.api_balancer.served.values())
        assert all(world.gateway_balancer.served.values())
