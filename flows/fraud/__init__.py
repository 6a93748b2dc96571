"""Fraud: a proposed rule is judged on the past before it hurts a customer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flows.fraud import asked, models, offline, review
from tasks.domain import Domain, Skill


def _draw_sample(seed: int, home: Path) -> Sequence[Mapping[str, Any]]:
    from flows.fraud.sample import draw

    draw(seed, home)
    return ()


DOMAIN = Domain(
    name="fraud",
    input=models.FraudInput,
    pattern=models.Pattern,
    pattern_key="rule",
    skills={
        "fraud-simulate-rule": Skill(
            draft=models.SimulationDraft,
            output=models.Simulation,
            decide=offline.simulate,
            complete=review.simulation,
        ),
        "fraud-edge-cases": Skill(
            draft=models.EdgeDraft,
            output=models.EdgeReport,
            decide=offline.edge_cases,
            complete=review.edge_cases,
        ),
        "fraud-qa": Skill(
            draft=models.QaDraft,
            output=models.QaReport,
            decide=offline.qa,
            complete=review.qa,
        ),
    },
    flow="flows.fraud.flow:fraud",
    read=asked.read,
    draw=_draw_sample,
    worlds=("fraud/world.json", "warehouse.db"),
)
