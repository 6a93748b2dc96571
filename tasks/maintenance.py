"""Maintenance windows: what comes in is kept, and nothing is started."""

from __future__ import annotations

from datetime import datetime

from blocks.config import Config


def closed(settings: Config, domain: str, at: datetime) -> str:
    """Why the domain starts nothing at that moment: the window's words; empty if no window is open."""
    for window in settings.platform.maintenance:
        if window.start <= at < window.end and (not window.domains or domain in window.domains):
            why = f" ({window.reason})" if window.reason else ""
            return f"maintenance until {window.end:%Y-%m-%d %H:%M} UTC{why}"
    return ""
