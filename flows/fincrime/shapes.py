"""Shapes that money takes around an account: each detector measures one, and what speaks for and against it.

A score lies between 0 and 1. No size or amount is suspicious by itself here, apart from the reporting
threshold: all is measured against the account's own past, and against chance.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise

from flows.fincrime.case import Case, days, value
from flows.fincrime.models import Kind
from flows.fincrime.statistics import quantile, ramp, rarity
from mcp_servers.transfers import Direction, Transfer

WIDTHS = (2.0, 7.0, 21.0, 45.0)
"""Days of the bunches that are looked for."""
REST = timedelta(days=14)
"""Money that rests longer with an account is no longer passed on."""
KEPT = 0.3
"""Who keeps a larger share does not pass money on."""
LEAST_FAN = 4
"""Counterparties that make a fan."""
SMALL = (0.03, 0.12)
"""Shares of a usual month: transfers of the first are gifts and bills, those of the second no longer."""
NEAR = 0.75
"""Cash from this share of the threshold on, and below it, is just under it."""
YOUNG = 90.0
"""Days since an account was opened, or first used, within which it is new."""
SLEEP = 60.0
"""Days without a transfer from which on an account may be dormant."""
MOST_HOPS = 9
MOST_WALKS = 20_000
"""Steps of the search for a cycle."""


@dataclass(frozen=True)
class Measured:
    """One indicator: what was measured, and what is usual here, if anything is."""

    name: str
    value: float
    usual: float | None = None


@dataclass(frozen=True)
class Shape:
    """What a detector found.

    Attributes:
        score: how well the transfers fit, 0 to 1.
        transfers: those that make it.
        against: what speaks against it.
    """

    kind: Kind
    score: float
    indicators: Sequence[Measured] = ()
    transfers: Sequence[Transfer] = ()
    against: Sequence[str] = field(default_factory=tuple)


@dataclass(frozen=True)
class Fan:
    """A bunch of transfers with many new counterparties at once."""

    transfers: Sequence[Transfer]
    count: int
    expected: float
    width: float

    @property
    def rarity(self) -> float:
        """How rare so many are, by the account's own past."""
        return rarity(self.count, self.expected)

    @property
    def total(self) -> float:
        """What was moved."""
        return value(self.transfers)


def shapes(case: Case) -> list[Shape]:
    """Everything that was found, the best fitting first."""
    incoming, outgoing = fan(case, "in"), fan(case, "out")
    found = [
        _fan_shape(case, incoming, "fan_in"),
        _fan_shape(case, outgoing, "fan_out"),
        _gather_scatter(case, incoming, outgoing),
        _scatter_gather(case),
        _cycle(case),
        _bipartite(case),
        _pass_through(case),
        _mules(case),
        _stack(case),
        _structuring(case),
        _dormant(case),
        _corridor(case),
    ]
    return sorted((each for each in found if each.score > 0), key=lambda shape: (-shape.score, shape.kind))


def fan(case: Case, direction: Direction) -> Fan:
    """The bunch with the most surprising number of new counterparties."""
    unusual = case.unusual_in if direction == "in" else case.unusual_out
    rate = _newcomers(case, direction)
    best = Fan((), 0, 0.0, 0.0)
    for width in WIDTHS:
        for start in unusual:
            inside = [each for each in unusual if 0 <= days(start.time, each.time) <= width]
            count = len({_far(each, direction) for each in inside})
            found = Fan(inside, count, rate * width + 0.5, width)
            if (found.rarity, found.count) > (best.rarity, best.count):
                best = found
    return best


def material(case: Case, amount: float) -> float:
    """How much an amount is for this account: 0 for a usual week or so, 1 for a month and a half."""
    return ramp(amount / max(case.monthly, 1.0), 0.3, 1.5)


