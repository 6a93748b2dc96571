"""FinCrime: from an alert to tested hypotheses, with proof and a narrative for a person to finish."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flows.fincrime import asked, models, offline, review
from tasks.domain import Domain, Skill


def _draw_sample(seed: int, home: Path) -> Sequence[Mapping[str, Any]]:
    from flows.fincrime.sample import draw

    draw(seed, home)
    return ()


DOMAIN = Domain(
    name="fincrime",
    input=models.FinCrimeInput,
    pattern=models.Pattern,
    pattern_key="subject",
    skills={
        "fincrime-hypothesis": Skill(
            draft=models.HypothesesDraft,
            output=models.Hypotheses,
            decide=offline.hypothesise,
            complete=review.hypotheses,
        ),
        "fincrime-diagnose": Skill(
            draft=models.DiagnosisDraft,
            output=models.Diagnosis,
            decide=offline.diagnose,
            complete=review.diagnosis,
        ),
    },
    flow="flows.fincrime.flow:fincrime",
    read=asked.read,
    draw=_draw_sample,
    worlds=("fincrime/world.json", "warehouse.db"),
)
