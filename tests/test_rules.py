"""Routing rules: names, types, evaluation."""

from __future__ import annotations

import operator
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from blocks import config
from tasks.domain import Answer, Domain, Skill
from tasks.rule_types import faults
from tasks.rules import RuleError, Scope, bound_name, compile_rule, domain_scope


class Trend(StrEnum):
    UP = "UP"
    DOWN = "DOWN"


class Confidence(StrEnum):
    high = "high"
    low = "low"


class Detail(BaseModel):
    service: str
    opened: datetime


class Pattern(BaseModel):
    critical_count: int = Field(ge=0)
    share: float = Field(gt=0, le=1)
    ratio: Annotated[float, Field(ge=0)] | None = None
    trend: Trend
    kind: Literal["order", "refund"] = "order"
    stage: str = "lulu"
    continuing: bool = False
    samples: list[str] = []
    detail: Detail | None = None


class Diagnosis(BaseModel):
    confidence: Confidence
    root_cause: str | None = None


SCOPE = Scope({"manager": Pattern, "diagnose": Diagnosis}, {"diagnose": "ecm-diagnose"})
PATTERN = Pattern(critical_count=12, share=0.5, trend=Trend.UP, samples=["a", "b"])


def evaluate(text: str, **bindings: Any) -> bool:
    return compile_rule(text, SCOPE).evaluate({"manager": PATTERN, **bindings})


def told(text: str) -> str:
    return "\n".join(f"{fault.message}; {fault.remedy}" for fault in faults(text, SCOPE))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("manager.critical_count >= 10", True),
        ("manager.critical_count >= 13", False),
        ("diagnose.confidence == high", True),
        ("diagnose.confidence == high && auto_fix", True),
        ("diagnose.confidence == low || auto_fix == false", False),
        ("manager.trend == UP", True),
        ("manager.trend in [DOWN, 'UP']", True),
        ("manager.kind == refund", False),
        ('manager.stage == "lulu" && !manager.continuing', True),
        ("10 <= manager.critical_count", True),
        ("manager.share > 0.25", True),
        ("manager.ratio == null", True),
        ("manager.ratio > 1.5", False),
        ("!(manager.ratio > 1.5)", False),
        ("manager.ratio > 1.5 || manager.critical_count > 3", True),
        ("diagnose.root_cause.contains('x')", False),
        ("manager.detail.service == 'a'", False),
        ("manager.samples.exists(s, s == 'b')", True),
        ("size(manager.samples) > 1", True),
        ("double(manager.critical_count) * 0.5 > 3.0", True),
        ("manager.critical_count > 3 ? auto_fix : manager.continuing", True),
        ("true", True),
    ],
)
def test_rules_that_load_and_what_they_say(text: str, expected: bool) -> None:
    assert told(text) == ""
    assert evaluate(text, diagnose=Diagnosis(confidence=Confidence.high), auto_fix=True) is expected


