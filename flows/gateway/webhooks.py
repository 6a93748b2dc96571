"""`/api/{domain}/{action}`: webhooks of anybody, as the trigger table says; and what became of a trigger."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import Response

from blocks.columns import plain
from blocks.config import Config, WebhookAuth
from blocks.secrets import secret
from flows.gateway import answers, body, door
from flows.gateway.refusal import Refusal, log
from tasks import inbox
from tasks.domain import Incoming

ROUTE = "/api/{domain}/{action}"
FOLLOW = "/api/triggers/{id}"
LONGEST_PART = 100
LONGEST_FIELD = 500
"""Characters of a value that triggers match; longer ones are only data."""
_KEY = re.compile(r"[!-~]{1,200}")

router = APIRouter(tags=["Webhooks"])


class WebhookBody(BaseModel):
    """The input of the domain's runs; its fields are the domain's own."""

    model_config = ConfigDict(extra="allow")


@router.get(
    FOLLOW,
    response_model=answers.Followed,
    response_description="The trigger as it stands now.",
    responses=answers.problems(400, 401, 404, 429, 503),
    openapi_extra={"security": [{"gatewayToken": []}, {"routeToken": []}]},
    summary="What became of a trigger",
)
async def follow(
    request: Request,
    id: Annotated[str, Path(description="The trigger's id or its run's.", examples=["trg-5f0c9a1be2d34e77"])],
) -> Response:
    """Its state, the reason for it, its run and how that ended. With the gateway's token, or, for a trigger
    that came in at an address with a token of its own, with that one.
    """
    desk = door.of(request)
    own = next((token for token in _tokens(desk.config) if door.bears(request, token)), desk.token)
    desk.admit_bearer(request, FOLLOW, own)
    trigger = await _row(desk, id)
    if own not in (desk.token, _own_token(desk.config, trigger)):
        desk.turn_away(request, FOLLOW, 401, door.BEARER)
    if trigger is None:
        raise Refusal(404, "there is no trigger of this id; ids are in the answers that took them")
    return answers.json(answers.followed(trigger))


@router.post(
    ROUTE,
    status_code=202,
    response_model=answers.Kept,
    response_description="It is stored. `Location` is where to follow it.",
    responses=answers.TAKING | answers.problems(404),
    openapi_extra=answers.body_of(
        "WebhookBody",
        {"stage": "lulu"},
        security=[{"gatewayToken": []}, {"routeToken": []}, {"routeHmac": []}],
    )
    | {
        "parameters": [
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": False,
                "schema": {"type": "string", "pattern": "^[!-~]{1,200}$"},
                "description": "The same key again, at the same address, is the same trigger.",
                "example": "case-4711",
            }
        ]
    },
    summary="Start a domain's run",
)
async def take_webhook(
    request: Request,
    domain: Annotated[str, Path(examples=["fincrime"])],
    action: Annotated[str, Path(examples=["analyze"])],
) -> Response:
    """The trigger table says which domain an address starts: `{source: webhook, match: {path:
    /api/fincrime/analyze}, domain: fincrime}`. The body must fit that domain's input.

    The sender proves itself with the gateway's bearer token, or as the trigger's `auth` says: a bearer token
    of its own, or an HMAC-SHA256 of the raw body in a header. Answered 202 once it is stored; ask
    `/api/triggers/{id}` what became of it.

    Without `Idempotency-Key` each request is a trigger of its own. An HMAC does not cover that header: there
    the same body is the same trigger, whatever the header says, so that a copied request starts nothing. Put
    an id or a time into the body.
    """
    desk = door.of(request)
    path = f"/api/{domain}/{action}"
    auth = _auth(desk.config, path)
    bucket = _bucket(desk.config, path)
    if auth and auth.hmac_env:
        key = _required(auth.hmac_env, path)
        sent = await body.raw(request, desk.config.gateway.max_body)
        told = f"the signature is missing or wrong; send the body's HMAC-SHA256 as {auth.header}"
        desk.admit(request, bucket, door.signed(body.header(request, auth.header), key, sent), told)
    else:
        token = _required(auth.bearer_env, path) if auth and auth.bearer_env else ""
        desk.admit_bearer(request, bucket, token)
        sent = await body.raw(request, desk.config.gateway.max_body)
    body.kind(request, "application/json")
    idempotency = _idempotency(request)
    value = body.json_object(sent)
    if max(len(domain), len(action)) > LONGEST_PART:
        raise Refusal(404, "no trigger of the config has so long an address")
    if auth and auth.hmac_env:
        idempotency = hashlib.sha256(sent).hexdigest()
    message = Incoming(
        source="webhook",
        dedupe_key=f"webhook:{path}:{idempotency or uuid.uuid4()}",
        fields={**_scalars(value), "path": path},
        data=value,
    )
    [trigger] = await desk.store([message])
    return _answer(trigger)


def _answer(trigger: inbox.Trigger | None) -> Response:
    kept = answers.kept(trigger)
    if kept.state in ("unmatched", "refused"):
        status = 404 if kept.state == "unmatched" else 422
        raise Refusal(status, kept.reason, id=kept.id, state=kept.state)
    return answers.json(kept, 202, {"Location": f"/api/triggers/{kept.id}"})


def _auth(config: Config, path: str) -> WebhookAuth | None:
    """How a caller of this address proves itself; None for the gateway's token.

    Raises:
        Refusal: the triggers of this address do not agree about it.
    """
    here = [each for each in config.triggers if each.source == "webhook" and each.match.get("path") == path]
    if any(each.auth != here[0].auth for each in here):
        log.error("%s: its triggers differ in auth, so nobody can call it; see `aspora check`", path)
        raise Refusal(503, "this address is not set up: its triggers differ in auth", {"Retry-After": "60"})
    return here[0].auth if here else None


def _bucket(config: Config, path: str) -> str:
    """Addresses of the trigger table have limits of their own, all others one together."""
    known = any(each.match.get("path") == path for each in config.triggers)
    return path if known else ROUTE


def _required(name: str, path: str) -> str:
    value = secret(name)
    if not value:
        log.error("%s: %s is not set, so nobody can call it", path, name)
        raise Refusal(
            503, "this address is not set up: its secret is missing on the server", {"Retry-After": "60"}
        )
    return value


def _tokens(config: Config) -> list[str]:
    """The bearer tokens of addresses that have one of their own."""
    names = [each.auth.bearer_env for each in config.triggers if each.auth and each.auth.bearer_env]
    return [token for token in map(secret, names) if token]


def _own_token(config: Config, trigger: inbox.Trigger | None) -> str:
    """The token of the address that a webhook's trigger came in at; empty for the gateway's."""
    if trigger is None or trigger.source != "webhook" or not isinstance(trigger.received, Mapping):
        return ""
    auth = _auth(config, str(trigger.received.get("fields", {}).get("path", "")))
    return secret(auth.bearer_env) if auth and auth.bearer_env else ""


def _idempotency(request: Request) -> str:
    key = body.header(request, "idempotency-key")
    if key and not _KEY.fullmatch(key):
        raise Refusal(400, "the Idempotency-Key must be 1 to 200 visible ASCII characters without spaces")
    return key


def _scalars(value: Mapping[str, Any]) -> dict[str, str]:
    """The body's texts, numbers and truth values at the top, as text."""
    found = {
        name: str(item).lower() if isinstance(item, bool) else str(item)
        for name, item in value.items()
        if isinstance(item, str | int | float)
    }
    return {name: item for name, item in found.items() if len(item) <= LONGEST_FIELD}


async def _row(desk: door.Door, id: str) -> inbox.Trigger | None:
    try:
        return await desk.platform.database.read(lambda conn: inbox.get(conn, plain(id)))
    except inbox.UnknownTrigger:
        return None
