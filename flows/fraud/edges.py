"""Where a rule misfires, what passes just under it, and which variant of it would do better."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from blocks.warehouse import WarehouseError
from flows.fraud.analysis import Tally, day_of
from flows.fraud.history import NEW, NO_DAY, Cell, History, Person
from flows.fraud.models import Refinement, SampleTransaction, Segment
from flows.fraud.rule import Rule, RuleError, Schema, check, parse, written
from flows.fraud.rule.change import loosened, narrowed, rests_on_amount, scaled
from flows.fraud.rule.tree import (
    Arithmetic,
    Compare,
    Condition,
    Feature,
    Field,
    Missing,
    Not,
    Number,
    OneOf,
    Some,
    Text,
)
from flows.fraud.statistics import apart, share
from flows.fraud.table import Costs, TransactionsTable

MAX_SEGMENTS = 10
MAX_VALUES = 20_000
"""Rows of one query by segment; a field of more values forms none."""
SAMPLES = 5
LEAST_HURT = 10
"""False positives from which on a segment is told."""
TIMES = 1.5
APART = 3.5
"""Standard errors; so far apart, chance is no explanation among the segments looked at."""
OLDER = 0.7
"""Share of the days that are the older part of the history."""
_MONTH = 28
_NEW, _KNOWN = "under 30 days", "30 days or more"
_FACTORS = (0.8, 1.1, 1.25, 1.5, 2.0)
_USUAL = 3.0


@dataclass(frozen=True)
class Counted:
    """Genuine transactions of one segment, those hit, and frauds caught."""

    value: Any
    genuine: int
    hit: int
    caught: int


def fields_of(table: TransactionsTable) -> list[str]:
    """By what segments are formed: the config's columns, the customer's tenure, hour and day."""
    tenure = ["tenure"] if "customer_since" in table.columns else []
    return [*table.segments, *tenure, "hour", "day"]


def segments(history: History, rule: Rule, field: str) -> tuple[list[Segment], str]:
    """The misfiring segments of one field, and what must be said if it could not be looked at."""
    try:
        rows = history.by_segment([rule], field, MAX_VALUES)
    except WarehouseError as error:
        if "more than" not in str(error):
            raise
        return [], f"{field} has too many values to form segments"
    found: dict[Any, list[int]] = defaultdict(lambda: [0, 0, 0])
    for row in rows:
        counts = found[row.segment]
        counts[0] += row.number * (not row.fraud)
        counts[1] += row.number * (bool(row.mask) and not row.fraud)
        counts[2] += row.number * (bool(row.mask) and bool(row.fraud))
    counted = [Counted(value, *counts) for value, counts in found.items() if value is not None]
    if field != "day":
        return _unusual(field, counted), ""
    monthly = len(counted) >= _MONTH
    days = _unusual("weekday", _folded(counted, lambda place: day_of(place).isoweekday()))
    return [*days, *(_unusual("monthday", _folded(counted, _monthday)) if monthly else [])], ""


def worst(found: Sequence[Segment]) -> list[Segment]:
    """The segments with most customers hurt beyond what is usual, the worst first."""
    return sorted(found, key=lambda one: -(one.false_positives - one.elsewhere * one.genuine))[:MAX_SEGMENTS]


def samples(history: History, rule: Rule, fields: Sequence[str]) -> list[SampleTransaction]:
    """The largest genuine transactions that the rule hits, and frauds that pass just under it."""
    looser = loosened(rule)
    rules = [rule, looser or rule]
    picked = [("genuine and hit", Person(1, genuine=True))]
    picked += [("fraud just under the threshold", Person(2, none=1))] if looser else []
    found = []
    for why, wanted in picked:
        for each in history.samples(rules, wanted, fields, SAMPLES):
            found.append(
                SampleTransaction.model_validate(
                    {
                        "transaction_id": each.transaction_id,
                        "time": each.time,
                        "amount": each.amount,
                        "customer": each.customer,
                        "why": why,
                        "fields": each.fields,
                    }
                )
            )
    return found


def variants(rule: Rule, found: Sequence[Segment], schema: Schema) -> list[tuple[str, Rule]]:
    """Rules near the proposed one that may be better, each with how it was made."""
    made: list[tuple[str, Rule]] = []
    narrow = [_without(segment, schema) for segment in _grouped(found)[:4]]
    conditions = [(how, condition) for how, condition in filter(None, narrow)]
    for how, condition in conditions:
        made.append((how, narrowed(rule, condition)))
    if len(conditions) > 1:
        both = narrowed(narrowed(rule, conditions[0][1]), conditions[1][1])
        made.append((f"{conditions[0][0]}, and {conditions[1][0]}", both))
    for factor in _FACTORS:
        if moved := scaled(rule, factor):
            made.append((f"thresholds times {factor:g}", moved))
            if conditions and factor in (1.25, 1.5):
                how = f"thresholds times {factor:g}, {conditions[0][0]}"
                made.append((how, narrowed(moved, conditions[0][1])))
    if rests_on_amount(rule):
        usual = Feature("avg", "customer", 30 * 86400, "amount")
        own = Compare(">", Field("amount"), Arithmetic("*", Number(_USUAL), usual))
        made.append((f"only above {_USUAL:g} times the customer's usual amount", narrowed(rule, own)))
    return [(how, each) for how, each in made if _fits(each, schema)]


def compared(
    history: History, rules: Sequence[tuple[str, Rule]], costs: Costs
) -> tuple[list[Refinement], Refinement | None]:
    """The rules' figures, and the best of those that beat the first on the older and the newer days alike."""
    cells, _ = history.cells([rule for _, rule in rules])
    extent = history.extent
    mature = [cell for cell in cells if cell.mature and cell.day != NO_DAY]
    split = _split(mature)
    tally = Tally(mature, extent.mature, 1)
    rows, older = [], []
    for place, (how, rule) in enumerate(rules):
        cost = costs.false_positive[rule.action]
        net = _net(mature, 1 << place, cost)
        before = _net([cell for cell in mature if cell.day < split], 1 << place, cost)
        rows.append(_refinement(tally, place, how, rule, net, round(net - before, 2)))
        older.append(before)
    first = rows[0]
    rows = [each.model_copy(update={"newer_net_amount_before": first.newer_net_amount}) for each in rows]
    better = [
        each
        for each, before in zip(rows, older, strict=True)
        if before > older[0] and each.newer_net_amount > first.newer_net_amount
    ]
    return rows, max(better, key=lambda each: each.net_amount, default=None)


