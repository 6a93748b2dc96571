"""One log line, JSON or plain text, as a record of time, level, service and message."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

MESSAGE_CHARS = 2000
"""A message is cut there: what tells one kind of line from another comes first."""

LEVELS = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")
"""Levels from mild to severe; all others are mapped to these."""

_LEVEL_NAMES = {
    "TRACE": "TRACE", "VERBOSE": "TRACE", "FINE": "DEBUG", "DEBUG": "DEBUG", "DBG": "DEBUG",
    "INFO": "INFO", "INFORMATION": "INFO", "INFORMATIONAL": "INFO", "NOTICE": "INFO", "LOG": "INFO",
    "WARN": "WARN", "WARNING": "WARN", "WRN": "WARN",
    "ERROR": "ERROR", "ERR": "ERROR", "SEVERE": "ERROR", "EXCEPTION": "ERROR",
    "FATAL": "FATAL", "CRIT": "FATAL", "CRITICAL": "FATAL", "ALERT": "FATAL", "EMERG": "FATAL",
    "EMERGENCY": "FATAL", "PANIC": "FATAL",
    "D": "DEBUG", "I": "INFO", "W": "WARN", "E": "ERROR", "F": "FATAL",
}  # fmt: skip


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_TIME_KEYS = ("@timestamp", "timestamp", "time", "ts", "@t", "datetime", "date", "asctime", "eventtime",
              "event_time", "logged_at", "created_at", "t")  # fmt: skip
_LEVEL_KEYS = ("level", "severity", "lvl", "loglevel", "log_level", "log.level", "levelname", "@l",
               "severitytext", "severity_text", "priority")  # fmt: skip
_SERVICE_KEYS = ("service", "service.name", "service_name", "servicename", "app", "app_name", "appname",
                 "application", "application_name", "component", "kubernetes.container_name",
                 "container_name", "container", "program", "syslog_identifier", "logger", "logger_name",
                 "loggername", "name", "module", "source")  # fmt: skip
_MESSAGE_KEYS = ("message", "msg", "event", "text", "@m", "@mt", "log", "body", "textpayload", "@message",
                 "jsonpayload.message", "log_message", "error.message", "error")  # fmt: skip
_DULL_KEYS = _words(
    "trace_id traceid trace.id span_id spanid span.id parent_id host hostname host.name pid process thread "
    "threadname thread_name stream pod pod_name node container_id namespace caller lineno line file filename "
    "funcname func pathname env environment region zone offset logtag ecs.version ecs tags v levelno "
    "level_value thread_id threadid processname"
)
_TRACE_KEYS = ("stack_trace", "stacktrace", "stack", "exception", "exc_info", "traceback",
               "error.stack_trace", "thrown", "@x")  # fmt: skip

_NUMERIC_LEVELS = ((60, "FATAL"), (50, "ERROR"), (40, "WARN"), (30, "INFO"), (20, "DEBUG"), (8, "TRACE"))
_SYSLOG_LEVELS = ("FATAL", "FATAL", "FATAL", "ERROR", "WARN", "INFO", "INFO", "DEBUG")
MONTHS = {
    "Jan": "1", "Feb": "2", "Mar": "3", "Apr": "4", "May": "5", "Jun": "6",
    "Jul": "7", "Aug": "8", "Sep": "9", "Oct": "10", "Nov": "11", "Dec": "12",
}  # fmt: skip
"""A month's number for its short English name."""

_FIELD = re.compile(r'"([@\w.]{1,40})"\s*:\s*(?:"((?:[^"\\]|\\.){0,2000})|(-?\d[\d.eE+-]{0,30}))')
_LOGFMT = re.compile(r'([@\w.]{1,40})=(?:"((?:[^"\\]|\\.)*)"|(\S*))')
_LOGFMT_CHARS = 4 * MESSAGE_CHARS
_EXCEPTION_LINE = re.compile(
    r"^\s*(?:Caused by: |Exception in thread \S+ )?"
    r"[\w.$]*(?:Error|Exception|Failure|Fault|Timeout|Interrupt)\b"
)
_STRONG = re.compile(r"\b(?:error|exception|fatal|panic|traceback)\b", re.IGNORECASE)
_WEAK = re.compile(r"\b(?:fail(?:ed|ure)|timeout|timed out|refused|denied|unavailable)\b", re.IGNORECASE)


class Record(NamedTuple):
    """A log record. `time` is seconds since 1970 (UTC); `source` is the file it came from, without suffix."""

    time: float
    level: str
    service: str
    message: str
    source: str = ""


