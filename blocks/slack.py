"""Slack's Web API, as far as the platform speaks to people there. One call, one attempt, bounded in time.

The SDK's asynchronous client needs aiohttp, which nothing else here does, so its plain one runs in threads.
It retries nothing by itself: who calls knows when, and `Limited` says how long to wait.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from blocks.messengers import Limited, Refused, Unreachable, wait
from blocks.secrets import secret

if TYPE_CHECKING:
    from slack_sdk import WebClient
    from slack_sdk.web import SlackResponse

API = "https://slack.com/api/"
SECONDS = 10.0
_FINAL = (
    "cant_update_message", "edit_window_closed", "invalid_blocks", "message_not_found", "msg_blocks_too_long",
    "msg_too_long", "no_text", "user_not_in_channel",
)  # fmt: skip
_FAULTS = ("fatal_error", "internal_error", "request_timeout", "service_unavailable", "team_added_to_org")
_silent = logging.getLogger(f"{__name__}.sdk")
_silent.setLevel(logging.CRITICAL)

Blocks = Sequence[Mapping[str, Any]]


class Slack:
    """A Slack app's bot.

    Args:
        token_env: name of the secret that holds its token. `SLACK_API_URL` may name another server.

    Raises:
        Limited: on any call, if Slack asks to come back later.
        Refused: on any call, if Slack says no, or the token is not set.
        Unreachable: on any call, if there is no usable answer in time.
    """

    def __init__(self, token_env: str) -> None:
        self._token_env = token_env

    async def post(self, channel: str, text: str, blocks: Blocks, thread: str = "") -> tuple[str, str]:
        """A new message, in a thread if one is named; its channel and timestamp, which identify it.

        Args:
            text: what notifications show.
        """
        given = {"channel": channel, "text": text, "blocks": blocks, **_in(thread)}
        answer = await self._call("chat.postMessage", {**given, "unfurl_links": False, "unfurl_media": False})
        return _text(answer, "channel"), _text(answer, "ts")

    async def update(self, channel: str, timestamp: str, text: str, blocks: Blocks) -> None:
        """Another content for a message of this bot."""
        await self._call("chat.update", {"channel": channel, "ts": timestamp, "text": text, "blocks": blocks})

    async def whisper(self, channel: str, user: str, text: str, thread: str = "") -> None:
        """A message that one user sees, until they leave the channel's view."""
        await self._call(
            "chat.postEphemeral", {"channel": channel, "user": user, "text": text, **_in(thread)}
        )

    async def open_view(self, trigger_id: str, view: Mapping[str, Any], seconds: float = 2.0) -> None:
        """A form, as the answer to a click; Slack takes it within three seconds of that."""
        await self._call("views.open", {"trigger_id": trigger_id, "view": view}, seconds)

    async def _call(
        self, method: str, given: Mapping[str, Any], seconds: float = SECONDS
    ) -> Mapping[str, Any]:
        token = secret(self._token_env)
        if not token:
            raise Refused(f"{self._token_env} is not set")
        work = asyncio.to_thread(_send, token, method, given, seconds)
        try:
            return await asyncio.wait_for(work, seconds)
        except TimeoutError as error:
            raise Unreachable(f"Slack did not answer {method} within {seconds:g} s") from error


def _send(token: str, method: str, given: Mapping[str, Any], seconds: float) -> Mapping[str, Any]:
    """One request; what it answers."""
    from slack_sdk.errors import SlackApiError, SlackClientError

    ask: Callable[..., SlackResponse] = _client(token, seconds).api_call
    try:
        answer = ask(method, json=dict(given)).data
    except SlackApiError as error:
        raise _explained(error.response, method) from None
    except (OSError, ValueError, SlackClientError) as error:
        raise Unreachable(f"Slack can't be reached for {method}: {type(error).__name__}") from None
    if not isinstance(answer, dict):
        raise Unreachable(f"Slack answered {method} with no JSON")
    return answer


def _client(token: str, seconds: float) -> WebClient:
    from slack_sdk import WebClient

    base = (secret("SLACK_API_URL") or API).rstrip("/") + "/"
    client = WebClient(
        token, base_url=base, timeout=max(1, round(seconds)), retry_handlers=[], logger=_silent
    )
    client.proxy = None  # urllib itself looks at the environment's proxies, and at no_proxy
    return client


def _explained(answer: SlackResponse, method: str) -> Exception:
    data = answer.data if isinstance(answer.data, dict) else {}
    code = str(data.get("error") or "no reason given")
    headers = {name.lower(): value for name, value in answer.headers.items()}
    if answer.status_code == 429 or code in ("ratelimited", "rate_limited"):
        return Limited(wait(headers.get("retry-after")))
    if answer.status_code >= 500 or code in _FAULTS or " " in code:
        return Unreachable(f"Slack failed at {method}, HTTP {answer.status_code}")
    return Refused(f"Slack refused {method}: {code}", final=code in _FINAL)


def _in(thread: str) -> dict[str, str]:
    return {"thread_ts": thread} if thread else {}


def _text(answer: Mapping[str, Any], name: str) -> str:
    value = answer.get(name)
    if not isinstance(value, str) or not value:
        raise Unreachable(f"Slack's answer lacks {name}")
    return value
