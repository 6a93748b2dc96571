"""Reads `aspora.config.yaml` and names every problem in it by file, line, key and remedy."""

from __future__ import annotations

import difflib
import json
import re
import types
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from blocks import marked_yaml
from blocks.config import Config

Level = Literal["error", "warning"]
Keys = marked_yaml.Path

_MONSTROUS = re.compile(r"-?\$?\s*\d{13,}(\.\d*)?\s*/?\s*[A-Za-z]{0,9}")
"""A number, with currency and unit perhaps, of more than 12 digits."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong with the config.

    Attributes:
        line: from 1; 0 if the file could not be read.
        key: such as `domains.ecm.routing[0].when`; empty for the file as a whole.
    """

    file: str
    line: int
    key: str
    message: str
    remedy: str
    level: Level = "error"

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        level = "warning: " if self.level == "warning" else ""
        key = f"{self.key}: " if self.key else ""
        return f"{place}: {level}{key}{self.message}; {self.remedy}"


class ConfigError(Exception):
    """The config can't be used. `problems` holds everything that was found, in the file's order."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: problem.line))
        super().__init__("\n".join(map(str, self.problems)))


@dataclass(frozen=True)
class Source:
    """A config file as read: its data and where each key stands."""

    path: Path
    marked: marked_yaml.Marked

    def problem(self, keys: Keys, message: str, remedy: str, level: Level = "error") -> Problem:
        """A problem at a key; at the nearest key above if the text lacks it."""
        return Problem(_shown(self.path), self.marked.line(keys), key_text(keys), message, remedy, level)


def load(path: Path) -> Config:
    """The config file as typed, immutable objects.

    Raises:
        ConfigError: the file can't be read or isn't valid; all problems at once. What only the whole can
            show (rules, tools, prompts) is for `tasks.check`.
    """
    return _load(path, _bytes(path))


def read(path: Path) -> Source:
    """The file's data with its lines; ConfigError if it can't be read or is no clean YAML."""
    return _source(path, _bytes(path))


@lru_cache(maxsize=4)
def _load(path: Path, raw: bytes) -> Config:
    return validate(_source(path, raw))


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(marked_yaml.MAX_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError([_unread(path, "no such file", "name it by --config or ASPORA_CONFIG")]) from None
    except OSError as error:
        reason = f"can't be read: {error.strerror or error}"
        raise ConfigError([_unread(path, reason, "name a readable YAML file")]) from error


def _source(path: Path, raw: bytes) -> Source:
    marked = marked_yaml.read(raw)
    if marked.faults:
        faults = marked.faults
        raise ConfigError(
            Problem(_shown(path), fault.line, key_text(fault.path), fault.message, fault.remedy)
            for fault in faults
        )
    return Source(path, marked)


def validate(source: Source) -> Config:
    """The typed config; ConfigError with every key that doesn't fit."""
    doubtful = dict(_doubtful(source.marked.data))
    problems = [source.problem(keys, *words) for keys, words in doubtful.items()]
    config: Config | None = None
    try:
        config = Config.model_validate(source.marked.data)
    except ValidationError as error:
        problems += [
            source.problem(at(detail), *explanation(Config, detail))
            for detail in map(dict, error.errors())
            if at(detail) not in doubtful
        ]
    except (ArithmeticError, RecursionError) as error:
        if not problems:
            problems = [source.problem((), f"a value is out of bounds ({error})", "write a smaller number")]
    if problems or config is None:
        raise ConfigError(problems)
    return config


def suggest(word: str, known: Iterable[str]) -> str:
    """`did you mean X?`, or the known words if none is close."""
    choices = sorted(set(known))
    close = difflib.get_close_matches(word, choices, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]}?"
    if not choices:
        return "there are none"
    more = ", …" if len(choices) > 20 else ""
    return f"there are: {', '.join(choices[:20])}{more}"


