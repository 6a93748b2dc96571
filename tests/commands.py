"""Runs commands of the command line in this process; a domain's flow runs without Prefect."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import flows.cli
from flows.cli import session
from tests.fix_world import World
from tests.fix_world import run as run_without_prefect

ASPORA = str(Path(sys.executable).parent / "aspora")


@dataclass
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Aspora = Callable[..., Done]


@pytest.fixture(name="aspora")
def new_aspora(world: World, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Aspora:
    """Runs a command in this process, its domain flow without Prefect."""

    async def flow(input: Any, trigger_id: str) -> None:
        from tasks.run import RunFailed

        report = await run_without_prefect(input, trigger_id)
        if report["state"] == "failed":
            raise RunFailed(report["reason"])

    monkeypatch.setattr(session.Session, "_start_server", lambda self: None)
    monkeypatch.setattr(session, "_load_flow", lambda entrypoint: flow)
    monkeypatch.setenv("COLUMNS", "100")

    def call(*arguments: str, stdin: str | None = None) -> Done:
        monkeypatch.setattr(sys, "argv", ["aspora", *arguments])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin or ""))
        if stdin is not None:
            monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
        with pytest.raises(SystemExit) as ended:
            flows.cli.main()
        captured = capfd.readouterr()
        return Done(int(ended.value.code or 0), captured.out, captured.err)

    return call
