"""Metrics: whatever happened, they equal the record; known from the start, bounded, readable."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from blocks.database import Database, add_up
from blocks.schema import OUTCOMES, execution_totals
from tasks import approvals, corrections, handoffs, inbox, record, series, spend, tally
from tasks.admission import Guardrail
from tests.gateway_world import empty_record
from tests.record_world import MINUTE, NOW, began, new_database, new_postgres  # noqa: F401
from tests.scraped import OPENMETRICS, RISING, Samples, every, families, of, project, samples, written

HOUR = timedelta(hours=1)
SKILLS = ["ecm-triage", "ecm-diagnose", "fraud-qa"]
EVENTS = st.lists(
    st.tuples(
        st.sampled_from(SKILLS),
        st.sampled_from(OUTCOMES),
        st.floats(0, 900, allow_nan=False),
        st.integers(0, 9_000_000),
        st.booleans(),
        st.sampled_from(["", "none", "ecm-diagnose"]),
    ),
    max_size=8,
)
_numbers = itertools.count()


def end(
    conn: Connection, skill: str = "ecm-diagnose", outcome: Any = "success", *, seconds: float = 8.7,
    micro: int = 0, hours_ago: float = 0, corrected: bool = False, to: str = "",
) -> str:  # fmt: skip
    """An execution that has ended, what it cost, where it led, and a correction of it."""
    number, at = next(_numbers), NOW - timedelta(hours=hours_ago)
    domain = skill.partition("-")[0]
    id_ = began(conn, skill, f"run-{number}", now=at).execution_id
    paid = spend.reserve(
        conn, domain=domain, execution_id=id_, sequence=1, micro=micro, budgets=spend.Budgets(), now=at
    )
    spend.settle(conn, paid, micro)
    if to:
        handoffs.add(
            conn,
            handoffs.Handoff(run_id=f"run-{number}", from_execution_id=id_, from_skill=skill, to_skill=to),
        )
    record.finish(conn, id_, outcome, latency_seconds=seconds, now=at)
    if corrected:
        said = {"actual_root_cause": f"cause {number}"}
        corrections.add(conn, id_, said, by="ann", via="cli", now=at + MINUTE)
    return id_


def scrape(database: Database, **given: Any) -> Samples:
    return samples(written(database, now=NOW + HOUR, **given))


def counted(conn: Connection, sql: str) -> dict[tuple[Any, ...], float]:
    """The last column by the others."""
    return {tuple(row[:-1]): row[-1] for row in conn.execute(text(sql))}


def told(found: Samples, name: str, *labels: str) -> dict[tuple[str, ...], float]:
    """Values by these labels, without those that are 0."""
    return {tuple(each[label] for label in labels): value for each, value in every(found, name) if value}


@pytest.fixture(name="sqlite")
def new_sqlite(tmp_path: Path) -> Iterator[Database]:
    """An empty record, for what does not depend on the database."""
    path = tmp_path / "record.db"
    path.write_bytes(empty_record())
    database = Database(f"sqlite:///{path}")
    yield database
    database.close()


# the same as the record


@given(EVENTS)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_they_equal_the_record_and_never_fall(database: Database, events: list[tuple[Any, ...]]) -> None:
    """All counters, costs and histograms, over all that earlier examples left."""
    before = scrape(database)

    def work(conn: Connection) -> None:
        for skill, outcome, seconds, micro, corrected, to in events:
            end(conn, skill, outcome, seconds=seconds, micro=micro, corrected=corrected, to=to)

    database.write_now(work)
    found = scrape(database)
    for (name, labels), value in before.items():
        assert not name.endswith(RISING) or found[name, labels] >= value
    ended = "FROM executions WHERE outcome IS NOT NULL GROUP BY"

    def compare(conn: Connection) -> None:
        for name, labels in (
            ("aspora_executions_total", "domain, outcome"),
            ("aspora_domain_executions_total", "domain, skill_role"),
            ("aspora_skill_executions_total", "skill_name, outcome, skill_role"),
            ("aspora_skill_latency_seconds_count", "skill_name"),
            ("aspora_domain_latency_seconds_count", "domain, skill_role"),
        ):
            expected = counted(conn, f"SELECT {labels}, COUNT(*) {ended} {labels}")
            assert told(found, name, *labels.split(", ")) == expected
        for name, labels in (
            ("aspora_cost_total_dollars", "domain"),
            ("aspora_domain_cost_dollars", "domain, skill_role, model"),
            ("aspora_skill_cost_dollars", "skill_name, model"),
        ):
            cost = counted(conn, f"SELECT {labels}, SUM(cost_micro) {ended} {labels}")
            expected = {key: pytest.approx(float(micro) / 1e6) for key, micro in cost.items() if micro}
            assert told(found, name, *labels.split(", ")) == expected
        seconds = counted(conn, f"SELECT skill_name, SUM(latency_seconds) {ended} skill_name")
        expected = {key: pytest.approx(value) for key, value in seconds.items() if value}
        assert told(found, "aspora_skill_latency_seconds_sum", "skill_name") == expected
        slow = "SELECT skill_name, SUM(CASE WHEN latency_seconds <= 30 THEN 1 ELSE 0 END)"
        within = {key: value for key, value in counted(conn, f"{slow} {ended} skill_name").items() if value}
        buckets = every(found, "aspora_skill_latency_seconds_bucket")
        assert {(each["skill_name"],): n for each, n in buckets if each["le"] == "30.0" and n} == within
        assert told(found, tally.ROUTING, "from_skill", "to_skill") == counted(
            conn, "SELECT from_skill, to_skill, COUNT(*) FROM handoffs GROUP BY from_skill, to_skill"
        )
        assert told(found, tally.CORRECTIONS, "domain") == counted(
            conn,
            "SELECT domain, COUNT(*) FROM corrections JOIN executions USING (execution_id) GROUP BY domain",
        )

    database.read_now(compare)


def test_a_restart_and_another_process_tell_the_same(sqlite: Database) -> None:
    """Nothing is kept in a process."""
    sqlite.write_now(lambda conn: [end(conn, micro=7) for _ in range(3)])
    first = written(sqlite, now=NOW)
    sqlite.close()
    assert written(sqlite, now=NOW) == first


def test_a_latency_sum_never_falls_whatever_the_order(sqlite: Database) -> None:
    """Fractions that add up to different last digits in different orders."""
    seen = []
    for number in range(25):
        seconds = 0.1 + 1 / (number % 7 + 3)
        outcome = OUTCOMES[number % 3]
        sqlite.write_now(lambda c, s=seconds, o=outcome: end(c, outcome=o, seconds=s))
        seen.append(of(scrape(sqlite), "aspora_skill_latency_seconds_sum", skill_name="ecm-diagnose"))
    assert seen == sorted(seen)


# shares of a day


def test_the_success_rate_of_a_day(database: Database) -> None:
    """Corrected ones are no success; what guardrails and people stopped is left out, and so is yesterday."""

    def work(conn: Connection) -> None:
        for outcome in ("success", "success", "partial", "error", "refused", "rejected", "expired"):
            end(conn, outcome=outcome)
        end(conn, corrected=True)
        end(conn, "ecm-triage", "partial", corrected=True)
        for _ in range(5):
            end(conn, outcome="error", hours_ago=25)
            end(conn, hours_ago=26, corrected=True)

    database.write_now(work)
    found = scrape(database)
    assert of(found, "aspora_success_rate", domain="ecm") == pytest.approx(2 / 6)
    assert of(found, "aspora_skill_user_satisfaction", skill_name="ecm-diagnose") == pytest.approx(7 / 8)
    assert of(found, "aspora_skill_user_satisfaction", skill_name="ecm-triage") == 0


def test_no_rate_where_nothing_counts(sqlite: Database) -> None:
    sqlite.write_now(lambda conn: end(conn, outcome="refused"))
    found = scrape(sqlite)
    assert every(found, "aspora_success_rate") == []
    assert every(found, "aspora_skill_user_satisfaction") == [({"skill_name": "ecm-diagnose"}, 1)]


def test_a_late_correction_lowers_the_rate_and_its_withdrawal_lifts_it(database: Database) -> None:
    """Twice corrected is corrected once; the counter of corrections never falls."""
    id_ = database.write_now(lambda conn: end(conn, hours_ago=20))
    database.write_now(end)
    rates, numbers = [], []

    def look() -> None:
        found = scrape(database)
        rates.append(of(found, "aspora_success_rate", domain="ecm"))
        numbers.append(of(found, tally.CORRECTIONS, domain="ecm"))

    look()
    said = {"actual_root_cause": "an expired certificate"}
    database.write_now(lambda c: corrections.add(c, id_, said, by="ann", via="cli", now=NOW))
    look()
    database.write_now(lambda c: corrections.withdraw(c, id_, by="ann", via="cli", now=NOW + MINUTE))
    look()
    assert rates == [1, 0.5, 1]
    assert numbers == sorted(numbers)


# known from the start


def test_what_the_config_knows_is_told_before_it_happens(sqlite: Database) -> None:
    found = scrape(sqlite)
    domains = set(project().domains)
    skills = {skill.name for domain in project().domains.values() for skill in domain.skills}
    told_of = Counter(name for name, _ in found)
    assert told_of["aspora_executions_total"] == len(domains) * len(OUTCOMES)
    assert told_of["aspora_skill_executions_total"] == len(skills) * len(OUTCOMES)
    assert told_of[tally.REFUSALS] == len(domains) * len(get_args(Guardrail))
    assert told_of["aspora_skill_latency_seconds_count"] == len(skills)
    assert told_of["aspora_skill_latency_seconds_bucket"] == len(skills) * (len(tally.BUCKETS) + 1)
    for name, labels in (
        (tally.ROUTING, {"from_skill": "ecm-triage", "to_skill": "ecm-diagnose"}),
        (tally.ROUTING, {"from_skill": "ecm-triage", "to_skill": "none"}),
        (tally.ROUTING, {"from_skill": "ecm-diagnose", "to_skill": "ecm-resolve"}),
        (tally.ROUTING, {"from_skill": "rca-detect-anomaly", "to_skill": "rca-trace-deploy"}),
        (tally.DECISIONS, {"domain": "fraud", "decision": "superseded"}),
        (tally.CORRECTIONS, {"domain": "auto-rca"}),
        ("aspora_skill_cost_dollars", {"skill_name": "ecm-diagnose", "model": "claude-sonnet-4.6"}),
        ("aspora_approvals_waiting", {"domain": "ecm"}),
        ("aspora_inbox_triggers", {"state": "deferred"}),
        ("aspora_inbox_oldest_pending_seconds", {}),
    ):
        assert of(found, name, **labels) == 0, (name, labels)
    assert of(found, tally.ROUTING, from_skill="ecm-diagnose", to_skill="none") is None
    assert of(found, "aspora_domain_daily_budget_dollars", domain="ecm") == 5
    joined = {"domain": "auto-rca", "skill_name": "rca-trace-deploy", "skill_role": "specialist"}
    assert of(found, "aspora_skill_info", **joined, model="claude-sonnet-4.6") == 1


def test_models_are_those_that_executions_have(sqlite: Database) -> None:
    offline = scrape(sqlite, provider="offline")
    assert {each["model"] for each, _ in every(offline, "aspora_skill_cost_dollars")} == {"offline"}


def test_every_metric_of_the_documents_table(sqlite: Database) -> None:
    """Names and labels as the architecture document has them."""
    sqlite.write_now(lambda conn: end(conn, to="none"))
    found = scrape(sqlite, destinations=["langfuse"])
    labels = {name: {label for label, _ in told} - {"le"} for name, told in found}
    assert {name: each for name, each in labels.items() if not name.endswith(("_bucket", "_sum"))} == {
        "aspora_executions_total": {"domain", "outcome"},
        "aspora_cost_total_dollars": {"domain"},
        "aspora_success_rate": {"domain"},
        "aspora_feedback_corrections_total": {"domain"},
        "aspora_domain_executions_total": {"domain", "skill_role"},
        "aspora_domain_latency_seconds_count": {"domain", "skill_role"},
        "aspora_domain_cost_dollars": {"domain", "skill_role", "model"},
        "aspora_domain_cost_today_dollars": {"domain"},
        "aspora_domain_daily_budget_dollars": {"domain"},
        "aspora_skill_executions_total": {"skill_name", "outcome", "skill_role"},
        "aspora_skill_latency_seconds_count": {"skill_name"},
        "aspora_skill_cost_dollars": {"skill_name", "model"},
        "aspora_skill_user_satisfaction": {"skill_name"},
        "aspora_skill_routing_decisions": {"from_skill", "to_skill"},
        "aspora_skill_info": {"domain", "skill_name", "skill_role", "model"},
        "aspora_approvals_waiting": {"domain"},
        "aspora_approval_oldest_waiting_seconds": {"domain"},
        "aspora_approval_decisions_total": {"domain", "decision"},
        "aspora_guardrail_refusals_total": {"domain", "guardrail"},
        "aspora_inbox_triggers": {"state"},
        "aspora_inbox_oldest_pending_seconds": set(),
        "aspora_telemetry_outbox_pending": {"destination"},
        "aspora_telemetry_outbox_oldest_seconds": {"destination"},
        "aspora_telemetry_outbox_failed": {"destination"},
    }


# what waits


def test_what_waits_and_for_how_long(database: Database) -> None:
    """Approvals, the inbox and the outbox; a run by hand whose process is gone holds up nothing."""

    def work(conn: Connection) -> None:
        for number, hours in enumerate((5, 3)):
            at = NOW - timedelta(hours=hours)
            id_ = began(conn, "ecm-resolve", f"run-{number}", now=at).execution_id
            approvals.propose(conn, id_, subject=f"stage {number}", proposal={}, expires=10 * HOUR, now=at)
        for number, state in enumerate(("pending", "pending", "deferred", "unmatched")):
            values = {"source": "prometheus", "domain": "ecm", "dedupe_key": f"alert {number}"}
            values |= {"state": state, "created_at": NOW - number * MINUTE, "received": {"text": ""}}
            inbox.add(conn, values)
        inbox.accept(conn, "cli", "ecm", "by hand", now=NOW - 9 * HOUR)
        end(conn, hours_ago=2)
        end(conn, hours_ago=1)
        conn.execute(text("UPDATE outbox SET state = 'failed' WHERE id = (SELECT MAX(id) FROM outbox)"))

    database.write_now(work)
    found = samples(written(database, now=NOW, destinations=["langfuse", "opik"]))
    assert of(found, "aspora_approvals_waiting", domain="ecm") == 2
    assert of(found, "aspora_approval_oldest_waiting_seconds", domain="ecm") == 5 * 3600
    assert of(found, "aspora_approval_oldest_waiting_seconds", domain="fraud") == 0
    assert told(found, "aspora_inbox_triggers", "state") == {("pending",): 3, ("deferred",): 1}
    assert of(found, "aspora_inbox_oldest_pending_seconds") == 60
    assert told(found, "aspora_telemetry_outbox_pending", "destination") == {("langfuse",): 2, ("opik",): 1}
    assert told(found, "aspora_telemetry_outbox_failed", "destination") == {("opik",): 1}
    assert of(found, "aspora_telemetry_outbox_oldest_seconds", destination="langfuse") == 7200
    assert every(scrape(database), "aspora_telemetry_outbox_pending") == []


def test_money_of_today(database: Database) -> None:
    """Also what is only reserved; yesterday's is not today's, and a clock that goes back is no trouble."""

    def work(conn: Connection) -> None:
        end(conn, micro=1_500_000)
        end(conn, micro=4_000_000, hours_ago=24)
        id_ = began(conn, run_id="under-way").execution_id
        spend.reserve(
            conn, domain="ecm", execution_id=id_, sequence=1, micro=500_000, budgets=spend.Budgets(), now=NOW
        )

    database.write_now(work)
    assert of(scrape(database), "aspora_domain_cost_today_dollars", domain="ecm") == 2
    earlier = samples(written(database, now=NOW - 24 * HOUR))
    assert of(earlier, "aspora_domain_cost_today_dollars", domain="ecm") == 4
    assert of(earlier, "aspora_cost_total_dollars", domain="ecm") == 5.5


# readable and bounded

ODD = 'x"\\\n\r\u202e{}=,# 😀'


def fill(conn: Connection, *skills: str) -> None:
    """Skills with one execution each."""
    for name in skills:
        key = {
            "domain": f"domain {name}", "skill_name": name, "skill_role": "specialist", "model": "m",
            "outcome": "success", "bucket": "10",
        }  # fmt: skip
        amounts = {"executions": 1, "cost_micro": 10, "latency_seconds": 7.0}
        add_up(conn, execution_totals, key, amounts, {})
        tally.count(conn, tally.ROUTING, from_skill=name, to_skill="none")


@pytest.mark.parametrize("accept", ["", OPENMETRICS])
def test_odd_names_are_escaped_and_cleaned(sqlite: Database, accept: str) -> None:
    """Names that are the same once cleaned are one series."""
    names = (ODD, ODD.replace("\r", "\x01"), "long" * 50)
    sqlite.write_now(lambda conn: fill(conn, *names))
    found = samples(written(sqlite, accept, now=NOW))
    numbers = told(found, "aspora_skill_latency_seconds_count", "skill_name")
    assert numbers == {('x"\\\n��{}=,# 😀',): 2, ("long" * 50,): 1}
    assert told(found, tally.ROUTING, "from_skill") == numbers


def test_thousands_of_names_are_bounded(sqlite: Database) -> None:
    """The rest is `other`, so sums stay right; the config's own are always told."""
    names = [f"skill-{number:04}" for number in range(1200)]
    sqlite.write_now(lambda conn: fill(conn, *names))
    found = scrape(sqlite)
    per_name = Counter(name for name, _ in found)
    assert max(per_name.values()) <= max(
        series.MOST_SERIES, series.MOST_HISTOGRAMS * (len(tally.BUCKETS) + 1)
    )
    for name in ("aspora_skill_executions_total", "aspora_skill_latency_seconds_count", tally.ROUTING):
        assert sum(value for _, value in every(found, name)) == 1200
    assert of(found, tally.ROUTING, from_skill="other", to_skill="other")
    assert of(found, tally.ROUTING, from_skill="ecm-triage", to_skill="none") == 0
    sqlite.write_now(lambda conn: fill(conn, *names[::2], "skill-9999"))
    more = scrape(sqlite)
    for (name, labels), value in found.items():
        assert not name.endswith(RISING) or more[name, labels] >= value


