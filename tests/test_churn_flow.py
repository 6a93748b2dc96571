"""The churn flow under Prefect: skills as subflows, a draft that waits."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.churn.models import ChurnInput
from flows.churn.sample import draw
from tests.churn_world import NOW, settle

pytestmark = [pytest.mark.prefect, pytest.mark.full]


async def test_a_run_under_prefect_ends_with_a_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefect: None
) -> None:
    from flows.churn.flow import churn

    settle(tmp_path, monkeypatch)
    draw(7, tmp_path, now=NOW)
    found = await churn(ChurnInput(as_of=NOW))
    assert found["state"] == "awaiting_approval"
    assert [each["skill"] for each in found["executions"]] == ["churn-analyze-signals", "churn-personalize"]
    assert found["approvals"][0]["proposal"]["plans"][0]["action"] == "send_offer"
