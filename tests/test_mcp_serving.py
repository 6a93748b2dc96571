"""An MCP server run alone: over stdio and over streamable HTTP, as a process of its own."""

import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import httpx
import httpx2
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from tests.ports import free_port

pytestmark = pytest.mark.full

TOKEN = "correct-horse"

CONFIG = """
models: {m: {id: m}}
mcp_servers:
  logs-mcp: {module: mcp_servers.logs, path: logs/}
domains:
  ecm:
    module: flows.ecm
    skills: [{name: ecm-triage, role: manager, model: m}]
"""


@pytest.fixture
def config(tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "lulu.log").write_text("2026-02-17T08:00:00Z ERROR lulu: no route\n")
    path = tmp_path / "aspora.config.yaml"
    path.write_text(CONFIG)
    return path


def command(config, *more, module="mcp_servers.logs"):
    return [sys.executable, "-m", module, "--config", str(config), *more]


def environment(tmp_path, **more):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ASPORA_")}
    return {**kept, "ASPORA_HOME": str(tmp_path / "home"), **more}


def run(tmp_path, *arguments, **more):
    return subprocess.run(
        arguments, env=environment(tmp_path, **more), capture_output=True, text=True, timeout=60, check=False
    )


async def top_template(client):
    result = await client.call_tool("query_application_logs", {"service": "lulu"})
    return result.structured_content["templates"][0]["template"]


async def test_stdio(tmp_path, config):
    program, *arguments = command(config)
    server = StdioServerParameters(command=program, args=arguments, env=environment(tmp_path))
    async with Client(server, read_timeout_seconds=60) as client:
        tools = (await client.list_tools()).tools
        assert [tool.name for tool in tools] == ["query_application_logs"]
        assert tools[0].annotations.read_only_hint
        assert await top_template(client) == "no route"


async def test_option_on_the_command_line_wins(tmp_path, config):
    (tmp_path / "other.log").write_text("2026-02-17T08:00:00Z ERROR lulu: other\n")
    program, *arguments = command(config, "--set", "path=other.log")
    server = StdioServerParameters(command=program, args=arguments, env=environment(tmp_path))
    async with Client(server, read_timeout_seconds=60) as client:
        assert await top_template(client) == "other"


@contextmanager
def http_server(tmp_path, config):
    port = free_port()
    process = subprocess.Popen(
        command(config, "--http", f"127.0.0.1:{port}"),
        env=environment(tmp_path, ASPORA_MCP_TOKEN=TOKEN),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        wait_for(port, process)
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.terminate()
        stdout, _ = process.communicate(timeout=30)
    assert stdout == b""


def wait_for(port, process):
    for _ in range(600):
        assert process.poll() is None, process.stderr.read()
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("the server never listened")


async def test_http_serves_those_who_know_the_token(tmp_path, config):
    with http_server(tmp_path, config) as url:
        for given in (None, "Bearer wrong", f"Basic {TOKEN}", TOKEN, "Bearer", f"Bearer {TOKEN}x"):
            headers = {"Authorization": given} if given else {}
            answer = httpx.post(url, headers=headers, json={}, timeout=10)
            assert answer.status_code == 401, given
            assert answer.headers["www-authenticate"] == "Bearer"
        async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30) as http:
            transport = streamable_http_client(url, http_client=http)
            async with Client(transport, read_timeout_seconds=60) as client:
                assert await top_template(client) == "no route"


def test_http_needs_a_token(tmp_path, config):
    done = run(tmp_path, *command(config, "--http", "127.0.0.1:0"))
    assert done.returncode == 2
    assert "ASPORA_MCP_TOKEN is not set" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--http", "8080"], "HOST:PORT"),
        (["--section", "nope"], "there is logs-mcp"),
        (["--set", "speed=1"], "speed"),
        (["--set", "path"], "KEY=VALUE"),
    ],
)
def test_wrong_arguments_are_told(tmp_path, config, arguments, expected):
    done = run(tmp_path, *command(config, *arguments), ASPORA_MCP_TOKEN=TOKEN)
    assert done.returncode == 2
    assert expected in done.stderr
    assert "Traceback" not in done.stderr


def test_missing_config_is_told(tmp_path):
    done = run(tmp_path, *command(tmp_path / "none.yaml"))
    assert done.returncode == 2
    assert "none.yaml" in done.stderr
    assert "Traceback" not in done.stderr


def test_help_names_module_and_token(tmp_path):
    done = run(tmp_path, sys.executable, "-m", "mcp_servers.logs", "--help")
    assert done.returncode == 0
    assert "python -m mcp_servers.logs" in done.stdout
    assert "ASPORA_MCP_TOKEN" in done.stdout
