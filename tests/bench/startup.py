"""How long a person waits for the command line: help, the first progress line, a whole run.

`python -m tests.bench.startup` prints seconds. Each run has a state directory of its own; the first one makes
Prefect's database, the second finds it there.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from flows.cli import server
from tests.up_world import Up

ROOT = Path(__file__).resolve().parents[2]
ASPORA = Path(sys.executable).parent / "aspora"
ROUNDS = 5


def seconds(arguments: list[str], home: str, until_line: bool = False, url: str = "") -> float:
    """Wall-clock seconds of a command, or until its first line on stderr; `url` of a Prefect server."""
    environment = {**os.environ, "ASPORA_HOME": home, "PREFECT_API_URL": url}
    return _seconds(arguments, environment, until_line)


def _seconds(arguments: list[str], environment: dict[str, str], until_line: bool = False) -> float:
    started = time.perf_counter()
    process = subprocess.Popen(
        [str(ASPORA), *arguments], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    if process.stderr is None:
        raise RuntimeError("no stderr")
    process.stderr.readline()
    first = time.perf_counter() - started
    process.stderr.read()
    process.wait()
    return first if until_line else time.perf_counter() - started


def measure() -> dict[str, float]:
    """Seconds by what was waited for."""
    with tempfile.TemporaryDirectory() as home:
        waits = {"first run in a new state directory": seconds(["run", "ecm"], home)}
        waits["run without a server"] = seconds(["run", "ecm"], home)
        waits["first progress line"] = seconds(["run", "ecm"], home, until_line=True)
        waits |= _with_server(home)
        waits |= _with_up()
        waits["aspora --help"] = min(seconds(["--help"], home) for _ in range(5))
    return waits


def _with_server(home: str) -> dict[str, float]:
    """Runs while a Prefect server is up: its first one, and the next ones."""
    os.environ["ASPORA_HOME"] = home
    server.prepare()
    running = server.TemporaryServer()
    try:
        running.wait()
        first, *later = [seconds(["run", "ecm"], home, url=running.url) for _ in range(1 + ROUNDS)]
        return {"first run with a server": first, "run with a server": statistics.median(later)}
    finally:
        running.stop()


def _with_up() -> dict[str, float]:
    """Runs while `aspora up` is up, whose worker takes them over."""
    with tempfile.TemporaryDirectory() as directory:
        up = Up(Path(directory))
        try:
            up.start()
            first, *later = [_seconds(["run", "ecm"], up.environment) for _ in range(1 + ROUNDS)]
            return {"first run with aspora up": first, "run with aspora up": statistics.median(later)}
        finally:
            up.kill()


def main() -> None:
    """Prints the waits."""
    for what, wait in measure().items():
        print(f"{what}: {wait:.2f} s")


if __name__ == "__main__":
    main()
