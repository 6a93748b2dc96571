"""What must hold before a rule goes live, each with a verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from flows.fraud.models import Backtest, Check, TestRun, Verdict
from flows.fraud.rule import Rule
from flows.fraud.rule.change import thresholds
from flows.fraud.rule.tree import Compare, Not, OneOf, walk
from flows.fraud.rule.words import spelled
from flows.fraud.table import Costs

MANY_NULLS = 0.01
MANY_BLOCKED = 50
"""Blocked transactions in a day from which on a new rule had better begin as a review."""


def unreadable(backtest: Backtest) -> list[Check]:
    """The one check of a rule that can't be read."""
    problem = backtest.problem
    message = problem.shown if problem else "the rule can't be read"
    return [Check(name="syntax and fields", verdict=Verdict.failed, detail=message)]


def checks(
    rule: Rule,
    backtest: Backtest,
    nulls: Mapping[str, int],
    made: Sequence[TestRun],
    given: Sequence[TestRun],
    costs: Costs,
) -> list[Check]:
    """All checks of a rule that can be read.

    Args:
        nulls: field → transactions of the history without a value.
        made: the generated cases that were run.
        given: the cases that came with the proposal.
    """
    return [
        Check(name="syntax", verdict=Verdict.passed, detail=f"read as: {backtest.rule}"),
        Check(name="types", verdict=Verdict.passed, detail=f"fields: {', '.join(rule.fields) or 'none'}"),
        _nulls(rule, backtest, nulls),
        _boundaries(rule, made),
        _fires(backtest),
        _conflicts(backtest),
        _duplicates(backtest),
        _volume(rule, backtest, costs),
        _history(backtest),
        _rollback(rule, backtest),
        _tests(given),
    ]


def worst(found: Sequence[Check]) -> Verdict:
    """The worst verdict."""
    order = (Verdict.failed, Verdict.warning, Verdict.passed)
    return next(
        (verdict for verdict in order if any(one.verdict == verdict for one in found)), Verdict.passed
    )


def _nulls(rule: Rule, backtest: Backtest, nulls: Mapping[str, int]) -> Check:
    total = backtest.transactions or 1
    told = [f"{name} is absent in {count} ({count / total:.1%})" for name, count in nulls.items() if count]
    many = [name for name, count in nulls.items() if count / total >= MANY_NULLS]
    negative = sorted(set(_negated(rule)) & {name for name, count in nulls.items() if count})
    if negative:
        detail = (
            f"{'; '.join(told)}: such transactions never meet <> or not in, add `or {negative[0]} is null`"
        )
        return Check(name="nulls", verdict=Verdict.warning, detail=detail)
    if many:
        return Check(
            name="nulls", verdict=Verdict.warning, detail=f"{'; '.join(told)}: never hit by comparisons"
        )
    return Check(name="nulls", verdict=Verdict.passed, detail="; ".join(told) or "every field has a value")


def _negated(rule: Rule) -> Iterator[str]:
    for node in walk(rule.condition):
        if isinstance(node, Compare) and node.operator == "<>":
            yield spelled(node.left)
        elif isinstance(node, Not) and isinstance(node.part, OneOf):
            yield spelled(node.part.value)


def _boundaries(rule: Rule, made: Sequence[TestRun]) -> Check:
    wrong = [run.name for run in made if not run.right]
    if wrong:
        return Check(name="boundaries", verdict=Verdict.failed, detail=f"decided wrongly: {', '.join(wrong)}")
    if not thresholds(rule):
        return Check(name="boundaries", verdict=Verdict.passed, detail="the rule has no threshold")
    at = [f"{run.name}: {'hit' if run.got else 'no hit'}" for run in made if "absent" not in run.name][:8]
    detail = f"{len(made)} generated cases decided as the replay does; {'; '.join(at)}"
    return Check(name="boundaries", verdict=Verdict.passed, detail=detail)


