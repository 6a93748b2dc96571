"""Laundering as it is planted: the typologies of IBM's AML simulator, and four more that banks look for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from flows.fincrime.sample.town import FAR, Account, Town

THRESHOLD = 10_000.0
"""Cash of so much must be reported."""


@dataclass(frozen=True)
class Planted:
    """What was planted.

    Attributes:
        name: the typology.
        subject: the account that the alert names.
        places: of its transfers.
    """

    name: str
    subject: str
    members: tuple[str, ...]
    places: tuple[int, ...]


class _Plot:
    """One pattern while it is drawn."""

    def __init__(self, town: Town) -> None:
        self.town, self.rng, self.setting = town, town.rng, town.setting
        self.places: list[int] = []
        self.members: dict[str, None] = {}
        self.span = self.rng.uniform(*self.setting.days)
        self.end = self.rng.uniform(1.0, 12.0)
        """Days ago of its last transfer."""

    def people(self, count: int) -> list[Account]:
        return self.town.several([each for each in self.town.people if self._old(each)], count)

    def _old(self, person: Account) -> bool:
        return person.opened < self.town.start + timedelta(days=60)

    def times(self, count: int, first: float, last: float) -> list[datetime]:
        """Moments between so many days ago, in order; in bunches where the setting has them so."""
        if self.setting.bursts:
            bunches = [self.rng.uniform(last, first) for _ in range(max(1, count // 5))]
            days = [self.rng.choice(bunches) + self.rng.gauss(0, 0.08) for _ in range(count)]
        else:
            days = [self.rng.uniform(last, first) for _ in range(count)]
        return sorted(self.town.now - timedelta(days=max(0.05, day)) for day in days)

    def rest(self) -> timedelta:
        """How long money stays with somebody who passes it on."""
        return timedelta(hours=self.rng.uniform(*self.setting.hours))

    def passed(self, amount: float) -> float:
        return round(amount * (1 - self.rng.uniform(*self.setting.kept)), 2)

    def move(self, time: datetime, sender: Account | None, receiver: Account | None, amount: float) -> None:
        latest = self.town.now - timedelta(minutes=self.rng.uniform(5, 600))
        place = self.town.pay(
            min(time, latest), sender, receiver, amount, "transfer" if sender and receiver else "cash"
        )
        if place >= 0:
            self.places.append(place)
        self.members |= dict.fromkeys(each.id for each in (sender, receiver) if each)

    def planted(self, name: str, subject: Account) -> Planted:
        self._hide()
        return Planted(name, subject.id, tuple(self.members), tuple(self.places))

    def _hide(self) -> None:
        """Ordinary payments of the members in between."""
        for _ in range(int(len(self.places) * self.setting.camouflage)):
            sender = self.town.accounts[self.rng.choice(list(self.members))]
            day = self.end + self.rng.uniform(0, max(self.span, 2))
            self.town.pay(
                self.town.day(day), sender, self.rng.choice(self.town.shops), self.rng.uniform(8, 220), "card"
            )

    @property
    def size(self) -> int:
        return self.rng.randint(*self.setting.size)


def fan_in(town: Town) -> Planted:
    plot = _Plot(town)
    hub, *others = plot.people(plot.size + 1)
    for sender, time in zip(others, plot.times(len(others), plot.end + plot.span, plot.end), strict=True):
        plot.move(time, sender, hub, plot.setting.amount(plot.rng))
    return plot.planted("fan_in", hub)


def fan_out(town: Town) -> Planted:
    plot = _Plot(town)
    hub, *others = plot.people(plot.size + 1)
    amounts = [plot.setting.amount(plot.rng) for _ in others]
    plot.move(plot.times(1, plot.end + plot.span + 3, plot.end + plot.span)[0], None, hub, sum(amounts))
    for receiver, time, amount in zip(
        others, plot.times(len(others), plot.end + plot.span, plot.end), amounts, strict=True
    ):
        plot.move(time, hub, receiver, plot.passed(amount))
    return plot.planted("fan_out", hub)


def gather_scatter(town: Town) -> Planted:
    plot = _Plot(town)
    count = plot.size
    hub, *others = plot.people(2 * count + 1)
    middle = plot.end + plot.span / 2
    total = 0.0
    for sender, time in zip(others[:count], plot.times(count, plot.end + plot.span, middle), strict=True):
        amount = plot.setting.amount(plot.rng)
        total += amount
        plot.move(time, sender, hub, amount)
    start = max(plot.end, middle - plot.rest().total_seconds() / 86400)
    weights = [plot.rng.uniform(0.5, 1.5) for _ in others[count:]]
    out = plot.passed(total)
    for receiver, time, weight in zip(
        others[count:], plot.times(count, start, max(0.05, start - plot.span / 2)), weights, strict=True
    ):
        plot.move(time, hub, receiver, out * weight / sum(weights))
    return plot.planted("gather_scatter", hub)


def scatter_gather(town: Town) -> Planted:
    plot = _Plot(town)
    source, target, *mids = plot.people(plot.size + 2)
    for mid, time in zip(mids, plot.times(len(mids), plot.end + plot.span, plot.end), strict=True):
        amount = plot.setting.amount(plot.rng)
        plot.move(time, source, mid, amount)
        plot.move(time + plot.rest(), mid, target, plot.passed(amount))
    return plot.planted("scatter_gather", plot.rng.choice((source, source, target, plot.rng.choice(mids))))


def cycle(town: Town) -> Planted:
    plot = _Plot(town)
    ring = plot.people(plot.rng.randint(3, max(4, min(8, plot.setting.size[1] // 2))))
    amount = plot.setting.amount(plot.rng) * 2
    time = town.now - timedelta(days=plot.end + plot.span)
    for sender, receiver in zip(ring, [*ring[1:], ring[0]], strict=True):
        plot.move(time, sender, receiver, amount)
        time, amount = time + plot.rest(), plot.passed(amount)
    return plot.planted("cycle", plot.rng.choice(ring))


def bipartite(town: Town) -> Planted:
    plot = _Plot(town)
    count = max(3, plot.size // 2)
    people = plot.people(2 * count)
    senders, receivers = people[:count], people[count:]
    pairs = [(a, b) for a in senders for b in receivers if plot.rng.random() < 0.85]
    times = plot.times(len(pairs), plot.end + plot.span, plot.end)
    plot.rng.shuffle(pairs)
    for (sender, receiver), time in zip(pairs, times, strict=True):
        plot.move(time, sender, receiver, plot.setting.amount(plot.rng))
    return plot.planted("bipartite", plot.rng.choice(people))


def stack(town: Town) -> Planted:
    plot = _Plot(town)
    width = max(3, plot.size // 3)
    people = plot.people(3 * width)
    first, middle, last = people[:width], people[width : 2 * width], people[2 * width :]
    held = dict.fromkeys((each.id for each in middle), 0.0)
    for sender, time in zip(
        first, plot.times(width, plot.end + plot.span, plot.end + plot.span / 2), strict=True
    ):
        for receiver in plot.rng.sample(middle, max(2, width - 1)):
            amount = plot.setting.amount(plot.rng)
            held[receiver.id] += amount
            plot.move(time, sender, receiver, amount)
    for sender in middle:
        chosen = plot.rng.sample(last, max(2, width - 1))
        for receiver in chosen:
            time = town.now - timedelta(days=plot.end + plot.span / 2) + plot.rest()
            plot.move(time, sender, receiver, plot.passed(held[sender.id] / len(chosen)))
    return plot.planted("stack", plot.rng.choice(middle))


def random_walk(town: Town) -> Planted:
    """AMLSim's `random`: money wanders among accounts that pass it on."""
    plot = _Plot(town)
    people = plot.people(plot.rng.randint(5, 8))
    amount = plot.setting.amount(plot.rng) * 2.5
    time = town.now - timedelta(days=plot.end + plot.span)
    here, visits = people[0], dict.fromkeys((each.id for each in people), 0)
    for _ in range(plot.rng.randint(8, 14)):
        there = plot.rng.choice([each for each in people if each is not here])
        plot.move(time, here, there, amount)
        visits[there.id] += 1
        time, amount, here = time + plot.rest(), plot.passed(amount), there
    return plot.planted("random", town.accounts[max(visits, key=lambda id: visits[id])])


