"""Platform overview, for leadership: is it working, what does it cost, who waits for whom."""

from __future__ import annotations

from grafana_foundation_sdk.builders import bargauge, stat, table, timeseries
from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.models.dashboard import DynamicConfigValue

from grafana.build import panels, promql
from grafana.build.sql import Dialect

EXECUTIONS = "aspora_executions_total"
COST = "aspora_cost_total_dollars"
LAST_DAY = "last 24 hours"
VERSUS = "Compared with the average of the seven UTC days before, of those that Prometheus has seen."


def build(_: Dialect) -> Dashboard:
    """The dashboard; it asks Prometheus alone."""
    board = panels.dashboard(
        "aspora-platform",
        "Aspora: platform overview",
        "For leadership: executions, cost, success and domains of the last 24 hours, and what waits for "
        "people.",
        [
            ("Domain deep dive", f"{panels.DOMAIN}?{panels.KEPT}"),
            ("Skill performance", f"{panels.SKILL}?{panels.KEPT}"),
        ],
    ).with_variable(panels.prefect())
    for panel in (*_numbers(), *_domains()):
        board.with_panel(panel)
    board.with_row(panels.row("What waits, and what was refused"))
    for panel in _waiting():
        board.with_panel(panel)
    board.with_row(panels.row("Over time"))
    for panel in _over_time():
        board.with_panel(panel)
    return board


def _numbers() -> tuple[stat.Panel, ...]:
    executions, cost = promql.gained(EXECUTIONS), promql.gained(COST)
    rate, active = promql.success_rate(), promql.active()
    return (
        panels.compared(
            panels.number(
                "Executions today",
                f"Skill executions that ended in the last 24 hours. {VERSUS}",
                [panels.ask(executions, LAST_DAY)],
                width=6,
                decimals=0,
            ),
            promql.change(executions, promql.before(promql.daily(EXECUTIONS))),
            more="blue",
            less="blue",
        ),
        panels.compared(
            panels.number(
                "Cost today",
                f"What language models cost in the last 24 hours, in dollars. {VERSUS}",
                [panels.ask(cost, LAST_DAY)],
                width=6,
                unit="currencyUSD",
                decimals=2,
            ),
            promql.change(cost, promql.before(promql.daily(COST))),
            more="orange",
            less="green",
        ),
        panels.compared(
            panels.number(
                "Success rate",
                "Share of the executions of the last 24 hours that succeeded and that no user corrected. "
                "What guardrails refused and people rejected is left out. The change is in percentage "
                "points, against the average of the seven UTC days before.",
                [panels.ask(rate, LAST_DAY)],
                width=6,
                unit="percentunit",
                decimals=1,
                steps=panels.RATE,
            ),
            f"100 * ({rate} - {promql.before(rate)})",
            more="green",
            less="red",
            unit="suffix:points",
        ),
        panels.compared(
            panels.number(
                "Active domains",
                "Domains with an execution in the last 24 hours. The change is in domains, against the "
                "average of the seven days before.",
                [panels.ask(active, LAST_DAY)],
                width=6,
                decimals=0,
            ),
            f"{active} - {promql.before(active)}",
            more="blue",
            less="blue",
            unit="suffix:domains",
        ),
    )


def _domains() -> tuple[table.Panel, ...]:
    by = ("domain",)
    queries = [
        panels.ask(promql.gained(EXECUTIONS, by=by), ref="A"),
        panels.ask(promql.gained(COST, by=by), ref="B"),
        panels.ask("max by (domain) (aspora_success_rate)", ref="C"),
    ]
    columns = {
        "domain": "Domain",
        "Value #A": "Executions",
        "Value #B": "Cost",
        "Value #C": "Success rate",
    }
    fields = {
        "Domain": panels.linked(panels.TO_DOMAIN),
        "Executions": {"decimals": 0},
        "Cost": {"unit": "currencyUSD", "decimals": 2},
        "Success rate": {"unit": "percentunit", "decimals": 1, **panels.coloured(panels.RATE)},
    }
    return tuple(
        panels.rows(
            f"Top domains by {word} (24 h)",
            f"The five domains with the most {what} in the last 24 hours. A domain's name leads to its "
            "dashboard.",
            queries,
            columns,
            width=12,
            height=7,
            fields=fields,
            sort=heading,
            limit=5,
        )
        for word, what, heading in (("volume", "executions", "Executions"), ("cost", "cost", "Cost"))
    )


