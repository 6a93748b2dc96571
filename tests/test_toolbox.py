"""MCP connections and the tools of skills: dead, hanging and crashing servers, access, size."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from blocks import mcp as connections
from blocks.config import Config
from blocks.config import Skill as SkillSettings
from blocks.mcp import Connection, McpUnavailable
from tasks.masking import Masker
from tasks.tools import Toolbox
from tests import canned_tools
from tests.model_world import no_tasks_left
from tests.ports import free_port

ALONE = [sys.executable, canned_tools.__file__]
SKILL = {"name": "a-skill", "role": "manager", "model": "m"}


@pytest.fixture(autouse=True)
def canned(monkeypatch, tmp_path):
    monkeypatch.setattr(canned_tools, "ANSWERS", {})
    monkeypatch.setattr(canned_tools, "CALLS", [])
    monkeypatch.setenv("ASPORA_HOME", str(tmp_path))


def settings(tools=(), **servers):
    listed = {name: list(tools) for name in servers} if tools else {}
    domain = {"module": "flows.ecm", "skills": [SKILL], "mcp_tools": listed}
    return Config(models={"m": {"id": "m"}}, mcp_servers=servers, domains={"ecm": domain})


@asynccontextmanager
async def connected(tmp_path, **server):
    config = settings(**{"some-mcp": server})
    connection = Connection("some-mcp", config.mcp_servers["some-mcp"], config, tmp_path)
    try:
        yield connection
    finally:
        await connection.close()
        assert await no_tasks_left() == []


def stdio(tmp_path, *arguments, **more):
    return connected(tmp_path, command=[*ALONE, *arguments], env={"NOTES": str(tmp_path)}, **more)


def processes(tmp_path):
    """The server's processes that live, of those that ever began, and how many began."""
    began = tmp_path / "pids"
    pids = [int(line) for line in began.read_text().split()] if began.exists() else []
    return [pid for pid in pids if Path(f"/proc/{pid}").exists() and not _zombie(pid)], len(pids)


def _zombie(pid):
    return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"


async def test_stdio_server_answers_and_leaves_no_process(tmp_path):
    async with stdio(tmp_path) as connection:
        assert {tool.name for tool in await connection.tools()} >= {"echo", "hang"}
        assert (await connection.call("echo", {"text": "hi"})).structured_content == {"text": "hi"}
        assert len(processes(tmp_path)[0]) == 1
    assert processes(tmp_path) == ([], 1)


@pytest.mark.parametrize(
    ("command", "reason"),
    [([sys.executable, "-c", "raise SystemExit(3)"], ""), (["/no/such/program"], "No such file")],
    ids=["dies at once", "no program"],
)
async def test_dead_stdio_server(tmp_path, command, reason):
    async with connected(tmp_path, command=command) as connection:
        with pytest.raises(McpUnavailable) as told:
            await connection.call("echo", {"text": "hi"})
    assert "MCP server some-mcp" in str(told.value)
    assert "did not accept a connection" in str(told.value)
    assert "check mcp_servers.some-mcp" in str(told.value)
    assert reason in str(told.value)


@pytest.mark.full
async def test_stdio_server_that_never_says_a_word(tmp_path, monkeypatch):
    monkeypatch.setattr(connections, "CONNECT_SECONDS", 2.0)
    async with stdio(tmp_path, "--stuck") as connection:
        with pytest.raises(McpUnavailable, match=r"accept a connection: no answer within 2 s"):
            await connection.tools()
    assert processes(tmp_path)[0] == []


async def test_hanging_tool_ends_at_its_timeout_and_others_go_on(tmp_path):
    config = settings(**{"some-mcp": {"module": "tests.canned_tools", "timeout": "2s"}})
    canned_tools.ANSWERS["search_runbooks"] = lambda _: asyncio.sleep(60)
    canned_tools.ANSWERS["get_similar_incidents"] = lambda _: later({"found": 1})

    async def later(content):
        await asyncio.sleep(1)
        return content

    connection = Connection("some-mcp", config.mcp_servers["some-mcp"], config, tmp_path)
    hanging = asyncio.create_task(connection.call("search_runbooks", {"query": "x"}))
    await asyncio.sleep(1.3)
    slow = asyncio.create_task(connection.call("get_similar_incidents", {"query": "x"}))
    with pytest.raises(
        McpUnavailable, match=r"some-mcp .* did not answer search_runbooks: no answer within 2 s"
    ):
        await hanging
    assert (await slow).structured_content == {"found": 1}
    assert [name for name, _ in canned_tools.CALLS] == ["search_runbooks", "get_similar_incidents"]
    assert (await connection.call("query_stuck_orders", {})).structured_content["open_orders"] == 410
    await connection.close()
    assert await no_tasks_left() == []


