"""A dashboard's variables in queries and links, put in as Grafana does."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote

_PLACE = re.compile(r"\$\{(?P<braced>[\w.]+)(?::(?P<format>\w+))?\}|\$(?P<plain>\w*[A-Za-z_]\w*)")


class UnknownVariable(ValueError):
    """A text names a variable that there is none of."""


def filled(text: str, values: Mapping[str, str]) -> str:
    """The text with its variables.

    Raises:
        UnknownVariable: one of them has no value, or an unknown format.
    """

    def value(found: re.Match[str]) -> str:
        name = found["braced"] or found["plain"]
        if name not in values:
            raise UnknownVariable(f"{found[0]} in: {text}")
        return _formatted(values[name], found["format"] or "raw")

    return _PLACE.sub(value, text)


def _formatted(value: str, wanted: str) -> str:
    if wanted == "raw":
        return value
    if wanted == "percentencode":
        return quote(value, safe="")
    if wanted == "sqlstring":
        return "'" + value.replace("'", "''") + "'"
    raise UnknownVariable(f"format {wanted}")
