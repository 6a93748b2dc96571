"""What the orchestrator tells Prefect, and what Prefect knows: events, flow runs, failed automations."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

import httpx

from tasks import ids
from tasks.clock import utc
from tasks.inbox import Trigger

_log = logging.getLogger("aspora.services")

EVENT = "aspora.trigger"
FAILED = "prefect.automation.action.failed"
TIMEOUT = 10.0
"""Seconds for one question to Prefect, with its client's own repetitions."""
PAGE = 200
"""What Prefect gives at a time at most."""
MOST = 5
"""Pages of flow runs that are looked through, the newest first."""
_EARLIER = timedelta(seconds=10)
"""Clocks of different machines differ."""


class Unreachable(Exception):
    """Prefect does not answer, or not as it should. The message says how."""


@dataclass(frozen=True)
class FlowRun:
    """A flow run, as far as the orchestrator wants to know."""

    id: str
    name: str
    state: str
    """Its state's type, such as `SCHEDULED`."""
    state_name: str
    """Its state's name for people, such as `Late`."""


class Prefect(Protocol):
    """What the orchestrator needs of Prefect; tests bring their own."""

    async def emit(self, triggers: Sequence[Trigger]) -> None:
        """Sends each trigger's event, in one request.

        Raises:
            Unreachable: they may not have arrived.
        """

    async def flow_runs(self, triggers: Sequence[Trigger]) -> Mapping[str, FlowRun]:
        """Trigger id → the newest flow run that was started for it, or that worked on it.

        Raises:
            Unreachable: nothing is known.
        """

    async def failures(self, triggers: Sequence[Trigger]) -> Mapping[str, str]:
        """Trigger id → why an automation could not start its flow run.

        Raises:
            Unreachable: nothing is known.
        """


class Server:
    """The Prefect server that `PREFECT_API_URL` names, within `async with` and one event loop."""

    def __init__(self) -> None:
        self._client: Any = None
        self._silent = False

    async def __aenter__(self) -> Server:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._client:
            await self._client.__aexit__(None, None, None)
            self._client = None

    async def emit(self, triggers: Sequence[Trigger]) -> None:
        """As `Prefect.emit`."""
        now = utc().isoformat()
        await self._ask("/events", [_event(trigger, now) for trigger in triggers])

    async def flow_runs(self, triggers: Sequence[Trigger]) -> Mapping[str, FlowRun]:
        """As `Prefect.flow_runs`."""
        wanted = {trigger.id for trigger in triggers}
        known = {trigger.flow_run_id: trigger.id for trigger in triggers if trigger.flow_run_id}
        found: dict[str, FlowRun] = {}
        if known:
            for run in await self._ask("/flow_runs/filter", {"flow_runs": {"id": {"any_": list(known)}}}):
                found[known[run["id"]]] = _flow_run(run)
        since = min((each.dispatched_at for each in triggers if each.dispatched_at), default=None)
        return found | (await self._started(wanted, since) if since else {})

    async def failures(self, triggers: Sequence[Trigger]) -> Mapping[str, str]:
        """As `Prefect.failures`."""
        sent = {f"prefect.event.{_event_id(each, each.dispatches)}": each.id for each in triggers}
        since = min((each.dispatched_at for each in triggers if each.dispatched_at), default=utc())
        wanted = {
            "event": {"name": [FAILED]},
            "occurred": {"since": (since - _EARLIER).isoformat()},
            "related": {"id": list(sent)},
        }
        found = await self._ask("/events/filter", {"filter": wanted, "limit": 50})
        return {
            sent[related["prefect.resource.id"]]: str(event["payload"].get("reason", ""))[:500]
            for event in found["events"]
            for related in event["related"]
            if related["prefect.resource.id"] in sent
        }

    async def _started(self, wanted: set[str], since: datetime) -> dict[str, FlowRun]:
        """Trigger id → its newest flow run that was to start since then. Skills' own are left out."""
        between = {"after_": (since - _EARLIER).isoformat(), "before_": (utc() + _EARLIER).isoformat()}
        runs_of = {"expected_start_time": between, "parent_task_run_id": {"is_null_": True}}
        query = {"flow_runs": runs_of, "sort": "EXPECTED_START_TIME_DESC"}
        found: dict[str, FlowRun] = {}
        for page in range(MOST):
            runs = await self._ask("/flow_runs/filter", {**query, "limit": PAGE, "offset": page * PAGE})
            for run in runs:
                id = str(run["parameters"].get("trigger_id"))
                if id in wanted:
                    found.setdefault(id, _flow_run(run))
            if len(runs) < PAGE or len(found) == len(wanted):
                break
        return found

    async def _ask(self, path: str, body: Any) -> Any:
        try:
            async with asyncio.timeout(TIMEOUT):
                answer = await (await self._opened()).request("POST", path, json=body)
            said = answer.json() if answer.content else None
        except (httpx.HTTPError, OSError, ValueError) as error:
            why = f"Prefect can't be reached: {type(error).__name__} {error}"[:300]
            self._note(True, f"{why}; triggers wait")
            raise Unreachable(why) from error
        self._note(False, "Prefect answers again")
        return said

    def _note(self, silent: bool, what: str) -> None:
        """Logs that Prefect fell silent, or answers again: once each."""
        if silent != self._silent:
            _log.warning("%s", what)
        self._silent = silent

    async def _opened(self) -> Any:
        from prefect.client.orchestration import get_client
        from prefect.settings import get_current_settings

        if not get_current_settings().api.url:
            raise Unreachable("Prefect can't be reached: PREFECT_API_URL is not set")
        if self._client is None:
            self._client = await get_client().__aenter__()
        return self._client


def _event(trigger: Trigger, now: str) -> dict[str, Any]:
    """Ids only: automations render what they find as a template."""
    resource = {
        "prefect.resource.id": f"{EVENT}.{trigger.id}",
        "aspora.domain": trigger.domain,
        "aspora.trigger-id": trigger.id,
    }
    id = _event_id(trigger, trigger.dispatches + 1)
    return {"id": id, "occurred": now, "event": EVENT, "resource": resource, "payload": {}}


def _event_id(trigger: Trigger, attempt: int) -> str:
    """The same for the same attempt: Prefect ignores an event that it has seen."""
    return ids.key("event", trigger.dedupe_key, str(attempt))


def _flow_run(run: Mapping[str, Any]) -> FlowRun:
    return FlowRun(run["id"], run["name"], str(run["state_type"]), str(run["state_name"]))
