"""What holds of the intake for any messages, in any order, any number of times."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks.database import Database
from flows.orchestrator.bounds import bounded
from tasks import inbox, lease
from tasks.domain import Incoming
from tasks.platform import Platform
from tests.orchestrated import ALERT, alert, platform_of, received, resolved
from tests.record_world import MINUTE, NOW

pytestmark = pytest.mark.full

FEW = settings(max_examples=25, deadline=None)
HOUR = timedelta(hours=1)
STAGES = st.sampled_from(["lulu", "zento"])


@cache
def empty_record() -> bytes:
    """A migrated database file."""
    with tempfile.TemporaryDirectory() as directory:
        database = Database(f"sqlite:///{directory}/record.db")
        database.migrate()
        database.read_now(lambda conn: conn.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)"))
        database.close()
        return Path(f"{directory}/record.db").read_bytes()


@contextmanager
def platform(**given: Any) -> Iterator[Platform]:
    """A platform with an empty record and one trigger of these keys."""
    with tempfile.TemporaryDirectory() as directory:
        Path(f"{directory}/record.db").write_bytes(empty_record())
        database = Database(f"sqlite:///{directory}/record.db")
        yield platform_of(database, {**ALERT, **given})
        database.close()


def runs(opened: Platform) -> list[inbox.Trigger]:
    """The triggers that start a run."""
    return [each for each in opened.database.read_now(inbox.find) if each.state in ("pending", "done")]


@FEW
@given(st.lists(st.integers(0, 5), min_size=1, max_size=25))
def test_the_same_trigger_any_number_of_times_in_any_order_is_one_run(keys: list[int]) -> None:
    with platform(group_by=[]) as opened:
        ids = {key: {received(opened, alert(f"a{key}")).id for _ in range(2)} for key in keys}
        assert all(len(each) == 1 for each in ids.values())
        assert {each.id for each in runs(opened)} == {id for each in ids.values() for id in each}


@FEW
@given(st.integers(2, 5), st.lists(STAGES, max_size=25))
def test_so_many_occurrences_within_the_window_start_exactly_one_run(count: int, stages: list[str]) -> None:
    """Each run takes along what was counted for it, so that nothing is counted twice."""
    with platform(group_by=["stage"], after={"count": count, "within": "1h"}) as opened:
        for stage in stages:
            trigger = received(opened, alert(stage=stage))
            if trigger.state == "pending":
                owner = lease.claimant()
                opened.database.write_now(lambda c, t=trigger, o=owner: inbox.claim(c, t.id, o, HOUR))
                opened.database.write_now(lambda c, t=trigger, o=owner: inbox.finish(c, t.id, o, "done"))
        started = Counter(each.payload["stage"] for each in runs(opened))
        assert started == Counter({stage: n // count for stage, n in Counter(stages).items() if n >= count})
        taken = [each for each in opened.database.read_now(inbox.find) if each.part_of]
        assert len(taken) == sum(started.values()) * (count - 1)


@FEW
@given(st.lists(st.tuples(STAGES, st.integers(0, 20)), max_size=20), st.integers(1, 15))
def test_runs_of_one_incident_start_no_closer_than_its_quiet_period(
    arrivals: list[tuple[str, int]], quiet: int
) -> None:
    with platform(group_by=["stage"], quiet=f"{quiet}m") as opened:
        at, starts = NOW, dict[str, list[Any]]()
        for stage, minutes in arrivals:
            at += minutes * MINUTE
            trigger = received(opened, alert(stage=stage), at)
            if trigger.state == "pending":
                owner = lease.claimant()
                opened.database.write_now(
                    lambda c, t=trigger, o=owner, at=at: inbox.claim(c, t.id, o, HOUR, now=at)
                )
                opened.database.write_now(lambda c, t=trigger, o=owner: inbox.finish(c, t.id, o, "done"))
                starts.setdefault(stage, []).append(at)
        for times in starts.values():
            assert all(later - earlier >= quiet * MINUTE for earlier, later in pairwise(times))
        assert set(starts) == {stage for stage, _ in arrivals}


@FEW
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4)), max_size=25))
def test_a_group_waits_for_its_run_as_long_as_one_of_its_alerts_fires(
    happenings: list[tuple[bool, int]],
) -> None:
    """Alerts fire and end in any order: there is a waiting run exactly if one that fires has no ended run."""
    with platform(group_by=["stage"]) as opened:
        firing, known = set[int](), set[int]()
        for fires, number in happenings:
            if fires:
                received(opened, alert(f"a{number}", stage="lulu"))
                firing |= {number} - known
                known.add(number)
            elif resolved(opened, f"a{number}"):
                firing.discard(number)
            waiting = [each for each in opened.database.read_now(inbox.find) if each.state == "pending"]
            assert len(waiting) == bool(firing)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=50),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["prometheus", "slack", "whatsapp", "webhook"]),
    st.text(max_size=300),
    st.dictionaries(st.text(max_size=30), st.text(max_size=100), max_size=5),
    st.text(max_size=100),
    st.dictionaries(st.text(max_size=20), _JSON, max_size=4),
    st.text(max_size=300),
)
def test_whatever_a_message_says_it_is_kept_once(
    source: Any, key: str, fields: dict[str, str], text: str, data: dict[str, Any], group: str
) -> None:
    """No fault, and bounding what is bounded changes nothing."""
    with platform() as opened:
        message = Incoming(source, key, {**fields, "alertname": "EcmBacklog"}, text, data, group)
        first = received(opened, message)
        assert received(opened, message) == first
        kept, _ = bounded(message)
        assert bounded(kept)[0].fields == kept.fields
        assert len(opened.database.read_now(inbox.find)) == 1
