"""How well FinCrime does: its verdicts on the alerts of sample worlds, compared with what was planted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from blocks.shares import Standard, measured, share
from flows.evaluation import EvaluationError, FaultSet, run_once
from flows.fincrime import DOMAIN, sample
from flows.fincrime.models import FinCrimeInput, Verdict

WORLDS = {
    "recall": Standard(target=0.9),
    "precision": Standard(target=0.8),
    "named": Standard(),
    "proof_planted": Standard(),
}
FAULT_SETS: Sequence[FaultSet] = ("sample", "held-out")
FIRST_MOMENT = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)
"""Each seed looks a day later than the one before."""
STEPS = 300

NAMED: Mapping[str, Sequence[str]] = {
    "random": ("pass_through", "cycle"),
    "stack": ("stack", "pass_through", "gather_scatter", "bipartite", "scatter_gather"),
}
"""Typologies that go by other names among the hypotheses."""


class Judged(BaseModel):
    """What was said about one alert."""

    seed: int
    level: str
    account: str
    typology: str | None
    """What was planted there; None for an innocent customer."""
    innocent: str | None
    """What the innocent customer looks like."""
    verdict: str
    """Empty if the manager saw nothing to test."""
    hypothesis: str
    proof_right: int = 0
    """Transfers of the proof that were planted."""
    proof: int = 0
    planted: int = 0
    """Planted transfers of the case."""

    @property
    def flagged(self) -> bool:
        """Whether a person is asked to do something."""
        return self.verdict in (Verdict.investigate, Verdict.escalate)

    @property
    def named(self) -> bool:
        """Whether the hypothesis is what was planted."""
        typology = self.typology or ""
        return self.hypothesis in NAMED.get(typology, (typology,))


class Outcome(BaseModel):
    """One world's alerts, and why its run failed, if it did."""

    seed: int
    alerts: list[Judged]
    error: str = ""


def evaluate_world(seed: int, home: Path, model: str, faults: FaultSet) -> Outcome:
    """Draws a world into the state directory, runs the domain on its alerts, and compares with its truth.

    Raises:
        EvaluationError: there is no such model or set of worlds here.
    """
    if model != "offline":
        raise EvaluationError("fincrime is evaluated with the offline model only")
    if faults == "unseen":
        raise EvaluationError("fincrime has the sample's worlds, and with --held-out another kind of them")
    now = FIRST_MOMENT + timedelta(days=seed % STEPS)
    world = sample.draw(seed, home, now=now, held_out=faults == "held-out")
    done = run_once(DOMAIN, FinCrimeInput(as_of=now))
    error = done["reason"] if done["state"] == "failed" else ""
    alerts = [judge(seed, world.level, truth, done) for truth in world.truth]
    return Outcome(seed=seed, alerts=alerts, error=error)


def judge(seed: int, level: str, truth: Mapping[str, Any], run: Mapping[str, Any]) -> Judged:
    """Compares what a run said about an alert with its truth."""
    said: Mapping[str, Any] = next(
        (
            each["output"]
            for each in run["executions"]
            if each["skill"] == "fincrime-diagnose" and each["pattern"] == truth["account"] and each["output"]
        ),
        {},
    )
    proof = {each["id"] for each in said.get("transactions", [])}
    planted = set(truth["transfers"])
    return Judged(
        seed=seed,
        level=level,
        account=truth["account"],
        typology=truth["typology"],
        innocent=truth["innocent"],
        verdict=said.get("verdict", ""),
        hypothesis=said.get("hypothesis", ""),
        proof_right=len(proof & planted),
        proof=len(proof),
        planted=len(planted),
    )


def summarise(worlds: Sequence[BaseModel]) -> dict[str, Any]:
    """Recall and precision over all alerts, by typology and by shape named, and what went wrong where."""
    outcomes = [Outcome.model_validate(world.model_dump()) for world in worlds]
    judged = [one for world in outcomes for one in world.alerts]
    planted = [one for one in judged if one.typology]
    caught = [one for one in planted if one.flagged]
    shapes = sorted({one.hypothesis for one in judged if one.flagged and one.hypothesis})
    return {
        **measured(
            {
                **_quality(judged),
                "named": [one.named for one in caught],
                "proof_planted": [place < one.proof_right for one in caught for place in range(one.proof)],
                **{
                    f"recall {name}": [one.flagged for one in of]
                    for name, of in _by(planted, lambda one: str(one.typology))
                },
                **{
                    f"precision {name}": [
                        one.typology is not None for one in judged if one.flagged and one.hypothesis == name
                    ]
                    for name in shapes
                },
            }
        ),
        "counts": {
            "planted": len(planted),
            "innocent": len(judged) - len(planted),
            "worlds with nothing wrong": sum(
                not any(one.typology for one in world.alerts) for world in outcomes
            ),
        },
        "levels": {name: {"n": len(of), **_shares(of)} for name, of in _by(judged, lambda one: one.level)},
        "typologies": {
            name: {
                "n": len(of),
                "recall": share([one.flagged for one in of]),
                "named": share([one.named for one in of if one.flagged]),
            }
            for name, of in _by(planted, lambda one: str(one.typology))
        },
        "innocent": {
            name: {"n": len(of), "flagged": sum(one.flagged for one in of)}
            for name, of in _by([one for one in judged if not one.typology], lambda one: str(one.innocent))
        },
        "failures": [*_failures(judged), *(f"seed {one.seed}: {one.error}" for one in outcomes if one.error)],
    }


def _quality(judged: Sequence[Judged]) -> dict[str, list[bool]]:
    return {
        "recall": [one.flagged for one in judged if one.typology],
        "precision": [one.typology is not None for one in judged if one.flagged],
    }


def _shares(judged: Sequence[Judged]) -> dict[str, float | None]:
    return {name: share(hits) for name, hits in _quality(judged).items()}


def _by(judged: Sequence[Judged], key: Callable[[Judged], str]) -> list[tuple[str, list[Judged]]]:
    grouped: defaultdict[str, list[Judged]] = defaultdict(list)
    for one in judged:
        grouped[key(one)].append(one)
    return sorted(grouped.items())


def _failures(judged: Sequence[Judged]) -> Iterator[str]:
    for one in judged:
        where = f"seed {one.seed} ({one.level}), {one.account}"
        if one.typology and not one.flagged:
            yield f"{where}, {one.typology}: missed, {one.verdict or 'not tested'}"
        elif not one.typology and one.flagged:
            yield f"{where}, innocent {one.innocent}: {one.verdict} as {one.hypothesis}"
