"""Every query of every dashboard, on a real Prometheus and on real databases, and what its numbers mean.

Nine days of Prometheus' history are generated: executions are put into the record in the order of time, and
the real exposition is asked after each hour. The last runs, the gateway and the scrapes are real.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from playwright.sync_api import Page
from sqlalchemy import text

from blocks.config_file import load
from blocks.database import Database
from grafana.build import FOLDERS
from grafana.build.sql import POSTGRESQL, SQLITE
from grafana.preview.asking import Sources, ask, span, times
from grafana.preview.frames import Answer, Row, arranged
from grafana.preview.variables import filled
from tasks import spend, tally
from tasks.series import trace_id
from tests import dashboards, pictures
from tests.dashboards_world import Platform, copied, settle
from tests.test_documents_sql import COST, DOMAIN, HEALTH, ROUTING, VOLUME
from tests.test_documents_sql import ask as ask_document

pytestmark = pytest.mark.full
pytest_plugins = ["tests.browser"]
CHANGES = {"up", "down", "same"}
"""One of them is so."""
FOLDER = {"sqlite": FOLDERS[SQLITE], "postgresql": FOLDERS[POSTGRESQL]}


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """The platform with its past, scraped."""
    with settle(tmp_path_factory.mktemp("dashboards") / "home", os.environ) as running:
        yield running


@pytest.fixture(scope="module")
def on_postgresql(platform: Platform, postgres: Any) -> Iterator[Database]:
    """The same record on PostgreSQL."""
    database = copied(platform.database, postgres.render_as_string(hide_password=False))
    yield database
    database.close()


def shown(
    sources: Sources, kind: str = "sqlite", **chosen: str
) -> dict[tuple[str, str], tuple[dict[str, Any], Answer]]:
    """By dashboard and title: the panel and what its queries give."""
    return {
        (name, panel["title"]): (panel, answer)
        for name in dashboards.NAMES
        for panel, answer in dashboards.answers(
            dashboards.read(name, FOLDER[kind]), sources, {**dashboards.CHOSEN, **chosen}
        )
    }


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_every_query_gives_rows_with_the_labels_that_it_uses(
    platform: Platform, kind: str, request: pytest.FixtureRequest
) -> None:
    """A legend without its label raises; a table has every column that it names."""
    database = platform.database if kind == "sqlite" else request.getfixturevalue("on_postgresql")
    for (name, title), (panel, answer) in shown(dashboards.sources(platform, database), kind).items():
        asked = {target["refId"] for target in panel["targets"]}
        gave = {each.ref for each in answer.series} | {ref for ref, rows in answer.tables.items() if rows}
        where = f"{name}: {title}"
        assert asked - gave == (asked & CHANGES) - gave, where
        assert len(gave & CHANGES) == (1 if asked & CHANGES else 0), where
        if panel["type"] == "table":
            named = next(each for each in panel["transformations"] if each["id"] == "organize")
            columns = {column for row in arranged(answer, panel["transformations"]) for column in row}
            assert columns == set(named["options"]["renameByName"].values()), where


def test_both_databases_say_the_same(platform: Platform, on_postgresql: Database) -> None:
    said = []
    for kind, database in (("sqlite", platform.database), ("postgresql", on_postgresql)):
        answers = shown(dashboards.sources(platform, database), kind)
        said.append({key: plain(answer) for key, (_, answer) in answers.items() if answer.tables})
    assert said[0] == said[1]


def plain(answer: Answer) -> list[Row]:
    """The rows, times as whole seconds and numbers as floats."""

    def value(each: Any) -> Any:
        if isinstance(each, datetime):
            return int(each.timestamp())
        return round(float(each), 9) if isinstance(each, int | float | Decimal) else each

    return [
        {name: value(each) for name, each in row.items()} for rows in answer.tables.values() for row in rows
    ]


@pytest.fixture(scope="module")
def answers(platform: Platform) -> dict[tuple[str, str], tuple[dict[str, Any], Answer]]:
    return shown(dashboards.sources(platform, platform.database))


def numbers(answers: Any, name: str, title: str) -> dict[str, float]:
    """A panel's series by the query's name and the legend."""
    _, answer = answers[name, title]
    return {f"{each.ref}: {each.name}": each.last for each in answer.series}


def rows(answers: Any, name: str, title: str) -> list[Row]:
    panel, answer = answers[name, title]
    return arranged(answer, panel["transformations"])


def number(answers: Any, name: str, title: str) -> float:
    """The panel's first number."""
    _, answer = answers[name, title]
    return answer.series[0].last


