"""From counted transactions to figures: what a rule caught, whom it hurt, what changed, what it overlaps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from flows.fraud.history import Cell
from flows.fraud.models import Change, Day, Evasion, Figures, Overlap
from flows.fraud.rule.replay import PARTS
from flows.fraud.statistics import daily, paired, share, wilson

MAX_DAYS = 190
"""A history of more days is shown by week."""
EASY_SHARE = 0.05
"""Frauds just under the threshold, against those caught, from which on evasion looks easy."""
EASY_LEAST = 3
SAME = 0.98
"""Two rules that share so many of their hits are one."""

Wanted = Callable[[Cell], bool]


@dataclass(frozen=True)
class InForce:
    """A rule in force, and its bit in the masks."""

    rule_id: str
    rule: str
    action: str
    bit: int


@dataclass(frozen=True)
class Tally:
    """The cells of one pass, and what the mature transactions came to in all.

    Attributes:
        mature: mature transactions of the period.
        days: days of the period that have transactions at their beginning and end.
    """

    cells: Sequence[Cell]
    mature: int
    days: int

    @property
    def frauds(self) -> int:
        """Mature frauds."""
        return self.count(lambda cell: cell.fraud and cell.mature)

    @property
    def fraud_amount(self) -> float:
        """Their money."""
        return self.amount(lambda cell: cell.fraud and cell.mature)

    def count(self, wanted: Wanted) -> int:
        """Transactions of the cells that are wanted."""
        return sum(cell.number for cell in self.cells if wanted(cell))

    def amount(self, wanted: Wanted) -> float:
        """Their money, to the nearest number."""
        return sum(cell.units for cell in self.cells if wanted(cell)) / PARTS


def figures(tally: Tally, bit: int, customers: int, customers_hurt: int) -> Figures:
    """What the rule of a bit did."""

    def hit(cell: Cell) -> bool:
        return bool(cell.mask & bit)

    caught = tally.count(lambda cell: hit(cell) and cell.mature and cell.fraud)
    false = tally.count(lambda cell: hit(cell) and cell.mature and not cell.fraud)
    caught_amount = tally.amount(lambda cell: hit(cell) and cell.mature and cell.fraud)
    total = tally.fraud_amount
    return Figures(
        hits=tally.count(hit),
        amount=tally.amount(hit),
        customers=customers,
        immature_hits=tally.count(lambda cell: hit(cell) and not cell.mature),
        fraud_caught=caught,
        fraud_caught_amount=caught_amount,
        false_positives=false,
        false_positive_amount=tally.amount(lambda cell: hit(cell) and cell.mature and not cell.fraud),
        customers_hurt=customers_hurt,
        precision=share(caught, caught + false),
        precision_interval=wilson(caught, caught + false),
        recall=share(caught, tally.frauds),
        recall_interval=wilson(caught, tally.frauds),
        recall_amount=caught_amount / total if total else None,
        false_positive_rate=share(false, tally.mature - tally.frauds),
    )


def change(
    tally: Tally,
    proposed: int,
    current: int,
    newly_hurt: int,
    cost: Callable[[bool], float],
) -> Change:
    """The proposed rule's bit against that of the rule it replaces; bit 0 is nothing.

    Args:
        cost: what one false positive costs, of the proposed rule (True) or of the current one.
    """

    def new(cell: Cell) -> bool:
        return bool(cell.mask & proposed) and not cell.mask & current

    def gone(cell: Cell) -> bool:
        return bool(cell.mask & current) and not cell.mask & proposed

    def fraud(cell: Cell) -> bool:
        return cell.mature and cell.fraud

    def genuine(cell: Cell) -> bool:
        return cell.mature and not cell.fraud

    caught = tally.count(lambda cell: new(cell) and fraud(cell))
    lost = tally.count(lambda cell: gone(cell) and fraud(cell))
    caught_amount = tally.amount(lambda cell: new(cell) and fraud(cell))
    lost_amount = tally.amount(lambda cell: gone(cell) and fraud(cell))
    hit = tally.count(lambda cell: new(cell) and genuine(cell))
    released = tally.count(lambda cell: gone(cell) and genuine(cell))
    before = tally.count(lambda cell: bool(cell.mask & current) and genuine(cell))
    after = tally.count(lambda cell: bool(cell.mask & proposed) and genuine(cell))
    money = _by_day(tally, lambda cell: cell.units * (new(cell) - gone(cell)) / PARTS if fraud(cell) else 0)
    people = _by_day(tally, lambda cell: cell.number * (new(cell) - gone(cell)) if genuine(cell) else 0)
    return Change(
        newly_hit=tally.count(new),
        newly_caught=caught,
        newly_caught_amount=caught_amount,
        newly_hit_genuine=hit,
        newly_hurt_customers=newly_hurt,
        lost_fraud=lost,
        lost_fraud_amount=lost_amount,
        released_genuine=released,
        recall_change=share(caught - lost, tally.frauds),
        recall_change_interval=paired(caught, lost, tally.frauds),
        fraud_amount_a_day=sum(money) / len(money),
        fraud_amount_a_day_interval=daily(money),
        genuine_a_day=sum(people) / len(people),
        genuine_a_day_interval=daily(people),
        net_amount=round(caught_amount - lost_amount - after * cost(True) + before * cost(False), 2),
    )


def overlap(tally: Tally, proposed: int, other: InForce) -> Overlap:
    """How the proposed rule's hits lie to those of a rule in force."""
    both = tally.count(lambda cell: bool(cell.mask & proposed) and bool(cell.mask & other.bit))
    mine = tally.count(lambda cell: bool(cell.mask & proposed)) - both
    theirs = tally.count(lambda cell: bool(cell.mask & other.bit)) - both
    union = both + mine + theirs
    alike = both / union if union else 0.0
    return Overlap(
        rule_id=other.rule_id,
        rule=other.rule,
        action=other.action,
        both=both,
        only_proposed=mine,
        only_existing=theirs,
        share=alike,
        relation=_relation(both, mine, theirs, alike),
    )


