"""Auto-RCA: from an alert to the change that caused it, and its approved rollback."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from blocks.config import Config
from flows.rca import asked, models, offline, resolution, review
from tasks.domain import Domain, Skill


def _draw_sample(seed: int, home: Path) -> Sequence[Mapping[str, Any]]:
    from flows.rca.sample import draw

    return draw(seed, home).incidents


def _sampled(config: Config) -> bool:
    server = config.mcp_servers.get("metrics-mcp")
    return server is not None and str(server.options.get("path", "")).startswith(".aspora/rca/")


def _sample_company(home: Path) -> Any:
    from flows.rca.sample import company

    return company(home)


DOMAIN = Domain(
    name="auto-rca",
    input=models.RcaInput,
    pattern=models.Pattern,
    pattern_key="service",
    skills={
        "rca-detect-anomaly": Skill(
            draft=models.AnomaliesDraft,
            output=models.Anomalies,
            decide=offline.detect,
            complete=review.detection,
        ),
        "rca-trace-deploy": Skill(
            draft=models.TraceDraft,
            output=models.Trace,
            decide=offline.trace,
            complete=review.trace,
            fixer=resolution.Changes(),
        ),
    },
    flow="flows.rca.flow:auto_rca",
    read=asked.read,
    draw=_draw_sample,
    worlds=("rca/world.json",),
    sampled=_sampled,
    companies={"sample://": _sample_company},
)
