"""What can be wrong outside: a clear message, the right exit code, and what was done on record."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from blocks import database, mcp
from tests.commands import ASPORA, Aspora, new_aspora  # noqa: F401
from tests.fix_world import World, new_api, new_world  # noqa: F401


def failed(aspora: Aspora, world: World) -> str:
    """The reason of a run that fails, and leaves its failure on record."""
    done = aspora("run", "ecm", "--json")
    assert (done.code, done.json["state"]) == (1, "failed"), done.err
    assert "Traceback" not in done.err
    (execution,) = aspora("executions", "--outcome", "error", "--json").json
    assert execution["skill"] == "ecm-triage"
    return str(done.json["reason"])


def test_no_warehouse(aspora: Aspora, world: World) -> None:
    (world.home / "orders.db").unlink()
    assert "orders.db" in failed(aspora, world)
    assert not (world.home / "orders.db").exists()


def test_a_warehouse_that_is_no_database(aspora: Aspora, world: World) -> None:
    (world.home / "orders.db").write_text("order_id,stage\n" * 1000)
    assert "is no SQLite database; check warehouse.url" in failed(aspora, world)


def test_a_table_that_is_not_there(aspora: Aspora, world: World) -> None:
    world.config["warehouse"]["tables"]["orders"]["table"] = "ordres"
    world.write()
    assert "warehouse.tables.orders.table" in failed(aspora, world)


def test_an_empty_table(aspora: Aspora, world: World) -> None:
    with world.orders() as connection:
        connection.execute("DELETE FROM orders")
    done = aspora("run", "ecm", "--json")
    assert (done.code, done.json["state"]) == (0, "no_action")
    assert done.json["executions"][0]["output"]["patterns"] == []


def test_orders_with_faults_are_warned_of(aspora: Aspora, world: World) -> None:
    """The sound ones are still counted."""
    rows = [
        ("N1", "open", "lulu", None, None, "critical", 10),
        ("N2", "open", "lulu", "2999-01-01 00:00:00", None, "critical", 10),
        ("N3", "open", None, "2026-01-01 00:00:00", None, "critical", 10),
        ("N4", "open", "lulu", "2026-01-01 00:00:00", None, "critical", -10),
    ]
    with world.orders() as connection:
        connection.executemany("INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    done = aspora("run", "ecm", "--json")
    assert done.code == 4
    output = done.json["executions"][0]["output"]
    counts = {pattern["stuck_at"]: pattern["count"] for pattern in output["patterns"]}
    assert counts["lulu"] == 4
    warned = " ".join(output["warnings"])
    for words in ("future", "negative", "no stage"):
        assert words in warned, output["warnings"]


def test_a_stage_that_nobody_knows(aspora: Aspora) -> None:
    done = aspora("run", "ecm", "--input", '{"stage": "lullu"}', "--json")
    assert done.code in (0, 1)
    assert "lullu" in str(done.json)
    assert done.json["approvals"] == []


def test_a_config_of_the_wrong_shape(aspora: Aspora, world: World) -> None:
    for text in ("- a\n- b\n", "just words", "domains: [", "\x00", "domains: {ecm: {skils: []}}"):
        world.config_file.write_text(text)
        done = aspora("run", "ecm")
        assert (done.code, done.out) == (2, ""), text
        assert "aspora.config.yaml" in done.err


@pytest.mark.parametrize(
    ("server", "words"),
    [
        ({"command": ["/nowhere/mcp"]}, "No such file"),
        ({"command": [sys.executable, "-c", "raise SystemExit(3)"]}, "redshift-mcp"),
        ({"command": ["sleep", "30"]}, "no answer within 1 s"),
        ({"url": "http://127.0.0.1:9/mcp", "timeout": "2s"}, "redshift-mcp"),
    ],
)
def test_an_mcp_server_that_is_dead_or_hangs(
    aspora: Aspora, world: World, monkeypatch: pytest.MonkeyPatch, server: dict[str, Any], words: str
) -> None:
    monkeypatch.setattr(mcp, "CONNECT_SECONDS", 1.0)
    monkeypatch.setattr(mcp, "CLOSE_SECONDS", 0.2)
    world.config["mcp_servers"]["redshift-mcp"] = server
    world.write()
    assert words in failed(aspora, world)


def test_the_anthropic_provider_without_a_key(aspora: Aspora, world: World) -> None:
    world.config["platform"]["provider"] = "anthropic"
    world.write()
    done = aspora("run", "ecm", "--json")
    assert done.code == 2
    assert "ANTHROPIC_API_KEY" in done.json["error"]


def test_a_locked_record(aspora: Aspora, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.1)
    world.database.close()
    holder = sqlite3.connect(world.home / "aspora.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    done = aspora("run", "ecm")
    holder.execute("ROLLBACK")
    holder.close()
    assert done.code == 1
    assert "another process holds its lock" in done.err


def test_a_state_directory_that_can_not_be_made(
    aspora: Aspora, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    (world.home / "file").touch()
    monkeypatch.setenv("ASPORA_HOME", str(world.home / "file" / "home"))
    for command in (["run", "ecm"], ["executions"], ["stop", "ecm"]):
        done = aspora(*command)
        assert done.code == 1
        assert "ASPORA_HOME must be a directory that may be written" in done.err


CHILD = """
import asyncio, resource, sys
sys.path.insert(0, {root!r})
from tests.fix_world import run
{before}
from flows.cli.errors import explained
with explained():
    print(asyncio.run(run())["state"])
"""


def child(before: str = "") -> subprocess.Popen[str]:
    """A run in a process of its own."""
    root = str(Path(__file__).parent.parent)
    return subprocess.Popen(
        [sys.executable, "-c", CHILD.format(root=root, before=before)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )


def test_a_full_disk(world: World) -> None:
    """The record can't grow any more: said so, and what it holds is whole."""
    world.database.close()
    process = child(
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))"
    )
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "the database file" in err
    assert "Traceback" not in err
    with sqlite3.connect(world.home / "aspora.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.full
def test_ctrl_c_in_the_middle(world: World, tmp_path: Path) -> None:
    """What was done is on record, the run as interrupted."""
    world.config["mcp_servers"]["redshift-mcp"] = {"command": ["sleep", "30"]}
    world.write()
    process = child()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not _began(world):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "What was done so far is recorded" in err
    with sqlite3.connect(world.home / "aspora.db") as connection:
        assert connection.execute("SELECT state, reason FROM triggers").fetchall() == [
            ("failed", "interrupted")
        ]


def _began(world: World) -> bool:
    try:
        with sqlite3.connect(world.home / "aspora.db") as connection:
            return bool(connection.execute("SELECT count(*) FROM executions").fetchone()[0])
    except sqlite3.OperationalError:
        return False


@pytest.mark.full
def test_bad_input_through_the_installed_command(world: World) -> None:
    """A whole process with its own Prefect server."""
    (world.home / "orders.db").unlink()
    done = subprocess.run([ASPORA, "run", "ecm"], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "orders.db" in done.stdout.replace("\n", "")
    assert "Traceback" not in done.stdout + done.stderr