def level_of(value: object) -> str:
    """The level for a name or number as loggers write it; empty if it is none."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        if 0 <= value <= 7:
            return _SYSLOG_LEVELS[int(value)]
        return next((name for floor, name in _NUMERIC_LEVELS if value >= floor), "")
    text = str(value)
    if text in _LEVEL_NAMES:
        return _LEVEL_NAMES[text]
    text = text.strip().upper()
    return level_of(int(text)) if text.isdecimal() else _LEVEL_NAMES.get(text, "")


def guess_level(message: str) -> str:
    """The level a message without one seems to have, by its wording."""
    if _STRONG.search(message):
        return "ERROR"
    return "WARN" if _WEAK.search(message) else "INFO"


def time_of(value: object) -> float | None:
    """Seconds since 1970 for an ISO text or an epoch in s, ms, µs or ns; None if it is neither.

    A time without an offset is taken as UTC.
    """
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _epoch(float(value))
    if not isinstance(value, str):
        return None
    text = value.strip()
    try:
        parsed = datetime.fromisoformat(_iso(text) if "/" in text or "UTC" in text else text)
    except ValueError:
        return _epoch(float(text)) if re.fullmatch(r"\d{9,19}(?:\.\d+)?", text) else None
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()


def _iso(text: str) -> str:
    return text.replace("/", "-", 2).replace(" UTC", "+00:00")


def _epoch(value: float) -> float | None:
    for scale in (1.0, 1e3, 1e6, 1e9):
        if 1e8 <= value / scale < 1e10:
            return value / scale
    return None


def parse_json(line: str, source: str) -> Record | None:
    """The record of a JSON object; None if it is no object or has no time. A cut-off object is salvaged."""
    text = line.rstrip(",")
    try:
        found = orjson.loads(text)
    except ValueError:
        found = _lenient(text)
    return from_fields(found, source) if isinstance(found, dict) else None


def _lenient(text: str) -> Any:
    """JSON that the standard does not allow, or what can be saved of it."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return {key: value or number for key, value, number in _FIELD.findall(text)}


def from_fields(found: dict[str, Any], source: str, time: float | None = None) -> Record | None:
    """The record of named fields, found by the synonyms loggers use; None without a time.

    Fields that are none of time, level, service and message follow the message as `key=value`.
    """
    fields, layout = found, _layout(tuple(found))
    if not layout.flat or not all(map(_is_plain, found.values())):
        fields = _flat(found)
        layout = _layout(tuple(fields))
    when = time if time is not None else time_of(fields.get(layout.time))
    if when is None:
        return None
    message = _text(fields.get(layout.message, ""))
    if layout.trace:
        message = with_trace(message, _text(fields[layout.trace]).splitlines())
    level = level_of(fields.get(layout.level, "")) or guess_level(message)
    if layout.rest:
        message = f"{message} {_rest(fields, layout.rest)}"
    service = _text(fields.get(layout.service, "")).strip()
    return Record(when, level, short_name(service, source), one_line(message), source)


class _Layout(NamedTuple):
    """Which of a record's fields is what; empty for what it lacks."""

    time: str
    level: str
    service: str
    message: str
    trace: str
    rest: tuple[str, ...]
    """Fields that are none of these and tell something."""
    flat: bool
    """Whether all names are in lower case."""


@lru_cache(maxsize=4096)
def _layout(names: tuple[str, ...]) -> _Layout:
    fields = dict.fromkeys(names)
    time, level = _first(fields, _TIME_KEYS), _first(fields, _LEVEL_KEYS)
    service, message = _first(fields, _SERVICE_KEYS), _first(fields, _MESSAGE_KEYS)
    dull = {*_TIME_KEYS, *_LEVEL_KEYS, *_TRACE_KEYS, *_DULL_KEYS, service, message}
    rest = tuple(name for name in names if name not in dull and not name.startswith("kubernetes"))
    flat = all(name == name.lower() for name in names)
    return _Layout(time, level, service, message, _first(fields, _TRACE_KEYS), rest, flat)


def _is_plain(value: object) -> bool:
    return value is not None and value != "" and not isinstance(value, dict)


def _flat(found: dict[str, Any], prefix: str = "", depth: int = 0) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for key, value in found.items():
        name = f"{prefix}{key}".lower()
        if isinstance(value, dict) and depth < 3:
            fields.update(_flat(value, f"{name}.", depth + 1))
        elif value is not None and value != "":
            fields[name] = value
    return fields


def _first(fields: dict[str, Any], keys: Iterable[str]) -> str:
    return next((key for key in keys if key in fields), "")


def _rest(fields: dict[str, Any], names: Iterable[str]) -> str:
    return " ".join(f"{name}={_text(fields[name])[:200]}" for name in names)[:600]


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)


def one_line(text: str) -> str:
    """Text as one printable line of at most `MESSAGE_CHARS`."""
    if len(text) <= MESSAGE_CHARS and "  " not in text and text.isprintable():
        return text.strip()
    cut = text[: MESSAGE_CHARS * 2]
    return " ".join(cut.split() if cut.isprintable() else _printable(cut).split())[:MESSAGE_CHARS]


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in re.sub(r"\x1b\[[\d;]*m", "", text))


def with_trace(message: str, lines: list[str]) -> str:
    """A message and what its stack trace says: the first and the last line that name an exception."""
    named = [line.strip() for line in lines if _EXCEPTION_LINE.match(line)]
    said = list(dict.fromkeys([*named[:1], *named[-1:]])) or [line.strip() for line in lines[:1]]
    return " | ".join([message, *(line for line in said if line and line not in message)])


def logfmt(text: str) -> dict[str, Any]:
    """The pairs of `key=value key="some words"`."""
    return {key: quoted or plain for key, quoted, plain in _LOGFMT.findall(text[:_LOGFMT_CHARS])}


_SPLIT_CLASS = re.compile(r"^(?:[a-z_]\w*\.)+\w+$")
VAGUE_SOURCES = _words(
    "app application apps all log logs syslog messages combined output out stdout stderr main server "
    "service services error errors default root"
)
"""File names that tell no service."""


@lru_cache(maxsize=4096)
def short_name(name: str, source: str) -> str:
    """A service's name: a dotted logger counts by its file, or by its last part if the file tells nothing."""
    if not name or not any(char.isalpha() for char in name):
        return source or "unknown"
    if _SPLIT_CLASS.match(name):
        return name.rpartition(".")[2] if not source or source.lower() in VAGUE_SOURCES else source
    return name[:80]
