"""The evaluation of the ECM skills: what counts as right, and one world through the scripted model."""

from __future__ import annotations

from typing import Any

import pytest

from flows.ecm.evaluate import Judged, Outcome, judge, summarise
from flows.evaluation import EvaluationError, evaluate_domain

FAULT = {
    "stage": "rail",
    "fault": "lapsed_key",
    "runbooks": ["keys.md"],
    "cause_keywords": ["signing key"],
    "action": None,
}


def said(**output: Any) -> dict[str, Any]:
    found = {"root_cause": "The signing key lapsed", "runbook": "keys.md", "fix_action": None}
    return {"outcome": "success", "output": {**found, "confidence": "high", **output}}


@pytest.mark.parametrize(
    ("output", "cause", "fix"),
    [
        ({}, True, True),
        ({"fix_action": "retry"}, True, False),
        ({"runbook": "quota.md"}, False, False),
        ({"runbook": None}, True, False),
        ({"runbook": None, "root_cause": "Something else"}, False, False),
        ({"runbook": None, "root_cause": None}, False, False),
    ],
)
def test_a_faulted_stage_needs_the_right_runbook_and_action(
    output: dict[str, Any], cause: bool, fix: bool
) -> None:
    one = judge(1, "rail", FAULT, said(**output))
    assert (one.diagnosed, one.cause_right, one.fix_right) == (True, cause, fix)


@pytest.mark.parametrize(("cause", "right"), [(None, True), ("The signing key lapsed", False)])
def test_a_healthy_stage_is_right_without_a_cause(cause: str | None, right: bool) -> None:
    assert judge(1, "rail", None, said(root_cause=cause)).cause_right is right


def test_a_stage_that_was_not_routed_is_not_found() -> None:
    assert not judge(1, "rail", FAULT, None).diagnosed


def test_shares_count_what_they_say() -> None:
    right = Judged(seed=1, stage="a", fault="x", diagnosed=True, cause_right=True, fix_right=True)
    stages = [
        right,
        right.model_copy(update={"fix_right": False}),
        right.model_copy(update={"cause_right": False, "fix_right": False}),
        Judged(seed=2, stage="b", fault="x", diagnosed=False),
        Judged(seed=2, stage="c", fault=None, diagnosed=True, cause_right=True),
        Judged(seed=2, stage="d", fault=None, diagnosed=True, cause_right=False),
    ]
    found = summarise([Outcome(seed=1, stages=stages[:3]), Outcome(seed=2, stages=stages[3:])])
    assert found["metrics"] == {
        "stage_found": 0.75,
        "cause_found": 0.6667,
        "fix_right": 0.3333,
        "abstained": 0.5,
    }
    assert len(found["failures"]) == 4


def test_nothing_to_measure_is_no_share() -> None:
    assert summarise([Outcome(seed=1, stages=[])])["metrics"]["cause_found"] is None


def test_a_failed_run_is_reported() -> None:
    found = summarise([Outcome(seed=7, stages=[], error="the orders could not be read")])
    assert found["failures"] == ["seed 7: the orders could not be read"]


@pytest.mark.parametrize(("name", "model"), [("nosuch", "offline"), ("ecm", "gpt")])
def test_what_there_is_not_is_refused(name: str, model: str) -> None:
    with pytest.raises(EvaluationError, match="there are: "):
        evaluate_domain(name, seeds=1, first=0, model=model, faults="sample")


@pytest.mark.full
def test_the_scripted_model_comes_to_the_right_cause_and_fix() -> None:
    found = evaluate_domain("ecm", seeds=1, first=7, model="scripted", faults="sample")
    assert found["n"] == 1 and found["model"] == "scripted"
    assert found["counts"]["diagnosed"] >= 1
    assert found["failures"] == []
