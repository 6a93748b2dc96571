"""The auto-RCA flow under Prefect: skills as subflows, a proposal that waits."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.rca.sample import draw
from tests.rca_world import new_rca_home  # noqa: F401

pytestmark = [pytest.mark.prefect, pytest.mark.full]


async def test_a_run_under_prefect_ends_with_a_proposal(rca_home: Path, prefect: None) -> None:
    from flows.rca.flow import auto_rca

    world = draw(7, rca_home)
    found = await auto_rca()
    assert world.truth is not None
    assert found["state"] == "awaiting_approval"
    assert [each["skill"] for each in found["executions"]] == ["rca-detect-anomaly", "rca-trace-deploy"]
    assert found["approvals"][0]["proposal"]["plans"][0]["action"] == world.truth["action"]
