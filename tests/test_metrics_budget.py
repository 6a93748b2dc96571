"""A budget that ends in the middle of a run: what it refuses is counted, and money is told as it is spent."""

import asyncio

import pytest

from blocks.database import Database
from tests.model_world import LOGS, world  # noqa: F401
from tests.monitored import gateway, hasty_rules
from tests.prometheus import Prometheus
from tests.scraped import every, of, samples, written
from tests.test_model_loop import calls


def scrape(world):  # noqa: F811
    database = Database(f"sqlite:///{world.home / 'aspora.db'}")
    try:
        return samples(written(database))
    finally:
        database.close()


def refusals(found):
    return {
        each["guardrail"]: value
        for each, value in every(found, "aspora_guardrail_refusals_total")
        if value and each["domain"] == "ecm"
    }


async def test_the_days_budget_ends_in_the_middle_and_before_the_first_turn(world):  # noqa: F811
    """Money is reserved in advance: the budget is never passed, and not even reached."""
    world.guardrails = {"budget": "$0.30/day"}
    world.server.script(then=calls(LOGS, input_tokens=20_000, output_tokens=100))
    first = await world.skill(run_id="run-1")
    found = scrape(world)
    assert (first.outcome, refusals(found)) == ("partial", {"budget": 1})
    assert of(found, "aspora_domain_cost_today_dollars", domain="ecm") == pytest.approx(
        first.cost_micro / 1e6
    )
    assert 0 < first.cost_micro < 300_000
    second = await world.skill(run_id="run-2")
    assert (second.outcome, refusals(scrape(world))) == ("refused", {"budget": 2})


@pytest.mark.parametrize("limits", [{"limits": {"budget": "$0.20"}}, {"guardrails": {"run_budget": "$0.20"}}])
async def test_the_limit_of_one_execution_or_run_is_no_days_budget(world, limits):  # noqa: F811
    for name, value in limits.items():
        setattr(world, name, value)
    world.server.script(then=calls(LOGS, input_tokens=20_000, output_tokens=100))
    row = await world.skill()
    assert (row.outcome, refusals(scrape(world))) == ("partial", {})


@pytest.mark.full
def test_a_real_prometheus_says_that_the_budget_ended(world, tmp_path):  # noqa: F811
    """Spending that is refused fires the alert of the document, whose `for` is shortened here."""
    world.guardrails = {"budget": "$0.30/day"}
    world.write()
    world.server.script(then=calls(LOGS, input_tokens=20_000, output_tokens=100))
    rules = hasty_rules(tmp_path / "rules")
    with gateway() as url, Prometheus(tmp_path / "prometheus", f"{url}/metrics", rules) as prometheus:
        assert asyncio.run(world.skill()).outcome == "partial"
        [alert] = prometheus.until(
            lambda: [
                each
                for each in prometheus.rules()["DomainBudgetExceeded"]["alerts"]
                if each["state"] == "firing"
            ]
        )
        assert alert["labels"]["domain"] == "ecm"
        assert alert["annotations"]["summary"] == "ECM domain exceeded $0.3 daily budget"
        assert prometheus.value("aspora:domain_budget_used:ratio") < 1