OVERVIEW, DEEP, SKILL = dashboards.NAMES


def test_the_overview_is_the_documents_query(platform: Platform, answers: Any) -> None:
    """Whole numbers, the same as the document's SQL has on the record."""
    [health] = ask_document(platform.database, HEALTH)
    assert number(answers, OVERVIEW, "Executions today") == health["total_executions"]
    assert number(answers, OVERVIEW, "Cost today") == pytest.approx(health["total_cost"])
    assert number(answers, OVERVIEW, "Active domains") == health["active_domains"] == 3
    expected = success_share(platform, datetime.fromtimestamp(platform.at, tz=UTC))
    assert number(answers, OVERVIEW, "Success rate") == pytest.approx(expected)
    volumes = {row["domain"]: row["executions"] for row in ask_document(platform.database, VOLUME)}
    costs = {row["domain"]: row["cost"] for row in ask_document(platform.database, COST)}
    by_volume = rows(answers, OVERVIEW, "Top domains by volume (24 h)")
    assert {row["Domain"]: row["Executions"] for row in by_volume if row["Executions"]} == volumes
    assert [row["Executions"] for row in by_volume][:3] == sorted(volumes.values(), reverse=True)
    by_cost = rows(answers, OVERVIEW, "Top domains by cost (24 h)")
    assert {row["Domain"]: row["Cost"] for row in by_cost if row["Cost"]} == pytest.approx(costs)
    assert [row["Domain"] for row in by_cost][:3] == list(costs)


def test_changes_are_against_the_average_of_the_days_before(platform: Platform, answers: Any) -> None:
    """As the record itself tells the seven UTC days that ended before the last 24 hours began."""
    midnight = datetime.fromtimestamp(platform.at - 24 * 3600, tz=UTC).replace(
        hour=0, minute=0, second=0, microsecond=0
    )
    ends = [midnight - timedelta(days=days) for days in range(7)]
    days = [ended(platform, end) for end in ends]
    assert all(len(day) > 3 for day in days)
    [health] = ask_document(platform.database, HEALTH)
    for title, now, average in (
        ("Executions today", health["total_executions"], sum(len(day) for day in days) / 7),
        ("Cost today", health["total_cost"], sum(row.cost_micro for day in days for row in day) / 7e6),
    ):
        assert change(answers, title) == pytest.approx(100 * (now / average - 1), abs=0.051), title
    shares = [success_share(platform, end) for end in ends]
    now = success_share(platform, datetime.fromtimestamp(platform.at, tz=UTC))
    assert change(answers, "Success rate") == pytest.approx(100 * (now - sum(shares) / 7), abs=0.051)
    active = [len({row.domain for row in day}) for day in days]
    assert change(answers, "Active domains") == pytest.approx(3 - sum(active) / 7, abs=0.051)


def change(answers: Any, title: str) -> float:
    """The change that a panel shows; its sign is the arrow's."""
    _, answer = answers[OVERVIEW, title]
    [found] = [each for each in answer.series if each.ref in CHANGES]
    assert found.name[0] == {"up": "▲", "down": "▼", "same": "●"}[found.ref]
    assert (found.last > 0) == (found.ref == "up") and (found.last < 0) == (found.ref == "down")
    return found.last


def ended(
    platform: Platform, end: datetime, by: str = "finished_at", since: datetime | None = None
) -> list[Any]:
    """The executions of the 24 hours before a moment, or since another one."""
    query = text(
        "SELECT domain, outcome, cost_micro, execution_id FROM executions "
        f"WHERE outcome IS NOT NULL AND {by} > :since AND {by} <= :end"
    )
    start = since or end - timedelta(days=1)
    window = {"since": str(start.replace(tzinfo=None)), "end": str(end.replace(tzinfo=None))}
    return platform.database.read_now(lambda conn: list(conn.execute(query, window)))


def success_share(platform: Platform, end: datetime) -> float:
    """Of what was started in 24 hours: successes that had not been corrected, among what counts."""
    found = [
        row for row in ended(platform, end, "started_at") if row.outcome in ("success", "partial", "error")
    ]
    query = text("SELECT execution_id FROM corrections WHERE created_at <= :end")
    said = {"end": str(end.replace(tzinfo=None))}
    corrected = set(platform.database.read_now(lambda conn: conn.execute(query, said).scalars().all()))
    good = [row for row in found if row.outcome == "success" and row.execution_id not in corrected]
    return len(good) / len(found)


