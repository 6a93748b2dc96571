"""A short course of faults on the running platform, and an audit that finds what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.faults import audit, campaign
from tests.faults.faults import FAULTS
from tests.faults.neighbours import Act
from tests.faults.plan import draw
from tests.faults.traffic import Ledger, Said

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
    assert outcome.injected.total() + outcome.missed.total() == len(SHORT)
    assert outcome.facts["triggers accepted"]


def row(**columns: Any) -> SimpleNamespace:
    """A row of the record."""
    return SimpleNamespace(**columns)


def course() -> tuple[SimpleNamespace, Ledger, audit.State]:
    """A trigger whose run proposed a fix, which Ada approved and the company did."""
    trigger = row(
        id="trg-1", dedupe_key="a", run_id="r", state="done", result="completed", reason="", attempts=1,
        part_of=None,
    )  # fmt: skip
    execution = row(
        execution_id="e", run_id="r", domain="ecm", skill_name="ecm-triage", skill_role="manager",
        pattern_key=None, outcome="success", error=None, cost_micro=5,
    )  # fmt: skip
    turn = row(execution_id="e", sequence=1, settled_micro=5, reserved_micro=9, lapsed=False)
    fix = row(id="apr-1", run_id="r", execution_id="e", domain="ecm", status="done", decided_by="Ada")
    action = row(approval_id="apr-1", action="retry", object_key="A@1", idempotency_key="k", status="done")
    now = audit.State([trigger], [execution], [turn], [], [fix], [action], [], [], [], [])
    wires = {"model": SimpleNamespace(cut=0)}
    world = SimpleNamespace(
        company=SimpleNamespace(acts=[Act(2.0, "A", "k")]),
        model=SimpleNamespace(answered=1, lost=0),
        wires=wires,
    )
    return world, Ledger(accepted={"a": {"trg-1"}}, said={"apr-1": Said(True, 1.0)}), now


CHECKS: list[audit.Check] = [
    audit.no_trigger_lost, audit.none_run_twice, audit.one_turn_in_flight, audit.actions_once,
    audit.decisions_hold, audit.ends_are_true,
]  # fmt: skip


def found(world: Any, ledger: Ledger, now: audit.State) -> list[str]:
    return [told for check in CHECKS for told in check(world, ledger, now)]


def test_the_audit_finds_nothing_where_nothing_is_wrong() -> None:
    assert found(*course()) == []


@pytest.mark.parametrize(
    ("words", "spoil"),
    [
        ("does not have", lambda world, ledger, now: now.triggers.clear()),
        ("is running", lambda world, ledger, now: setattr(now.triggers[0], "state", "running")),
        ("2 executions", lambda world, ledger, now: now.executions.append(now.executions[0])),
        ("turns were lost", lambda world, ledger, now: setattr(now.spend[0], "lapsed", True)),
        ("reserved", lambda world, ledger, now: setattr(world.model, "answered", 2)),
        ("was asked for", lambda world, ledger, now: now.spend.extend(now.spend * 2)),
        ("done 2 times", lambda world, ledger, now: world.company.acts.append(Act(3.0, "A", "k"))),
        ("does not have", lambda world, ledger, now: world.company.acts.append(Act(3.0, "A", "other"))),
        ("without an approval", lambda world, ledger, now: ledger.said.clear()),
        ("without an approval", lambda world, ledger, now: setattr(ledger.said["apr-1"], "at", 2.5)),
        ("did nothing", lambda world, ledger, now: world.company.acts.clear()),
        ("still running", lambda world, ledger, now: setattr(now.actions[0], "status", "running")),
        ("nobody approved", lambda world, ledger, now: setattr(ledger.said["apr-1"], "yes", False)),
        ("failed without", lambda world, ledger, now: setattr(now.executions[0], "outcome", "error")),
        (
            "waits for approval",
            lambda world, ledger, now: setattr(now.triggers[0], "result", "awaiting_approval"),
        ),
    ],
)
def test_the_audit_finds_what_is_wrong(
    words: str, spoil: Callable[[Any, Ledger, audit.State], object]
) -> None:
    world, ledger, now = course()
    spoil(world, ledger, now)
    assert any(words in told for told in found(world, ledger, now))


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