def _fires(backtest: Backtest) -> Check:
    if backtest.never_fires:
        return Check(name="can fire", verdict=Verdict.failed, detail=backtest.never_fires)
    hits = backtest.proposed.hits if backtest.proposed else 0
    return Check(name="can fire", verdict=Verdict.passed, detail=f"{hits} hits in the history")


def _conflicts(backtest: Backtest) -> Check:
    if not backtest.conflicts:
        return Check(name="conflicts", verdict=Verdict.passed, detail="no rule in force decides otherwise")
    both = {
        each.rule_id: f"{each.rule_id} ({each.rule}), {each.both} transactions" for each in backtest.overlaps
    }
    detail = "decide otherwise on the same transactions: " + "; ".join(both[id] for id in backtest.conflicts)
    return Check(name="conflicts", verdict=Verdict.failed, detail=detail)


def _duplicates(backtest: Backtest) -> Check:
    if not backtest.duplicates:
        return Check(name="duplicates", verdict=Verdict.passed, detail="no rule in force does the same")
    detail = f"already done by: {', '.join(backtest.duplicates)}; {backtest.hits_of_its_own} hits of its own"
    return Check(name="duplicates", verdict=Verdict.failed, detail=detail)


def _volume(rule: Rule, backtest: Backtest, costs: Costs) -> Check:
    if not backtest.by_day:
        return Check(name="volume", verdict=Verdict.passed, detail="it hits nothing")
    length = 7 if backtest.by == "week" else 1
    peak = max(backtest.by_day, key=lambda day: day.hits)
    busiest = peak.hits / length
    detail = f"{busiest:.0f} hits on the busiest {backtest.by} ({peak.day}), a day"
    if rule.action != "review":
        return Check(name="volume", verdict=Verdict.passed, detail=f"{detail}; nobody reviews them")
    room = costs.reviews_a_day
    verdict = Verdict.failed if busiest > room else Verdict.warning if busiest > room / 2 else Verdict.passed
    return Check(name="volume", verdict=verdict, detail=f"{detail}; reviewers can look at {room}")


def _history(backtest: Backtest) -> Check:
    short = [warning for warning in backtest.warnings if "looks back" in warning]
    if short:
        return Check(name="history", verdict=Verdict.warning, detail="; ".join(short))
    detail = f"{backtest.transactions} transactions, {backtest.frauds} known frauds"
    verdict = Verdict.passed if backtest.frauds else Verdict.warning
    return Check(name="history", verdict=verdict, detail=detail)


def _rollback(rule: Rule, backtest: Backtest) -> Check:
    if backtest.replaces:
        detail = f"put {backtest.replaces} back as it was: {backtest.current_rule}"
        return Check(name="rollback", verdict=Verdict.passed, detail=detail)
    hits = backtest.proposed.hits if backtest.proposed else 0
    days = max(1, len(backtest.by_day)) * (7 if backtest.by == "week" else 1)
    if rule.action == "block" and hits / days > MANY_BLOCKED:
        detail = (
            f"switching it off does not undo about {hits / days:.0f} blocked transactions a day; "
            "begin with review instead of block"
        )
        return Check(name="rollback", verdict=Verdict.warning, detail=detail)
    return Check(name="rollback", verdict=Verdict.passed, detail="it is a rule of its own: switch it off")


def _tests(given: Sequence[TestRun]) -> Check:
    if not given:
        detail = (
            "the proposal has no test; say at least one transaction that must be hit and one that must not"
        )
        return Check(name="tests", verdict=Verdict.failed, detail=detail)
    wrong = [run for run in given if not run.right]
    if wrong:
        told = ", ".join(f"{run.name} should be {'hit' if run.expected else 'no hit'}" for run in wrong)
        return Check(name="tests", verdict=Verdict.failed, detail=told)
    one_sided = len({run.expected for run in given}) == 1
    verdict = Verdict.warning if one_sided else Verdict.passed
    detail = f"{len(given)} of its own tests pass" + ("; all expect the same" if one_sided else "")
    return Check(name="tests", verdict=verdict, detail=detail)
