"""How text is written for Slack and for WhatsApp, so that what data says can't command either.

Data becomes one line of plain words: personal data masked, no links, mentions, pictures or formatting.
Signs that would format are replaced by ones that look alike.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from blocks.home import home
from blocks.printable import printable
from tasks.masking import Masker

LONGEST_DATA = 400
"""Characters of one piece of data."""
LONGEST_SECTION = 3000
"""Characters of a section in Slack."""
MOST_BLOCKS = 45
"""Sections in one Slack message, of the 50 blocks it may have."""
LONGEST_FALLBACK = 1000

Paragraph = Sequence[str]
"""Lines that stand together, each written with a `Markup`."""

_BEFORE_MASKING = 30
"""A mask is shorter than what it masks, by no more than this factor: only so much text is looked at."""
_ALIKE = str.maketrans({"*": "∗", "~": "∼", "`": "ˋ", "|": "ǀ"})
_UNDERSCORE = re.compile(r"(?<![^\W_])_|_(?![^\W_])")
_COMMAND = re.compile(
    r":(?=//)|\bwww(?=\.)|(?i:\bmailto|\btel)(?=:)|@(?=\S)|(?<=\S)@|:(?=[\w+'-]*[^\W\d_][\w+'-]*:)"
)
"""Where a link, a mention or an emoji begins."""
_ENTITY_CUT = re.compile(r"&[a-z]{0,3}$")


class Markup(Protocol):
    """One channel's way to write."""

    def data(self, text: Any, longest: int = LONGEST_DATA) -> str:
        """Text of unknown origin, as plain words on one line."""

    def bold(self, text: str) -> str:
        """Our own words, strong."""

    def code(self, text: str) -> str:
        """Our own words to be typed, such as a command."""

    def link(self, url: str, label: str) -> str:
        """A link to an address of our own."""

    def body(self, paragraphs: Sequence[Paragraph], buttons: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
        """The whole message as the channel takes it; of one that is too long, the beginning and the end."""


class SlackMarkup:
    """Slack's mrkdwn, in Block Kit."""

    def data(self, text: Any, longest: int = LONGEST_DATA) -> str:
        return plain(text, longest).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

    def bold(self, text: str) -> str:
        return f"*{text}*"

    def code(self, text: str) -> str:
        return f"`{text}`"

    def link(self, url: str, label: str) -> str:
        return f"<{url}|{label}>"

    def body(self, paragraphs: Sequence[Paragraph], buttons: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
        texts = [text for paragraph in paragraphs for text in _packed(paragraph)]
        left = len(texts) - MOST_BLOCKS
        if left > 0:
            texts = [*texts[: MOST_BLOCKS - 2], f"… {left + 1} more parts; the record has all", texts[-1]]
        blocks: list[dict[str, Any]] = [
            {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}} for text in texts
        ]
        if buttons:
            blocks.append({"type": "actions", "elements": list(buttons)})
        first = next((text for text in texts), "")
        return {"text": cut(first, LONGEST_FALLBACK), "blocks": blocks}


class WhatsappMarkup:
    """WhatsApp's own signs, in one text."""

    longest = 4096

    def data(self, text: Any, longest: int = LONGEST_DATA) -> str:
        return plain(text, longest)

    def bold(self, text: str) -> str:
        return f"*{text}*"

    def code(self, text: str) -> str:
        return f"`{text}`"

    def link(self, url: str, label: str) -> str:
        return f"{label}: {url}"

    def body(self, paragraphs: Sequence[Paragraph], buttons: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
        texts = ["\n".join(paragraph) for paragraph in paragraphs if paragraph]
        whole = "\n\n".join(texts)
        if len(whole) <= self.longest or len(texts) < 2:
            return {"text": cut(whole, self.longest)}
        end = cut(texts[-1], self.longest // 2)
        return {"text": cut("\n\n".join(texts[:-1]), self.longest - len(end) - 2) + "\n\n" + end}


SLACK, WHATSAPP = SlackMarkup(), WhatsappMarkup()


def plain(text: Any, longest: int = LONGEST_DATA) -> str:
    """Text of unknown origin: masked, on one line, cut, and with no sign that a messenger obeys."""
    near = str(text)[: _BEFORE_MASKING * longest]
    one_line = " ".join(printable(_masker(home()).text(near)).split())
    short = one_line if len(one_line) <= longest else one_line[: longest - 1] + "…"
    alike = _UNDERSCORE.sub("＿", short.translate(_ALIKE))
    return _COMMAND.sub("\\g<0>\u200b", alike)


def cut(text: str, longest: int) -> str:
    """The text, shortened with a mark; no half of an escaped sign stays."""
    if len(text) <= longest:
        return text
    return _ENTITY_CUT.sub("", text[: longest - 1]) + "…"


def _packed(paragraph: Paragraph) -> list[str]:
    """The lines in as few sections as hold them."""
    sections: list[str] = []
    for line in (cut(line, LONGEST_SECTION) for line in paragraph if line):
        if sections and len(sections[-1]) + 1 + len(line) <= LONGEST_SECTION:
            sections[-1] += "\n" + line
        else:
            sections.append(line)
    return sections


@cache
def _masker(of: Path) -> Masker:
    """The masker of this state directory."""
    return Masker.of_home()
