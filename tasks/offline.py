"""The offline model: the Messages API's answers, given in this process by a domain's `offline.py`.

It is no language model. The SDK, the loop and the record are the same as with one; only the HTTP transport
differs, and it sees nothing but the request that would have been sent.
"""

from __future__ import annotations

import json
from typing import Any

import httpx2

from blocks.model import ModelError
from tasks.conversation import read
from tasks.domain import Answer, Ask, Decide


class OfflineTransport(httpx2.AsyncBaseTransport):
    """Answers `POST /v1/messages` with what a skill's `decide` says to the conversation so far."""

    def __init__(self, decide: Decide) -> None:
        self._decide = decide

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """One turn.

        Raises:
            ModelError: the skill's own code failed.
        """
        body = json.loads(await request.aread())
        known = read(body["messages"])
        try:
            step = self._decide(known)
        except Exception as error:
            raise ModelError(f"the offline model failed on this input: {error!r}") from error
        return httpx2.Response(200, json=_message(step, body["model"], len(known.results)))


def _message(step: Ask | Answer, model: str, calls_so_far: int) -> dict[str, Any]:
    content: list[dict[str, Any]] = []
    if step.thought:
        content.append({"type": "text", "text": step.thought})
    if isinstance(step, Ask):
        content += [
            {
                "type": "tool_use",
                "id": f"toolu_offline_{calls_so_far + place}",
                "name": call.name,
                "input": dict(call.arguments),
            }
            for place, call in enumerate(step.calls, start=1)
        ]
    else:
        content.append({"type": "text", "text": step.draft.model_dump_json()})
    return {
        "id": f"msg_offline_{calls_so_far}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": "tool_use" if isinstance(step, Ask) else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 0, "output_tokens": 0},
    }
