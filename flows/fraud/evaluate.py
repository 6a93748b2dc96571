"""How well the fraud domain does: figures against an independent count, skills on sample worlds."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import mcp
from pydantic import BaseModel

from blocks.config import Config
from blocks.shares import Standard, measured, share
from flows.evaluation import EvaluationError, FaultSet, run_once
from flows.fraud import DOMAIN, recount, sample
from flows.fraud.models import Backtests, FraudInput
from flows.fraud.rule import Rule, RuleError, parse
from flows.fraud.tools import Options, build

DATA = "fraud-handbook/*.csv*"
LABELLED = {"exact": Standard(target=1)}
FIRST_MOMENT = datetime(2026, 3, 2, 6, 30, tzinfo=UTC)
"""Each seed looks a day later than the one before, so all days of the month occur."""
STEPS = 300

RULES = (
    "block if amount > 220",
    "block if amount > 150 and hour in (0, 1, 2, 3, 4, 5)",
    "review if more than 3 transactions on one terminal in an hour",
    "review if count(customer, 1d) > 8 or amount > 250",
    "review if sum(amount, customer, 1d) > 500",
    "review if sum(amount, terminal, 2d) > 900 and weekday not in (6, 7)",
    "block if amount > 3 * avg(amount, customer, 7d) and amount > 100",
    "review if distinct(terminal, customer, 1d) >= 7",
    "review if since(customer) < 5m",
    "review if distinct(customer, terminal, 1w) > 12 and not amount <= 80",
)
"""What is judged where no rules are given: one for each kind of feature."""


class Judged(BaseModel):
    """What became of one proposal.

    Attributes:
        story: what is wrong with it in truth; `sound` if nothing is.
        routed: the specialist that must look at it did, and no other; for a sound one, none did.
        found: that specialist found what is wrong.
    """

    seed: int
    proposal: str
    story: str
    routed: bool
    found: bool
    said: str = ""


class Outcome(BaseModel):
    """One world's proposals, and why its run failed, if it did."""

    seed: int
    proposals: list[Judged]
    error: str = ""


def evaluate_world(seed: int, home: Path, model: str, faults: FaultSet) -> Outcome:
    """Draws a world into the state directory, runs the domain on it, and compares with its truth.

    Raises:
        EvaluationError: there is no such model or set of faults here.
    """
    if model != "offline" or faults != "sample":
        raise EvaluationError("fraud is evaluated with --model offline on the sample's own stories only")
    now = FIRST_MOMENT + timedelta(days=seed % STEPS)
    world = sample.draw(seed, home, now=now)
    done = run_once(DOMAIN, FraudInput(as_of=now))
    proposals = [judge(seed, truth, done["executions"]) for truth in world.truth]
    return Outcome(seed=seed, proposals=proposals, error=done["reason"] if done["state"] == "failed" else "")


def summarise(worlds: Sequence[BaseModel]) -> dict[str, Any]:
    """The shares over all worlds: routed rightly, found what is wrong, left sound rules alone."""
    outcomes = [Outcome.model_validate(world.model_dump()) for world in worlds]
    judged = [one for world in outcomes for one in world.proposals]
    wrong = [one for one in judged if one.story != "sound"]
    stories = sorted({one.story for one in judged})
    return {
        **measured(
            {
                "routed": [one.routed for one in wrong],
                "found": [one.found for one in wrong if one.routed],
                "quiet": [one.routed for one in judged if one.story == "sound"],
            }
        ),
        "counts": {"proposals": len(judged), "sound": len(judged) - len(wrong)},
        "stories": {
            name: {
                "n": len(of := [one for one in judged if one.story == name]),
                "routed": share([one.routed for one in of]),
                "found": share([one.found for one in of]),
            }
            for name in stories
        },
        "failures": [*_failures(judged), *(f"seed {one.seed}: {one.error}" for one in outcomes if one.error)],
    }


def judge(seed: int, truth: Mapping[str, Any], executions: Sequence[Mapping[str, Any]]) -> Judged:
    """Compares what the specialists said about a proposal with its truth."""
    own = [
        each for each in executions if each["pattern"] == truth["proposal"] and each["outcome"] == "success"
    ]
    skills = {str(each["skill"]) for each in own}
    said = next((each["output"] for each in own if each["skill"] == truth["route"]), None) or {}
    routed = truth["route"] in skills if truth["route"] else not skills
    return Judged(
        seed=seed,
        proposal=truth["proposal"],
        story=truth["story"],
        routed=routed,
        found=_found(truth, said),
        said=f"{sorted(skills)} {said.get('summary', '')}"[:200],
    )


