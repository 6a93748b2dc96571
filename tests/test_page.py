"""The detail page of an execution: complete, and nothing from data acts on who reads it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from sqlalchemy import Connection

from blocks.database import Database
from blocks.printable import printable
from tasks import journal, record
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
