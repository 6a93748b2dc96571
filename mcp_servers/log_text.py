"""Plain-text log lines: syslog, access logs, logfmt, container prefixes, `time level name: text`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from mcp_servers import log_lines
from mcp_servers.log_lines import Record

_ISO = re.compile(
    r"\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:Z|\s?[+-]\d\d:?\d\d(?!\d)|\sUTC|\sGMT)?"
)
_SYSLOG = re.compile(r"(?:<(\d{1,3})>)?([A-Z][a-z]{2})\s+(\d{1,2}) (\d\d):(\d\d):(\d\d) (.*)", re.DOTALL)
_SYSLOG_5424 = re.compile(r"<(\d{1,3})>1 (\S+) \S+ (\S+) \S+ \S+ (?:-|\[.*?\]) ?(.*)", re.DOTALL)
_ACCESS = re.compile(
    r"(\S+) \S+ \S+ \[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] (\".*)", re.DOTALL
)
_ACCESS_STATUS = re.compile(r'" ([1-5]\d\d)\b')
_GLOG = re.compile(r"([IWEF])(\d\d)(\d\d) (\d\d):(\d\d):(\d\d)(?:\.\d+)?\s+\d+ (\S+?)\] (.*)", re.DOTALL)
_EPOCH = re.compile(r"\[?(\d{10}(?:\.\d+)?|\d{13})\]?[ :]")
_CRI = re.compile(r"(?:stdout|stderr) [FP] ")
_LEVEL = (
    r"TRACE|VERBOSE|DEBUG|INFO|NOTICE|WARN(?:ING)?|ERROR|ERR|SEVERE|CRIT(?:ICAL)?|FATAL|ALERT|EMERG(?:ENCY)?"
    r"|PANIC|LOG"
)
_HEAD_LEVEL = re.compile(rf"(?:\[\s*({_LEVEL})\s*\]|({_LEVEL})(?=[\s:|\]-]|$)):?\s*", re.IGNORECASE)
_HEAD_BRACKET = re.compile(r"\[([^\[\]]{0,80})\]:?\s*")
_HEAD_DULL = re.compile(r"(?:-{1,3}|[|:]|\d+(?:#\d+)?:?|\((?:[^()]{0,60})\))(?:\s+|$)")
_NAME = r"[A-Za-z][\w./-]{0,79}"
_PREFIX = re.compile(rf"\s*(?:{_NAME}\s*\|\s*|\[?(?:{_LEVEL})\]?[:\s]*\[?|\[?{_NAME}\]?:?\s*\[?)")
_NAMED = re.compile(rf"(?:\S+\s)?({_NAME})\[\d+\]:\s+|({_NAME}):\s+|({_NAME}) (?:-|---|\||:|>) ?")
_NAME_LEVEL = re.compile(rf"({_NAME})\s+(?=\[?(?:{_LEVEL})\b)")
_BARE_NAME = re.compile(r"([a-z][a-z0-9]*(?:[-_][a-z0-9]+)+)\s+")
_SERVICE_END = re.compile(
    r"[-_](?:service|svc|api|gateway|worker|server|client|adapter|proxy|job|processor)$"
)
_HOST_NAME = re.compile(rf"\S+ ({_NAME}?)(?:\[\d+\])?:\s+(.*)", re.DOTALL)
_THREAD = re.compile(
    r"(?:main|\d+|.*(?:thread|exec|pool|worker)-?\d.*|.*-\d+|[\da-f-]{8,}|[\w.]+:\d+)$", re.I
)
_NO_SERVICE = re.compile(
    r"(?i)(?:error|err|warning|warn|info|debug|fatal|exception|caused|failed|failure|timeout|timed|note|notice"
    r"|https?|alert|critical|panic|trace|retry\w*|status|code|reason|message|detail|hint|statement|context"
    r"|traceback|request|response|received|sent|got|[\w.]*(?:Error|Exception|Failure|Fault))$"
)


def parse(line: str, source: str, latest: float) -> Record | None:
    """The record that a line begins; None for a line without a time, such as one of a stack trace.

    Args:
        line: one line without its end.
        source: the file's name without suffix, the service of lines that name none.
        latest: seconds since 1970 that a time without a year doesn't pass.
    """
    text = line.lstrip("\ufeff")
    if text[:1] == "<" and (found := _rfc5424(text, source)):
        return found
    iso = _ISO.search(text, 0, 120)
    if iso and not _ACCESS.match(text):
        return _after_iso(text, iso, source)
    for reader in (_syslog, _access, _glog, _epoch):
        if found := reader(text, source, latest):
            return found
    return None


def _after_iso(text: str, iso: re.Match[str], source: str) -> Record | None:
    when = log_lines.time_of(iso[0].replace(" GMT", " UTC"))
    if when is None:
        return None
    before, after = text[: iso.start()], text[iso.end() :]
    if before.rstrip().endswith(("=", '="')):
        return log_lines.from_fields(log_lines.logfmt(text), source, when)
    if len(before) > 60 or (before.strip(" [(|") and not _is_prefix(before)):
        return None
    rest = _CRI.sub("", after.lstrip(" ]):|\t-,"), count=1)
    if rest[:1] == "{" and (found := log_lines.parse_json(rest, source)):
        return found._replace(time=when)
    return _headed(when, before, rest, source)


def _is_prefix(before: str) -> bool:
    """Whether what stands before the time is a container's name or a level, not prose."""
    return bool(_PREFIX.fullmatch(before))


