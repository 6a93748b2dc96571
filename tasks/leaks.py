"""Secrets in text: by the form of well-known keys, behind labels, in addresses, and the platform's own.

What a secret stands for is never kept, so nothing turns its mask back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

_KEYS = re.compile(
    r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----(?:[^-]|-(?!----END)){0,20000}(?:-----END [A-Z ]{0,40}KEY-----)?"
    r"|(?<![\w-])(?:"
    r"sk-(?:ant-|proj-|lf-)?[\w-]{16,}|[sr]k_(?:live|test)_\w{16,}|xox[a-z]-[\w-]{10,}|xapp-[\w-]{10,}"
    r"|(?:AKIA|ASIA)[A-Z\d]{16}|gh[opsur]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|AIza[\w-]{30,}"
    r"|aspora-[\w-]{43}|eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?"
    r")",
    re.ASCII,
)
_LABEL = (
    r"(?:pass(?:word|wd|phrase)?|pwd|secret|token"
    r"|api[_-]?key|access[_-]?key|private[_-]?key|client[_-]?secret)"
)
_VALUE = r"(?=[^\s\"'\\,;&<>]*\d|[^\s\"'\\,;&<>]{20})[^\s\"'\\,;&<>]{6,500}"
_LABELLED = re.compile(
    rf"((?<![a-z<]){_LABEL}\\?[\"']?\s{{0,3}}[=:]\s{{0,3}}\\?[\"']?|\b(?:bearer|basic)\s{{1,3}}(?=\S{{12}}))({_VALUE})",
    re.IGNORECASE,
)
_IN_ADDRESS = re.compile(r"(://[^\s:/@?#<>]{0,100}:)([^\s/<>]{1,200})(?=@)")
_HOLDERS = re.compile(
    rf"(?:(?!(?:next|prev\w*|page|cursor|continu\w*)[_-])\w+[_-])?(?:{_LABEL}|authorization|cookie|set[_-]cookie)",
    re.IGNORECASE,
)
_LEAST = 6


def is_secret(key: str, value: str) -> bool:
    """Whether a value under this key is a secret, whatever it looks like."""
    return len(value) >= _LEAST and bool(_HOLDERS.fullmatch(key))


def own(values: Iterable[str]) -> re.Pattern[str] | None:
    """What finds these very values, the longest first; None if there are none."""
    longest_first = sorted(set(values), key=lambda value: (-len(value), value))
    return re.compile("|".join(map(re.escape, longest_first))) if longest_first else None


def hide(text: str, known: re.Pattern[str] | None, mask: Callable[[str], str]) -> str:
    """The text with its secrets masked.

    Args:
        known: from `own`.
        mask: what stands instead of a secret.
    """
    if known:
        text = known.sub(lambda match: mask(match[0]), text)
    text = _KEYS.sub(lambda match: mask(match[0]), text)
    text = _IN_ADDRESS.sub(lambda match: match[1] + mask(match[2]), text)
    return _LABELLED.sub(lambda match: match[1] + mask(match[2]), text)
