"""Maintenance windows: what comes in waits for their end, and nothing is started."""

from __future__ import annotations

from datetime import datetime

from blocks.config import Config, Maintenance


def closed(settings: Config, domain: str, at: datetime) -> str:
    """Why the domain starts nothing at that moment: the window's words; empty if no window is open."""
    window = open_window(settings, domain, at)
    return words(window) if window else ""


def open_window(settings: Config, domain: str, at: datetime) -> Maintenance | None:
    """The window that is open for the domain at that moment; of several, the one that ends last."""
    found = [
        window
        for window in settings.platform.maintenance
        if window.start <= at < window.end and (not window.domains or domain in window.domains)
    ]
    return max(found, key=lambda window: window.end, default=None)


def words(window: Maintenance) -> str:
    """A window for people."""
    why = f" ({window.reason})" if window.reason else ""
    return f"maintenance until {window.end:%Y-%m-%d %H:%M} UTC{why}"
