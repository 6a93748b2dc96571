"""Searching executions: by domain, skill, outcome, time and words, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from blocks.database import Database
from tasks import corrections, record
from tests.commands import Aspora, new_aspora  # noqa: F401
from tests.fix_world import World, new_api, new_world  # noqa: F401
from tests.record_world import began, new_database, new_postgres  # noqa: F401
from tests.report_world import ended

AWKWARD = (
    "100%",
    "a_b",
    'say "no"',
    "back\\slash",
    "line\nbreak",
    "Grüße",
    "'; DROP TABLE executions; --",
    "\u0001",
)


def search(database: Database, **asked: Any) -> set[str]:
    found = database.read_now(lambda conn: record.search(conn, **asked))
    return {row.execution_id for row in found}


def test_words_are_taken_literally(database: Database) -> None:
    """Wherever they stand; signs that mean something in patterns, JSON or SQL mean nothing."""

    def work(conn: Connection, words: str, number: int) -> set[str]:
        run = f"run-{number}"
        ended(conn, hours=1, run_id=f"other-{number}", output={"x": "100 a-b"})
        row = began(conn, run_id=f"trace-{number}")
        record.finish(conn, row.execution_id, "success", trace=f"I think {words}!")
        return {
            row.execution_id,
            ended(conn, hours=2, run_id=f"in-{run}", input_data={"stuck_at": f"x {words} y"}),
            ended(conn, hours=3, run_id=f"out-{run}", output=[words]),
        }

    for number, words in enumerate(AWKWARD):
        holding = database.write_now(lambda conn, w=words, n=number: work(conn, w, n))
        assert search(database, text=words) == holding, words


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.text(min_size=1, max_size=20))
def test_any_words_that_were_written_are_found(database: Database, words: str) -> None:
    id_ = database.write_now(lambda conn: ended(conn, run_id=f"run {words!r}", output={"x": f"<{words}>"}))
    assert id_ in search(database, text=words, limit=10_000)


def test_upper_and_lower_case_are_the_same(database: Database) -> None:
    id_ = database.write_now(lambda conn: ended(conn, output={"x": "Lulu Rate Limit"}))
    assert search(database, text="lulu rate LIMIT") == {id_}


def test_a_correction_is_found_until_it_is_taken_back(database: Database) -> None:
    def work(conn: Connection) -> str:
        wrong = '100% a "timeout"'
        stands, gone = ended(conn, hours=1, wrong=wrong), ended(conn, hours=2, wrong=wrong)
        corrections.withdraw(conn, gone, by="ann", via="cli")
        return stands

    stands = database.write_now(work)
    assert search(database, outcome="user_corrected") == {stands}
    assert search(database, text='0% a "TIME') == {stands}


def test_times_and_all_together(database: Database) -> None:
    now = datetime.now(UTC)

    def work(conn: Connection) -> str:
        for hours in (1, 5, 9):
            ended(conn, "ecm-diagnose", hours, output={"x": "lulu"})
            ended(conn, "ecm-resolve", hours, output={"x": "lulu"})
        return ended(conn, "ecm-diagnose", 5.5, "error", output={"x": "lulu"})

    one = database.write_now(work)
    since, until = now - timedelta(hours=6), now - timedelta(hours=4)
    asked = {"domain": "ecm", "skill": "ecm-diagnose", "since": since, "until": until, "text": "lulu"}
    assert len(search(database, **asked)) == 2
    assert search(database, **asked, outcome="error") == {one}
    assert len(search(database, since=since)) == 5


@pytest.mark.parametrize(
    "asked", [{}, {"domain": "ecm"}, {"skill": "ecm-diagnose"}, {"text": "x", "outcome": "error"}]
)
def test_the_newest_are_found_along_an_index(tmp_path: Any, asked: dict[str, Any], monkeypatch: Any) -> None:
    """No scan of the table, and no sort of all that matches."""
    database = Database(f"sqlite:///{tmp_path}/record.db")
    database.migrate()
    plans: list[str] = []

    def explained(conn: Connection) -> None:
        original = conn.execute

        def execute(query: Any, *more: Any) -> Any:
            sql = str(query.compile(conn, compile_kwargs={"literal_binds": True}))
            plans.extend(row[3] for row in original(text("EXPLAIN QUERY PLAN " + sql.replace(":", "\\:"))))
            return original(query, *more)

        monkeypatch.setattr(conn, "execute", execute)
        record.search(conn, **asked, limit=50)

    database.read_now(explained)
    assert any("ix_executions" in line and "e " in line for line in plans)
    assert not any(line.startswith("SCAN e") and "INDEX" not in line for line in plans)
    assert "USE TEMP B-TREE FOR ORDER BY" not in plans


def test_on_the_command_line(aspora: Aspora, world: World) -> None:
    def work(conn: Connection) -> tuple[str, str]:
        return ended(conn, hours=1, wrong="rate [red]limit"), ended(
            conn, "ecm-triage", 50, output={"x": "50%"}
        )

    corrected, old = world.database.write_now(work)

    def ids(*options: str) -> list[str]:
        return [each["execution_id"] for each in aspora("executions", *options, "--json").json]

    assert ids() == [corrected, old]
    assert ids("--outcome", "user_corrected") == ids("--text", "[red]") == [corrected]
    assert ids("--text", "0%") == ids("--until", "24h") == [old]
    assert ids("--since", "24h") == [corrected]
    assert ids("--since", "2020-01-01", "--until", "2020-02-01 08:00") == []
    assert "user_corrected" in aspora("executions", "--text", "limit").out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--outcome", "sucess"), "there is no outcome 'sucess'; did you mean success?"),
        (("--until", "soon"), "--until: 'soon' is no duration"),
        (("--text", "x" * 1001), "1,001 characters are too many"),
    ],
)
def test_wrong_usage(aspora: Aspora, options: tuple[str, ...], words: str) -> None:
    done = aspora("executions", *options)
    assert (done.code, done.out) == (2, "")
    assert words in done.err
