"""The FinCrime flow under Prefect: skills as subflows, a verdict, nothing to approve."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.fincrime.sample import draw
from tests.fincrime_world import new_fincrime_home

__all__ = ["new_fincrime_home"]
pytestmark = [pytest.mark.prefect, pytest.mark.full]


async def test_a_run_under_prefect_ends_with_a_verdict(fincrime_home: Path, prefect: None) -> None:
    from flows.fincrime.flow import fincrime

    draw(7, fincrime_home)
    found = await fincrime()
    assert (found["state"], found["approvals"]) == ("completed", [])
    manager, *specialists = found["executions"]
    assert manager["skill"] == "fincrime-hypothesis"
    assert "escalate" in {each["output"]["verdict"] for each in specialists}