def _found(truth: Mapping[str, Any], said: Mapping[str, Any]) -> bool:
    if "check" in truth:
        return any(
            each["name"] == truth["check"] and each["verdict"] == "fail" for each in said.get("checks", [])
        )
    if "evasion" in truth:
        return bool(said.get("evasion") == truth["evasion"])
    if "field" in truth:
        named = [(each["field"], each["value"]) for each in said.get("segments", [])[:2]]
        return any(
            field == truth["field"] and (field == "tenure" or value == truth["value"])
            for field, value in named
        )
    return not said


def _failures(judged: Sequence[Judged]) -> Iterator[str]:
    for one in judged:
        where = f"seed {one.seed}, {one.proposal}, {one.story}"
        if not one.routed:
            yield f"{where}: routed wrongly: {one.said}"
        elif not one.found:
            yield f"{where}: not found: {one.said}"


def evaluate_data(path: Path, rules: Sequence[str] = RULES) -> dict[str, Any]:
    """Backtests rules on labelled transactions, and counts every figure again without the database.

    Args:
        path: CSV of transactions, gzipped or not; `recount.ALIASES` has the columns' names.

    Returns:
        `{"n": figures, "metrics": {"exact": share}, "failures": […], "rules": […]}`.

    Raises:
        EvaluationError: the file or a rule can't be read, or a rule can't be backtested on the file.
    """
    parsed = [_parsed(text) for text in rules]
    try:
        rows = recount.read(path)
    except recount.UnreadableFile as error:
        raise EvaluationError(str(error)) from error
    with tempfile.TemporaryDirectory(prefix="aspora-eval-fraud-") as folder:
        book = Path(folder) / "transactions.db"
        mapping = recount.write(book, rows)
        told, seconds = anyio.run(_backtests, book, mapping, rules)
    failures, listed, right, all_ = [], [], 0, 0
    for text, rule, found, took in zip(rules, parsed, told, seconds, strict=True):
        (backtest,) = found.backtests
        if backtest.problem:
            raise EvaluationError(backtest.problem.shown)
        figures = list(recount.compared(backtest, rule, rows))
        wrong = [
            f"{text}: {name} is {told_} and not {true}" for name, told_, true in figures if told_ != true
        ]
        failures += wrong
        right, all_ = right + len(figures) - len(wrong), all_ + len(figures)
        proposed = backtest.proposed
        listed.append(
            {
                "rule": text,
                "seconds": round(took, 3),
                "hits": proposed.hits if proposed else None,
                "fraud_caught": proposed.fraud_caught if proposed else None,
                "precision": proposed.precision if proposed else None,
                "recall": proposed.recall if proposed else None,
                "exact": (len(figures) - len(wrong)) / len(figures),
            }
        )
    return {
        "n": all_,
        "metrics": {"exact": right / all_ if all_ else None},
        "cases": {"exact": all_},
        "transactions": len(rows),
        "rules": listed,
        "failures": failures,
    }


def _parsed(text: str) -> Rule:
    try:
        return parse(text)
    except RuleError as error:
        raise EvaluationError(error.shown(text)) from None


async def _backtests(
    book: Path, mapping: dict[str, Any], rules: Sequence[str]
) -> tuple[list[Backtests], list[float]]:
    """Each rule through the tool, as a skill calls it; and how long it took."""
    warehouse = {"url": f"sqlite:///{book}", "statement_timeout": "10m", "tables": {"transactions": mapping}}
    config = Config.model_validate({"models": {}, "domains": {}, "warehouse": warehouse})
    results, seconds = [], []
    async with mcp.Client(build(Options(), config, book.parent)) as client:
        for rule in rules:
            begun = time.perf_counter()
            result = await client.call_tool("backtest_rule", {"rule": rule})
            seconds.append(time.perf_counter() - begun)
            results.append(result)
    if failed := next((result for result in results if result.is_error), None):
        raise EvaluationError(str(failed.content))
    return [Backtests.model_validate(result.structured_content) for result in results], seconds
