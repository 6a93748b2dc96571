"""Reads an account's neighbourhood from the warehouse, within bounds, and tells what was left out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from blocks.warehouse import WarehouseError
from flows.fincrime.case import Case, Pair, value
from flows.fincrime.statistics import quantile
from mcp_servers.graph import Graph, Period
from mcp_servers.transfers import Direction, Party, Side, Transfer

MOST_OWN = 3000
"""The subject's transfers that are read, in each direction, of the window and of the history before it."""
MOST_PAIRS = 3000
"""Counterparties of the history that are remembered, in each direction."""
MOST_AROUND = 6000
"""Transfers of one step around the subject."""
MOST_ACCOUNTS = 150
"""Accounts of one step whose transfers are read."""
HUB = 400
"""An account with more transfers than this in the window is not followed: half the bank lies behind it."""
STEPS = 4
"""Steps that are followed away from the subject, forth and back."""
FOLLOWED = 0.2
"""Only transfers of at least this share of the subject's usual unusual one are followed beyond a step."""

_DIRECTIONS: tuple[Direction, Direction] = ("in", "out")


@dataclass(frozen=True)
class Look:
    """From when on, and how far back."""

    as_of: datetime
    window: timedelta
    history: timedelta
    threshold: float

    @property
    def since(self) -> datetime:
        """Where the window begins."""
        return self.as_of - self.window

    @property
    def first(self) -> datetime:
        """Where the history begins."""
        return self.since - self.history


@dataclass
class _Found:
    """What was read so far."""

    transfers: dict[tuple[str, datetime, str, str, float], Transfer] = field(default_factory=dict)
    pairs: dict[tuple[str, str], Pair] = field(default_factory=dict)
    sides: dict[Direction, dict[str, Side]] = field(default_factory=lambda: {"in": {}, "out": {}})
    read: set[str] = field(default_factory=set)
    repeated: int = 0
    cut: list[str] = field(default_factory=list)

    def add(self, transfers: Iterable[Transfer], own: bool = False) -> None:
        for each in transfers:
            key = (each.id, each.time, each.sender, each.receiver, each.amount)
            if own and key in self.transfers and each.sender != each.receiver:
                self.repeated += 1
            self.transfers[key] = each


def gather(graph: Graph, subject: str, look: Look) -> Case:
    """The case of an account.

    Raises:
        WarehouseError: the account is unknown and has no transfer, or the warehouse can't be read.
    """
    found = _Found()
    window, past = Period(look.since, look.as_of), Period(look.first, look.since)
    parties = graph.parties([subject])
    history = _own(graph, subject, window, past, found)
    _known(graph, subject, parties)
    sides: dict[Direction, Side] = {
        direction: graph.sides([subject], direction, window).get(subject, Side()) for direction in _DIRECTIONS
    }
    _told(found, sides)
    for direction in _DIRECTIONS:
        found.sides[direction] |= graph.sides([subject], direction, past)
    own = sorted(found.transfers.values(), key=lambda one: (one.time, one.id))
    _describe(graph, found, parties, past, _accounts(own))
    draft = _case(subject, look, graph, found, parties, history, sides)
    unusual = [*draft.unusual_in, *draft.unusual_out]
    if unusual:
        least = FOLLOWED * quantile([each.value or 0.0 for each in unusual], 0.5)
        _around(graph, draft, found, parties, window, past, least)
    return _case(subject, look, graph, found, parties, history, sides, graph.malformed(subject))


