"""The detail page of an execution: complete, and nothing from data acts on who reads it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from sqlalchemy import Connection

from blocks.database import Database
from blocks.printable import printable
from tasks import corrections, journal, record, spend
from tasks.domain import ToolResult
from tasks.execution import summarise
from tasks.page import escape, page
from tests.record_world import began, new_database, new_postgres, step  # noqa: F401

HOSTILE = (
    "![x](https://evil.test/p.png) [click](javascript:x) <img src=x> `code` # h\n\n- | a | **b** "
    "<https://evil.test> www.evil.test \\[y](z) \x1b[2J\u202etxt"
)


def test_what_data_says_is_shown_and_not_obeyed(database: Database) -> None:
    """The same page with tame data has the same structure."""
    pages = {}
    for name, text in (("tame", "lulu\n\nlulu"), ("hostile", HOSTILE)):
        pages[name] = database.write_now(lambda conn, text=text, name=name: _page(conn, name, text))
    assert "\x1b" not in pages["hostile"]
    assert "\u202e" not in pages["hostile"]
    assert pages["hostile"].count("evil.test") >= 6
    assert _structure(pages["hostile"]) == _structure(pages["tame"])


def _page(conn: Connection, run_id: str, text: str) -> str:
    row = began(conn, run_id=run_id, input_data={"stuck_at": text})
    journal.append(conn, step(row.execution_id, 1, summary=text, input={"query": text}))
    output = {
        "root_cause": text,
        "evidence": [{"tool_call": 1, "source": "logs", "finding": text}],
        "ruled_out": [{"cause": text, "reason": text}],
        "patterns": [{"stuck_at": text, "count": 1}],
        "findings": [text],
        "picture": [text],
        "segments": [{"value": text, "count": 1}],
        "backtests": [{f"field_{n}": text for n in range(20)}],
    }
    record.finish(conn, row.execution_id, "success", output=output, error=text, trace=text)
    corrections.add(conn, row.execution_id, {"actual_root_cause": text}, by=text[:100], via="cli")
    return page(conn, row.execution_id)


def _structure(text: str) -> list[str]:
    """The kinds of what the page consists of, in order, without plain text."""
    kinds = []
    for token in MarkdownIt("gfm-like", {"linkify": False}).parse(text):
        kinds += [
            token.type,
            *(child.type for child in token.children or [] if child.type not in ("text", "text_special")),
        ]
    return kinds


def test_a_correction_with_all_that_was_said(database: Database) -> None:
    """NONE until somebody says otherwise, and again once that was taken back."""

    def work(conn: Connection) -> tuple[str, str, str]:
        id_ = began(conn).execution_id
        record.finish(conn, id_, "success")
        clean = page(conn, id_)
        said = {"actual_root_cause": "a timeout"}
        corrections.add(conn, id_, said, by="ann", via="slack", verified=True)
        corrections.confirm(conn, id_, by="bob", via="cli")
        corrected = page(conn, id_)
        corrections.withdraw(conn, id_, by="ann", via="slack", verified=True)
        return clean, corrected, page(conn, id_)

    clean, corrected, back = database.write_now(work)
    assert "**User correction:** NONE ✅\n" in clean
    assert "**User correction:** actual\\_root\\_cause: a timeout\n" in corrected
    assert "**Outcome:** success, corrected by a user" in corrected
    assert "ann (slack, verified): actual" in corrected
    assert "bob (cli, a typed name) confirmed statement" in corrected
    assert "**User correction:** NONE ✅\n" in back
    assert "ann (slack, verified) took back statement" in back
    assert "ann (slack, verified): actual" in back


def test_what_is_read_as_prose_is_not_cut_short(database: Database) -> None:
    words = " ".join(f"word{number}" for number in range(300))

    def work(conn: Connection) -> str:
        id_ = began(conn).execution_id
        evidence = [{"tool_call": 1, "source": "logs", "finding": words}]
        record.finish(conn, id_, "success", output={"root_cause": words, "evidence": evidence}, trace=words)
        corrections.add(conn, id_, {"actual_root_cause": words}, by="ann", via="cli")
        return page(conn, id_)

    assert database.write_now(work).count(words) == 5


def test_records_stand_one_under_the_other_where_a_table_would_be_too_wide(database: Database) -> None:
    def work(conn: Connection) -> tuple[str, str]:
        id_ = began(conn).execution_id
        patterns = [
            {"stuck_at": stage, "count": 90, "headline": f"{stage} is slow"} for stage in ("lulu", "kyc")
        ]
        record.finish(conn, id_, "success", output={"patterns": patterns})
        return page(conn, id_), page(conn, id_, 2)

    wide, narrow = database.write_now(work)
    assert wide.count("| --- | --- | --- |") == 1
    assert "| --- |" not in narrow
    for stage in ("lulu", "kyc"):
        record_of_it = narrow.partition(f"**stuck\\_at: {stage}**")[2].partition("**")[0]
        assert "- count: 90" in record_of_it
        assert f"- headline: {stage} is slow" in record_of_it


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ({"stages": [{"stage": "lulu"}], "orders": [], "open_orders": 884}, "1 stages"),
        ({"hits": [], "note": "no runbook fits"}, "0 hits; no runbook fits"),
        ({"hits": [{"runbook": "25-lulu.md"}, {"runbook": "7.md"}]}, "2 hits, first 25-lulu.md"),
        ({"incidents": [{"id": 123, "similarity": 0.8}]}, "1 incidents, first #123 (80% similar)"),
        ({"services": [{"errors": 100}, {"errors": 27}]}, "2 services, 127 errors"),
        ({"services": [{"errors": ["x"]}, "y"]}, "2 services"),
        ({"value": 3, "note": "n" * 130}, "value 3; " + "n" * 120 + "…"),
    ],
)
def test_what_a_tool_call_found_in_a_line(content: dict[str, object], line: str) -> None:
    assert summarise(ToolResult(1, "tool", {}, "ok", content)) == line


def test_cost_by_tokens_and_time_by_tools_and_model(database: Database) -> None:
    """The parts of the cost are the whole."""

    def work(conn: Connection) -> str:
        id_ = began(conn).execution_id
        asked = {"domain": "ecm", "execution_id": id_, "budgets": spend.Budgets()}
        paid = spend.reserve(conn, sequence=1, micro=120_000, **asked)
        tokens = {"input": 10_000, "output": 2_000, "cache_read": 100_000, "cache_write": 0}
        turn = {"kind": "model", "name": "claude-sonnet-4.6", "call": None, "seconds": 1.5}
        journal.append(conn, step(id_, 1, **turn, tokens=tokens, cost_micro=90_000), paid)
        journal.append(conn, step(id_, 2, call=1, seconds=0.5))
        record.finish(conn, id_, "success", latency_seconds=2.2)
        return page(conn, id_)

    shown = database.write_now(work)
    assert "**Cost:** $0.09\n\n- 10,000 tokens in: $0.03\n- 2,000 tokens out: $0.03" in shown
    assert "- 100,000 tokens from cache: $0.03" in shown
    assert "**Latency:** 2.20 s\n\n- tools: 0.50 s (25%)\n- model: 1.50 s (75%)" in shown


def test_a_bare_address_makes_no_link() -> None:
    """Some readers make links of addresses without any markup."""
    assert escape("www.evil.test http://evil.test") == "www\u200b.evil.test http:\u200b//evil.test"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb", "a b"),
        ("- a", r"\- a"),
        ("1. a", r"1\. a"),
        ("=== a", r"\=== a"),
        ("[a](b)", r"\[a\]\(b\)"),
        ("http://x", "http:\u200b//x"),
        ("x" * 500, "x" * 400 + "…"),
        ("a\x07b\x9bc", "a�b�c"),
    ],
)
def test_escaping(text: str, shown: str) -> None:
    assert escape(text) == shown


@given(st.text())
def test_printable_text_moves_no_cursor(text: str) -> None:
    """Nothing that a terminal obeys is left, and what it shows stays."""
    shown = printable(text)
    assert len(shown) == len(text)
    assert not any(sign < " " and sign not in "\n\t" for sign in shown)
    assert all(new == old or new == "�" for new, old in zip(shown, text, strict=True))
    shown.encode()
