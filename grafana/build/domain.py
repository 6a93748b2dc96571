"""Domain deep dive, for a domain's owners: its manager, its specialists, and what passes between them."""

from __future__ import annotations

from grafana_foundation_sdk.builders import bargauge, stat, table, timeseries
from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.models.dashboard import DynamicConfigValue

from grafana.build import panels, promql, sql
from grafana.build.sql import Dialect

MINE = 'domain="$domain"'
ROLE = ("skill_role",)
EXECUTIONS = f"aspora_domain_executions_total{{{MINE}}}"
COST = f"aspora_domain_cost_dollars{{{MINE}}}"
MANAGER = f'{MINE}, skill_role="manager"'
RUNS = promql.gained(f"aspora_domain_executions_total{{{MANAGER}}}")
NO_ROUTING = "[no routing]"


def build(dialect: Dialect) -> Dashboard:
    """The dashboard; satisfaction and the list of executions come from the record."""
    board = (
        panels.dashboard(
            "aspora-domain",
            "Aspora: domain deep dive",
            "For a domain's owners: executions, cost, latency and satisfaction of the last 24 hours, and "
            "routing.",
            [
                ("Platform overview", f"{panels.PLATFORM}?{panels.KEPT}"),
                ("Skill performance", f"{panels.SKILL}?{panels.KEPT}"),
            ],
        )
        .with_variable(panels.chosen("domain", "Domain", "label_values(aspora_skill_info, domain)"))
        .with_variable(panels.prefect())
    )
    for panel in (*_numbers(dialect), *_manager(), _skills(), _routing(), _costs()):
        board.with_panel(panel)
    board.with_row(panels.row("What waits, and what was refused"))
    for panel in _waiting():
        board.with_panel(panel)
    board.with_row(panels.row("Over time"))
    for panel in _over_time():
        board.with_panel(panel)
    return board.with_panel(_recent(dialect))


def _numbers(dialect: Dialect) -> tuple[stat.Panel, ...]:
    return (
        panels.number(
            "Executions today",
            "Executions of the domain's skills that ended in the last 24 hours.",
            [
                panels.ask(promql.gained(EXECUTIONS), "all, last 24 hours", "A"),
                panels.ask(promql.gained(EXECUTIONS, by=ROLE), "{{skill_role}}", "B"),
            ],
            width=6,
            decimals=0,
        ),
        panels.number(
            "Cost today",
            "What language models cost the domain in the last 24 hours, in dollars.",
            [
                panels.ask(promql.gained(COST), "all, last 24 hours", "A"),
                panels.ask(promql.gained(COST, by=ROLE), "{{skill_role}}", "B"),
            ],
            width=6,
            unit="currencyUSD",
            decimals=3,
        ),
        panels.number(
            "Success rate",
            "Share of the executions of the last 24 hours that succeeded and that no user corrected.",
            [panels.ask(f"max(aspora_success_rate{{{MINE}}})", "last 24 hours")],
            width=4,
            unit="percentunit",
            decimals=1,
            steps=panels.RATE,
        ),
        panels.number(
            "User satisfaction",
            "Share of the executions of the last 24 hours that no user corrected.",
            [sql.Query(dialect, sql.satisfaction(dialect))],
            width=8,
            unit="percentunit",
            decimals=1,
            steps=panels.RATE,
            source=sql.source(dialect),
            rows=True,
        ),
    )


def _manager() -> tuple[stat.Panel, ...]:
    histogram = "aspora_domain_latency_seconds"
    seconds = promql.gained(f"{histogram}_sum{{{MANAGER}}}")
    count = promql.gained(f"{histogram}_count{{{MANAGER}}}")
    runs = promql.gained("aspora_skill_executions_total", by=("skill_name",))
    return (
        panels.number(
            "Manager: executions",
            "How often the domain's manager ran in the last 24 hours.",
            [panels.ask(promql.of_domain(runs, "manager"), "{{skill_name}}, last 24 hours")],
            width=6,
            decimals=0,
        ),
        panels.number(
            "Manager: average latency",
            "Of its executions of the last 24 hours.",
            [panels.ask(promql.ratio(seconds, count), "last 24 hours")],
            width=6,
            unit="s",
            decimals=1,
        ),
        panels.number(
            "Manager: cost",
            "Of its executions of the last 24 hours, in dollars.",
            [panels.ask(promql.gained(f"aspora_domain_cost_dollars{{{MANAGER}}}"), "last 24 hours")],
            width=6,
            unit="currencyUSD",
            decimals=3,
        ),
        panels.number(
            "Routing: average specialists per run",
            "How many specialists the manager routed to in the last 24 hours, for each time that it ran.",
            [panels.ask(promql.ratio(_routed(), RUNS), "last 24 hours")],
            width=6,
            decimals=2,
        ),
    )


