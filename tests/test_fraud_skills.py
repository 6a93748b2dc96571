"""The fraud domain as a whole: sample worlds, routing, edge cases, the checklist, chat, and bad input."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from blocks.config import Config
from flows.fraud import DOMAIN, asked, offline, review
from flows.fraud.cases import given, made
from flows.fraud.cases import run as run_cases
from flows.fraud.evaluate import Judged, Outcome, judge, summarise
from flows.fraud.models import EdgeDraft, FraudInput, RuleTest, SimulationDraft, Verdict
from flows.fraud.rule import Schema, parse
from flows.fraud.sample import STORIES, Story, draw
from flows.fraud.sample.world import plan
from tasks.domain import Answer, Ask, Incoming, Known, ToolResult
from tests.fraud_world import NOW, ask, run, settle, write_config

SCHEMA = Schema({"amount": "number", "customer": "number", "terminal": "number", "country": "text"})


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state directory of its own."""
    settle(tmp_path, monkeypatch)
    return tmp_path


def of(report: dict[str, Any], skill: str) -> list[dict[str, Any]]:
    return [each for each in report["executions"] if each["skill"] == skill]


def seed_of(story: str) -> int:
    """The first seed whose world has the story alone."""
    return next(seed for seed in range(8, 400) if [plot.story for plot in plan(seed)] == [story])


async def test_the_demo_gets_as_far_as_a_refined_rule(home: Path) -> None:
    world = draw(7, home, now=NOW)
    report = await run()
    (manager,) = of(report, "fraud-simulate-rule")
    (pattern,) = manager["output"]["patterns"]
    assert (pattern["rule"], pattern["route_to"]) == ("P-1", "fraud-edge-cases")
    assert pattern["hits"] == _counted(home, "amount_usd > 220")
    (edges,) = of(report, "fraud-edge-cases")
    assert edges["outcome"] == "success"
    worst = edges["output"]["segments"][0]
    assert (worst["field"], worst["value"]) == ("country", "AE")
    assert edges["output"]["refined_rule"]
    after, before = edges["output"]["refinement"], edges["output"]["before"]
    assert after["net_amount"] > before["net_amount"]
    assert after["newer_net_amount"] > after["newer_net_amount_before"]
    assert manager["output"]["picture"][0] == "Hits by day: block if amount > 220"
    assert edges["output"]["picture"][0] == "Genuine transactions hit, by segment"
    assert world.truth[0]["value"] == "AE"
    assert report["state"] == "completed"


def _counted(home: Path, condition: str) -> int:
    with closing(sqlite3.connect(home / "warehouse.db")) as connection:
        until = NOW.strftime("%Y-%m-%d %H:%M:%S")
        sql = f"SELECT count(*) FROM fraud_transactions WHERE tx_time < '{until}' AND {condition}"
        return int(connection.execute(sql).fetchone()[0])


@pytest.mark.full
@pytest.mark.parametrize(
    ("story", "check"),
    [
        ("conflicts", "conflicts"),
        ("duplicates", "duplicates"),
        ("dead", "can fire"),
        ("untested", "tests"),
        ("typo", "syntax and fields"),
    ],
)
async def test_what_is_wrong_with_a_proposal_fails_its_check(home: Path, story: str, check: str) -> None:
    draw(seed_of(story), home, now=NOW)
    report = await run()
    (qa,) = of(report, "fraud-qa")
    failed = {each["name"] for each in qa["output"]["checks"] if each["verdict"] == "fail"}
    assert check in failed
    assert qa["output"]["verdict"] == "fail"
    assert qa["output"]["summary"].startswith("Not ready")


@pytest.mark.full
async def test_a_sound_proposal_is_routed_nowhere(home: Path) -> None:
    draw(seed_of("sound"), home, now=NOW)
    report = await run()
    assert report["state"] == "no_action"
    assert [each["skill"] for each in report["executions"]] == ["fraud-simulate-rule"]
    assert report["executions"][0]["output"]["patterns"][0]["precision"] > 0.9


async def test_a_typo_points_at_its_character_and_loses_nothing(home: Path) -> None:
    draw(7, home, now=NOW)
    report = await run(rule="block if amuont > 220")
    (manager,) = of(report, "fraud-simulate-rule")
    assert "did you mean amount?" in manager["output"]["patterns"][0]["headline"]
    assert "character 10" in manager["output"]["patterns"][0]["headline"]
    (qa,) = of(report, "fraud-qa")
    assert "^" in qa["output"]["checks"][0]["detail"]
    assert report["state"] == "completed"


async def test_a_changed_threshold_is_judged_against_its_rule(home: Path) -> None:
    draw(7, home, now=NOW)
    report = await run(replaces="R-10", threshold=600)
    pattern = of(report, "fraud-simulate-rule")[0]["output"]["patterns"][0]
    assert (pattern["text"], pattern["replaces"]) == ("block if amount > 600", "R-10")
    assert pattern["lost_fraud"] == 0


