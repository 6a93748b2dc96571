"""The language model: one turn at a time through the Anthropic SDK, its errors and its price."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_UP, Decimal
from typing import TYPE_CHECKING, Any, Literal

from blocks.secrets import secret
from blocks.units import MICRO

if TYPE_CHECKING:
    import httpx2
    from anthropic import AsyncAnthropic
    from anthropic.types import Message

Provider = Literal["offline", "anthropic"]

TIMEOUT_SECONDS = 60.0
SECONDS_PER_TOKEN = 0.02
"""An answer of many tokens may take that much longer each."""
RETRIES = 3
"""The SDK retries refused connections, 408, 409, 429 and 5xx, and honours Retry-After."""
_REMEDY = {
    401: "check ANTHROPIC_API_KEY",
    403: "check what ANTHROPIC_API_KEY allows",
    404: "check the model's id under models: and ANTHROPIC_BASE_URL",
    413: "lower limits.tool_result_bytes of the skill",
    429: "it is over its rate limit; try again later",
    529: "it is overloaded; try again later",
}


class ModelError(Exception):
    """The model could not be asked, or its API refused the request. The message is for people.

    Attributes:
        billed: whether the turn may have cost money all the same.
    """

    def __init__(self, message: str, billed: bool = False) -> None:
        self.billed = billed
        super().__init__(message)


class AnswerLost(ModelError):
    """The request was sent but its answer did not arrive. Asking again is right, and costs again."""

    def __init__(self, message: str) -> None:
        super().__init__(message, billed=True)


@dataclass(frozen=True)
class Usage:
    """Tokens of one turn, as the API counted them. `input_tokens` excludes the cached ones."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0

    @property
    def total(self) -> int:
        """All tokens together."""
        return self.input_tokens + self.output_tokens + self.cache_read_tokens + self.cache_write_tokens


@dataclass(frozen=True)
class Request:
    """One turn's request. `schema` is the JSON schema that a final answer must follow."""

    model: str
    max_tokens: int
    system: str
    tools: Sequence[dict[str, Any]]
    messages: Sequence[dict[str, Any]]
    schema: dict[str, Any]
    tools_allowed: bool = True


@dataclass(frozen=True)
class Turn:
    """One turn's answer: content blocks in the Messages API's form, why it stopped, and its tokens."""

    content: list[dict[str, Any]]
    stop_reason: str
    usage: Usage = field(default_factory=Usage)

    @property
    def text(self) -> str:
        """The text blocks, joined."""
        return "\n".join(block["text"] for block in self.content if block["type"] == "text")

    @property
    def tool_uses(self) -> list[dict[str, Any]]:
        """The tool_use blocks."""
        return [block for block in self.content if block["type"] == "tool_use"]


def choose_provider(setting: Literal["auto", "offline", "anthropic"]) -> Provider:
    """Which model answers. `auto` takes Anthropic when a key or a base URL is set.

    Raises:
        ModelError: `anthropic` is demanded and neither is set.
    """
    reachable = bool(secret("ANTHROPIC_API_KEY") or secret("ANTHROPIC_BASE_URL"))
    if setting == "anthropic" and not reachable:
        raise ModelError(
            "platform.provider is anthropic but neither ANTHROPIC_API_KEY nor ANTHROPIC_BASE_URL is set; "
            "set one, or write provider: auto to fall back to the offline model"
        )
    return "anthropic" if reachable and setting != "offline" else "offline"


def connect(transport: httpx2.AsyncBaseTransport | None = None) -> AsyncAnthropic:
    """A client of the Messages API; over `transport` instead of the network if one is given."""
    import anthropic
    import httpx2

    if transport is not None:
        return anthropic.AsyncAnthropic(
            api_key="offline",
            base_url="http://offline.invalid",
            http_client=httpx2.AsyncClient(transport=transport),
            max_retries=0,
            middleware=[_attempt],
        )
    key = secret("ANTHROPIC_API_KEY") or (None if os.environ.get("ANTHROPIC_AUTH_TOKEN") else "none")
    url = secret("ANTHROPIC_BASE_URL") or None
    return anthropic.AsyncAnthropic(api_key=key, base_url=url, max_retries=RETRIES, middleware=[_attempt])


