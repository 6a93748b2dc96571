"""The gateway's own bearer token."""

from __future__ import annotations

import contextlib
import os
import secrets

from blocks.home import home
from blocks.secrets import secret


def gateway_token() -> str:
    """`ASPORA_GATEWAY_TOKEN`, or the one in the state directory."""
    return secret("ASPORA_GATEWAY_TOKEN") or generated_token()


def generated_token() -> str:
    """The token in the state directory's `gateway-token`, made at first use, for the owner's eyes only."""
    path = home() / "gateway-token"
    while not (token := path.read_text(encoding="ascii").strip() if path.exists() else ""):
        draft = path.with_suffix(f".{os.getpid()}")
        draft.unlink(missing_ok=True)
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(32) + "\n", encoding="ascii")
        if path.exists():
            draft.replace(path)
            continue
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(draft)
        draft.unlink()
    return token
