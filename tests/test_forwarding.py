"""Forwarding whatever Langfuse and Opik do: nothing is lost, nothing told twice, and it catches up."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from shutil import copyfile
from typing import Any

import pytest
from langfuse import Langfuse

import flows.cli
from blocks import telemetry
from blocks.database import Database
from blocks.home import ROOT
from tasks import corrections, forwarding, handoffs, outbox, record
from tasks.handoffs import Handoff
from tests.record_world import NOW, new_postgres  # noqa: F401
from tests.telemetry_servers import Answer, failing, rejecting
from tests.telemetry_world import World, migrated_file, new_world, running_servers  # noqa: F401

_full = pytest.mark.full
EITHER = pytest.mark.parametrize(
    "database", ["sqlite", pytest.param("postgresql", marks=_full)], indirect=True
)
BOTH = pytest.mark.parametrize("name", ["langfuse", "opik"])
DOWN: dict[str, Answer] = {
    "it breaks": failing(500, "Internal Server Error"),
    "its proxy breaks": failing(502, "<html>Bad Gateway</html>", content_type="text/html"),
    "its key is wrong": failing(401, '{"message": "Invalid credentials"}'),
    "its address is wrong": failing(404, "<html>Not found</html>", content_type="text/html"),
    "a login page answers": failing(200, "<html>Log in</html>", content_type="text/html"),
    "it moved": failing(308, "", location="http://127.0.0.1:9/"),
}


@pytest.fixture(name="database")
def any_database(request: pytest.FixtureRequest, migrated: Path, tmp_path: Path) -> Iterator[Database]:
    """SQLite, unless a test asks for another."""
    url = f"sqlite:///{copyfile(migrated, tmp_path / 'record.db')}"
    if getattr(request, "param", "sqlite") == "postgresql":
        url = request.getfixturevalue("postgres_url")
    database = Database(url)
    database.migrate()
    yield database
    database.close()


def told(world: World, name: str) -> set[str]:
    """Which executions a destination knows."""
    if name == "opik":
        return {span["metadata"]["execution_id"] for span in world.opik.below(None)}
    spans = world.langfuse.spans.values()
    return {span.json("langfuse.trace.metadata.execution_id") for span in spans if not span.parent}


def about(body: Any, execution_id: str) -> bool:
    """Whether a request tells of an execution."""
    return execution_id in str(body)


@BOTH
@pytest.mark.parametrize("how", ["it breaks", *(pytest.param(each, marks=_full) for each in [*DOWN][1:])])
async def test_an_hour_down_loses_nothing_and_is_told_once(
    world: World, name: str, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Rows come meanwhile. No attempt is counted, and the destination is not pestered."""
    answer = DOWN[how]
    executions = {world.ended(number) for number in range(5)}
    world.server(name).misbehave = lambda path, body: answer
    with caplog.at_level(logging.WARNING):
        assert await world.carry_for(name, 1800) == 0
        executions |= {world.ended(number) for number in range(5, 8)}
        assert await world.carry_for(name, 1800) == 0
        assert len(world.server(name).calls) < 130
        assert {(row.state, row.attempts) for row in world.rows(name)} == {("pending", 0)}
        assert world.states()[name].pending == 8
        assert world.states()[name].reasons
        world.server(name).misbehave = lambda path, body: None
        assert await world.carry_for(name, 120) == 8
    assert told(world, name) == executions
    assert world.rows(name) == []
    said = [record.getMessage() for record in caplog.records if record.name == "aspora.forwarder"]
    assert len(said) == 2
    assert "takes no telemetry" in said[0]
    assert world.server(name).url.rstrip("/") in said[0]
    assert "takes telemetry again" in said[1]


@BOTH
async def test_a_destination_that_refuses_connections_is_down(world: World, name: str) -> None:
    """The same with nobody there at all; and one is no concern of the other."""
    execution_id = world.ended(1)
    found = telemetry.configured()[name]
    nobody = telemetry.destination(telemetry.Settings(name, "http://127.0.0.1:9", found.key, found.secret))
    courier = forwarding.Courier(world.platform, found, nobody, world.clock.seconds, world.clock.now)
    assert await courier.carry() == 0
    await courier.close()
    assert "ConnectError" in world.states()[name].reasons[0]
    world.clock.passed += 60
    assert await world.carry() == 2
    assert told(world, "langfuse") == told(world, "opik") == {execution_id}


