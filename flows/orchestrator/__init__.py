"""The orchestrator: what comes in from outside is matched to a domain, judged, kept, and sent to Prefect."""

from __future__ import annotations

from flows.orchestrator.intake import receive, resolve

__all__ = ["receive", "resolve"]