async def test_without_transactions_the_run_fails_in_words(home: Path) -> None:
    with closing(sqlite3.connect(home / "warehouse.db")) as connection:
        connection.execute("CREATE TABLE other (a)")
    with pytest.raises(Exception, match="there is no table fraud_"):
        await run()


@pytest.mark.full
def test_a_seed_and_a_moment_give_the_same_world(tmp_path: Path) -> None:
    one, two = (draw(3, tmp_path / name, now=NOW) for name in "ab")
    assert one == two
    dumps = []
    for name in "ab":
        with closing(sqlite3.connect(tmp_path / name / "warehouse.db")) as connection:
            dumps.append(list(connection.iterdump()))
    assert dumps[0] == dumps[1]


@pytest.mark.full
def test_a_world_leaves_other_tables_of_the_warehouse(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "warehouse.db")) as connection:
        connection.execute("CREATE TABLE orders (order_id TEXT)")
    draw(3, tmp_path, now=NOW)
    draw(4, tmp_path, now=NOW)
    with closing(sqlite3.connect(tmp_path / "warehouse.db")) as connection:
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert tables == {"orders", "fraud_transactions", "fraud_rules", "fraud_proposals"}


def test_seeds_draw_every_story_and_worlds_with_nothing_wrong() -> None:
    plans = [{plot.story for plot in plan(seed)} for seed in range(100)]
    assert set().union(*plans) == {story.name for story in STORIES} | {"sound"}
    assert {"sound"} in plans


