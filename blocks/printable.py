"""Text of unknown origin, made safe to print: on a terminal it moves no cursor and hides nothing."""

from __future__ import annotations

import unicodedata

_KEPT = "\n\t"
_UNSEEN = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
"""Unicode categories: control and format signs (among them those that turn the reading direction),
surrogates, private use, line and paragraph separators."""


def printable(text: str) -> str:
    """The text with a `�` for each sign that a terminal would obey and not show; newlines and tabs stay."""
    if text.isprintable():
        return text
    return "".join(
        sign if sign in _KEPT or unicodedata.category(sign) not in _UNSEEN else "�" for sign in text
    )
