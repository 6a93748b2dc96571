"""FinCrime as a whole: the sample world, runs from an alert to a verdict with proof, bad input."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from flows.evaluation import EvaluationError
from flows.fincrime import asked
from flows.fincrime.evaluate import Judged, Outcome, evaluate_world, judge, summarise
from flows.fincrime.models import DiagnosisDraft, FinCrimeInput, Verdict
from flows.fincrime.review import diagnosis
from flows.fincrime.sample import draw
from flows.fincrime.sample.typologies import TYPOLOGIES
from flows.fincrime.sample.world import typologies
from tasks.domain import Incoming, Known, ToolResult
from tests.fincrime_world import NOW, ask, config, ledger, new_fincrime_home, run, usual
from tests.fraud_world import settle
from tests.gateway_world import Town, new_town, set_surroundings

__all__ = ["new_fincrime_home", "new_town", "set_surroundings"]


def of(report: dict[str, Any], skill: str) -> list[dict[str, Any]]:
    return [each for each in report["executions"] if each["skill"] == skill]


async def test_the_demo_gets_from_open_alerts_to_a_verdict_with_proof(fincrime_home: Path) -> None:
    world = draw(7, fincrime_home, now=NOW)
    planted = next(truth for truth in world.truth if truth["typology"])
    report = await run()
    (manager,) = of(report, "fincrime-hypothesis")
    first, *others = manager["output"]["patterns"]
    assert (first["subject"], first["hypothesis"], first["route_to"]) == (
        planted["account"], "gather_scatter", "fincrime-diagnose",
    )  # fmt: skip
    assert len(others) == len(world.truth) - 1
    judged = {each["pattern"]: each["output"] for each in of(report, "fincrime-diagnose")}
    output = judged.pop(planted["account"])
    assert all(each["verdict"] == "probable_false_positive" for each in judged.values())
    assert not any(each["narrative"] for each in judged.values())
    assert (output["verdict"], output["hypothesis"]) == ("escalate", "gather_scatter")
    proof = {each["id"] for each in output["transactions"]}
    assert len(proof & set(planted["transfers"])) >= 0.8 * len(proof) > 8
    assert [each["question"] for each in output["narrative"]] == [
        "who",
        "what",
        "when",
        "where",
        "why",
        "how",
    ]
    assert planted["account"] in "\n".join(output["picture"])
    assert output["timeline"] == sorted(output["timeline"], key=lambda each: each["time"])
    assert {each["source"] for each in output["evidence"]} == {"case", "doubts", "graph"}
    assert len(output["doubts"]) > 4 and output["dropped_proof"] == 0
    assert report["state"] == "completed" and report["approvals"] == []


async def test_a_customer_who_only_looks_like_it_is_left_alone(fincrime_home: Path) -> None:
    world = draw(7, fincrime_home, now=NOW)
    innocent = next(truth for truth in world.truth if truth["innocent"] == "rents")
    report = await run(account=innocent["account"])
    assert report["state"] == "no_action"
    pattern = of(report, "fincrime-hypothesis")[0]["output"]["patterns"][0]
    assert (pattern["hypothesis"], pattern["explanation"]) == ("", "rents")


async def test_each_way_to_ask_leads_to_the_account(fincrime_home: Path) -> None:
    world = draw(7, fincrime_home, now=NOW)
    planted = next(truth for truth in world.truth if truth["typology"])
    names = {
        "account": planted["account"],
        "customer": planted["account"].replace("A-", "C-"),
        "alert": planted["alert"],
        "transaction": planted["transfers"][0],
    }
    for kind, name in names.items():
        found = await ask(config(fincrime_home), "screen_accounts", as_of=NOW.isoformat(), **{kind: name})
        assert found["cases"][0]["subject"] == planted["account"]
        assert len(found["cases"]) == (2 if kind == "transaction" else 1)


@pytest.mark.parametrize("kind", ["account", "customer", "alert", "transaction"])
async def test_what_does_not_exist_fails_in_words(fincrime_home: Path, kind: str) -> None:
    ledger(fincrime_home, usual("A-1"), {"A-1": "person"})
    with pytest.raises(Exception, match=f"there is no {kind} 'X-9'"):
        await run(**{kind: "X-9"})


async def test_an_account_whose_id_looks_like_one_is_masked_and_found(fincrime_home: Path) -> None:
    ledger(fincrime_home, usual("1029384756"), {"1029384756": "person"})
    report = await run(account="1029384756")
    pattern = of(report, "fincrime-hypothesis")[0]["output"]["patterns"][0]
    assert (pattern["subject"], pattern["transfers"]) == ("1029384756", 4)


async def test_an_account_without_transfers_is_told_as_quiet(fincrime_home: Path) -> None:
    ledger(fincrime_home, usual("A-1"), {"A-1": "person", "A-2": "person"})
    report = await run(account="A-2")
    pattern = of(report, "fincrime-hypothesis")[0]["output"]["patterns"][0]
    assert (pattern["transfers"], pattern["suspicion"], report["state"]) == (0, 0, "no_action")


async def test_without_a_warehouse_the_run_fails_in_words(fincrime_home: Path) -> None:
    with closing(sqlite3.connect(fincrime_home / "warehouse.db")) as connection:
        connection.execute("CREATE TABLE other (a)")
    with pytest.raises(Exception, match="there is no table fincrime_"):
        await run()


async def test_a_webhook_with_an_account_is_taken(town: Town) -> None:
    answer = await town.post("/api/fincrime/analyze", {"account": "A-1472"})
    [row] = town.rows()
    assert (answer.status_code, row.domain, row.state) == (202, "fincrime", "pending")
    assert row.payload["account"] == "A-1472"


@pytest.mark.parametrize("body", [{"acount": "A-1"}, {"account": "A-1", "alert": "AL-1"}, {"account": 7}])
async def test_a_webhook_that_asks_wrongly_is_told(town: Town, body: dict[str, Any]) -> None:
    answer = await town.post("/api/fincrime/analyze", body)
    assert answer.status_code == 422
    assert [row.state for row in town.rows()] == ["refused"]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("@fincrime-agent look at account A-1472", {"account": "A-1472"}),
        ("what about customer C-88?", {"customer": "C-88"}),
        ("alert AL-3, please.", {"alert": "AL-3"}),
        ("transaction `T-100`", {"transaction": "T-100"}),
        ("which accounts are open?", {}),
    ],
)
def test_what_people_write_in_chat_is_understood(
    fincrime_home: Path, said: str, expected: dict[str, str]
) -> None:
    message = Incoming("slack", "1", {"mention": "@fincrime-agent"}, text=said)
    assert asked.read(message, config(fincrime_home)).model_dump(exclude_defaults=True) == expected


def test_two_things_at_once_are_one_too_many(fincrime_home: Path) -> None:
    message = Incoming("slack", "1", {}, text="compare account A-1 with customer C-2")
    with pytest.raises(ValueError, match="one thing at a time"):
        asked.read(message, config(fincrime_home))
    with pytest.raises(ValidationError, match="by one of"):
        FinCrimeInput(account="A-1", customer="C-2")


def results(missing: tuple[str, ...] = (), support: float = 0.9) -> tuple[ToolResult, ...]:
    """Tool results with a fan-in of two transfers, as a specialist sees them."""
    proof = [
        {
            "id": f"T-{n}",
            "time": f"2026-03-0{n}T00:00:00Z",
            "sender": f"A-{n}",
            "receiver": "A-9",
            "value": 10.0,
        }
        for n in (1, 2)
    ]
    hypothesis = {"kind": "fan_in", "innocent": False, "score": 0.9, "proof": proof, "proof_total": 2}
    file = {
        "subject": "A-9", "since": "2026-01-01T00:00:00Z", "as_of": "2026-03-11T00:00:00Z", "currency": "USD",
        "usual_month": 1.0, "total_in": 20.0, "total_out": 0.0, "transfers": 2, "hypotheses": [hypothesis],
    }  # fmt: skip
    verdict = "escalate" if support >= 0.7 else "investigate"
    stand = {"kind": "fan_in", "score": 0.9, "support": support, "verdict": verdict}
    challenge = {"subject": "A-9", "doubts": [], "stands": [stand], "verdict": verdict}
    return (
        ToolResult(1, "test_hypotheses", {}, "ok", file),
        ToolResult(2, "challenge_hypotheses", {}, "ok", challenge),
        ToolResult(3, "get_transactions", {}, "ok", {"transfers": [], "missing": list(missing)}),
    )


def draft(proof: list[str], second: Verdict = Verdict.escalate) -> DiagnosisDraft:
    evidence = [
        {"tool_call": 1, "source": "case", "finding": "a fan"},
        {"tool_call": 7, "source": "case", "finding": "a dream"},
    ]
    return DiagnosisDraft.model_validate(
        {
            "hypothesis": "fan_in", "first_verdict": "escalate", "proof": proof, "evidence": evidence,
            "against": [], "second_verdict": second, "second_look": "-", "narrative": [], "next_steps": [],
            "summary": "said",
        }
    )  # fmt: skip


def test_proof_that_is_not_in_the_warehouse_is_dropped() -> None:
    found = diagnosis(draft(["T-1", "T-2", "T-666"]), Known({}, results(missing=("T-2",))))
    assert [each.id for each in found.transactions] == ["T-1"]
    assert (found.dropped_proof, found.dropped_evidence, found.verdict) == (2, 1, Verdict.escalate)


def test_without_any_proof_nothing_is_escalated() -> None:
    found = diagnosis(draft(["T-666"]), Known({}, results()))
    assert (found.verdict, found.transactions) == (Verdict.investigate, [])


@pytest.mark.parametrize(
    ("second", "support", "final"),
    [
        (Verdict.escalate, 0.5, Verdict.investigate),
        (Verdict.investigate, 0.9, Verdict.investigate),
        (Verdict.probable_false_positive, 0.9, Verdict.probable_false_positive),
    ],
)
def test_the_second_pass_lowers_the_verdict_and_never_raises_it(
    second: Verdict, support: float, final: Verdict
) -> None:
    found = diagnosis(draft(["T-1"], second), Known({}, results(support=support)))
    assert (found.first_verdict, found.verdict) == (Verdict.escalate, final)


def test_a_seed_and_a_moment_give_the_same_world(tmp_path: Path) -> None:
    one, two = (draw(3, tmp_path / name, now=NOW) for name in "ab")
    assert one == two
    dumps = []
    for name in "ab":
        with closing(sqlite3.connect(tmp_path / name / "warehouse.db")) as connection:
            dumps.append(list(connection.iterdump()))
    assert dumps[0] == dumps[1]


def test_a_world_leaves_other_tables_of_the_warehouse(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "warehouse.db")) as connection:
        connection.execute("CREATE TABLE orders (order_id TEXT)")
    draw(3, tmp_path, now=NOW)
    with closing(sqlite3.connect(tmp_path / "warehouse.db")) as connection:
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert tables == {"orders", "fincrime_transfers", "fincrime_accounts", "fincrime_alerts"}


def test_worlds_have_every_typology_and_often_none() -> None:
    planned = [typologies(seed) for seed in range(300)]
    assert {plant for each in planned for plant in each} == set(TYPOLOGIES)
    assert 0.1 < sum(not each for each in planned) / 300 < 0.25


def test_the_truth_is_in_nothing_that_tools_read(tmp_path: Path) -> None:
    world = draw(4, tmp_path, now=NOW)
    assert any(truth["typology"] for truth in world.truth)
    with closing(sqlite3.connect(tmp_path / "warehouse.db")) as connection:
        told = "\n".join(connection.iterdump())
    names = {str(truth["typology"] or truth["innocent"]) for truth in world.truth} - {"ordinary", "merchant"}
    assert not [name for name in names if name in told]
    assert json.loads((tmp_path / "fincrime/world.json").read_text()).keys() == {"seed", "drawn_at"}


def judged(typology: str | None, verdict: str, hypothesis: str = "") -> Judged:
    innocent = None if typology else "house"
    return Judged(
        seed=1, level="usual", account="A-1", typology=typology, innocent=innocent, verdict=verdict,
        hypothesis=hypothesis,
    )  # fmt: skip


def test_recall_and_precision_are_counted_by_alert() -> None:
    alerts = [
        judged("fan_in", "escalate", "fan_in"),
        judged("fan_in", ""),
        judged("stack", "investigate", "bipartite"),
        judged(None, "investigate", "fan_in"),
        judged(None, "probable_false_positive"),
    ]
    found = summarise([Outcome(seed=1, alerts=alerts)])
    metrics = found["metrics"]
    assert (metrics["recall"], metrics["precision"], metrics["named"]) == (0.6667, 0.6667, 1.0)
    assert (metrics["recall fan_in"], metrics["precision fan_in"]) == (0.5, 0.5)
    assert len(found["failures"]) == 2


def test_an_alert_that_nobody_tested_is_not_flagged() -> None:
    truth = {"account": "A-1", "typology": "cycle", "innocent": None, "transfers": ["T-1"]}
    assert not judge(1, "usual", truth, {"executions": []}).flagged


@pytest.mark.parametrize(("model", "faults"), [("scripted", "sample"), ("offline", "unseen")])
def test_what_can_not_be_evaluated_is_said(tmp_path: Path, model: str, faults: Any) -> None:
    with pytest.raises(EvaluationError):
        evaluate_world(1, tmp_path, model, faults)


@pytest.mark.full
@pytest.mark.parametrize("held_out", [False, True])
def test_the_skills_reach_their_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held_out: bool
) -> None:
    worlds = []
    for seed in range(40, 46):
        home = tmp_path / str(seed)
        home.mkdir()
        settle(home, monkeypatch)
        worlds.append(evaluate_world(seed, home, "offline", "held-out" if held_out else "sample"))
    metrics = summarise(worlds)["metrics"]
    assert metrics["recall"] >= 0.9 and metrics["precision"] >= 0.8