def _own(graph: Graph, subject: str, window: Period, past: Period, found: _Found) -> list[Transfer]:
    history: list[Transfer] = []
    for direction in _DIRECTIONS:
        rows, cut = graph.moved(direction, [subject], window, MOST_OWN)
        found.add(rows, own=True)
        if cut:
            way = "incoming" if direction == "in" else "outgoing"
            found.cut.append(
                f"only the newest {MOST_OWN} {way} transfers of the window were looked at singly"
            )
        older, _ = graph.moved(direction, [subject], past, MOST_OWN)
        history += older
        known, all_ = graph.neighbours(subject, direction, past, MOST_PAIRS)
        if all_ > len(known):
            found.cut.append(
                f"of {all_} counterparties before the window ({direction}), the {MOST_PAIRS} with the "
                "largest sums are remembered"
            )
        for each in known:
            pair = (each.counterparty, subject) if direction == "in" else (subject, each.counterparty)
            found.pairs[pair] = Pair(each.count, each.total, each.first, each.last)
    found.read.add(subject)
    return sorted(history, key=lambda one: (one.time, one.id))


def _known(graph: Graph, subject: str, parties: dict[str, Party]) -> None:
    if subject in parties:
        return
    if any(graph.sides([subject], direction, Period()) for direction in _DIRECTIONS):
        return
    raise WarehouseError(f"there is no account {subject[:100]!r}: no transfer and no registration names it")


def _told(found: _Found, sides: dict[Direction, Side]) -> None:
    for direction, side in sides.items():
        if side.counterparties > MOST_ACCOUNTS:
            found.cut.append(
                f"of {side.counterparties} counterparties of the window ({direction}), the "
                f"{MOST_ACCOUNTS} with the largest unusual sums were looked at themselves"
            )


def _around(
    graph: Graph,
    draft: Case,
    found: _Found,
    parties: dict[str, Party],
    window: Period,
    past: Period,
    least: float,
) -> None:
    """Follows the unusual transfers: forth from those whom the subject paid, back from those who paid it.

    Next to the subject both ways are read; further away only the way that leads on, and only large sums.
    """
    ways: tuple[tuple[Direction, Direction, Sequence[Transfer]], ...] = (
        ("out", "in", draft.unusual_out),
        ("in", "out", draft.unusual_in),
    )
    for onward, backward, begun in ways:
        far = [each.receiver if onward == "out" else each.sender for each in begun]
        edge = _largest(far, begun, onward)
        for step in range(1, STEPS + 1):
            edge = _passable(graph, edge, found, window)
            if not edge:
                break
            fresh = _read(graph, onward, edge, window, least, found)
            if step == 1:
                beside = _read(graph, backward, edge, window, least, found)
                fresh += beside + _funders(graph, onward, beside, window, least, found, draft)
            found.read |= set(edge)
            _describe(graph, found, parties, past, _accounts(fresh), edge)
            ends = [each.receiver if onward == "out" else each.sender for each in fresh if draft.new(each)]
            edge = [each for each in _largest(ends, fresh, onward) if each not in found.read]


def _funders(
    graph: Graph,
    onward: Direction,
    beside: Sequence[Transfer],
    window: Period,
    least: float,
    found: _Found,
    draft: Case,
) -> list[Transfer]:
    """What others who paid the same accounts as the subject had taken in before."""
    if onward == "in":
        return []
    senders = [each.sender for each in beside if draft.new(each) and each.sender not in found.read]
    edge = _passable(graph, _largest(senders, beside, "in"), found, window)
    return _read(graph, "in", edge, window, least, found) if edge else []


def _read(
    graph: Graph, direction: Direction, accounts: Sequence[str], window: Period, least: float, found: _Found
) -> list[Transfer]:
    rows, cut = graph.moved(direction, accounts, window, MOST_AROUND, least)
    if cut:
        found.cut.append(f"around the account, only {MOST_AROUND} transfers of a step were looked at")
    found.add(rows)
    return rows


def _passable(graph: Graph, accounts: Sequence[str], found: _Found, window: Period) -> list[str]:
    """Without accounts that have too many transfers to follow."""
    counts: dict[str, int] = {}
    for direction in _DIRECTIONS:
        for account, side in graph.sides(accounts, direction, window).items():
            counts[account] = counts.get(account, 0) + side.count
    hubs = [account for account in accounts if counts.get(account, 0) > HUB]
    if hubs:
        more = f" and {len(hubs) - 3} more" if len(hubs) > 3 else ""
        found.cut.append(f"not followed, for having over {HUB} transfers: {', '.join(hubs[:3])}{more}")
    return [account for account in accounts if account not in hubs]


