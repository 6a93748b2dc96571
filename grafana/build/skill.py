"""Skill performance, for engineers: how one skill does, with which tools, and what users corrected."""

from __future__ import annotations

from grafana_foundation_sdk.builders import stat, table, timeseries
from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.models.dashboard import DynamicConfigValue

from grafana.build import panels, promql, sql
from grafana.build.domain import NO_ROUTING, OUTCOMES, executions
from grafana.build.sql import Dialect

MINE = 'skill_name="$skill"'
EXECUTIONS = f"aspora_skill_executions_total{{{MINE}}}"
COST = f"aspora_skill_cost_dollars{{{MINE}}}"
BUCKETS = f"aspora_skill_latency_seconds_bucket{{{MINE}}}"
LAST_DAY = "last 24 hours"
SIDES = ("from_skill", "to_skill")


def build(dialect: Dialect) -> Dashboard:
    """The dashboard; what spans 30 days, tools and corrections come from the record."""
    board = (
        panels.dashboard(
            "aspora-skill",
            "Aspora: skill performance",
            "For engineers: one skill's executions, success, latency, cost, tools, and what users corrected.",
            [
                ("Platform overview", f"{panels.PLATFORM}?{panels.KEPT}"),
                ("Domain deep dive", f"{panels.DOMAIN}?var-domain=${{domain:percentencode}}&{panels.KEPT}"),
            ],
        )
        .with_variable(panels.chosen("skill", "Skill", "label_values(aspora_skill_info, skill_name)"))
        .with_variable(
            panels.chosen(
                "domain", "Domain", f"label_values(aspora_skill_info{{{MINE}}}, domain)", hidden=True
            )
        )
        .with_variable(panels.prefect())
    )
    for panel in (*_numbers(dialect), *_feedback(dialect), *_recent(dialect), *_over_time()):
        board.with_panel(panel)
    return board


def _numbers(dialect: Dialect) -> tuple[stat.Panel, ...]:
    record = sql.source(dialect)
    today = promql.gained(EXECUTIONS)
    return (
        panels.number(
            "Executions today",
            "Executions of the skill that ended in the last 24 hours.",
            [panels.ask(today, LAST_DAY)],
            width=4,
            decimals=0,
        ),
        panels.number(
            "Executions, 30 days",
            "Executions of the skill that started in the last 30 days, from the record: Prometheus keeps 15 "
            "days unless told otherwise.",
            [sql.Query(dialect, sql.executions(dialect, sql.MONTH))],
            width=4,
            decimals=0,
            source=record,
        ),
        panels.number(
            "Success rate",
            "Share of the executions of the last 24 hours that succeeded and that no user corrected, and "
            "how many were corrected. What guardrails refused and people rejected is left out.",
            [sql.Query(dialect, sql.success(dialect))],
            width=4,
            unit="percentunit",
            decimals=1,
            steps=panels.RATE,
            source=record,
            rows=True,
        ),
        panels.number(
            "Latency",
            "Median and 95th percentile of the last 24 hours, estimated from a histogram, without the time "
            "that people took to decide.",
            [
                panels.ask(promql.quantile(0.5, BUCKETS), "p50", "A"),
                panels.ask(promql.quantile(0.95, BUCKETS), "p95", "B"),
            ],
            width=4,
            unit="s",
            decimals=1,
        ),
        panels.number(
            "Average cost",
            "Of an execution of the last 24 hours, in dollars.",
            [panels.ask(promql.ratio(promql.gained(COST), today), "per execution")],
            width=4,
            unit="currencyUSD",
            decimals=4,
        ),
        panels.number(
            "Most used tool",
            "The tool that the most executions of the last 30 days called, and the share of them that did.",
            [sql.Query(dialect, sql.tools(dialect, only=1))],
            width=4,
            unit="percentunit",
            decimals=0,
            source=record,
            rows=True,
            empty="none",
        ),
    )


