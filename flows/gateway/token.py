"""The gateway's own bearer token."""

from __future__ import annotations

from blocks.passwords import GATEWAY_TOKEN, generated
from blocks.secrets import secret


def gateway_token() -> str:
    """`ASPORA_GATEWAY_TOKEN`, or the one in the state directory."""
    return secret("ASPORA_GATEWAY_TOKEN") or generated_token()


def generated_token() -> str:
    """The token in the state directory's `gateway-token`."""
    return generated(GATEWAY_TOKEN)
