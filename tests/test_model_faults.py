"""What goes wrong around the skill loop: the model's API, MCP servers, and crashes in the middle."""

import os
import signal
import subprocess
import sys
import threading

import pytest
from sqlalchemy import select

from blocks import model
from blocks.home import ROOT
from blocks.schema import executions
from tasks import journal, record, spend
from tests import canned_tools
from tests.anthropic_server import Drop, Failure, Held, Raw, calls, says
from tests.model_world import BOOKS, HANDOFF, LOGS, ORDERS, PAST, diagnosis, triage, world

__all__ = ["world"]

LOOK = calls(LOGS, BOOKS)
NONE = says(diagnosis(root_cause=None, evidence=[]))


@pytest.mark.parametrize("status", [429, 500, 503, 529])
async def test_passing_trouble_is_tried_again(world, status):
    trouble = Failure(status, "overloaded_error", "busy")
    world.server.script(trouble, trouble, LOOK, trouble, says(diagnosis()))
    row = await world.skill()
    assert (row.outcome, row.error) == ("success", None)
    assert len(world.server.requests) == 5
    assert [step.sequence for step in world.steps(row)] == [1, 2, 3, 4]
    assert world.spent() == row.cost_micro == sum(step.cost_micro for step in world.steps(row)) > 0


@pytest.mark.parametrize("status", [429, 529])
async def test_lasting_trouble_is_an_error_and_costs_nothing(world, status):
    world.server.script(then=Failure(status, "overloaded_error", "too busy for you"))
    row = await world.skill()
    assert row.outcome == "error"
    assert f"answered {status} for claude-sonnet-4-6: too busy for you" in row.error
    assert "try again later" in row.error
    assert len(world.server.requests) == model.RETRIES + 1
    assert world.spent() == row.cost_micro == 0


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        (400, "prompt is bad"),
        (401, "check ANTHROPIC_API_KEY"),
        (403, "ANTHROPIC_API_KEY"),
        (404, "under models:"),
    ],
)
async def test_refused_requests_are_not_repeated(world, status, remedy):
    world.server.script(LOOK, Failure(status, "error", "prompt is bad"))
    row = await world.skill()
    assert row.outcome == "error"
    assert f"answered {status}" in row.error
    assert remedy in row.error
    assert len(world.server.requests) == 2
    assert world.spent() == row.cost_micro == world.steps(row)[0].cost_micro


async def test_failed_run_tells_why(world):
    world.server.script(then=Failure(401, "authentication_error", "invalid x-api-key"))
    report = await world.run()
    assert report["state"] == "failed"
    assert "invalid x-api-key" in report["reason"]
    assert report["executions"][0]["outcome"] == "error"


async def test_nobody_listens(world, monkeypatch):
    monkeypatch.setattr(model, "RETRIES", 0)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:1")
    row = await world.skill()
    assert row.outcome == "error"
    assert "http://127.0.0.1:1" in row.error
    assert "ANTHROPIC_BASE_URL" in row.error
    assert world.spent() == row.cost_micro == 0


async def test_base_url_that_is_none(world, monkeypatch):
    monkeypatch.setattr(model, "RETRIES", 0)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "localhost:8080")
    row = await world.skill()
    assert row.outcome == "error"
    assert "ANTHROPIC_BASE_URL" in row.error


async def test_lost_answer_is_asked_again_and_stays_counted(world):
    reserved = []

    def lost(_):
        reserved.append(world.spent())
        return Drop()

    world.server.script(lost, LOOK, says(diagnosis()))
    row = await world.skill()
    assert row.outcome == "success"
    assert len(world.server.requests) == 3
    known = sum(step.cost_micro for step in world.steps(row))
    assert world.spent() == row.cost_micro == known + reserved[0]


async def test_answers_lost_for_ever(world):
    world.server.script(then=Drop())
    row = await world.skill()
    assert row.outcome == "error"
    assert "did not answer in full" in row.error
    assert len(world.server.requests) == 2
    assert world.spent() == row.cost_micro > 0


