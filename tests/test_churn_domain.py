"""The churn domain as a whole: from a sample world to an approved offer, quiet worlds, bad input."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from pydantic import ValidationError

from flows.churn import DOMAIN, asked, offline, review
from flows.churn.evaluate import Outcome, barred, evaluate_world, judge, summarise
from flows.churn.models import ChurnInput, Confidence, Evidence, PlanDraft, SignalsDraft
from flows.churn.sample import STORIES, company, draw
from flows.churn.sample.world import plan
from flows.churn.table import CustomersTable, Options
from flows.evaluation import EvaluationError
from tasks.check import check
from tasks.domain import Answer, Ask, Incoming, Known, ToolResult
from tests.churn_world import NOW, OURS, ask, change, run, settle, write_config
from tests.fix_world import approve, carry_out


def of(report: dict[str, Any], skill: str) -> dict[str, Any]:
    return next(each for each in report["executions"] if each["skill"] == skill)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state directory of its own."""
    settle(tmp_path, monkeypatch)
    return tmp_path


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's world, to be copied."""
    home = tmp_path_factory.mktemp("world")
    draw(7, home, now=NOW)
    return home


@pytest.fixture
def settled(home: Path, world: Path) -> Path:
    """A state directory of its own with the demo's world."""
    shutil.copytree(world, home, dirs_exist_ok=True)
    return home


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, world: Path) -> Iterator[Path]:
    """A state directory with the demo's world, whose offers go out quickly."""
    home = tmp_path_factory.mktemp("churn")
    with pytest.MonkeyPatch.context() as patch:
        settle(home, patch)
        config = yaml.safe_load((home / "aspora.config.yaml").read_text())
        config["domains"]["churn"]["actions"][0]["rate"] = "1000/s"
        (home / "aspora.config.yaml").write_text(yaml.safe_dump(config))
        shutil.copytree(world, home, dirs_exist_ok=True)
        yield home


def contacts(home: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(home / "warehouse.db")) as connection:
        rows = connection.execute("SELECT customer_id, offer FROM churn_contacts WHERE offer <> 'newsletter'")
        return [(str(id), str(offer)) for id, offer in rows]


@pytest.mark.full
async def test_from_this_weeks_customers_to_an_approved_offer(demo: Path) -> None:
    found = await run()
    assert found["state"] == "awaiting_approval", found
    signals = of(found, "churn-analyze-signals")["output"]
    (pattern,) = [each for each in signals["patterns"] if each["route_to"]]
    assert pattern["driver"] == "failed payments" and pattern["lift"] > 2
    assert signals["model"]["auc"]["low"] > 0.5 and signals["model"]["calibration_error"] < 0.03
    assert signals["picture"][0] == "Value at risk a year, by reason"
    drafted = of(found, "churn-personalize")["output"]
    assert (drafted["offer"], drafted["confidence"] == "low") == ("fee_back", False)
    assert {item["source"] for item in drafted["evidence"]} == {"history", "catalogue", "experiment"}
    assert drafted["dropped_evidence"] == 0 and drafted["refuted_by"]
    assert drafted["experiment"]["needed_each"] > drafted["experiment"]["control"] > 0
    assert contacts(demo) == [], "a draft sends nothing"

    (approval,) = found["approvals"]
    off_limits = barred(demo / "warehouse.db", NOW)
    (sent_plan,) = approval["proposal"]["plans"]
    change(demo, f"UPDATE churn_customers SET marketing_opt_in = 0 WHERE customer_id = "
                 f"'{sent_plan['sample'][0]['customer_id']}'")  # fmt: skip
    await approve(approval["id"])
    done = await carry_out(approval["id"])
    assert done.result["skipped"] == 1, "who opted out meanwhile gets nothing"
    assert done.result["done"] == sent_plan["objects"] - 1 and done.result["still_due"] == 0
    sent = contacts(demo)
    assert len(sent) == len(set(sent)) == done.result["done"]
    assert {offer for _, offer in sent} == {"fee_back"}
    assert not {id for id, _ in sent} & off_limits


@pytest.mark.full
async def test_the_tools_answer_for_segments_that_there_are(demo: Path) -> None:
    as_of = NOW.isoformat()
    with pytest.raises(RuntimeError, match="nobody is at risk for that; the reasons are: failed payments"):
        await ask(demo, "profile_segment", driver="the weather", as_of=as_of)
    with pytest.raises(RuntimeError, match="is no ISO time"):
        await ask(demo, "score_customers", as_of="yesterday")


