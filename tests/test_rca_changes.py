"""deploys-mcp as a client sees it: a table, webhook bodies of GitHub and GitLab, what they are read as."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from mcp import Client
from pydantic import ValidationError

from blocks.config import Config
from mcp_servers.change_records import kind_of, of_row, of_webhook
from mcp_servers.deploys import Options, build

NOW = datetime(2026, 2, 17, 8, 0, tzinfo=UTC)
COLUMNS = {"id": "id", "time": "at", "service": "app", "kind": "what", "summary": "note", "status": "state"}


def github(**body: Any) -> dict[str, Any]:
    return {"repository": {"full_name": "acme/shop"}, "sender": {"login": "ada"}, **body}


DEPLOYMENT = github(
    deployment={
        "id": 11, "sha": "a" * 40, "ref": "v2.4.0", "task": "deploy", "environment": "production",
        "description": "Rolls out v2.4.0", "created_at": "2026-02-17T07:00:00Z",
        "payload": {"service": "bank", "previous_version": "v2.3.0"},
    },
    deployment_status={"state": "success", "created_at": "2026-02-17T07:05:00Z", "log_url": "https://ci/1"},
)  # fmt: skip
PUSH = github(
    ref="refs/heads/main", before="b" * 40, after="c" * 40, compare="https://github.com/acme/shop/compare/b..c",
    commits=[
        {"message": "Lower the pool\n\nlong", "timestamp": "2026-02-17T06:00:00Z", "added": [],
         "modified": ["config/app.yaml"], "removed": []},
        {"message": "Docs", "timestamp": "2026-02-17T06:01:00Z", "modified": ["README.md"]},
    ],
)  # fmt: skip
PUSH["repository"]["default_branch"] = "main"
RELEASE = github(
    action="published",
    release={
        "id": 7,
        "tag_name": "v3",
        "name": "Three",
        "body": "all new",
        "published_at": "2026-02-17T05:00:00Z",
    },
)
GITLAB = {
    "object_kind": "deployment", "status": "success", "status_changed_at": "2026-02-17 06:30:00 +0000",
    "deployment_id": 5, "environment": "bank-prod", "ref": "main", "short_sha": "279484c0",
    "project": {"path_with_namespace": "acme/bank"}, "user": {"username": "li"},
    "commit_title": "Widen the timeout",
}  # fmt: skip
FLAG = {
    "object_kind": "feature_flag", "project": {"path_with_namespace": "acme/shop"},
    "user": {"username": "li"},
    "object_attributes": {"id": 6, "name": "new_fees", "active": True, "description": "fees",
                          "updated_at": "2026-02-17T07:30:00Z"},
}  # fmt: skip


async def ask(options: dict[str, Any], **arguments: Any) -> Any:
    server = build(Options.model_validate(options), Config(models={}, domains={}), Path())
    async with Client(server) as client:
        return await client.call_tool("query_changes", {"until": NOW.isoformat(), **arguments})


async def told(options: dict[str, Any], **arguments: Any) -> Any:
    result = await ask(options, **arguments)
    assert not result.is_error, result.content
    return result.structured_content


@pytest.fixture
def table(tmp_path: Path) -> dict[str, Any]:
    """A table with four changes of two services, and one without a time."""
    url = f"sqlite:///{tmp_path}/changes.db"
    rows = [
        ("d1", "2026-02-17 07:00:00", "shop", "deploy", "v2", "done"),
        ("d2", "2026-02-17 07:30:00", "bank", "", "schema migration 12", "done"),
        ("d3", "2026-02-17 07:40:00", "shop", "Deployment", "v3", "FAILED"),
        ("d4", "2026-02-10 07:00:00", "shop", "deploy", "v1", "done"),
        ("d5", None, "shop", "deploy", "v0", "done"),
        ("d6", "2026-02-17 07:45:00", "", "config", "proxy of all", "done"),
    ]
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(
            sa.text("CREATE TABLE changes (id TEXT, at TEXT, app TEXT, what TEXT, note TEXT, state TEXT)")
        )
        for row in rows:
            values = dict(zip(("id", "at", "app", "what", "note", "state"), row, strict=True))
            connection.execute(
                sa.text("INSERT INTO changes VALUES (:id, :at, :app, :what, :note, :state)"), values
            )
    engine.dispose()
    return {"table": {"url": url, "table": "changes", "columns": COLUMNS}}


async def test_changes_of_a_table_come_newest_first(table: dict[str, Any]) -> None:
    found = (await told(table))["changes"]
    assert [(one["id"], one["kind"], one["status"]) for one in found] == [
        ("d6", "config", "done"),
        ("d3", "deploy", "failed"),
        ("d2", "migration", "done"),
        ("d1", "deploy", "done"),
    ]


async def test_changes_without_a_service_concern_all(table: dict[str, Any]) -> None:
    found = (await told(table, services=["BANK"]))["changes"]
    assert [one["id"] for one in found] == ["d6", "d2"]


async def test_one_change_by_its_id_and_a_limit(table: dict[str, Any]) -> None:
    assert [one["id"] for one in (await told(table, id="d2"))["changes"]] == ["d2"]
    found = await told(table, limit=1)
    assert [one["id"] for one in found["changes"]] == ["d6"]
    assert "3 earlier changes are not shown" in found["note"]
    assert "none of them of these services" in (await told(table, id="nosuch"))["note"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"since": "soon"}, "since='soon' is no time"),
        ({"since": "2026-02-18"}, "since must lie before until"),
        ({"since": "400d"}, "at most 92 days"),
    ],
)
async def test_times_that_are_none_are_refused(
    table: dict[str, Any], arguments: dict[str, str], reason: str
) -> None:
    result = await ask(table, **arguments)
    assert result.is_error and reason in result.content[0].text


async def test_tables_that_are_not_there(table: dict[str, Any], tmp_path: Path) -> None:
    gone = {**table["table"], "url": f"sqlite:///{tmp_path}/gone.db"}
    assert "there is no file" in (await ask({"table": gone})).content[0].text
    other = {**table["table"], "table": "nosuch"}
    assert "no such table" in (await ask({"table": other})).content[0].text
    assert not (tmp_path / "gone.db").exists()


@pytest.mark.parametrize(
    "options",
    [{}, {"path": "x", "table": {"url": "sqlite://", "table": "t", "columns": COLUMNS}},
     {"table": {"url": "sqlite://", "table": "t", "columns": {"time": "at"}}},
     {"table": {"url": "sqlite://", "table": "t; drop", "columns": COLUMNS}}],
)  # fmt: skip
def test_options_that_do_not_fit_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Options.model_validate(options)


async def test_webhook_bodies_of_files(tmp_path: Path) -> None:
    pending = json.loads(json.dumps(DEPLOYMENT))
    pending["deployment_status"] = {"state": "pending", "created_at": "2026-02-17T07:01:00Z"}
    inactive = json.loads(json.dumps(DEPLOYMENT))
    inactive["deployment_status"] = {"state": "inactive", "created_at": "2026-02-17T07:50:00Z"}
    bodies = [pending, DEPLOYMENT, inactive, PUSH, RELEASE, GITLAB, FLAG, {"zen": "x"}, [1], "…"]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, bodies)) + "\n{torn\n\n")
    found = await told({"path": str(tmp_path), "services": {"bank-prod": "bank"}})
    changes = {one["id"]: one for one in found["changes"]}
    assert list(changes) == [
        "gitlab-flag-6-on", "github-deployment-11", "gitlab-deployment-5", "push-cccccccccccc",
        "github-release-7",
    ]  # fmt: skip
    deployed = changes["github-deployment-11"]
    assert (deployed["service"], deployed["version"], deployed["previous_version"]) == (
        "bank",
        "v2.4.0",
        "v2.3.0",
    )
    assert deployed["at"] == "2026-02-17T07:05:00Z" and deployed["status"] == "done"
    pushed = changes["push-cccccccccccc"]
    assert (pushed["service"], pushed["kind"]) == ("shop", "config")
    assert "Lower the pool; Docs. Files: README.md, config/app.yaml" in pushed["diff"]
    assert changes["gitlab-deployment-5"]["service"] == "bank"
    assert changes["gitlab-flag-6-on"]["kind"] == "flag"
    assert "5 records are no changes" in found["note"]


async def test_webhook_bodies_in_a_column(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/inbox.db"
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE inbox (at TEXT, body TEXT)"))
        values = {"at": (NOW - timedelta(hours=1)).isoformat(), "body": json.dumps(DEPLOYMENT)}
        connection.execute(sa.text("INSERT INTO inbox VALUES (:at, :body)"), values)
    engine.dispose()
    options = {"url": url, "table": "inbox", "columns": {"time": "at", "payload": "body"}}
    assert [one["service"] for one in (await told({"table": options}))["changes"]] == ["bank"]


async def test_a_folder_without_records(tmp_path: Path) -> None:
    assert "holds no .jsonl file" in (await ask({"path": str(tmp_path)})).content[0].text
    assert "can't be read" in (await ask({"path": str(tmp_path / "gone.jsonl")})).content[0].text


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Revert v2", "rollback"),
        ("ALTER TABLE orders", "migration"),
        ("feature flag x on", "flag"),
        ("values.yaml", "config"),
        ("Release 5", "deploy"),
        ("flagship store", "other"),
        ("", "other"),
    ],
)
def test_what_kind_a_text_speaks_of(text: str, kind: str) -> None:
    assert kind_of(text) == kind


@pytest.mark.parametrize(
    "body",
    [
        None,
        {},
        {"repository": 3},
        {"object_kind": "deployment"},
        {"object_kind": []},
        github(deployment=None),
        github(release={"id": 1}),
        github(commits=3, after=1),
    ],
)
def test_bodies_of_no_known_form_are_no_change(body: Any) -> None:
    assert of_webhook(body, {}) is None


def test_a_row_without_an_id_gets_one_of_its_own() -> None:
    change = of_row({"time": NOW, "service": "shop", "summary": "v9 deployed"})
    assert change is not None
    assert (change.id, change.kind) == ("shop@2026-02-17T08:00:00+00:00", "deploy")


@pytest.mark.parametrize("kind", ["timestamptz", "timestamp", "bigint"])
async def test_changes_of_a_real_postgresql(postgres: sa.URL, kind: str) -> None:
    engine = sa.create_engine(postgres)
    ago = {hours: NOW - timedelta(hours=hours) for hours in (1, 30)}
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE IF EXISTS changes"))
        connection.execute(sa.text(f"CREATE TABLE changes (id text, at {kind}, app text)"))
        for hours, at in ago.items():
            value: Any = int(at.timestamp() * 1000) if kind == "bigint" else at
            if kind == "timestamp":
                value = at.replace(tzinfo=None)
            connection.execute(
                sa.text("INSERT INTO changes VALUES (:id, :at, 'shop')"), {"id": f"h{hours}", "at": value}
            )
    engine.dispose()
    url = postgres.render_as_string(hide_password=False)
    table = {"url": url, "table": "changes", "columns": {"id": "id", "time": "at", "service": "app"}}
    found = (await told({"table": table}))["changes"]
    assert [(one["id"], datetime.fromisoformat(one["at"])) for one in found] == [("h1", ago[1])]
