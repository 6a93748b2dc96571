"""Reports of the platform, a domain and a skill: the architecture document's figures."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from alembic import command
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from blocks.database import Database
from blocks.migrations.upgrade import alembic_config
from tasks import averages, corrections, handoffs, reports
from tests.commands import Aspora, new_aspora  # noqa: F401
from tests.fix_world import World, new_api, new_world  # noqa: F401
from tests.record_world import new_database, new_postgres  # noqa: F401
from tests.report_world import DAY, SETTINGS, ended

EVIL = "\x1b[2J[red]evil[/red]\u202e"


def week_of_history(conn: Connection) -> None:
    """Three days with two executions each, of which one failed on the first; then today."""
    for day in (1, 2, 3):
        ended(conn, "ecm-triage", 24 * day + 2, dollars=0.5)
        ended(
            conn,
            "ecm-diagnose",
            24 * day + 1,
            "error" if day == 1 else "success",
            dollars=0.5,
            from_skill="ecm-triage",
        )
    ended(conn, "ecm-triage", 97, "expired")
    ended(conn, "ecm-triage", 1, dollars=0.003, seconds=2)
    ended(conn, "ecm-diagnose", 2, dollars=0.12, seconds=10, wrong="rate limit", from_skill="ecm-triage")
    ended(conn, "ecm-diagnose", 3, "partial", dollars=0.08, seconds=20, from_skill="ecm-triage")
    ended(conn, "ecm-resolve", 3, "rejected", seconds=5, from_skill="ecm-diagnose")
    ended(conn, "fraud-score", 4, dollars=0.5, seconds=3, from_skill="fraud-triage")


def test_the_platform_against_the_days_before(database: Database) -> None:
    """What a person stopped is left out of the rate; what a user corrected is no success."""
    database.write_now(week_of_history)
    found = database.read_now(reports.platform)
    assert (found.total_executions, found.active_domains) == (5, 2)
    assert found.total_cost == pytest.approx(0.703)
    assert found.success_rate == pytest.approx(2 / 4)
    assert [(each.domain, each.executions) for each in found.top_domains] == [("ecm", 4), ("fraud", 1)]
    assert {each.domain: each.cost for each in found.costs} == pytest.approx({"fraud": 0.5, "ecm": 0.203})
    assert [each.domain for each in found.costs] == ["fraud", "ecm"]
    usual = found.average
    assert usual and usual.periods == 3
    assert (usual.executions, usual.cost) == (pytest.approx(2), pytest.approx(1))
    assert usual.success_rate == pytest.approx(5 / 6)
    assert found.in_future == 0


def test_an_average_takes_corrections_into_account(database: Database) -> None:
    """Those that stand; one of a run that a person stopped makes it count, as in the view."""
    now = datetime.now(UTC)

    def work(conn: Connection) -> None:
        ended(conn, hours=80)
        ended(conn, hours=30, wrong="x")
        taken_back = ended(conn, hours=31, wrong="x")
        corrections.withdraw(conn, taken_back, by="ann", via="cli")
        ended(conn, hours=32, outcome="rejected", wrong="x")

    database.write_now(work)
    usual = database.read_now(lambda conn: averages.before(conn, now - DAY, DAY))
    assert usual and usual.periods == 2
    assert usual.success_rate == pytest.approx(1 / 3)


def test_an_average_needs_a_whole_period(database: Database) -> None:
    """Of at most seven."""
    expected = {"a": (24.5, None), "b": (47, None), "c": (49, 1), "d": (24 * 30, 7)}

    def work(conn: Connection) -> None:
        for name, (hours, _) in expected.items():
            ended(conn, f"{name}-triage", hours)

    database.write_now(work)
    yesterday = datetime.now(UTC) - DAY
    for name, (_, periods) in expected.items():
        usual = database.read_now(lambda conn, name=name: averages.before(conn, yesterday, DAY, name))
        assert (usual.periods if usual else None) == periods


def test_a_domain(database: Database) -> None:
    def work(conn: Connection) -> None:
        week_of_history(conn)
        id_ = ended(conn, "ecm-triage", 100)
        none = {"from_execution_id": id_, "from_skill": "ecm-triage", "to_skill": "none"}
        handoffs.add(conn, handoffs.Handoff(run_id="r", **none))
        old = ended(conn, "ecm-triage", 200)
        handoffs.add(conn, handoffs.Handoff(run_id="r", **{**none, "from_execution_id": old}))

    database.write_now(work)
    found = database.read_now(lambda conn: reports.domain(conn, SETTINGS, "ecm"))
    assert (found.manager, found.schedules) == ("ecm-triage", ["0 */8 * * *"])
    rows = {row.skill_name: row for row in found.skills}
    assert {name: row.executions for name, row in rows.items()} == {
        "ecm-triage": 1, "ecm-diagnose": 2, "ecm-resolve": 1,
    }  # fmt: skip
    assert rows["ecm-diagnose"].avg_latency == pytest.approx(15)
    assert rows["ecm-diagnose"].cost == pytest.approx(0.2)
    assert rows["ecm-diagnose"].satisfaction == pytest.approx(0.5)
    assert (found.routed, found.specialists_per_run) == (2, 2.0)
    assert (found.corrected, found.executions, found.satisfaction) == (1, 4, 0.75)
    flows = [(each.manager_skill, each.specialist_skill, each.routing_count) for each in found.routing]
    assert flows == [
        ("ecm-triage", "ecm-diagnose", 5),
        ("ecm-triage", "none", 1),
        ("ecm-diagnose", "ecm-resolve", 1),
    ]


def test_who_routed_nowhere_is_shown_with_zero(database: Database) -> None:
    """As in the document: a flow that dried up is news."""

    def work(conn: Connection) -> None:
        id_ = ended(conn, "ecm-triage", 300)
        route = {"from_execution_id": id_, "from_skill": "ecm-triage", "to_skill": "ecm-diagnose"}
        handoffs.add(conn, handoffs.Handoff(run_id="r", **route))

    database.write_now(work)
    found = database.read_now(lambda conn: reports.domain(conn, SETTINGS, "ecm"))
    flows = [(each.manager_skill, each.specialist_skill, each.routing_count) for each in found.routing]
    assert flows == [("ecm-triage", "ecm-diagnose", 0), ("ecm-triage", "none", 0)]
    assert (found.executions, found.satisfaction, found.specialists_per_run) == (0, None, None)


def test_a_skill(database: Database) -> None:
    """Percentiles are latencies that occurred; a tool called twice in one execution counts once."""

    def work(conn: Connection) -> None:
        for number in range(1, 21):
            tools = ("search_runbooks", "search_runbooks") if number > 2 else ("query_application_logs",)
            wrong = {1: "Timeout, not rate limit", 2: "timeout, not rate limit"}.get(number, "")
            ended(conn, hours=number, seconds=number, dollars=0.1, tools=tools, wrong=wrong)
        ended(conn, hours=24 * 20, seconds=999)
        ended(conn, hours=24 * 40, wrong="long ago")

    database.write_now(work)
    found = database.read_now(lambda conn: reports.skill(conn, SETTINGS, "ecm-diagnose"))
    assert (found.executions_today, found.executions, found.executions_30_days) == (20, 20, 21)
    assert (found.p50, found.p95, found.corrected) == (10, 19, 2)
    assert found.success_rate == pytest.approx(18 / 20)
    assert found.avg_cost == pytest.approx(0.1)
    assert found.tool and (found.tool.tool, found.tool.share) == ("search_runbooks", pytest.approx(0.9))
    assert [(each.text.lower(), each.count) for each in found.mistakes] == [("timeout, not rate limit", 2)]
    assert len(found.latest) == reports.LATEST
    assert found.latest[0].outcome == "user_corrected"


def test_what_is_dated_in_the_future_is_left_out_and_told(database: Database) -> None:
    """A clock that was a year ahead must not fill each report of a year."""

    def work(conn: Connection) -> None:
        ended(conn, hours=1)
        ended(conn, hours=-24 * 365)

    database.write_now(work)
    found = database.read_now(reports.platform)
    assert (found.total_executions, found.in_future) == (1, 1)
    skill = database.read_now(lambda conn: reports.skill(conn, SETTINGS, "ecm-diagnose"))
    assert (skill.executions_30_days, len(skill.latest), skill.in_future) == (1, 1, 1)


def test_an_unknown_name_names_what_there_is(database: Database) -> None:
    """The config's and the record's."""
    database.write_now(lambda conn: ended(conn, "fraud-score"))
    with pytest.raises(reports.UnknownName, match="no domain 'emc'; did you mean ecm"):
        database.read_now(lambda conn: reports.domain(conn, SETTINGS, "emc"))
    with pytest.raises(
        reports.UnknownName, match="there are: ecm-diagnose, ecm-resolve, ecm-triage, fraud-score"
    ):
        database.read_now(lambda conn: reports.skill(conn, SETTINGS, "zzz"))
    fraud = database.read_now(lambda conn: reports.domain(conn, SETTINGS, "fraud"))
    assert (fraud.executions, fraud.manager) == (1, None)


@given(st.floats(0, 1))
def test_only_all_is_a_hundred_percent(value: float) -> None:
    shown = averages.share(value)
    assert (shown == "100%") == (value == 1)
    assert float(shown.removesuffix("%")) == pytest.approx(100 * value, abs=0.1)


@given(st.floats(0, 1e9), st.floats(0, 1e9))
def test_arrows_point_where_figures_go(value: float, usual: float) -> None:
    words = averages.against(value, usual)
    assert not words.startswith("▲") or value > usual
    assert not words.startswith("▼") or value < usual


def test_a_falling_success_warns() -> None:
    assert averages.points(0.9, 0.92) == "▼ -2.0 points ⚠"
    assert averages.points(0.92, 0.9) == "▲ +2.0 points"
    assert averages.points(0.9, 0.9001) == "= as before"


def test_on_the_command_line(aspora: Aspora, world: World) -> None:
    world.database.write_now(week_of_history)
    out = aspora("report", "platform").out
    for words in ("Executions Today:", "5", "▲ +150% vs. avg", "50%", "-33.3 points ⚠", "1.  ecm", "4 exec"):
        assert words in out
    out = aspora("report", "domain", "ecm").out
    for words in (
        "Manager (ecm-triage):",
        "Routing:      2/1 = 2.00 avg specialists/run",
        "ecm-diagnose:  2 exec  15.0s avg  $0.20",
        "User Satisfaction: 75% (3/4 no correction)",
        "ecm-triage → ecm-diagnose:   5 times",
        "ecm-triage → [no routing]:   0 times",
        "ecm-diagnose → ecm-resolve:  1 time",
    ):
        assert words in out
    out = aspora("report", "skill", "ecm-diagnose").out
    for words in (
        "2 today, 5 last 30 days",
        "(1 user correction)",
        "(p50)",
        "rate limit (1x)",
        "user_corrected",
    ):
        assert words in out


def test_an_empty_record_says_so(aspora: Aspora) -> None:
    for asked in ("platform", "domain ecm", "skill ecm-diagnose", "domain ecm --week", "changes"):
        done = aspora("report", *asked.split())
        assert done.code == 0
        assert any(words in done.out for words in ("ended within the last", "was executed", "No change"))
        assert aspora("report", *asked.split(), "--json").code == 0


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("domain emc", "there is no domain 'emc'; did you mean ecm?"),
        ("skill ecm-triag", "did you mean ecm-triage?"),
        ("platform --since soon", "'soon' is no duration"),
        ("platform --since 1s", "'1s' is out of bounds"),
        ("platform --since 999999999999999d", "out of bounds"),
        ("skill ecm-triage --since 9999w", "'9999w' is out of bounds"),
        ("changes --since yesterday", "or a moment, such as"),
    ],
)
def test_wrong_usage(aspora: Aspora, asked: str, words: str) -> None:
    done = aspora("report", *asked.split())
    assert (done.code, done.out) == (2, "")
    assert words in " ".join(done.err.split()) or "longer than any duration" in done.err


def test_a_database_of_an_older_or_a_newer_version(aspora: Aspora, world: World) -> None:
    """The older one is upgraded, the newer one left alone."""
    database = Database(f"sqlite:///{world.home}/aspora.db")
    database.write_now(lambda conn: command.upgrade(alembic_config(conn), "0004"))
    for report in ("platform", "changes", "domain ecm", "skill ecm-triage"):
        assert aspora("report", *report.split()).code == 0
    newer = text("UPDATE alembic_version SET version_num = '9999'")
    database.write_now(lambda conn: conn.execute(newer))
    done = aspora("report", "platform")
    assert (done.code, done.out) == (1, "")
    assert "was written by another version of Aspora" in done.err


def test_names_and_words_from_data_are_not_obeyed(aspora: Aspora, world: World) -> None:
    """In a domain, a skill, a tool and a correction."""

    def work(conn: Connection) -> None:
        ended(conn, f"ecm-{EVIL}", domain="ecm", tools=(EVIL,), wrong=EVIL)
        ended(conn, f"{EVIL}-triage", domain=EVIL)

    world.database.write_now(work)
    for asked in (("platform",), ("domain", "ecm"), ("domain", EVIL), ("skill", f"ecm-{EVIL}")):
        done = aspora("report", *asked)
        assert done.code == 0
        assert "[red]evil[/red]" in done.out
        assert not {"\x1b", "\u202e"} & set(done.out + done.err)
    assert aspora("report", "domain", "ecm", "--week").code == 0


def test_the_json_has_the_documents_names(aspora: Aspora, world: World) -> None:
    world.database.write_now(week_of_history)
    platform = aspora("report", "platform", "--json").json
    assert {
        "total_executions",
        "total_cost",
        "success_rate",
        "active_domains",
        "top_domains",
    } <= platform.keys()
    assert platform["top_domains"][0] == {"domain": "ecm", "executions": 4, "cost": pytest.approx(0.203)}
    domain = aspora("report", "domain", "ecm", "--json").json
    assert {"skill_role", "executions", "avg_latency", "cost", "satisfaction"} <= domain["skills"][0].keys()
    assert aspora("report", "skill", "ecm-diagnose", "--json").json["executions_today"] == 2


@pytest.mark.full
def test_the_report_follows_a_real_run(aspora: Aspora) -> None:
    """Counted where it happened, without anything written by hand."""
    aspora("run", "ecm", "--approve", "ann")
    report = aspora("report", "domain", "ecm", "--json").json
    assert {row["skill_name"]: row["executions"] for row in report["skills"]} == {
        "ecm-triage": 1, "ecm-resolve": 1,
    }  # fmt: skip
    assert {"manager_skill": "ecm-triage", "specialist_skill": "ecm-resolve", "routing_count": 1} in report[
        "routing"
    ]
