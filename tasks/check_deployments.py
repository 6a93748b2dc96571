"""The config's triggers against the deployments in `prefect.yaml`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from blocks.config import Config
from blocks.config_file import Problem, Source
from blocks.marked_yaml import Path as Keys

EVENT = "aspora.trigger"
"""The event that starts a run for a trigger from outside."""


@dataclass
class _Deployment:
    """What starts a deployment.

    Attributes:
        crons: each with its time zone unless that is UTC.
        hears: domains whose events start it, with the trigger's id as a parameter.
    """

    crons: set[str] = field(default_factory=set)
    hears: set[str] = field(default_factory=set)


def problems(source: Source, config: Config) -> Iterator[Problem]:
    """Schedules and events that differ from `prefect.yaml`; nothing if there is no such file."""
    path = source.path.parent / "prefect.yaml"
    if not path.is_file():
        return
    try:
        deployments = _deployments(yaml.safe_load(path.read_bytes()))
    except (yaml.YAMLError, OSError, UnicodeDecodeError, ValueError, RecursionError) as error:
        yield source.problem((), f"{path.name} beside it can't be read: {error}", "correct it", "warning")
        return
    for name in config.domains:
        deployment = deployments.get(name, _Deployment())
        yield from _schedules(source, config, name, deployment, path.name)
        yield from _events(source, config, name, deployment, path.name)


def _schedules(
    source: Source, config: Config, name: str, deployment: _Deployment, file: str
) -> Iterator[Problem]:
    here = {
        str(trigger.schedule): index
        for index, trigger in enumerate(config.triggers)
        if trigger.domain == name and trigger.source == "cron"
    }
    if set(here) == deployment.crons:
        return
    extra = [index for schedule, index in here.items() if schedule not in deployment.crons]
    keys: Keys = ("triggers", extra[0], "schedule") if extra else ("domains", name)
    message = f"cron of {name} is {_listed(set(here))} here and {_listed(deployment.crons)} in {file}"
    yield source.problem(keys, message, "write the same in both", "warning")


def _events(
    source: Source, config: Config, name: str, deployment: _Deployment, file: str
) -> Iterator[Problem]:
    heard = [
        index
        for index, trigger in enumerate(config.triggers)
        if trigger.domain == name and trigger.source != "cron"
    ]
    if heard and name not in deployment.hears:
        message = f"no deployment {name} in {file} starts on the event {EVENT} of {name}"
        remedy = "give it an event trigger as the deployment ecm has, with aspora.domain and trigger_id"
        yield source.problem(("triggers", heard[0]), message, remedy, "warning")


def _deployments(data: Any) -> dict[str, _Deployment]:
    """Deployment name → what starts it."""
    found: dict[str, _Deployment] = {}
    listed = data.get("deployments") if isinstance(data, dict) else None
    for deployment in listed if isinstance(listed, list) else []:
        if not isinstance(deployment, dict):
            raise ValueError("deployments must be mappings")  # noqa: TRY004
        starts = found.setdefault(str(deployment.get("name")), _Deployment())
        schedules = deployment.get("schedules") or [deployment.get("schedule")]
        starts.crons.update(_crons(schedules if isinstance(schedules, list) else []))
        triggers = deployment.get("triggers")
        for trigger in triggers if isinstance(triggers, list) else []:
            if isinstance(trigger, dict):
                starts.hears.update(_hears(trigger))
    return found


def _crons(schedules: list[Any]) -> Iterator[str]:
    for schedule in schedules:
        if isinstance(schedule, dict) and schedule.get("cron"):
            zone = schedule.get("timezone") or "UTC"
            yield str(schedule["cron"]) + ("" if zone == "UTC" else f" {zone}")


def _hears(trigger: Mapping[str, Any]) -> Iterator[str]:
    """The domains of an event trigger that works: enabled, on the event, handing the trigger's id on."""
    match, parameters = trigger.get("match"), trigger.get("parameters")
    if not (isinstance(match, dict) and isinstance(parameters, dict)):
        return
    handed_on = "aspora.trigger-id" in str(parameters.get("trigger_id"))
    if trigger.get("enabled") is not False and EVENT in (trigger.get("expect") or []) and handed_on:
        domains = match.get("aspora.domain")
        yield from map(str, domains if isinstance(domains, list) else [domains])


def _listed(schedules: set[str]) -> str:
    return ", ".join(f'"{schedule}"' for schedule in sorted(schedules)) or "none"
