"""The gateway's intake: what comes together is stored together; what is not stored is not acknowledged."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from blocks.database import Database, DatabaseError
from blocks.units import Rate
from flows import orchestrator
from flows.gateway.flood import Flood
from flows.gateway.intake import BATCH, Unstored
from tasks.domain import Incoming
from tests.gateway_world import Town, alert, new_town, notification, serving, set_surroundings

__all__ = ["new_town", "set_surroundings"]


def message(number: int) -> Incoming:
    """One of many."""
    return Incoming("prometheus", f"prometheus:{number}:now", {"alertname": "StuckOrders", "n": str(number)})


async def test_what_comes_together_is_one_transaction(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two hundred requests at once need a few transactions, not two hundred."""
    writes = 0
    write = Database.write_now

    def counted(self: Database, work: Any) -> Any:
        nonlocal writes
        writes += 1
        return write(self, work)

    monkeypatch.setattr(Database, "write_now", counted)
    stored = await asyncio.gather(*(town.app.state.door.store([message(number)]) for number in range(200)))
    assert len({row.id for [row] in stored}) == len(town.rows()) == 200
    assert writes <= 4


async def test_a_large_notification_takes_several(town: Town) -> None:
    """More alerts than one transaction holds, each answered in its place."""
    alerts = [alert(f"f{number}") for number in range(2 * BATCH + 1)]
    answer = await town.post("/alerts/prometheus", notification(*alerts))
    ids = [each["id"] for each in answer.json()["triggers"]]
    by_key = {row.dedupe_key.split(":")[1]: row.id for row in town.rows()}
    assert ids == [by_key[each["fingerprint"]] for each in alerts]


async def test_a_failed_transaction_acknowledges_nobody(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """All who waited are told to come again; when they do, all is kept."""
    write = Database.write_now

    def full(self: Database, work: Any) -> Any:
        def half(conn: Connection) -> Any:
            work(conn)
            raise DatabaseError("the disk is full")

        return write(self, half)

    with monkeypatch.context() as patch:
        patch.setattr(Database, "write_now", full)
        answers = await asyncio.gather(
            *(town.post("/alerts/prometheus", notification(alert(f"{n}"))) for n in range(9))
        )
        assert {(answer.status_code, answer.headers["retry-after"]) for answer in answers} == {(503, "1")}
    assert not town.rows()
    for number in range(9):
        assert (await town.post("/alerts/prometheus", notification(alert(f"{number}")))).status_code == 202
    assert len(town.rows()) == 9


async def test_one_bad_message_spoils_no_other(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one can't be stored, the others of its transaction are."""
    receive = orchestrator.receive

    def picky(conn: Connection, platform: Any, incoming: Incoming) -> Any:
        if incoming.fields["n"] == "3":
            raise ZeroDivisionError
        return receive(conn, platform, incoming)

    monkeypatch.setattr(orchestrator, "receive", picky)
    door = town.app.state.door
    told = await asyncio.gather(
        *(door.intake.store([message(number)]) for number in range(9)), return_exceptions=True
    )
    assert [isinstance(each, Unstored) for each in told] == [number == 3 for number in range(9)]
    assert len(town.rows()) == 8


async def test_what_was_accepted_is_stored_before_the_end(surroundings: Path) -> None:
    """Messages that wait when the gateway stops are written first; later ones are told to come again."""
    async with serving() as town:
        intake = town.app.state.door.intake
        waiting = [asyncio.create_task(intake.store([message(number)])) for number in range(250)]
        await asyncio.sleep(0)
    assert all(row for task in waiting for row in task.result())
    with pytest.raises(Unstored, match="stopped"):
        await intake.store([message(999)])
    async with serving() as town:
        assert len(town.rows()) == 250


async def test_waiting_has_an_end(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that hangs keeps nobody waiting for ever, and the queue is bounded."""
    door = town.app.state.door
    hold = asyncio.Event()
    write = Database.write

    async def hang(self: Database, work: Any) -> Any:
        await hold.wait()
        return await write(self, work)

    monkeypatch.setattr(Database, "write", hang)
    monkeypatch.setattr("flows.gateway.intake.WAITING", 1)
    with pytest.raises(Unstored, match="not stored within"):
        await door.intake.store([message(1)], 0.01)
    first = asyncio.create_task(door.intake.store([message(2)]))
    await asyncio.sleep(0)
    with pytest.raises(Unstored, match="too much"):
        await door.intake.store([message(3)])
    hold.set()
    await first
    assert len(town.rows()) == 2


def test_a_bucket_fills_up_again() -> None:
    """So many at once, then as many as the rate gives; each key for itself."""
    now = [0.0]
    flood = Flood(Rate(2, 60), lambda: now[0])
    assert [flood.wait("a") for _ in range(3)] == [0.0, 0.0, 30.0]
    assert flood.wait("b") == 0.0
    now[0] = 29.0
    assert flood.wait("a") == pytest.approx(1.0)
    now[0] = 30.5
    assert [flood.wait("a") > 0 for _ in range(2)] == [False, True]
    now[0] = 10_000.0
    assert [flood.wait("a") > 0 for _ in range(3)] == [False, False, True]
