"""Triggers against domains, and against the schedules in `prefect.yaml`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from blocks.config import Config
from blocks.config_file import Problem, Source, suggest
from blocks.marked_yaml import Path as Keys


def problems(source: Source, config: Config) -> Iterator[Problem]:
    """Triggers of unknown domains, repeated ones, and schedules that differ from `prefect.yaml`."""
    seen: dict[str, int] = {}
    for index, trigger in enumerate(config.triggers):
        keys: Keys = ("triggers", index)
        if trigger.domain not in config.domains:
            message = f"unknown domain {trigger.domain}"
            yield source.problem((*keys, "domain"), message, suggest(trigger.domain, config.domains))
        first = seen.setdefault(trigger.model_dump_json(), index)
        if first != index:
            yield source.problem(keys, f"repeats triggers[{first}]", "remove one of them")
    yield from _schedules(source, config)


def _schedules(source: Source, config: Config) -> Iterator[Problem]:
    path = source.path.parent / "prefect.yaml"
    if not path.is_file():
        return
    try:
        deployments = _deployments(yaml.safe_load(path.read_bytes()))
    except (yaml.YAMLError, OSError, UnicodeDecodeError, ValueError, RecursionError) as error:
        yield source.problem((), f"{path.name} beside it can't be read: {error}", "correct it", "warning")
        return
    for name in config.domains:
        here = {
            str(trigger.schedule): index
            for index, trigger in enumerate(config.triggers)
            if trigger.domain == name and trigger.source == "cron"
        }
        there = deployments.get(name, set())
        if set(here) != there:
            extra = [index for schedule, index in here.items() if schedule not in there]
            keys: Keys = ("triggers", extra[0], "schedule") if extra else ("domains", name)
            message = f"cron of {name} is {_listed(set(here))} here and {_listed(there)} in {path.name}"
            yield source.problem(keys, message, "write the same in both", "warning")


def _deployments(data: Any) -> dict[str, set[str]]:
    """Deployment name → its cron expressions, each with its time zone unless that is UTC."""
    found: dict[str, set[str]] = {}
    listed = data.get("deployments") if isinstance(data, dict) else None
    for deployment in listed if isinstance(listed, list) else []:
        if not isinstance(deployment, dict):
            raise ValueError("deployments must be mappings")  # noqa: TRY004
        schedules = deployment.get("schedules") or [deployment.get("schedule")]
        crons = found.setdefault(str(deployment.get("name")), set())
        for schedule in schedules if isinstance(schedules, list) else []:
            if isinstance(schedule, dict) and schedule.get("cron"):
                zone = schedule.get("timezone") or "UTC"
                crons.add(str(schedule["cron"]) + ("" if zone == "UTC" else f" {zone}"))
    return found


def _listed(schedules: set[str]) -> str:
    return ", ".join(f'"{schedule}"' for schedule in sorted(schedules)) or "none"