def test_times_compare_with_timestamps() -> None:
    text = "manager.detail.opened > timestamp('2026-01-31T00:00:00Z')"
    assert told(text) == ""
    detail = Detail(service="a", opened=datetime(2026, 2, 1, tzinfo=UTC))
    assert evaluate(text, manager=PATTERN.model_copy(update={"detail": detail})) is True


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("critical_count >= 10", "did you mean manager.critical_count?"),
        ("manager.critcal_count >= 10", "did you mean critical_count?"),
        ("diagnos.confidence == high", "did you mean diagnose?"),
        ("ecm-diagnose.confidence == high", "ecm-diagnose is written diagnose"),
        ("fraud_score.value > 1", "unknown name fraud_score"),
        ("manager.detail.nothing == 1", "manager.detail has no field nothing"),
        ("manager.stage == lulu", '"lulu"'),
        ("lenght(manager.samples) > 1", "unknown function lenght"),
        ("manager.critical_count == 'many'", "compare it with a number"),
        ("manager.critical_count == true", "compare it with a number"),
        ("manager.critical_count == null", "never null"),
        ("manager.stage > 3", "compare it with text"),
        ("manager.continuing == 1", "true or false"),
        ("auto_fix == 'yes'", "true or false"),
        ("manager.detail.opened > '2026-01-31'", "timestamp("),
        ("manager.samples == 'a'", "size"),
        ("diagnose.confidence == certain", "high, low"),
        ("diagnose.confidence != 'hihg'", "did you mean high?"),
        ("diagnose.confidence == UP", "one of high, low"),
        ("diagnose.confidence >= low", "has no order"),
        ("manager.kind == 'refnd'", "did you mean refund?"),
        ("manager.trend in [UP, 'SIDEWAYS']", "one of UP, DOWN"),
        ("manager.trend == diagnose.confidence", "compares one of UP, DOWN with one of high, low"),
        ("manager.critical_count < 0", "whole number from 0"),
        ("0 > manager.critical_count", "whole number from 0"),
        ("manager.critical_count == -1", "whole number from 0"),
        ("manager.critical_count > -1", "whole number from 0"),
        ("manager.critical_count == 2.5", "whole number"),
        ("manager.share > 1", "up to 1"),
        ("manager.share <= 0", "above 0"),
        ("manager.share == 1.5", "up to 1"),
        ("manager.ratio < 0", "from 0"),
        ("auto_fix && manager.critical_count < 0", "whole number from 0"),
        ("manager.critical_count", "no yes or no"),
        ("manager.critical_count && auto_fix", "no yes or no"),
        ("auto_fix && manager.critical_count", "no yes or no"),
        ("!manager.stage", "no yes or no"),
        ("manager.critical_count * 0.5 > 3.0", "mixes types"),
        ("false", "never true"),
        ("1 + 1", "never true"),
        ("manager.critical_count >=", "column 26"),
        ("manager.critical_count > 3 and auto_fix", "column 28"),
        ("(" * 400 + "true" + ")" * 400, "nested too deeply"),
    ],
)
def test_rules_that_are_refused(text: str, words: str) -> None:
    assert words in told(text)


def test_bounds_that_can_be_met_are_not_refused() -> None:
    for text in (
        "manager.share >= 1",
        "manager.share == 1",
        "manager.critical_count <= 0",
        "manager.share > 0",
    ):
        assert told(text) == "", text


def test_an_unknown_name_is_told_once() -> None:
    assert len(faults("diagnos.confidence == high && diagnos.confidence != low", SCOPE)) == 1


def test_names_that_a_rule_needs() -> None:
    rule = compile_rule("manager.critical_count > 3 && diagnose.confidence == high && auto_fix", SCOPE)
    assert rule.needs == {"manager", "diagnose"}
    assert rule.uses_auto_fix
    assert not compile_rule("manager.trend == UP", SCOPE).uses_auto_fix


def test_a_rule_whose_specialist_has_not_run_is_a_clean_error() -> None:
    with pytest.raises(RuleError, match="needs diagnose"):
        evaluate("diagnose.confidence == high")


def test_a_failing_rule_is_named_with_its_values() -> None:
    with pytest.raises(RuleError) as caught:
        evaluate("100 / (manager.critical_count - 12) > 3")
    assert "100 / (manager.critical_count - 12) > 3" in str(caught.value)
    assert "manager.critical_count = 12" in str(caught.value)


def test_an_answer_that_is_no_bool_is_an_error() -> None:
    with pytest.raises(RuleError, match="no yes or no"):
        evaluate("manager.critical_count + 1")


def test_a_number_that_is_none_counts_as_absent() -> None:
    for ratio in (float("nan"), float("inf")):
        assert evaluate("manager.ratio > 1.5", manager=PATTERN.model_copy(update={"ratio": ratio})) is False


def test_bindings_may_be_plain_mappings_and_auto_fix_is_off_by_default() -> None:
    rule = compile_rule("manager.critical_count >= 10 && !auto_fix", SCOPE)
    assert rule.evaluate({"manager": {"critical_count": 10}}) is True


@pytest.mark.parametrize(
    ("skill", "domain", "manager", "bound"),
    [
        ("ecm-diagnose", "ecm", "ecm-triage", "diagnose"),
        ("rca-trace-deploy", "auto-rca", "rca-manager", "trace_deploy"),
        ("auto-rca-trace", "auto-rca", "auto-rca-manager", "trace"),
        ("report", "churn", "churn-manager", "report"),
    ],
)
def test_a_specialists_name_in_rules(skill: str, domain: str, manager: str, bound: str) -> None:
    assert bound_name(skill, domain, manager) == bound


