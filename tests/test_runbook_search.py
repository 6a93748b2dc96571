"""Runbook search: any author's pages, other people's words, log templates, and abstention."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from mcp import Client

from blocks.config import Config
from mcp_servers.evaluate import EvaluationError, evaluate_runbooks
from mcp_servers.library import Library, LibraryError
from mcp_servers.page import parse
from mcp_servers.runbooks import Options, build

PAGES = {
    "25-lulu-api-issues.md": """\
# Lulu API issues

## Symptoms
The exchange house throttles us: its agreed budget is 20 calls a second.

## Diagnosis
Look at the dispatcher's speed.

## Mitigation
Lower the concurrency of the dispatcher to 5.

### If that doesn't help
Ask the partner desk for a temporary allowance.
""",
    "tls/expired.md": """\
---
title: "Partner endpoint certificate ran out"
weight: 3
---
The chain of the counterparty's host is past its validity date, so handshakes fail.

Remediation
-----------
Install the renewed chain, restart the connector.
""",
    "contract.md": """\
# Partner changed its message contract

## What happened?
The provider renamed a field of its answer or changed its type; our parser refuses it.

## What to do
Pin the old version, map the new field.
""",
    "lag.markdown": """\
# Dispatch consumers fall behind

Consumers of the payout topic handle fewer messages than are produced; the lag grows.

## Steps to take
Add consumers, move the poison message to the dead letter topic.
""",
    "hold.md": """\
# Orders held in masses

## Overview
A new watchlist matches common names, so screening puts many remittances on manual review.

## Recovery
Call the compliance officer, roll the list back.
""",
    "cutoff.md": """\
# Missed bank cut-off

## Meaning
Files that come after the bank's closing hour settle on the following business day.

