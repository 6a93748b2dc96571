"""Columns that give the answer away: what is only known once a customer has left."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blocks.shares import wilson
from flows.churn.columns import Excluded, Floats, Frame, Role

GIVES_AWAY = 0.97
"""Alone it tells leavers from stayers with at least this area under the curve."""
PURE = 0.9
"""A share of leavers that no honest column reaches in a part of the customers, at 95 % confidence."""
COVERS = 0.1
"""Of all leavers, the least share in that part."""
CLEAN = 0.05
"""Of the usual share of leavers, what no honest column stays below in a large part of the customers."""
LARGE = 0.3
"""Of all customers, the least share in that part."""
_GROUPS = 20
_LEAST = 25
_LEAST_IN_GROUP = 10
_NAME = re.compile(
    r"(^|_)(churn\w*|left|leave\w*|leaving|cancel\w*|exit\w*|closed?|closure|terminat\w*|attrit\w*|"
    r"deactivat\w*|offboard\w*|win_?back\w*|customer_?status|account_?status)(_|$)"
)


def leaking(frame: Frame, left: NDArray[np.bool_]) -> list[Excluded]:
    """The columns that give the answer away, each with its reason.

    A column is cut into groups (categories, twentieths of a number, missing); it leaks if the groups alone
    separate leavers from stayers almost perfectly, if groups that hold a tenth of the leavers hold hardly
    anybody else, if hardly anybody of a large part left, as when it is empty until they do, or if its name
    says that it is written after a customer has left and it tells something.
    """
    found = []
    for name in frame.columns:
        groups = _grouped(frame, name)
        reason = _reason(name, groups, left)
        if reason:
            found.append(Excluded(name, Role.leaking, reason))
    return found


def _reason(name: str, groups: NDArray[np.intp], left: NDArray[np.bool_]) -> str:
    counts = np.bincount(groups).astype(np.float64)
    leavers: Floats = np.bincount(groups, weights=left.astype(np.float64)).astype(np.float64)
    stayers: Floats = counts - leavers
    alone = _auc(leavers, stayers)
    if alone >= GIVES_AWAY:
        return f"alone it tells who leaves (AUC {alone:.2f}); it seems to be known only afterwards"
    pure = (counts >= _LEAST_IN_GROUP) & (leavers >= 0.95 * counts)
    count, gone = float(counts[pure].sum()), float(leavers[pure].sum())
    if count >= _LEAST and gone >= COVERS * left.sum() and _lower(gone, count) >= PURE:
        return (
            f"{gone:.0f} of {count:.0f} customers with some of its values left; "
            f"it seems to be known only afterwards"
        )
    clean = leavers <= CLEAN * counts * left.mean()
    count, gone = float(counts[clean].sum()), float(leavers[clean].sum())
    if count >= max(_LEAST, LARGE * len(left)) and _upper(gone, count) <= CLEAN * left.mean():
        return (
            f"{gone:.0f} of {count:.0f} customers with some of its values left, where "
            f"{count * left.mean():.0f} were to be expected; it seems to be written once they have"
        )
    if _NAME.search(re.sub(r"[^a-z0-9]+", "_", name.lower())) and alone >= 0.6:
        return f"by its name it is known only afterwards (AUC alone {alone:.2f})"
    return ""


def _grouped(frame: Frame, name: str) -> NDArray[np.intp]:
    if name in frame.categories:
        return _codes(frame.categories[name])
    values: Floats = frame.numbers[name]
    known = values[~np.isnan(values)]
    pieces = max(1, min(_GROUPS, len(known) // _LEAST))
    cuts = np.unique(np.quantile(known, np.linspace(0, 1, pieces + 1)[1:-1])) if len(known) else known
    codes = np.searchsorted(cuts, values, side="left")
    return np.where(np.isnan(values), len(cuts) + 1, codes).astype(np.intp)


def _codes(values: NDArray[Any]) -> NDArray[np.intp]:
    return np.unique(values.astype(str), return_inverse=True)[1].astype(np.intp)


def _auc(leavers: Floats, stayers: Floats) -> float:
    """Of a leaver and a stayer taken at random, how often the leaver's group has the higher rate.

    Each group is rated without the customer at hand, so that small groups tell nothing by chance.
    """
    if not leavers.sum() or not stayers.sum():
        return 0.5
    base = leavers.sum() / (leavers.sum() + stayers.sum())
    total = leavers + stayers
    out = (np.maximum(leavers - 1, 0) + base) / np.maximum(total, 1)
    stay = (leavers + base) / np.maximum(total, 1)
    higher = (out[:, None] > stay[None, :]) + 0.5 * (out[:, None] == stay[None, :])
    np.fill_diagonal(higher, 0.5)
    pairs = leavers[:, None] * stayers[None, :]
    return float((higher * pairs).sum() / pairs.sum())


def _upper(hits: float, count: float) -> float:
    """Wilson's upper bound of a share at 95 %."""
    _, high = wilson(hits, count) or (0.0, 1.0)
    return high


def _lower(hits: float, count: float) -> float:
    """Wilson's lower bound of a share at 95 %."""
    low, _ = wilson(hits, count) or (0.0, 1.0)
    return low
