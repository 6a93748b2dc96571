"""How well the churn domain does: on labelled customers of others, and on sample worlds."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from blocks.shares import Standard, measured
from flows.churn import DOMAIN, sample
from flows.churn.models import ChurnInput
from flows.evaluation import EvaluationError, FaultSet, run_once
from tasks import approvals
from tasks.platform import open_now

if TYPE_CHECKING:
    from flows.churn.columns import Excluded
    from flows.churn.labelled import Customers
    from flows.churn.quality import Estimate

FOLDS = 5
REPEATS = 3
"""Times that the customers are divided into folds anew, so that no single division decides."""
DATA = "churn-telco/customers.csv"
LABELLED = {
    "auc": Standard(reference=0.847),
    "precision_top_decile": Standard(reference=0.77),
    "calibration_error": Standard(target=0.03, at_most=True),
}
"""References: gradient boosting on the public Telco set."""
FIRST_MOMENT = datetime(2026, 3, 2, 7, 0, tzinfo=UTC)
"""A Monday; each seed looks a week later than the one before."""
STEPS = 300


def evaluate_data(path: Path) -> dict[str, Any]:
    """Five-fold cross-validation on labelled customers, three times over.

    All that is learnt is learnt inside the training folds: which columns leak, gaps, splines, categories, the
    penalty, the calibration. Nothing is resampled. Rows of one customer stay in one fold.

    Returns:
        `{"n", "metrics": {"auc", "precision_top_decile", "calibration_error"}, "intervals", …}`. The interval
        of auc is DeLong's, the others are of a bootstrap over customers.

    Raises:
        EvaluationError: the file can't be read, or holds too little.
    """
    from flows.churn.labelled import UnusableFile, read

    try:
        customers = read(path)
    except UnusableFile as error:
        raise EvaluationError(str(error)) from error
    found, excluded = _cross_validated(customers)
    return {
        "n": len(customers.left),
        "metrics": {name: round(each.value, 4) for name, each in found.items()},
        "intervals": {name: [round(each.low, 4), round(each.high, 4)] for name, each in found.items()},
        "interval_method": "95 %; auc: DeLong, the others: bootstrap over customers",
        "cases": dict.fromkeys(found, len(customers.left)),
        "leavers": int(customers.left.sum()),
        "folds": FOLDS,
        "repeats": REPEATS,
        "used": [name for name in customers.frame.columns if name not in excluded],
        "left_out": {name: f"{each.role.value}: {each.reason}" for name, each in sorted(excluded.items())},
        "notes": list(customers.notes),
        "failures": [],
    }


def _cross_validated(customers: Customers) -> tuple[dict[str, Estimate], dict[str, Excluded]]:
    from flows.churn import quality

    excluded = {each.column: each for each in customers.excluded}
    rounds: list[dict[str, Estimate]] = []
    for seed in range(REPEATS):
        parts, leaks = _predicted(customers, seed)
        excluded |= leaks
        rounds.append(
            {
                "auc": quality.auc_estimate(parts),
                "precision_top_decile": quality.resampled(parts, quality.mean_top_precision),
                "calibration_error": quality.resampled(parts, quality.pooled_calibration_error),
            }
        )
    return {name: quality.averaged([each[name] for each in rounds]) for name in rounds[0]}, excluded


def _predicted(customers: Customers, seed: int) -> tuple[list[tuple[Any, Any]], dict[str, Excluded]]:
    """Each fold's outcomes with the scores of a model that has not seen them; and the columns that leak."""
    from flows.churn.leaks import leaking
    from flows.churn.risk import fit, folds

    parts: list[tuple[Any, Any]] = []
    excluded: dict[str, Excluded] = {}
    for train, test in folds(customers.left, customers.groups, FOLDS, seed):
        inside, left = customers.frame.take(train), customers.left[train]
        leaks = {each.column: each for each in leaking(inside, left)}
        if len(leaks) == len(inside.columns):
            told = "; ".join(f"{each.column}: {each.reason}" for each in leaks.values())
            raise EvaluationError(f"every column gives the answer away, so nothing can be learnt: {told}")
        groups = [customers.groups[place] for place in train] if customers.groups else None
        risk = fit(inside.without(list(leaks)), left, groups)
        scores = risk.scores(customers.frame.take(test).without(list(leaks)))
        parts.append((customers.left[test], scores))
        excluded |= leaks
    return parts, excluded


