"""The gateway as a process: it starts, takes messages, and stops without losing one."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pytest

from blocks.home import ROOT
from tasks import inbox
from tests.gateway_world import TOKEN, alert, bearer, notification, set_surroundings
from tests.ports import free_port
from tests.worlds import platform_database

__all__ = ["set_surroundings"]
pytestmark = pytest.mark.full
COMMAND = [sys.executable, "-m", "flows.gateway"]


def until(found: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Waits for it."""
    deadline = time.monotonic() + seconds
    while not found():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds:g} s in vain for {what}")
        time.sleep(0.05)


def answers(url: str) -> bool:
    """Whether it is ready."""
    try:
        return httpx.get(f"{url}/readyz").is_success
    except httpx.HTTPError:
        return False


@pytest.fixture(name="url")
def free_address(surroundings: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where a gateway started from here listens."""
    port = free_port()
    monkeypatch.setenv("ASPORA_GATEWAY_PORT", str(port))
    return f"http://127.0.0.1:{port}"


def start() -> subprocess.Popen[str]:
    """The gateway of this environment."""
    return subprocess.Popen(COMMAND, cwd=ROOT, stderr=subprocess.PIPE, text=True)


def test_it_stops_when_told_and_begins_again(url: str) -> None:
    """SIGTERM: exit code 0, nothing left; what it took before is known to the next one."""
    ids = []
    for _ in range(2):
        process = start()
        until(lambda: answers(url), "the gateway")
        taken = httpx.post(f"{url}/alerts/prometheus", json=notification(), headers=bearer())
        ids.append(taken.json()["triggers"][0]["id"])
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0
        assert f"gateway at {url}" in said
        assert "Traceback" not in said and TOKEN not in said
    assert ids[0] == ids[1]


def test_it_listens_where_it_is_told(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASPORA_GATEWAY_HOST", "127.0.0.2")
    process = start()
    try:
        until(lambda: answers(url.replace("127.0.0.1", "127.0.0.2")), "the gateway")
        assert not answers(url)
    finally:
        process.kill()
        process.communicate()


def test_a_request_under_way_is_finished_first(url: str) -> None:
    """Told to stop while a body arrives, it takes the rest of it, stores it, and answers."""
    process = start()
    until(lambda: answers(url), "the gateway")
    request = httpx.Request(
        "POST", f"{url}/alerts/prometheus", json=notification(alert("late")), headers=bearer()
    )
    head = "POST /alerts/prometheus HTTP/1.1\r\n" + "".join(
        f"{n}: {v}\r\n" for n, v in request.headers.items()
    )
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as sock:
        sock.sendall(head.encode() + b"\r\n" + request.content[:10])
        httpx.get(f"{url}/healthz")
        process.send_signal(signal.SIGTERM)
        until(lambda: not answers(url), "the door to close")
        sock.sendall(request.content[10:])
        assert sock.recv(10_000).startswith(b"HTTP/1.1 202")
    assert process.wait(60) == 0


def test_what_was_acknowledged_survives_a_kill(url: str) -> None:
    """SIGKILL in the middle of a storm: every alert that was answered 202 is in the record."""
    process = start()
    until(lambda: answers(url), "the gateway")
    acknowledged: set[str] = set()

    def storm(sender: int) -> None:
        with httpx.Client(headers=bearer()) as client, contextlib.suppress(httpx.HTTPError):
            for number in itertools.count():
                sent = notification(alert(f"{sender}-{number}"))
                answer = client.post(f"{url}/alerts/prometheus", json=sent)
                acknowledged.update(each["id"] for each in answer.json()["triggers"])

    senders = [threading.Thread(target=storm, args=(number,)) for number in range(4)]
    for each in senders:
        each.start()
    until(lambda: len(acknowledged) > 100, "a hundred alerts")
    process.kill()
    process.communicate()
    for each in senders:
        each.join()
    kept = platform_database(os.environ)
    rows = kept.read_now(lambda conn: inbox.find(conn, limit=100_000))
    kept.close()
    assert acknowledged <= {row.id for row in rows}


def test_it_ends_with_its_parent(url: str) -> None:
    """The process that started it is killed: it does not stay behind."""
    parent = subprocess.Popen(
        [sys.executable, "-c", f"import subprocess; subprocess.Popen({COMMAND!r}).wait()"],
        cwd=ROOT, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    until(lambda: answers(url), "the gateway")
    [gateway] = psutil.Process(parent.pid).children()
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    psutil.wait_procs([gateway], timeout=60)
    assert not gateway.is_running() or gateway.status() == psutil.STATUS_ZOMBIE


def test_it_says_why_it_does_not_start(url: str, surroundings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A taken port, and a config that does not load: a sentence, exit code 2."""
    with socket.create_server(("127.0.0.1", int(url.rpartition(":")[2]))):
        _, said = start().communicate(timeout=60)
        assert "can't be had" in said and "ASPORA_GATEWAY_PORT" in said
    monkeypatch.setenv("ASPORA_GATEWAY_PORT", "http")
    process = start()
    assert "write a port number" in process.communicate(timeout=60)[1]
    monkeypatch.setenv("ASPORA_GATEWAY_PORT", str(free_port()))
    surroundings.write_text("nonsense: true\n", encoding="utf-8")
    process = start()
    _, said = process.communicate(timeout=60)
    assert (process.returncode, "nonsense" in said, "Traceback" in said) == (2, True, False)
