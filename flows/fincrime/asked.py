"""What a message from outside asks of FinCrime: an account, customer, alert or transaction."""

from __future__ import annotations

import re

from blocks.config import Config
from flows.fincrime.models import FinCrimeInput
from tasks.domain import Incoming

FIELDS = ("account", "customer", "alert", "transaction")
_NAMED = re.compile(
    r"\b(account|customer|alert|transaction)s?\s*(?:id|number|no\.?|#)?\s*[:#]?\s*[`*_\"'“]*"
    r"([A-Za-z0-9][A-Za-z0-9_.:/-]{0,99})",
    re.IGNORECASE,
)


def read(message: Incoming, config: Config) -> FinCrimeInput:
    """The input as a webhook's body gives it; what an alert's label or a person's words name.

    Raises:
        ValueError: a webhook's body does not fit, or a person's words name several things.
    """
    if message.source == "webhook":
        return FinCrimeInput.model_validate(message.data)
    labelled = {name: message.fields[name] for name in FIELDS if message.fields.get(name)}
    if message.source == "prometheus":
        first = dict(list(labelled.items())[:1])
        return FinCrimeInput.model_validate(first)
    return FinCrimeInput.model_validate(_named(message.text))


def _named(text: str) -> dict[str, str]:
    """What the text names by kind and id; an id holds a digit, so that words are none."""
    found = {
        kind.lower(): id.rstrip(".,:/-")
        for kind, id in _NAMED.findall(text)
        if any(sign.isdigit() for sign in id)
    }
    if len(found) > 1:
        raise ValueError(f"ask about one thing at a time, not {' and '.join(found)}; such as: account A-1472")
    return found
