"""A real Alertmanager that sends its notifications to the gateway."""

from __future__ import annotations

import contextlib
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests import needs
from tests.ports import free_port

START_SECONDS = 30


class Alertmanager:
    """Notifies at once, and repeats often, so that repeats are seen too.

    Args:
        directory: for its config and state.
        webhook: the gateway's address for alerts.
        token: the gateway's bearer token.
        config: another config than that of these three.
        started_in: the directory it is started in.
    """

    def __init__(
        self,
        directory: Path,
        webhook: str = "",
        token: str = "",
        config: dict[str, Any] | None = None,
        started_in: Path | None = None,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        file = directory / "alertmanager.yml"
        file.write_text(yaml.safe_dump(config or _config(webhook, token)), encoding="utf-8")
        port = free_port()
        self.address = f"127.0.0.1:{port}"
        self._api = httpx.Client(base_url=f"http://{self.address}/api/v2", timeout=10)
        self._process = subprocess.Popen(
            [
                needs.program("prometheus-alertmanager", "prometheus-alertmanager"),
                f"--config.file={file}",
                f"--storage.path={directory / 'data'}",
                f"--web.listen-address={self.address}",
                "--cluster.listen-address=",
            ],
            cwd=started_in,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._wait()

    def fire(self, labels: dict[str, str], summary: str = "") -> None:
        """An alert starts, or goes on."""
        self._post({"labels": labels, "annotations": {"summary": summary}})

    def resolve(self, labels: dict[str, str]) -> None:
        """An alert ends."""
        self._post({"labels": labels, "endsAt": datetime.now(UTC).isoformat()})

    def close(self) -> None:
        """Ends it."""
        self._api.close()
        self._process.terminate()
        self._process.wait(10)

    def _post(self, alert: dict[str, Any]) -> None:
        self._api.post("/alerts", json=[alert]).raise_for_status()

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.HTTPError):
                if self._api.get("/status").is_success:
                    return
            time.sleep(0.2)
        self.close()
        raise RuntimeError("Alertmanager did not start")


def _config(webhook: str, token: str) -> dict[str, Any]:
    return {
        "route": {
            "receiver": "aspora",
            "group_by": ["alertname", "stage"],
            "group_wait": "1s",
            "group_interval": "1s",
            "repeat_interval": "2s",
        },
        "receivers": [
            {
                "name": "aspora",
                "webhook_configs": [
                    {
                        "url": webhook,
                        "send_resolved": True,
                        "http_config": {"authorization": {"credentials": token}},
                    }
                ],
            }
        ],
    }
