"""All that was read about one account, and what is out of the ordinary in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from flows.fincrime.statistics import quantile
from mcp_servers.transfers import Direction, Party, Side, Transfer

DAY = 86_400.0
PUBLIC = 15
"""A business with so many counterparties before the window deals with the public: a shop, an employer."""
PUBLIC_ANYBODY = 100
"""So does an account with so many, if nobody knows whose it is."""
OUTSIZED = 5.0
"""A transfer of more than so many times what passed that way before is as good as the first one."""
THIN = 12
"""With fewer transfers than this before the window, what peers have counts too."""
_FEW = 3
"""With fewer transfers than this before the window there is no usual amount."""


@dataclass(frozen=True)
class Pair:
    """What one account sent to another before the window."""

    count: int
    total: float
    first: datetime | None
    last: datetime | None


@dataclass(frozen=True)
class Case:
    """An account with its neighbourhood, read within bounds.

    Attributes:
        subject: the account.
        as_of: the moment it is looked at from.
        since: where the window begins; what is earlier is the account's usual behaviour.
        first: where the history begins.
        transfers: of the window, in the order of time, each once: the subject's, and those around it.
        history: the subject's transfers before the window, the newest of them.
        pairs: (sender, receiver) → what passed before the window, for the accounts that were looked at.
        before: account → what came in and went out before the window.
        parties: the registered accounts among those that were looked at.
        threshold: amount in cash from which on a bank must report.
        currency: of all values.
        read: accounts whose own transfers of the window were read.
        warnings: what is wrong with the data.
        cut: what was left out to stay within bounds.
    """

    subject: str
    as_of: datetime
    since: datetime
    first: datetime
    transfers: Sequence[Transfer]
    history: Sequence[Transfer]
    pairs: Mapping[tuple[str, str], Pair]
    before: Mapping[Direction, Mapping[str, Side]]
    parties: Mapping[str, Party]
    threshold: float
    currency: str = "USD"
    read: frozenset[str] = frozenset()
    warnings: Sequence[str] = ()
    cut: Sequence[str] = ()
    window_sides: Mapping[Direction, Side] = field(default_factory=dict)
    """All that came in and went out in the window, counted in the database."""

    @cached_property
    def party(self) -> Party:
        """The subject as it is registered."""
        return self.parties.get(self.subject, Party(id=self.subject, known=False))

    @cached_property
    def incoming(self) -> Sequence[Transfer]:
        """The subject's, of the window; without transfers to itself."""
        return self.received(self.subject)

    @cached_property
    def outgoing(self) -> Sequence[Transfer]:
        """The subject's, of the window; without transfers to itself."""
        return self.sent(self.subject)

    def received(self, account: str) -> Sequence[Transfer]:
        """An account's incoming transfers of the window, as far as they were read."""
        return self._by_receiver.get(account, ())

    def sent(self, account: str) -> Sequence[Transfer]:
        """An account's outgoing transfers of the window, as far as they were read."""
        return self._by_sender.get(account, ())

    @cached_property
    def months(self) -> float:
        """Months of history before the window in which the subject was there."""
        seen = [
            side.first
            for direction in ("in", "out")
            if (side := self.before[direction].get(self.subject)) and side.first
        ]
        begun = max(self.first, min(seen)) if seen else self.since
        return (self.since - begun).total_seconds() / (30.4 * DAY)

    @cached_property
    def monthly(self) -> float:
        """What comes in to the subject in a usual month, by its past or by what employers pay it now."""
        window = max(1.0, days(self.since, self.as_of) / 30.4)
        earned = value(each for each in self.incoming if self.public(each.sender, "out")) / window
        return max(self._monthly_before, earned)

    @cached_property
    def _monthly_before(self) -> float:
        """What came in before the window; else what went out; else what its peers have."""
        for direction in ("in", "out"):
            side = self.before[direction].get(self.subject)
            if side and side.count >= _FEW and side.total > 0:
                thin = max(0.0, 1 - side.count / THIN)
                return max(side.total / max(1.0, self.months), thin * self.peers_monthly)
        return self.peers_monthly

    @cached_property
    def peers_monthly(self) -> float:
        """What comes in to a private counterparty in a usual month; half the threshold if there are none."""
        found = [
            side.total / max(1.0, days(side.first or self.first, self.since) / 30.4)
            for account, side in self.before["in"].items()
            if account != self.subject and not self.business(account) and side.count >= _FEW
        ]
        return quantile(found, 0.5) or self.threshold / 2

    @cached_property
    def floor(self) -> float:
        """A transfer below this is one of the subject's usual small ones."""
        usual = [each.value for each in self.history if each.value]
        own = quantile(usual, 0.75) if len(usual) >= _FEW else 0.0
        return max(min(own, self.monthly / 4), self.monthly / 40)

    def established(self, sender: str, receiver: str) -> bool:
        """Whether money passed that way before the window."""
        return (sender, receiver) in self.pairs

    def own(self, account: str) -> bool:
        """Whether an account is the same customer's as the subject."""
        other = self.parties.get(account)
        return bool(other and other.customer and other.customer == self.party.customer)

    def business(self, account: str) -> bool:
        """Whether an account is known to be a business's."""
        party = self.parties.get(account)
        return bool(party and party.business)

    def public(self, account: str, direction: Direction) -> bool:
        """Whether very many pay to an account (`in`), or it pays to very many (`out`), always."""
        side = self.before[direction].get(account)
        least = PUBLIC if self.business(account) else PUBLIC_ANYBODY
        return bool(side and side.counterparties >= least)

    def new(self, transfer: Transfer) -> bool:
        """Whether a transfer joins two customers' accounts for the first time, or outdoes all before."""
        if not transfer.sender or not transfer.receiver or transfer.sender == transfer.receiver:
            return False
        one, other = self.parties.get(transfer.sender), self.parties.get(transfer.receiver)
        if one and other and one.customer and one.customer == other.customer:
            return False
        pair = self.pairs.get((transfer.sender, transfer.receiver))
        return pair is None or (transfer.value or 0.0) > OUTSIZED * pair.total / max(pair.count, 1)

    @cached_property
    def unusual_in(self) -> Sequence[Transfer]:
        """Notable sums from new senders that do not pay very many."""
        return [each for each in self.incoming if self._unusual(each, each.sender, "out")]

    @cached_property
    def unusual_out(self) -> Sequence[Transfer]:
        """Notable sums to new receivers whom not very many pay."""
        return [each for each in self.outgoing if self._unusual(each, each.receiver, "in")]

    def _unusual(self, transfer: Transfer, far: str, role: Direction) -> bool:
        return (
            transfer.value is not None
            and transfer.value >= self.floor
            and self.new(transfer)
            and not self.public(far, role)
        )

    @cached_property
    def _by_sender(self) -> Mapping[str, Sequence[Transfer]]:
        return _grouped((each.sender, each) for each in self.transfers)

    @cached_property
    def _by_receiver(self) -> Mapping[str, Sequence[Transfer]]:
        return _grouped((each.receiver, each) for each in self.transfers)


def value(transfers: Iterable[Transfer]) -> float:
    """Their sum in the reporting currency."""
    return sum(each.value or 0.0 for each in transfers)


def days(earlier: datetime, later: datetime) -> float:
    """Days from one moment to another."""
    return (later - earlier).total_seconds() / DAY


def _grouped(pairs: Iterable[tuple[str, Transfer]]) -> dict[str, list[Transfer]]:
    grouped: dict[str, list[Transfer]] = {}
    for account, transfer in pairs:
        if account and transfer.sender != transfer.receiver:
            grouped.setdefault(account, []).append(transfer)
    return grouped
