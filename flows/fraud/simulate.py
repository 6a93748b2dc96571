"""A backtest: the pass over the history, and everything that is told of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from blocks.units import format_duration
from blocks.warehouse import Reader
from flows.fraud import analysis
from flows.fraud.analysis import InForce, Tally
from flows.fraud.history import NO_DAY, History, Period, Person
from flows.fraud.models import Backtest, Problem
from flows.fraud.rule import Rule, RuleError, check, parse, written
from flows.fraud.rule.change import contradiction, loosened, moved_to, rests_on_amount
from flows.fraud.rule.words import spelled, window
from flows.fraud.table import Costs, TransactionsTable

MAX_OTHERS = 40
"""Rules in force that one backtest is compared with; those without windows first."""
PROPOSED, CURRENT, LOOSER = 1, 2, 4


@dataclass(frozen=True)
class Proposal:
    """A rule that somebody proposes.

    Attributes:
        text: the rule; empty where only a threshold changes.
        replaces: id of the rule in force whose place it takes.
        threshold: the replaced rule's new threshold.
        tests: how many test cases came with it.
    """

    text: str
    rule_id: str = ""
    replaces: str = ""
    threshold: float | None = None
    tests: Sequence[Any] = field(default=())


@dataclass(frozen=True)
class Stored:
    """A rule as the warehouse has it."""

    rule_id: str
    text: str


@dataclass(frozen=True)
class Asked:
    """A proposal that was understood.

    Attributes:
        others: the rules in force that can be read, the replaced one left out.
    """

    proposal: Proposal
    rule: Rule
    current: Rule | None
    others: Sequence[tuple[Stored, Rule]]
    warnings: Sequence[str]


def understood(proposal: Proposal, in_force: Sequence[Stored], history: History) -> Asked | Problem:
    """The proposal as rules that fit the data; or what is wrong with it, and where."""
    warnings: list[str] = []
    known: dict[str, Rule] = {}
    for stored in in_force:
        try:
            rule = parse(stored.text)
            check(rule, history.schema)
            known[stored.rule_id] = rule
        except RuleError as error:
            warnings.append(f"the rule in force {stored.rule_id} can't be read and is left out: {error}")
    current = known.get(proposal.replaces)
    if proposal.replaces and current is None:
        there = ", ".join(known) or "none"
        return _problem(f"there is no rule {proposal.replaces} in force to replace; there are: {there}")
    try:
        rule = _proposed(proposal, current)
        check(rule, history.schema)
    except RuleError as error:
        return Problem(message=str(error), at=error.at, shown=error.shown(proposal.text))
    others = [(each, known[each.rule_id]) for each in in_force if each.rule_id in known]
    others = [pair for pair in others if pair[0].rule_id != proposal.replaces]
    others.sort(key=lambda pair: len(pair[1].features))
    if len(others) > MAX_OTHERS:
        warnings.append(f"compared with {MAX_OTHERS} of the {len(others)} other rules in force")
    return Asked(proposal, rule, current, others[:MAX_OTHERS], warnings)


def backtest(
    reader: Reader,
    table: TransactionsTable,
    costs: Costs,
    period: Period,
    proposal: Proposal,
    in_force: Sequence[Stored],
) -> Backtest:
    """What the proposed rule would have done on the history.

    Raises:
        WarehouseError: the history can't be read, or is empty.
    """
    history = History(reader, table, period)
    asked = understood(proposal, in_force, history)
    if isinstance(asked, Problem):
        return Backtest(
            rule_id=proposal.rule_id, rule=proposal.text, replaces=proposal.replaces, problem=asked,
            tests=len(proposal.tests),
        )  # fmt: skip
    return _judged(history, costs, period, asked, table)


def _judged(
    history: History, costs: Costs, period: Period, asked: Asked, table: TransactionsTable
) -> Backtest:
    rule, current = asked.rule, asked.current
    extent = history.extent
    rules = [rule, current or rule, loosened(rule) or rule, *(other for _, other in asked.others)]
    current_bit = CURRENT if current else 0
    cells, people = history.cells(
        rules,
        [
            Person(PROPOSED), Person(PROPOSED, genuine=True), Person(PROPOSED, current_bit, genuine=True),
            Person(CURRENT), Person(CURRENT, genuine=True),
        ],
    )  # fmt: skip
    since = period.since or extent.first
    timed = [cell for cell in cells if cell.day != NO_DAY]
    tally = Tally(timed, extent.mature, _days(since, min(extent.last, history.labels_until)))
    proposed = analysis.figures(tally, PROPOSED, people[0], people[1])
    in_force = [
        InForce(stored.rule_id, written(other), other.action, 8 << place)
        for place, (stored, other) in enumerate(asked.others)
    ]
    overlaps = [analysis.overlap(tally, PROPOSED, each) for each in in_force]
    days, weekly = analysis.by_day(tally, PROPOSED, current_bit)
    price = costs.false_positive
    other_bits = sum(each.bit for each in in_force)
    under = tally.count(lambda cell: bool(cell.mask & LOOSER) and not cell.mask & PROPOSED)
    fraud_under = tally.count(
        lambda cell: bool(cell.mask & LOOSER) and not cell.mask & PROPOSED and cell.fraud and cell.mature
    )
    alone = [c for c in timed if c.mask & PROPOSED and not c.mask & other_bits]
    return Backtest(
        rule_id=asked.proposal.rule_id,
        rule=written(rule),
        action=rule.action,
        replaces=asked.proposal.replaces,
        current_rule=written(current) if current else "",
        since=since,
        until=period.until,
        labels_until=min(period.until, history.labels_until),
        transactions=extent.rows,
        mature_transactions=extent.mature,
        frauds=tally.frauds,
        fraud_amount=tally.fraud_amount,
        proposed=proposed,
        current=analysis.figures(tally, CURRENT, people[3], people[4]) if current else None,
        change=analysis.change(
            tally, PROPOSED, current_bit, people[2],
            lambda new: price[rule.action] if new or current is None else price[current.action],
        ),
        hits_of_its_own=sum(cell.number for cell in alone),
        fraud_of_its_own=sum(cell.number for cell in alone if cell.fraud and cell.mature),
        overlaps=sorted(overlaps, key=lambda each: -each.share),
        by_day=days,
        by="week" if weekly else "day",
        just_under=under,
        fraud_just_under=fraud_under,
        evasion=analysis.evasion(fraud_under, proposed.fraud_caught, rests_on_amount(rule)),
        never_fires=contradiction(rule) or ("" if proposed.hits else "it hit no transaction of the history"),
        conflicts=[o.rule_id for o in overlaps if o.both and analysis.conflicting(rule.action, o.action)],
        duplicates=[
            told.rule_id
            for told, (_, other) in zip(overlaps, asked.others, strict=True)
            if rule == other or analysis.redundant(rule.action, told)
        ],
        tests=len(asked.proposal.tests),
        test_cases=list(asked.proposal.tests) if asked.proposal.rule_id else [],
        warnings=[*asked.warnings, *_warnings(history, asked.rule, cells, table)],
    )  # fmt: skip


def _proposed(proposal: Proposal, current: Rule | None) -> Rule:
    if proposal.text.strip():
        return parse(proposal.text)
    if current is None or proposal.threshold is None:
        raise RuleError("no rule is given; write one such as block if amount > 220", 0)
    moved = moved_to(current, proposal.threshold)
    if moved is None:
        raise RuleError(
            f"the rule {proposal.replaces} ({written(current)}) has not exactly one threshold; write it out",
            0,
        )
    return moved


def _problem(message: str) -> Problem:
    return Problem(message=message, at=0, shown=message)


def _days(since: datetime, until: datetime) -> int:
    return max(1, (until.date() - since.date()).days + 1)


def _warnings(history: History, rule: Rule, cells: Sequence[Any], table: TransactionsTable) -> list[str]:
    extent = history.extent
    found = []
    reach = extent.last - extent.first
    for feature in rule.features:
        if timedelta(seconds=feature.seconds) > reach:
            found.append(
                f"{spelled(feature)} looks back {window(feature.seconds)}, but the history is only "
                f"{reach.total_seconds() / 86400:.1f} days long: its figures are too low"
            )
    malformed = sum(cell.number for cell in cells if cell.day == NO_DAY)
    if malformed or extent.malformed:
        found.append("some transactions have a time in another form than the others; they are left out")
    if extent.mature < extent.rows:
        young, delay = extent.rows - extent.mature, format_duration(table.label_delay)
        found.append(
            f"{young} transactions are younger than label_delay ({delay}): fraud among them may not be "
            "reported yet, so they count as hits but not in shares"
        )
    return found