def by_day(tally: Tally, proposed: int, current: int) -> tuple[list[Day], bool]:
    """Hits, frauds caught and false positives by day, or by week from Monday where days are many (True)."""
    if not tally.cells:
        return [], False
    span = max(cell.day for cell in tally.cells) - min(cell.day for cell in tally.cells)
    weekly = span > MAX_DAYS
    found: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for cell in tally.cells:
        row = found[cell.day - (cell.day + 3) % 7 if weekly else cell.day]
        hit = bool(cell.mask & proposed)
        row["hits"] += cell.number * hit
        row["current_hits"] += cell.number * bool(cell.mask & current)
        row["frauds"] += cell.number * cell.fraud
        row["fraud_caught"] += cell.number * (hit and cell.mature and cell.fraud)
        row["false_positives"] += cell.number * (hit and cell.mature and not cell.fraud)
    return [Day(day=day_of(place), **found[place]) for place in sorted(found)], weekly


def evasion(fraud_just_under: int, fraud_caught: int, on_amount: bool) -> Evasion:
    """Easy where lowering amounts is enough and frauds do lie just under the threshold."""
    if not on_amount:
        return Evasion.hard
    if fraud_just_under >= max(EASY_LEAST, EASY_SHARE * fraud_caught):
        return Evasion.easy
    return Evasion.hard if fraud_caught else Evasion.unknown


def conflicting(action: str, other: str) -> bool:
    """Whether two rules decide otherwise on the same transaction."""
    return action != other and "allow" in (action, other)


def redundant(action: str, other: Overlap) -> bool:
    """Whether the rule in force already does all that the proposed one would, or the same."""
    strong = {"allow": 0, "review": 1, "block": 2}
    if other.relation == "same":
        return action == other.action
    covered = other.relation == "inside" and strong[other.action] >= strong[action]
    return covered and "allow" not in (action, other.action)


def day_of(place: int) -> date:
    """The date of a day since 1970."""
    return datetime.fromtimestamp(place * 86400, UTC).date()


def _relation(both: int, mine: int, theirs: int, alike: float) -> str:
    if not both:
        return "apart"
    if alike >= SAME:
        return "same"
    if not mine:
        return "inside"
    return "overlaps" if theirs else "contains"


def _by_day(tally: Tally, value: Callable[[Cell], float]) -> list[float]:
    """The sum of each mature day; days of which no cell tells count nothing."""
    found: Mapping[int, float] = _summed((cell.day, value(cell)) for cell in tally.cells if cell.mature)
    values = list(found.values())
    return values + [0.0] * max(0, max(1, tally.days) - len(values))


def _summed(pairs: Iterable[tuple[int, float]]) -> dict[int, float]:
    found: dict[int, float] = defaultdict(float)
    for day, value in pairs:
        found[day] += value
    return found