def test_the_domain_is_the_documents_query(platform: Platform, answers: Any) -> None:
    """Roles, satisfaction, the manager, and who routed to whom."""
    document = {row["skill_role"]: row for row in ask_document(platform.database, DOMAIN)}
    manager, specialist = document["manager"], document["specialist"]
    assert numbers(answers, DEEP, "Executions today") == {
        "A: all, last 24 hours": manager["executions"] + specialist["executions"],
        "B: manager": manager["executions"],
        "B: specialist": specialist["executions"],
    }
    costs = numbers(answers, DEEP, "Cost today")
    assert costs["B: manager"] == pytest.approx(manager["cost"])
    assert costs["B: specialist"] == pytest.approx(specialist["cost"])
    assert number(answers, DEEP, "Manager: executions") == manager["executions"]
    assert number(answers, DEEP, "Manager: average latency") == pytest.approx(manager["avg_latency"])
    assert number(answers, DEEP, "Manager: cost") == pytest.approx(manager["cost"])
    _, satisfaction = answers[DEEP, "User satisfaction"]
    told = {row["who"].partition(":")[0]: row["satisfaction"] for row in satisfaction.tables["A"]}
    assert told == pytest.approx({role: row["satisfaction"] for role, row in document.items()})
    assert told["specialist"] < 1
    skills = rows(answers, DEEP, "Skills (24 h)")
    assert {row["Skill"] for row in skills} == {"ecm-triage", "ecm-diagnose", "ecm-resolve"}
    assert sum(row["Executions"] for row in skills) == manager["executions"] + specialist["executions"]
    routed = sum(row["Executions"] for row in skills if row["Skill"] == "ecm-diagnose")
    average = number(answers, DEEP, "Routing: average specialists per run")
    assert average == pytest.approx(routed / manager["executions"])


def test_the_routing_flow_is_the_records(platform: Platform, answers: Any) -> None:
    """With what went nowhere, which the document's query can't know."""
    flow = {
        (row["From"], row["To"]): row["Times"] for row in rows(answers, DEEP, "Routing flow (last 7 days)")
    }
    query = text(
        "SELECT from_skill, to_skill, COUNT(*) FROM handoffs WHERE from_skill LIKE 'ecm-%' "
        "AND created_at > datetime('now', '-7 days') GROUP BY from_skill, to_skill"
    )
    found = platform.database.read_now(lambda conn: conn.execute(query).all())
    assert flow == {(sender, to): times for sender, to, times in found}
    assert flow["ecm-triage", "none"] > 0
    document = {
        (row["manager_skill"], row["specialist_skill"]): row["routing_count"]
        for row in ask_document(platform.database, ROUTING)
    }
    unfinished = 1
    assert flow["ecm-triage", "ecm-diagnose"] == document["ecm-triage", "ecm-diagnose"]
    assert flow["ecm-diagnose", "ecm-resolve"] == document["ecm-diagnose", "ecm-resolve"] + unfinished


