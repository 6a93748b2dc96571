"""Numbers as texts and colours, by a field's config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

PALETTE = ("#73bf69", "#f2cc0c", "#8ab8ff", "#ff780a", "#f2495c", "#5794f2", "#b877d9", "#705da0")
COLOURS = {
    "green": "#73bf69",
    "orange": "#ff9830",
    "red": "#f2495c",
    "blue": "#8ab8ff",
}
TEXT = "#ccccdc"
_TIMES = ((86400.0, "days"), (3600.0, "hours"), (60.0, "min"), (1.0, "s"))
Config = Mapping[str, Any]


def shown(value: Any, config: Config) -> str:
    """A value as text."""
    mapped = mapping(value, config)
    if mapped.get("text"):
        return str(mapped["text"])
    if value is None or value == "":
        return ""
    unit = str(config.get("unit", "none"))
    if unit == "dateTimeAsIso":
        return _moment(value)
    if isinstance(value, str):
        return value
    return _number(float(value), unit, config.get("decimals"))


def mapping(value: Any, config: Config) -> Mapping[str, Any]:
    """What the value mappings say of a value."""
    for each in config.get("mappings", ()):
        if each["type"] == "value" and str(value) in each["options"]:
            found: Mapping[str, Any] = each["options"][str(value)]
            return found
    return {}


def colour(value: Any, config: Config) -> str:
    """The colour of a value: fixed, mapped, or by thresholds."""
    fixed = config.get("color", {})
    if fixed.get("mode") == "fixed":
        return COLOURS[fixed["fixedColor"]]
    mapped = mapping(value, config).get("color")
    if mapped:
        return COLOURS[mapped]
    steps: Sequence[Mapping[str, Any]] = config.get("thresholds", {}).get("steps", ())
    if not steps or not isinstance(value, int | float):
        return TEXT
    reached = [each for each in steps if each.get("value") is None or value >= each["value"]]
    return COLOURS[reached[-1]["color"]]


def tone(config: Config, number: int) -> str:
    """The colour of a graph's series: fixed, or the next of the palette."""
    fixed = config.get("color", {})
    return COLOURS[fixed["fixedColor"]] if fixed.get("mode") == "fixed" else PALETTE[number % len(PALETTE)]


def _moment(value: Any) -> str:
    moment = value if isinstance(value, datetime) else datetime.fromtimestamp(float(value), tz=UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def _number(value: float, unit: str, decimals: int | None) -> str:
    if unit == "currencyUSD":
        return f"${_rounded(value, 2 if decimals is None else decimals)}"
    if unit in ("percentunit", "percent"):
        share = value * 100 if unit == "percentunit" else value
        return f"{_rounded(share, 0 if decimals is None else decimals)}%"
    if unit == "s":
        return _seconds(value, decimals)
    text = _rounded(value, decimals)
    return f"{text} {unit.removeprefix('suffix:')}" if unit.startswith("suffix:") else text


def _seconds(value: float, decimals: int | None) -> str:
    size, name = next((each for each in _TIMES if abs(value) >= each[0]), (1.0, "s"))
    return f"{_rounded(value / size, 1 if decimals is None else decimals)} {name}"


def _rounded(value: float, decimals: int | None) -> str:
    if decimals is None:
        decimals = 0 if value == int(value) else 2
    return f"{value:,.{decimals}f}"
