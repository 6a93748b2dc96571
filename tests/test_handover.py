"""A command is handed over only to a worker that would do the same as this process, and is run once."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from flows.cli.handover import GO, READY, SOCKET, hand_over, surroundings
from flows.worker import commands


@pytest.fixture
def listener(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Listens where the worker would, and hangs up on whoever comes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASPORA_HOME", str(tmp_path))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(SOCKET)
        listening.listen()
        yield listening


def came(listener: socket.socket, seconds: float = 0.1) -> bool:
    """Whether a command comes to the worker."""
    listener.settimeout(seconds)
    try:
        listener.accept()[0].close()
    except TimeoutError:
        return False
    return True


def test_a_run_comes(listener: socket.socket) -> None:
    with ThreadPoolExecutor(1) as worker:
        seen = worker.submit(came, listener, 30.0)
        assert hand_over(["run", "ecm"]) is None, "who hung up has not run it"
        assert seen.result()


@pytest.mark.parametrize("words", [["run", "--help"], ["check"], ["executions"], []], ids=" ".join)
def test_what_imports_little_does_not(listener: socket.socket, words: list[str]) -> None:
    assert hand_over(words) is None
    assert not came(listener)


def test_nor_a_run_on_another_server(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    assert hand_over(["run", "ecm"]) is None
    assert not came(listener)


def test_nor_one_of_code_that_was_changed_since(listener: socket.socket) -> None:
    os.utime(SOCKET, (0, 0))
    assert hand_over(["run", "ecm"]) is None
    assert not came(listener)


def test_without_a_worker_it_is_run_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASPORA_HOME", str(tmp_path))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    assert hand_over(["run", "ecm"]) is None
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as gone:
        monkeypatch.chdir(tmp_path)
        gone.bind(SOCKET)
    assert hand_over(["run", "ecm"]) is None


def test_what_can_not_be_asked_is_run_here(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = Path("gone").resolve()
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert hand_over(["run", "ecm"]) is None, "a directory that was deleted"
    monkeypatch.setenv("ASPORA_HOME", __file__)
    assert hand_over(["run", "ecm"]) is None, "a state directory that is a file"


class NoForks:
    """Notes what it should run."""

    def __init__(self) -> None:
        self.started: list[Sequence[str]] = []

    async def command(self, arguments: Sequence[str], *_: Any) -> Any:
        self.started.append(arguments)
        raise OSError("no forks here")


@pytest.fixture
async def forks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[NoForks]:
    """Those of a worker that serves commands, in the current directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASPORA_HOME", str(tmp_path))
    forks = NoForks()
    serving = asyncio.create_task(commands.serve(forks, time.time()))  # type: ignore[arg-type]
    while not Path(SOCKET).exists():
        await asyncio.sleep(0.01)
    yield forks
    serving.cancel()


async def say(answer: bytes = GO, **said: Any) -> bytes:
    """What the worker has to say before it hangs up on a command that says this of itself."""
    command = {"surroundings": surroundings(), "arguments": ["run"], "environment": {}, "umask": 0}
    body = json.dumps(command | {"directory": str(Path.cwd())} | said).encode()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect(SOCKET)
        socket.send_fds(client, [len(body).to_bytes(4, "big")], [0, 1, 2])
        client.sendall(body)
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        said_back = await loop.sock_recv(client, len(READY))
        if said_back:
            await loop.sock_sendall(client, answer)
            client.shutdown(socket.SHUT_WR)
            await loop.sock_recv(client, 1)
        return said_back


async def test_the_worker_runs_what_goes(forks: NoForks) -> None:
    assert await say() == READY
    assert forks.started == [["run"]]


async def test_a_command_that_nobody_waits_for_is_not_run(forks: NoForks) -> None:
    assert await say(answer=b"") == READY
    assert forks.started == []


@pytest.mark.parametrize(
    "said",
    [
        {"surroundings": ["/elsewhere"]},
        {"directory": "/no/such/directory"},
        {"arguments": "run"},
        {"environment": {"A": 1}},
    ],
    ids=str,
)
async def test_nor_one_that_would_do_something_else_here(forks: NoForks, said: dict[str, Any]) -> None:
    assert await say(**said) == b""
    assert forks.started == []
