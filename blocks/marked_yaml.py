"""YAML as plain data that remembers the line of every key.

A small, strict part of YAML 1.2: text, numbers, true and false, null, lists and mappings with text keys.
Tags, aliases, duplicate keys and several documents are faults. `off`, `no` and `08:30` stay text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

Path = tuple[str | int, ...]
"""Keys and list indexes from the root down."""

MAX_BYTES = 1_000_000
"""A larger file is refused unparsed."""

_CORE = "tag:yaml.org,2002:"


@dataclass(frozen=True)
class Fault:
    """What is wrong with the text itself, and where."""

    path: Path
    line: int
    message: str
    remedy: str


@dataclass
class Marked:
    """Plain data, the line of every key and list item (from 1), and the faults met on the way."""

    data: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def line(self, path: Path) -> int:
        """The line of a key, or of the nearest key above it that stands in the text."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the core types of YAML 1.2 only, and without aliases."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event: Any = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(
                None, None, f"the alias *{event.anchor} is not supported", event.start_mark
            )
        return super().compose_node(parent, index)


for _kind, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(0|[1-9][0-9]{0,17})", "-+0123456789"),
    ("float", r"[-+]?[0-9]{1,18}\.[0-9]{0,18}([eE][-+]?[0-9]{1,3})?", "-+0123456789"),
    ("null", r"~|null|Null|NULL|", "~nN\0"),
):
    _loader: Any = _Loader
    _loader.add_implicit_resolver(_CORE + _kind, re.compile(f"^(?:{_pattern})$"), [*_first, ""])


def read(raw: bytes) -> Marked:
    """Parse YAML. Never raises for what the bytes hold: faults are in the result."""
    if len(raw) > MAX_BYTES:
        return _failed(1, f"has more than {MAX_BYTES:,} bytes", "shorten it; a config takes a few kilobytes")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        return _failed(line, "is not UTF-8 text", "save the file as UTF-8")
    try:
        return _walk(_Loader(text).get_single_node())
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        return _failed(line, f"holds the control character U+{ord(text[error.position]):04X}", "remove it")
    except yaml.MarkedYAMLError as error:
        return _failed(*_explain(error))
    except RecursionError:
        return _failed(1, "is nested too deeply", "use at most a few dozen levels")


def _failed(line: int, message: str, remedy: str) -> Marked:
    return Marked(faults=[Fault((), line, message, remedy)])


def _explain(error: yaml.MarkedYAMLError) -> tuple[int, str, str]:
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 1
    problem = error.problem or "is no YAML"
    if "'\\t'" in problem:
        return line, "a tab is used for indentation", "indent with spaces"
    if "alias" in problem:
        return line, problem, "write the value out"
    if "another document" in problem or "single document" in (error.context or ""):
        return line, "a second document begins here", "keep one document; remove the line ---"
    begun = error.context_mark.line + 1 if error.context_mark else line
    since = f" (in what begins on line {begun})" if begun != line else ""
    column = f" at column {mark.column + 1}" if mark else ""
    return (
        line,
        f"no valid YAML{column}: {problem}{since}",
        "check indentation, brackets and quotes near this line",
    )


def _walk(root: yaml.Node | None) -> Marked:
    marked = Marked()
    if root is None:
        return _failed(1, "is empty", "start from the aspora.config.yaml of the repository")
    if not isinstance(root, yaml.MappingNode):
        return _failed(root.start_mark.line + 1, "is no mapping", "write `key: value` lines at the top level")
    marked.data = _value(root, (), marked)
    return marked


def _value(node: yaml.Node, path: Path, marked: Marked) -> Any:
    if isinstance(node, yaml.MappingNode) and node.tag == _CORE + "map":
        return {key: _value(value, (*path, key), marked) for key, value in _pairs(node, path, marked)}
    if isinstance(node, yaml.SequenceNode) and node.tag == _CORE + "seq":
        for index, item in enumerate(node.value):
            marked.lines[*path, index] = item.start_mark.line + 1
        return [_value(item, (*path, index), marked) for index, item in enumerate(node.value)]
    if isinstance(node, yaml.ScalarNode):
        try:
            return _scalar(node)
        except ValueError:
            pass
    shown = node.tag.replace(_CORE, "!!")
    fault = f"the tag {shown[:80]} is not supported here"
    marked.faults.append(Fault(path, node.start_mark.line + 1, fault, "write a plain value without a tag"))
    return None


def _pairs(node: yaml.MappingNode, path: Path, marked: Marked) -> Iterator[tuple[str, yaml.Node]]:
    seen: dict[str, int] = {}
    for key_node, value in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode) or not key_node.value:
            marked.faults.append(Fault(path, line, "a key is no text", "write `key: value`"))
            continue
        key = _clean(key_node.value)
        if key in seen:
            twice = f"the key stands twice, first on line {seen[key]}"
            marked.faults.append(Fault((*path, key), line, twice, "keep one of them"))
        else:
            seen[key] = marked.lines[*path, key] = line
            yield key, value


def _clean(text: str) -> str:
    """Text without the lone surrogates that an escape can smuggle in, which no output could encode."""
    return text.encode("utf-8", "replace").decode()


def _scalar(node: yaml.ScalarNode) -> Any:
    kind, value = node.tag.removeprefix(_CORE), node.value
    if kind == "str":
        return _clean(value)
    if kind == "null":
        return None
    if kind == "bool" and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    if kind == "int" and len(value) < 20:
        return int(value)
    if kind == "float":
        return float(value)
    raise ValueError(node.tag)