def test_a_skills_percentiles_lie_in_the_right_bucket(platform: Platform, answers: Any) -> None:
    query = text(
        "SELECT latency_seconds FROM skill_executions WHERE skill_name = 'ecm-diagnose' "
        "AND timestamp > datetime('now', '-24 hours') ORDER BY 1"
    )
    seconds = platform.database.read_now(lambda conn: list(conn.execute(query).scalars()))
    told = numbers(answers, SKILL, "Latency")
    middle = {seconds[(len(seconds) - 1) // 2], seconds[len(seconds) // 2]}
    assert tally.bucket(told["A: p50"]) in {tally.bucket(each) for each in middle}
    assert tally.bucket(told["B: p95"]) == tally.bucket(seconds[-1])
    assert number(answers, SKILL, "Executions today") == len(seconds)
    cost = next(row for row in rows(answers, DEEP, "Skills (24 h)") if row["Skill"] == "ecm-diagnose")["Cost"]
    assert number(answers, SKILL, "Average cost") == pytest.approx(cost / len(seconds))


def test_latencies_lead_to_traces(platform: Platform) -> None:
    """The exemplars that Grafana asks for beside the 95th percentile."""
    [panel] = [
        each for each in dashboards.panels(dashboards.read(SKILL)) if each["title"] == "Latency over time"
    ]
    [target] = [each for each in panel["targets"] if each.get("exemplar")]
    query = filled(target["expr"], {**dashboards.CHOSEN, **times(platform.at)})
    found = platform.prometheus.get(
        "/query_exemplars", query=query, start=platform.at - 3600, end=platform.at
    )
    traces = {each["labels"]["trace_id"] for series in found for each in series["exemplars"]}
    recent = ended(platform, datetime.fromtimestamp(platform.at, tz=UTC))
    assert traces and traces <= {trace_id(row.execution_id) for row in recent}


def test_what_waits_is_shown(answers: Any) -> None:
    """A fix of ECM waits for a person; a run was refused by the kill switch."""
    waiting = numbers(answers, DEEP, "Approvals waiting")
    assert waiting["A: waiting"] == 1
    assert waiting["oldest: the oldest, for"] > 0
    assert rows(answers, OVERVIEW, "Refused by guardrails (24 h)") == [
        {"Domain": "ecm", "Guardrail": "kill_switch", "Refusals": 1}
    ]
    assert numbers(answers, DEEP, "Refused by guardrails (24 h)")["A: kill_switch"] == 1
    assert set(numbers(answers, OVERVIEW, "Inbox")) == {"A: pending", "A: deferred", "A: running"}


def test_what_is_left_of_the_budget_is_shown(platform: Platform, answers: Any) -> None:
    """Of the UTC day that it is: its runs may be yesterday's."""
    day = datetime.fromtimestamp(platform.at, tz=UTC).date()
    spent = platform.database.read_now(lambda conn: spend.of_day(conn, "auto-rca", day))
    budget = load(platform.home / "aspora.config.yaml").domains["auto-rca"].guardrails.budget
    used = numbers(answers, OVERVIEW, "Budget used today")["A: auto-rca"]
    assert used == pytest.approx(spent / budget)
    assert used < 1


def test_bars_over_time_are_whole_and_add_up(platform: Platform, answers: Any) -> None:
    """What the bars of a week add up to is what ended in that week."""
    panel, answer = answers[OVERVIEW, "Executions over time"]
    values = [value for each in answer.series for _, value in each.points]
    assert all(value == int(value) > 0 for value in values)
    over = span(panel, platform.at)
    first = datetime.fromtimestamp(over.start - over.step, tz=UTC)
    last = datetime.fromtimestamp(over.end, tz=UTC)
    assert sum(values) == len(ended(platform, last, since=first))


def test_variables_offer_what_the_config_has(platform: Platform) -> None:
    config = load(platform.home / "aspora.config.yaml")
    skills = {skill.name for domain in config.domains.values() for skill in domain.skills}
    for name, expected in (("domain", set(config.domains)), ("skill", skills)):
        variables = dashboards.read(DEEP if name == "domain" else SKILL)["templating"]["list"]
        [variable] = [each for each in variables if each["name"] == name]
        metric, label = variable["query"]["query"].removeprefix("label_values(").removesuffix(")").split(", ")
        found = platform.prometheus.get(f"/label/{label}/values", **{"match[]": metric})
        assert set(found) == expected


def test_other_domains_and_skills_have_their_numbers(platform: Platform) -> None:
    """The variables choose; nothing is ECM's alone."""
    asked = dashboards.sources(platform, platform.database)
    answers = shown(asked, domain="fraud", skill="fraud-edge-cases")
    assert number(answers, DEEP, "Manager: executions") >= 1
    assert rows(answers, DEEP, "Skills (24 h)")[0]["Skill"].startswith("fraud-")
    assert {row["From"] for row in rows(answers, DEEP, "Routing flow (last 7 days)")} >= {
        "fraud-simulate-rule"
    }
    assert rows(answers, SKILL, "Recent executions")


def test_nothing_is_cut_off_in_the_pictures(platform: Platform, page: Page) -> None:
    """Each preview says that it is one, and every panel's content fits into it."""
    for name, html in pictures.pages(platform).items():
        page.set_viewport_size({"width": pictures.WIDTH, "height": 900})
        page.set_content(html)
        assert "This is not Grafana" in page.locator(".notice").inner_text()
        cut = page.locator(".body").evaluate_all(
            "all => all.filter(e => e.scrollHeight > e.clientHeight + 1 || e.scrollWidth > e.clientWidth + 1)"
            ".map(e => e.parentElement.querySelector('h2').innerText)"
        )
        assert not cut, name
        assert page.locator(".panel").count() == len(dashboards.panels(dashboards.read(name)))


def test_a_restart_changes_no_number(platform: Platform, answers: Any) -> None:
    """The totals are the record's: counters go on where they were, on the last test's platform."""
    at = platform.restart()
    sources = dashboards.sources(platform, platform.database)
    [panel] = [
        each for each in dashboards.panels(dashboards.read(OVERVIEW)) if each["title"] == "Executions today"
    ]
    after = ask(panel, dashboards.CHOSEN, Sources(sources.instant, sources.range, sources.select, at))
    assert after.series[0].last == number(answers, OVERVIEW, "Executions today")