@pytest.mark.full
def test_a_seed_and_a_moment_give_the_same_world(tmp_path: Path) -> None:
    one, two, other = (draw(seed, tmp_path / name, now=NOW) for seed, name in ((3, "a"), (3, "b"), (4, "c")))
    assert one == two != other
    dumps = []
    for name in "ab":
        with closing(sqlite3.connect(tmp_path / name / "warehouse.db")) as connection:
            dumps.append(list(connection.iterdump()))
    assert dumps[0] == dumps[1]
    assert json.loads((tmp_path / "a/churn/world.json").read_text())["seed"] == 3


def test_seeds_draw_every_reason_and_worlds_with_nothing_wrong() -> None:
    plans = [[story.driver for story in plan(seed)] for seed in range(100)]
    assert {driver for drivers in plans for driver in drivers} == {story.driver for story in STORIES}
    assert 10 < sum(not drivers for drivers in plans) < 35


async def test_a_short_history_says_what_it_needs(demo: Path) -> None:
    early = (NOW - timedelta(days=150)).isoformat()
    found = await ask(demo, "score_customers", as_of=early)
    assert found["segments"] == [] and "112 are needed" in found["problem"]


async def test_fifty_customers_are_too_few_and_the_run_says_so(settled: Path) -> None:
    change(settled, "DELETE FROM churn_customers WHERE customer_id > 'C-00050'")
    found = await run()
    assert found["state"] == "no_action"
    signals = of(found, "churn-analyze-signals")
    assert signals["outcome"] == "success" and signals["output"]["patterns"] == []
    assert "too few: at least 200 are needed" in signals["output"]["summary"]


async def test_where_nobody_left_nothing_can_be_learnt(settled: Path) -> None:
    change(settled, "UPDATE churn_customers SET left_at = NULL")
    found = await ask(settled, "score_customers", as_of=NOW.isoformat())
    assert "customers stayed; who leaves can't be learnt from one kind alone" in found["problem"]


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (
            "ALTER TABLE churn_transfers DROP COLUMN amount_usd",
            "there is no column amount_usd in churn_transfers",
        ),
        ("ALTER TABLE churn_customers DROP COLUMN channel", "attributes.channel: there is no column channel"),
        ("DROP TABLE churn_customers", "there is no table churn_customers"),
    ],
)
async def test_missing_tables_and_columns_are_named(settled: Path, statement: str, said: str) -> None:
    change(settled, statement)
    found = await run()
    assert found["state"] == "failed" and said in found["reason"]


@pytest.mark.full
async def test_leaking_and_protected_attributes_are_named_and_left_out(settled: Path) -> None:
    change(
        settled,
        "ALTER TABLE churn_customers ADD COLUMN reason_code TEXT",
        "UPDATE churn_customers SET reason_code = CASE WHEN left_at IS NULL THEN 'none' ELSE 'moved' END",
        "ALTER TABLE churn_customers ADD COLUMN salute TEXT",
        "UPDATE churn_customers SET salute = CASE WHEN rowid % 2 THEN 'Mr' ELSE 'Ms' END",
    )
    config = yaml.safe_load((settled / "aspora.config.yaml").read_text())
    attributes = config["warehouse"]["tables"]["churn_customers"]["attributes"]
    attributes |= {"reason_code": "reason_code", "salute": "salute"}
    (settled / "aspora.config.yaml").write_text(yaml.safe_dump(config))
    found = await ask(settled, "score_customers", as_of=NOW.isoformat())
    told = {each["column"]: each for each in found["left_out"]}
    assert told["reason_code"]["role"] == "leaking" and told["salute"]["reason"] == "looks like sex"
    assert any("reason_code was left out" in warning for warning in found["warnings"])
    assert found["segments"][0]["driver"] == "failed payments"


@pytest.mark.full
async def test_without_a_date_of_leaving_silence_counts(settled: Path) -> None:
    config = yaml.safe_load((settled / "aspora.config.yaml").read_text())
    del config["warehouse"]["tables"]["churn_customers"]["columns"]["left_at"]
    (settled / "aspora.config.yaml").write_text(yaml.safe_dump(config))
    found = await ask(settled, "score_customers", as_of=NOW.isoformat())
    assert found["problem"] == "" and found["usual_risk"] > 0.04


