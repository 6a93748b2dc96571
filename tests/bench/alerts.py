"""A storm of alerts at the gateway: how fast they are acknowledged, and whether all are kept.

The gateway runs as a process of its own, and so does the sender, which sends at fixed moments whether or not
the gateway keeps up; a wait is counted from the moment an alert was due. Every tenth alert is a repeated
notification. `python -m tests.bench.alerts [--rate N] [--seconds N] [--database URL]`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
import yaml
from sqlalchemy import select

from blocks.database import Database
from blocks.home import ROOT
from blocks.schema import triggers
from tests.bench import percentile
from tests.ports import free_port
from tests.worlds import STRAIGHT, write_config

TOKEN = "bench"
SERVICES = 20
REPEATED = 10
"""One in so many is sent again."""
CONNECTIONS = 50


@dataclass(frozen=True)
class Storm:
    """What became of the alerts. Times in milliseconds."""

    sent: int
    repeated: int
    acknowledged: int
    lost: int
    stored_twice: int
    p50_ms: float
    p99_ms: float
    worst_ms: float
    refused: dict[str, int]


def fingerprint(number: int) -> str:
    """Of the alert sent as number `number`; every tenth is the one before it again."""
    return f"{number - 1 if number % REPEATED == REPEATED - 1 else number:016x}"


def notification(number: int) -> bytes:
    """One alert as Alertmanager sends it."""
    service = f"service-{int(fingerprint(number), 16) % SERVICES}"
    alert = {
        "status": "firing",
        "labels": {
            "alertname": "StuckOrders",
            "service": service,
            "instance": f"i-{number}",
            "severity": "page",
        },
        "annotations": {
            "summary": f"orders of {service} are stuck",
            "runbook_url": "https://example.com/runbook",
        },
        "startsAt": "2026-02-17T08:05:32.123Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus:9090/graph?g0.expr=stuck_orders",
        "fingerprint": fingerprint(number),
    }
    group = f'{{}}:{{alertname="StuckOrders", service="{service}"}}'
    whole = {
        "version": "4",
        "groupKey": group,
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "aspora",
    }
    whole |= {
        "groupLabels": {"service": service},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://a",
    }
    return json.dumps({**whole, "alerts": [alert]}).encode()


def measure(rate: int = 300, seconds: int = 20, database: str = "") -> Storm:
    """A storm of `rate` alerts a second; in the database of that URL, or a new SQLite file."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        url = database or f"sqlite:///{home / 'aspora.db'}"
        with _gateway(home, url) as address:
            command = [sys.executable, "-m", "tests.bench.alerts", "--to", address]
            command += ["--rate", str(rate), "--seconds", str(seconds)]
            done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
        found = json.loads(done.stdout)
        kept = Database(url)
        keys = kept.read_now(lambda conn: list(conn.execute(select(triggers.c.dedupe_key)).scalars()))
        kept.close()
    prints = [key.split(":")[1] for key in keys]
    wanted = {fingerprint(number) for number in range(rate * seconds)}
    found |= {"lost": len(wanted - set(prints)), "stored_twice": len(prints) - len(set(prints))}
    return Storm(**found)


@contextmanager
def _gateway(home: Path, database: str) -> Iterator[str]:
    """A gateway whose config takes the alerts, stopped at the end."""
    config = write_config(home / "aspora.config.yaml", STRAIGHT)
    written = yaml.safe_load(config.read_text(encoding="utf-8"))
    match = {"alertname": "StuckOrders"}
    written["triggers"] = [{"source": "prometheus", "match": match, "domain": "ecm"}]
    written["gateway"] = {"flood": "100000/s"}
    config.write_text(yaml.safe_dump(written), encoding="utf-8")
    port = str(free_port())
    environment = {**os.environ, "ASPORA_HOME": str(home), "ASPORA_CONFIG": str(config)}
    environment |= {
        "ASPORA_DATABASE_URL": database,
        "ASPORA_GATEWAY_PORT": port,
        "ASPORA_GATEWAY_TOKEN": TOKEN,
    }
    process = subprocess.Popen([sys.executable, "-m", "flows.gateway"], cwd=ROOT, env=environment)
    try:
        deadline = time.monotonic() + 60
        while not _ready(f"http://127.0.0.1:{port}"):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the gateway did not start")
            time.sleep(0.1)
        yield f"127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz").is_success
    except httpx.HTTPError:
        return False


class Sender:
    """Alerts over kept-alive connections, each sent at its moment."""

    def __init__(self, address: str, rate: int) -> None:
        self._host, _, self._port = address.partition(":")
        self._rate = rate
        self._free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
        self._waits: list[float] = []
        self._refused: dict[str, int] = {}

    async def send(self, count: int) -> dict[str, object]:
        """Sends so many; what came back."""
        for _ in range(CONNECTIONS):
            self._free.put_nowait(await asyncio.open_connection(self._host, int(self._port)))
        start = time.perf_counter() + 0.5
        tasks = []
        for number in range(count):
            due = start + number / self._rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            tasks.append(asyncio.create_task(self._one(notification(number), due)))
        await asyncio.gather(*tasks)
        return {
            "sent": count,
            "repeated": count - len({fingerprint(number) for number in range(count)}),
            "acknowledged": len(self._waits),
            "refused": self._refused,
            **{
                name: round(percentile.at(self._waits, share), 1)
                for name, share in (("p50_ms", 0.5), ("p99_ms", 0.99), ("worst_ms", 1.0))
            },
        }

    async def _one(self, body: bytes, due: float) -> None:
        reader, writer = await self._free.get()
        head = (
            f"POST /alerts/prometheus HTTP/1.1\r\nHost: {self._host}\r\nAuthorization: Bearer {TOKEN}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        answer = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = next(line for line in answer.split("\r\n") if line.startswith("content-length:"))
        await reader.readexactly(int(length.partition(":")[2]))
        self._free.put_nowait((reader, writer))
        status = answer.split()[1]
        if status == "202":
            self._waits.append((time.perf_counter() - due) * 1000)
        else:
            self._refused[status] = self._refused.get(status, 0) + 1


def main() -> None:
    """Prints what became of the storm."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=300)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--database", default="")
    parser.add_argument("--to", default="", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.to:
        sent = asyncio.run(Sender(given.to, given.rate).send(given.rate * given.seconds))
        sys.stdout.write(json.dumps(sent))
        return
    for name, value in asdict(measure(given.rate, given.seconds, given.database)).items():
        sys.stdout.write(f"{name}: {value}\n")


if __name__ == "__main__":
    main()
