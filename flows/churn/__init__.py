"""Churn: who is leaving, why, and what is worth offering."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flows.churn import asked, models, offline, resolution, review
from tasks.domain import Domain, Skill


def _draw_sample(seed: int, home: Path) -> Sequence[Mapping[str, Any]]:
    from flows.churn.sample import draw

    draw(seed, home)
    return ()


def _sample_company(home: Path) -> Any:
    from flows.churn.sample import company

    return company(home)


DOMAIN = Domain(
    name="churn",
    input=models.ChurnInput,
    pattern=models.Pattern,
    pattern_key="driver",
    skills={
        "churn-analyze-signals": Skill(
            draft=models.SignalsDraft,
            output=models.Signals,
            decide=offline.analyze,
            complete=review.signals,
        ),
        "churn-personalize": Skill(
            draft=models.PlanDraft,
            output=models.Plan,
            decide=offline.personalize,
            complete=review.plan,
            fixer=resolution.Customers(),
        ),
    },
    flow="flows.churn.flow:churn",
    read=asked.read,
    draw=_draw_sample,
    worlds=("churn/world.json", "warehouse.db"),
    companies={"sample://": _sample_company},
)
