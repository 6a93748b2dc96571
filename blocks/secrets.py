"""Secrets by name: from the environment, or from Prefect blocks where the environment has none."""

from __future__ import annotations

import os

_loaded: dict[str, str] = {}


def secret(name: str) -> str:
    """The secret of that name, such as `SLACK_BOT_TOKEN`; empty if it is nowhere set."""
    return os.environ.get(name) or _loaded.get(name, "")
