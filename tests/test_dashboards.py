"""The Grafana dashboards as files: made by the generator, whole, and leading where they say."""

from __future__ import annotations

import re
import time
from itertools import combinations
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from blocks.database import Database
from flows.performance import artifact_key
from grafana.build import DIRECTORY, FOLDERS, files
from grafana.build.sql import POSTGRESQL, SQLITE
from grafana.preview.asking import Sources, ask, times
from grafana.preview.frames import Row, arranged
from grafana.preview.variables import filled
from tests.dashboards import CHOSEN, NAMES, links, panels, read, selecting
from tests.record_world import new_database, new_postgres  # noqa: F401
from tests.test_documents_sql import DOMAIN, MISTAKES, history
from tests.test_documents_sql import ask as ask_document

pytestmark = pytest.mark.full

__all__ = ["history"]

SETS = [(folder, name) for folder in FOLDERS.values() for name in NAMES]
ALL = pytest.mark.parametrize(("folder", "name"), SETS)
SHOWN = {
    "platform-overview": (
        "Executions today", "Cost today", "Success rate", "Active domains", "Top domains by volume (24 h)",
        "Top domains by cost (24 h)", "Approvals waiting", "Inbox", "Refused by guardrails (24 h)",
        "Budget used today",
    ),
    "domain-deep-dive": (
        "Executions today", "Cost today", "User satisfaction", "Manager: executions",
        "Manager: average latency", "Manager: cost", "Routing: average specialists per run", "Skills (24 h)",
        "Routing flow (last 7 days)", "Cost by role and model (24 h)", "Approvals waiting",
    ),
    "skill-performance": (
        "Executions today", "Executions, 30 days", "Success rate", "Latency", "Average cost",
        "Most used tool", "Common mistakes (30 days)", "Recent executions",
    ),
}  # fmt: skip
"""What the architecture document puts on each dashboard, and what waits for people."""


def test_the_committed_files_are_what_the_generator_writes() -> None:
    made = files()
    committed = {path for folder in FOLDERS.values() for path in (DIRECTORY / folder).iterdir()}
    assert committed == set(made)
    for path, text in made.items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is stale: run `make dashboards`"


@ALL
def test_a_dashboard_is_whole(folder: str, name: str) -> None:
    """Numbered panels that don't overlap, each with words and questions; every panel of the document."""
    dashboard = read(name, folder)
    every = dashboard["panels"]
    ids = [panel["id"] for panel in every]
    assert sorted(ids) == sorted(set(ids)) and 0 not in ids
    assert dashboard["timezone"] == "utc"
    for panel in panels(dashboard):
        assert panel["title"] and panel["description"] and panel["targets"]
        refs = [target["refId"] for target in panel["targets"]]
        assert len(refs) == len(set(refs)), panel["title"]
    titles = [panel["title"] for panel in every]
    assert set(SHOWN[name]) <= set(titles)
    assert len(titles) == len(set(titles))
    for one, other in combinations(every, 2):
        assert not overlap(one["gridPos"], other["gridPos"]), f"{one['title']} lies on {other['title']}"
    assert all(box.get("x", 0) + box["w"] <= 24 for box in (panel["gridPos"] for panel in every))


def overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    return all(
        one.get(start, 0) < other.get(start, 0) + other[size]
        and other.get(start, 0) < one.get(start, 0) + one[size]
        for start, size in (("x", "w"), ("y", "h"))
    )