def test_openmetrics_has_the_trace_of_the_last_execution_in_each_bucket(sqlite: Database) -> None:
    """By the id that Langfuse knows it by; the text format has none."""
    from langfuse import Langfuse

    old = sqlite.write_now(lambda conn: end(conn, seconds=12, hours_ago=1))
    new = sqlite.write_now(lambda conn: end(conn, seconds=14))
    sqlite.write_now(lambda conn: end(conn, seconds=40))
    said = {family.name: family for family in families(written(sqlite, OPENMETRICS, now=NOW))}
    exemplars = {
        sample.labels["le"]: sample.exemplar
        for sample in said["aspora_skill_latency_seconds"].samples
        if sample.exemplar and sample.labels["skill_name"] == "ecm-diagnose"
    }
    assert list(exemplars) == ["15.0", "45.0"]
    assert exemplars["15.0"].labels == {"trace_id": Langfuse.create_trace_id(seed=new)}
    assert (exemplars["15.0"].value, float(exemplars["15.0"].timestamp)) == (14, NOW.timestamp())
    assert series.trace_id(old) != series.trace_id(new)
    assert said["aspora_cost_total_dollars"].type == said[tally.ROUTING].type == "unknown"
    assert " # {" not in written(sqlite, now=NOW)


def test_both_formats_tell_the_same(sqlite: Database) -> None:
    sqlite.write_now(lambda conn: [end(conn, skill, micro=5, corrected=True) for skill in SKILLS])
    assert samples(written(sqlite, now=NOW)) == samples(written(sqlite, OPENMETRICS, now=NOW))


def test_a_scrape_reads_by_indexes(sqlite: Database) -> None:
    """No statement goes through executions, triggers, approvals, corrections or the outbox as a whole."""
    from sqlalchemy import event

    from tasks import exposition, reading

    known = exposition.known(project(), "offline")
    asked: list[tuple[str, Any]] = []

    def look(conn: Connection) -> list[str]:
        event.listen(conn, "before_cursor_execute", lambda *said: asked.append((said[2], said[3])))
        reading.read(conn, known.scopes, ["langfuse"], NOW)
        plans = []
        for sql, values in [each for each in asked if each[0].startswith("SELECT")]:
            cursor = conn.connection.cursor()
            plans += [row[3] for row in cursor.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
        return plans

    scans = [step for step in sqlite.read_now(look) if step.startswith("SCAN")]
    assert len(asked) > 8
    assert {step.split()[1] for step in scans} == {"execution_totals", "counters"}