async def test_slow_answer(world, monkeypatch):
    monkeypatch.setattr(model, "TIMEOUT_SECONDS", 0.2)
    monkeypatch.setattr(model, "SECONDS_PER_TOKEN", 0.0)
    world.server.script(then=Held())
    row = await world.skill()
    assert row.outcome == "error"
    assert "did not answer in time" in row.error
    assert len(world.server.requests) == 2


@pytest.mark.parametrize(
    "answer",
    [
        Raw(b"<html>It works!</html>", content_type="text/html"),
        Raw(b"{half", content_type="application/json"),
        Raw(b'{"ok": true}'),
        Raw(b"[]"),
        Raw(
            b'{"type": "message", "content": [{"type": "text"}],'
            b' "usage": {"input_tokens": 1, "output_tokens": 1}}'
        ),
        Raw(b'{"type": "message", "content": [{"type": "text", "text": "hi"}]}'),
    ],
    ids=["html", "half", "other", "list", "block without text", "no usage"],
)
async def test_what_is_no_message(world, answer):
    world.server.script(LOOK, answer)
    row = await world.skill()
    assert row.outcome == "error"
    assert "not a message of the Messages API" in row.error
    assert "ANTHROPIC_BASE_URL" in row.error
    assert row.cost_micro == world.spent() > world.steps(row)[0].cost_micro


async def test_model_without_a_price(world):
    world.models = {name: {"id": "no-such-model"} for name in world.models}
    row = await world.skill()
    assert row.outcome == "error"
    assert "no list price is known for model 'no-such-model'" in row.error
    assert world.server.requests == []


async def test_offline_skill_that_fails_says_so(world, monkeypatch):
    monkeypatch.delenv("ANTHROPIC_BASE_URL")
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    canned_tools.ANSWERS["query_stuck_orders"] = {"unexpected": "shape"}
    row = await world.skill("ecm-triage", {})
    assert row.outcome == "error"
    assert "offline model failed on this input: KeyError('stages')" in row.error


DEAD = {"command": [sys.executable, "-c", "raise SystemExit(3)"]}


def split(world, *tools):
    """Moves these tools to a server that dies at once."""
    world.servers = {"tools-mcp": {"module": "tests.canned_tools"}, "dead-mcp": DEAD}
    kept = [tool for tool in world.listed["tools-mcp"] if tool not in tools]
    world.listed = {"tools-mcp": kept, "dead-mcp": list(tools)}


async def test_one_server_of_two_is_dead(world):
    split(world, "search_runbooks", "get_similar_incidents")
    evidence = diagnosis()["evidence"][:1]
    world.server.script(calls(LOGS), says(diagnosis(evidence=evidence, runbook=None)))
    row = await world.skill()
    assert row.outcome == "partial"
    assert "without get_similar_incidents, search_runbooks" in row.error
    assert "MCP server dead-mcp" in row.error
    assert "check mcp_servers.dead-mcp" in row.error
    assert row.output_data["root_cause"] == "lulu's rate limit is passed"
    request = world.server.requests[0]
    assert [tool["name"] for tool in request["tools"]] == ["query_application_logs"]
    told = request["messages"][0]["content"][1]["text"]
    assert told.endswith("get_similar_incidents, search_runbooks")


async def test_offline_skill_with_a_dead_server(world, monkeypatch):
    monkeypatch.delenv("ANTHROPIC_BASE_URL")
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    split(world, "search_runbooks")
    row = await world.skill(context={**HANDOFF, "onset": "2026-02-17T04:00:00Z", "sla_hours": 2})
    assert row.outcome == "partial"
    assert "without search_runbooks" in row.error


async def test_managers_only_server_is_dead(world):
    split(world, "query_stuck_orders")
    report = await world.run()
    assert report["state"] == "failed"
    assert "dead-mcp" in report["reason"]
    assert [each["outcome"] for each in report["executions"]] == ["error"]
    assert world.server.requests == []


async def test_manager_who_could_read_nothing(world):
    """The tool is there but fails: no facts, so no report, however well it is worded."""
    canned_tools.ANSWERS["query_stuck_orders"] = lambda _: 1 / 0
    world.server.script(calls(ORDERS), says(triage()))
    report = await world.run()
    assert report["state"] == "failed"
    assert "could not be read" in report["reason"]
    assert report["executions"][0]["output"] is None


