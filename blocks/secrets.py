"""Secrets by name: from the environment, or from Prefect blocks where the environment has none."""

from __future__ import annotations

import os
import re
from typing import Any

SECONDS = 3.0
DOCUMENT = "aspora"
"""The name of the block documents that are read."""
VARIABLES: dict[str, dict[str, str]] = {
    "aspora-anthropic": {"api_key": "ANTHROPIC_API_KEY", "base_url": "ANTHROPIC_BASE_URL"},
    "aspora-databases": {"warehouse_url": "ASPORA_WAREHOUSE_URL", "platform_url": "ASPORA_DATABASE_URL"},
    "aspora-slack": {"bot_token": "SLACK_BOT_TOKEN", "signing_secret": "SLACK_SIGNING_SECRET"},
    "aspora-whatsapp": {
        "access_token": "WHATSAPP_ACCESS_TOKEN",
        "app_secret": "WHATSAPP_APP_SECRET",
        "verify_token": "WHATSAPP_VERIFY_TOKEN",
    },
    "aspora-gateway": {"token": "ASPORA_GATEWAY_TOKEN"},
    "aspora-langfuse": {
        "host": "LANGFUSE_HOST",
        "public_key": "LANGFUSE_PUBLIC_KEY",
        "secret_key": "LANGFUSE_SECRET_KEY",
    },
    "aspora-opik": {
        "url_override": "OPIK_URL_OVERRIDE",
        "api_key": "OPIK_API_KEY",
        "workspace": "OPIK_WORKSPACE",
    },
}
"""Block type → its fields → the names they are asked for by."""
NAMED = "aspora-secrets"
"""The block type whose `values` have names of their own."""

_SECRET = re.compile(r"(?:^|_)(?:TOKEN|SECRET|PASSWORD|API_KEY|SECRET_KEY|APP_SECRET|AUTH_STRING)(?:_|$)")
_LEAST = 12
"""A shorter value could be a word of ordinary text."""
_loaded: dict[str, str] = {}


def secret(name: str) -> str:
    """The secret of that name, such as `SLACK_BOT_TOKEN`; empty if it is nowhere set."""
    return os.environ.get(name) or _loaded.get(name, "")


def known() -> set[str]:
    """The values of all that is named like a secret, in the environment and in the blocks."""
    named = {**_loaded, **os.environ}
    return {value for name, value in named.items() if _SECRET.search(name) and len(value) >= _LEAST}


def load() -> bool:
    """Reads the blocks of the Prefect server at `PREFECT_API_URL`; False if it can't be asked now.

    Nothing waits for long: a server that is down leaves what was loaded before.
    """
    global _loaded  # noqa: PLW0603 - replaced whole, so that no reader finds it empty
    url = os.environ.get("PREFECT_API_URL", "")
    if not url:
        return False
    import httpx

    query = {"block_documents": {"name": {"any_": [DOCUMENT]}}, "include_secrets": True}
    try:
        with httpx.Client(headers=authorisation(), timeout=SECONDS) as client:
            answer = client.post(f"{url.rstrip('/')}/block_documents/filter", json=query)
            documents = answer.raise_for_status().json()
    except (httpx.HTTPError, ValueError):
        return False
    found: dict[str, str] = {}
    for document in documents:
        found |= _values(document)
    _loaded = found
    return True


def authorisation(auth: str = "") -> dict[str, str]:
    """Headers that Prefect's API wants where it has a key or a password; empty where it has none.

    Args:
        auth: user and password, as in `user:secret`; by default `PREFECT_API_AUTH_STRING`.
    """
    if given := auth or os.environ.get("PREFECT_API_AUTH_STRING"):
        import base64

        return {"Authorization": f"Basic {base64.b64encode(given.encode()).decode()}"}
    if key := os.environ.get("PREFECT_API_KEY"):
        return {"Authorization": f"Bearer {key}"}
    return {}


def _values(document: dict[str, Any]) -> dict[str, str]:
    kind, data = document.get("block_type", {}).get("slug", ""), document.get("data", {})
    if kind == NAMED:
        return {str(name): str(value) for name, value in data.get("values", {}).items()}
    variables = VARIABLES.get(kind, {})
    return {variables[field]: str(value) for field, value in data.items() if field in variables and value}
