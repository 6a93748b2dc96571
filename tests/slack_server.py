"""A small Slack on the loopback: checks bearer tokens, keeps channels with threads, and can misbehave."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn

TOKEN = "xoxb-test"


@dataclass
class Post:
    """A message as it stands in a channel."""

    channel: str
    ts: str
    thread: str
    text: str
    blocks: list[dict[str, Any]]
    edits: int = 0

    @property
    def words(self) -> str:
        """All that people read of it."""
        return "\n".join(part["text"]["text"] for part in self.blocks if part["type"] == "section")

    @property
    def buttons(self) -> dict[str, str]:
        """Action id → value."""
        rows = (part["elements"] for part in self.blocks if part["type"] == "actions")
        return {each["action_id"]: each["value"] for row in rows for each in row}


Answer = tuple[int, dict[str, str], bytes]


@dataclass
class SlackServer:
    """What was sent to it. `misbehave` may answer a call instead of it: status, headers, body."""

    url: str = ""
    tokens: set[str] = field(default_factory=lambda: {TOKEN})
    posts: list[Post] = field(default_factory=list)
    whispers: list[dict[str, Any]] = field(default_factory=list)
    views: list[dict[str, Any]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    """What a real Slack would have refused."""
    delay: float = 0.0
    misbehave: Callable[[str, dict[str, Any]], Answer | None] = lambda method, given: None

    def thread(self, ts: str) -> list[Post]:
        """A message and its answers, in order."""
        return [post for post in self.posts if ts in (post.ts, post.thread)]

    def answer(self, path: str, authorization: str, body: bytes) -> Answer:
        """What Slack says to a call."""
        method = path.rsplit("/", 1)[-1]
        self.calls.append(method)
        given = json.loads(body)
        if (said := self.misbehave(method, given)) is not None:
            return said
        if authorization.removeprefix("Bearer ") not in self.tokens:
            return _json({"ok": False, "error": "invalid_auth"})
        self.faults += _faults(given)
        handler = {
            "chat.postMessage": self._post,
            "chat.update": self._update,
            "chat.postEphemeral": self._whisper,
            "views.open": self._open,
        }.get(method)
        return _json(handler(given) if handler else {"ok": False, "error": "unknown_method"})

    def _post(self, given: dict[str, Any]) -> dict[str, Any]:
        ts = f"17000000{len(self.posts):02}.{next(_numbers):06}"
        post = Post(given["channel"], ts, given.get("thread_ts", ""), given["text"], given["blocks"])
        if post.thread and all(each.ts != post.thread for each in self.posts) and "." not in post.thread:
            return {"ok": False, "error": "thread_not_found"}
        self.posts.append(post)
        return {"ok": True, "channel": post.channel, "ts": ts}

    def _update(self, given: dict[str, Any]) -> dict[str, Any]:
        for post in self.posts:
            if (post.channel, post.ts) == (given["channel"], given["ts"]):
                post.text, post.blocks, post.edits = given["text"], given["blocks"], post.edits + 1
                return {"ok": True, "channel": post.channel, "ts": post.ts}
        return {"ok": False, "error": "message_not_found"}

    def _whisper(self, given: dict[str, Any]) -> dict[str, Any]:
        self.whispers.append(given)
        return {"ok": True, "message_ts": "1700000000.000001"}

    def _open(self, given: dict[str, Any]) -> dict[str, Any]:
        if not given.get("trigger_id"):
            return {"ok": False, "error": "invalid_trigger_id"}
        self.views.append(given["view"])
        return {"ok": True, "view": {"id": "V1"}}


def limited(seconds: int) -> Answer:
    """Slack's 429."""
    return 429, {"retry-after": str(seconds)}, b'{"ok": false, "error": "ratelimited"}'


def refusing(error: str) -> Answer:
    """A no under HTTP 200, as Slack says it."""
    return _json({"ok": False, "error": error})


def clicking(post: Post, action: str, user: str, trigger_id: str = "T1") -> dict[str, Any]:
    """What Slack sends when a user presses a button of a message."""
    return {
        "type": "block_actions",
        "user": {"id": user},
        "channel": {"id": post.channel},
        "container": {"channel_id": post.channel, "message_ts": post.ts},
        "message": {"ts": post.ts, "thread_ts": post.thread or post.ts},
        "trigger_id": trigger_id,
        "actions": [{"action_id": action, "value": post.buttons[action], "type": "button"}],
    }


def submitting(view: dict[str, Any], user: str, reason: str) -> dict[str, Any]:
    """What Slack sends when a user submits the form that asks for a reason."""
    values = {"reason": {"reason": {"type": "plain_text_input", "value": reason}}}
    return {"type": "view_submission", "user": {"id": user}, "view": {**view, "state": {"values": values}}}


@contextmanager
def serving() -> Iterator[SlackServer]:
    """The server for the time of a test."""
    slack = SlackServer()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        await asyncio.sleep(slack.delay)
        status, extra, said = slack.answer(scope["path"], headers.get("authorization", ""), body)
        fields = [(b"content-type", b"application/json")]
        fields += [(name.encode(), value.encode()) for name, value in extra.items()]
        await send({"type": "http.response.start", "status": status, "headers": fields})
        await send({"type": "http.response.body", "body": said})

    with listening(app) as url:
        slack.url = f"{url}/api/"
        yield slack


@contextmanager
def listening(app: Any) -> Iterator[str]:
    """An ASGI app on a free port of the loopback; its address."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    ready = threading.Event()
    while not server.started and thread.is_alive():
        ready.wait(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)


_numbers = itertools.count(1)


def _json(data: dict[str, Any]) -> Answer:
    return 200, {}, json.dumps(data).encode()


def _faults(given: dict[str, Any]) -> list[str]:
    """Limits of Slack that a message breaks."""
    blocks = given.get("blocks") or given.get("view", {}).get("blocks") or []
    texts = [part["text"]["text"] for part in blocks if part["type"] == "section"]
    faults = ["more than 50 blocks"] if len(blocks) > 50 else []
    faults += ["a section of more than 3000 characters" for text in texts if len(text) > 3000]
    faults += ["an empty section" for text in texts if not text]
    faults += ["a long text"] if len(given.get("text", "")) > 4000 else []
    return faults
