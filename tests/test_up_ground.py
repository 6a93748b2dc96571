"""What `aspora up` stands on: ports, one for each home, Prefect's SQLite database in turns, lost runs."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa
from prefect.client.schemas.objects import FlowRun, State, Worker
from prefect.states import AwaitingRetry, Completed, Pending, Running
from sqlalchemy.ext.asyncio import AsyncSession

from flows.cli.alone import alone
from flows.cli.deploy import DeployFailed, server_at
from flows.cli.errors import Usage
from flows.cli.ports import free_port, port_of
from flows.cli.turns import Turns
from flows.worker.pool import GONE, UNSTARTED, WORKER, is_lost, is_over, silent
from tasks import lease
from tasks.clock import utc


@pytest.mark.parametrize("given", ["zero", "0", "70000", "-1", "8321 "])
def test_a_port_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("ASPORA_GATEWAY_PORT", given)
    with pytest.raises(Usage, match="ASPORA_GATEWAY_PORT"):
        port_of("ASPORA_GATEWAY_PORT", 8321)


def test_a_taken_port_is_waited_for_and_then_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
        monkeypatch.setenv("ASPORA_PREFECT_PORT", str(port))
        with pytest.raises(Usage, match=f"port {port} .* ASPORA_PREFECT_PORT"):
            free_port("ASPORA_PREFECT_PORT", 4200, 0.3)
    assert free_port("ASPORA_PREFECT_PORT", 4200, 0) == port


def test_a_home_is_held_by_one_which_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASPORA_HOME", str(tmp_path))
    with alone() as was_killed:
        assert not was_killed
        with pytest.raises(Usage, match=f"process {os.getpid()};"), alone():
            pass
    with alone() as was_killed:
        assert not was_killed


def test_one_that_did_not_end_by_itself_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASPORA_HOME", str(tmp_path))
    (tmp_path / "up.lock").write_text("4711")
    with alone() as was_killed:
        assert was_killed


async def test_transactions_that_read_and_then_write_do_not_refuse_each_other(tmp_path: Path) -> None:
    turns = Turns(connection_url=f"sqlite+aiosqlite:///{tmp_path / 'prefect.db'}")
    engine = await turns.engine()
    async with engine.begin() as connection:
        await connection.execute(sa.text("CREATE TABLE counter (n INTEGER)"))
        await connection.execute(sa.text("INSERT INTO counter VALUES (0)"))

    async def count() -> None:
        async with await turns.session(engine) as session, turns.begin_transaction(session):
            found = (await session.execute(sa.text("SELECT n FROM counter"))).scalar_one()
            await asyncio.sleep(0)
            await session.execute(sa.text("UPDATE counter SET n = :n"), {"n": found + 1})

    async def write_outside() -> None:
        async with AsyncSession(engine) as session:
            await session.execute(sa.text("UPDATE counter SET n = n + 1"))
            await session.commit()

    await asyncio.gather(*(work() for _ in range(20) for work in (count, write_outside)))
    async with engine.connect() as connection:
        assert (await connection.execute(sa.text("SELECT n FROM counter"))).scalar_one() == 40
    await engine.dispose()


async def test_a_transaction_within_another_does_not_wait_for_it(tmp_path: Path) -> None:
    turns = Turns(connection_url=f"sqlite+aiosqlite:///{tmp_path / 'prefect.db'}")
    engine = await turns.engine()
    outer, inner = await turns.session(engine), await turns.session(engine)
    async with (
        asyncio.timeout(10),
        outer,
        turns.begin_transaction(outer),
        inner,
        turns.begin_transaction(inner),
    ):
        assert (await inner.execute(sa.text("SELECT 1"))).scalar_one() == 1
    await engine.dispose()


@pytest.mark.parametrize(
    ("url", "said"), [("", "which is not set"), ("http://127.0.0.1:1/api", "127.0.0.1:1")]
)
def test_deploying_says_which_server_does_not_answer(url: str, said: str) -> None:
    with pytest.raises(DeployFailed, match=said):
        server_at(url)


DEAD = lease.process(os.getpid()).rpartition(":")[0] + ":0"
"""A name of this process that an earlier one had."""


@pytest.mark.parametrize(
    ("process", "age", "lost"),
    [
        (DEAD, 2 * GONE, True),
        (DEAD, GONE / 2, False),
        (lease.process(os.getpid()), 2 * UNSTARTED, False),
        ("elsewhere:1:1", 2 * UNSTARTED, False),
        (None, 2 * UNSTARTED, True),
        (None, GONE, False),
    ],
    ids=["dead", "just-dead", "alive", "elsewhere", "never-started", "not-started-yet"],
)
def test_a_run_is_lost_whose_process_has_been_gone_for_a_while(
    process: str | None, age: timedelta, lost: bool
) -> None:
    state = (Running if process else Pending)(timestamp=utc() - age)
    run = FlowRun(flow_id=uuid4(), state=state, infrastructure_pid=process)
    assert is_lost(run) is lost


@pytest.mark.parametrize(
    ("state", "age", "over"),
    [
        (Running, 2 * GONE, False),
        (Pending, 2 * GONE, False),
        (Completed, 2 * GONE, True),
        (Completed, GONE / 2, False),
        (AwaitingRetry, 2 * GONE, True),
    ],
)
def test_a_run_is_over_that_has_not_been_under_way_for_a_while(
    state: Callable[..., State], age: timedelta, over: bool
) -> None:
    run = FlowRun(flow_id=uuid4(), state=state(timestamp=utc() - age))
    assert is_over(run) is over


@pytest.mark.parametrize(
    ("process", "worker", "lost"),
    [
        ("elsewhere:1:1", "dead", True),
        ("elsewhere:1:1", "alive", False),
        ("elsewhere:1:1", None, False),
        (lease.process(os.getpid()), "dead", False),
    ],
    ids=["its-worker-is-dead", "its-worker-lives", "no-worker", "it-is-seen-to-live"],
)
def test_a_run_of_another_host_is_lost_with_its_worker(process: str, worker: str | None, lost: bool) -> None:
    run = FlowRun(
        flow_id=uuid4(),
        state=Running(timestamp=utc() - 2 * GONE),
        infrastructure_pid=process,
        labels={WORKER: worker} if worker else {},
    )
    assert is_lost(run, {"dead"}) is lost


def test_a_worker_is_dead_whose_heartbeats_stopped_while_others_went_on() -> None:
    pool, now = uuid4(), utc()
    beats = {"mine": 0, "late": 80, "dead": 100}
    workers = [
        Worker(
            name=name,
            work_pool_id=pool,
            last_heartbeat_time=now - timedelta(seconds=age),
            heartbeat_interval_seconds=30,
        )
        for name, age in beats.items()
    ]
    workers.append(Worker(name="never", work_pool_id=pool))
    assert silent(workers) == {"dead"}
    assert silent(workers[2:]) == set()
    assert silent([]) == set()