def _split(cells: Sequence[Cell]) -> int:
    """The day from which on the history is the newer part."""
    days = sorted({cell.day for cell in cells})
    return days[min(len(days) - 1, int(len(days) * OLDER))] if days else 0


def _net(cells: Sequence[Cell], bit: int, cost: float) -> float:
    tally = Tally(cells, 0, 1)
    caught = tally.amount(lambda cell: bool(cell.mask & bit) and cell.fraud)
    return round(caught - cost * tally.count(lambda cell: bool(cell.mask & bit) and not cell.fraud), 2)


def _refinement(tally: Tally, place: int, how: str, rule: Rule, net: float, newer: float) -> Refinement:
    caught = tally.count(lambda cell: bool(cell.mask & 1 << place) and cell.fraud)
    false = tally.count(lambda cell: bool(cell.mask & 1 << place) and not cell.fraud)
    return Refinement(
        rule=written(rule),
        how=how,
        fraud_caught=caught,
        fraud_caught_amount=tally.amount(lambda cell: bool(cell.mask & 1 << place) and cell.fraud),
        false_positives=false,
        precision=share(caught, caught + false),
        recall=share(caught, tally.frauds),
        net_amount=net,
        newer_net_amount=newer,
        newer_net_amount_before=0,
    )


def _unusual(field: str, counted: Sequence[Counted]) -> list[Segment]:
    genuine, hit = sum(one.genuine for one in counted), sum(one.hit for one in counted)
    found = []
    for one in counted:
        rest, others = genuine - one.genuine, hit - one.hit
        if one.hit < LEAST_HURT or not rest or not one.genuine:
            continue
        rate, elsewhere = one.hit / one.genuine, others / rest
        z = apart(one.hit, one.genuine, others, rest)
        if z >= APART and rate >= TIMES * elsewhere:
            found.append(
                Segment(
                    field=field,
                    value=_shown(field, one.value),
                    genuine=one.genuine,
                    false_positives=one.hit,
                    rate=rate,
                    elsewhere=elsewhere,
                    times=rate / elsewhere if elsewhere else None,
                    fraud_caught=one.caught,
                    z=round(z, 1),
                )
            )
    return found


def _shown(field: str, value: Any) -> str:
    if field == "tenure":
        return _KNOWN if value else _NEW
    return str(value)


def _folded(counted: Sequence[Counted], name: Any) -> list[Counted]:
    found: dict[Any, list[int]] = defaultdict(lambda: [0, 0, 0])
    for one in counted:
        for place, number in enumerate((one.genuine, one.hit, one.caught)):
            found[name(int(one.value))][place] += number
    return [Counted(value, *counts) for value, counts in found.items()]


def _monthday(place: int) -> int:
    return day_of(place).day


def _grouped(found: Sequence[Segment]) -> list[list[Segment]]:
    """The segments of each field together, the worst field first."""
    groups: dict[str, list[Segment]] = {}
    for one in worst(found):
        groups.setdefault(one.field, []).append(one)
    return list(groups.values())


def _without(group: Sequence[Segment], schema: Schema) -> tuple[str, Condition] | None:
    """The condition that leaves segments of one field out, in words and as a tree."""
    field = group[0].field
    if field not in schema.types:
        return None
    if field == "tenure":
        known = group[0].value == _KNOWN
        operator = "<" if known else ">="
        how = f"only customers of {'less than ' if known else ''}30 days{'' if known else ' or more'}"
        return how, Compare(operator, Field(field), Number(NEW, duration=True))  # type: ignore[arg-type]
    number = schema.types[field] == "number"
    values = tuple(Number(float(one.value)) if number else Text(one.value) for one in group)
    listed = ", ".join(one.value for one in group)
    apart_from = Not(OneOf(Field(field), values))
    return f"without {field} {listed}", Some((Missing(Field(field)), apart_from))


def _fits(rule: Rule, schema: Schema) -> bool:
    try:
        check(parse(written(rule)), schema)
    except RuleError:
        return False
    return True