def passed_on(
    received: Sequence[Transfer], sent: Sequence[Transfer]
) -> tuple[float, list[Transfer], list[Transfer]]:
    """Which incoming money left again within `REST`, first in, first out: its sum, and the transfers.

    The sum counts what left, at most what had come in.
    """
    ordered = sorted(received, key=lambda one: one.time)
    left = [each.value or 0.0 for each in ordered]
    total = 0.0
    came: dict[int, Transfer] = {}
    went: list[Transfer] = []
    for out in sorted(sent, key=lambda one: one.time):
        wanted, matched = out.value or 0.0, 0.0
        for place, source in enumerate(ordered):
            if left[place] <= 0 or not timedelta(0) <= out.time - source.time <= REST:
                continue
            part = min(wanted - matched, left[place])
            left[place] -= part
            matched += part
            came[place] = source
            if matched >= wanted:
                break
        if matched >= 0.5 * wanted > 0:
            total += matched
            went.append(out)
    return total, list(came.values()), went


def _far(transfer: Transfer, direction: Direction) -> str:
    return transfer.sender if direction == "in" else transfer.receiver


def _newcomers(case: Case, direction: Direction) -> float:
    """New counterparties of notable sums a day, in the later part of the history."""
    past = [
        each for each in case.history if (each.receiver if direction == "in" else each.sender) == case.subject
    ]
    if not past:
        return 0.0
    begin = past[0].time + (case.since - past[0].time) / 3
    span = max(days(begin, case.since), 1.0)
    seen: set[str] = set()
    fresh = 0
    for each in past:
        far = _far(each, direction)
        if far and far not in seen and each.time >= begin and (each.value or 0) >= case.floor:
            fresh += 1
        seen.add(far)
    return fresh / span


def _fan_shape(case: Case, found: Fan, kind: Kind) -> Shape:
    if found.count < LEAST_FAN:
        return Shape(kind, 0.0)
    each_one = quantile([each.value or 0.0 for each in found.transfers], 0.5) / max(case.monthly, 1.0)
    score = ramp(found.rarity, 1.0, 3.5) * (0.3 + 0.7 * material(case, found.total))
    score *= 0.5 + 0.5 * ramp(each_one, *SMALL)
    against = []
    businesses = sum(
        case.business(_far(each, "in" if kind == "fan_in" else "out")) for each in found.transfers
    )
    if businesses * 2 > len(found.transfers):
        score *= 0.6
        against.append("most of the counterparties are businesses")
    if case.party.business:
        score *= 0.75
        against.append("the account is a business's, which deals with new counterparties")
    return Shape(
        kind,
        score,
        (
            Measured("new counterparties", found.count, round(found.expected, 2)),
            Measured("within days", found.width),
            Measured("sum", round(found.total, 2), round(case.monthly, 2)),
            Measured("one of them, in usual months", round(each_one, 3)),
            Measured("rarity (−log10 of its chance)", round(found.rarity, 2)),
        ),
        found.transfers,
        tuple(against),
    )


