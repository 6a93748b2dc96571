"""A real Prometheus that scrapes a `/metrics`, evaluates rules and tells an Alertmanager."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import httpx
import pytest
import yaml

from tests import needs
from tests.ports import free_port

T = TypeVar("T")

WAIT_SECONDS = 90
"""Long enough for a busy machine; nothing waits longer than it has to."""


class Sample(NamedTuple):
    """A series of a query's result, and its value at the time asked for."""

    labels: dict[str, str]
    value: float


class Prometheus:
    """Debian's Prometheus on a free port, which scrapes and evaluates each second.

    Use it in a `with` block; it has scraped its target once when the block begins.

    Args:
        directory: for its config and data.
        metrics: the address of a `/metrics`.
        rules: rule files; absolute paths.
        alertmanager: an Alertmanager's `host:port`; empty if alerts go nowhere.
        interval: of scrapes and of evaluations.
        job: the `job` label of what is scraped.
    """

    def __init__(
        self,
        directory: Path,
        metrics: str,
        rules: Sequence[Path] = (),
        alertmanager: str = "",
        interval: str = "1s",
        job: str = "aspora",
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._config = directory / "prometheus.yml"
        self._log = directory / "prometheus.log"
        self._data = directory / "data"
        written = _config(metrics, rules, alertmanager, interval, job)
        self._config.write_text(yaml.safe_dump(written), encoding="utf-8")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.api = httpx.Client(base_url=f"{self.url}/api/v1", timeout=30)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Prometheus:
        command = [
            needs.program("prometheus", "prometheus"),
            f"--config.file={self._config}",
            f"--storage.tsdb.path={self._data}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--enable-feature=exemplar-storage",
        ]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            self.until(lambda: self.query("up"))
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends it."""
        self.api.close()
        if self._process:
            self._process.terminate()
            self._process.wait(30)

    def query(self, expression: str, at: float | None = None) -> list[Sample]:
        """An instant query's series, now or at a Unix time. A scalar has no labels."""
        asked: dict[str, Any] = {"query": expression} if at is None else {"query": expression, "time": at}
        data = self._get("/query", asked)
        if data["resultType"] == "scalar":
            return [Sample({}, float(data["result"][1]))]
        return [Sample(each["metric"], float(each["value"][1])) for each in data["result"]]

    def value(self, expression: str) -> float | None:
        """The value of a query with one series; None if it has none."""
        found = self.query(expression)
        assert len(found) <= 1, f"{expression} has {len(found)} series"
        return found[0].value if found else None

    def query_range(self, expression: str, start: float, end: float, step: str = "1s") -> list[Any]:
        """A range query's series as the API gives them: `{"metric": …, "values": [[time, value], …]}`."""
        data = self._get("/query_range", {"query": expression, "start": start, "end": end, "step": step})
        return list(data["result"])

    def get(self, path: str, **parameters: Any) -> Any:
        """The `data` of any other question to its API, such as `/targets` or `/query_exemplars`."""
        return self._get(path, parameters)

    def rules(self) -> dict[str, dict[str, Any]]:
        """Its rules by name, with `state`, `health`, `lastError`, `alerts`."""
        groups = self._get("/rules", {})["groups"]
        return {rule["name"]: rule for group in groups for rule in group["rules"]}

    def until(self, found: Callable[[], T | None]) -> T:
        """Waits until `found` gives something; fails with Prometheus' log if it never does."""
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.TransportError, httpx.HTTPStatusError):
                if result := found():
                    return result
            time.sleep(0.2)
        pytest.fail(f"waited {WAIT_SECONDS} s in vain; Prometheus said:\n{self._log.read_text()[-3000:]}")

    def _get(self, path: str, parameters: dict[str, Any]) -> Any:
        answer = self.api.get(path, params=parameters)
        if answer.status_code == httpx.codes.BAD_REQUEST or answer.status_code == 422:
            raise ValueError(answer.json()["error"])
        return answer.raise_for_status().json()["data"]


def _config(
    metrics: str, rules: Sequence[Path], alertmanager: str, interval: str, job: str
) -> dict[str, Any]:
    address = urlsplit(metrics)
    config: dict[str, Any] = {
        "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
        "rule_files": [str(path) for path in rules],
        "scrape_configs": [
            {
                "job_name": job,
                "metrics_path": address.path or "/metrics",
                "static_configs": [{"targets": [address.netloc]}],
            }
        ],
    }
    if alertmanager:
        config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]}
    return config
