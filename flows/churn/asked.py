"""What a message from outside asks of the churn domain: everybody, or customers at risk for one reason."""

from __future__ import annotations

import re

from blocks.config import Config
from flows.churn.models import ChurnInput
from tasks.domain import Incoming


def read(message: Incoming, config: Config) -> ChurnInput:
    """The input as a webhook's body gives it; of a chat message, the reason that it names.

    Raises:
        ValueError: a webhook's body does not fit.
    """
    if message.source == "webhook":
        return ChurnInput.model_validate(message.data)
    return ChurnInput(driver=_named(message.text, config))


def _named(text: str, config: Config) -> str:
    """The reason of the catalogue that a text names; empty if it names none, or several."""
    plain = " ".join(re.findall(r"[a-z0-9]+", text.lower()))
    told = [driver for driver in _drivers(config) if f" {driver.lower()} " in f" {plain} "]
    return told[0] if len(told) == 1 else ""


def _drivers(config: Config) -> list[str]:
    """The reasons that offers answer, of all servers that have a catalogue."""
    found: dict[str, None] = {}
    for server in config.mcp_servers.values():
        offers = server.options.get("offers")
        for offer in offers if isinstance(offers, list) else []:
            drivers = offer.get("drivers") if isinstance(offer, dict) else None
            found |= dict.fromkeys(str(each) for each in drivers or [])
    return list(found)
