"""Budgets hold: whatever is reserved, settled, crashed or expired, in whatever order and process."""

from __future__ import annotations

import multiprocessing
import threading
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from blocks.database import Database
from tasks import record, spend
from tests.record_world import MINUTE, NOW, began, new_database, new_postgres  # noqa: F401

BUDGETS = spend.Budgets(domain_day=1000, platform_day=1500, execution=800)


def reserve(
    database: Database, execution_id: str, micro: int, budgets: spend.Budgets = BUDGETS, **given: object
) -> spend.Reservation | None:
    """A reservation, or None if a budget forbids it."""
    values = {"domain": execution_id.partition("-")[0], "sequence": 1, "now": NOW, **given}
    try:
        return database.write_now(
            lambda c: spend.reserve(c, execution_id=execution_id, micro=micro, budgets=budgets, **values)  # type: ignore[arg-type]
        )
    except spend.BudgetExceeded:
        return None


def test_a_reservation_beyond_a_budget_is_refused_and_says_which(database: Database) -> None:
    """Execution, domain and platform each have their limit; what is refused leaves no trace."""
    ids = [
        database.write_now(lambda c, skill=skill, n=n: began(c, skill, handoff=n)).execution_id
        for skill, n in (("ecm-diagnose", "1"), ("ecm-diagnose", "2"), ("fraud-score", "3"))
    ]
    for place, micro, which in ((0, 801, "execution"), (1, 301, "domain:ecm"), (2, 501, "platform")):
        asked = {"domain": ids[place].partition("-")[0], "execution_id": ids[place], "sequence": 1}
        with pytest.raises(spend.BudgetExceeded) as refused:
            database.write_now(
                lambda c, asked=asked, micro=micro: spend.reserve(
                    c, **asked, micro=micro, budgets=BUDGETS, now=NOW
                )
            )
        assert refused.value.which == which
        assert reserve(database, ids[place], min(micro - 1, 700))
    assert database.read_now(lambda c: spend.of_day(c, day=NOW.date())) == 1500
    assert database.read_now(lambda c: spend.of_day(c, "ecm", NOW.date())) == 1000
    assert reserve(database, ids[0], 0)


def test_all_executions_of_a_run_share_its_budget(database: Database) -> None:
    """The ceiling of one run; another run has its own."""
    one, two = (
        database.write_now(lambda c, n=n: began(c, "ecm-diagnose", handoff=n)).execution_id for n in "12"
    )
    other = database.write_now(lambda c: began(c, "ecm-triage", run_id="ecm-other")).execution_id
    limits = spend.Budgets(run=100)
    assert reserve(database, one, 60, limits)
    assert not reserve(database, two, 41, limits)
    assert reserve(database, two, 40, limits)
    assert not reserve(database, one, 1, limits)
    assert reserve(database, other, 100, limits)


def test_the_message_is_for_people() -> None:
    """What the budget is, what is left, what was wanted."""
    error = spend.BudgetExceeded("domain:ecm", 5_000_000, 4_990_000, 20_000)
    assert str(error) == ("the budget of domain ecm, $5.00/day, has $0.01 left; the next step may cost $0.02")


def test_the_real_cost_replaces_the_reservation(database: Database) -> None:
    """Below, above, and after the lease; once only. An ended execution's cost can still rise."""
    id_ = database.write_now(began).execution_id
    below, above, late = (reserve(database, id_, 100) for _ in range(3))
    assert below and above and late
    database.write_now(lambda c: spend.settle(c, below, 40))
    database.write_now(lambda c: spend.settle(c, below, 0))
    database.write_now(lambda c: spend.settle(c, above, 2000))
    assert database.write_now(lambda c: spend.lapse(c, NOW + timedelta(days=1))) == 1
    database.write_now(lambda c: record.finish(c, id_, "success"))
    assert database.read_now(lambda c: record.get(c, id_)).cost_micro == 2140
    database.write_now(lambda c: spend.settle(c, late, 7))
    assert database.read_now(lambda c: spend.of_day(c, "ecm", NOW.date())) == 2140
    database.write_now(lambda c: spend.settle(c, late, 300))
    assert database.read_now(lambda c: spend.of_day(c, "ecm", NOW.date())) == 2340
    assert database.read_now(lambda c: record.get(c, id_)).cost_micro == 2340
    assert reserve(database, id_, 1) is None


