"""Credentials and connections as Prefect blocks.

`aspora blocks` registers the types with the server. Of each, the document named `aspora` is read, by
`blocks.secrets`; the environment wins over it.
"""

from __future__ import annotations

import os
from typing import Any

from prefect.blocks.core import Block
from prefect.types import SecretDict
from pydantic import Field, SecretStr

from blocks.secrets import DOCUMENT, VARIABLES


class AnthropicCredentials(Block):
    """The Anthropic API, or a gateway that speaks its language."""

    _block_type_name = "Aspora Anthropic"
    _block_type_slug = "aspora-anthropic"

    api_key: SecretStr = Field(SecretStr(""), description="API key.")
    base_url: str = Field("", description="Base URL; the public API if empty.")


class DatabaseCredentials(Block):
    """Where business data is read from, and where the platform keeps its record."""

    _block_type_name = "Aspora Databases"
    _block_type_slug = "aspora-databases"

    warehouse_url: SecretStr = Field(SecretStr(""), description="SQLAlchemy URL of the warehouse; only read.")
    platform_url: SecretStr = Field(SecretStr(""), description="SQLAlchemy URL of the platform database.")


class SlackCredentials(Block):
    """One Slack app."""

    _block_type_name = "Aspora Slack"
    _block_type_slug = "aspora-slack"

    bot_token: SecretStr = Field(SecretStr(""), description="Bot user OAuth token, xoxb-….")
    signing_secret: SecretStr = Field(SecretStr(""), description="Signing secret of the app.")


class WhatsappCredentials(Block):
    """WhatsApp's Cloud API."""

    _block_type_name = "Aspora WhatsApp"
    _block_type_slug = "aspora-whatsapp"

    access_token: SecretStr = Field(SecretStr(""), description="Access token of the Graph API.")
    app_secret: SecretStr = Field(SecretStr(""), description="App secret: signs what Meta sends.")
    verify_token: SecretStr = Field(SecretStr(""), description="What Meta shows when the webhook is set up.")


class GatewayCredentials(Block):
    """The door."""

    _block_type_name = "Aspora Gateway"
    _block_type_slug = "aspora-gateway"

    token: SecretStr = Field(SecretStr(""), description="Bearer token of the gateway's webhooks.")


class LangfuseCredentials(Block):
    """A project of Langfuse. Both keys are needed."""

    _block_type_name = "Aspora Langfuse"
    _block_type_slug = "aspora-langfuse"

    host: str = Field("", description="Address, https://…; Langfuse's cloud if empty.")
    public_key: SecretStr = Field(SecretStr(""), description="Public key of the project, pk-lf-….")
    secret_key: SecretStr = Field(SecretStr(""), description="Secret key of the project, sk-lf-….")


class OpikCredentials(Block):
    """Opik: an address for one's own, an API key for Comet's cloud."""

    _block_type_name = "Aspora Opik"
    _block_type_slug = "aspora-opik"

    url_override: str = Field("", description="Address of the API, http://…/api; Comet's cloud if empty.")
    api_key: SecretStr = Field(SecretStr(""), description="API key; one's own server may need none.")
    workspace: str = Field("", description="Workspace; the default one if empty.")


class NamedSecrets(Block):
    """Any other secrets that the config names: `token_env`, `bearer_env`, `hmac_env`, more Slack apps."""

    _block_type_name = "Aspora Secrets"
    _block_type_slug = "aspora-secrets"

    values: SecretDict = Field(SecretDict({}), description="Name, as the config has it, to value.")


KINDS: tuple[type[Block], ...] = (
    AnthropicCredentials,
    DatabaseCredentials,
    SlackCredentials,
    WhatsappCredentials,
    GatewayCredentials,
    LangfuseCredentials,
    OpikCredentials,
    NamedSecrets,
)


async def register(save: bool = False) -> dict[str, list[str]]:
    """Registers the types with the server. What each document sets, by type; never its values.

    Args:
        save: write what the environment holds into the documents; what it lacks stays.
    """
    return {kind.get_block_type_slug(): await _register(kind, save) for kind in KINDS}


async def _register(kind: type[Block], save: bool) -> list[str]:
    await kind.aregister_type_and_schema()
    try:
        block = await kind.aload(DOCUMENT)
    except ValueError:
        block = kind()
    held = _held(kind) if save else {}
    if held:
        block = kind(**{**_values(block), **held})
        await block.asave(DOCUMENT, overwrite=True)
    return sorted(_names(block))


def _held(kind: type[Block]) -> dict[str, str]:
    """The fields that the environment has values for."""
    variables = VARIABLES.get(kind.get_block_type_slug(), {})
    return {field: os.environ[name] for field, name in variables.items() if os.environ.get(name)}


def _values(block: Block) -> dict[str, Any]:
    return {field: getattr(block, field) for field in VARIABLES.get(block.get_block_type_slug(), {})}


def _names(block: Block) -> list[str]:
    if isinstance(block, NamedSecrets):
        return list(block.values.get_secret_value())
    return [
        name
        for field, name in VARIABLES[block.get_block_type_slug()].items()
        if str(getattr(block, field)) not in ("", "None")
    ]
