"""Log lines in the formats people have: what time, level, service and message come out."""

import gzip
import json
import time
from datetime import UTC, datetime

import pytest

from mcp_servers import log_files
from mcp_servers.log_files import LINE_BYTES, LogFolder, Reading

EIGHT = datetime(2026, 2, 17, 8, tzinfo=UTC).timestamp()
DAY = 86400.0


def read(folder, since=EIGHT - DAY, until=EIGHT + DAY):
    reading = Reading(time.monotonic() + 60)
    return list(LogFolder(folder).read(since, until, reading)), reading


PLAIN = {
    "iso": ("2026-02-17T08:00:00Z ERROR lulu-gateway: no route", "ERROR", "lulu-gateway", "no route"),
    "python": ("2026-02-17 08:00:00,123 [ERROR] lulu - no route", "ERROR", "lulu", "no route"),
    "brackets": ("[2026-02-17 08:00:00] [lulu-gateway] [WARN] slow", "WARN", "lulu-gateway", "slow"),
    "spring": (
        "2026-02-17 08:00:00.123  ERROR 12 --- [nio-80-exec-1] c.acme.Client : timeout",
        "ERROR",
        "stem",
        "timeout",
    ),
    "syslog": ("Feb 17 08:00:00 host1 lulu[123]: ERROR: pool full", "ERROR", "lulu", "pool full"),
    "rfc5424": ("<35>1 2026-02-17T08:00:00Z host lulu 12 ID47 - no route", "ERROR", "lulu", "no route"),
    "access": (
        '10.0.0.1 - - [17/Feb/2026:08:00:00 +0000] "GET /x HTTP/1.1" 503 12',
        "ERROR",
        "stem",
        '"GET /x HTTP/1.1" 503 12',
    ),
    "logfmt": (
        'time=2026-02-17T08:00:00Z level=error service=lulu msg="rate limited" status=429',
        "ERROR",
        "lulu",
        "rate limited status=429",
    ),
    "glog": ("E0217 08:00:00.123456  1234 file.go:12] no route", "ERROR", "stem", "no route"),
    "nginx": ("2026/02/17 08:00:00 [error] 12#0: upstream timed out", "ERROR", "stem", "upstream timed out"),
    "compose": ("lulu-gateway  | 2026-02-17T08:00:00Z INFO started", "INFO", "lulu-gateway", "started"),
    "level first": ("ERROR 2026-02-17 08:00:00 lulu: broken", "ERROR", "lulu", "broken"),
    "service before level": ("2026-02-17T08:00:00Z lulu-gw ERROR no route", "ERROR", "lulu-gw", "no route"),
    "no name": (
        "2026-02-17T08:00:00Z ERROR Payment failed: no route",
        "ERROR",
        "stem",
        "Payment failed: no route",
    ),
    "offset": ("2026-02-17T10:00:00+02:00 INFO lulu: ok", "INFO", "lulu", "ok"),
    "no level": ("2026-02-17T08:00:00Z lulu: connection refused", "WARN", "lulu", "connection refused"),
    "epoch": ("1771315200.0 WARN lulu: slow", "WARN", "lulu", "slow"),
}

JSON = {
    "plain": (
        {"time": "2026-02-17T08:00:00Z", "level": "error", "service": "lulu", "message": "no"},
        "ERROR",
        "no",
    ),
    "bunyan": ({"time": 1771315200000, "level": 50, "name": "lulu", "msg": "no", "pid": 7}, "ERROR", "no"),
    "nested": (
        {
            "@timestamp": "2026-02-17T08:00:00Z",
            "log": {"level": "WARN"},
            "service": {"name": "lulu"},
            "message": "no",
        },
        "WARN",
        "no",
    ),
    "extra fields": (
        {"ts": 1771315200, "severity": "ERROR", "app": "lulu", "text": "no", "status": 429, "trace_id": "ab"},
        "ERROR",
        "no status=429",
    ),
    "stack": (
        {
            "time": "2026-02-17T08:00:00Z",
            "lvl": "ERROR",
            "component": "lulu",
            "event": "no",
            "stack_trace": "a.FooException: x\n\tat b\nCaused by: c.BarException: y",
        },
        "ERROR",
        "no | a.FooException: x | Caused by: c.BarException: y",
    ),
    "container": (
        {"time": "2026-02-17T08:00:00Z", "stream": "stderr", "log": "2026-02-17T08:00:00Z ERROR lulu: no\n"},
        "ERROR",
        "no",
    ),
}


@pytest.mark.parametrize("name", PLAIN)
def test_plain_text_line(tmp_path, name):
    line, level, service, message = PLAIN[name]
    (tmp_path / "stem.log").write_text(line + "\n")
    (record,), reading = read(tmp_path)
    assert (record.level, record.service, record.message) == (level, service, message)
    assert abs(record.time - EIGHT) < 1
    assert not reading.bad