def test_a_new_day_has_a_new_budget(database: Database) -> None:
    """The day is the reservation's UTC day, also when the cost comes after midnight."""
    id_ = database.write_now(began).execution_id
    limits = spend.Budgets(domain_day=100)
    first = reserve(database, id_, 100, limits)
    assert first
    assert reserve(database, id_, 1, limits) is None
    tomorrow = NOW + timedelta(days=1)
    assert reserve(database, id_, 100, limits, now=tomorrow)
    database.write_now(lambda c: spend.settle(c, first, 30))
    assert database.read_now(lambda c: spend.of_day(c, "ecm", NOW.date())) == 30
    assert database.read_now(lambda c: spend.of_day(c, "ecm", tomorrow.date())) == 100


OPERATION = st.one_of(
    st.tuples(st.just("reserve"), st.integers(0, 3), st.integers(1, 700)),
    st.tuples(st.just("settle"), st.integers(0, 20), st.integers(0, 100)),
    st.tuples(st.just("lapse"), st.integers(0, 60), st.just(0)),
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Database:
    """One SQLite record for all drawn histories; each uses its own day."""
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('spend')}/record.db")
    database.migrate()
    return database


_days = iter(range(1, 10_000))


@settings(max_examples=60, deadline=None)
@given(history=st.lists(OPERATION, max_size=25))
def test_no_history_passes_a_budget(shared: Database, history: list[tuple[str, int, int]]) -> None:
    """Settled costs here stay within their reservations; then no sum ever passes its limit, and the
    rollup always equals the rows. A reservation that nobody settles is a crash: it stays counted."""
    day = NOW + timedelta(days=next(_days))
    skills = ("ecm-diagnose", "ecm-resolve", "fraud-score", "fraud-check")
    ids = [shared.write_now(lambda c, s=s: began(c, s, f"{day}")).execution_id for s in skills]
    open_: list[spend.Reservation] = []
    for name, first, second in history:
        if name == "reserve":
            made = reserve(shared, ids[first], second, now=day, lease=MINUTE * (second % 50))
            open_ += [made] if made else []
        elif name == "settle" and open_:
            reservation = open_[first % len(open_)]
            cost = reservation.micro * second // 100
            shared.write_now(lambda c, r=reservation, m=cost: spend.settle(c, r, m))
        elif name == "lapse":
            shared.write_now(lambda c, at=day + MINUTE * first: spend.lapse(c, at))
        _within(shared, day.date(), ids)


def _within(database: Database, day: date, ids: list[str]) -> None:
    rows = database.read_now(
        lambda c: c.execute(
            text(
                "SELECT domain, execution_id, coalesce(settled_micro, reserved_micro) "
                "FROM spend WHERE day = :d"
            ),
            {"d": day.isoformat()},
        ).all()
    )
    total = sum(row[2] for row in rows)
    assert total <= 1500
    assert database.read_now(lambda c: spend.of_day(c, day=day)) == total
    for domain in ("ecm", "fraud"):
        spent = sum(row[2] for row in rows if row[0] == domain)
        assert spent <= 1000
        assert database.read_now(lambda c, d=domain: spend.of_day(c, d, day)) == spent
    for id_ in ids:
        assert sum(row[2] for row in rows if row[1] == id_) <= 800


def spend_all(url: str, execution_id: str, granted: str) -> None:
    """A process that reserves until it is refused; it settles every other one and forgets the rest."""
    database = Database(url)
    count = 0
    while made := reserve(database, execution_id, 30, spend.Budgets(domain_day=1000)):
        count += 1
        if count % 2:
            database.write_now(lambda c, made=made: spend.settle(c, made, 20))
    Path(granted).write_text(str(count))


@pytest.mark.full
def test_processes_share_a_budget(database: Database, tmp_path: Path) -> None:
    """Three processes and three threads reserve against one budget until all are refused."""
    id_ = database.write_now(began).execution_id
    url = database._url.render_as_string(hide_password=False)
    spawn = multiprocessing.get_context("spawn")
    files = [str(tmp_path / f"granted-{n}") for n in range(6)]
    workers = [
        (spawn.Process if n < 3 else threading.Thread)(target=spend_all, args=(url, id_, files[n]))
        for n in range(6)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    spent = database.read_now(lambda c: spend.of_day(c, "ecm", NOW.date()))
    granted = sum(int(Path(file).read_text()) for file in files)
    assert 970 < spent <= 1000
    assert granted >= 33
    assert database.read_now(lambda c: spend.of_execution(c, id_)) == spent
