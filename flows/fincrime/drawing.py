"""The way of the money as lines of signs, which every page, report and terminal shows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from flows.fincrime.models import Proof

WIDTH = 12
"""Signs of the longest bar."""
MOST_ROWS = 14
MOST_STEPS = 10
_LONGEST_NAME = 18


@dataclass(frozen=True)
class Edge:
    """All that one account sent another."""

    sender: str
    receiver: str
    total: float
    count: int


def money_flow(subject: str, proof: Sequence[Proof], currency: str, total: int) -> list[str]:
    """Who paid the subject, whom it paid, and how the money went on between others; nothing without proof."""
    edges = _edges(proof)
    if not edges:
        return []
    days = f"{min(each.time for each in proof):%Y-%m-%d} to {max(each.time for each in proof):%Y-%m-%d}"
    cut = f", the first {len(proof)} of {total} transfers" if total > len(proof) else ""
    head = f"Money through {_name(subject)}, {days}, {currency}{cut}"
    ring = _ring(edges, subject)
    lines = _circle(ring) if ring else _hub(subject, edges)
    return [head, "", *lines]


def _edges(proof: Iterable[Proof]) -> list[Edge]:
    sums: dict[tuple[str, str], tuple[float, int]] = {}
    for each in proof:
        total, count = sums.get((each.sender, each.receiver), (0.0, 0))
        sums[each.sender, each.receiver] = (total + (each.value or 0.0), count + 1)
    return [Edge(a, b, total, count) for (a, b), (total, count) in sums.items()]


def _hub(subject: str, edges: Sequence[Edge]) -> list[str]:
    came = sorted((each for each in edges if each.receiver == subject), key=lambda one: -one.total)
    went = sorted((each for each in edges if each.sender == subject), key=lambda one: -one.total)
    beyond = sorted(
        (each for each in edges if subject not in (each.sender, each.receiver)), key=lambda e: -e.total
    )
    most = max(each.total for each in edges) or 1.0
    left, right = _side(came, most, "▶"), _side(went, most, "▶", out=True)
    width = max(map(len, left), default=0)
    rows = max(len(left), len(right))
    middle = (rows - 1) // 2
    name = f" {_name(subject)} "
    lines = []
    for row in range(rows):
        one = (left[row] if row < len(left) else "").ljust(width)
        other = right[row] if row < len(right) else ""
        lines.append(f"{one}{name if row == middle else ' ' * len(name)}{other}".rstrip())
    if beyond:
        lines += ["", "between the others"]
        lines += [_line(each, most) for each in beyond[:MOST_STEPS]]
        lines += [f"and {len(beyond) - MOST_STEPS} more"] if len(beyond) > MOST_STEPS else []
    return lines


def _side(edges: Sequence[Edge], most: float, tip: str, out: bool = False) -> list[str]:
    shown = edges[:MOST_ROWS]
    names = [_name(each.receiver if out else each.sender) for each in shown]
    longest = max(map(len, names), default=0)
    lines = []
    for each, name in zip(shown, names, strict=True):
        bar = _bar(each.total, most)
        sums = f"{_sum(each)}"
        lines.append(
            f"{bar:─<{WIDTH}}{tip} {sums:>11}  {name}"
            if out
            else f"{name:>{longest}}  {sums:>11} {bar:─>{WIDTH}}{tip}"
        )
    if len(edges) > len(shown):
        rest = edges[MOST_ROWS:]
        lines.append(f"and {len(rest)} more: {sum(each.total for each in rest):,.0f}")
    return lines


def _ring(edges: Sequence[Edge], subject: str) -> list[Edge]:
    """The edges in order if they are one ring; nothing otherwise."""
    onward = {each.sender: each for each in edges}
    if len(onward) != len(edges) or subject not in onward:
        return []
    ring, here = [], subject
    for _ in edges:
        if here not in onward:
            return []
        ring.append(onward[here])
        here = onward[here].receiver
    return ring if here == subject and len(ring) >= 3 else []


def _circle(ring: Sequence[Edge]) -> list[str]:
    lines = [f"┌▶ {_name(ring[0].sender)}"]
    for edge in ring[:-1]:
        lines += [f"│      ↓ {_sum(edge)}", f"│  {_name(edge.receiver)}"]
    return [*lines, f"│      ↓ {_sum(ring[-1])}", "└──────┘"]


def _line(edge: Edge, most: float) -> str:
    return f"{_name(edge.sender)} {_bar(edge.total, most)}▶ {_name(edge.receiver)}  {_sum(edge)}"


def _bar(total: float, most: float) -> str:
    return "━" * max(1, round(total / most * WIDTH))


def _sum(edge: Edge) -> str:
    return f"{edge.total:,.0f}" + (f" ×{edge.count}" if edge.count > 1 else "")


def _name(account: str) -> str:
    shown = account or "unknown"
    return shown if len(shown) <= _LONGEST_NAME else f"{shown[: _LONGEST_NAME - 1]}…"