def test_stories_name_a_specialist_of_the_domain() -> None:
    assert all(isinstance(story, Story) and story.route in DOMAIN.skills for story in STORIES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("@fraud-agent block if amount > 220", {"rule": "block if amount > 220"}),
        ("please simulate: *review if more than 3 transactions on one terminal in an hour*.",
         {"rule": "review if more than 3 transactions on one terminal in an hour"}),
        ("block if country = ‘AE’ and amount > 100", {"rule": "block if country = 'AE' and amount > 100"}),
        ("block if amount > 300 instead of R-10", {"rule": "block if amount > 300", "replaces": "R-10"}),
        ("change R-10 to 300", {"replaces": "R-10", "threshold": 300}),
        ("raise the threshold of rule R-10 to $1200.50", {"replaces": "R-10", "threshold": 1200.5}),
        ("what is waiting?", {}),
    ],
)  # fmt: skip
def test_what_people_write_in_chat_is_understood(tmp_path: Path, text: str, expected: dict[str, Any]) -> None:
    found = asked.read(_message(text), _config(tmp_path))
    assert found.model_dump(exclude_defaults=True) == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("block if amount >> 220", "character 18"),
        ("review if merchant = 'x'", "there is no field merchant"),
        ("can you backtest blocking large amounts?", "I found no rule"),
    ],
)
def test_what_is_not_understood_is_said_to_who_asked(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        asked.read(_message(text), _config(tmp_path))


def test_a_webhook_gives_the_input_as_it_is(tmp_path: Path) -> None:
    body = {"rule": "block if amount > 220", "tests": [{"transactions": [{"amount": 300}], "hit": True}]}
    message = Incoming("webhook", "1", {"path": "/api/fraud/simulate"}, data=body)
    assert asked.read(message, _config(tmp_path)).tests[0].hit
    for wrong in ({"rule": 3}, {"rulez": "x"}, {"threshold": 3}, {"rule": "x" * 3000}):
        with pytest.raises(ValidationError):
            asked.read(Incoming("webhook", "1", {}, data=wrong), _config(tmp_path))


def _message(text: str) -> Incoming:
    return Incoming("slack", "1", {"mention": "@fraud-agent"}, text=text)


def _config(folder: Path) -> Config:
    return Config.model_validate(write_config(folder / "config.yaml"))


@pytest.mark.parametrize(
    "text",
    [
        "block if amount > 220",
        "review if count(terminal, 1h) >= 3",
        "review if sum(amount, customer, 1d) > 500 and country = 'GB'",
        "block if since(customer) < 5m and amount > 10",
        "block if amount > 3 * avg(amount, customer, 7d)",
    ],
)
def test_generated_cases_lie_on_both_sides_of_a_threshold(text: str) -> None:
    rule = parse(text)
    runs = run_cases(rule, SCHEMA, made(rule, SCHEMA))
    assert all(each.right for each in runs), runs
    if "avg" not in text:
        assert {each.got for each in runs} == {True, False}, runs


def test_own_tests_are_run_and_a_wrong_one_is_noticed() -> None:
    rule = parse("review if count(terminal, 1h) > 1")
    twice = [{"terminal": 1, "time": "2026-01-01T10:00:00Z"}, {"terminal": 1, "time": "2026-01-01T10:30:00Z"}]
    tests = [RuleTest(transactions=twice, hit=True), RuleTest(transactions=twice[:1], hit=True)]
    assert [each.right for each in run_cases(rule, SCHEMA, given(tests))] == [True, False]
    with pytest.raises(ValueError, match="no ISO time"):
        given([RuleTest(transactions=[{"time": "soon"}], hit=True)])


async def test_the_checklist_warns_of_nulls_and_of_reviewers_overrun(home: Path) -> None:
    draw(7, home, now=NOW)
    config = Config.model_validate(yaml.safe_load((home / "aspora.config.yaml").read_text()))
    url = f"sqlite:///{home / 'warehouse.db'}"
    warehouse = config.warehouse.model_copy(update={"url": url})
    config = config.model_copy(update={"warehouse": warehouse})
    rule = "review if device <> 'D-1' or amount > 1"
    answer = await ask(config, "check_rule", rule=rule, as_of=NOW.isoformat())
    verdicts = {each["name"]: each["verdict"] for each in answer["checks"]}
    assert (verdicts["nulls"], verdicts["volume"], verdicts["tests"]) == ("warn", "fail", "fail")
    assert verdicts["boundaries"] == "pass" and len(answer["tests"]) >= 4


def known(tool: str, content: Any, status: str = "ok", **context: Any) -> Known:
    return Known(context, [ToolResult(1, tool, {}, status, content)])  # type: ignore[arg-type]


def test_a_model_can_neither_change_a_number_nor_leave_a_rule_out() -> None:
    facts = {"backtests": [{"rule": "block if amount > 1", "rule_id": "P-1"}], "rules_in_force": 2}
    draft = SimulationDraft.model_validate(
        {"patterns": [{"rule": "P-9", "headline": "invented"}], "summary": "s"}
    )
    found = review.simulation(draft, known("backtest_rule", facts))
    assert [pattern.rule for pattern in found.patterns] == ["P-1"]


def test_a_refined_rule_must_have_been_backtested() -> None:
    tried = {
        "rule": "block if amount > 275", "how": "x", "fraud_caught": 1, "fraud_caught_amount": 1.0,
        "false_positives": 0, "precision": 1.0, "recall": 1.0, "net_amount": 1.0, "newer_net_amount": 1.0,
        "newer_net_amount_before": 0.0,
    }  # fmt: skip
    facts = {"rule": "block if amount > 220", "tried": [tried]}
    for text, kept in (("block if amount over 275", True), ("block if amount > 1", False), ("DROP", False)):
        draft = EdgeDraft(verdict="refine", refined_rule=text, findings=[], summary="s")
        found = review.edge_cases(draft, known("find_edge_cases", facts))
        assert (found.refined_rule is not None, found.verdict == "refine") == (kept, kept)


@pytest.mark.parametrize("skill", ["fraud-simulate-rule", "fraud-edge-cases", "fraud-qa"])
def test_a_skill_whose_tool_fails_says_so(skill: str) -> None:
    code = DOMAIN.skills[skill]
    first = code.decide(Known({"rule": "block if amount > 1"}))
    assert isinstance(first, Ask)
    failed = known(first.calls[0].name, "the warehouse is locked", "error", rule="block if amount > 1")
    answer = code.decide(failed)
    assert isinstance(answer, Answer)
    with pytest.raises(Exception, match="the warehouse is locked"):
        code.complete(answer.draft, failed)


def test_the_offline_skill_hands_on_what_it_was_asked() -> None:
    tests = [{"transactions": [{"amount": 3}], "hit": True}]
    first = offline.simulate(Known({"rule": "", "replaces": "R-1", "threshold": 5.0, "tests": tests}))
    assert isinstance(first, Ask)
    expected = {"replaces": "R-1", "threshold": 5.0, "tests": json.dumps(tests)}
    assert first.calls[0].arguments == expected


def test_a_threshold_goes_with_a_rule_in_force() -> None:
    for wrong in ({"threshold": 3}, {"rule": "block if amount > 1", "replaces": "R-1", "threshold": 3}):
        with pytest.raises(ValidationError, match="threshold goes with replaces"):
            FraudInput.model_validate(wrong)


def test_a_proposal_is_judged_by_its_story() -> None:
    truth = {"proposal": "P-1", "story": "dead", "route": "fraud-qa", "check": "can fire"}
    check = {"name": "can fire", "verdict": Verdict.failed.value}
    done = {"pattern": "P-1", "outcome": "success", "skill": "fraud-qa", "output": {"checks": [check]}}
    assert judge(1, truth, [done]).found
    assert not judge(1, truth, [{**done, "output": {"checks": []}}]).found
    assert not judge(1, truth, []).routed
    sound = {"proposal": "P-1", "story": "sound", "route": ""}
    assert judge(1, sound, []).routed and not judge(1, sound, [done]).routed


def test_shares_count_what_they_say() -> None:
    def one(story: str, routed: bool, found: bool) -> Judged:
        return Judged(seed=1, proposal="P-1", story=story, routed=routed, found=found)

    judged = [one("dead", True, True), one("dead", True, False), one("typo", False, False)]
    worlds = [Outcome(seed=1, proposals=judged), Outcome(seed=2, proposals=[one("sound", True, True)])]
    found = summarise(worlds)
    assert found["metrics"] == {"routed": 0.6667, "found": 0.5, "quiet": 1.0}
    assert len(found["failures"]) == 2