def _headed(when: float, before: str, rest: str, source: str) -> Record:
    """Reads level and name off the head of a line, in whatever order and brackets they come."""
    level, service = "", ""
    if before.strip(" [(|:]"):
        word = before.strip(" [(|:]")
        level = log_lines.level_of(word)
        service = "" if level else word
    for _ in range(8):
        if not level and (found := _HEAD_LEVEL.match(rest)):
            level = log_lines.level_of(found[1] or found[2])
        elif found := _HEAD_BRACKET.match(rest):
            service = service or _bracket_name(found[1])
        elif not (found := _HEAD_DULL.match(rest)):
            break
        rest = rest[found.end() :]
    name, rest = _name(rest, source, bool(service))
    if not level and (found := _HEAD_LEVEL.match(rest)):
        level, rest = log_lines.level_of(found[1] or found[2]), rest[found.end() :]
    return _record(when, level, service or name, rest, source)


def _bracket_name(text: str) -> str:
    """The service in brackets; empty for a thread, a number, an id or pairs."""
    word = text.partition(",")[0].strip()
    if not re.fullmatch(_NAME, word) or _THREAD.match(word) or _NO_SERVICE.match(word):
        return ""
    return word


def _name(rest: str, source: str, known: bool) -> tuple[str, str]:
    """The name at the head of a message and what follows; an empty name if the message just begins."""
    ahead = None if known else _NAME_LEVEL.match(rest)
    if ahead:
        return ahead[1], rest[ahead.end() :]
    found = _NAMED.match(rest)
    if found:
        name = found[1] or found[2] or found[3]
        if not _NO_SERVICE.match(name) and not (known and found[2]):
            return name, rest[found.end() :]
    bare = None if known else _BARE_NAME.match(rest)
    if bare and (_SERVICE_END.search(bare[1]) or bare[1] == source):
        return bare[1], rest[bare.end() :]
    return "", rest


def _record(when: float, level: str, service: str, message: str, source: str) -> Record:
    if "service=" in message or "app=" in message or "msg=" in message or "level=" in message:
        fields = log_lines.logfmt(message)
        level = level or log_lines.level_of(fields.get("level", ""))
        service = service or fields.get("service") or fields.get("app") or ""
    text = log_lines.one_line(message)
    name = log_lines.short_name(service, source)
    return Record(when, level or log_lines.guess_level(text), name, text, source)


def _rfc5424(text: str, source: str) -> Record | None:
    found = _SYSLOG_5424.match(text)
    when = log_lines.time_of(found[2]) if found else None
    if not found or when is None:
        return None
    level = log_lines.level_of(int(found[1]) % 8)
    return _record(when, level, found[3] if found[3] != "-" else "", found[4], source)


def _syslog(text: str, source: str, latest: float) -> Record | None:
    found = _SYSLOG.match(text)
    if not found:
        return None
    when = _dated(found[2], found[3], found.group(4, 5, 6), latest)
    if when is None:
        return None
    named = _HOST_NAME.match(found[7])
    name, rest = (named[1], named[2]) if named else ("", found[7])
    level = log_lines.level_of(int(found[1]) % 8) if found[1] else ""
    if head := _HEAD_LEVEL.match(rest):
        level, rest = log_lines.level_of(head[1] or head[2]), rest[head.end() :]
    return _record(when, level, name, rest, source)


def _dated(month: str, day: str, clock: tuple[str, ...], latest: float) -> float | None:
    """A date without a year: the last such date that isn't after `latest`, a day of slack allowed."""
    number = month if month.isdecimal() else log_lines.MONTHS.get(month, "")
    bound = datetime.fromtimestamp(latest, UTC) + timedelta(days=1)
    for year in (bound.year, bound.year - 1):
        try:
            when = datetime.strptime(f"{year} {number} {day} {':'.join(clock)} +0000", "%Y %m %d %H:%M:%S %z")
        except ValueError:
            continue
        if when <= bound:
            return when.timestamp()
    return None


def _access(text: str, source: str, latest: float) -> Record | None:
    found = _ACCESS.match(text)
    if not found:
        return None
    try:
        when = datetime.strptime(found[2], "%d/%b/%Y:%H:%M:%S %z").timestamp()
    except ValueError:
        return None
    status = _ACCESS_STATUS.search(found[3])
    level = {"5": "ERROR", "4": "WARN"}.get(status[1][0] if status else "", "INFO")
    return _record(when, level, "", found[3], source)


def _glog(text: str, source: str, latest: float) -> Record | None:
    found = _GLOG.match(text)
    if not found:
        return None
    when = _dated(found[2], found[3], found.group(4, 5, 6), latest)
    return None if when is None else _record(when, log_lines.level_of(found[1]), "", found[8], source)


def _epoch(text: str, source: str, latest: float) -> Record | None:
    found = _EPOCH.match(text)
    when = log_lines.time_of(found[1]) if found else None
    return _headed(when, "", text[found.end() :].lstrip(), source) if found and when is not None else None
