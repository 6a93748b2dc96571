"""Passwords that the platform makes for itself and keeps in the state directory."""

from __future__ import annotations

import contextlib
import os
import secrets

from blocks.home import home

GATEWAY_TOKEN, PREFECT_PASSWORD = "gateway-token", "prefect-password"
"""Files: the gateway's bearer token; user and password of the Prefect server that `aspora up` starts."""


def made() -> set[str]:
    """The secrets that were made so far, each without its user."""
    return {_kept(GATEWAY_TOKEN), _kept(PREFECT_PASSWORD).partition(":")[2]} - {""}


def generated(name: str, user: str = "") -> str:
    """The secret in the state directory's file of that name, made at first use, for the owner's eyes only.

    Args:
        user: who stands before it, as in `user:secret`; nobody by default.
    """
    path = home() / name
    while not (value := path.read_text(encoding="ascii").strip() if path.exists() else ""):
        draft, secret = path.with_suffix(f".{os.getpid()}"), secrets.token_urlsafe(32)
        draft.unlink(missing_ok=True)
        draft.touch(mode=0o600)
        draft.write_text(f"{user}:{secret}\n" if user else f"{secret}\n", encoding="ascii")
        if path.exists():
            draft.replace(path)
            continue
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(draft)
        draft.unlink()
    return value


def _kept(name: str) -> str:
    file = home() / name
    return file.read_text("ascii", "replace").strip() if file.exists() else ""