@pytest.mark.full
async def test_hanging_stdio_server_is_replaced_and_killed(tmp_path):
    async with stdio(tmp_path, timeout="2s") as connection:
        with pytest.raises(McpUnavailable, match="no answer within 2 s"):
            await connection.call("hang", {"seconds": 60})
        assert (await connection.call("echo", {"text": "again"})).structured_content == {"text": "again"}
    assert processes(tmp_path) == ([], 2)


async def test_server_that_crashes_in_a_call_is_started_again(tmp_path):
    async with stdio(tmp_path) as connection:
        assert (await connection.call("die_once", {"text": "alive"})).structured_content == {"text": "alive"}
    assert processes(tmp_path) == ([], 2)


@pytest.mark.full
async def test_server_that_crashes_every_time(tmp_path):
    async with stdio(tmp_path) as connection:
        with pytest.raises(McpUnavailable, match=r"some-mcp .* did not answer die: .*[Cc]losed"):
            await connection.call("die", {})
        assert (await connection.call("echo", {"text": "back"})).structured_content == {"text": "back"}
    assert processes(tmp_path) == ([], 3)


async def test_many_calls_at_once_over_a_crash_share_one_new_server(tmp_path):
    async with stdio(tmp_path) as connection:
        await connection.tools()
        said = await asyncio.gather(
            connection.call("die_once", {"text": "0"}),
            *(connection.call("echo", {"text": str(n)}) for n in range(1, 6)),
        )
    assert [each.structured_content["text"] for each in said] == list("012345")
    assert processes(tmp_path) == ([], 2)


@pytest.mark.full
async def test_cancelled_caller_leaves_nothing_behind(tmp_path):
    async with stdio(tmp_path) as connection:
        await connection.tools()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await connection.call("hang", {"seconds": 60})
    assert processes(tmp_path) == ([], 1)


async def test_what_a_tool_refuses_keeps_the_connection(tmp_path):
    async with stdio(tmp_path) as connection:
        refused = await connection.call("echo", {"text": ["no", "text"]})
        assert refused.is_error
        try:
            unknown = (await connection.call("no_such_tool", {})).is_error
        except McpUnavailable as error:
            unknown = "no_such_tool" in str(error)
        assert unknown
    assert processes(tmp_path)[1] == 1


@pytest.fixture
def over_http(tmp_path):
    """URL of a logs server that wants the token `right`."""
    (tmp_path / "config.yaml").write_text(
        "models: {m: {id: m}}\nmcp_servers: {logs-mcp: {module: mcp_servers.logs, path: .}}\n"
        "domains: {ecm: {module: flows.ecm, skills: [{name: ecm-triage, role: manager, model: m}]}}\n"
    )
    port = free_port()
    command = [sys.executable, "-m", "mcp_servers.logs", "--config", str(tmp_path / "config.yaml")]
    process = subprocess.Popen(
        [*command, "--http", f"127.0.0.1:{port}"], env={**os.environ, "ASPORA_MCP_TOKEN": "right"}
    )
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        assert process.poll() is None
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}/mcp"
    process.terminate()
    process.wait(30)


async def test_http_token(tmp_path, over_http, monkeypatch):
    for token, reason in (("wrong", "401"), ("", "401")):
        monkeypatch.setenv("SOME_TOKEN", token)
        async with connected(tmp_path, url=over_http, token_env="SOME_TOKEN") as connection:
            with pytest.raises(McpUnavailable) as told:
                await connection.tools()
        assert "some-mcp" in str(told.value)
        assert reason in str(told.value)
        assert "SOME_TOKEN" in str(told.value)
        assert not token or token not in str(told.value)
    monkeypatch.setenv("SOME_TOKEN", "right")
    async with connected(tmp_path, url=over_http, token_env="SOME_TOKEN") as connection:
        assert [tool.name for tool in await connection.tools()] == ["query_application_logs"]


async def test_nobody_listens_at_the_url(tmp_path):
    async with connected(tmp_path, url="http://127.0.0.1:1/mcp") as connection:
        with pytest.raises(McpUnavailable, match=r"some-mcp \(http://127.0.0.1:1/mcp\) did not accept"):
            await connection.tools()


def toolbox(tmp_path, listed, **server):
    given = {"module": "tests.canned_tools", **server}
    config = settings(listed, **{"some-mcp": given})
    return Toolbox(config, config.domains["ecm"], tmp_path, Masker(b"key"))


def allowed(*tools, **limits):
    return SkillSettings(name="a-skill", role="manager", model="m", tools=list(tools), limits=limits)


