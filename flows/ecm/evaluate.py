"""How well the ECM skills do on sample worlds: stage found, cause found, fix right, abstained."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel

from blocks.database import Database
from blocks.home import ROOT, database_url
from blocks.shares import Standard, measured, share
from flows.ecm import DOMAIN, sample
from flows.ecm.models import Confidence, EcmInput
from flows.evaluation import FaultSet, run_once
from tasks.incidents import Incident, replace

WORLDS = dict.fromkeys(("stage_found", "cause_found", "fix_right", "abstained"), Standard(target=0.95))
FAULT_SETS: Sequence[FaultSet] = ("sample", "held-out", "unseen")
FIRST_MOMENT = datetime(2026, 3, 2, 0, 0, tzinfo=UTC)
"""A Monday; each seed looks 8 hours later than the one before, so all weekdays occur."""
STEP = timedelta(hours=8)
STEPS = 300


class Judged(BaseModel):
    """What became of one stage: a faulted one, or a healthy one that was diagnosed all the same.

    Attributes:
        fault: what is wrong in truth; None if nothing is.
        diagnosed: whether the manager routed it to diagnosis.
        cause_right: the right cause was named; for a healthy stage, none was.
        fix_right: right runbook, and the right action or rightly none.
    """

    seed: int
    stage: str
    fault: str | None
    diagnosed: bool
    cause_right: bool = False
    fix_right: bool = False
    confidence: Confidence | None = None
    said: str = ""
    partial: bool = False


class Outcome(BaseModel):
    """One world's stages, and why its run failed, if it did."""

    seed: int
    stages: list[Judged]
    error: str = ""


def evaluate_world(seed: int, home: Path, model: str, faults: FaultSet) -> Outcome:
    """Draws a world into the state directory, runs the domain on it, and compares with its truth."""
    now = FIRST_MOMENT + STEP * (seed % STEPS)
    with _model(model):
        truth = _draw(seed, home, now, faults)
        found = run_once(DOMAIN, EcmInput(as_of=now))
    diagnoses = {
        str(execution["input"]["stuck_at"]): execution
        for execution in found["executions"]
        if execution["skill"] == "ecm-diagnose"
    }
    faulted = {str(fault["stage"]): fault for fault in truth}
    names = sorted({*faulted, *diagnoses})
    return Outcome(
        seed=seed,
        stages=[judge(seed, name, faulted.get(name), diagnoses.get(name)) for name in names],
        error=found["reason"] if found["state"] == "failed" else "",
    )


def summarise(worlds: Sequence[Outcome]) -> dict[str, Any]:
    """The shares over all worlds, what went wrong where, and the shares by fault and by confidence."""
    stages = [stage for world in worlds for stage in world.stages]
    faulted = [stage for stage in stages if stage.fault]
    diagnosed = [stage for stage in faulted if stage.diagnosed]
    healthy = [stage for stage in stages if not stage.fault]
    return {
        **measured(
            {
                "stage_found": [stage.diagnosed for stage in faulted],
                "cause_found": [stage.cause_right for stage in diagnosed],
                "fix_right": [stage.fix_right for stage in diagnosed],
                "abstained": [stage.cause_right for stage in healthy],
            }
        ),
        "counts": {"faulted": len(faulted), "diagnosed": len(diagnosed), "healthy_diagnosed": len(healthy)},
        "faults": {name: _row([one for one in faulted if one.fault == name]) for name in _names(faulted)},
        "confidence": {
            level.value: _row([stage for stage in diagnosed + healthy if stage.confidence == level])
            for level in Confidence
        },
        "failures": [*_failures(stages), *(f"seed {one.seed}: {one.error}" for one in worlds if one.error)],
    }


@contextmanager
def _model(model: str) -> Iterator[None]:
    """The model that the block's runs ask: the offline one, or the scripted one behind a local address."""
    if model == "offline":
        yield
        return
    from flows.ecm.scripted import serving

    with serving() as url:
        os.environ.update(ANTHROPIC_BASE_URL=url, ANTHROPIC_API_KEY="scripted")
        try:
            yield
        finally:
            del os.environ["ANTHROPIC_BASE_URL"], os.environ["ANTHROPIC_API_KEY"]