def _gather_scatter(case: Case, incoming: Fan, outgoing: Fan) -> Shape:
    received, sent = incoming.transfers, outgoing.transfers
    if min(incoming.count, outgoing.count) < 3:
        return Shape("gather_scatter", 0.0)
    came, went = value(received), value(sent)
    middle_in = sorted(each.time for each in received)[len(received) // 2]
    middle_out = sorted(each.time for each in sent)[len(sent) // 2]
    ratio = min(came, went) / max(came, went)
    balance = ramp(ratio, 0.35, 0.7)
    order = 1.0 if middle_out > middle_in else 0.3
    rare = ramp(incoming.rarity + outgoing.rarity, 2.0, 6.0)
    score = rare * balance * order * (0.3 + 0.7 * material(case, min(came, went)))
    return Shape(
        "gather_scatter",
        score,
        (
            Measured("new senders", incoming.count, round(incoming.expected, 2)),
            Measured("new receivers", outgoing.count, round(outgoing.expected, 2)),
            Measured("share that left again", round(min(1.0, went / came), 3)),
            Measured("sum", round(came, 2), round(case.monthly, 2)),
        ),
        [*received, *sent],
        () if order == 1.0 else ("most of the money left before most of it came",),
    )


def _scatter_gather(case: Case) -> Shape:
    """The subject may be the source, the target, or one of those in between."""
    best = Shape("scatter_gather", 0.0)
    sources = {case.subject, *(each.sender for each in case.unusual_in)}
    targets = {case.subject, *(each.receiver for each in case.unusual_out)}
    targets |= {
        out.receiver for each in case.unusual_out for out in case.sent(each.receiver) if case.new(out)
    }
    sources |= {
        into.sender for each in case.unusual_in for into in case.received(each.sender) if case.new(into)
    }
    for source in sorted(sources):
        if source not in case.read:
            continue
        ways = _ways(case, source)
        for target, through in ways.items():
            members = {source, target, *through}
            if target == source or target not in targets | {case.subject} or case.subject not in members:
                continue
            found = _between(case, source, target, through)
            if found.score > best.score:
                best = found
    return best


def _ways(case: Case, source: str) -> dict[str, dict[str, tuple[list[Transfer], list[Transfer]]]]:
    """Target → those in between that passed on to it what they had from the source."""
    ways: dict[str, dict[str, tuple[list[Transfer], list[Transfer]]]] = {}
    by_middle: dict[str, list[Transfer]] = {}
    for each in case.sent(source):
        if case.new(each) and (each.value or 0) >= case.floor:
            by_middle.setdefault(each.receiver, []).append(each)
    for middle, received in by_middle.items():
        by_target: dict[str, list[Transfer]] = {}
        for out in case.sent(middle):
            if case.new(out) and out.receiver != source and not case.public(out.receiver, "in"):
                by_target.setdefault(out.receiver, []).append(out)
        for target, sent in by_target.items():
            total, came, went = passed_on(received, sent)
            if total >= (1 - KEPT) * value(came) > 0:
                ways.setdefault(target, {})[middle] = (came, went)
    return ways


def _between(
    case: Case, source: str, target: str, through: dict[str, tuple[list[Transfer], list[Transfer]]]
) -> Shape:
    if len(through) < 3:
        return Shape("scatter_gather", 0.0)
    used = [each for came, went in through.values() for each in (*came, *went)]
    total = sum(value(went) for _, went in through.values())
    score = ramp(len(through), 2.0, 4.0) * (0.5 + 0.5 * material(case, total))
    indicators = (
        Measured("accounts in between", len(through), 0),
        Measured("sum that arrived", round(total, 2), round(case.monthly, 2)),
        Measured("share that arrived", round(total / value(e for c, _ in through.values() for e in c), 3)),
    )
    return Shape("scatter_gather", score, indicators, used)


def _cycle(case: Case) -> Shape:
    """Money that comes back through others, each sending on about what it got.

    The subject need not be the one who began: the ring may close before the money reaches it again.
    """
    best: list[Transfer] = []
    walks = 0

    def follow(path: list[Transfer], wrapped: bool) -> None:
        nonlocal best, walks
        last = path[-1]
        if last.receiver == case.subject:
            if len(path) >= 3 and len(path) > len(best):
                best = list(path)
            return
        if len(path) >= MOST_HOPS:
            return
        for onward in case.sent(last.receiver):
            walks += 1
            if walks > MOST_WALKS:
                return
            if _fresh_step(case, path, onward):
                if _goes_on(last, onward):
                    if not wrapped or onward.time <= path[0].time:
                        follow([*path, onward], wrapped)
                elif not wrapped and _begins(path, onward):
                    follow([*path, onward], True)

    for begun in case.unusual_out:
        follow([begun], False)
    if not best:
        return Shape("cycle", 0.0)
    ring = sorted(best, key=lambda one: one.time)
    kept = 1 - (ring[-1].value or 0) / max(ring[0].value or 0, 0.01)
    pace = days(ring[0].time, ring[-1].time) / max(len(ring) - 1, 1)
    score = ramp(len(ring), 2.0, 3.0) * (0.55 + 0.45 * material(case, 1.5 * (ring[0].value or 0)))
    return Shape(
        "cycle",
        score,
        (
            Measured("accounts in the ring", len(ring), 0),
            Measured("sum that set out", round(ring[0].value or 0, 2), round(case.monthly, 2)),
            Measured("share lost on the way", round(kept, 3)),
            Measured("days a step", round(pace, 2)),
        ),
        ring,
    )


def _fresh_step(case: Case, path: Sequence[Transfer], onward: Transfer) -> bool:
    """Whether a transfer leads to somebody who is not on the path, or back to its begin."""
    visited = {each.sender for each in path}
    return case.new(onward) and (onward.receiver == case.subject or onward.receiver not in visited)


def _goes_on(last: Transfer, onward: Transfer) -> bool:
    """Whether a transfer passes on about what came before."""
    amount, before = onward.value or 0.0, last.value or 0.0
    return timedelta(0) <= onward.time - last.time <= REST and (1 - KEPT) * before <= amount <= 1.02 * before


def _begins(path: Sequence[Transfer], onward: Transfer) -> bool:
    """Whether the money of a path may have set out with this transfer, before it reached the path's begin."""
    amount, first, last = onward.value or 0.0, path[0].value or 0.0, path[-1].value or 0.0
    early = timedelta(0) <= path[0].time - onward.time <= REST * 2
    return early and 0.98 * first <= amount and last <= amount <= last / (1 - KEPT) ** 3


def _bipartite(case: Case) -> Shape:
    """Several accounts that all pay several others: senders share receivers that they never had before."""
    best = Shape("bipartite", 0.0)
    for direction in ("in", "out"):
        near = case.unusual_in if direction == "in" else case.unusual_out
        peers = {_far(each, direction) for each in near}
        shared: dict[str, dict[str, list[Transfer]]] = {}
        for peer in peers & case.read:
            for each in case.sent(peer) if direction == "in" else case.received(peer):
                other = each.receiver if direction == "in" else each.sender
                role: Direction = "in" if direction == "in" else "out"
                fresh = other != case.subject and case.new(each) and not case.public(other, role)
                if fresh and (each.value or 0) >= case.floor:
                    shared.setdefault(other, {}).setdefault(peer, []).append(each)
        common = {other: by for other, by in shared.items() if len(by) >= max(2, len(peers) / 2)}
        if len(peers) < 2 or not common:
            continue
        used = [*near, *(each for by in common.values() for found in by.values() for each in found)]
        links = len(peers) + sum(len(by) for by in common.values())
        total = value(near)
        score = ramp(links, 2.5, 7.0) * (0.5 + 0.5 * material(case, 2 * total))
        indicators = (
            Measured("accounts on the other side", len(peers)),
            Measured("accounts beside this one", len(common), 0),
            Measured("new links among them", links, 0),
            Measured("sum of this one", round(total, 2), round(case.monthly, 2)),
        )
        if score > best.score:
            best = Shape("bipartite", score, indicators, used)
    return best


def _pass_through(case: Case) -> Shape:
    total, came, went = passed_on(case.unusual_in, case.unusual_out)
    if not went:
        return Shape("pass_through", 0.0)
    received = value(case.unusual_in)
    rounds = min(len(came), len(went))
    share = total / received if received else 0.0
    ends = len({each.sender for each in came}) + len({each.receiver for each in went})
    score = (
        ramp(share, 0.3, 0.75)
        * max(ramp(rounds, 0.5, 2.5), 0.8 * ramp(ends, 2.0, 4.0))
        * (0.35 + 0.65 * material(case, total))
    )
    against = []
    if rounds == 1:
        score *= 0.5
        against.append("it happened once; a single large purchase looks the same")
    if went and all(case.business(each.receiver) for each in went):
        score *= 0.6
        against.append("all of it went to businesses")
    if came and all(case.business(each.sender) for each in came):
        score *= 0.6
        against.append("all of it came from businesses")
    hours = [
        min(
            ((out.time - into.time).total_seconds() / 3600 for into in came if into.time <= out.time),
            default=0.0,
        )
        for out in went
    ]
    return Shape(
        "pass_through",
        score,
        (
            Measured("share of new money that left again", round(share, 3)),
            Measured("sum that left again", round(total, 2), round(case.monthly, 2)),
            Measured("times", rounds, 0),
            Measured("hours it rested, median", round(sorted(hours)[len(hours) // 2], 1)),
        ),
        [*came, *went],
        tuple(against),
    )


def _mules(case: Case) -> Shape:
    """New accounts that hand strangers' money to one collector: the subject is one of them, or collects."""
    best = Shape("mule_network", 0.0)
    collectors = {case.subject, *(each.receiver for each in case.unusual_out)}
    for collector in sorted(collectors):
        if collector not in case.read and collector != case.subject:
            continue
        mules = {}
        for sender in {each.sender for each in case.received(collector) if case.new(each)}:
            handed = _handed_on(case, sender, collector)
            if handed:
                mules[sender] = handed
        if len(mules) < 3 or case.subject not in {collector, *mules}:
            continue
        young = [mule for mule in mules if _age(case, mule) <= YOUNG]
        used = [each for handed in mules.values() for each in handed]
        total = value(each for each in used if each.receiver == collector)
        victims = {each.sender for each in used if each.receiver != collector}
        spread = len(victims) / len(mules)
        score = (
            ramp(len(young), 1.0, 3.0)
            * ramp(spread, 0.5, 1.2)
            * (0.6 + 0.4 * material(case, 2 * total / (len(mules) if case.subject != collector else 1)))
        )
        indicators = (
            Measured("accounts that hand on to one", len(mules), 0),
            Measured("of them opened lately", len(young), 0),
            Measured("strangers who paid them", len(victims)),
            Measured("sum handed on", round(total, 2), round(case.monthly, 2)),
        )
        if score > best.score:
            best = Shape("mule_network", score, indicators, used)
    return best


def _stack(case: Case) -> Shape:
    """A layer: others beside the subject take in from the same senders, and hand on to the same receivers."""
    total, came, went = passed_on(case.unusual_in, case.unusual_out)
    sources, targets = {each.sender for each in came}, {each.receiver for each in went}
    received = _linked(case, [each for one in sources for each in case.sent(one)], "out")
    sent = _linked(case, [each for one in targets for each in case.received(one)], "in")
    layer = sorted((received.keys() & sent.keys()) - {case.subject} - sources - targets)
    if not layer or not total:
        return Shape("stack", 0.0)
    beside = [each for account in layer for each in (*received[account], *sent[account])]
    share = total / value(case.unusual_in)
    links = len(beside)
    score = ramp(links, 1.0, 4.0) * ramp(share, 0.3, 0.75) * (0.5 + 0.5 * material(case, 2 * total))
    return Shape(
        "stack",
        score,
        (
            Measured("accounts in the same layer", len(layer), 0),
            Measured("their links with the same senders and receivers", links, 0),
            Measured("share of new money that left again", round(share, 3)),
            Measured("sum that left again", round(total, 2), round(case.monthly, 2)),
        ),
        [*came, *went, *beside],
    )


def _linked(case: Case, transfers: Sequence[Transfer], direction: Direction) -> dict[str, list[Transfer]]:
    """Notable new transfers by the account that they lead to (`out`) or come from (`in`)."""
    found: dict[str, list[Transfer]] = {}
    for each in transfers:
        if case.new(each) and (each.value or 0) >= case.floor:
            found.setdefault(each.receiver if direction == "out" else each.sender, []).append(each)
    return found


def _handed_on(case: Case, account: str, collector: str) -> list[Transfer]:
    """What an account took in from new senders and handed to the collector; nothing if it kept most of it."""
    received = [each for each in case.received(account) if case.new(each) and each.sender != collector]
    sent = [each for each in case.sent(account) if each.receiver == collector and case.new(each)]
    total, came, went = passed_on(received, sent)
    return [*came, *went] if total >= (1 - KEPT) * value(came) > 0 else []


def _age(case: Case, account: str) -> float:
    """Days since an account was opened; else since its first transfer."""
    party = case.parties.get(account)
    if party and party.opened_at:
        return days(party.opened_at, case.as_of)
    known = [side.first for way in ("in", "out") if (side := case.before[way].get(account)) and side.first]
    return days(min(known), case.as_of) if known else 0.0


def _structuring(case: Case) -> Shape:
    cash = [each for each in case.incoming if each.cash]
    near = [each for each in cash if NEAR * case.threshold <= (each.value or 0) < case.threshold]
    above = [each for each in cash if (each.value or 0) >= case.threshold]
    bunch = _densest(near, 21.0)
    if len(bunch) < 3:
        return Shape("structuring", 0.0)
    before = [each for each in case.history if each.receiver == case.subject and each.cash]
    near_before = sum(NEAR * case.threshold <= (each.value or 0) < case.threshold for each in before)
    span = max(
        days(case.first, case.since) if not case.history else days(case.history[0].time, case.since), 30.0
    )
    expected = near_before / span * 21.0 + 0.3
    large = [each for each in cash if (each.value or 0) >= NEAR / 1.5 * case.threshold]
    concentrated = len(near) / max(len(large), 1)
    score = ramp(rarity(len(bunch), expected), 0.8, 2.5) * ramp(concentrated, 0.4, 0.75)
    against = [f"{len(above)} deposits are above the threshold, and were reported"] if above else []
    if above:
        score *= 0.7
    return Shape(
        "structuring",
        score,
        (
            Measured("cash just under the threshold", len(bunch), round(expected, 2)),
            Measured("threshold", case.threshold),
            Measured("sum", round(value(bunch), 2), round(case.monthly, 2)),
            Measured("share of all large cash", round(concentrated, 3)),
        ),
        bunch,
        tuple(against),
    )


def _densest(transfers: Sequence[Transfer], width: float) -> list[Transfer]:
    bunches = (
        [each for each in transfers if 0 <= days(start.time, each.time) <= width] for start in transfers
    )
    return max(bunches, key=len, default=[])


def _dormant(case: Case) -> Shape:
    own = sorted((*case.incoming, *case.outgoing), key=lambda one: one.time)
    if not own:
        return Shape("dormant", 0.0)
    moments = [each.time for each in case.history[-1:]] + [each.time for each in own]
    begun = moments[0] if case.history else None
    if begun is None:
        return Shape("dormant", 0.0)
    opened = case.party.opened_at
    gaps = [(days(max(a, opened) if opened else a, b), b) for a, b in pairwise(moments)]
    gap, woken = max(gaps, default=(0.0, case.as_of))
    after = [each for each in own if each.time >= woken]
    fresh = [each for each in after if each in case.unusual_in or each in case.unusual_out or each.cash]
    total = max(
        value(each for each in fresh if each.receiver == case.subject),
        value(each for each in fresh if each.sender == case.subject),
    )
    score = ramp(gap, SLEEP, SLEEP + 30) * (0.2 + 0.8 * material(case, total))
    return Shape(
        "dormant",
        score,
        (
            Measured("days asleep", round(gap, 1)),
            Measured("sum with new counterparties since", round(total, 2), round(case.monthly, 2)),
            Measured("transfers since", len(after)),
        ),
        fresh,
    )


def _corridor(case: Case) -> Shape:
    """A country that the account never dealt with, for more than its income carries."""
    home = case.party.country
    past = {case.parties[far].country for far in _past(case) if far in case.parties}
    by_country: dict[str, list[Transfer]] = {}
    for each in case.outgoing:
        party = case.parties.get(each.receiver)
        country = party.country if party else ""
        if country and country != home and country not in past and case.new(each):
            by_country.setdefault(country, []).append(each)
    best = Shape("corridor", 0.0)
    for found in by_country.values():
        total, span = value(found), max(days(found[0].time, found[-1].time), 7.0)
        a_month = total / max(span / 30.4, 1.0)
        share = a_month / max(case.monthly, 1.0)
        persons = all(not case.business(each.receiver) for each in found)
        score = ramp(share, 0.5, 1.5) * ramp(len(found), 0.5, 2.5)
        against = ["it goes to private persons, as support for a family does"] if persons else []
        score *= 0.55 if persons else 1.0
        if score > best.score:
            indicators = (
                Measured("transfers to a new country", len(found), 0),
                Measured("sum", round(total, 2), round(case.monthly, 2)),
                Measured("a month, in usual months' income", round(share, 2)),
            )
            best = Shape("corridor", score, indicators, found, tuple(against))
    return best


def _past(case: Case) -> Iterable[str]:
    return {receiver for sender, receiver in case.pairs if sender == case.subject}