@pytest.mark.full
async def test_data_that_end_long_ago_are_looked_at_from_there(home: Path) -> None:
    draw(7, home, now=NOW - timedelta(days=90))
    found = await ask(home, "score_customers", as_of=NOW.isoformat())
    assert any("the newest transfer is from 2025-12-0" in warning for warning in found["warnings"])
    assert found["segments"][0]["driver"] == "failed payments"


@pytest.mark.full
async def test_a_world_with_nothing_wrong_is_left_alone(home: Path) -> None:
    seed = next(seed for seed in range(8, 400) if not plan(seed))
    draw(seed, home, now=NOW)
    found = await run()
    assert found["state"] == "no_action"
    assert [each["skill"] for each in found["executions"]] == ["churn-analyze-signals"]


@pytest.mark.full
def test_worlds_are_judged(home: Path) -> None:
    found = summarise([evaluate_world(7, home, "offline", "sample")])
    assert found["metrics"] == {"found": 1.0, "right": 1.0, "quiet": None, "respected": 1.0}
    assert found["failures"] == []


def test_what_a_run_said_is_compared_with_the_truth() -> None:
    specialist = {"role": "specialist", "pattern": "complaints"}
    said = {
        "executions": [{"role": "manager", "pattern": None}, specialist],
        "approvals": [],
        "state": "completed",
    }
    right = judge(1, ["complaints"], said, True)
    wrong = judge(2, [], said, False)
    found = summarise([right, wrong])
    assert found["metrics"] == {"found": 1.0, "right": 0.5, "quiet": 0.0, "respected": 0.5}
    assert found["failures"] == ["seed 2: has nothing, said complaints"]
    assert (
        summarise([Outcome(seed=3, truth=[], routed=[], proposed=[], respected=True)])["metrics"]["found"]
        is None
    )
    with pytest.raises(EvaluationError, match="offline"):
        evaluate_world(7, Path(), "scripted", "sample")


LARGE = """
CREATE TABLE numbers (n INTEGER PRIMARY KEY);
WITH RECURSIVE up(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < 1000000)
INSERT INTO numbers SELECT n FROM up;
CREATE TABLE churn_customers (customer_id TEXT, joined_at TEXT, left_at TEXT, corridor TEXT, channel TEXT,
  marketing_opt_in INTEGER);
CREATE TABLE churn_transfers (customer_id TEXT, sent_at TEXT, amount_usd REAL, revenue_usd REAL, status TEXT);
CREATE TABLE churn_usage (customer_id TEXT, week_end TEXT, sessions INTEGER);
CREATE TABLE churn_complaints (customer_id TEXT, complained_at TEXT);
CREATE TABLE churn_price_changes (customer_id TEXT, changed_at TEXT, percent REAL);
CREATE TABLE churn_contacts (customer_id TEXT, sent_at TEXT, offer TEXT);
"""


async def post(home: Path, path: str, key: str = "k", method: str = "POST") -> int:
    async with httpx.AsyncClient(mounts={"sample://": company(home)}) as http:
        headers = {"Idempotency-Key": key} if key else {}
        return (await http.request(method, f"sample://customers/{path}", headers=headers)).status_code


async def test_the_companys_api_sends_once(demo: Path) -> None:
    with closing(sqlite3.connect(demo / "warehouse.db")) as connection:
        sql = "SELECT customer_id FROM churn_customers WHERE marketing_opt_in = {} AND left_at IS NULL"
        willing, unwilling = (connection.execute(sql.format(flag)).fetchone()[0] for flag in (1, 0))
    assert await post(demo, f"{willing}/offers/hello", key="") == 400
    assert await post(demo, f"{willing}/offers/hello", method="GET") == 405
    assert await post(demo, "nobody/offers/hello") == 404
    assert await post(demo, f"{willing}/calls/hello") == 404
    assert await post(demo, f"{unwilling}/offers/hello") == 409
    assert [await post(demo, f"{willing}/offers/hello") for _ in range(2)] == [200, 200]
    assert await post(demo, f"{willing}/offers/other") == 422
    assert [row for row in contacts(demo) if row[1] == "hello"] == [(willing, "hello")]


