"""What the columns of a customer table are: numbers, categories, ids, or nothing that a model may use."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?", "-"})
_NUMERIC_SHARE = 0.95
"""So many of a column's values must be numbers for it to be one."""
_UNIQUE_SHARE = 0.5
"""A text column with more different values than this share of its rows names things, and groups nothing."""
_ALL_DIFFERENT = 20
_ID_NAME = re.compile(r"(^|_)(id|uuid|guid|key|no|nr|number|ref)$|id$|^(id|uuid)|email|phone|name$")


class Role(StrEnum):
    """What a column is to the model."""

    number = "number"
    category = "category"
    id = "id"
    constant = "constant"
    protected = "protected"
    leaking = "leaking"


@dataclass(frozen=True)
class Excluded:
    """A column that the model may not use, and why."""

    column: str
    role: Role
    reason: str


@dataclass(frozen=True)
class Frame:
    """Customers column by column: numbers as floats with NaN for missing, categories as text.

    Attributes:
        numbers: column → value by customer.
        categories: column → value by customer; "" where it is missing.
        rows: how many customers.
    """

    numbers: Mapping[str, Floats]
    categories: Mapping[str, NDArray[np.object_]]
    rows: int

    @property
    def columns(self) -> list[str]:
        """All columns, numbers first."""
        return [*self.numbers, *self.categories]

    def take(self, chosen: NDArray[Any]) -> Frame:
        """The chosen customers, by index or mask."""
        numbers = {name: values[chosen] for name, values in self.numbers.items()}
        categories = {name: values[chosen] for name, values in self.categories.items()}
        rows = int(chosen.sum()) if chosen.dtype == np.bool_ else len(chosen)
        return Frame(numbers, categories, rows)

    def without(self, names: Sequence[str]) -> Frame:
        """All but these columns."""
        return Frame(
            {name: values for name, values in self.numbers.items() if name not in names},
            {name: values for name, values in self.categories.items() if name not in names},
            self.rows,
        )


def stacked(frames: Sequence[Frame]) -> Frame:
    """Frames of the same columns, one under the other."""
    first = frames[0]
    return Frame(
        {name: np.concatenate([frame.numbers[name] for frame in frames]) for name in first.numbers},
        {name: np.concatenate([frame.categories[name] for frame in frames]) for name in first.categories},
        sum(frame.rows for frame in frames),
    )


def missing(value: Any) -> bool:
    """Whether a raw value stands for nothing."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return True
    return isinstance(value, str) and value.strip().lower() in _MISSING


def number(value: Any) -> float | None:
    """A raw value as a number; None if it is none."""
    try:
        found = float(str(value).replace(",", "") if isinstance(value, str) else value)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def text(value: Any) -> str:
    """A raw value as a category; "" where it is missing."""
    return "" if missing(value) else str(value).strip()


def role_of(name: str, values: Sequence[Any]) -> tuple[Role, str]:
    """What a column's raw values make it, and why, where the model may not use it."""
    present = [value for value in values if not missing(value)]
    kinds = Counter(map(text, values))
    if len(kinds) < 2:
        return Role.constant, f"every customer has {next(iter(kinds), '') or 'no value'}"[:100]
    numbers = [found for value in present if (found := number(value)) is not None]
    numeric = len(numbers) >= _NUMERIC_SHARE * len(present)
    different = len({text(value) for value in present})
    if numeric:
        if different == len(values) and different > _ALL_DIFFERENT and _counts_up(name, numbers):
            return Role.id, "every customer has another one"
        return (Role.number if different > 2 else Role.category), ""
    if different > _ALL_DIFFERENT and different > _UNIQUE_SHARE * len(present):
        return Role.id, f"{different} different values for {len(present)} customers"
    return Role.category, ""


def as_numbers(values: Sequence[Any]) -> Floats:
    """Raw values as floats; NaN where they are missing or no numbers."""
    found = ((None if missing(value) else number(value)) for value in values)
    return np.array([np.nan if value is None else value for value in found], dtype=np.float64)


def as_categories(values: Sequence[Any]) -> NDArray[np.object_]:
    """Raw values as text; "" where they are missing."""
    found = np.empty(len(values), dtype=object)
    found[:] = [text(value) for value in values]
    return found


def _counts_up(name: str, numbers: Sequence[float]) -> bool:
    """Whether different whole numbers are an id: named as one, or without gaps."""
    if any(value != int(value) for value in numbers):
        return False
    span = max(numbers) - min(numbers) + 1
    return bool(_ID_NAME.search(name.lower())) or span <= 1.2 * len(numbers)
