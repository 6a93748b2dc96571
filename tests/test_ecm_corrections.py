"""What people corrected makes the next diagnosis right, as far as it is trusted, and poisons nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from blocks.database import Database
from blocks.home import database_url
from flows.ecm.models import Confidence, Diagnosis
from flows.ecm.sample import Fault, held_out
from tasks import corrections, incidents, record
from tests.correction_world import company, seeds
from tests.record_world import began
from tests.test_ecm_diagnosis import THROTTLED, World, lines, world  # noqa: F401

CAUSE = "the clock of our signing host was wrong"
SIGNATURE = lines("swift-adapter", "{id} not taken: SIGNATURE_INVALID, signing key", hours=range(1, 6))
CLOCK = """# Hosts disagree on the time

The clock of a host is ahead or behind, so that others refuse what it has signed.

## Fix

1. Have the platform team synchronise the clock.
"""
People = tuple[tuple[str, bool], ...]
ONE_TYPED: People = (("eve", False),)
ONE_VERIFIED: People = (("ann", True),)
MANY_TYPED: People = (("eve", False), ("bob", False), ("dan", False))
TYPED_THEN_VERIFIED: People = (("eve", False), ("ann", True))


def database() -> Database:
    opened = Database(database_url())
    opened.migrate()
    return opened


def correct(found: Diagnosis, cause: str, people: Iterable[tuple[str, bool]], **given: Any) -> str:
    """Records the diagnosis as an execution, and what people say of it; its id."""

    def work(conn: record.Connection) -> str:
        id_ = began(conn, pattern_key=found.stuck_at, run_id=f"run-{cause}").execution_id
        record.finish(conn, id_, "success", output=found.model_dump(mode="json"))
        for name, verified in people:
            said = {"actual_root_cause": cause}
            corrections.add(conn, id_, said, by=name, via="cli", verified=verified, **given)
        return id_

    return database().write_now(work)


@pytest.fixture
def misleading(world: World) -> World:  # noqa: F811
    """The lines tell of a signing key; what it was, they don't say."""
    world.page("clock.md", CLOCK)
    world.log(SIGNATURE)
    return world


@pytest.mark.parametrize("people", [ONE_VERIFIED, TYPED_THEN_VERIFIED], ids=["verified", "confirmed"])
async def test_a_corrected_diagnosis_is_right_the_next_time(misleading: World, people: People) -> None:
    before = await misleading.diagnose()
    assert before.runbook == "keys.md"
    correct(before, CAUSE, people)
    after = await misleading.diagnose()
    assert after.runbook == "clock.md"
    assert after.root_cause and after.root_cause.startswith(CAUSE)
    assert people[0][0] in after.root_cause
    assert {item.source for item in after.evidence} == {"logs", "runbook", "incident"}
    assert after.dropped_evidence == 0
    assert any("keys.md" in item.cause for item in after.ruled_out)
    assert after.confidence != Confidence.high
    assert after.fix_action is None


@pytest.mark.parametrize(
    ("people", "told"),
    [
        (ONE_TYPED, "one person says so: eve (a typed name)"),
        (MANY_TYPED, "3 people say so: eve (a typed name)"),
    ],
    ids=["one", "many"],
)
async def test_typed_names_are_heard_and_not_followed(misleading: World, people: People, told: str) -> None:
    """However many: one person can type them all."""
    before = await misleading.diagnose()
    correct(before, CAUSE, people)
    after = await misleading.diagnose()
    assert (after.runbook, after.root_cause, after.fix_action) == (
        before.runbook,
        before.root_cause,
        before.fix_action,
    )
    (heard,) = [item for item in after.ruled_out if CAUSE in item.cause]
    assert told in heard.cause


async def test_a_wrong_correction_stays_where_it_was_made(misleading: World) -> None:
    """Other lines at the stage, and the same lines at another stage, are diagnosed as before."""
    misleading.log(THROTTLED)
    throttled = await misleading.diagnose()
    other = lines("sepa-adapter", "{id} not taken: SIGNATURE_INVALID, signing key", hours=range(1, 6))
    misleading.log(other)
    elsewhere = await misleading.diagnose(stuck_at="sepa")
    misleading.log(SIGNATURE)
    correct(await misleading.diagnose(), "somebody cut the cable", ONE_VERIFIED)
    assert "cut the cable" in str((await misleading.diagnose()).root_cause)
    misleading.log(THROTTLED)
    assert await misleading.diagnose() == throttled
    misleading.log(other)
    assert await misleading.diagnose(stuck_at="sepa") == elsewhere


