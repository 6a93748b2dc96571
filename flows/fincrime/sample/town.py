"""The ordinary traffic of a sample bank: salaries, rents, shopping, friends, remittances, trade."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import NamedTuple

from flows.fincrime.sample.setting import Setting

DAYS = 200
"""Days of history."""
HOME = "GB"
ABROAD = ("IN", "PH", "PL", "NG", "PK", "RO", "KE", "BR")
FAR = ("VG", "PA", "SC", "KY", "MH")
"""Where nobody's family lives."""
CURRENCIES = {HOME: "USD", "PL": "EUR", "RO": "EUR"}


@dataclass
class Account:
    """One account of the town."""

    id: str
    kind: str
    country: str
    opened: datetime
    customer: str
    income: float = 0.0
    payers: list[str] = field(default_factory=list)
    """Whom a person knows well enough to send money to."""


class Move(NamedTuple):
    """A transfer without its id."""

    time: datetime
    sender: str
    receiver: str
    amount: float
    kind: str
    currency: str


class Town:
    """The bank while it is drawn."""

    def __init__(self, rng: Random, setting: Setting, now: datetime) -> None:
        self.rng = rng
        self.setting = setting
        self.now = now
        self.start = now - timedelta(days=DAYS)
        self.accounts: dict[str, Account] = {}
        self.moves: list[Move] = []
        self._number = 1000
        self.people: list[Account] = []
        self.employers: list[Account] = []
        self.shops: list[Account] = []
        self.suppliers: list[Account] = []
        self.busy: set[str] = set()
        """Accounts that have a story already."""

    def open(
        self, kind: str, country: str = HOME, age_days: float | None = None, customer: str = ""
    ) -> Account:
        """A new account, by default one older than the history."""
        self._number += self.rng.randint(1, 9)
        age = self.rng.uniform(DAYS, 3000) if age_days is None else age_days
        account = Account(
            id=f"A-{self._number}",
            kind=kind,
            country=country,
            opened=self.now - timedelta(days=age),
            customer=customer or f"C-{self._number}",
        )
        self.accounts[account.id] = account
        return account

    def pay(
        self, time: datetime, sender: Account | None, receiver: Account | None, amount: float, kind: str
    ) -> int:
        """Notes a transfer, and tells its place, -1 outside the history; money from or to nobody is cash."""
        if not self.start <= time < self.now or amount < 0.01:
            return -1
        abroad = receiver.country if receiver else HOME
        currency = CURRENCIES.get(abroad, "USD") if kind == "remittance" else "USD"
        booked = round(amount / (1.08 if currency == "EUR" else 1.0), 2)
        self.moves.append(
            Move(time, sender.id if sender else "", receiver.id if receiver else "", booked, kind, currency)
        )
        return len(self.moves) - 1

    def day(self, days_ago: float, hour: tuple[float, float] = (7, 22)) -> datetime:
        """A moment so many days ago, at a usual hour."""
        base = (self.now - timedelta(days=days_ago)).replace(hour=0, minute=0, second=0)
        return base + timedelta(seconds=self.rng.uniform(hour[0] * 3600, hour[1] * 3600) // 1)

    def free(self, among: Sequence[Account]) -> Account:
        """An account without a story, which has one from now on."""
        left = [each for each in among if each.id not in self.busy]
        chosen = self.rng.choice(left or list(among))
        self.busy.add(chosen.id)
        return chosen

    def several(self, among: Sequence[Account], count: int) -> list[Account]:
        """So many of them without a story."""
        return [self.free(among) for _ in range(count)]

    def months(self) -> list[float]:
        """Days ago of each month's payday."""
        offset = self.rng.uniform(0, 30)
        return [offset + 30.4 * month for month in range(int(DAYS // 30.4) + 1)]


def settle(town: Town) -> None:
    """Opens the accounts, and draws what everyone does all the time."""
    rng, setting = town.rng, town.setting
    town.employers = [town.open("business") for _ in range(8)]
    town.shops = [town.open("business") for _ in range(24)]
    town.suppliers = [town.open("business") for _ in range(10)]
    landlords = [town.open("business") for _ in range(6)]
    for _ in range(setting.people):
        age = rng.uniform(20, DAYS) if rng.random() < 0.12 else None
        person = town.open("person", age_days=age)
        person.income = round(2800 * math.exp(rng.gauss(0, 0.45)), 2)
        town.people.append(person)
    for person in town.people:
        _live(town, person, landlords)
    for business in (*town.shops, *town.employers):
        _trade(town, business)


def _live(town: Town, person: Account, landlords: Sequence[Account]) -> None:
    rng, setting = town.rng, town.setting
    employer, landlord = rng.choice(town.employers), rng.choice(landlords)
    known = rng.sample(town.people, rng.randint(2, 6))
    person.payers = [each.id for each in known if each is not person]
    rent = person.income * rng.uniform(0.2, 0.38)
    alive = (town.now - person.opened).days
    for days_ago in town.months():
        if days_ago > alive:
            continue
        town.pay(
            town.day(days_ago, (6, 9)), employer, person, person.income * rng.uniform(0.97, 1.03), "salary"
        )
        town.pay(town.day(days_ago - rng.uniform(1, 4)), person, landlord, rent, "transfer")
    haunts = rng.sample(town.shops, 7)
    for _ in range(int(min(alive, DAYS) * rng.uniform(0.2, 0.5) * setting.noise)):
        shop = rng.choice(haunts if rng.random() < 0.85 else town.shops)
        amount = 34 * math.exp(rng.gauss(0, 0.9))
        town.pay(town.day(rng.uniform(0, min(alive, DAYS))), person, shop, amount, "card")
    for _ in range(int(min(alive, DAYS) * 0.05 * setting.noise * rng.uniform(0.3, 2))):
        friend = town.accounts[rng.choice(person.payers)] if rng.random() < 0.85 else rng.choice(town.people)
        if friend is not person:
            amount = 55 * math.exp(rng.gauss(0, 0.9))
            town.pay(town.day(rng.uniform(0, min(alive, DAYS))), person, friend, amount, "transfer")
    for _ in range(int(min(alive, DAYS) / 30 * rng.uniform(0, 2))):
        town.pay(town.day(rng.uniform(0, min(alive, DAYS))), person, None, rng.choice((50, 100, 200)), "cash")
    if rng.random() < 0.12:
        _send_home(town, person, alive)


def _send_home(town: Town, person: Account, alive: float) -> None:
    """Every month to the family."""
    rng = town.rng
    family = [town.open("person", rng.choice(ABROAD)) for _ in range(rng.randint(1, 2))]
    share = rng.uniform(0.08, 0.25)
    for days_ago in town.months():
        if days_ago <= alive:
            amount = person.income * share * rng.uniform(0.8, 1.2)
            town.pay(town.day(days_ago - rng.uniform(0, 5)), person, rng.choice(family), amount, "remittance")


def _trade(town: Town, business: Account) -> None:
    rng = town.rng
    partners = rng.sample(town.suppliers, 3)
    size = 6000 * math.exp(rng.gauss(0, 0.6))
    for days_ago in range(rng.randint(3, 12), DAYS, rng.randint(6, 15)):
        town.pay(
            town.day(days_ago, (8, 18)),
            business,
            rng.choice(partners),
            size * rng.uniform(0.5, 1.6),
            "invoice",
        )
    if rng.random() < 0.4:
        for days_ago in range(rng.randint(1, 6), DAYS, rng.randint(4, 7)):
            takings = 2600 * math.exp(rng.gauss(0, 0.7))
            town.pay(town.day(days_ago, (16, 20)), None, business, takings, "cash")
