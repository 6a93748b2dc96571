"""A command is handed over only to a worker that would do the same as this process."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flows.cli.handover import SOCKET, hand_over


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