async def take_turn(client: AsyncAnthropic, request: Request) -> Turn:
    """Asks the model for one turn.

    Raises:
        ModelError: the API could not be reached after the SDK's retries, or refused the request.
        AnswerLost: the request was sent but no answer came.
    """
    import anthropic

    try:
        return _turn(await client.messages.create(**_arguments(request)))
    except anthropic.APIStatusError as error:
        remedy = _REMEDY.get(error.status_code)
        raise ModelError(
            f"the model API answered {error.status_code} for {request.model}: {_reason(error)}"
            + (f"; {remedy}" if remedy else "")
        ) from error
    except anthropic.APIConnectionError as error:
        raise ModelError(
            f"the model API at {client.base_url} can't be reached: {error.__cause__ or error}; "
            "check the network and ANTHROPIC_BASE_URL"
        ) from error
    except (anthropic.AnthropicError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise ModelError(
            f"what {client.base_url} answered for {request.model} is not a message of the Messages API: "
            f"{str(error)[:200]}; check ANTHROPIC_BASE_URL",
            billed=True,
        ) from error


async def _attempt(request: Any, call_next: Callable[[Any], Awaitable[Any]]) -> Any:
    """One attempt inside the SDK's retries, which must not repeat what may have been paid for."""
    import anthropic
    import httpx2

    unsent = (
        httpx2.ConnectError,
        httpx2.ConnectTimeout,
        httpx2.PoolTimeout,
        httpx2.ProxyError,
        httpx2.LocalProtocolError,
        httpx2.UnsupportedProtocol,
    )
    try:
        return await call_next(request)
    except anthropic.APIConnectionError as error:
        cause = error.__cause__
        if isinstance(cause, ModelError):
            raise cause from None
        if not isinstance(cause, httpx2.TransportError) or isinstance(cause, unsent):
            raise
        what = "in time" if isinstance(cause, httpx2.TimeoutException) else f"in full: {cause}"
        raise AnswerLost(f"the model API at {error.request.url.host} did not answer {what}") from cause


def _arguments(request: Request) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "model": request.model,
        "max_tokens": request.max_tokens,
        "system": [{"type": "text", "text": request.system, "cache_control": {"type": "ephemeral"}}],
        "messages": _marked(request.messages),
        "output_config": {"format": {"type": "json_schema", "schema": request.schema}},
        "timeout": TIMEOUT_SECONDS + SECONDS_PER_TOKEN * request.max_tokens,
    }
    if request.tools:
        arguments["tools"] = list(request.tools)
        arguments["tool_choice"] = {"type": "auto" if request.tools_allowed else "none"}
    return arguments


def _marked(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The conversation, to be cached up to its end: the next turn sends all of it again."""
    *before, last = messages
    *blocks, end = last["content"]
    return [*before, {**last, "content": [*blocks, {**end, "cache_control": {"type": "ephemeral"}}]}]


def _reason(error: Any) -> str:
    body = error.body if isinstance(error.body, dict) else {}
    detail = body.get("error") if isinstance(body.get("error"), dict) else {}
    return str((detail or {}).get("message") or error.message)[:500]


def _turn(message: Message) -> Turn:
    usage = message.usage
    return Turn(
        content=[_block(block) for block in message.content],
        stop_reason=message.stop_reason or "end_turn",
        usage=Usage(
            input_tokens=int(usage.input_tokens),
            output_tokens=int(usage.output_tokens),
            cache_read_tokens=usage.cache_read_input_tokens or 0,
            cache_write_tokens=usage.cache_creation_input_tokens or 0,
        ),
    )


def _block(block: Any) -> dict[str, Any]:
    """A content block in the API's form.

    Raises:
        ValueError: it lacks what its type must have.
    """
    content: dict[str, Any] = block.model_dump(mode="json", exclude_none=True, warnings=False)
    wanted = {"text": ("text",), "tool_use": ("id", "name", "input")}.get(content["type"], ())
    missing = [name for name in wanted if name not in content]
    if missing:
        raise ValueError(f"a {content['type']} block has no {missing[0]}")
    return content


def price(model: str, usage: Usage) -> int:
    """What a turn costs at list price, in micro-dollars, rounded up.

    Raises:
        ModelError: the model has no known price.
    """
    import genai_prices

    tokens = genai_prices.Usage(
        input_tokens=usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
    )
    try:
        cost = genai_prices.calc_price(tokens, model_ref=model, provider_id="anthropic").total_price
    except LookupError as error:
        raise ModelError(f"no list price is known for model {model!r}; check its id under models:") from error
    return int((Decimal(cost) * MICRO).to_integral_value(ROUND_UP))
