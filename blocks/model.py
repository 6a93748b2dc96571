"""The language model: one turn at a time through the Anthropic SDK, its errors and its price."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import ROUND_UP, Decimal
from typing import TYPE_CHECKING, Any, Literal

from blocks.units import MICRO

if TYPE_CHECKING:
    import httpx2
    from anthropic import AsyncAnthropic

Provider = Literal["offline", "anthropic"]

TIMEOUT_SECONDS = 120.0
RETRIES = 3
"""The SDK retries connection errors, 408, 409, 429 and 5xx, and honours Retry-After."""


class ModelError(Exception):
    """The model could not be asked, or its API refused the request. The message is for people.

    Attributes:
        billed: whether the turn may have cost money all the same.
    """

    def __init__(self, message: str, billed: bool = False) -> None:
        self.billed = billed
        super().__init__(message)


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
    reachable = bool(os.environ.get("ANTHROPIC_API_KEY") or os.environ.get("ANTHROPIC_BASE_URL"))
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
        )
    return anthropic.AsyncAnthropic(
        api_key=os.environ.get("ANTHROPIC_API_KEY") or "none", max_retries=RETRIES, timeout=TIMEOUT_SECONDS
    )


async def take_turn(client: AsyncAnthropic, request: Request) -> Turn:
    """Asks the model for one turn.

    Raises:
        ModelError: the API could not be reached after the SDK's retries, or refused the request.
    """
    import anthropic

    try:
        answer = await client.messages.create(**_arguments(request))
    except anthropic.APIStatusError as error:
        raise ModelError(
            f"the model API answered {error.status_code} for {request.model}: {_reason(error)}"
        ) from error
    except anthropic.APITimeoutError as error:
        raise ModelError(f"the model API did not answer for {request.model} in time", True) from error
    except anthropic.APIConnectionError as error:
        raise ModelError(f"the model API at {client.base_url} can't be reached: {error}") from error
    except (anthropic.APIResponseValidationError, ValueError) as error:
        message = f"the model API's answer for {request.model} is not a message: {error}"
        raise ModelError(message, billed=True) from error
    return _turn(answer)


def _arguments(request: Request) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "model": request.model,
        "max_tokens": request.max_tokens,
        "system": [{"type": "text", "text": request.system, "cache_control": {"type": "ephemeral"}}],
        "messages": list(request.messages),
        "output_config": {"format": {"type": "json_schema", "schema": request.schema}},
    }
    if request.tools:
        arguments["tools"] = list(request.tools)
        arguments["tool_choice"] = {"type": "auto" if request.tools_allowed else "none"}
    return arguments


def _reason(error: Any) -> str:
    body = error.body if isinstance(error.body, dict) else {}
    detail = body.get("error") if isinstance(body.get("error"), dict) else {}
    return str((detail or {}).get("message") or error.message)[:500]


def _turn(message: Any) -> Turn:
    content = getattr(message, "content", None)
    if not isinstance(content, list):
        raise ModelError("the model API's answer is not a message; check ANTHROPIC_BASE_URL", billed=True)
    usage = message.usage
    return Turn(
        content=[block.model_dump(mode="json", exclude_none=True) for block in content],
        stop_reason=message.stop_reason or "end_turn",
        usage=Usage(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cache_read_input_tokens or 0,
            cache_write_tokens=usage.cache_creation_input_tokens or 0,
        ),
    )


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
