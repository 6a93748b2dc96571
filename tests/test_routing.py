"""Which specialist runs next: the config's rules over patterns and findings."""

from __future__ import annotations

from typing import Any

import pytest

from blocks.config import Config, Domain
from flows.ecm import DOMAIN
from tasks.routing import Router
from tests.fix_world import World, new_api, new_world, run  # noqa: F401

PATTERN: dict[str, Any] = {
    "stuck_at": "lulu", "count": 40, "critical_count": 12, "trend": "UP", "trend_ratio": None,
    "oldest_age_hours": 9.0, "amount_at_risk_usd": 100.0, "continuing": False, "count_change": None,
    "headline": "", "route_to": None,
}  # fmt: skip
FOUND: dict[str, Any] = {
    "stuck_at": "lulu", "root_cause": "too fast", "evidence": [], "recommended_fix": "slow down",
    "fix_action": "retry_orders", "runbook": None, "confidence": "high", "ruled_out": [],
    "dropped_evidence": 0,
}  # fmt: skip


def router(
    *rules: tuple[str, str], auto_fix: bool = True, actions: tuple[str, ...] = ("retry_orders",)
) -> Router:
    """A router over these rules."""
    skills = [("ecm-triage", "manager"), ("ecm-diagnose", "specialist"), ("ecm-resolve", "specialist")]
    settings = Domain.model_validate(
        {
            "module": "flows.ecm",
            "auto_fix": auto_fix,
            "skills": [{"name": name, "role": role, "model": "m"} for name, role in skills],
            "routing": [{"when": when, "route_to": to} for when, to in rules],
            "actions": [{"name": name, "url": "https://shop.test/{order_id}"} for name in actions],
        }
    )
    return Router(settings, DOMAIN)


def after_manager(*rules: tuple[str, str], **pattern: Any) -> list[tuple[str, str]]:
    routes = router(*rules).after_manager({**PATTERN, **pattern})
    return [(route.to_skill, route.when) for route in routes]


def after_diagnosis(made: Router, **found: Any) -> list[str]:
    outputs = {"manager": PATTERN, "ecm-diagnose": {**FOUND, **found}}
    return [route.to_skill for route in made.after("ecm-diagnose", outputs)]


def test_every_rule_that_holds_leads_on_and_the_first_names_the_route() -> None:
    """In the config's order; a specialist once, by the first rule that leads to it."""
    assert after_manager(
        ("manager.trend == UP", "ecm-diagnose"),
        ("manager.critical_count >= 100", "ecm-resolve"),
        ("manager.critical_count >= 10", "ecm-diagnose"),
        ("manager.count > 0", "ecm-resolve"),
    ) == [("ecm-diagnose", "manager.trend == UP"), ("ecm-resolve", "manager.count > 0")]


def test_no_rule_holds() -> None:
    assert after_manager(("manager.critical_count >= 10", "ecm-diagnose"), critical_count=9) == []


def test_an_absent_number_fires_no_rule() -> None:
    rule = ("manager.trend_ratio > 2.0 || manager.count_change > 0", "ecm-diagnose")
    assert after_manager(rule) == []
    assert after_manager(rule, trend_ratio=2.5) == [("ecm-diagnose", rule[0])]


def test_rules_wait_for_what_they_name() -> None:
    """The manager's rules do not fire again after a specialist, and a specialist's not before it."""
    made = router(("manager.count > 0", "ecm-diagnose"), ("diagnose.confidence == high", "ecm-resolve"))
    assert [route.to_skill for route in made.after_manager(PATTERN)] == ["ecm-diagnose"]
    assert after_diagnosis(made) == ["ecm-resolve"]
    assert after_diagnosis(made, confidence="medium") == []


def test_a_rule_may_look_at_both() -> None:
    made = router(("diagnose.confidence == high && manager.critical_count >= 10", "ecm-resolve"))
    assert made.after_manager(PATTERN) == []
    assert after_diagnosis(made) == ["ecm-resolve"]


RULE = ("diagnose.confidence == high && auto_fix", "ecm-resolve")


@pytest.mark.parametrize(
    ("made", "action", "routes"),
    [
        (router(RULE), "retry_orders", ["ecm-resolve"]),
        (router(RULE), "drop_database", []),
        (router(RULE), None, []),
        (router(RULE, auto_fix=False), "retry_orders", []),
        (router(RULE, actions=()), "retry_orders", []),
    ],
)
def test_auto_fix_needs_the_domains_leave_and_an_allowed_action(
    made: Router, action: str | None, routes: list[str]
) -> None:
    assert after_diagnosis(made, fix_action=action) == routes


@pytest.mark.parametrize(("auto_fix", "routes"), [(True, ["ecm-resolve"]), (False, [])])
def test_auto_fix_right_after_the_manager(auto_fix: bool, routes: list[str]) -> None:
    made = router(("manager.count > 0 && auto_fix", "ecm-resolve"), auto_fix=auto_fix)
    assert [route.to_skill for route in made.after_manager(PATTERN)] == routes


async def test_patterns_that_no_rule_takes_are_handed_to_none(world: World) -> None:
    world.domain["routing"] = [{"when": "manager.count >= 3", "route_to": "ecm-resolve"}]
    world.write()
    world.fill(["B1"], stage="fx")
    result = await run()
    assert {(each["pattern"], each["to"]) for each in result["handoffs"]} == {
        ("lulu", "ecm-resolve"),
        ("fx", "none"),
    }
    patterns = {each["stuck_at"]: each["route_to"] for each in result["executions"][0]["output"]["patterns"]}
    assert patterns == {"lulu": "ecm-resolve", "fx": None}


async def test_a_specialist_works_once_on_a_pattern(world: World) -> None:
    """Two ways lead to the resolution; it runs once."""
    world.domain["routing"] = [
        {"when": "manager.count >= 1", "route_to": "ecm-resolve"},
        {"when": "manager.count >= 1", "route_to": "ecm-diagnose"},
        {"when": "diagnose.confidence != high", "route_to": "ecm-resolve"},
    ]
    world.write()
    result = await run()
    skills = sorted(each["skill"] for each in result["executions"])
    assert skills == ["ecm-diagnose", "ecm-resolve", "ecm-triage"]


def test_config_has_the_routers_sections() -> None:
    assert Config.model_fields["domains"].is_required()
