"""Bodies of requests: read up to a limit, and understood strictly."""

from __future__ import annotations

import asyncio
import json
from typing import Any, NoReturn, TypeVar
from urllib.parse import parse_qs

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request

from blocks.columns import plain
from flows.gateway.refusal import Refusal

M = TypeVar("M", bound=BaseModel)

SECONDS = 20.0
"""How long a body may take to arrive."""
DEPTH = 32
"""How many objects and lists may stand in each other."""
FORM_FIELDS = 100


def header(request: Request, name: str) -> str:
    """A header's value, empty if it is absent; Refusal if it was sent twice."""
    values = request.headers.getlist(name)
    if len(values) > 1:
        raise Refusal(400, f"the header {name} was sent {len(values)} times; send it once")
    return values[0] if values else ""


async def raw(request: Request, most: int) -> bytes:
    """The body as it came.

    Raises:
        Refusal: it has more than `most` bytes, is compressed, or does not arrive.
    """
    if header(request, "content-encoding").lower() not in ("", "identity"):
        raise Refusal(415, "the body is compressed; send it as it is, without Content-Encoding")
    too_large = Refusal(413, f"the body has more than {most:,} bytes; send less at a time")
    told = header(request, "content-length")
    if told.isdigit() and len(told) < 20 and int(told) > most:
        raise too_large
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(SECONDS):
            async for part in request.stream():
                size += len(part)
                if size > most:
                    raise too_large
                parts.append(part)
    except TimeoutError:
        raise Refusal(408, f"the body did not arrive within {SECONDS:g} s; send it again") from None
    except ClientDisconnect:
        raise Refusal(400, "the connection ended before the body did; send it again") from None
    return b"".join(parts)


def kind(request: Request, *allowed: str) -> None:
    """Refusal unless the body is of one of these media types."""
    given = header(request, "content-type").partition(";")[0].strip().lower()
    if given not in allowed:
        shown = f"it is {given[:100]}" if given else "it has none"
        raise Refusal(415, f"the Content-Type must be {allowed[0]}; {plain(shown)}")


def json_object(body: bytes) -> dict[str, Any]:
    """A JSON object whose text every database accepts.

    Raises:
        Refusal: it is no UTF-8, no JSON, no object, or nested too deeply.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refusal(
            400, f"the body is no UTF-8 text from byte {error.start} on; send JSON in UTF-8"
        ) from None
    try:
        value = json.loads(text, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise Refusal(400, f"the body is no JSON: {error.msg} at {place}") from None
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:
        raise Refusal(400, f"the body is no JSON: {str(error)[:200]}") from None
    if not isinstance(value, dict):
        raise Refusal(400, "the body is no JSON object; send one, such as {}")
    found: dict[str, Any] = value
    if _unclean(body) or body.count(b"{") + body.count(b"[") > DEPTH:
        found = _clean(value, DEPTH)
    return found


def fields(body: bytes) -> dict[str, str]:
    """The fields of a form; Refusal if it is none."""
    try:
        found = parse_qs(
            body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=FORM_FIELDS
        )
    except (UnicodeError, ValueError):
        raise Refusal(400, "the body is no form; send application/x-www-form-urlencoded in UTF-8") from None
    return {plain(name): plain(values[-1]) for name, values in found.items()}


def fitting(model: type[M], value: Any) -> M:
    """The value as `model`; Refusal with a reason for each field that does not fit."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        reasons = [
            {"field": ".".join(map(str, each["loc"])), "reason": each["msg"].removeprefix("Value error, ")}
            for each in error.errors(include_url=False, include_context=False, include_input=False)[:20]
        ]
    first = reasons[0]
    said = f"the body does not fit: {first['field']}: {first['reason']}"
    more = f", and {len(reasons) - 1} more" if len(reasons) > 1 else ""
    raise Refusal(422, plain(said + more), fields=_clean(reasons, DEPTH))


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def _too_deep() -> Refusal:
    return Refusal(400, f"the body is nested too deeply; {DEPTH} levels are read at most")


def _unclean(body: bytes) -> bool:
    """Whether its text may hold NUL or a lone surrogate: raw bytes can't, escapes can."""
    return b"\\u0000" in body or b"\\ud" in body or b"\\uD" in body


def _clean(value: Any, levels: int) -> Any:
    if isinstance(value, str):
        return plain(value)
    if not isinstance(value, dict | list):
        return value
    if levels == 0:
        raise _too_deep()
    if isinstance(value, list):
        return [_clean(item, levels - 1) for item in value]
    return {plain(key): _clean(item, levels - 1) for key, item in value.items()}