def structuring(town: Town) -> Planted:
    plot = _Plot(town)
    (holder,) = plot.people(1)
    count = max(4, min(12, plot.size))
    for time in plot.times(count, plot.end + plot.span, plot.end):
        plot.move(
            time, None, holder, round(THRESHOLD * plot.rng.uniform(0.82, 0.995), plot.rng.choice((-2, -1, 0)))
        )
    return plot.planted("structuring", holder)


def dormant(town: Town) -> Planted:
    """An account that slept for months wakes up, takes in much and sends it on."""
    plot = _Plot(town)
    sleeper = town.open("person")
    sleeper.income = 0.0
    for _ in range(plot.rng.randint(1, 5)):
        town.pay(
            town.day(plot.rng.uniform(150, 198)),
            sleeper,
            plot.rng.choice(town.shops),
            plot.rng.uniform(5, 60),
            "card",
        )
    count = plot.rng.randint(2, 4)
    senders, receivers = plot.people(count), plot.people(plot.rng.randint(1, 3))
    total = 0.0
    for sender, time in zip(
        senders, plot.times(count, plot.end + plot.span, plot.end + plot.span / 3), strict=True
    ):
        amount = plot.setting.amount(plot.rng) * 2
        total += amount
        plot.move(time, sender, sleeper, amount)
    for receiver in receivers:
        time = town.now - timedelta(days=plot.end + plot.span / 3) + plot.rest()
        plot.move(time, sleeper, receiver, plot.passed(total / len(receivers)))
    return plot.planted("dormant", sleeper)


