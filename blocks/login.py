"""Who runs this process."""

from __future__ import annotations


def login() -> str:
    """Who is logged in here; a claim, for the record."""
    from getpass import getuser

    try:
        return getuser()
    except (KeyError, OSError):
        return "unknown"