def key_text(keys: Keys) -> str:
    """Keys as people write them: `domains.ecm.routing[0].when`."""
    text = ""
    for key in keys:
        if isinstance(key, int):
            text += f"[{key}]"
        elif re.fullmatch(r"[\w-]+", key):
            text += f".{key}" if text else key
        else:
            text += f"[{json.dumps(key[:100], ensure_ascii=True)}]"
    return text


def at(error: Mapping[str, Any]) -> Keys:
    """The place of one pydantic error, without pydantic's own marks such as `[key]`."""
    return tuple(key for key in error["loc"] if key != "[key]")


def _shown(path: Path) -> str:
    absolute, here = path.absolute(), Path.cwd()
    return str(absolute.relative_to(here)) if absolute.is_relative_to(here) else str(absolute)


def _unread(path: Path, message: str, remedy: str) -> Problem:
    return Problem(_shown(path), 0, "", message, remedy)


def _doubtful(data: Any, keys: Keys = ()) -> Iterator[tuple[Keys, tuple[str, str]]]:
    """Values that fit their type and yet can't be meant: budgets without a currency, monstrous numbers."""
    items: Iterable[tuple[str | int, Any]] = ()
    if isinstance(data, dict):
        items = data.items()
    elif isinstance(data, list):
        items = enumerate(data)
    for key, value in items:
        place: Keys = (*keys, key)
        if key == "budget" and isinstance(value, int | float):
            yield place, ("is a bare number", "write dollars a day, such as $5/day")
        elif _MONSTROUS.fullmatch(str(value)) and (isinstance(value, int | float) or not value.isdigit()):
            yield place, ("is too large a number", "write one of at most 12 digits")
        else:
            yield from _doubtful(value, place)


def explanation(model: type[BaseModel], error: Mapping[str, Any]) -> tuple[str, str]:
    """What one pydantic error of `model` means and what to do about it, for people."""
    keys, kind, context = at(error), error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        parent = model_at(model, keys[:-1])
        known = parent.model_fields if parent else ()
        return "unknown key", suggest(str(keys[-1]), known)
    if kind == "missing":
        return "is missing", "add it"
    if kind == "literal_error":
        allowed = re.findall(r"'([^']*)'", str(context.get("expected", "")))
        return f"{_value(error)} is not allowed", suggest(str(error["input"]), allowed)
    if kind == "string_pattern_mismatch":
        return f"{_value(error)} has a wrong form", f"it must match {context.get('pattern')}"
    message = str(error["msg"]).removeprefix("Value error, ")
    if kind == "value_error":
        head, _, tail = message.partition("; ")
        return head, tail or "see docs/config.md"
    return f"{_value(error)}: {message[:1].lower()}{message[1:]}", _expected(kind)


def _expected(kind: str) -> str:
    kinds = {
        "string_type": "write text; quote it if it looks like a number",
        "list_type": "write a list: [a, b]",
        "tuple_type": "write a list: [a, b]",
        "dict_type": "write a mapping: {key: value}",
        "model_type": "write a mapping: {key: value}",
        "bool_parsing": "write true or false",
        "bool_type": "write true or false",
    }
    return kinds.get(kind, "change the value")


def _value(error: Mapping[str, Any]) -> str:
    given = error["input"]
    if isinstance(given, str | int | float | bool | None):
        text = "nothing" if given is None else json.dumps(given, ensure_ascii=False)
        return text if len(text) <= 80 else text[:77] + "…"
    return "a list" if isinstance(given, list) else "a mapping"


def model_at(model: type[BaseModel], keys: Keys) -> type[BaseModel] | None:
    """The pydantic model that stands at a place below `model`, if one does."""
    annotation: Any = model
    for key in keys:
        annotation = _bare(annotation)
        arguments = get_args(annotation)
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            field = annotation.model_fields.get(str(key))
            annotation = field.annotation if field else None
        elif get_origin(annotation) in (list, dict) and arguments:
            annotation = arguments[-1]
        else:
            return None
    annotation = _bare(annotation)
    found = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    return annotation if found else None


def _bare(annotation: Any) -> Any:
    """An annotation without Annotated and without `| None`."""
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return _bare(next(part for part in get_args(annotation) if part is not type(None)))
    return annotation
