"""Which log records a question means: by service, words and level."""

from __future__ import annotations

import re
from collections.abc import Callable

from mcp_servers.log_lines import LEVELS, Record

_COMMON = frozenset(
    {"service", "svc", "api", "gateway", "worker", "server", "app", "partner", "payment", "the"}
)
"""Words that occur in so many services' names that they alone tell none."""

_WORD = re.compile(r'"([^"]+)"|(\S+)')


def words(name: str) -> list[str]:
    """`LuluGateway`, `lulu-gateway` and `lulu_gateway` as `lulu`, `gateway`."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return re.findall(r"[^\W_]+", parted.lower())


class ServiceName:
    """A service as somebody calls it. Case, dashes and underscores don't matter."""

    def __init__(self, name: str) -> None:
        self._asked = words(name) or [name.lower()]
        self._rare = [word for word in self._asked if len(word) > 2 and word not in _COMMON]
        self._kinds: dict[tuple[str, str], tuple[bool, bool]] = {}
        self._mention = _mention([self._asked])
        self._rare_mention = _mention([[word] for word in self._rare])

    def means(self, record: Record) -> bool:
        """Whether the record's service has all words of the name, or its message mentions the name."""
        return self._kind(record)[0] or self._mention.search(record.message) is not None

    def may_mean(self, record: Record) -> bool:
        """Whether service or message have one of the name's words that isn't as common as `gateway`."""
        return self._kind(record)[1] or self._rare_mention.search(record.message) is not None

    def _kind(self, record: Record) -> tuple[bool, bool]:
        key = (record.service, record.source)
        if key not in self._kinds:
            known = [words(record.service), words(record.source)]
            self._kinds[key] = (
                any(map(self._whole, known)),
                any(set(self._rare) & set(parts) for parts in known),
            )
        return self._kinds[key]

    def _whole(self, parts: list[str]) -> bool:
        joined = "".join(self._asked)
        return set(self._asked) <= set(parts) or (len(joined) > 3 and joined in "".join(parts))


def _mention(phrases: list[list[str]]) -> re.Pattern[str]:
    texts = (r"[-_ .]?".join(re.escape(word) for word in phrase) for phrase in phrases)
    return re.compile(rf"(?<![^\W_])(?:{'|'.join(texts) or '(?!)'})(?!\d)", re.IGNORECASE)


def match_words(query: str, every: bool) -> Callable[[Record], bool]:
    """A filter for records that contain every word of a query, or any; `"some words"` stay together."""
    asked = [(phrase or word).lower() for phrase, word in _WORD.findall(query)]
    combine = all if every else any

    def match(record: Record) -> bool:
        text = f"{record.service} {record.message}".lower()
        return combine(word in text for word in asked)

    return match


def match_level(level: str) -> Callable[[Record], bool]:
    """A filter for records of a level or a more severe one."""
    severe = frozenset(LEVELS[LEVELS.index(level) :])
    return lambda record: record.level in severe
