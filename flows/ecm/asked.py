"""What a message from outside asks of ECM: one stage, or all of them."""

from __future__ import annotations

import re

from blocks.config import Config
from flows.ecm.models import EcmInput
from tasks.domain import Incoming

STAGE = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")


def read(message: Incoming, config: Config) -> EcmInput:
    """The input as a webhook's body gives it; the stage that an alert's label or a person's words name.

    Raises:
        ValueError: a webhook's body does not fit, or a label is no stage's name.
    """
    if message.source == "webhook":
        return EcmInput.model_validate(message.data)
    labelled = message.fields.get("stage", "")
    if labelled and not STAGE.fullmatch(labelled):
        raise ValueError(f"the label stage is no stage's name: {labelled[:100]!r}")
    return EcmInput(stage=labelled or _named(message.text, config))


def _named(text: str, config: Config) -> str:
    """The one stage of the order table's `stage_sla` that the text names; empty if none or several."""
    options = config.warehouse.tables["orders"].model_extra if "orders" in config.warehouse.tables else None
    listed = (options or {}).get("stage_sla", {})
    known = {str(name).lower(): str(name) for name in listed if name != "default"}
    named = {known[word] for word in re.findall(r"[a-z0-9_-]+", text.lower()) if word in known}
    return named.pop() if len(named) == 1 else ""