def test_the_scope_of_a_configured_domain() -> None:
    section = config.Domain.model_validate(
        {
            "module": "x",
            "skills": [
                {"name": "ecm-triage", "role": "manager", "model": "m"},
                {"name": "ecm-diagnose", "role": "specialist", "model": "m"},
                {"name": "ecm-new", "role": "specialist", "model": "m"},
            ],
        }
    )
    skill = Skill(
        Diagnosis, Diagnosis, lambda known: Answer(Pattern.model_construct()), lambda d, k: Pattern()
    )
    code = Domain("ecm", BaseModel, Pattern, "stage", {"ecm-diagnose": skill}, "x:y")
    scope = domain_scope("ecm", section, code)
    assert scope.skills == {"diagnose": "ecm-diagnose", "new": "ecm-new"}
    assert scope.records["manager"] is Pattern
    assert scope.constants.keys() >= {"high", "low", "UP", "DOWN", "order", "refund"}
    assert faults("new.anything > 3", scope) == []


RELATIONS = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
patterns = st.builds(
    Pattern,
    critical_count=st.integers(0, 2**62),
    share=st.floats(0.001, 1),
    ratio=st.none() | st.floats(0, 1e9),
    trend=st.sampled_from(Trend),
    stage=st.text(max_size=5),
    continuing=st.booleans(),
)


@given(patterns, st.sampled_from(sorted(RELATIONS)), st.integers(0, 2**62), st.booleans())
def test_counts_compare_as_in_python(pattern: Pattern, relation: str, bound: int, auto_fix: bool) -> None:
    rule = compile_rule(f"manager.critical_count {relation} {bound} && auto_fix", SCOPE)
    expected = RELATIONS[relation](pattern.critical_count, bound) and auto_fix
    assert rule.evaluate({"manager": pattern, "auto_fix": auto_fix}) is expected


@given(patterns, st.sampled_from(["<", "<=", ">", ">="]), st.floats(0, 1e9), st.sampled_from(Trend))
def test_an_absent_number_never_fires(pattern: Pattern, relation: str, bound: float, trend: Trend) -> None:
    either = f"manager.ratio {relation} double({bound!r}) || manager.trend == {trend}"
    over = pattern.ratio is not None and RELATIONS[relation](pattern.ratio, bound)
    rule = compile_rule(either, SCOPE)
    assert rule.evaluate({"manager": pattern}) is (over or pattern.trend == trend)


@given(patterns, st.integers(-3, 3), st.sampled_from(sorted(RELATIONS)))
def test_what_is_refused_for_its_range_could_not_tell_patterns_apart(
    pattern: Pattern, bound: int, relation: str
) -> None:
    text = f"manager.critical_count {relation} {bound}"
    if faults(text, SCOPE):
        zero = pattern.model_copy(update={"critical_count": 0})
        assert evaluate(text, manager=pattern) == evaluate(text, manager=zero)


sound = st.recursive(
    st.one_of(
        st.builds(
            "manager.critical_count {} {}".format,
            st.sampled_from([">", ">=", "!=", "=="]),
            st.integers(1, 99),
        ),
        st.builds("{} <= manager.share".format, st.floats(0.01, 0.99).map(lambda number: f"{number:.3f}")),
        st.sampled_from(
            [
                "auto_fix",
                "manager.continuing == true",
                "diagnose.confidence != low",
                "manager.trend in [UP, 'DOWN']",
                "manager.ratio != null",
                "manager.samples.exists(high, high == 'a')",
                "manager.critical_count - 1 > -5",
                'manager.stage == "a && manager.nothing < 0"',
            ]
        ),
    ),
    lambda inner: st.one_of(
        inner.map("({})".format),
        inner.map("!({})".format),
        st.builds("{} && {}".format, inner, inner),
        st.builds("{}||{}".format, inner, inner),
        st.builds("({} ? {} : {})".format, inner, inner, inner),
    ),
    max_leaves=5,
)


@given(sound, patterns)
def test_sound_rules_are_never_refused_and_always_answer(text: str, pattern: Pattern) -> None:
    assert told(text) == ""
    answer = evaluate(text, manager=pattern, diagnose=Diagnosis(confidence=Confidence.low), auto_fix=True)
    assert isinstance(answer, bool)


@given(st.text(alphabet="manager.diagnose()[]{}'\"!=<>&|?:,+-*/ 019\\\n_é", max_size=40))
def test_no_text_breaks_the_checker(text: str) -> None:
    for fault in faults(text, SCOPE):
        assert fault.message
        assert fault.remedy