@BOTH
async def test_a_destination_that_hangs_is_left_in_time(
    world: World, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trickle of an answer would not hold it either: the time is of the whole."""
    monkeypatch.setattr(telemetry, "SECONDS", 0.3)
    executions = {world.ended(number) for number in range(3)}
    world.server(name).delay = 30
    async with asyncio.timeout(20):
        assert await world.carry(name) == 0
    assert world.states()[name].reasons == ("no answer within 0.3 s",)
    monkeypatch.setattr(telemetry, "SECONDS", 15)
    world.server(name).delay = 0
    await world.courier(name).carry()
    world.clock.passed += 60
    await world.carry(name)
    assert told(world, name) == executions


@BOTH
async def test_too_many_requests_are_honoured(world: World, name: str) -> None:
    """Nothing is asked before the time that it named."""
    world.ended(1)
    world.server(name).misbehave = lambda path, body: failing(429, "", retry_after="600")
    await world.carry_for(name, 595)
    assert len(world.server(name).calls) == 1
    world.server(name).misbehave = lambda path, body: None
    assert await world.carry_for(name, 15) == 1


@BOTH
@pytest.mark.parametrize("status", [400, 207, *(pytest.param(each, marks=_full) for each in (413, 422))])
async def test_what_is_refused_for_good_is_kept_with_the_reason_and_holds_nothing_up(
    world: World, name: str, status: int
) -> None:
    """One of ten; the others arrive. Told again when asked for."""
    executions = [world.ended(number) for number in range(10)]
    bad = executions[6]
    world.server(name).misbehave = lambda path, body: (
        failing(status, "no such field") if about(body, bad) else None
    )
    assert await world.carry_for(name, 10) == 9
    assert told(world, name) == {*executions} - {bad}
    (row,) = world.rows(name)
    assert (row.subject, row.state, row.reason) == (bad, "failed", f"HTTP {status}: no such field")
    assert world.states()[name].failed == 1
    assert await world.carry_for(name, 7200, every=600) == 0

    world.server(name).misbehave = lambda path, body: None
    assert world.database.write_now(outbox.retry) == 1
    await world.carry_for(name, 10)
    assert told(world, name) == {*executions}


async def test_a_success_that_has_not_taken_all_is_none(world: World) -> None:
    """Langfuse answers 200, and says in the body that it has rejected spans."""
    executions = [world.ended(number) for number in range(4)]
    bad = executions[2]
    world.langfuse.misbehave = lambda path, body: rejecting(1, "span too old") if about(body, bad) else None
    assert await world.carry_for("langfuse", 10) == 3
    (row,) = world.rows("langfuse")
    assert (row.subject, row.state, row.reason) == (bad, "failed", "1 spans were rejected: span too old")


@pytest.mark.parametrize(
    "answer",
    [
        failing(200, "not protobuf at all", content_type="application/x-protobuf"),
        failing(200, "[1", content_type="application/json"),
        failing(200, '{"partialSuccess": {"rejectedSpans": "many"}}', content_type="application/json"),
    ],
)
async def test_an_answer_that_makes_no_sense_confirms_nothing(world: World, answer: Answer) -> None:
    world.ended(1)
    world.langfuse.misbehave = lambda path, body: answer
    assert await world.carry_for("langfuse", 30) == 0
    assert world.states()["langfuse"].pending == 1


@EITHER
@BOTH
async def test_a_row_that_breaks_the_other_side_is_found_and_the_others_pass(world: World, name: str) -> None:
    """500 for one row is no outage: it gets the blame once others were taken, and is given up in the end."""
    executions = [world.ended(number) for number in range(6)]
    bad = executions[3]
    world.server(name).misbehave = lambda path, body: failing(500) if about(body, bad) else None
    await world.carry_for(name, 60)
    assert told(world, name) == {*executions} - {bad}
    number = 10
    while world.rows(name)[0].state == "pending":
        world.clock.passed += 4000
        world.ended(number := number + 1)
        await world.carry_for(name, 60, every=30)
        assert number < 40
    (row,) = world.rows(name)
    assert (row.subject, row.attempts, row.reason) == (bad, forwarding.MOST_ATTEMPTS, "HTTP 500")


async def test_only_one_of_many_scores_is_refused(world: World) -> None:
    """Langfuse's 207 does not say which: so each is asked for by itself."""
    executions = [world.ended(number) for number in range(3)]
    await world.carry("langfuse")
    for each in executions:
        world.database.write_now(
            lambda conn, each=each: corrections.add(
                conn, each, {"actual_root_cause": f"not {each}"}, by="ana", via="cli"
            )
        )
    bad = f"not {executions[1]}"
    world.langfuse.misbehave = lambda path, body: (
        failing(207, '{"accepted": 0, "rejected": 1, "errors": [{"message": "no config"}]}')
        if path.endswith("scores") and about(body, bad)
        else None
    )
    assert await world.carry_for("langfuse", 10) == 2
    assert len(world.langfuse.scores) == 2
    (row,) = world.rows("langfuse")
    assert "no config" in row.reason


@BOTH
async def test_a_confirmation_that_gets_lost_doubles_nothing(world: World, name: str) -> None:
    """It was taken, and the answer was a 500: told again, it lands on the same ids."""
    executions = {world.ended(number) for number in range(3)}
    world.server(name).late = lambda path: None if "/traces/batch" in path else failing(500)
    assert await world.carry(name) == 0
    assert told(world, name)
    world.server(name).late = lambda path: None
    assert await world.carry_for(name, 60) == 3
    assert told(world, name) == executions
    assert len(world.opik.spans if name == "opik" else world.langfuse.spans) == 3


@EITHER
@BOTH
async def test_two_forwarders_at_once_send_each_row_once(world: World, name: str) -> None:
    executions = {world.ended(number) for number in range(60)}
    counts = await asyncio.gather(*(world.courier(name).carry() for _ in range(3)))
    assert sum(counts) == 60
    assert told(world, name) == executions
    if name == "langfuse":
        assert set(world.langfuse.received.values()) == {1}


@EITHER
@BOTH
async def test_a_forwarder_that_vanished_leaves_its_rows_to_the_next(world: World, name: str) -> None:
    """Its claims run out."""
    execution_id = world.ended(1)
    claimed = world.database.write_now(lambda conn: outbox.claim(conn, name, 50, forwarding.CLAIM))
    assert [row.subject for row in claimed] == [execution_id]
    assert await world.carry(name) == 0
    world.clock.passed += forwarding.CLAIM.total_seconds() + 1
    assert await world.carry(name) == 1


@BOTH
async def test_one_that_is_told_to_stop_leaves_at_once_and_lets_go(world: World, name: str) -> None:
    """In the middle of a request that hangs; the next forwarder need not wait for its claim."""
    world.ended(1)
    world.server(name).delay = 30
    carrying = asyncio.create_task(world.carry(name))
    async with asyncio.timeout(20):
        while not world.server(name).calls:
            await asyncio.sleep(0.01)
        carrying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await carrying
    world.server(name).delay = 0
    assert await world.courier(name).carry() == 1


@EITHER
async def test_a_correction_waits_for_its_execution(world: World) -> None:
    """Whatever becomes due first."""
    execution_id = world.ended(1)
    world.database.write_now(
        lambda conn: corrections.add(conn, execution_id, {"actual_root_cause": "x"}, by="ana", via="cli")
    )
    execution, _ = world.rows("langfuse")
    later = NOW + timedelta(days=9_000)
    world.database.write_now(lambda conn: outbox.put_off(conn, [execution.id], later))
    assert await world.carry("langfuse") == 0
    world.database.write_now(lambda conn: outbox.put_off(conn, [execution.id], NOW))
    assert await world.carry("langfuse") == 2
    assert world.langfuse.calls[-1].endswith("/scores")
    assert world.langfuse.found("user_corrected") == {Langfuse.create_trace_id(seed=execution_id)}


@EITHER
async def test_what_becomes_known_while_an_execution_is_told_is_told_too(world: World) -> None:
    """A manager's routing is decided after it has ended: before it was told, meanwhile, or later."""
    execution_id = world.ended(1, "ecm-triage")

    def route(skill: str) -> None:
        row = world.database.read_now(lambda conn: record.get(conn, execution_id))
        found = Handoff(
            run_id=row.run_id, from_execution_id=execution_id, from_skill="ecm-triage", to_skill=skill
        )
        world.database.write_now(lambda conn: handoffs.add(conn, found))

    route("none")
    world.langfuse.late = lambda path: route("ecm-diagnose")
    assert await world.carry("langfuse") == 2
    world.langfuse.late = lambda path: None
    (span,) = world.langfuse.spans.values()
    assert span.json("langfuse.observation.output")["route_to"] == "none,ecm-diagnose"
    route("ecm-resolve")
    assert await world.carry("langfuse") == 1
    (span,) = world.langfuse.spans.values()
    assert span.json("langfuse.observation.output")["route_to"] == "none,ecm-diagnose,ecm-resolve"
    assert world.rows("langfuse") == []


@EITHER
async def test_a_week_is_caught_up_with_when_a_destination_is_set_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Older rows of one that is not set up have gone; of one that is, they stay for ever."""
    world.ended(1)
    world.grow_old(timedelta(days=8))
    execution_id = world.ended(2)
    assert world.database.write_now(lambda conn: outbox.prune(conn, ["opik"])) == 1
    assert await world.carry() == 3
    assert told(world, "langfuse") == {execution_id}


async def test_a_row_of_nothing_is_kept_with_the_reason(world: World) -> None:
    """An execution that the record has no more; the rows behind it pass."""
    world.database.write_now(lambda conn: outbox.put(conn, "execution", "ecm-gone", NOW))
    world.database.write_now(lambda conn: outbox.put(conn, "correction", "4711", NOW))
    execution_id = world.ended(1)
    assert await world.carry() == 2
    assert told(world, "opik") == told(world, "langfuse") == {execution_id}
    assert {row.state for row in world.rows("opik")} == {"failed"}
    assert "ecm-gone" in world.rows("opik")[0].reason


async def test_batches_are_bounded_in_size_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by their number alone; and one that is larger all by itself is told."""
    monkeypatch.setattr(forwarding, "MOST_CHARACTERS", 20_000)
    sizes: list[int] = []
    world.langfuse.misbehave = lambda path, body: sizes.append(body.ByteSize())
    for number in range(12):
        world.ended(number, input_data={"text": "word " * 600, "more": "word " * 600})
    large = world.ended(12, input_data={f"key {n}": "word " * 790 for n in range(7)})
    assert await world.carry("langfuse") == 13
    assert 5 < len(sizes) < 13
    assert max(sizes) < 40_000
    assert large in told(world, "langfuse")


async def test_the_command_shows_what_waits_and_what_was_refused_and_tells_it_again(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def command(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["aspora", "telemetry", *arguments])
        with pytest.raises(SystemExit) as ended:
            flows.cli.main()
        assert ended.value.code == 0
        return "".join(capsys.readouterr())

    monkeypatch.setenv("ASPORA_DATABASE_URL", f"sqlite:///{tmp_path}/record.db")
    world.ended(1)
    world.langfuse.misbehave = lambda path, body: failing(400, "[red]no such field")
    await world.carry("langfuse")
    shown = command()
    assert f"Langfuse ({world.langfuse.url})" in shown
    assert "refused: 1" in shown
    assert "because: HTTP 400: [red]no such field" in shown
    langfuse, opik = json.loads(command("--json"))
    assert (langfuse["failed"], langfuse["pending"], opik["pending"]) == (1, 0, 1)
    assert datetime.fromisoformat(opik["oldest"]).isoformat().replace("+00:00", "Z") == opik["oldest"]
    assert "1 that were refused are told again" in command("--retry")
    assert "Nothing was refused" in command("--retry")
    world.langfuse.misbehave = lambda path, body: None
    assert await world.carry() == 2


def test_without_keys_nothing_is_imported_and_nobody_is_asked() -> None:
    """The commands, the services and the forwarder, in a process with no key."""
    script = """
import asyncio, sys
import flows.forwarder, flows.services, flows.cli
import flows.cli
from blocks import telemetry
from blocks.database import Database
from flows.cli import telemetry as command
forwarder = flows.forwarder.Forwarder(None, asyncio.Event())
async def carry():
    for name in telemetry.NAMES:
        await forwarder.carry(name)
asyncio.run(carry())
assert telemetry.configured() == {}, telemetry.configured()
assert telemetry.whereabouts() == {"langfuse": "off", "opik": "off"}
heavy = {"langfuse", "opik", "opentelemetry", "litellm", "sentry_sdk"}
print(sorted(heavy & {name.split(".")[0] for name in sys.modules}))
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=False,
        env={"PATH": ""},
    )
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


def test_half_set_up_says_what_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LANGFUSE_SECRET_KEY", "OPIK_API_KEY", "OPIK_URL_OVERRIDE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANGFUSE_PUBLIC_KEY", "pk")
    assert (
        telemetry.whereabouts()["langfuse"]
        == "off: LANGFUSE_PUBLIC_KEY is set and LANGFUSE_SECRET_KEY is not"
    )
    monkeypatch.setenv("LANGFUSE_SECRET_KEY", "sk")
    monkeypatch.setenv("LANGFUSE_HOST", "https://me:secret@langfuse.example/")
    assert telemetry.whereabouts() == {"langfuse": "https://langfuse.example", "opik": "off"}
    assert "secret" not in repr(telemetry.configured()["langfuse"]).replace("secret@", "")
