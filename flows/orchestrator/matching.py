"""The trigger table of the config: which trigger a message matches, and which incident it is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from blocks.config import Config, Trigger
from flows.orchestrator.bounds import key
from tasks.domain import Incoming


@dataclass(frozen=True)
class Match:
    """A trigger of the config that a message matches.

    Attributes:
        name: its place in the config, for people: `triggers[1]`.
        incident: what the message is about; empty if nothing of this trigger depends on it.
        grouped: whether messages of one incident share a run.
    """

    trigger: Trigger
    name: str
    incident: str
    grouped: bool


def match(config: Config, message: Incoming) -> Match | None:
    """The first trigger of the config, in its order, whose `match` has the message's values."""
    for index, trigger in enumerate(config.triggers):
        if trigger.source == message.source and _fits(trigger.match, message.fields):
            return _matched(trigger, f"triggers[{index}]", message)
    return None


def described(fields: Mapping[str, str], limit: int = 5) -> str:
    """A message's fields for people."""
    shown = ", ".join(f"{name}={value[:80]}" for name, value in list(fields.items())[:limit])
    return shown + (", …" if len(fields) > limit else "")


def _fits(wanted: Mapping[str, str], fields: Mapping[str, str]) -> bool:
    return all(fields.get(name) == value for name, value in wanted.items())


def _matched(trigger: Trigger, name: str, message: Incoming) -> Match:
    by_source = message.group if "group_by" not in trigger.model_fields_set else ""
    grouped = bool(trigger.group_by or by_source)
    if not (grouped or trigger.after or trigger.quiet):
        return Match(trigger, name, "", False)
    return Match(trigger, name, _incident(trigger, message, by_source), grouped)


def _incident(trigger: Trigger, message: Incoming, by_source: str) -> str:
    """The same for messages of one trigger with the same group: what is matched, then what groups."""
    about = [f"{trigger.source} → {trigger.domain}", *_pairs(sorted(trigger.match), trigger.match)]
    if trigger.group_by:
        about += _pairs(trigger.group_by, message.fields)
    elif by_source:
        about.append(by_source)
    return key(", ".join(about))


def _pairs(names: Sequence[str], values: Mapping[str, str]) -> list[str]:
    return [f"{name}={values.get(name, '')!r}" for name in names]
