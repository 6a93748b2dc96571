"""Innocent customers who look like launderers at first sight."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import timedelta

from flows.fincrime.sample.town import ABROAD, DAYS, Account, Town


def payroll(town: Town) -> Account:
    """An employer pays many people on one day, every month."""
    return town.rng.choice(town.employers)


def marketplace(town: Town) -> Account:
    """Many buyers pay in, and every week the sellers get theirs."""
    rng = town.rng
    hub = town.open("business")
    sellers = town.several(town.people, rng.randint(12, 30))
    for week in range(DAYS // 7):
        for seller in sellers:
            if rng.random() < 0.8:
                amount = 320 * math.exp(rng.gauss(0, 0.7))
                town.pay(town.day(7 * week + rng.uniform(0, 1), (9, 12)), hub, seller, amount, "transfer")
        for _ in range(int(len(sellers) * 3)):
            amount = 110 * math.exp(rng.gauss(0, 0.7))
            town.pay(town.day(7 * week + rng.uniform(0, 7)), rng.choice(town.people), hub, amount, "card")
    return hub


def merchant(town: Town) -> Account:
    """A shop that half the town pays."""
    return town.rng.choice(town.shops)


def remitter(town: Town) -> Account:
    """Somebody who began to send money home a few weeks ago."""
    rng = town.rng
    person = town.free(town.people)
    country = rng.choice(ABROAD)
    family = [town.open("person", country) for _ in range(rng.randint(1, 3))]
    share = rng.uniform(0.1, 0.3)
    for days_ago in range(rng.randint(1, 6), rng.randint(35, 80), rng.choice((7, 14, 30))):
        amount = person.income * share * rng.uniform(0.7, 1.1) / len(family)
        for each in family:
            town.pay(town.day(days_ago), person, each, amount, "remittance")
    return person


def house(town: Town) -> Account:
    """Savings and a bank's loan come in, and the next day all of it goes to the notary."""
    rng = town.rng
    person = town.free(town.people)
    savings = town.open("person", customer=person.customer)
    bank, notary = town.suppliers[0], town.suppliers[1]
    price = rng.uniform(60_000, 280_000)
    when = town.day(rng.uniform(3, 20))
    town.pay(when, savings, person, price * 0.3, "transfer")
    town.pay(when + timedelta(hours=rng.uniform(2, 30)), bank, person, price * 0.7, "transfer")
    town.pay(when + timedelta(hours=rng.uniform(32, 80)), person, notary, price * 0.99, "transfer")
    return person


def gift(town: Town) -> Account:
    """Friends collect for a present, and one of them buys it."""
    rng = town.rng
    person = town.free(town.people)
    day = rng.uniform(4, 16)
    total = 0.0
    for friend in town.several(town.people, rng.randint(8, 18)):
        amount = rng.choice((10, 15, 20, 25, 30, 50))
        total += amount
        town.pay(town.day(day + rng.uniform(-2, 2)), friend, person, amount, "transfer")
    town.pay(town.day(day - 2.5), person, rng.choice(town.shops), total * rng.uniform(0.8, 1.1), "card")
    return person


def takings(town: Town) -> Account:
    """A shop brings its takings to the bank every few days."""
    rng = town.rng
    shop = town.open("business")
    for days_ago in range(rng.randint(0, 3), DAYS, rng.randint(2, 4)):
        town.pay(town.day(days_ago, (17, 21)), None, shop, 5200 * math.exp(rng.gauss(0, 0.45)), "cash")
    for days_ago in range(3, DAYS, 9):
        town.pay(town.day(days_ago), shop, rng.choice(town.suppliers), rng.uniform(4000, 18000), "invoice")
    return shop


def round_of_friends(town: Town) -> Account:
    """Friends split bills, and owe each other small sums in turn."""
    rng = town.rng
    friends = town.several(town.people, rng.randint(3, 5))
    for days_ago in range(2, 150, rng.randint(5, 11)):
        start = rng.randrange(len(friends))
        for step in range(len(friends)):
            a, b = friends[(start + step) % len(friends)], friends[(start + step + 1) % len(friends)]
            town.pay(town.day(days_ago + rng.uniform(-1, 1)), a, b, rng.uniform(8, 90), "transfer")
    return rng.choice(friends)


def savings(town: Town) -> Account:
    """Money goes to one's own savings, and comes back."""
    rng = town.rng
    person = town.free(town.people)
    own = town.open("person", customer=person.customer)
    for days_ago in range(5, DAYS, 30):
        amount = person.income * rng.uniform(0.2, 0.5)
        town.pay(town.day(days_ago), person, own, amount, "transfer")
        town.pay(
            town.day(days_ago - rng.uniform(1, 4)), own, person, amount * rng.uniform(0.5, 1), "transfer"
        )
    return person