async def test_missing_tool_and_one_that_writes(world):
    world.servers = {"tools-mcp": {"module": "tests.canned_tools", "tools": [LOGS[0], "drop_table"]}}
    world.listed = {"tools-mcp": [LOGS[0], BOOKS[0], "drop_table", ORDERS[0]]}
    world.tools = {"ecm-triage": [ORDERS[0]], "ecm-diagnose": [LOGS[0], BOOKS[0], "drop_table"]}
    world.routing = []
    world.guardrails = {}
    world.server.script(calls(("drop_table", {"name": "orders"})), NONE)
    row = await world.skill()
    assert row.outcome == "partial"
    assert "has no tool search_runbooks; it has: query_application_logs" in row.error
    assert "drop_table of tools-mcp is not marked read-only" in row.error
    assert canned_tools.CALLS == []


class Killed(BaseException):
    """The process dies here."""


@pytest.mark.parametrize(("kept", "lost"), [(0, True), (1, False), (2, True), (3, False), (4, True)])
async def test_run_that_broke_off_continues_from_its_journal(world, monkeypatch, kept, lost):
    """Broken off before a step is journaled: only that is done again, and a lost turn stays counted."""
    script = [calls(LOGS), calls(BOOKS), says(diagnosis())]
    world.server.script(then=lambda request: script[(len(request["messages"]) - 1) // 2])
    append = journal.append

    def dies(conn, step, settle=None):
        if step.sequence > kept:
            raise Killed
        return append(conn, step, settle)

    monkeypatch.setattr(journal, "append", dies)
    with pytest.raises(Killed):
        await world.skill()
    monkeypatch.setattr(journal, "append", append)
    left = world.read(
        lambda conn: journal.steps(conn, conn.execute(select(executions.c.execution_id)).scalar())
    )
    in_flight = world.spent() - sum(step.cost_micro for step in left)
    unkept_calls = len(canned_tools.CALLS) - sum(step.kind == "tool" for step in left)
    row = await world.skill()
    assert row.outcome == "success"
    assert len(left) == kept
    assert len(world.server.requests) == 3 + lost
    assert len(canned_tools.CALLS) == 2 + unkept_calls
    assert (in_flight > 0) == lost
    assert row.cost_micro == world.spent() == in_flight + sum(step.cost_micro for step in world.steps(row))


RUN = """
import asyncio, sys
from tests.model_world import World, HANDOFF
from pathlib import Path
asyncio.run(World(Path(sys.argv[1]), None).skill())
"""


def start(world):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, "-c", RUN, str(world.home)], env=environment)


@pytest.mark.full
def test_killed_process_repeats_at_most_the_turn_in_flight(world):
    in_flight = threading.Event()
    held = Held()

    def hold(_):
        in_flight.set()
        return held

    world.server.script(LOOK, hold, calls(PAST), says(diagnosis()))
    process = start(world)
    assert in_flight.wait(60)
    reserved = world.spent()
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    held.until.set()
    second = start(world)
    assert second.wait(60) == 0
    assert len(world.server.requests) == 4
    execution_id = world.read(lambda conn: conn.execute(select(executions.c.execution_id)).scalar_one())
    row = world.read(lambda conn: record.get(conn, execution_id))
    assert row.outcome == "success"
    before, after = world.server.requests[1:3]
    assert before["messages"] == after["messages"]
    steps = world.steps(row)
    assert [step.kind for step in steps] == ["model", "tool", "tool", "model", "tool", "model"]
    assert row.cost_micro == world.spent() == reserved + sum(step.cost_micro for step in steps[1:])
    assert world.read(lambda conn: spend.of_execution(conn, execution_id)) == row.cost_micro


async def test_waiting_out_retries_does_not_pass_the_time_limit(world):
    world.limits = {"wall_time": "2s"}
    slow = Failure(429, "rate_limit_error", "later", {"retry-after": "3600"})
    world.server.script(calls(ORDERS), slow)
    row = await world.skill("ecm-triage", {})
    assert row.outcome == "partial"
    assert row.output_data["patterns"][0]["count"] == 57
