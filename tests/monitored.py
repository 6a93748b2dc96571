"""A gateway process, and the project's own rules and Alertmanager config around it, in haste.

Expressions, groups, receivers and paths are the committed ones; only what is waited for is shorter.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

from blocks.home import ROOT
from tests.alertmanager import Alertmanager
from tests.ports import free_port

PROMETHEUS = ROOT / "grafana" / "prometheus"
RULES = (PROMETHEUS / "recording.yml", PROMETHEUS / "alerts.yml")
START_SECONDS = 60
_HASTE = {"group_wait": "1s", "group_interval": "1s", "repeat_interval": "2s"}


@contextmanager
def gateway() -> Iterator[str]:
    """The gateway of this environment as a process; its address."""
    port = free_port()
    environment = {**os.environ, "ASPORA_GATEWAY_PORT": str(port)}
    process = subprocess.Popen([sys.executable, "-m", "flows.gateway"], cwd=ROOT, env=environment)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _answers(url):
            assert process.poll() is None and time.monotonic() < deadline, "the gateway did not start"
            time.sleep(0.1)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def hasty_rules(directory: Path) -> list[Path]:
    """The project's rules; what must hold for ten minutes holds for a second."""
    directory.mkdir(parents=True, exist_ok=True)
    made = [directory / path.name for path in RULES]
    for source, copy in zip(RULES, made, strict=True):
        copy.write_text(re.sub(r"for: \d+[mh]", "for: 1s", source.read_text(encoding="utf-8")))
    return made


def alertmanager(home: Path, gateway_url: str, slack_url: str) -> Alertmanager:
    """The project's config in a checkout whose state directory is `home`, in which it finds its secrets."""
    config: dict[str, Any] = yaml.safe_load(
        (ROOT / "grafana" / "alertmanager" / "alertmanager.yml").read_text(encoding="utf-8")
    )
    for route in (config["route"], *config["route"]["routes"]):
        route.update(_HASTE)
    [receiver] = config["receivers"]
    [webhook] = receiver["webhook_configs"]
    webhook["url"] = webhook["url"].replace("http://127.0.0.1:8321", gateway_url)
    with contextlib.suppress(FileExistsError):
        (home / ".aspora").symlink_to(home)
    (home / "slack-alerts-url").write_text(slack_url, encoding="utf-8")
    return Alertmanager(home / "grafana" / "alertmanager", config=config, started_in=home)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz").is_success
    except httpx.HTTPError:
        return False