def _skills() -> table.Panel:
    by = ("skill_name",)
    count = promql.gained("aspora_skill_executions_total", by=by)
    seconds = promql.gained("aspora_skill_latency_seconds_sum", by=by)
    cost = promql.gained("aspora_skill_cost_dollars", by=by)
    satisfied = "max by (skill_name) (aspora_skill_user_satisfaction)"
    asked = (count, promql.ratio(seconds, count), cost, satisfied)
    return panels.rows(
        "Skills (24 h)",
        "The manager and the specialists in the last 24 hours. A skill's name leads to its dashboard.",
        [panels.ask(promql.of_domain(each), ref=ref) for ref, each in zip("ABCD", asked, strict=True)],
        {
            "skill_role": "Role",
            "skill_name": "Skill",
            "Value #A": "Executions",
            "Value #B": "Average latency",
            "Value #C": "Cost",
            "Value #D": "Satisfaction",
        },
        width=14,
        height=7,
        fields={
            "Skill": panels.linked(panels.TO_SKILL),
            "Executions": {"decimals": 0},
            "Average latency": {"unit": "s", "decimals": 1},
            "Cost": {"unit": "currencyUSD", "decimals": 3},
            "Satisfaction": {"unit": "percentunit", "decimals": 1, **panels.coloured(panels.RATE)},
        },
        sort="Executions",
    )


def _routing() -> table.Panel:
    by = ("from_skill", "to_skill")
    decisions = promql.gained("aspora_skill_routing_decisions", promql.WEEK, by)
    return panels.rows(
        "Routing flow (last 7 days)",
        f"Who routed to whom, and how often. {NO_ROUTING}: patterns were found and no rule matched.",
        [panels.ask(_from_domain(decisions))],
        {"from_skill": "From", "to_skill": "To", "Value": "Times"},
        width=10,
        height=7,
        fields={
            "From": panels.linked(panels.TO_SKILL),
            "To": {**panels.mapped(none=NO_ROUTING), **panels.linked(panels.TO_SKILL)},
            "Times": {"decimals": 0},
        },
        sort="Times",
    )


def _costs() -> bargauge.Panel:
    return panels.bars(
        "Cost by role and model (24 h)",
        "What each model cost in the last 24 hours, in dollars.",
        [panels.ask(promql.gained(COST, by=("skill_role", "model")), "{{skill_role}}: {{model}}")],
        width=24,
        height=5,
        unit="currencyUSD",
        decimals=3,
    )


def _waiting() -> tuple[stat.Panel | bargauge.Panel, ...]:
    used = f"max(aspora_domain_cost_today_dollars{{{MINE}}})"
    budget = f"max(aspora_domain_daily_budget_dollars{{{MINE}}})"
    decisions = f"aspora_approval_decisions_total{{{MINE}}}"
    refusals = f"aspora_guardrail_refusals_total{{{MINE}}}"
    return (
        panels.number(
            "Approvals waiting",
            "The domain's proposed fixes that wait for a person, and how long the oldest has waited.",
            [
                panels.ask(f"max(aspora_approvals_waiting{{{MINE}}})", "waiting"),
                panels.ask(
                    f"max(aspora_approval_oldest_waiting_seconds{{{MINE}}})", "the oldest, for", "oldest"
                ),
            ],
            width=6,
            height=6,
            steps=panels.FEW,
        ).override_by_query("oldest", [DynamicConfigValue("unit", "s")]),
        panels.bars(
            "Decisions on fixes (7 days)",
            "How the domain's proposed fixes were decided in the last seven days.",
            [panels.ask(promql.gained(decisions, promql.WEEK, ("decision",)), "{{decision}}")],
            width=6,
        ),
        panels.bars(
            "Refused by guardrails (24 h)",
            "Runs and executions of the domain that each guardrail refused in the last 24 hours.",
            [panels.ask(promql.gained(refusals, by=("guardrail",)), "{{guardrail}}")],
            width=6,
            steps=panels.FEW,
        ),
        panels.number(
            "Budget used today",
            "Share of the domain's daily budget that is spent or reserved since midnight UTC.",
            [panels.ask(f"{used} / {budget}", "since midnight UTC")],
            width=6,
            height=6,
            unit="percentunit",
            decimals=1,
            steps=panels.USED,
            empty="no budget set",
        ),
    )