def _largest(accounts: Iterable[str], transfers: Sequence[Transfer], onward: Direction) -> list[str]:
    totals: dict[str, float] = {account: 0.0 for account in accounts if account}
    for each in transfers:
        far = each.receiver if onward == "out" else each.sender
        if far in totals:
            totals[far] += value([each])
    return sorted(totals, key=lambda account: (-totals[account], account))[:MOST_ACCOUNTS]


def _describe(
    graph: Graph,
    found: _Found,
    parties: dict[str, Party],
    past: Period,
    accounts: Iterable[str],
    linked: Sequence[str] = (),
) -> None:
    """Registration and earlier behaviour of accounts, and who of `linked` knew whom."""
    missing = [each for each in dict.fromkeys(accounts) if each not in parties]
    parties |= graph.parties(missing)
    for direction in _DIRECTIONS:
        fresh = [each for each in dict.fromkeys(accounts) if each not in found.sides[direction]]
        found.sides[direction] |= {each: Side() for each in fresh}
        found.sides[direction] |= graph.sides(fresh, direction, past)
    for direction in _DIRECTIONS if linked else ():
        for link in graph.links(direction, linked, past, MOST_AROUND):
            found.pairs.setdefault(
                (link.sender, link.receiver), Pair(link.transfers, link.total, None, link.last)
            )


def _accounts(transfers: Iterable[Transfer]) -> list[str]:
    return list(dict.fromkeys(end for each in transfers for end in (each.sender, each.receiver) if end))


def _case(
    subject: str,
    look: Look,
    graph: Graph,
    found: _Found,
    parties: dict[str, Party],
    history: Sequence[Transfer],
    sides: dict[Direction, Side],
    malformed: int = 0,
) -> Case:
    transfers = sorted(found.transfers.values(), key=lambda one: (one.time, one.id))
    return Case(
        subject=subject,
        as_of=look.as_of,
        since=look.since,
        first=look.first,
        transfers=transfers,
        history=history,
        pairs=dict(found.pairs),
        before={direction: dict(found.sides[direction]) for direction in _DIRECTIONS},
        parties=dict(parties),
        threshold=look.threshold,
        currency=graph.currency,
        read=frozenset(found.read),
        warnings=_warnings(subject, transfers, found, sides, parties, malformed),
        cut=list(dict.fromkeys(found.cut)),
        window_sides=sides,
    )


def _warnings(
    subject: str,
    transfers: Sequence[Transfer],
    found: _Found,
    sides: dict[Direction, Side],
    parties: dict[str, Party],
    malformed: int,
) -> list[str]:
    own = [each for each in transfers if subject in (each.sender, each.receiver)]
    ids: dict[str, int] = {}
    for each in own:
        ids[each.id] = ids.get(each.id, 0) + 1
    counts = (
        (malformed, "transfers whose time can't be read; they are left out"),
        (
            sum(side.unpriced for side in sides.values()),
            "transfers in a currency without a rate; they add to no sum",
        ),
        (
            sum(each.sender == each.receiver for each in own),
            "transfers to itself; they are left out of every shape",
        ),
        (
            found.repeated,
            "transfers that stand in the warehouse twice; each counts once, and twice in the window's sums",
        ),
        (
            sum(count > 1 for count in ids.values()),
            "ids that stand for several different transfers; all of them count",
        ),
        (sum(each.amount < 0 for each in own), "transfers with an amount below zero"),
    )
    unknown = [] if subject in parties else [f"{subject} is not in the table of accounts"]
    return [*unknown, *(f"{subject} has {count} {what}" for count, what in counts if count)]
