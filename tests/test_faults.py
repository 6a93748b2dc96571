"""A short course of faults on the running platform, and an audit that finds what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import campaign
from tests.faults.faults import FAULTS
from tests.faults.plan import draw

SEED = 7
SHORT = ("run killed", "services killed", "database locked", "company acts, then 500", "same work twice")


@pytest.mark.full
def test_nothing_is_lost_doubled_or_untrue_whatever_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ASPORA_HOME", "ASPORA_CONFIG"):
        monkeypatch.setenv(name, "")
    outcome = campaign.run(tmp_path, SEED, injections=5, minutes=1, batch=5, names=SHORT)
    assert outcome.violations == []
    assert outcome.injected.total() >= 4
    assert outcome.facts["triggers accepted"]


def test_a_seed_repeats_a_course() -> None:
    assert [*draw(SEED, 50, disk=True)] == [*draw(SEED, 50, disk=True)]
    assert [*draw(SEED, 50, disk=True)] != [*draw(SEED + 1, 50, disk=True)]


def test_every_kind_has_its_share() -> None:
    whole = sum(each.weight for each in FAULTS)
    drawn = [injection.fault.name for injection in draw(SEED, whole, disk=True)]
    assert {each.name: drawn.count(each.name) for each in FAULTS} == {
        each.name: each.weight for each in FAULTS
    }


def test_no_disk_is_filled_that_is_not_its_own() -> None:
    assert "disk full" not in {injection.fault.name for injection in draw(SEED, 200, disk=False)}
