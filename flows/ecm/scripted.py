"""A scripted stand-in for a language model: it speaks the Messages API on a local address, turn by turn.

It is no language model and never passes for one. It exists so that the evaluation runs the path that a real
model takes: requests over HTTP, thinking and free text beside tool calls, several calls in a turn, calls that
fail, an answer in the wrong form, then JSON. Its order of work differs from `offline.py`.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any

from pydantic import BaseModel

from flows.ecm import offline
from flows.ecm.analysis import Case, first_queries, further_queries, symptoms
from flows.ecm.conclusion import conclude
from tasks.conversation import read
from tasks.domain import Answer, Known

CHARACTERS_PER_TOKEN = 4
FORGETS_A_FIELD = 5
"""Every so often, by the number of stuck orders, the first answer to a diagnosis is in the wrong form."""

Block = dict[str, Any]
Script = Callable[[Known, int], list[Block]]

_numbers = count(1)


@contextmanager
def serving() -> Iterator[str]:
    """Serves the stand-in on a free local port for the block; yields its base URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answers one turn."""
        request = self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps(respond(json.loads(request))).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Keeps quiet."""


def respond(request: Mapping[str, Any]) -> dict[str, Any]:
    """The message that answers a Messages API request."""
    messages = request["messages"]
    turns = sum(message["role"] == "assistant" for message in messages)
    properties = request["output_config"]["format"]["schema"]["properties"]
    script = next(script for field, script in _SCRIPTS.items() if field in properties)
    content = script(read(messages), turns)
    uses = any(block["type"] == "tool_use" for block in content)
    return {
        "id": f"msg_scripted_{next(_numbers)}",
        "type": "message",
        "role": "assistant",
        "model": request["model"],
        "content": content,
        "stop_reason": "tool_use" if uses else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": _tokens(request), "output_tokens": _tokens(content)},
    }


def _triage(known: Known, turns: int) -> list[Block]:
    """Thinks aloud, reads the orders, and reports in a fenced block."""
    step = offline.triage(known)
    if not isinstance(step, Answer):
        arguments = {**step.calls[0].arguments, "critical_only": False}
        return [_thinking("The counting is the tool's work."), _use("query_stuck_orders", arguments)]
    return [
        _text("Here is the picture, most urgent first."),
        _text(f"```json\n{step.draft.model_dump_json()}\n```"),
    ]


def _diagnose(known: Known, turns: int) -> list[Block]:
    """Memory and runbooks by the symptom first, then all logs, then the stage's, then the runbooks again."""
    case = Case(known)
    if turns < len(_DIAGNOSIS):
        return _DIAGNOSIS[turns](case)
    answer = conclude(case)
    if turns == len(_DIAGNOSIS) and int(known.context["count"]) % FORGETS_A_FIELD == 0:
        return [_text(answer.model_dump_json(exclude={"confidence"}))]
    return [_thinking("Weighing what speaks against it."), _text("My diagnosis follows."), _json(answer)]


def _by_symptom(case: Case) -> list[Block]:
    return [
        _thinking(f"Orders wait at {case.stage}. Start from what the company knows already."),
        _text("I look at the symptom in runbooks and memory, and at what all services logged as errors."),
        _use(
            "search_runbooks",
            {"query": f"payments pile up at {case.stage} and are not processed", "limit": 3},
        ),
        _use("get_similar_incidents", {"query": f"{case.stage} orders late", "limit": 3}),
        _use("query_application_logs", {"level": "WARN", **_window(case, 36), "limit": 30}),
    ]


def _by_stage(case: Case) -> list[Block]:
    return [
        _text(f"Now the log of {case.stage} itself, long and short. Is there a page with everything on it?"),
        _use("query_application_logs", {"service": case.stage, **_window(case, 28), "limit": 25}),
        _use("query_application_logs", {"service": case.stage, **_window(case, 6), "limit": 15}),
        _use("read_every_page", {"folder": "runbooks"}),
    ]


def _by_signal(case: Case) -> list[Block]:
    asked = [*reversed(first_queries(case)[:4])]
    blocks = [_text("Do the runbooks know these messages?")]
    blocks += [_use("search_runbooks", {"query": query}) for query in asked]
    if symptoms(case):
        blocks.append(_use("get_similar_incidents", {"query": symptoms(case), "stage": case.stage}))
    if case.onset:
        around = {
            "since": (case.onset - timedelta(hours=2)).isoformat(),
            "until": (case.onset + timedelta(minutes=20)).isoformat(),
        }
        arguments = {"query": case.stage.replace("_", "-"), **around, "baseline_hours": 8, "limit": 50}
        blocks.append(_use("query_application_logs", arguments))
    return blocks


def _by_hint(case: Case) -> list[Block]:
    asked = further_queries(case) or [f"{case.stage} backlog of waiting orders"]
    return [
        _thinking("Something changed, or it happened before: what would that mean?"),
        *(_use("search_runbooks", {"query": query, "limit": 4}) for query in asked),
    ]


_DIAGNOSIS = (_by_symptom, _by_stage, _by_signal, _by_hint)


def _resolve(known: Known, turns: int) -> list[Block]:
    """Looks at what is stuck, and proposes."""
    step = offline.resolve(known)
    if isinstance(step, Answer):
        return [_text("Proposal for the approver:"), _json(step.draft)]
    return [_text("What is stuck now?"), *(_use(call.name, dict(call.arguments)) for call in step.calls)]


_SCRIPTS: dict[str, Script] = {"patterns": _triage, "root_cause": _diagnose, "fixes": _resolve}
"""By a field that only this skill's answer has."""


def _window(case: Case, hours: int) -> dict[str, Any]:
    """The hours before the moment that the context names, and a stage's SLA more."""
    until = datetime.fromisoformat(str(case.known.context["as_of"]))
    since = until - timedelta(hours=hours + (float(case.known.context["sla_hours"]) if hours > 24 else 0))
    return {"since": since.isoformat(), "until": until.isoformat(), "baseline_hours": 72}


def _thinking(text: str) -> Block:
    return {"type": "thinking", "thinking": text, "signature": "scripted"}


def _text(text: str) -> Block:
    return {"type": "text", "text": text}


def _json(draft: BaseModel) -> Block:
    return _text(draft.model_dump_json(indent=1))


def _use(name: str, arguments: Mapping[str, Any]) -> Block:
    return {
        "type": "tool_use",
        "id": f"toolu_scripted_{next(_numbers)}",
        "name": name,
        "input": dict(arguments),
    }


def _tokens(part: Any) -> int:
    return len(json.dumps(part, default=str)) // CHARACTERS_PER_TOKEN