@ALL
def test_every_question_goes_to_a_provisioned_data_source(folder: str, name: str) -> None:
    known = provisioned("aspora-postgresql.yaml.example" if "postgresql" in folder else "aspora.yaml")
    dashboard = read(name, folder)
    for panel in panels(dashboard):
        for target in panel["targets"]:
            source = target["datasource"]
            assert known[source["uid"]] == source["type"], panel["title"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            assert known[variable["datasource"]["uid"]] == "prometheus"


def provisioned(file: str) -> dict[str, str]:
    """The provisioned data sources: uid → type."""
    path = DIRECTORY / "provisioning" / "datasources" / file
    written = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {each["uid"]: each["type"] for each in written["datasources"]}


@ALL
def test_links_lead_to_dashboards_that_exist_and_pass_on_what_they_need(folder: str, name: str) -> None:
    """Platform → domain → skill → detail page, and back up."""
    variables = {
        board["uid"]: {each["name"] for each in board["templating"]["list"]}
        for board in (read(other, folder) for other in NAMES)
    }
    dashboard = read(name, folder)
    targets = set()
    own = [each["url"] for each in dashboard["links"]]
    for url in (*own, *(url for panel in panels(dashboard) for url in links(panel))):
        if not url.startswith("/d/"):
            assert url == "${prefect:raw}/artifacts/key/${__data.fields.page}"
            targets.add("page")
            continue
        uid = url.split("/")[2]
        passed = {key for key in parse_qs(urlsplit(url).query) if key.startswith("var-")}
        assert {key.removeprefix("var-") for key in passed} <= variables[uid], url
        assert "var-prefect" in passed and "${__url_time_range}" in url
        targets |= {uid, *passed}
    assert (
        targets
        >= {
            "platform-overview": {"aspora-domain", "var-domain", "aspora-skill"},
            "domain-deep-dive": {"aspora-platform", "aspora-skill", "var-skill", "page"},
            "skill-performance": {"aspora-platform", "aspora-domain", "var-domain", "page"},
        }[name]
    )


@ALL
def test_every_variable_that_a_query_uses_is_one_of_the_dashboard(folder: str, name: str) -> None:
    dashboard = read(name, folder)
    own = {each["name"]: "x" for each in dashboard["templating"]["list"]} | times(0)
    for panel in panels(dashboard):
        for target in panel["targets"]:
            text = target.get("expr") or target.get("rawSql") or target["rawQueryText"]
            assert "$" not in filled(text, own).replace('"$1"', ""), panel["title"]


# The record's SQL, on both databases


HOSTILE = ("x' OR '1'='1", "'; DROP TABLE corrections; --", "\\' OR 1=1 --", '"')


def folder_of(database: Database) -> str:
    return FOLDERS[SQLITE if database._sqlite else POSTGRESQL]


def from_record(database: Database, name: str, at: float, **chosen: str) -> dict[str, list[Row]]:
    """The tables of a dashboard that come from the record, by the panel's title."""
    asked = Sources(lambda *_: [], lambda *_: [], selecting(database), at)
    found = {}
    for panel in panels(read(name, folder_of(database))):
        if panel["targets"][0]["datasource"]["uid"] == "aspora-database":
            answer = ask(panel, {**CHOSEN, **chosen}, asked)
            found[panel["title"]] = arranged(answer, panel.get("transformations", ()))
    return found


@pytest.fixture(name="now")
def after_the_history(history: Database) -> float:
    return time.time() + 1


def test_satisfaction_is_the_documents(history: Database, now: float) -> None:
    tables = from_record(history, "domain-deep-dive", now)
    told = {row["who"]: float(row["satisfaction"]) for row in tables["User satisfaction"]}
    assert told == {
        "manager: 2 of 2 not corrected": 1.0,
        "specialist: 2 of 3 not corrected": pytest.approx(2 / 3),
    }
    document = {row["skill_role"]: float(row["satisfaction"]) for row in ask_document(history, DOMAIN)}
    assert {who.partition(":")[0]: share for who, share in told.items()} == pytest.approx(document)
    assert len(tables["Recent executions"]) == 7
    for row in tables["Recent executions"]:
        assert row["page"] == artifact_key(row["Execution"])


def test_a_skills_numbers_are_the_records(history: Database, now: float) -> None:
    tables = from_record(history, "skill-performance", now)
    assert tables["Executions, 30 days"] == [{"last 30 days": 4}]
    [success] = tables["Success rate"]
    assert (success["corrected"], float(success["success_rate"])) == ("corrected by users: 1", 0.0)
    [tool] = tables["Most used tool"]
    assert (tool["tool"], float(tool["share"])) == ("get_similar_incidents", 1.0)
    assert [(row["Tool"], row["Calls"], row["Errors"]) for row in tables["Tools (30 days)"]] == [
        ("get_similar_incidents", 4, 0),
        ("search_runbooks", 4, 0),
    ]
    mistakes = [(row["Actual root cause"], row["Times"]) for row in tables["Common mistakes (30 days)"]]
    document = [(row["correction"], row["frequency"]) for row in ask_document(history, MISTAKES)]
    assert mistakes == document == [("rate limit", 2), ("timeout", 1)]
    recent = tables["Recent executions"]
    assert [row["Outcome"] for row in recent] == ["user_corrected", "partial", "user_corrected"]
    assert [row["Corrected to"] for row in recent] == ["rate limit", "", "rate limit"]


def test_windows_end_where_the_time_range_ends_and_variables_are_only_values(
    history: Database, now: float
) -> None:
    """A look at an earlier moment shows that moment; SQL in an address finds nothing."""
    earlier = from_record(history, "skill-performance", now - 90 * 3600)
    assert earlier["Executions, 30 days"] == [{"last 30 days": 2}]
    assert [row["Outcome"] for row in earlier["Recent executions"]] == ["user_corrected"] * 2
    assert earlier["Success rate"][0]["corrected"] == "corrected by users: 1"
    for skill in HOSTILE:
        tables = from_record(history, "skill-performance", now, skill=skill)
        assert tables["Recent executions"] == tables["Tools (30 days)"] == tables["Success rate"] == []
        assert tables["Executions, 30 days"] == [{"last 30 days": 0}]


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_quoted_variable_is_one_literal(value: str) -> None:
    literal = filled("${skill:sqlstring}", {"skill": value})
    assert re.fullmatch(r"'(?:[^']|'')*'", literal, re.DOTALL)
    assert literal[1:-1].replace("''", "'") == value
