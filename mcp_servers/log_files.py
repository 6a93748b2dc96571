"""A folder of log files as a stream of records: any size, plain or gzipped, good lines and bad."""

from __future__ import annotations

import gzip
import itertools
import math
import re
import threading
import time
import zlib
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NamedTuple

from mcp_servers import log_lines, log_text
from mcp_servers.log_lines import Record

LINE_BYTES = 64 * 1024
"""A longer line is cut there; the rest of it is skipped without being kept in memory."""

TRACE_LINES = 200
"""Lines of a stack trace that are looked at; later ones are skipped."""

SLACK = 300.0
"""Seconds by which lines of a file may be out of order."""

KEPT_BYTES = 64 << 20
"""Files of at most `KEPT_FILE_BYTES`, and this much together, stay parsed in memory while unchanged."""
KEPT_FILE_BYTES = 4 << 20

_SMALL = 1 << 20
_PROBES = 33
_LOG_NAME = re.compile(
    r"(?P<stem>.+?)(?:\.(?:jsonl|ndjson|json|log|txt|out|err))+(?:[.-]\d[\d.-]*)?(?:\.gz)?|(?P<bare>[\w-]+)(?:\.gz)?",
    re.IGNORECASE,
)
_DATED = re.compile(r"[._-]?(?:\d{4}-?\d\d-?\d\d(?:[T_-]?\d\d(?:-?\d\d)*)?|\d+)$")


class OutOfTime(Exception):
    """Reading took longer than allowed."""


@dataclass
class Reading:
    """What happened while records were read: how long it may take, and what had to be left out."""

    deadline: float
    """A value of `time.monotonic()`."""
    bad: int = 0
    """Lines that are no record and belong to none."""
    bad_example: str = ""
    cut: int = 0
    """Lines longer than `LINE_BYTES`."""
    unread: list[str] = field(default_factory=list)
    """Files that could not be read, with the reason."""
    late: bool = False
    """Whether the time was over before all was read."""

    def check(self) -> None:
        """Raises OutOfTime when the deadline has passed."""
        if time.monotonic() > self.deadline:
            self.late = True
            raise OutOfTime

    def add_bad(self, line: str, source: str) -> None:
        """Counts a line that is no record."""
        self.bad += 1
        self.bad_example = self.bad_example or f"{source}: {log_lines.one_line(line)[:120]}"

    def add(self, other: Reading) -> None:
        """Takes over what another reading had to leave out."""
        self.bad += other.bad
        self.bad_example = self.bad_example or other.bad_example
        self.cut += other.cut
        self.unread += other.unread

    def notes(self) -> list[str]:
        """What was left out, as sentences."""
        said = []
        if self.late:
            said.append("reading took too long and was stopped: counts are too low; ask for a shorter time")
        if self.bad:
            said.append(
                f"{self.bad} lines without a readable time were left out, such as {self.bad_example!r}"
            )
        if self.cut:
            said.append(f"{self.cut} lines longer than {LINE_BYTES // 1024} KB were cut")
        if self.unread:
            said.append("not readable: " + "; ".join(self.unread[:3]))
        return said


class _Kept(NamedTuple):
    """A whole file's records, and what was wrong with it, as of one size and time of change."""

    size: int
    changed_ns: int
    records: list[Record]
    faults: Reading


