"""What people see of a run in each place that shows it, and what would act on them there."""

from __future__ import annotations

import io
import re
import unicodedata
from collections.abc import Iterator
from typing import Any

from markdown_it import MarkdownIt
from rich.console import Console
from sqlalchemy import Connection

from blocks.config import Config
from flows import form
from flows.cli import pictures
from tasks import approvals, record, telling
from tasks.markup import SLACK, WHATSAPP, Markup
from tasks.page import page

_MARKDOWN = MarkdownIt("gfm-like", {"linkify": False})
_ACTIVE = {"link_open", "image", "html_inline", "html_block", "fence"}
_ADDRESS = re.compile(r"://(?!\u200b)|\bwww\.(?!\u200b)", re.IGNORECASE)
_MENTION = re.compile(r"@\w|\b(?:mailto|tel):(?!\u200b)")
_ENTITY = re.compile(r"&(?:amp|lt|gt);")


def in_markdown(conn: Connection, settings: Config, run: dict[str, Any]) -> Iterator[str]:
    """Prefect's artifacts and the text above the approval's form."""
    for execution in record.of_run(conn, run["run_id"]):
        yield page(conn, execution.execution_id)
    for asked in approvals.of_run(conn, run["run_id"]):
        yield form.text(settings, asked, [], "")


def in_chats(conn: Connection, settings: Config, run: dict[str, Any], markup: Markup) -> Iterator[str]:
    """The messages of a run in Slack or WhatsApp."""
    told = [telling.report(markup, run)]
    told += [telling.proposal(markup, settings, each, []) for each in approvals.of_run(conn, run["run_id"])]
    for paragraphs in told:
        body = markup.body(paragraphs)
        yield "\n".join([body["text"], *(block["text"]["text"] for block in body.get("blocks", []))])


def on_terminal(run: dict[str, Any]) -> str:
    """What `aspora run` prints; colours are left out, so any escape comes from data."""
    out, file = pictures.console, io.StringIO()
    screen = Console(file=file, force_terminal=False, width=160, highlight=False)
    pictures.console = lambda: screen  # type: ignore[assignment]
    try:
        pictures.show_report(run)
    finally:
        pictures.console = out
    return file.getvalue()


def faults(conn: Connection, settings: Config, run: dict[str, Any]) -> list[str]:
    """All that is not mere words."""
    found = [f"markdown: {kind}" for text in in_markdown(conn, settings, run) for kind in _active(text)]
    found += [
        f"slack: {what}" for text in in_chats(conn, settings, run, SLACK) for what in _commands(text, True)
    ]
    found += [
        f"whatsapp: {what}" for text in in_chats(conn, settings, run, WHATSAPP) for what in _commands(text)
    ]
    return found + [f"terminal: {name}" for name in _obeyed(on_terminal(run))]


def _active(text: str) -> Iterator[str]:
    for token in _MARKDOWN.parse(text):
        for each in (token, *(token.children or [])):
            if each.type in _ACTIVE:
                yield f"{each.type} {each.content[:80]!r}"
    yield from _ADDRESS.findall(text)
    yield from _obeyed(text)


def _commands(text: str, slack: bool = False) -> Iterator[str]:
    bare = _ENTITY.sub("§", text) if slack else text
    yield from _ADDRESS.findall(bare)
    yield from _MENTION.findall(bare)
    yield from ("bracket or entity" for _ in re.findall(r"[<>&]", bare) if slack)
    yield from _obeyed(bare.replace("\u200b", ""))


def _obeyed(text: str) -> Iterator[str]:
    """Signs that move a cursor, turn text round, or hide something."""
    kinds = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
    for sign in set(text) - {"\n", "\u200b"}:
        if unicodedata.category(sign) in kinds:
            yield f"U+{ord(sign):04X}"