async def test_after_undo_all_is_as_before(misleading: World) -> None:
    before = await misleading.diagnose()
    id_ = correct(before, "somebody cut the cable", ONE_VERIFIED)
    assert await misleading.diagnose() != before
    database().write_now(lambda c: corrections.withdraw(c, id_, by="ann", via="slack", verified=True))
    assert await misleading.diagnose() == before


async def test_after_its_time_all_is_as_before(misleading: World) -> None:
    before = await misleading.diagnose()
    long_ago = datetime.now(UTC) - timedelta(days=181)
    id_ = correct(before, "somebody cut the cable", ONE_VERIFIED, now=long_ago)
    assert await misleading.diagnose() == before
    database().write_now(lambda c: corrections.confirm(c, id_, by="bob", via="cli"))
    assert await misleading.diagnose() == before
    database().write_now(lambda c: corrections.confirm(c, id_, by="bob", via="slack", verified=True))
    assert "cut the cable" in str((await misleading.diagnose()).root_cause)


@pytest.mark.full
async def test_people_who_disagree_are_not_followed(misleading: World) -> None:
    before = await misleading.diagnose()
    id_ = correct(before, "somebody cut the cable", ONE_VERIFIED)
    database().write_now(lambda c: corrections.approve(c, id_, by="bob", via="slack", verified=True))
    after = await misleading.diagnose()
    assert (after.root_cause, after.runbook) == (before.root_cause, before.runbook)


async def test_what_the_corrected_diagnosis_led_to_is_no_precedent(world: World) -> None:  # noqa: F811
    """A fix was done for a wrong cause, and remembered; people then said what it was."""
    world.log(lines("swift-adapter", "{id} zxq gauge wobble 17 past limit of plinth", hours=range(1, 7)))
    before = await world.diagnose()
    id_ = correct(before, "nothing yet", ())
    done = incidents.Incident(
        domain="ecm",
        stage="swift",
        title="swift: zxq gauge wobble past limit of plinth",
        symptoms="zxq gauge wobble past limit of plinth",
        root_cause="the plinth was loose",
        fix="tighten the plinth",
        source="ecm-resolve",
        opened_at=datetime.now(UTC),
        execution_id=id_,
    )
    database().write_now(lambda c: incidents.remember(c, done))
    assert "tighten the plinth" in str((await world.diagnose()).recommended_fix)
    said = {"actual_root_cause": "a mouse sat on the gauge"}
    database().write_now(lambda c: corrections.add(c, id_, said, by="eve", via="cli"))
    doubted = await world.diagnose()
    assert any("disputed, it may have been another cause" in item.finding for item in doubted.evidence)
    database().write_now(lambda c: corrections.add(c, id_, said, by="bob", via="slack", verified=True))
    after = await world.diagnose()
    assert "plinth was loose" not in after.model_dump_json()
    assert after.root_cause and after.root_cause.startswith("a mouse sat on the gauge")


WORDS = {
    "signer_host_time": "the clock of our gateway host was off, so signed requests were refused",
    "origin_not_enrolled": "the partner does not know the address our calls leave from any more",
    "accepted_then_forgotten": "the message broker lost messages when it switched over to the replica",
}


@pytest.mark.full
@pytest.mark.parametrize("fault", held_out.HELD_OUT, ids=lambda fault: fault.name)
async def test_sample_worlds_of_a_fault_that_the_skill_does_not_know(
    fault: Fault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kept out of its building: wrong in one world, corrected there, and right in another one."""
    counted: Counter[str] = Counter()
    for wording in range(len(fault.wordings)):
        first, second = seeds(fault, wording, fault.stages[wording % 2], 2)
        home = tmp_path / str(wording)
        home.mkdir()
        here = company(home, held_out.RUNBOOKS, monkeypatch)
        wrong = await here.diagnose(first, fault)
        before = await here.diagnose(second, fault)
        here.correct(wrong["execution_id"], WORDS[fault.name], "ann", verified=True)
        after = await here.diagnose(second, fault)
        counted.update(before=before["judged"].cause_right, after=after["judged"].cause_right)
    assert counted["before"] <= 1
    assert counted["after"] >= 2
