"""The ASGI application: its routes, its OpenAPI document, and what happens at start and stop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from importlib import metadata
from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from blocks import secrets
from blocks.database import DatabaseError
from flows.gateway import alerts, health, metrics, refusal, slack, webhooks, whatsapp
from flows.gateway.door import Door
from flows.gateway.page import page
from tasks.platform import Platform

DESCRIPTION = """
The door of Aspora. What comes in here is verified, stored, and then acknowledged; the trigger table of
`aspora.config.yaml` says which domain's run it starts. The same message again is recognised, and starts
nothing twice.

Errors are JSON: `{"error": "what is wrong and what to do"}`. 429 means a flood, and 503 that nothing could be
stored: wait as long as `Retry-After` says and send it again. A body may have 1 MB (`gateway.max_body`), in
UTF-8, uncompressed. The config is read when the gateway starts; restart it to use a changed one.
"""
BODIES = (
    alerts.AlertmanagerMessage, slack.SlackEvent, slack.SlackInteraction, slack.SlackCommand,
    whatsapp.WhatsappMessage, webhooks.WebhookBody,
)  # fmt: skip
PROOFS = {
    "gatewayToken": {
        "type": "http",
        "scheme": "bearer",
        "description": "The gateway's bearer token: `ASPORA_GATEWAY_TOKEN`, or what the state directory's "
        "`gateway-token` holds.",
    },
    "routeToken": {
        "type": "http",
        "scheme": "bearer",
        "description": "The address's own bearer token, as `auth.bearer_env` of its trigger names it.",
    },
    "routeHmac": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Signature-256",
        "description": "`sha256=` and the hex HMAC-SHA256 of the raw body, by the key and in the header that "
        "`auth` of its trigger names.",
    },
    "slackSignature": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Slack-Signature",
        "description": "Slack's `X-Slack-Signature` and `X-Slack-Request-Timestamp`, by the bot's secret.",
    },
    "metaSignature": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Hub-Signature-256",
        "description": "Meta's `X-Hub-Signature-256`, by `WHATSAPP_APP_SECRET`.",
    },
}
SECRETS_SECONDS = 30.0
"""Between two looks at Prefect's blocks, which may be filled after the start."""


class Gateway(FastAPI):
    """FastAPI with the bodies that its routes read by themselves in the OpenAPI document."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document."""
        if not self.openapi_schema:
            document = super().openapi()
            template = "#/components/schemas/{model}"
            _, bodies = models_json_schema([(body, "validation") for body in BODIES], ref_template=template)
            components = document.setdefault("components", {})
            components["schemas"] = bodies["$defs"] | components.get("schemas", {})
            components["securitySchemes"] = PROOFS
            _drop_validation(document)
        return self.openapi_schema or {}


def _drop_validation(document: dict[str, Any]) -> None:
    """FastAPI's own answer 422, which no route here gives."""
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(name, None)
    for methods in document["paths"].values():
        for route in methods.values():
            if "requestBody" not in route:
                route["responses"].pop("422", None)


def create_app(platform: Platform) -> Gateway:
    """The gateway of an opened platform."""
    app = Gateway(
        title="Aspora gateway",
        version=metadata.version("aspora"),
        description=DESCRIPTION,
        docs_url=None,
        redirect_slashes=False,
        redoc_url=None,
        lifespan=_running,
    )
    app.state.door = Door(platform)
    app.state.config_file = health.ConfigFile()
    app.state.scrape = metrics.Scrape(platform)
    app.add_middleware(refusal.Guard)
    app.add_exception_handler(refusal.Refusal, refusal.refused)
    app.add_exception_handler(HTTPException, refusal.astray)
    app.add_exception_handler(DatabaseError, refusal.unreachable)
    for each in (alerts, slack, whatsapp, webhooks, health, metrics):
        app.router.routes.extend(each.router.routes)
    app.add_api_route("/", _home, include_in_schema=False)
    app.add_api_route("/docs", _docs, include_in_schema=False)
    return app


@contextlib.asynccontextmanager
async def _running(app: FastAPI) -> AsyncIterator[None]:
    """Stores what comes in; at the end, first what was accepted is stored."""
    door: Door = app.state.door
    storing = asyncio.create_task(door.intake.work())
    reading = asyncio.create_task(_read_secrets())
    try:
        yield
    finally:
        reading.cancel()
        door.intake.close()
        await storing
        await door.finish()


async def _read_secrets() -> None:
    while True:
        await asyncio.to_thread(secrets.load)
        await asyncio.sleep(SECRETS_SECONDS)


async def _home() -> Response:
    return RedirectResponse("/docs")


async def _docs(request: Request) -> Response:
    return HTMLResponse(page(request.app.openapi(), str(request.base_url).rstrip("/")))