def _feedback(dialect: Dialect) -> tuple[table.Panel, ...]:
    record = sql.source(dialect)
    share = {"unit": "percentunit", "decimals": 0}
    passed = (
        promql.gained(f'aspora_skill_routing_decisions{{{side}="$skill"}}', promql.WEEK, SIDES)
        for side in SIDES
    )
    return (
        panels.rows(
            "Common mistakes (30 days)",
            "What users said was the actual root cause. The same said in other words is a line of its own "
            "here; `aspora report skill` groups it.",
            [sql.Query(dialect, sql.mistakes(dialect))],
            {"correction": "Actual root cause", "times": "Times", "started": "Last"},
            width=9,
            height=7,
            fields={
                "Times": {"decimals": 0, "custom.width": 70},
                "Last": {"unit": "dateTimeAsIso", "custom.width": 170},
            },
            source=record,
            empty="no corrections",
        ),
        panels.rows(
            "Tools (30 days)",
            "Which share of the skill's executions called each tool, and how the calls went.",
            [sql.Query(dialect, sql.tools(dialect))],
            {
                "tool": "Tool",
                "share": "Executions",
                "calls": "Calls",
                "errors": "Errors",
                "seconds": "Average time",
            },
            width=9,
            height=7,
            fields={
                "Executions": share,
                "Errors": panels.coloured(panels.FEW),
                "Average time": {"unit": "s", "decimals": 2},
            },
            source=record,
        ),
        panels.rows(
            "Routing (7 days)",
            f"From whom the skill's work came, and to whom it went. {NO_ROUTING}: patterns were found and "
            "no rule matched.",
            [panels.ask(" or ".join(passed))],
            {"from_skill": "From", "to_skill": "To", "Value": "Times"},
            width=6,
            height=7,
            fields={
                "From": panels.linked(panels.TO_SKILL),
                "To": {**panels.mapped(none=NO_ROUTING), **panels.linked(panels.TO_SKILL)},
                "Times": {"decimals": 0, "custom.width": 70},
            },
            sort="Times",
        ),
    )


def _recent(dialect: Dialect) -> tuple[table.Panel, ...]:
    columns = {
        "started": "Started",
        "execution_id": "Execution",
        "outcome": "Outcome",
        "manager_skill": "Routed by",
        "latency_seconds": "Latency",
        "cost_dollars": "Cost",
        "correction": "Corrected to",
        "page": "page",
    }
    asked = "outcome, manager_skill, latency_seconds, cost_dollars"
    return (
        panels.rows(
            "Recent executions",
            "The newest executions of the dashboard's time range. An execution's id leads to its detail "
            "page in Prefect, as its artifact; `aspora show ID` prints the same page.",
            [sql.Query(dialect, sql.recent(dialect, "skill_name = ${skill:sqlstring}", asked))],
            columns,
            width=24,
            height=10,
            fields=executions(),
            source=sql.source(dialect),
        ),
    )


def _over_time() -> tuple[timeseries.Panel, ...]:
    outcomes = panels.graph(
        "Executions by outcome over time",
        "Executions that ended in each step of the graph. A later correction by a user changes no outcome "
        "here.",
        [panels.ask_over_time(promql.step(EXECUTIONS, ("outcome",)), "{{outcome}}")],
        width=8,
        stacked=True,
    )
    for outcome, _, colour in OUTCOMES:
        fixed = {"mode": "fixed", "fixedColor": colour}
        outcomes.override_by_name(outcome, [DynamicConfigValue("color", fixed)])
    return (
        outcomes,
        panels.graph(
            "Latency over time",
            "Median and 95th percentile at each moment, of the executions that ended in the 24 hours before "
            "it. Exemplars lead to the executions' traces in Langfuse, where that is configured.",
            [
                panels.ask_over_time(promql.quantile(0.5, BUCKETS), "p50", "A"),
                panels.ask_over_time(promql.quantile(0.95, BUCKETS), "p95", "B").exemplar(True),
            ],
            width=8,
            unit="s",
        ),
        panels.graph(
            "User satisfaction over time",
            "Share of executions that no user corrected, at each moment over the 24 hours before it.",
            [
                panels.ask_over_time(
                    f"max by (skill_name) (aspora_skill_user_satisfaction{{{MINE}}})", "{{skill_name}}"
                )
            ],
            width=8,
            unit="percentunit",
        ).max(1),
    )
