"""A platform with a trigger table of the test's own, and messages that come in."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import yaml

from blocks.config import Config
from blocks.database import Database
from blocks.home import ROOT
from flows import orchestrator
from flows.orchestrator.events import FlowRun, Unreachable
from tasks import inbox
from tasks.domain import Incoming
from tasks.masking import Masker
from tasks.platform import Platform
from tests.record_world import NOW

ALERT = {"source": "prometheus", "match": {"alertname": "EcmBacklog"}, "domain": "ecm"}

_numbers = itertools.count()


def platform_of(database: Database, *triggers: dict[str, Any], **sections: Any) -> Platform:
    """The project's own domains with these triggers; other sections of `platform` as given."""
    config = yaml.safe_load((ROOT / "aspora.config.yaml").read_text(encoding="utf-8"))
    config["triggers"] = list(triggers)
    config["platform"] |= sections
    return Platform(Config.model_validate(config), ROOT, database, "offline", Masker(b"key"))


def alert(key: str = "", group: str = "", **labels: str) -> Incoming:
    """An alert `EcmBacklog` as the gateway hands it on."""
    fields = {"alertname": "EcmBacklog", **labels}
    return Incoming("prometheus", key or f"alert {next(_numbers)}", fields, "", {"labels": fields}, group)


def received(platform: Platform, message: Incoming, now: datetime = NOW) -> inbox.Trigger:
    """The message in the inbox."""
    return platform.database.write_now(lambda conn: orchestrator.receive(conn, platform, message, now))


def resolved(platform: Platform, key: str, now: datetime = NOW) -> inbox.Trigger | None:
    """The alert's row, once it ended."""
    return platform.database.write_now(lambda conn: orchestrator.resolve(conn, platform, key, now))


def row(platform: Platform, id: str) -> inbox.Trigger:
    """A trigger as it stands."""
    return platform.database.read_now(lambda conn: inbox.get(conn, id))


class Prefect:
    """A Prefect that does what the test says."""

    def __init__(self) -> None:
        self.events: list[tuple[str, int]] = []
        """Trigger id and attempt of each event that arrived."""
        self.runs: dict[str, FlowRun] = {}
        self.reasons: dict[str, str] = {}
        self.down = False

    async def emit(self, triggers: Sequence[inbox.Trigger]) -> None:
        self._answer()
        self.events += [(trigger.id, trigger.dispatches + 1) for trigger in triggers]

    async def flow_runs(self, triggers: Sequence[inbox.Trigger]) -> Mapping[str, FlowRun]:
        self._answer()
        return {each.id: self.runs[each.id] for each in triggers if each.id in self.runs}

    async def failures(self, triggers: Sequence[inbox.Trigger]) -> Mapping[str, str]:
        self._answer()
        return {each.id: self.reasons[each.id] for each in triggers if each.id in self.reasons}

    def run(self, trigger: inbox.Trigger, state: str, name: str = "") -> None:
        """The trigger has a flow run in this state."""
        self.runs[trigger.id] = FlowRun("f1", "jade-vole", state, name or state.title())

    def _answer(self) -> None:
        if self.down:
            raise Unreachable("Prefect can't be reached: it is down")