def returned(town: Town) -> Account:
    """A student is back after months abroad; the account wakes up with the usual small things."""
    rng = town.rng
    person = town.open("person")
    for _ in range(15):
        town.pay(town.day(rng.uniform(140, DAYS)), person, rng.choice(town.shops), rng.uniform(5, 60), "card")
    employer = rng.choice(town.employers)
    town.pay(town.day(rng.uniform(8, 16)), employer, person, rng.uniform(900, 1800), "salary")
    for _ in range(rng.randint(6, 15)):
        town.pay(town.day(rng.uniform(0, 12)), person, rng.choice(town.shops), rng.uniform(5, 90), "card")
    return person


def rents(town: Town) -> Account:
    """Somebody lets rooms, and gets the rents each month."""
    rng = town.rng
    person = town.free(town.people)
    tenants = town.several(town.people, rng.randint(4, 9))
    rent = {tenant.id: rng.uniform(400, 900) for tenant in tenants}
    for days_ago in town.months():
        for tenant in tenants:
            town.pay(town.day(days_ago - rng.uniform(0, 4)), tenant, person, rent[tenant.id], "transfer")
    return person


def ordinary(town: Town) -> Account:
    """Anybody."""
    return town.free(town.people)


LOOK_ALIKES: Sequence[Callable[[Town], Account]] = (
    payroll, marketplace, merchant, remitter, house, gift, takings, round_of_friends, savings, returned,
    rents,
)  # fmt: skip
"""The ones that the skills were built with."""


def wedding(town: Town) -> Account:
    """Guests give what they can to a couple, a few of them a lot; caterer and hall are paid from it."""
    rng = town.rng
    person = town.free(town.people)
    day = rng.uniform(6, 14)
    for guest in town.several(town.people, rng.randint(15, 30)):
        town.pay(
            town.day(day + rng.uniform(-3, 1)),
            guest,
            person,
            rng.choice((30, 50, 50, 80, 100, 150)),
            "transfer",
        )
    for business in rng.sample(town.suppliers, 2):
        town.pay(town.day(day - rng.uniform(1.5, 5)), person, business, rng.uniform(400, 1800), "invoice")
    return person


def club(town: Town) -> Account:
    """A treasurer collects the members' fees each quarter, and pays the hall."""
    rng = town.rng
    person = town.free(town.people)
    members = town.several(town.people, rng.randint(12, 25))
    hall, fee = rng.choice(town.suppliers), rng.uniform(25, 90)
    for quarter in range(3):
        start = 8 + 85 * quarter
        for member in members:
            town.pay(town.day(start + rng.uniform(-5, 5)), member, person, fee, "transfer")
        town.pay(town.day(max(0.3, start - 6)), person, hall, fee * len(members) * 0.9, "invoice")
    return person


def freelancer(town: Town) -> Account:
    """Invoices are paid by businesses, new ones among them, and tax and rent go out."""
    rng = town.rng
    person = town.free(town.people)
    for days_ago in range(2, DAYS, rng.randint(8, 16)):
        client = rng.choice([*town.suppliers, *town.employers, *town.shops])
        town.pay(town.day(days_ago), client, person, rng.uniform(500, 4200), "invoice")
    return person


def bonus(town: Town) -> Account:
    """An employer pays a bonus once, besides the salaries."""
    rng = town.rng
    employer = rng.choice(town.employers)
    staff = {move.receiver for move in town.moves if move.sender == employer.id and move.kind == "salary"}
    day = rng.uniform(3, 15)
    for id in sorted(staff):
        person = town.accounts[id]
        town.pay(town.day(day, (8, 11)), employer, person, person.income * rng.uniform(0.4, 1.2), "salary")
    return employer


def car(town: Town) -> Account:
    """Somebody sells a car to another person, and pays a dealer for the next one."""
    rng = town.rng
    person, buyer = town.several(town.people, 2)
    price, day = rng.uniform(3000, 16_000), rng.uniform(3, 15)
    town.pay(town.day(day), buyer, person, price, "transfer")
    town.pay(
        town.day(day - rng.uniform(0.5, 2.5)),
        person,
        rng.choice(town.suppliers),
        price * rng.uniform(1.0, 1.6),
        "invoice",
    )
    return person


HELD_OUT_LOOK_ALIKES: Sequence[Callable[[Town], Account]] = (
    *LOOK_ALIKES,
    wedding,
    club,
    freelancer,
    bonus,
    car,
)
"""Five more that were kept out of the skills' building."""
