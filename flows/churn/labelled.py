"""Labelled customers in a CSV: any columns, one of them saying who left."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.churn.columns import Excluded, Frame, Role, as_categories, as_numbers, missing, role_of, text
from flows.churn.protected import looks_protected

MAX_ROWS = 500_000
MIN_CUSTOMERS = 200
MIN_EACH = 25
"""The least customers that left, and that stayed, to train on."""
LABELS = ("churn", "churned", "exited", "attrition", "churn_label", "churn_value", "left", "is_churn")
_LEFT = frozenset({"yes", "true", "1", "1.0", "y", "churned", "left", "leaver", "exited"})
_STAYED = frozenset({"no", "false", "0", "0.0", "n", "stayed", "retained", "existing", "active"})


class UnusableFile(Exception):
    """The file can't be read, or holds too little to say anything. The message says which."""


@dataclass(frozen=True)
class Customers:
    """Customers of whom it is known whether they left.

    Attributes:
        left: by customer.
        groups: the customers' ids, where the file has one; rows of one customer share it.
        excluded: columns that no model may use, whatever the training data say.
        notes: what was left out of the file.
    """

    frame: Frame
    left: NDArray[np.bool_]
    groups: list[str] | None
    excluded: Sequence[Excluded]
    notes: Sequence[str]


def read(path: Path) -> Customers:
    """The customers of a CSV file. Its columns' roles are inferred; rows without a label are left out.

    Raises:
        UnusableFile: it is no CSV, has no such column, one class only, or too few customers.
    """
    rows, names = _rows(path)
    label = _label(names, path)
    known = [row for row in rows if text(row.get(label)).lower() in _LEFT | _STAYED]
    notes = [f"{len(rows) - len(known)} rows without a readable {label}"] if len(known) < len(rows) else []
    left = np.array([text(row[label]).lower() in _LEFT for row in known], dtype=bool)
    require(left, f"{path}: ")
    return _customers([name for name in names if name != label], known, left, notes)


def require(left: NDArray[np.bool_], where: str = "") -> None:
    """Looks whether there are enough customers of both kinds.

    Raises:
        UnusableFile: there are not.
    """
    if problem := too_few(left):
        raise UnusableFile(f"{where}{problem}")


def too_few(left: NDArray[np.bool_]) -> str:
    """Why nothing can be learnt from these customers; empty if it can."""
    gone, stayed = int(left.sum()), int((~left).sum())
    if len(left) and not (gone and stayed):
        only = "left" if gone else "stayed"
        return f"all {len(left)} customers {only}; who leaves can't be learnt from one kind alone"
    if len(left) < MIN_CUSTOMERS or min(gone, stayed) < MIN_EACH:
        return (
            f"{len(left)} customers of whom {gone} left are too few: at least {MIN_CUSTOMERS} are needed, "
            f"{MIN_EACH} of each kind, or chance decides what is learnt"
        )
    return ""


def _rows(path: Path) -> tuple[list[dict[str, Any]], list[str]]:
    try:
        content = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UnusableFile(f"{path} can't be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UnusableFile(f"{path} is no UTF-8 text: {error.reason} at byte {error.start}") from error
    lines = csv.DictReader(io.StringIO(content), dialect=_dialect(content))
    try:
        rows = [row for row, _ in zip(lines, range(MAX_ROWS + 1), strict=False)]
    except csv.Error as error:
        raise UnusableFile(f"{path}, line {lines.line_num}: {error}") from error
    if len(rows) > MAX_ROWS:
        raise UnusableFile(f"{path} has more than {MAX_ROWS:,} customers; take a sample of them")
    names = [name for name in (lines.fieldnames or []) if name and name.strip()]
    if not rows or len(names) < 2:
        raise UnusableFile(f"{path} holds no customers: a header row, and one row a customer, are needed")
    return rows, names


def _dialect(content: str) -> type[csv.Dialect]:
    head = content.partition("\n")[0]

    class Found(csv.excel):
        delimiter = max(",;\t|", key=head.count)

    return Found


def _label(names: Sequence[str], path: Path) -> str:
    plain = {re.sub(r"[^a-z0-9]+", "_", name.strip().lower()).strip("_"): name for name in reversed(names)}
    found = next((plain[label] for label in LABELS if label in plain), None)
    if found:
        return found
    close = get_close_matches("churn", plain, n=1, cutoff=0.6)
    hint = f"; is {plain[close[0]]} meant? Rename it" if close else ""
    raise UnusableFile(
        f"{path} has no column {LABELS[0]} with Yes or No{hint}. It has: {', '.join(names[:30])}"
    )


def _customers(
    names: Sequence[str], rows: Sequence[Mapping[str, Any]], left: NDArray[np.bool_], notes: list[str]
) -> Customers:
    numbers, categories, excluded = {}, {}, []
    groups: list[str] | None = None
    for name in names:
        values = [row.get(name) for row in rows]
        role, reason = role_of(name, values)
        protected = looks_protected(name, {text(value) for value in values})
        if protected:
            excluded.append(Excluded(name, Role.protected, f"looks like {protected}"))
        elif role in (Role.id, Role.constant):
            excluded.append(Excluded(name, role, reason))
            whole = role == Role.id and not any(missing(value) for value in values)
            groups = groups or ([text(value) for value in values] if whole else None)
        elif role == Role.number:
            numbers[name] = as_numbers(values)
        else:
            categories[name] = as_categories(values)
    frame = Frame(numbers, categories, len(rows))
    if not frame.columns:
        raise UnusableFile("no column is left that a model may use: " + "; ".join(
            f"{each.column}: {each.reason}" for each in excluded))  # fmt: skip
    return Customers(frame, left, groups, excluded, notes)