@pytest.mark.full
async def test_a_million_transfers_are_aggregated_in_sql(home: Path) -> None:
    with closing(sqlite3.connect(home / "warehouse.db")) as connection, connection:
        connection.executescript(LARGE)
        now = NOW.strftime("%Y-%m-%d %H:%M:%S")
        connection.execute(
            "INSERT INTO churn_customers SELECT 'L-' || n, datetime(?, '-' || (300 + n % 700) || ' days'), "
            "CASE WHEN n % 9 = 0 THEN datetime(?, '-' || (n * 7 % 160) || ' days') END, 'IN', 'app', 1 "
            "FROM numbers WHERE n <= 100000", (now, now),
        )  # fmt: skip
        connection.execute(
            "INSERT INTO churn_transfers SELECT 'L-' || (1 + n * 7919 % 100000), "
            "datetime(?, '-' || (n * 31 % 240) || ' days', '-1 hours'), 100 + n % 300, 3, "
            "CASE WHEN n % 50 = 0 THEN 'failed' ELSE 'paid' END FROM numbers", (now,),
        )  # fmt: skip
    found = await ask(home, "score_customers", as_of=NOW.isoformat())
    assert found["problem"] == "" and found["customers"] > 80_000
    assert found["model"]["trained_on"] < 70_000, "of each earlier moment a bounded sample is learnt from"


def test_the_domains_config_is_sound(home: Path) -> None:
    _, problems = check(home / "aspora.config.yaml")
    assert [str(problem) for problem in problems] == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"offers": [{"id": "a", "drivers": ["x"], "text": "t", "discount": 20}]},
            "more than limits.discount",
        ),
        ({"offers": [{"id": "a", "drivers": ["x"], "text": "t"}] * 2}, "listed twice"),
        ({"horizon": "2d"}, "between 7d and 366d"),
        ({"offers": [{"id": "A b", "drivers": ["x"], "text": "t"}]}, "pattern"),
    ],
)
def test_offers_beyond_the_limits_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Options.model_validate(options)


def test_tables_name_what_is_missing() -> None:
    with pytest.raises(ValidationError, match="needs joined_at as well"):
        CustomersTable.model_validate({"table": "t", "columns": {"customer": "id"}})
    with pytest.raises(ValidationError, match="did you mean left_at"):
        CustomersTable.model_validate(
            {"table": "t", "columns": {"customer": "id", "joined_at": "j", "left": "l"}}
        )


def message(source: Any, text: str = "", **data: Any) -> Incoming:
    return Incoming(source, "key", {}, text=text, data=data)


def test_messages_say_what_is_asked(home: Path) -> None:
    from blocks.config_file import load

    config = load(home / "aspora.config.yaml")
    assert (
        asked.read(message("slack", "who leaves over failed payments?"), config).driver == "failed payments"
    )
    assert asked.read(message("slack", "who is leaving"), config) == ChurnInput()
    assert asked.read(message("slack", "complaints or a price rise?"), config) == ChurnInput()
    assert asked.read(message("webhook", driver="tenure"), config).driver == "tenure"
    with pytest.raises(ValueError, match="Extra inputs"):
        asked.read(message("webhook", sql="DROP TABLE"), config)


RISKS = {
    "as_of": NOW.isoformat(), "customers": 900, "at_risk": 60, "usual_risk": 0.05, "horizon_days": 28,
    "segments": [{
        "driver": "price rise", "customers": 60, "contactable": 40, "risk": 0.2, "expected_leavers": 12,
        "value_at_risk": 4000, "avoidable_value": 3000, "examples": ["C-1"], "signs": [], "offers": 1,
    }],
}  # fmt: skip


def result(name: str, content: Any, number: int = 1, status: Any = "ok") -> ToolResult:
    return ToolResult(number, name, {}, status, content)


def test_a_model_can_neither_invent_nor_hide_a_segment() -> None:
    words = {"patterns": [{"driver": "the moon", "headline": "?"}], "summary": "All is well."}
    found = review.signals(SignalsDraft.model_validate(words), Known({}, [result("score_customers", RISKS)]))
    assert [(each.driver, each.customers) for each in found.patterns] == [("price rise", 60)]
    assert not found.patterns[0].telling, "no model was judged"


def interval(value: float, low: float, high: float) -> dict[str, float]:
    return {"value": value, "low": low, "high": high}


