"""A real Redis on the loopback, for as long as a test needs one."""

from __future__ import annotations

import contextlib
import subprocess
import time
from pathlib import Path

import redis

from tests.needs import program
from tests.ports import free_port

START_SECONDS = 20.0


class RedisServer:
    """Debian's redis-server, with its append-only file in `directory`."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self._program = program("redis-server", "redis-server")
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._process = self._start()

    def url(self, database: int = 0) -> str:
        """The URL of one of its databases."""
        return f"redis://127.0.0.1:{self.port}/{database}"

    def restart(self, seconds: float = 0.0) -> None:
        """SIGKILL, and after a while another one on the same file."""
        self.close()
        time.sleep(seconds)
        self._process = self._start()

    def close(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [self._program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
             "--appendonly", "yes", "--dir", str(self._directory)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + START_SECONDS
        with redis.Redis(port=self.port) as client:
            while time.monotonic() < deadline:
                with contextlib.suppress(redis.RedisError):
                    client.ping()
                    return process
                time.sleep(0.05)
        process.kill()
        raise AssertionError(f"redis-server did not answer within {START_SECONDS:g} s")
