"""How well auto-RCA does: on labelled incidents of others, and on sample worlds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from blocks.shares import Standard, measured, share
from flows.evaluation import EvaluationError, FaultSet, run_once
from flows.rca import DOMAIN, petshop, sample
from flows.rca.analysis import Alert, Kind, find
from flows.rca.models import RcaInput
from flows.rca.tools import ranked

DATA = "petshop"
LABELLED = {
    "top1": Standard(reference=0.65, target=0.85),
    "top3": Standard(reference=0.83, target=0.95),
    "silent_on_normal": Standard(target=0.9),
}
FAULT_SETS: Sequence[FaultSet] = ("sample", "held-out")
NORMAL_WINDOWS = 40
"""Normal windows of each scenario and metric that are looked at as if an alert had fired."""
FIRST_MOMENT = datetime(2026, 3, 2, 0, 0, tzinfo=UTC)
"""A Monday; each seed looks 8 hours and a little later than the one before."""
STEP = timedelta(hours=8, minutes=7)
STEPS = 300


class Placed(BaseModel):
    """What was said about one labelled incident."""

    name: str
    metric: str
    truth: str
    said: list[str]
    """The candidates, the likeliest first; none if nothing was found anomalous."""

    def within(self, places: int) -> bool:
        """Whether the truth is among the first so many."""
        return self.truth in self.said[:places]


class Silence(BaseModel):
    """What was said about one normal window."""

    name: str
    metric: str
    said: list[str]


def evaluate_data(folder: Path) -> dict[str, Any]:
    """Quality on labelled incidents in the PetShop layout.

    An incident counts as found within the first one or three services that the manager would report; one
    that is not found anomalous counts as missed. Silence is measured on normal windows as long as the
    incidents', with the rest as normal behaviour, as if the service that alerts most had alerted.

    Raises:
        EvaluationError: the folder is not of this layout, or has no incident.
    """
    try:
        scenarios = petshop.read(folder)
    except petshop.LayoutError as error:
        raise EvaluationError(str(error)) from error
    placed = [
        _placed(scenario, incident)
        for scenario in scenarios
        for incident in scenario.incidents
        if incident.metric in petshop.KINDS
    ]
    if not placed:
        raise EvaluationError(f"{folder} has no incident: no folder with metrics.csv and target.json")
    silences = [silence for scenario in scenarios for silence in _silences(scenario)]
    metrics = sorted({one.metric for one in placed})
    return {
        "n": len(placed),
        **measured(
            {
                "top1": [one.within(1) for one in placed],
                "top3": [one.within(3) for one in placed],
                "silent_on_normal": [not one.said for one in silences],
            }
        ),
        "by_metric": {metric: _row(metric, placed, silences) for metric in metrics},
        "normal_windows": len(silences),
        "failures": [
            *(f"{one.name} ({one.metric}): {one.truth}, said {one.said[:3] or 'nothing anomalous'}"
              for one in placed if not one.within(1)),
            *(f"{one.name} ({one.metric}): normal, said {one.said[:3]}" for one in silences if one.said),
        ],
    }  # fmt: skip


def _placed(scenario: petshop.Scenario, incident: petshop.Incident) -> Placed:
    observed = petshop.observed(scenario.normal, incident.metrics)
    alert = Alert(incident.at, incident.service, petshop.KINDS[incident.metric])
    found = ranked(find(observed, scenario.graph, alert))
    return Placed(
        name=f"{scenario.name}/{incident.name}",
        metric=incident.metric,
        truth=incident.truth,
        said=[one.service for one in found],
    )


def _silences(scenario: petshop.Scenario) -> Iterator[Silence]:
    if not scenario.incidents:
        return
    alerting = Counter(incident.service for incident in scenario.incidents).most_common(1)[0][0]
    lengths = sorted(len(_times(incident.metrics)) for incident in scenario.incidents)
    kinds = {incident.metric: petshop.KINDS[incident.metric] for incident in scenario.incidents
             if incident.metric in petshop.KINDS}  # fmt: skip
    windows = petshop.windows(scenario.normal, max(2, lengths[len(lengths) // 2]), NORMAL_WINDOWS)
    for at, inside, outside in windows:
        observed = petshop.observed(outside, inside)
        for metric, kind in sorted(kinds.items()):
            found = ranked(find(observed, scenario.graph, Alert(at, alerting, kind)))
            when = datetime.fromtimestamp(at, UTC)
            name = f"{scenario.name} at {when:%Y-%m-%d %H:%M}"
            yield Silence(name=name, metric=metric, said=[one.service for one in found])


def _times(metrics: Mapping[str, Mapping[Kind, Sequence[tuple[float, float]]]]) -> set[float]:
    return {at for kinds in metrics.values() for points in kinds.values() for at, _ in points}


def _row(metric: str, placed: Sequence[Placed], silences: Sequence[Silence]) -> dict[str, Any]:
    mine = [one for one in placed if one.metric == metric]
    return {
        "n": len(mine),
        "top1": share([one.within(1) for one in mine]),
        "top3": share([one.within(3) for one in mine]),
        "silent_on_normal": share([not one.said for one in silences if one.metric == metric]),
    }


class Outcome(BaseModel):
    """What a run said about one sample world."""

    seed: int
    fault: str | None
    """What is wrong in truth; None if nothing is."""
    service_right: bool
    """The first cause is the faulted service; for a healthy world, nothing was reported."""
    change_right: bool = False
    """The change behind it was named; or none, where none is."""
    action_right: bool = False
    """The action that takes it back was proposed; or none, where none does."""
    confidence: str = ""
    said: str = ""
    error: str = ""


def evaluate_world(seed: int, home: Path, model: str, faults: FaultSet) -> Outcome:
    """Draws a world into the state directory, runs the domain on it, and compares with its truth."""
    if model != "offline":
        raise EvaluationError("auto-rca is evaluated with the offline model only")
    now = FIRST_MOMENT + STEP * (seed % STEPS)
    world = sample.draw(seed, home, now=now, faults=_faults(faults))
    labels = world.alert["labels"]
    asked = RcaInput.model_validate(
        {"service": labels["service"], "metric": labels["metric"], "at": world.alert["since"]}
    )
    return judge(seed, world.truth, run_once(DOMAIN, asked))


def summarise(worlds: Sequence[Outcome]) -> dict[str, Any]:
    """The shares over all worlds, and what went wrong where."""
    faulted = [world for world in worlds if world.fault]
    found = [world for world in faulted if world.service_right]
    names = sorted({str(world.fault) for world in faulted})
    return {
        **measured(
            {
                "service_found": [world.service_right for world in faulted],
                "change_right": [world.change_right for world in found],
                "action_right": [world.action_right for world in found],
                "silent_on_normal": [world.service_right for world in worlds if not world.fault],
            }
        ),
        "counts": {"faulted": len(faulted), "normal": len(worlds) - len(faulted)},
        "faults": {
            name: share([one.change_right and one.action_right for one in faulted if one.fault == name])
            for name in names
        },
        "failures": [
            f"seed {one.seed}, {one.fault or 'nothing wrong'}: {one.error or one.said}"
            for one in worlds
            if one.error or not (one.service_right and (one.action_right or not one.fault))
        ],
    }


def judge(seed: int, truth: Mapping[str, Any] | None, run: Mapping[str, Any]) -> Outcome:
    """Compares a run's report with what is wrong in truth."""
    outputs = {str(each["skill"]): each["output"] or {} for each in reversed(run["executions"])}
    causes = outputs.get("rca-detect-anomaly", {}).get("patterns", [])
    traced = outputs.get("rca-trace-deploy", {})
    first = causes[0]["service"] if causes else None
    said = f"{first}: {traced.get('suspected_change')}, {traced.get('fix_action')}"
    return Outcome(
        seed=seed,
        fault=truth["fault"] if truth else None,
        service_right=first == (truth["service"] if truth else None),
        change_right=truth is not None and traced.get("suspected_change") == truth["change"],
        action_right=truth is not None and traced.get("fix_action") == truth["action"],
        confidence=str(traced.get("confidence") or ""),
        said=said,
        error=run["reason"] if run["state"] == "failed" else "",
    )


def _faults(kept: FaultSet) -> Sequence[sample.Fault]:
    if kept == "sample":
        return sample.FAULTS
    if kept == "held-out":
        from flows.rca.sample.held_out import HELD_OUT

        return HELD_OUT
    raise EvaluationError("auto-rca has the faults of the sample worlds, and with --held-out another set")