def _over_time() -> tuple[timeseries.Panel, ...]:
    histogram = f"aspora_domain_latency_seconds_bucket{{{MINE}}}"
    return (
        panels.graph(
            "Executions over time",
            "Executions that ended in each step of the graph.",
            [panels.ask_over_time(promql.step(EXECUTIONS, ROLE), "{{skill_role}}")],
            width=8,
            stacked=True,
        ),
        panels.graph(
            "Cost over time",
            "What language models cost in each step of the graph.",
            [panels.ask_over_time(promql.step(COST, ("model",)), "{{model}}")],
            width=8,
            unit="currencyUSD",
            stacked=True,
        ),
        panels.graph(
            "Latency (p95) over time",
            "At each moment, of the executions that ended in the 24 hours before it; estimated from a "
            "histogram.",
            [panels.ask_over_time(promql.quantile(0.95, histogram, by=ROLE), "{{skill_role}}")],
            width=8,
            unit="s",
        ),
    )


def _recent(dialect: Dialect) -> table.Panel:
    columns = {
        "started": "Started",
        "execution_id": "Execution",
        "skill_name": "Skill",
        "outcome": "Outcome",
        "latency_seconds": "Latency",
        "cost_dollars": "Cost",
        "correction": "Corrected to",
        "page": "page",
    }
    asked = "skill_name, outcome, latency_seconds, cost_dollars"
    where = "domain = ${domain:sqlstring}"
    return panels.rows(
        "Recent executions",
        "The newest executions of the dashboard's time range. An execution's id leads to its detail page in "
        "Prefect, as its artifact; `aspora show ID` prints the same page.",
        [sql.Query(dialect, sql.recent(dialect, where, asked))],
        columns,
        width=24,
        height=10,
        fields={**executions(), "Skill": panels.linked(panels.TO_SKILL)},
        source=sql.source(dialect),
    )


def executions() -> dict[str, dict[str, object]]:
    """How the columns of a list of executions look."""
    return {
        "Started": {"unit": "dateTimeAsIso", "custom.width": 170},
        "Execution": {**panels.linked(panels.TO_PAGE, blank=True), "custom.width": 330},
        "Outcome": {
            "mappings": [
                {
                    "type": "value",
                    "options": {
                        outcome: {"text": text, "color": colour, "index": index}
                        for index, (outcome, text, colour) in enumerate(OUTCOMES)
                    },
                }
            ],
            "custom.cellOptions": {"type": "color-text"},
        },
        "Latency": {"unit": "s", "decimals": 2},
        "Cost": {"unit": "currencyUSD", "decimals": 4},
        "page": panels.HIDDEN,
    }


OUTCOMES = (
    ("success", "success", panels.GOOD),
    ("user_corrected", "corrected by a user", panels.WARNING),
    ("partial", "partial", panels.WARNING),
    ("error", "error", panels.BAD),
    ("refused", "refused", panels.NEUTRAL),
    ("rejected", "rejected", panels.NEUTRAL),
    ("expired", "expired", panels.NEUTRAL),
)


def _routed() -> str:
    """How many specialists the domain's manager routed to."""
    made = 'aspora_skill_routing_decisions{to_skill!="none"}'
    return f"sum({_from_domain(promql.gained(made, by=('from_skill',)), 'manager')})"


def _from_domain(expression: str, role: str = "") -> str:
    """Routing decisions of the domain's skills alone."""
    only = f', skill_role="{role}"' if role else ""
    skills = f"max by (skill_name) (aspora_skill_info{{{MINE}{only}}})"
    named = f'label_replace({skills}, "from_skill", "$1", "skill_name", "(.*)")'
    return f"({expression}) * on (from_skill) group_left () {named}"