class LogFolder:
    """The log files below a directory."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._ends: dict[tuple[str, int, int], float | None] = {}
        self._kept: dict[Path, _Kept] = {}
        self._lock = threading.Lock()

    def __str__(self) -> str:
        return str(self._root)

    def files(self) -> list[Path]:
        """The log files, in order of their paths. Hidden files, links out of the folder and others are not.

        Raises:
            OSError: the folder is missing or can't be listed.
        """
        root = self._root.resolve(strict=True)
        if root.is_file():
            return [root]
        found = (path for path in root.rglob("*") if _is_log(path, root))
        return sorted(found)

    def newest(self, reading: Reading) -> float | None:
        """The time of the newest record, by the last lines of each file; None if there is none."""
        ends = [self._end(path, reading) for path in self.files()]
        return max((end for end in ends if end is not None), default=None)

    def read(self, since: float, until: float, reading: Reading) -> Iterator[Record]:
        """The records of `since` ≤ time < `until`, file by file; what goes wrong is noted in `reading`."""
        try:
            for path in self.files():
                kept = self._keep(path, reading)
                if kept is not None:
                    yield from (record for record in kept if since <= record.time < until)
                    continue
                with closing(_records(path, self.source(path), since, until, reading)) as records:
                    yield from (record for record in records if since <= record.time < until)
        except OutOfTime:
            return

    def _keep(self, path: Path, reading: Reading) -> list[Record] | None:
        """All records of a file from memory, read into it if need be; None if it is too large for that."""
        with self._lock:
            try:
                info = path.stat()
            except OSError:
                return None
            kept = self._kept.get(path)
            if kept is None or (kept.size, kept.changed_ns) != (info.st_size, info.st_mtime_ns):
                self._kept.pop(path, None)
                too_large = info.st_size > KEPT_FILE_BYTES or info.st_size + self._kept_bytes() > KEPT_BYTES
                if path.suffix == ".gz" or too_large:
                    return None
                faults = Reading(reading.deadline)
                try:
                    records = list(_records(path, self.source(path), -math.inf, math.inf, faults))
                except OutOfTime:
                    reading.late = True
                    raise
                kept = _Kept(info.st_size, info.st_mtime_ns, records, faults)
                self._kept[path] = kept
            reading.add(kept.faults)
            return kept.records

    def _kept_bytes(self) -> int:
        return sum(kept.size for kept in self._kept.values())

    def source(self, path: Path) -> str:
        """The service that a file's name tells: `lulu-gateway` for `lulu-gateway-2026-02-17.log.1.gz`."""
        for part in (path.name, *reversed(path.parent.parts[len(self._root.resolve().parts) :])):
            name = stem(part)
            if name and name.lower() not in log_lines.VAGUE_SOURCES:
                return name
        return stem(path.name) or path.name

    def _end(self, path: Path, reading: Reading) -> float | None:
        try:
            info = path.stat()
            key = (str(path), info.st_size, info.st_mtime_ns)
            if key not in self._ends:
                self._ends[key] = _last_time(path, info.st_size, reading)
        except (OSError, EOFError, zlib.error):
            return None
        return self._ends[key]


def stem(name: str) -> str:
    """A file name without log suffixes, dates and rotation numbers."""
    found = _LOG_NAME.fullmatch(name)
    text = (found["stem"] or found["bare"]) if found else name
    while (shorter := _DATED.sub("", text)) != text:
        text = shorter
    return text


def _is_log(path: Path, root: Path) -> bool:
    inside = path.relative_to(root)
    if any(part.startswith(".") for part in inside.parts) or not _LOG_NAME.fullmatch(path.name):
        return False
    return path.is_file() and path.resolve().is_relative_to(root)


def _open(path: Path) -> BinaryIO | gzip.GzipFile:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb", buffering=1 << 18)


def _records(
    path: Path, source: str, since: float, until: float, reading: Reading
) -> Generator[Record, None, None]:
    """A file's records, at least those within the time, each joined with the lines that continue it."""
    try:
        with _open(path) as file:
            size = path.stat().st_size
            ordered = path.suffix != ".gz" and size > _SMALL and _is_ordered(file, size, source)
            file.seek(_start(file, size, source, since - SLACK) if ordered else 0)
            for record in _joined(_lines(file, reading), source, path.stat().st_mtime, reading):
                if ordered and record.time > until + SLACK:
                    return
                yield record
    except (OSError, EOFError, zlib.error) as error:
        reading.unread.append(f"{path.name} ({error})")


