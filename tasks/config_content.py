"""What the config says, as plain data that may be kept and shown: as written, without secrets, bounded.

Secrets belong into the environment, not into the config. Where one stands in it all the same, `***` takes
its place: passwords in addresses, values under keys or behind options that are named like secrets, the
environment of MCP servers, and what looks like a well-known kind of key.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from blocks.config import Config
from blocks.units import format_dollars

LONGEST = 300
"""Characters of one value."""
HIDDEN = "***"

_NAMED = r"pass|pwd|secret|token|api[_-]?key|private[_-]?key|credential|authorization|signature"
_KEY = re.compile(rf"(?:{_NAMED})(?!.*_env$)", re.IGNORECASE)
_OPTION = re.compile(rf"-{{1,2}}[\w-]*(?:{_NAMED}|key|auth)[\w-]*", re.IGNORECASE)
_ASSIGNED = re.compile(
    rf"((?:^|[;,\s\"'{{-])[\w-]*(?:{_NAMED})[\w-]*\"?\s*[=:]\s*)(?![=:])\S[^;\s]*", re.IGNORECASE
)
_QUERY = re.compile(rf"([?&][\w-]*(?:{_NAMED}|key|sig|auth)[\w-]*=)[^&\s]+", re.IGNORECASE)
_USER = re.compile(r"(://)\S*@")
_SCHEME = re.compile(r"\b(bearer|basic)\s+\S+", re.IGNORECASE)
_KNOWN = re.compile(
    r"\bsk-[\w-]{8,}|\bxox[a-z]-[\w-]+|\bxapp-[\w-]+|\bgh[a-z]_\w{16,}|\bgithub_pat_\w+|\bglpat-[\w-]+"
    r"|\bAKIA\w{12,}|\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?|-----BEGIN.*",
    re.DOTALL,
)
_BUDGETS = ("budget", "run_budget")


def content(config: Config) -> dict[str, Any]:
    """What the config's file says; what it leaves to defaults is left out."""
    written: dict[str, Any] = _safe(config.model_dump(mode="json", exclude_unset=True), "")
    return written


def digest(written: dict[str, Any]) -> str:
    """The same for the same content, however it is laid out."""
    return hashlib.sha256(json.dumps(written, sort_keys=True).encode()).hexdigest()


def hide(text: str) -> str:
    """The text without what looks like a secret."""
    for pattern, instead in (
        (_USER, rf"\1{HIDDEN}@"),
        (_QUERY, rf"\1{HIDDEN}"),
        (_ASSIGNED, rf"\1{HIDDEN}"),
        (_SCHEME, rf"\1 {HIDDEN}"),
        (_KNOWN, HIDDEN),
    ):
        if pattern.search(text):
            text = pattern.sub(instead, text)
    return text


def short(text: str) -> str:
    """The text, or its beginning and a mark by which another text is told apart."""
    if len(text) <= LONGEST:
        return text
    mark = hashlib.sha256(text.encode(errors="replace")).hexdigest()[:8]
    return f"{text[:LONGEST]}… ({len(text):,} characters, {mark})"


def _safe(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return {key: HIDDEN if name == "env" else _safe(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return _arguments([_safe(item, name) for item in value])
    if isinstance(value, str):
        return HIDDEN if _KEY.search(name) else short(hide(value))
    if name in _BUDGETS and isinstance(value, int):
        return f"{format_dollars(value)}/day" if name == "budget" else format_dollars(value)
    return value


def _arguments(items: list[Any]) -> list[Any]:
    """The list without what follows an option that is named like a secret."""
    before = ["", *items]
    return [
        HIDDEN if isinstance(each, str) and _OPTION.fullmatch(str(option)) else each
        for option, each in zip(before, items, strict=False)
    ]
