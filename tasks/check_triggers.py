"""Triggers: their domains, whether they can ever fire, and what they refer to elsewhere in the config."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from blocks.config import Config, Trigger
from blocks.config_file import Problem, Source, suggest
from blocks.marked_yaml import Path as Keys

_PATH = re.compile(r"/api/[a-z][a-z0-9-]*/[A-Za-z0-9_-]+")
_FIELDS = {"slack": ("mention", "channel", "user"), "whatsapp": ("mention", "sender", "phone_number_id")}
"""Fields of the messages of sources that have always the same ones."""


def problems(source: Source, config: Config) -> Iterator[Problem]:
    """Triggers of unknown domains, repeated ones, ones that never fire; windows that hold nothing back."""
    seen: dict[str, int] = {}
    for index, trigger in enumerate(config.triggers):
        keys: Keys = ("triggers", index)
        yield from _domain(source, config, keys, trigger)
        first = seen.setdefault(trigger.model_dump_json(), index)
        if first != index:
            yield source.problem(keys, f"repeats triggers[{first}]", "remove one of them")
        else:
            yield from _shadow(source, config, index)
        yield from _reach(source, config, keys, trigger)
        yield from _proof(source, config, index)
    yield from _maintenance(source, config)
    yield from _channels(source, config, ("slack", "channels"), config.slack.channels)
    yield from _channels(source, config, ("slack", "digest", "channels"), config.slack.digest.channels)


def _channels(source: Source, config: Config, keys: Keys, named: Iterable[str]) -> Iterator[Problem]:
    for name in named:
        if name not in (*config.domains, "default"):
            remedy = suggest(name, (*config.domains, "default"))
            yield source.problem((*keys, name), f"unknown domain {name}", remedy, "warning")


def _domain(source: Source, config: Config, keys: Keys, trigger: Trigger) -> Iterator[Problem]:
    """A domain may be built later than its triggers; a schedule without it has nothing to start."""
    if trigger.domain in config.domains:
        return
    known = suggest(trigger.domain, config.domains)
    if trigger.source == "cron":
        yield source.problem((*keys, "domain"), f"unknown domain {trigger.domain}", known)
    else:
        message = f"there is no domain {trigger.domain} yet, so that what it matches starts nothing"
        yield source.problem((*keys, "domain"), message, f"{known}; or add the domain", "warning")


def _shadow(source: Source, config: Config, index: int) -> Iterator[Problem]:
    """An earlier trigger that takes all that this one matches."""
    trigger = config.triggers[index]
    if trigger.source == "cron":
        return
    for earlier, other in enumerate(config.triggers[:index]):
        if other.source == trigger.source and other.match.items() <= trigger.match.items():
            message = f"never fires: triggers[{earlier}] matches all that it matches, and comes first"
            yield source.problem(("triggers", index), message, "move it up, or match less above", "warning")
            return


def _reach(source: Source, config: Config, keys: Keys, trigger: Trigger) -> Iterator[Problem]:
    """What can't match, or groups by nothing."""
    path, mention = trigger.match.get("path"), trigger.match.get("mention")
    if trigger.source == "webhook" and path is not None and not _PATH.fullmatch(path):
        message = f"never fires: {path} is no path of the gateway"
        yield source.problem((*keys, "match", "path"), message, "write /api/{domain}/{action}", "warning")
    bots = [bot.mention for bot in config.slack.bots]
    if trigger.source == "slack" and mention is not None and mention not in bots:
        message = f"never fires: slack.bots has no {mention}"
        yield source.problem((*keys, "match", "mention"), message, "add the bot to slack.bots", "warning")
    fields = _FIELDS.get(trigger.source)
    for name in trigger.match if fields else ():
        if name not in (fields or ()):
            message = f"never fires: a message from {trigger.source} has no field {name}"
            yield source.problem((*keys, "match", name), message, suggest(name, fields or ()), "warning")
    for place, name in enumerate(trigger.group_by):
        if fields and name not in fields:
            message = f"a message from {trigger.source} has no field {name}"
            yield source.problem((*keys, "group_by", place), message, suggest(name, fields), "warning")
        elif name in trigger.group_by[:place]:
            yield source.problem((*keys, "group_by", place), f"{name} stands twice", "remove one", "warning")


def _proof(source: Source, config: Config, index: int) -> Iterator[Problem]:
    """Who calls one address proves itself in one way."""
    trigger = config.triggers[index]
    path = trigger.match.get("path")
    if trigger.source != "webhook":
        return
    if path is None:
        message = "names no path, so that whoever may call any webhook can start it"
        yield source.problem(
            ("triggers", index, "match"), message, "add path: /api/{domain}/{action}", "warning"
        )
    for earlier, other in enumerate(config.triggers[:index]):
        if path and other.match.get("path") == path and other.auth != trigger.auth:
            message = f"differs from that of triggers[{earlier}], which has the same path"
            yield source.problem(("triggers", index, "auth"), message, "write the same in both")
            return


def _maintenance(source: Source, config: Config) -> Iterator[Problem]:
    for index, window in enumerate(config.platform.maintenance):
        keys: Keys = ("platform", "maintenance", index)
        if window.end <= datetime.now(UTC):
            yield source.problem(keys, "is over", "remove it", "warning")
        for place, name in enumerate(window.domains):
            if name not in config.domains:
                remedy = suggest(name, config.domains)
                yield source.problem((*keys, "domains", place), f"unknown domain {name}", remedy, "warning")
