"""How context and tool results are written to a model, and read back by the offline one.

Untrusted text enters a conversation only here, as JSON inside a tool result; it is never part of a prompt.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tasks.compact import Compact
from tasks.domain import Known, ToolResult

CONTEXT = "The task's context, measured by the platform, as JSON:\n"
LAST_TURN = (
    "A limit is reached: no further tool calls. Give your best answer now in the required form, "
    "with only the evidence that you have."
)
MISSING = "These tools can't be reached now; answer with what you find without them: "


def user(text: str) -> dict[str, Any]:
    """A user message of one text block."""
    return {"role": "user", "content": [{"type": "text", "text": text}]}


def context_message(context: Mapping[str, Any], missing: Sequence[str] = ()) -> dict[str, Any]:
    """The conversation's first message: the context, and which tools are missing this time."""
    message = user(CONTEXT + json.dumps(context, default=str, ensure_ascii=False))
    if missing:
        message["content"] += user(MISSING + ", ".join(missing))["content"]
    return message


def result_block(use_id: str, result: ToolResult, compact: Compact) -> dict[str, Any]:
    """A tool result as the model sees it: numbered, so that evidence can name it."""
    packed = compact.pack(result.content, result.number)
    envelope = {"call": result.number, "tool": result.name, "status": result.status, "result": packed}
    return {
        "type": "tool_result",
        "tool_use_id": use_id,
        "content": json.dumps(envelope, default=str, ensure_ascii=False, separators=(",", ":")),
        "is_error": result.status == "error",
    }


def read(messages: Sequence[Mapping[str, Any]]) -> Known:
    """The context and the tool results that a conversation shows."""
    blocks = [block for message in messages for block in message["content"]]
    asked = {block["id"]: block["input"] for block in blocks if block["type"] == "tool_use"}
    compact = Compact()
    results = [
        _result(json.loads(block["content"]), asked[block["tool_use_id"]], compact)
        for block in blocks
        if block["type"] == "tool_result"
    ]
    context = json.loads(blocks[0]["text"].removeprefix(CONTEXT))
    return Known(context, tuple(results))


def _result(envelope: Mapping[str, Any], arguments: Mapping[str, Any], compact: Compact) -> ToolResult:
    content = compact.unpack(envelope["result"], envelope["call"])
    return ToolResult(envelope["call"], envelope["tool"], arguments, envelope["status"], content)


def cut_call() -> dict[str, Any]:
    """Asks to go on after a turn that was cut off inside a tool call."""
    return user(
        "Your turn was cut off at the token limit before its tool calls were complete; none was made. "
        "Call again with shorter arguments and less text, or answer."
    )


def invalid_answer(reason: str, truncated: bool) -> dict[str, Any]:
    """Asks once more for an answer in the required form."""
    advice = "It was cut off at the token limit: answer more briefly. " if truncated else ""
    return user(f"That is no valid answer. {advice}Answer again in the required JSON form only. {reason}")
