"""What a message from outside asks of the fraud domain: a rule to judge, or all that wait."""

from __future__ import annotations

import re
from typing import Any

from blocks.config import Config
from flows.fraud.models import FraudInput
from flows.fraud.rule import Rule, RuleError, parse
from flows.fraud.rule.check import DERIVED
from flows.fraud.rule.tree import Feature, Field, walk
from flows.fraud.table import HIDDEN
from tasks.domain import Incoming

_RULE = re.compile(r"\b(block|review|allow)\s+(if|when|where)\b", re.IGNORECASE)
_THRESHOLD = re.compile(
    r"\b(?:change|set|raise|lower|move)\s+(?:the\s+)?(?:threshold\s+of\s+)?(?:rule\s+)?"
    r"([A-Za-z0-9][A-Za-z0-9_.-]{0,99})\s+(?:threshold\s+)?to\s+\$?(\d+(?:\.\d+)?)\b",
    re.IGNORECASE,
)
_REPLACES = re.compile(
    r"\b(?:replaces|instead of|in place of)\s+([A-Za-z0-9][A-Za-z0-9_.-]{0,99})", re.IGNORECASE
)
_ASKS = re.compile(r"\b(if|rule|simulate|backtest)\b", re.IGNORECASE)
_QUOTES = {ord("“"): "'", ord("”"): "'", ord("‘"): "'", ord("’"): "'"}


def read(message: Incoming, config: Config) -> FraudInput:
    """The input as a webhook's body gives it; the rule, or the changed threshold, that a person writes.

    Raises:
        ValueError: a webhook's body does not fit, or the rule can't be read; it points at the character.
    """
    if message.source == "webhook":
        return FraudInput.model_validate(message.data)
    text = message.text.translate(_QUOTES).strip()
    if found := _RULE.search(text):
        return _of_rule(text[found.start() :], config)
    if found := _THRESHOLD.search(text):
        return FraudInput(replaces=found[1], threshold=float(found[2]))
    if message.source in ("slack", "whatsapp") and _ASKS.search(text):
        raise ValueError(
            "I found no rule in that. Write one such as: block if amount > 220, "
            "review if more than 3 transactions on one terminal in an hour, or: change RULE-ID to 300"
        )
    return FraudInput()


def _of_rule(text: str, config: Config) -> FraudInput:
    replaces = ""
    if found := _REPLACES.search(text):
        text, replaces = text[: found.start()], found[1]
    text = text.strip(" \t\r\n.;,`*")
    try:
        _known_fields(parse(text), config)
    except RuleError as error:
        raise ValueError(f"I can't read that rule: {error.shown(text)}") from None
    return FraudInput(rule=text, replaces=replaces)


def _known_fields(rule: Rule, config: Config) -> None:
    """RuleError at the first field that the config does not map."""
    table: Any = config.warehouse.tables.get("transactions")
    if table is None:
        return
    known = [*(name for name in table.columns if name not in HIDDEN), *DERIVED]
    for node in walk(rule.condition):
        named = [node.name] if isinstance(node, Field) else []
        named += [name for name in (node.key, node.of) if name] if isinstance(node, Feature) else []
        for name in named:
            if name not in known:
                raise RuleError(f"there is no field {name}; there are: {', '.join(known)}", node.at)
