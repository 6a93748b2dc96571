"""What a message from outside asks of auto-RCA: which service alerts, about what, since when."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from blocks.config import Config
from flows.rca.models import Metric, RcaInput
from tasks.domain import Incoming

LABELS = ("service", "service_name", "app", "job")
"""Labels of an alert that may name its service, the surest first."""
SERVICE = re.compile(r"[^\x00-\x1f]{1,200}")
_WORDS = (
    (Metric.latency, re.compile(r"(?i)latenc|slow|duration|response.?time|p9\d|seconds|timeout")),
    (Metric.failures, re.compile(r"(?i)error|fail|availab|5xx|success.?rate|down")),
)
_QUOTED = re.compile(r"(?i)\b(?:service|of|for|at|in)\s+([a-z0-9][\w.-]{1,100})")


def read(message: Incoming, config: Config) -> RcaInput:
    """The input as a webhook's body gives it; the service, metric and time of an alert; a chat's words.

    Raises:
        ValueError: a webhook's body does not fit, or a label is no service's name.
    """
    if message.source == "webhook":
        return RcaInput.model_validate(message.data)
    labelled = next((message.fields[name] for name in LABELS if message.fields.get(name)), "")
    if labelled and not SERVICE.fullmatch(labelled):
        raise ValueError(f"the alert's label is no service's name: {labelled[:100]!r}")
    name = message.fields.get("alertname", "")
    return RcaInput(
        service=labelled or _named(message),
        metric=metric_of(message.fields.get("metric", "")) or metric_of(name) or metric_of(message.text),
        at=_started(message.data.get("startsAt")),
        alert=(name or message.text)[:500],
    )


def _named(message: Incoming) -> str:
    """The service that a person's words name; empty if they name none."""
    if message.source == "prometheus":
        return ""
    found = _QUOTED.search(message.text)
    return found[1].rstrip(".") if found else ""


def metric_of(text: str) -> Metric | None:
    """What a text speaks of; None if of both or neither."""
    told = [metric for metric, pattern in _WORDS if pattern.search(text)]
    return told[0] if len(told) == 1 else None


def _started(value: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(value)) if value else None
    except ValueError:
        return None
    return moment if moment and moment.tzinfo else None
