"""Changes of the config on record: which key, from what to what, seen by whom; never a secret."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from blocks.checkout import last_commit
from blocks.config import Config
from blocks.database import Database
from blocks.login import login
from blocks.schema import config_versions
from tasks import config_changes
from tasks.config_content import LONGEST, content
from tasks.differences import Difference, differences
from tasks.platform import open_now
from tests.commands import Aspora, new_aspora  # noqa: F401
from tests.fix_world import World, new_api, new_world  # noqa: F401
from tests.record_world import NOW, new_database, new_postgres  # noqa: F401

OLD = NOW - timedelta(days=1)
FILE = "/etc/aspora.config.yaml"


def domains(**given: Any) -> dict[str, Any]:
    rules = [{"when": "manager.count >= 1", "route_to": "ecm-diagnose"}]
    return {"domains": {"ecm": {"module": "flows.ecm", "routing": rules, **given}}}


def found(database: Database, domain: str = "") -> list[tuple[str, str | None, str | None]]:
    changes = database.read_now(lambda conn: config_changes.since(conn, OLD, domain))
    return [(each.key, each.old, each.new) for each in changes]


def seen(database: Database, written: dict[str, Any], file: str = FILE) -> int:
    return database.write_now(lambda conn: config_changes.add(conn, file, written, by="ann", now=NOW))


def test_each_key_that_changed_is_on_record(database: Database) -> None:
    """The first content is what later ones are compared with; the same again is nothing."""
    assert seen(database, domains()) == 0
    assert seen(database, domains()) == 0
    rules = [{"when": "manager.count >= 5", "route_to": "ecm-diagnose"}]
    assert seen(database, domains(routing=rules, auto_fix=True)) == 2
    assert found(database) == [
        ("domains.ecm.routing[0].when", "manager.count >= 1", "manager.count >= 5"),
        ("domains.ecm.auto_fix", None, "true"),
    ]
    assert seen(database, domains()) == 2
    assert len(found(database)) == 4


def test_many_at_once_record_it_once(database: Database) -> None:
    seen(database, domains())
    with ThreadPoolExecutor(4) as threads:
        counts = list(threads.map(lambda _: seen(database, domains(auto_fix=True)), range(8)))
    assert sorted(counts) == [0] * 7 + [1]
    assert len(found(database)) == 1


def test_a_domain_is_shown_its_own_changes_and_those_of_all(database: Database) -> None:
    """A trigger is a change of the domain that it starts."""
    trigger = {"source": "slack", "match": {"mention": "@a"}, "domain": "ecm"}
    seen(database, {**domains(), "triggers": [trigger]})
    more = {**domains(auto_fix=True), "platform": {"provider": "offline"}}
    more["domains"]["fraud"] = {"module": "flows.fraud"}
    seen(database, {**more, "triggers": [trigger, {**trigger, "domain": "fraud"}]})
    assert [key for key, _, _ in found(database, "ecm")] == ["domains.ecm.auto_fix", "platform"]
    assert [key for key, _, _ in found(database, "fraud")] == ["domains.fraud", "triggers[1]", "platform"]
    assert len(found(database)) == 4


def test_a_new_file_is_compared_with_the_last_one(database: Database) -> None:
    """Copying the config elsewhere hides nothing; each file then has its own history."""
    seen(database, domains())
    assert seen(database, domains(), "/etc/other.yaml") == 0
    assert seen(database, domains(auto_fix=True), "/etc/other.yaml") == 1
    assert seen(database, domains()) == 0


def test_what_is_kept_is_bounded(database: Database) -> None:
    """So many keys of a change, so much of a value, and the content of the newest version only."""
    seen(database, domains())
    many = {f"key{number}": "x" * 10_000 for number in range(1000)}
    assert seen(database, {**domains(), **many}) == 1000
    rows = found(database)
    assert len(rows) == config_changes.MOST + 1
    assert rows[-1][0] == "and 800 more"
    assert max(len(new or "") for _, _, new in rows) < LONGEST + 50
    kept = select(func.count()).select_from(config_versions).where(config_versions.c.content.is_not(None))
    assert database.read_now(lambda conn: conn.execute(kept).scalar_one()) == 1


RULE = {"when": "a", "route_to": "x"}


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ({"routing": [RULE]}, {"routing": [{**RULE, "when": "b"}]}, "routing[0].when: a → b"),
        ({"routing": [RULE]}, {"routing": [{"when": "z"}, RULE]}, 'routing[0]: None → {"when": "z"}'),
        ({"routing": [{"when": "z"}, RULE]}, {"routing": [RULE]}, 'routing[0]: {"when": "z"} → None'),
        ({"approvers": ["a"]}, {"approvers": ["a", "b"]}, 'approvers: ["a"] → ["a", "b"]'),
        ({"a": {"b": 1}}, {"a": {"b": 1.5}}, "a.b: 1 → 1.5"),
        ({"a": 1}, {}, "a: 1 → None"),
    ],
)
def test_differences(old: dict[str, Any], new: dict[str, Any], key: str) -> None:
    """A rule put before another one is one change."""
    (only,) = differences(old, new)
    assert f"{only.key}: {only.old} → {only.new}" == key


DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)
SECTIONS = st.dictionaries(st.text(max_size=3), DATA, max_size=4)


@given(SECTIONS, SECTIONS)
def test_there_are_differences_exactly_where_something_differs(old: Any, new: Any) -> None:
    assert differences(old, old) == []
    assert bool(differences(old, new)) == (old != new)
    assert all(isinstance(each, Difference) for each in differences(new, old))


SECRETS = "hunter2"


@pytest.mark.parametrize(
    "change",
    [
        {"warehouse": {"url": f"postgresql://bob:{SECRETS}@db.example.com/orders"}},
        {"warehouse": {"url": f"postgresql://db.example.com/orders?password={SECRETS}"}},
        {"mcp_servers": {"x": {"command": ["serve", "--token", SECRETS]}}},
        {"mcp_servers": {"x": {"command": ["serve", f"--api-key={SECRETS}"]}}},
        {"mcp_servers": {"x": {"command": ["serve", f"API_TOKEN={SECRETS}"]}}},
        {"mcp_servers": {"x": {"command": ["serve"], "env": {"HARMLESS": SECRETS}}}},
        {"mcp_servers": {"x": {"module": "a.b", "password": SECRETS}}},
        {"mcp_servers": {"x": {"module": "a.b", "login": {"client_secret": SECRETS}}}},
        {"mcp_servers": {"x": {"url": f"https://x.example.com/?a=b&access_token={SECRETS}"}}},
        {"mcp_servers": {"x": {"module": "a.b", "header": f"Bearer {SECRETS}"}}},
        {"mcp_servers": {"x": {"module": "a.b", "header": f"sk-ant-{SECRETS}-and-more"}}},
        {"mcp_servers": {"x": {"module": "a.b", "header": f"xoxb-{SECRETS}"}}},
    ],
)
def test_secrets_are_never_on_record(change: dict[str, Any]) -> None:
    config = Config.model_validate({"models": {}, "domains": {}, **change})
    assert SECRETS not in json.dumps(content(config))


def test_what_is_no_secret_is_on_record_as_it_is_written() -> None:
    """Names of variables, limits in tokens, budgets, times."""
    written = content(
        Config.model_validate(
            {
                "models": {"small": {"id": "claude-haiku-4-5", "max_tokens": 1000}},
                "platform": {
                    "guardrails": {"budget": "$50/day", "rate_limit": "120/hour"},
                    "retry_for": "4h",
                },
                "mcp_servers": {"x": {"url": "https://x.example.com", "token_env": "X_TOKEN"}},
                "domains": {},
            }
        )
    )
    assert written == {
        "models": {"small": {"id": "claude-haiku-4-5", "max_tokens": 1000}},
        "platform": {"guardrails": {"budget": "$50.00/day", "rate_limit": "120/hour"}, "retry_for": "4h"},
        "mcp_servers": {"x": {"url": "https://x.example.com", "token_env": "X_TOKEN"}},
        "domains": {},
    }


def test_a_process_that_acts_records_it_once(world: World) -> None:
    """However often it opens; layout and comments are no change."""
    open_now().database.close()
    world.domain["routing"] = [{"when": "manager.count >= 7", "route_to": "ecm-resolve"}]
    world.write()
    for _ in range(3):
        open_now().database.close()
    world.config_file.write_text("# a comment\n" + json.dumps(world.config))
    open_now().database.close()
    (change,) = world.database.read_now(lambda conn: config_changes.since(conn, OLD))
    assert change.key == "domains.ecm.routing[0].when"
    assert (change.old, change.new) == ("manager.count >= 1", "manager.count >= 7")
    assert (change.seen_by, change.commit_hash, change.domain) == (login(), "", "ecm")


START = """
from tasks.platform import open_now
open_now().database.close()
"""


@pytest.mark.full
def test_processes_that_start_together_record_it_once(world: World) -> None:
    open_now().database.close()
    world.domain["auto_fix"] = False
    world.write()
    processes = [subprocess.Popen([sys.executable, "-c", START]) for _ in range(4)]
    assert [process.wait() for process in processes] == [0, 0, 0, 0]
    assert found(world.database) == [("domains.ecm.auto_fix", "true", "false")]


def git(where: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=Ann Author", "-c", "user.email=ann@example.com")
    subprocess.run(["git", *identity, *arguments], cwd=where, check=True, capture_output=True)


def test_the_commit_is_claimed_only_where_the_file_is_as_committed(tmp_path: Path) -> None:
    file = tmp_path / "a [b]*.yaml"
    file.write_text("a: 1\n")
    assert last_commit(file) is None
    git(tmp_path, "init")
    assert last_commit(file) is None
    git(tmp_path, "add", "--", ".")
    assert last_commit(file) is None
    git(tmp_path, "commit", "-m", "first")
    claimed = last_commit(file)
    assert claimed and claimed.author == "Ann Author"
    file.write_text("a: 2\n")
    assert last_commit(file) is None
    assert last_commit(tmp_path / "missing" / "x.yaml") is None


def test_on_the_command_line(aspora: Aspora, world: World) -> None:
    """What only looks records nothing."""
    open_now().database.close()
    world.domain["routing"] = [{"when": "manager.count >= 2", "route_to": "ecm-resolve"}]
    world.write()
    assert "No change" in aspora("report", "changes").out
    open_now().database.close()
    (change,) = aspora("report", "changes", "--json").json
    assert (change["old"], change["new"]) == ("manager.count >= 1", "manager.count >= 2")
    assert "seen by" in " ".join(aspora("report", "changes", "--domain", "ecm").out.split())
    assert "No change" in aspora("report", "changes", "--domain", "fraud").out
    assert "manager.count >= 2" in aspora("report", "domain", "ecm", "--week").out
