"""Tables of answers, and the transformations that panels put them through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True)
class Series:
    """A named series: its points, the newest last, as Unix seconds and numbers."""

    ref: str
    name: str
    labels: Mapping[str, str]
    points: Sequence[tuple[float, float]]

    @property
    def last(self) -> float:
        """The newest value."""
        return self.points[-1][1]


@dataclass(frozen=True)
class Answer:
    """What a panel's queries gave: series, or tables by query."""

    series: Sequence[Series] = ()
    tables: Mapping[str, Sequence[Row]] = field(default_factory=dict)


def arranged(answer: Answer, transformations: Sequence[Mapping[str, Any]]) -> list[Row]:
    """The one table that the transformations make of the answer's tables."""
    tables = list(answer.tables.values())
    rows = [dict(row) for row in tables[0]] if tables else []
    for each in transformations:
        given = each["options"]
        if each["id"] == "merge":
            rows = _merged(tables)
        elif each["id"] == "organize":
            rows = [_organized(row, given) for row in rows]
        elif each["id"] == "sortBy":
            rows = _sorted(rows, given["sort"])
        elif each["id"] == "limit":
            rows = rows[: given["limitField"]]
        else:
            raise ValueError(f"no transformation {each['id']}")
    return rows


def _merged(tables: Sequence[Sequence[Row]]) -> list[Row]:
    """Rows that agree in what all tables have in common become one."""
    filled = [table for table in tables if table]
    if not filled:
        return []
    shared = [name for name in filled[0][0] if all(name in table[0] for table in filled)]
    rows: dict[tuple[Any, ...], Row] = {}
    for table in filled:
        for row in table:
            keys = shared if len(filled) > 1 else list(row)
            rows.setdefault(tuple(row[name] for name in keys), {}).update(row)
    return list(rows.values())


def _organized(row: Row, options: Mapping[str, Any]) -> Row:
    names = options["renameByName"]
    excluded = {name for name, out in options["excludeByName"].items() if out}
    order = options["indexByName"]
    kept = sorted((name for name in row if name not in excluded), key=lambda name: order.get(name, 99))
    return {names.get(name, name): row[name] for name in kept}


def _sorted(rows: list[Row], by: Sequence[Mapping[str, Any]]) -> list[Row]:
    for each in by:
        name, least = each["field"], float("-inf")
        rows = sorted(rows, key=lambda row, n=name: row.get(n, least), reverse=bool(each["desc"]))  # type: ignore[misc]
    return rows