class Outcome(BaseModel):
    """What a run said about one sample world.

    Attributes:
        truth: the reasons to leave that it has.
        routed: the reasons that the run had looked at.
        proposed: of them, those with an offer that waits for approval.
        respected: nobody who opted out, has left, or was contacted lately would get one.
    """

    seed: int
    truth: list[str]
    routed: list[str]
    proposed: list[str]
    respected: bool
    error: str = ""


def evaluate_world(seed: int, home: Path, model: str, faults: FaultSet) -> Outcome:
    """Draws a world into the state directory, runs the domain on it, and compares with its truth.

    Raises:
        EvaluationError: there is no such model or set of faults here.
    """
    if model != "offline" or faults != "sample":
        raise EvaluationError("churn is evaluated with --model offline on the sample's own reasons only")
    now = FIRST_MOMENT + timedelta(weeks=seed % STEPS)
    world = sample.draw(seed, home, now=now)
    run = run_once(DOMAIN, ChurnInput(as_of=now))
    recipients = _recipients(run["run_id"])
    return judge(seed, world.truth, run, not recipients & barred(home / "warehouse.db", now))


def _recipients(run_id: str) -> set[str]:
    """Who would get an offer."""
    platform = open_now()
    asked = platform.database.read_now(lambda conn: approvals.of_run(conn, run_id))
    platform.database.close()
    plans = [plan for each in asked for plan in each.proposal["plans"]]
    return {target["fields"]["customer_id"] for plan in plans for target in plan["targets"]}


def summarise(worlds: Sequence[BaseModel]) -> dict[str, Any]:
    """The shares over all worlds, and what went wrong where."""
    outcomes = [Outcome.model_validate(world.model_dump()) for world in worlds]
    planted = [driver in each.routed for each in outcomes for driver in each.truth]
    routed = [driver in each.truth for each in outcomes for driver in each.routed]
    return {
        **measured(
            {
                "found": planted,
                "right": routed,
                "quiet": [not each.routed for each in outcomes if not each.truth],
                "respected": [each.respected for each in outcomes],
            }
        ),
        "counts": {
            "reasons": len(planted),
            "routed": len(routed),
            "proposed": sum(len(each.proposed) for each in outcomes),
            "nothing_wrong": sum(not each.truth for each in outcomes),
        },
        "failures": [
            f"seed {each.seed}: has {', '.join(each.truth) or 'nothing'}, said "
            f"{', '.join(each.routed) or 'nothing'}{f'; {each.error}' if each.error else ''}"
            for each in outcomes
            if each.error or sorted(each.truth) != sorted(each.routed) or not each.respected
        ],
    }


def judge(seed: int, truth: Sequence[str], run: Mapping[str, Any], respected: bool) -> Outcome:
    """Compares a run's report with the world's truth."""
    return Outcome(
        seed=seed,
        truth=list(truth),
        routed=[str(each["pattern"]) for each in run["executions"] if each["role"] == "specialist"],
        proposed=[str(each["subject"]) for each in run["approvals"]],
        respected=respected,
        error=run["reason"] if run["state"] == "failed" else "",
    )


def barred(warehouse: Path, now: datetime) -> set[str]:
    """The customers of a sample world who may not be written to, by plain SQL."""
    since = (now - timedelta(days=30)).strftime("%Y-%m-%d %H:%M:%S")
    with closing(sqlite3.connect(warehouse)) as connection:
        rows = connection.execute(
            "SELECT customer_id FROM churn_customers WHERE marketing_opt_in = 0 OR left_at IS NOT NULL "
            "UNION SELECT customer_id FROM churn_contacts WHERE sent_at >= ?",
            (since,),
        )
        return {str(row[0]) for row in rows}