## Action
Tell treasury, move the batch to the next window.
""",
    "README.md": "# How to write a runbook\nAbout rate limits and certificates.",
    "_index.md": "# Index\nRate limits.",
    "empty.md": "",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "runbooks"
    for name, text in PAGES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture
def client(folder: Path) -> Client:
    return Client(build(Options(path=str(folder)), Config(models={}, domains={}), folder))


@pytest.mark.parametrize(
    ("query", "page"),
    [
        ("ERROR lulu-gateway HTTP 429 Too Many Requests retry-after <*>", "25-lulu-api-issues.md"),
        ("request rate limit exceeded at provider, backing off <*> ms", "25-lulu-api-issues.md"),
        ("SSLHandshakeException: PKIX path validation failed: certificate expired on <*>", "expired.md"),
        ("x509: cert has expired or is not yet valid", "expired.md"),
        ("ERROR Unrecognized field <*> (class PayoutResponse), not marked as ignorable", "contract.md"),
        ("schema validation failed: required property missing", "contract.md"),
        ("WARN consumer group payout-dispatch backlog <*> above threshold", "lag.markdown"),
        ("order <*> placed on AML hold, awaiting analyst", "hold.md"),
        ("submission rejected: outside clearing window, next value date <*>", "cutoff.md"),
    ],
)
def test_a_log_template_finds_the_page_in_other_words(folder: Path, query: str, page: str) -> None:
    best = Library(folder).search(query)[0]
    assert best.page.name == page
    assert best.score > 0.2


@pytest.mark.parametrize(
    "query",
    [
        "best pizza in town",
        "lorem ipsum dolor sit amet",
        "GPU temperature too high",
        "INFO cache warmed <*> entries",
    ],
)
def test_what_no_page_is_about_scores_low(folder: Path, query: str) -> None:
    assert all(found.score <= 0.3 for found in Library(folder).search(query))


def test_cause_and_fix_are_found_under_any_heading(folder: Path) -> None:
    pages = {page.name: page for page in Library(folder).pages()}
    lulu = pages["25-lulu-api-issues.md"]
    assert "20 calls a second" in lulu.cause
    assert "concurrency" in lulu.fix
    assert "temporary allowance" in lulu.fix
    assert "speed" not in lulu.fix
    assert pages["expired.md"].title == "Partner endpoint certificate ran out"
    assert pages["expired.md"].cause.startswith("The chain")
    assert pages["expired.md"].fix.startswith("Install")
    assert pages["contract.md"].cause.startswith("The provider renamed")
    assert pages["contract.md"].fix.startswith("Pin")
    assert pages["lag.markdown"].fix.startswith("Add consumers")


def test_a_page_without_known_headings_gives_its_first_paragraph_and_last_section() -> None:
    page = parse(
        "07-odd_page.md",
        "It broke.\n\nMore.\n\n# Alpha\na\n\n```\n# Fix in a code block\n```\n# Omega\nTurn it off.",
    )
    assert (page.title, page.cause, page.fix) == ("Alpha", "It broke.", "Turn it off.")
    assert parse("07-odd_page.md", "only text").title == "odd page"
    assert parse("x.md", "only text").fix == ""


def test_only_runbooks_inside_the_folder_are_read(folder: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.md"
    secret.write_text("# Secret rate limit\nkeep out")
    (folder / "link.md").symlink_to(secret)
    library = Library(folder)
    assert {page.name for page in library.pages()} == {
        name.split("/")[-1] for name in PAGES if name not in {"README.md", "_index.md", "empty.md"}
    }
    assert library.skipped == ["link.md: a link out of the folder"]


def test_pages_that_share_a_file_name_keep_their_folder(folder: Path) -> None:
    (folder / "other").mkdir()
    (folder / "other" / "hold.md").write_text("# Another hold\nText.")
    names = {page.name for page in Library(folder).pages()}
    assert {"hold.md", "other/hold.md"} <= names


def test_bytes_that_are_no_utf8_and_huge_pages_are_read(folder: Path) -> None:
    (folder / "latin.md").write_bytes("# Fermé\nGuichet de la banque fermé.".encode("cp1252"))
    (folder / "huge.md").write_bytes(b"# Zeppelin landing\n" + b"word " * 400_000)
    library = Library(folder)
    assert library.page("latin").title == "Fermé"
    assert len(library.page("huge.md").text) < 300_000


def test_a_changed_folder_is_read_again(folder: Path) -> None:
    library = Library(folder)
    assert all(found.score <= 0.3 for found in library.search("zeppelin mooring"))
    path = folder / "zeppelin.md"
    path.write_text("# Zeppelin mooring\nTie it.")
    assert library.search("zeppelin mooring")[0].page.name == "zeppelin.md"
    path.write_text("# Balloon mooring\nTie it up.")
    os.utime(path, (1, 1))
    assert library.page("zeppelin.md").title == "Balloon mooring"
    path.unlink()
    with pytest.raises(LibraryError):
        library.page("zeppelin.md")


async def test_the_tool_answers_with_cause_fix_and_score(client: Client) -> None:
    async with client:
        result = await client.call_tool(
            "search_runbooks", {"query": "HTTP 429 Too Many Requests", "limit": 2}
        )
    assert not result.is_error
    content = result.structured_content
    assert content is not None
    best = content["hits"][0]
    assert best["runbook"] == "25-lulu-api-issues.md"
    assert best["title"] == "Lulu API issues"
    assert best["section"] == "Symptoms"
    assert best["excerpt"] == ""
    assert "throttles" in best["cause"]
    assert "concurrency" in best["fix"]
    assert 0.3 < best["score"] <= 1
    assert content["note"] == ""


async def test_the_tool_says_that_nothing_is_about_it(client: Client) -> None:
    async with client:
        result = await client.call_tool("search_runbooks", {"query": "qwertz"})
        weak = await client.call_tool("search_runbooks", {"query": "GPU temperature on the following day"})
    assert result.structured_content == {
        "hits": [],
        "note": "none of the 6 runbooks shares a word with the query, or a word that means the same",
    }
    assert weak.structured_content is not None
    assert weak.structured_content["note"].startswith("probably none of the 6 runbooks is about this")


async def test_tools_are_read_only_and_refuse_bad_arguments(client: Client) -> None:
    async with client:
        tools = (await client.list_tools()).tools
        empty = await client.call_tool("search_runbooks", {"query": " "})
        many = await client.call_tool("search_runbooks", {"query": "x", "limit": 500})
    assert {tool.name for tool in tools} == {"search_runbooks", "read_runbook"}
    assert all(tool.annotations and tool.annotations.read_only_hint for tool in tools)
    assert empty.is_error and "describe what is seen" in str(empty.content)
    assert many.is_error and "from 1 to 20" in str(many.content)


@pytest.mark.parametrize("name", ["../secret.md", "/etc/passwd", "tls/../../secret.md", "secret.md", ""])
async def test_a_page_outside_the_folder_is_refused(client: Client, tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.md").write_text("keep out")
    async with client:
        result = await client.call_tool("read_runbook", {"name": name})
    assert result.is_error
    assert "no runbook is named" in str(result.content)
    assert "keep out" not in str(result.content)


async def test_a_whole_page_is_read_by_name(client: Client) -> None:
    async with client:
        result = await client.call_tool("read_runbook", {"name": "25-lulu-api-issues"})
    assert result.structured_content is not None
    assert result.structured_content["text"].startswith("# Lulu API issues")
    assert "temporary allowance" in result.structured_content["text"]


async def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    server = build(Options(path="nowhere"), Config(models={}, domains={}), tmp_path)
    async with Client(server) as client:
        result = await client.call_tool("search_runbooks", {"query": "disk"})
    assert result.is_error
    assert "nowhere does not exist" in str(result.content)


def _queries(folder: Path, queries: object) -> Path:
    path = folder.parent / "queries.json"
    path.write_text(json.dumps(queries))
    return path


def test_evaluation_counts_the_right_pages(folder: Path) -> None:
    queries = [
        {"query": "HTTP 429 Too Many Requests", "gold": "25-lulu-api-issues"},
        {"query": "x509 certificate expired", "gold": "expired"},
        {"query": "certificate expired at the bank", "gold": "cutoff"},
        {"query": "qwertz", "gold": "hold"},
    ]
    found = evaluate_runbooks(folder, _queries(folder, queries))
    assert (found["n"], found["metrics"]) == (4, {"top1": 0.5, "top5": 0.75})


@pytest.mark.parametrize(
    ("queries", "complaint"),
    [
        ([], "the list is empty"),
        ({"query": "x"}, "expected"),
        ([{"query": "x"}], "0.gold"),
        ([{"query": "x", "gold": "nowhere"}], "no page for 1 gold names: nowhere"),
    ],
)
def test_evaluation_says_what_is_wrong_with_its_input(folder: Path, queries: object, complaint: str) -> None:
    with pytest.raises(EvaluationError, match=complaint):
        evaluate_runbooks(folder, _queries(folder, queries))


def test_evaluation_needs_its_files(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="No such file"):
        evaluate_runbooks(folder, tmp_path / "missing.json")
    with pytest.raises(EvaluationError, match="does not exist"):
        evaluate_runbooks(tmp_path / "missing", _queries(folder, [{"query": "x", "gold": "y"}]))
