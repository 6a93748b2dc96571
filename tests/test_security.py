"""Rows of the threat model in docs/security.md that no other test proves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml
from pydantic import ValidationError
from sqlalchemy import Connection

from blocks import marked_yaml
from blocks.config import Config, Skill
from blocks.config_file import Problem, read
from blocks.database import Database
from blocks.home import ROOT
from blocks.mcp import Connection as McpConnection
from blocks.mcp import McpUnavailable
from flows.cli import server, up
from flows.ecm import DOMAIN
from flows.orchestrator.events import _event
from tasks import check_domain, inbox, journal
from tasks.page import page
from tests.record_world import began, new_database, new_postgres, step  # noqa: F401
from tests.security.showing import _active

PAGE = ROOT / "docs" / "security.md"


@contextmanager
def answering(asked: list[str], location: str) -> Iterator[str]:
    """A server on the loopback that notes each path and sends everybody to `location`; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            self.send_response(307 if location else 200)
            self.send_header("Location", location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST

        def log_message(self, *_: Any) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=http.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{http.server_port}"
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


async def test_a_redirect_of_an_mcp_server_leads_to_no_other_host(tmp_path: Path) -> None:
    """It goes where the config says, or nowhere."""
    there: list[str] = []
    here: list[str] = []
    with answering(there, "") as other, answering(here, f"{other}/latest/meta-data/") as url:
        servers = {"some-mcp": {"url": f"{url}/mcp"}}
        config = Config.model_validate({"models": {}, "mcp_servers": servers, "domains": {}})
        connection = McpConnection("some-mcp", config.mcp_servers["some-mcp"], config, tmp_path)
        with pytest.raises(McpUnavailable):
            await connection.tools()
        await connection.close()
    assert here
    assert there == []


@pytest.mark.parametrize(
    "url", ["https://{order_id}/x", "https://api.{stage}.internal/x", "{order_id}", "https://u:{stage}@h/x"]
)
def test_a_field_of_an_order_chooses_no_host(tmp_path: Path, url: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("models: {}\n")
    found: list[Problem] = list(check_domain._url(read(file), ("url",), url, set()))
    assert any("host" in each.message or "full URL" in each.message for each in found)


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "ecm/../x", "ecm-triage.md", "/etc/passwd", "ecm\x00", ""]
)
def test_the_name_of_a_skill_is_no_path(name: str) -> None:
    """Prompts are opened by it."""
    with pytest.raises(ValidationError):
        Skill.model_validate({"name": name, "role": "manager", "model": "m"})


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n", "alias"),
        (b"a: " + b"[" * 5000, "nested"),
        (b"a: " + b"x" * (marked_yaml.MAX_BYTES + 1), "bytes"),
        (b"a: !!python/object/apply:os.system [id]\n", "tag"),
    ],
)
def test_yaml_bombs_are_told_and_not_built(raw: bytes, words: str) -> None:
    assert words in marked_yaml.read(raw).faults[0].message


def test_events_and_automations_carry_ids_only(database: Database) -> None:
    """Prefect renders what an automation finds as a template."""

    def accept(conn: Connection) -> inbox.Trigger:
        return inbox.accept(conn, "webhook", "ecm", "webhook:{{ 7*7 }}", {"text": "{{ 7*7 }}"})

    event = _event(database.write_now(accept), "2026-02-17T08:00:00Z")
    assert "{{" not in str(event)
    assert event["payload"] == {}
    deployments = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    templates = {
        value
        for each in deployments
        for one in each.get("triggers", [])
        for value in one["parameters"].values()
    }
    assert templates == {"{{ event.resource['aspora.trigger-id'] }}"}


def test_a_tools_name_that_a_model_made_up_is_no_markup(database: Database) -> None:
    """It stands between backticks, and can't end them."""
    name = "x`](y) ![z](https://evil.example/p) <img src=x> `\x1b[2J"

    def write(conn: Connection) -> str:
        id_ = began(conn).execution_id
        journal.append(conn, step(id_, 1, name=name, status="error"))
        return page(conn, id_)

    assert list(_active(database.write_now(write))) == []


def test_pages_of_other_origins_are_not_answered_by_prefects_server() -> None:
    for settings in (up.SERVER_SETTINGS, server._SETTINGS):
        assert settings["PREFECT_SERVER_CORS_ALLOWED_ORIGINS"] == "http://127.0.0.1"


def test_a_chat_message_becomes_no_more_than_a_known_stage() -> None:
    from tasks.domain import Incoming
    from tests.security.attacks import ATTACKS

    config = Config.model_validate({"models": {}, "domains": {}})
    assert DOMAIN.read is not None
    for attack in ATTACKS:
        given = DOMAIN.read(Incoming(source="slack", dedupe_key="k", fields={}, text=attack.text), config)
        assert given.model_dump(exclude_none=True) == {"stage": ""}


def test_every_test_that_the_threat_model_names_exists() -> None:
    """`file::test` of each row."""
    named = re.findall(r"`(test_\w+)::(\w+)`", PAGE.read_text("utf-8"))
    assert len(named) >= 30
    files = {file: (ROOT / "tests" / f"{file}.py").read_text("utf-8") for file, _ in named}
    assert [f"{file}::{test}" for file, test in named if f"def {test}(" not in files[file]] == []