PROFILE = {
    "driver": "price rise", "customers": 60, "risk": 0.2, "usual_risk": 0.05, "value_at_risk": 4000,
    "avoidable_value": 3000, "differences": [{"measure": "price_rise", "segment": 15, "others": 0}],
    "mix": [], "past_customers": 50, "past_expected": 9, "past_left": 10,
    "past_share": interval(0.2, 0.11, 0.33),
    "past_others_share": interval(0.04, 0.03, 0.05), "confirmed": True, "also": {},
}  # fmt: skip
OFFERS = {
    "driver": "price rise", "customers": 60, "contactable": 40, "off_limits": {"opted out": 20},
    "offers": [
        {"id": "price_hold", "text": "We hold your price.", "discount": 15, "cost_per_customer": 2,
         "assumed_effect": 0.3, "kept": 3, "net_value": 300, "allowed": True},
        {"id": "gold", "text": "Gold.", "discount": 0, "cost_per_customer": 90, "assumed_effect": 0.3,
         "kept": 3, "net_value": -900, "allowed": False, "reason": "it costs more than it keeps"},
    ],
}  # fmt: skip
DESIGN = {
    "driver": "price rise", "offer": "price_hold", "contactable": 40, "control_share": 0.5, "control": 20,
    "treatment": 20, "usual_share": 0.2, "assumed_share": 0.14, "needed_each": 600, "enough": False,
    "smallest_effect": None, "days": 28, "method": "…",
}  # fmt: skip
HANDED = {
    "driver": "price rise",
    "as_of": NOW.isoformat(),
    "actions": [{"name": "send_offer", "description": ""}],
}


def known(profile: dict[str, Any] = PROFILE, offers: dict[str, Any] = OFFERS) -> Known:
    results = [
        result("profile_segment", profile),
        result("list_offers", offers, 2),
        result("plan_experiment", DESIGN, 3),
    ]
    return Known(HANDED, results)


def test_offline_designs_the_best_allowed_offer_before_it_answers() -> None:
    first = offline.personalize(Known(HANDED))
    assert isinstance(first, Ask) and [call.name for call in first.calls] == [
        "profile_segment",
        "list_offers",
    ]
    second = offline.personalize(Known(HANDED, known().results[:2]))
    assert isinstance(second, Ask) and second.calls[0].arguments["offer"] == "price_hold"
    answer = offline.personalize(known())
    assert isinstance(answer, Answer) and isinstance(answer.draft, PlanDraft)
    drafted = review.plan(answer.draft, known())
    assert drafted.confidence == Confidence.high and drafted.dropped_evidence == 0
    assert drafted.fixes[0].scope == "price_hold@0.5" and drafted.message == "We hold your price."
    assert [each.cause for each in drafted.ruled_out] == ["offer gold"]


def draft(**given: Any) -> PlanDraft:
    evidence = [Evidence(tool_call=1, source="history", finding="they left")]
    whole = {
        "root_cause": "prices",
        "evidence": evidence,
        "offer": "price_hold",
        "confidence": "high",
        "ruled_out": [],
    }
    return PlanDraft.model_validate({**whole, **given})


@pytest.mark.parametrize("offer", ["gold", "free_money", "", None])
def test_an_offer_that_is_not_allowed_is_never_proposed(offer: str | None) -> None:
    drafted = review.plan(draft(offer=offer), known())
    assert (drafted.offer, drafted.message, drafted.fixes) == (None, "", [])


def test_without_history_or_evidence_nothing_is_proposed() -> None:
    assert review.plan(draft(evidence=[]), known()).fixes == []
    unheld = [Evidence(tool_call=9, source="history", finding="I feel it")]
    assert review.plan(draft(evidence=unheld), known()).dropped_evidence == 1
    unsure = review.plan(draft(), known({**PROFILE, "confirmed": False}))
    assert unsure.confidence == Confidence.medium
    assert review.plan(draft(root_cause=None), known()).fixes == []
    assert review.plan(None, known()).summary.startswith("price rise: ")


def test_the_domain_names_what_its_config_names(tmp_path: Path) -> None:
    config = write_config(tmp_path / "c.yaml")
    assert {each["name"] for each in config["domains"]["churn"]["skills"]} == set(DOMAIN.skills)
    assert set(config["warehouse"]["tables"]) == set(OURS)
