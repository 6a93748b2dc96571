"""A local server that speaks the Messages API for ECM's skills, and holds the diagnosis until told."""

from __future__ import annotations

import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_TOOL = {
    "patterns": ("query_stuck_orders", {}),
    "root_cause": ("get_similar_incidents", {"query": "orders stuck"}),
    "fixes": ("query_stuck_orders", {"stage": "lulu"}),
}
_ANSWER = {
    "patterns": {"patterns": [], "summary": "Orders are stuck."},
    "root_cause": {
        "root_cause": None,
        "evidence": [],
        "recommended_fix": None,
        "fix_action": None,
        "runbook": None,
        "confidence": "low",
        "ruled_out": [],
    },
    "fixes": {
        "fixes": [{"action": "retry_orders", "scope": "critical", "reason": "They are stuck."}],
        "summary": "Send the orders again.",
    },
}


class HeldModel:
    """Each skill calls one tool, then answers; the diagnosis answers once `release` is set.

    Attributes:
        asked: how often each turn was asked for, by (skill, number of the turn).
        holding: set once a diagnosis is held.
    """

    def __init__(self) -> None:
        self.asked: Counter[tuple[str, int]] = Counter()
        self.holding = threading.Event()
        self.release = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """For ANTHROPIC_BASE_URL."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """Ends the server."""
        self.release.set()
        self._server.shutdown()
        self._server.server_close()

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """One turn."""
        properties = request["output_config"]["format"]["schema"]["properties"]
        skill = next(name for name in _TOOL if name in properties)
        turn = 1 + sum(message["role"] == "assistant" for message in request["messages"])
        self.asked[skill, turn] += 1
        if turn == 1:
            name, arguments = _TOOL[skill]
            return _message(
                [{"type": "tool_use", "id": "tu_1", "name": name, "input": arguments}], "tool_use"
            )
        if skill == "root_cause":
            self.holding.set()
            self.release.wait(120)
        return _message([{"type": "text", "text": json.dumps(_ANSWER[skill])}], "end_turn")

    def _handler(model: HeldModel) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                body = json.dumps(model.answer(request)).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler


def _message(content: list[dict[str, Any]], stop_reason: str) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-4-5",
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": {"input_tokens": 100, "output_tokens": 20},
    }