def _draw(seed: int, home: Path, now: datetime, faults: FaultSet) -> Sequence[Mapping[str, Any]]:
    """Draws the world, fills the memory, and returns the truth."""
    if faults == "sample":
        world = sample.draw(seed, home, now=now)
    else:
        kinds, pages = _kept_out(faults)
        world = sample.draw(seed, home, now=now, faults=kinds)
        _use_runbooks(home, pages)
    database = Database(database_url())
    database.migrate()
    remembered = [Incident.model_validate(incident) for incident in world.incidents]
    database.write_now(lambda conn: replace(conn, "sample", remembered))
    database.close()
    return world.faults


def _kept_out(faults: Literal["held-out", "unseen"]) -> tuple[Sequence[sample.Fault], Path]:
    """The faults of a set and the folder of their pages."""
    if faults == "held-out":
        from flows.ecm.sample import held_out

        return held_out.HELD_OUT, held_out.RUNBOOKS
    from flows.ecm.sample import unseen

    return unseen.UNSEEN, unseen.RUNBOOKS


def _use_runbooks(home: Path, further: Path) -> None:
    """Lets the process's runs read the company's runbooks and further ones, by a config of their own."""
    pages = home / "runbooks"
    shutil.copytree(ROOT / "runbooks", pages)
    shutil.copytree(further, pages, dirs_exist_ok=True)
    config = yaml.safe_load((ROOT / "aspora.config.yaml").read_text(encoding="utf-8"))
    config["mcp_servers"]["runbooks-mcp"]["path"] = str(pages)
    path = home / "aspora.config.yaml"
    path.write_text(json.dumps(config, default=str), encoding="utf-8")
    os.environ["ASPORA_CONFIG"] = str(path)


def judge(
    seed: int, stage: str, fault: Mapping[str, Any] | None, execution: Mapping[str, Any] | None
) -> Judged:
    """Compares what was said about a stage with its truth.

    Args:
        fault: the truth; None if nothing is wrong with the stage.
        execution: the diagnosis as reported; None if there was none.
    """
    said = (execution or {}).get("output") or {}
    cause = said.get("root_cause")
    right = _cause_right(fault, said) if fault else execution is not None and cause is None
    return Judged(
        seed=seed,
        stage=stage,
        fault=str(fault["fault"]) if fault else None,
        diagnosed=execution is not None,
        cause_right=right,
        fix_right=right and bool(fault) and _fix_right(fault or {}, said),
        confidence=said.get("confidence"),
        said=f"{said.get('runbook')}, {said.get('fix_action')}: {str(cause)[:160]}",
        partial=bool(execution) and (execution or {}).get("outcome") != "success",
    )


def _cause_right(fault: Mapping[str, Any], said: Mapping[str, Any]) -> bool:
    """By the runbook, if one is named; else by the words for the cause."""
    cause = str(said.get("root_cause") or "").lower()
    if not cause:
        return False
    if said.get("runbook"):
        return said["runbook"] in fault["runbooks"]
    return any(word in cause for word in fault["cause_keywords"])


def _fix_right(fault: Mapping[str, Any], said: Mapping[str, Any]) -> bool:
    return said.get("runbook") in fault["runbooks"] and said.get("fix_action") == fault["action"]


def _row(stages: Sequence[Judged]) -> dict[str, Any]:
    return {
        "n": len(stages),
        "cause": share([stage.cause_right for stage in stages if stage.diagnosed]),
        "fix": share([stage.fix_right for stage in stages if stage.diagnosed and stage.fault]),
    }


def _names(stages: Sequence[Judged]) -> list[str]:
    return sorted({str(stage.fault) for stage in stages})


def _failures(stages: Sequence[Judged]) -> Iterator[str]:
    for one in stages:
        where = f"seed {one.seed}, {one.stage}, {one.fault or 'healthy'}"
        if not one.diagnosed:
            yield f"{where}: not routed to diagnosis"
        elif not one.cause_right:
            yield f"{where}: cause wrong ({one.confidence}): {one.said}"
        elif one.fault and not one.fix_right:
            yield f"{where}: fix wrong: {one.said}"
        elif one.partial:
            yield f"{where}: no full success"
