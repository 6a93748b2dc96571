"""Sample worlds with one fault in one wording at one stage, diagnosed one after the other in one home."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from blocks.database import Database
from blocks.home import ROOT
from flows.ecm.evaluate import judge
from flows.ecm.models import EcmInput
from flows.ecm.sample import Fault, World, draw
from flows.ecm.sample.world import plan
from tasks import corrections, incidents
from tests import fix_world

NOW = datetime(2026, 3, 11, 14, 5, 9, tzinfo=UTC)


def seeds(fault: Fault, wording: int, stage: str, count: int) -> list[int]:
    """The first seeds that draw this fault alone, so worded, at this stage."""
    found: list[int] = []
    for seed in range(1, 5000):
        planned = plan(seed, NOW, (fault,))
        if [(each.wording, each.stage) for each in planned] == [(wording, stage)]:
            found.append(seed)
        if len(found) == count:
            break
    return found


@dataclass
class Company:
    """A home with a config, runbooks and a record; worlds are drawn into it one after the other."""

    home: Path
    drawn: tuple[int, World] | None = None
    """The seed whose world stands there."""

    @property
    def database(self) -> Database:
        database = Database(f"sqlite:///{self.home}/aspora.db")
        database.migrate()
        return database

    async def diagnose(self, seed: int, fault: Fault) -> dict[str, Any]:
        """Draws a world and runs the domain on it: the report of the faulty stage's diagnosis."""
        if self.drawn is None or self.drawn[0] != seed:
            self.drawn = seed, draw(seed, self.home, now=NOW, faults=(fault,))
        world = self.drawn[1]
        past = [incidents.Incident.model_validate(each) for each in world.incidents]
        database = self.database
        if not database.read_now(incidents.find):
            database.write_now(lambda conn: incidents.replace(conn, "sample", past))
        database.close()
        report = await fix_world.run(EcmInput(as_of=NOW))
        stage = world.faults[0]["stage"]
        found = [each for each in report["executions"] if each["skill"] == "ecm-diagnose"]
        execution = next(each for each in found if each["input"]["stuck_at"] == stage)
        execution["judged"] = judge(seed, stage, world.faults[0], execution)
        return dict(execution)

    def correct(self, execution_id: str, cause: str, by: str, verified: bool = False, **given: Any) -> None:
        """Somebody says what it was."""
        said = {"actual_root_cause": cause}
        database = self.database
        via = "slack" if verified else "cli"
        database.write_now(
            lambda conn: corrections.add(conn, execution_id, said, by=by, via=via, verified=verified, **given)
        )
        database.close()


def company(home: Path, pages: Path, monkeypatch: pytest.MonkeyPatch) -> Company:
    """A home whose skills read the company's runbooks and these."""
    shutil.copytree(ROOT / "runbooks", home / "runbooks")
    shutil.copytree(pages, home / "runbooks", dirs_exist_ok=True)
    config = yaml.safe_load((ROOT / "aspora.config.yaml").read_text(encoding="utf-8"))
    config["mcp_servers"]["runbooks-mcp"]["path"] = str(home / "runbooks")
    (home / "aspora.config.yaml").write_text(json.dumps(config, default=str), encoding="utf-8")
    monkeypatch.setenv("ASPORA_HOME", str(home))
    monkeypatch.setenv("ASPORA_CONFIG", str(home / "aspora.config.yaml"))
    for name in ("ASPORA_DATABASE_URL", "ASPORA_WAREHOUSE_URL", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return Company(home)
