"""ECM: stuck orders, from triage over diagnosis to an approved fix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flows.ecm import asked, models, offline, resolution, review
from tasks.domain import Domain, Skill


def _draw_sample(seed: int, home: Path) -> Sequence[Mapping[str, Any]]:
    from flows.ecm.sample import draw

    return draw(seed, home).incidents


def _sample_company(home: Path) -> Any:
    from flows.ecm.sample import company

    return company(home)


DOMAIN = Domain(
    name="ecm",
    input=models.EcmInput,
    pattern=models.Pattern,
    pattern_key="stuck_at",
    skills={
        "ecm-triage": Skill(
            draft=models.TriageDraft,
            output=models.Triage,
            decide=offline.triage,
            complete=review.triage,
        ),
        "ecm-diagnose": Skill(
            draft=models.DiagnosisDraft,
            output=models.Diagnosis,
            decide=offline.diagnose,
            complete=review.diagnosis,
        ),
        "ecm-resolve": Skill(
            draft=models.ResolutionDraft,
            output=models.Resolution,
            decide=offline.resolve,
            complete=review.resolution,
            fixer=resolution.Orders(),
        ),
    },
    flow="flows.ecm.flow:ecm",
    read=asked.read,
    draw=_draw_sample,
    companies={"sample://": _sample_company},
)