def mule_network(town: Town) -> Planted:
    """New accounts take in money of strangers, and hand it to one collector within hours."""
    plot = _Plot(town)
    mules = [_fresh(town, plot) for _ in range(plot.rng.randint(3, 6))]
    (collector,) = plot.people(1)
    for mule in mules:
        victims = plot.people(plot.rng.randint(2, 4))
        for victim, time in zip(
            victims, plot.times(len(victims), plot.end + plot.span, plot.end), strict=True
        ):
            amount = plot.setting.amount(plot.rng)
            plot.move(time, victim, mule, amount)
            goes = None if plot.rng.random() < 0.15 else collector
            plot.move(time + plot.rest() / 3, mule, goes, plot.passed(amount))
    return plot.planted("mule_network", plot.rng.choice((collector, plot.rng.choice(mules))))


def _fresh(town: Town, plot: _Plot) -> Account:
    mule = town.open("person", age_days=plot.end + plot.span + plot.rng.uniform(2, 40))
    town.busy.add(mule.id)
    return mule


def pass_through(town: Town) -> Planted:
    """Large sums come in and leave within the day, again and again."""
    plot = _Plot(town)
    hub, *others = plot.people(1 + plot.rng.randint(4, 7))
    half = max(2, len(others) // 2)
    rounds = plot.rng.randint(3, 6)
    for time in plot.times(rounds, plot.end + plot.span, plot.end):
        amount = plot.setting.amount(plot.rng) * 2
        plot.move(time, plot.rng.choice(others[:half]), hub, amount)
        plot.move(time + plot.rest() / 4, hub, plot.rng.choice(others[half:]), plot.passed(amount))
    return plot.planted("pass_through", hub)


def corridor(town: Town) -> Planted:
    """Money goes where the customer and all others never sent any."""
    plot = _Plot(town)
    (sender,) = plot.people(1)
    country = plot.rng.choice(FAR)
    receivers = [
        town.open("business", country, age_days=plot.rng.uniform(60, 500))
        for _ in range(plot.rng.randint(1, 3))
    ]
    count = plot.rng.randint(4, 8)
    amounts = [plot.setting.amount(plot.rng) * 1.5 for _ in range(count)]
    plot.move(plot.times(1, plot.end + plot.span + 2, plot.end + plot.span)[0], None, sender, sum(amounts))
    for time, amount in zip(plot.times(count, plot.end + plot.span, plot.end), amounts, strict=True):
        plot.move(time, sender, plot.rng.choice(receivers), amount)
    return plot.planted("corridor", sender)


TYPOLOGIES: Sequence[Callable[[Town], Planted]] = (
    fan_in, fan_out, gather_scatter, scatter_gather, cycle, bipartite, stack, random_walk,
    structuring, dormant, mule_network, pass_through, corridor,
)  # fmt: skip