async def test_definitions_of_the_listed_read_only_tools(tmp_path):
    listed = ["search_runbooks", "query_stuck_orders"]
    async with toolbox(tmp_path, listed) as box:
        there, missing = await box.offered(listed)
    assert [tool["name"] for tool in there] == ["query_stuck_orders", "search_runbooks"]
    assert there[1]["input_schema"]["required"] == ["query"]
    assert missing == {}


async def test_one_bad_tool_does_not_take_the_others_along(tmp_path):
    tools = ["search_runbooks", "drop_table", "no_such"]
    offered = {"tools": ["search_runbooks", "drop_table"]}
    async with toolbox(tmp_path, tools, **offered) as box:
        there, missing = await box.offered(["search_runbooks", "drop_table", "no_such", "unlisted"])
        assert [tool["name"] for tool in there] == ["search_runbooks"]
        assert "not marked read-only" in missing["drop_table"]
        assert "has no tool no_such; it has: search_runbooks, drop_table" in missing["no_such"]
        assert "no server in mcp_tools has unlisted" in missing["unlisted"]
        for name in missing:
            assert await box.call(name, {}) == ("error", missing[name])
    assert canned_tools.CALLS == []


async def test_only_the_skills_own_tools(tmp_path):
    async with toolbox(tmp_path, ["search_runbooks", "query_stuck_orders"]) as box:
        status, told = await box.call_for_model(allowed("search_runbooks"), "query_stuck_orders", {})
    assert (status, told) == ("error", "there is no tool 'query_stuck_orders'; there are: search_runbooks")
    assert canned_tools.CALLS == []


async def test_code_gets_the_whole_result_and_a_model_a_masked_and_cut_one(tmp_path):
    lines = [f"order {n} of john{n}@example.com" for n in range(5000)]
    canned_tools.ANSWERS["search_runbooks"] = {"lines": lines}
    async with toolbox(tmp_path, ["search_runbooks"]) as box:
        assert await box.call("search_runbooks", {"query": "x"}) == ("ok", {"lines": lines})
        skill = allowed("search_runbooks", tool_result_bytes=2000)
        status, seen = await box.call_for_model(skill, "search_runbooks", {"query": "x"})
    assert status == "ok"
    assert "@" not in str(seen)
    assert seen["lines"][0].startswith("order 0 of <email:")
    assert any("5000 items" in each for each in seen["cut"])
    assert len(str(seen)) < 2100


@pytest.mark.parametrize(
    ("content", "status"),
    [
        ({"hits": [], "note": "nothing"}, "no_data"),
        ({"hits": [1], "others": []}, "ok"),
        ({"open_orders": 0}, "ok"),
        ({"a": [], "b": []}, "no_data"),
    ],
)
async def test_empty_results_are_told_apart(tmp_path, content, status):
    canned_tools.ANSWERS["search_runbooks"] = content
    async with toolbox(tmp_path, ["search_runbooks"]) as box:
        assert (await box.call("search_runbooks", {"query": "x"}))[0] == status


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("plain words", "plain words"),
        ('{"a": 1}', {"a": 1}),
        ("[" * 100_000, "[" * 100_000),
        ("1" * 5000, "1" * 5000),
    ],
    ids=["words", "json", "endless nesting", "huge number"],
)
async def test_text_results(tmp_path, text, content):
    canned_tools.ANSWERS["plain_text"] = text
    async with toolbox(tmp_path, ["plain_text"], tools=["plain_text"]) as box:
        assert await box.call("plain_text", {}) == ("ok", content)
        _, seen = await box.call_for_model(allowed("plain_text", tool_result_bytes=1000), "plain_text", {})
    assert len(str(seen)) <= 1000


async def test_fifty_megabytes_of_text(tmp_path):
    canned_tools.ANSWERS["plain_text"] = "an old log line\n" * 3_300_000
    async with toolbox(tmp_path, ["plain_text"], tools=["plain_text"]) as box:
        _, seen = await box.call_for_model(allowed("plain_text"), "plain_text", {})
    assert seen["cut"] == ["text: 52800000 characters to 4000"]
    assert len(str(seen)) < 20_000


async def test_dead_server_is_an_error_to_the_caller(tmp_path):
    config = settings(["echo"], **{"some-mcp": {"command": [sys.executable, "-c", "pass"]}})
    async with Toolbox(config, config.domains["ecm"], tmp_path, Masker(b"key")) as box:
        status, told = await box.call("echo", {"text": "x"})
    assert status == "error"
    assert "check mcp_servers.some-mcp" in told
    assert await no_tasks_left() == []