def _waiting() -> tuple[stat.Panel | bargauge.Panel | table.Panel, ...]:
    refusals = promql.gained("aspora_guardrail_refusals_total", by=("domain", "guardrail"))
    used = "max by (domain) (aspora_domain_cost_today_dollars)"
    budget = "max by (domain) (aspora_domain_daily_budget_dollars)"
    return (
        panels.number(
            "Approvals waiting",
            "Proposed fixes that wait for a person, and how long the oldest has waited. `aspora approvals` "
            "lists them.",
            [
                panels.ask(f"sum({promql.once('aspora_approvals_waiting')})", "waiting"),
                panels.ask("max(aspora_approval_oldest_waiting_seconds)", "the oldest, for", "oldest"),
            ],
            width=6,
            steps=panels.FEW,
        ).override_by_query("oldest", [DynamicConfigValue("unit", "s")]),
        panels.number(
            "Inbox",
            "Triggers that wait for their run: pending ones start at once, deferred ones are tried again "
            "later. `aspora triggers --pending` lists them.",
            [panels.ask("max by (state) (aspora_inbox_triggers)", "{{state}}")],
            width=6,
        ),
        panels.number(
            "Oldest pending trigger",
            "For how long the oldest pending trigger has waited; more than a minute or two means that runs "
            "don't start.",
            [panels.ask("max(aspora_inbox_oldest_pending_seconds)", "waits for")],
            width=6,
            unit="s",
            steps=((None, panels.GOOD), (120, panels.WARNING), (600, panels.BAD)),
        ),
        panels.number(
            "Traces not yet delivered",
            "Executions and corrections that Langfuse or Opik have yet to confirm. Only destinations that "
            "are configured are shown.",
            [panels.ask("max by (destination) (aspora_telemetry_outbox_pending)", "{{destination}}")],
            width=6,
            empty="none configured",
        ),
        panels.bars(
            "Budget used today",
            "Share of each domain's daily budget that is spent or reserved since midnight UTC.",
            [panels.ask(f"{used} / {budget}", "{{domain}}")],
            width=12,
            unit="percentunit",
            steps=panels.USED,
            most=1,
        ),
        panels.rows(
            "Refused by guardrails (24 h)",
            "Runs and executions that a guardrail refused in the last 24 hours.",
            [panels.ask(f"{refusals} > 0")],
            {"domain": "Domain", "guardrail": "Guardrail", "Value": "Refusals"},
            width=12,
            height=6,
            fields={"Domain": panels.linked(panels.TO_DOMAIN), "Refusals": {"decimals": 0}},
            sort="Refusals",
        ),
    )


def _over_time() -> tuple[timeseries.Panel, ...]:
    to_domain = (
        "Domain",
        f"{panels.DOMAIN}?var-domain=${{__field.labels.domain:percentencode}}&{panels.KEPT}",
    )
    each = "in each step of the graph: an hour over a day, three hours over a week"
    return (
        panels.graph(
            "Executions over time",
            f"Executions that ended {each}.",
            [panels.ask_over_time(promql.step(EXECUTIONS, ("domain",)), "{{domain}}")],
            width=12,
            stacked=True,
            link=to_domain,
        ),
        panels.graph(
            "Cost over time",
            f"What language models cost {each}, in dollars.",
            [panels.ask_over_time(promql.step(COST, ("domain",)), "{{domain}}")],
            width=12,
            unit="currencyUSD",
            stacked=True,
            link=to_domain,
        ),
        panels.graph(
            "Success rate over time",
            "At each moment, over the 24 hours before it.",
            [panels.ask_over_time("max by (domain) (aspora_success_rate)", "{{domain}}")],
            width=12,
            unit="percentunit",
            link=to_domain,
        ).max(1),
        panels.graph(
            "Corrections by users over time",
            f"Corrections that came in {each}.",
            [
                panels.ask_over_time(
                    promql.step("aspora_feedback_corrections_total", ("domain",)), "{{domain}}"
                )
            ],
            width=12,
            stacked=True,
            link=to_domain,
        ),
    )
