"""What a person wrote in Slack, as they saw it: Slack's marks and escapes undone."""

from __future__ import annotations

import re
from collections.abc import Mapping

_MARK = re.compile(r"<([^<>]*)>")
_SCHEME = re.compile(r"^(mailto:|tel:|https?://)")


def readable(text: str, bot: str, users: Mapping[str, str]) -> str:
    """The text without the bot's mention; people by name where the config knows them.

    Args:
        bot: the bot's user id.
        users: Slack user id → name.
    """

    def undone(mark: re.Match[str]) -> str:
        target, _, label = mark[1].partition("|")
        if target.startswith("@"):
            return "" if target[1:] == bot else f"@{users.get(target[1:]) or label or target[1:]}"
        if target.startswith("#"):
            return f"#{label or target[1:]}"
        if target.startswith("!"):
            return label or f"@{target[1:].partition('^')[0]}"
        return _link(target, label)

    said = _MARK.sub(undone, text)
    said = said.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    return "\n".join(" ".join(line.split(" ")).strip() for line in said.strip().splitlines())


def _link(target: str, label: str) -> str:
    bare = _SCHEME.sub("", target)
    if label and label not in (target, bare):
        return f"{label} ({target})"
    return target if "://" in target else bare