@pytest.mark.parametrize("name", JSON)
def test_json_line(tmp_path, name):
    fields, level, message = JSON[name]
    (tmp_path / "stem.jsonl").write_text(json.dumps(fields) + "\n")
    (record,), _ = read(tmp_path)
    assert (record.time, record.level, record.service, record.message) == (EIGHT, level, "lulu", message)


def test_stack_trace_joins_its_record(tmp_path):
    (tmp_path / "lulu.log").write_text(
        "2026-02-17T08:00:00Z ERROR lulu: sending failed\n"
        "Traceback (most recent call last):\n"
        '  File "a.py", line 3, in send\n'
        "    raise TimeoutError\n"
        "acme.errors.PartnerTimeoutError: no answer in 30 s\n"
        "2026-02-17T08:00:01Z INFO lulu: next\n"
    )
    records, reading = read(tmp_path)
    assert [record.message for record in records] == [
        "sending failed | acme.errors.PartnerTimeoutError: no answer in 30 s",
        "next",
    ]
    assert reading.bad == 0


def test_bad_lines_are_counted_and_the_rest_is_read(tmp_path):
    (tmp_path / "lulu.jsonl").write_bytes(
        b"\xff\xfe garbage\n"
        b'{"no": "time"}\n'
        b"{broken\n"
        b'{"time": "2026-02-17T08:00:00Z", "level": "INFO", "message": "caf\xe9"}\n'
    )
    (record,), reading = read(tmp_path)
    assert record.message == "caf�"
    assert reading.bad == 3
    assert "3 lines without a readable time" in " ".join(reading.notes())


def test_endless_line_is_cut(tmp_path):
    long = '{"time": "2026-02-17T08:00:00Z", "level": "ERROR", "message": "' + "x" * (5 * LINE_BYTES)
    (tmp_path / "lulu.jsonl").write_text(long + '"}\n{"time": "2026-02-17T08:00:01Z", "message": "next"}\n')
    records, reading = read(tmp_path)
    assert [record.message[:4] for record in records] == ["xxxx", "next"]
    assert len(records[0].message) <= 2000
    assert reading.cut == 1


def test_gzip_rotation_and_folders(tmp_path):
    (tmp_path / "lulu-gateway").mkdir()
    line = "2026-02-17T08:00:00Z INFO ok\n"
    with gzip.open(tmp_path / "lulu-gateway" / "app.log.1.gz", "wt") as file:
        file.write(line)
    (tmp_path / "kyc-2026-02-17.log").write_text(line)
    (tmp_path / ".hidden.log").write_text(line)
    (tmp_path / "notes.md").write_text(line)
    records, _ = read(tmp_path)
    assert [record.service for record in records] == ["kyc", "lulu-gateway"]


def test_broken_gzip_is_told(tmp_path):
    (tmp_path / "lulu.log.gz").write_bytes(b"\x1f\x8b\x08 broken")
    records, reading = read(tmp_path)
    assert records == []
    assert "lulu.log.gz" in " ".join(reading.notes())


def test_link_out_of_the_folder_is_not_followed(tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "secret.log").write_text("2026-02-17T08:00:00Z INFO secret\n")
    (tmp_path / "logs" / "lulu.log").symlink_to(tmp_path / "secret.log")
    assert read(tmp_path / "logs")[0] == []


def many_lines(order):
    lines = [
        f"{datetime.fromtimestamp(EIGHT - 60_000 + n, UTC).isoformat()} INFO lulu: line {n} {'x' * 30}\n"
        for n in range(60_000)
    ]
    return "".join(lines if order else lines[30_000:] + lines[:30_000])


@pytest.mark.parametrize("ordered", [True, False])
def test_window_of_a_large_file_is_exact(tmp_path, ordered):
    (tmp_path / "lulu.log").write_text(many_lines(ordered))
    records, _ = read(tmp_path, EIGHT - 5000, EIGHT - 2000)
    assert sorted(record.time for record in records) == [EIGHT - 5000 + n for n in range(3000)]


def test_ordered_large_file_is_not_read_whole(tmp_path, monkeypatch):
    (tmp_path / "lulu.log").write_text(many_lines(True))
    parsed = 0
    original = log_files.parse

    def counting(*args):
        nonlocal parsed
        parsed += 1
        return original(*args)

    monkeypatch.setattr(log_files, "parse", counting)
    records, _ = read(tmp_path, EIGHT - 2000, EIGHT - 1000)
    assert len(records) == 1000
    assert parsed < 15_000


def test_reading_stops_at_the_deadline(tmp_path):
    (tmp_path / "lulu.log").write_text(many_lines(True))
    reading = Reading(time.monotonic() - 1)
    assert list(LogFolder(tmp_path).read(0, EIGHT, reading)) == []
    assert "too low" in " ".join(reading.notes())