def _lines(file: BinaryIO | gzip.GzipFile, reading: Reading) -> Iterator[str]:
    """The lines of a file, cut to `LINE_BYTES`; undecodable bytes become `�`."""
    for number in range(1 << 62):
        line = file.readline(LINE_BYTES)
        if not line:
            return
        if number % 50 == 0:
            reading.check()
        if len(line) == LINE_BYTES and not line.endswith(b"\n"):
            reading.cut += 1
            while (rest := file.readline(1 << 20)) and not rest.endswith(b"\n"):
                reading.check()
        yield line.decode("utf-8", "replace").rstrip("\r\n")


def parse(line: str, source: str, latest: float) -> Record | None:
    """The record that one line begins, in whatever format; None if it begins none."""
    text = line.strip()
    if text.startswith("{"):
        found = log_lines.parse_json(text, source)
        inner = log_text.parse(found.message, source, latest) if found and '"log"' in text else None
        return inner or found
    return log_text.parse(line, source, latest)


def _joined(lines: Iterator[str], source: str, latest: float, reading: Reading) -> Iterator[Record]:
    """Records with the stack traces that follow them; lines that follow nothing are bad."""
    current: Record | None = None
    trace: list[str] = []
    for line in lines:
        found = parse(line, source, latest)
        if found:
            if current:
                yield _with(current, trace)
            current, trace = found, []
        elif current and not line.lstrip().startswith("{"):
            if len(trace) < TRACE_LINES and line.strip():
                trace.append(line)
        elif line.strip(" \t[],"):
            reading.add_bad(line, source)
    if current:
        yield _with(current, trace)


def _with(record: Record, trace: list[str]) -> Record:
    if not trace:
        return record
    return record._replace(message=log_lines.one_line(log_lines.with_trace(record.message, trace)))


def _time_at(file: BinaryIO | gzip.GzipFile, offset: int, source: str) -> tuple[float | None, int]:
    """The time of the first record at or behind an offset, and where its line begins."""
    file.seek(offset)
    if offset:
        file.readline(LINE_BYTES)
    for _ in range(50):
        start = file.tell()
        line = file.readline(LINE_BYTES).decode("utf-8", "replace")
        found = parse(line, source, 1e11) if line else None
        if found or not line:
            return (found.time if found else None), start
    return None, offset


def _is_ordered(file: BinaryIO | gzip.GzipFile, size: int, source: str) -> bool:
    """Whether a file's times rise from front to back, seen at evenly spaced places."""
    times = [_time_at(file, size * step // _PROBES, source)[0] for step in range(_PROBES)]
    known = [when for when in times if when is not None]
    pairs = itertools.pairwise(known)
    return len(known) > _PROBES // 2 and all(after >= before - SLACK for before, after in pairs)


def _start(file: BinaryIO | gzip.GzipFile, size: int, source: str, since: float) -> int:
    """Where to begin in an ordered file so that nothing from `since` on is missed."""
    low, high = 0, size
    while high - low > LINE_BYTES * 2:
        middle = (low + high) // 2
        when, _ = _time_at(file, middle, source)
        if when is not None and when < since:
            low = middle
        else:
            high = middle
    return _time_at(file, low, source)[1] if low else 0


def _last_time(path: Path, size: int, reading: Reading) -> float | None:
    """The newest time within the last lines of a file."""
    with _open(path) as file:
        if path.suffix == ".gz":
            tail = _gzip_tail(file, reading)
        else:
            file.seek(max(0, size - LINE_BYTES * 2))
            tail = file.read(LINE_BYTES * 2)
    lines = tail.decode("utf-8", "replace").splitlines()[-300:]
    found = (parse(line, "", path.stat().st_mtime) for line in lines)
    return max((record.time for record in found if record), default=None)


def _gzip_tail(file: BinaryIO | gzip.GzipFile, reading: Reading) -> bytes:
    tail = b""
    while chunk := file.read(1 << 20):
        reading.check()
        tail = (tail + chunk)[-LINE_BYTES:]
    return tail
