"""The platform's metrics, made of a reading of the record.

What the config knows is told with 0 before anything happened: a counter that begins at 1 never rose, as far
as Prometheus can tell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, get_args

from prometheus_client.core import Metric

from blocks.config import Config, Skill
from blocks.model import Provider
from blocks.schema import OUTCOMES
from tasks import handoffs, tally
from tasks.admission import Guardrail
from tasks.reading import INBOX, Open, Reading
from tasks.rule_text import RuleText
from tasks.rules import bound_name
from tasks.series import Labels, histogram, shares, sums, told
from tasks.spend import domain_scope

SUCCESS = "success"
COUNTED = (SUCCESS, "partial", "error")
"""Outcomes that count in the success rate."""
ROLES = ("manager", "specialist")
DECISIONS = ("approved", "rejected", "expired", "superseded")
LATENCY = "Time from start to end of executions, without waiting for people."
_MICRO = 1_000_000


@dataclass(frozen=True)
class Known:
    """What the config knows of, and so what is told before it happens.

    Attributes:
        skills: domain, and its skill.
        routes: from skill, to skill; to `none` for each manager.
        budgets: domain → micro-dollars a day.
        offline: whether the offline model answers.
    """

    domains: tuple[str, ...]
    skills: tuple[tuple[str, Skill], ...]
    routes: tuple[Labels, ...]
    budgets: Mapping[str, int]
    offline: bool

    @property
    def scopes(self) -> list[str]:
        """The domains' scopes in `budget_days`."""
        return [domain_scope(name) for name in self.domains]

    def model(self, skill: Skill) -> str:
        """The skill's model as executions have it."""
        return "offline" if self.offline else skill.model


def known(config: Config, provider: Provider) -> Known:
    """What a config knows of."""
    return Known(
        domains=tuple(config.domains),
        skills=tuple((name, skill) for name, domain in config.domains.items() for skill in domain.skills),
        routes=tuple(dict.fromkeys(_routes(config))),
        budgets={name: domain.guardrails.budget for name, domain in config.domains.items()},
        offline=provider == "offline",
    )


def metrics(reading: Reading, of: Known) -> Iterator[Metric]:
    """All metrics of a reading."""
    yield from _of_platform(reading, of)
    yield from _of_domains(reading, of)
    yield from _of_skills(reading, of)
    yield from _of_people(reading, of)
    yield from _of_inbox(reading)
    yield from _of_outbox(reading)


def _routes(config: Config) -> Iterator[Labels]:
    """Who may route to whom: from the specialists that a rule looks at, or else from the manager."""
    for name, domain in config.domains.items():
        manager = domain.manager.name
        yield manager, handoffs.NONE
        bound = {
            bound_name(skill.name, name, manager): skill.name
            for skill in domain.skills
            if skill.role == "specialist"
        }
        for rule in domain.routing:
            named = {path.parts[0] for path in RuleText(rule.when).paths()}
            for sender in [bound[each] for each in bound if each in named] or [manager]:
                yield sender, rule.route_to


def _of_platform(reading: Reading, of: Known) -> Iterator[Metric]:
    yield told(
        "aspora_executions_total", "counter", "Ended executions of skills.", ("domain", "outcome"),
        _executions(reading, lambda row: (row.domain, row.outcome), _pairs(of.domains, OUTCOMES)),
    )  # fmt: skip
    yield told(
        "aspora_cost_total_dollars", "unknown", "What ended executions cost. Only ever rises.", ("domain",),
        _dollars(reading, lambda row: (row.domain,), _singles(of.domains)),
    )  # fmt: skip
    yield told(
        "aspora_success_rate", "gauge",
        "Share of success among success, partial and error of the last 24 hours; corrected ones are none.",
        ("domain",), shares(*_successes(reading)),
    )  # fmt: skip
    yield told(
        tally.CORRECTIONS, "counter", "Corrections by users.", ("domain",),
        _events(reading, tally.CORRECTIONS, ("domain",), _singles(of.domains)),
    )  # fmt: skip


def _of_domains(reading: Reading, of: Known) -> Iterator[Metric]:
    roles = _pairs(of.domains, ROLES)
    yield told(
        "aspora_domain_executions_total", "counter", "Ended executions, of managers and of specialists.",
        ("domain", "skill_role"), _executions(reading, lambda row: (row.domain, row.skill_role), roles),
    )  # fmt: skip
    yield histogram(
        "aspora_domain_latency_seconds", LATENCY, ("domain", "skill_role"), roles,
        (((row.domain, row.skill_role), row) for row in reading.totals),
    )  # fmt: skip
    yield told(
        "aspora_domain_cost_dollars", "unknown", "What ended executions cost, by the model they ran with.",
        ("domain", "skill_role", "model"),
        _dollars(
            reading,
            lambda row: (row.domain, row.skill_role, row.model),
            [(domain, skill.role, of.model(skill)) for domain, skill in of.skills],
        ),
    )  # fmt: skip
    today: dict[Labels, float] = {
        (name,): reading.cost_today.get(domain_scope(name), 0) / _MICRO for name in of.domains
    }
    yield told(
        "aspora_domain_cost_today_dollars", "gauge", "Spent and reserved since 00:00 UTC.", ("domain",), today
    )
    budgets: dict[Labels, float] = {(name,): micro / _MICRO for name, micro in of.budgets.items()}
    yield told(
        "aspora_domain_daily_budget_dollars", "gauge", "What may be spent on a UTC day.", ("domain",), budgets
    )


def _of_skills(reading: Reading, of: Known) -> Iterator[Metric]:
    yield told(
        "aspora_skill_executions_total", "counter", "Ended executions of a skill.",
        ("skill_name", "outcome", "skill_role"),
        _executions(
            reading,
            lambda row: (row.skill_name, row.outcome, row.skill_role),
            [(skill.name, outcome, skill.role) for _, skill in of.skills for outcome in OUTCOMES],
        ),
    )  # fmt: skip
    yield histogram(
        "aspora_skill_latency_seconds", LATENCY, ("skill_name",),
        _singles(skill.name for _, skill in of.skills), (((row.skill_name,), row) for row in reading.totals),
    )  # fmt: skip
    yield told(
        "aspora_skill_cost_dollars", "unknown", "What ended executions of a skill cost, by model.",
        ("skill_name", "model"),
        _dollars(
            reading,
            lambda row: (row.skill_name, row.model),
            [(skill.name, of.model(skill)) for _, skill in of.skills],
        ),
    )  # fmt: skip
    yield told(
        "aspora_skill_user_satisfaction", "gauge",
        "Share of the executions of the last 24 hours that nobody corrected.",
        ("skill_name",),
        shares(
            [((skill,), number) for _, skill, _, number in reading.ended],
            [((skill,), number) for _, skill, _, number in reading.corrected],
        ),
    )  # fmt: skip
    yield told(
        tally.ROUTING, "unknown", "Routing decisions; to none where a pattern was found and no rule fired.",
        ("from_skill", "to_skill"),
        _events(reading, tally.ROUTING, ("from_skill", "to_skill"), of.routes),
    )  # fmt: skip
    yield told(
        "aspora_skill_info", "gauge", "The skills of the config, to join them to their domains.",
        ("domain", "skill_name", "skill_role", "model"),
        {(domain, skill.name, skill.role, skill.model): 1 for domain, skill in of.skills},
    )  # fmt: skip


def _of_people(reading: Reading, of: Known) -> Iterator[Metric]:
    waiting = {domain: Open() for domain in of.domains} | dict(reading.approvals)
    yield told(
        "aspora_approvals_waiting", "gauge", "Proposed fixes that wait for a decision.", ("domain",),
        {(domain,): each.number for domain, each in waiting.items()},
    )  # fmt: skip
    yield told(
        "aspora_approval_oldest_waiting_seconds", "gauge",
        "How long the oldest of them has waited; 0 if none waits.", ("domain",),
        {(domain,): _age(reading, each.oldest) for domain, each in waiting.items()},
    )  # fmt: skip
    yield told(
        tally.DECISIONS, "counter", "What became of proposed fixes.", ("domain", "decision"),
        _events(reading, tally.DECISIONS, ("domain", "decision"), _pairs(of.domains, DECISIONS)),
    )  # fmt: skip
    yield told(
        tally.REFUSALS, "counter",
        "What guardrails held back: runs refused, or put off for the first time, and skills cut short.",
        ("domain", "guardrail"),
        _events(reading, tally.REFUSALS, ("domain", "guardrail"), _pairs(of.domains, get_args(Guardrail))),
    )  # fmt: skip


def _of_inbox(reading: Reading) -> Iterator[Metric]:
    yield told(
        "aspora_inbox_triggers", "gauge", "Triggers whose runs wait or are under way.", ("state",),
        {(state,): reading.inbox.get(state, 0) for state in INBOX},
    )  # fmt: skip
    yield told(
        "aspora_inbox_oldest_pending_seconds", "gauge",
        "How long the oldest message that no guardrail holds back has waited for its run; 0 if none waits.",
        (), {(): _age(reading, reading.pending_since)},
    )  # fmt: skip


def _of_outbox(reading: Reading) -> Iterator[Metric]:
    rows = reading.outbox.items()
    yield told(
        "aspora_telemetry_outbox_pending", "gauge", "Executions and corrections yet to be sent.",
        ("destination",), {(to,): each.number for to, each in rows},
    )  # fmt: skip
    yield told(
        "aspora_telemetry_outbox_oldest_seconds", "gauge",
        "How long the oldest of them has waited; 0 if none waits.",
        ("destination",), {(to,): _age(reading, each.oldest) for to, each in rows},
    )  # fmt: skip
    yield told(
        "aspora_telemetry_outbox_failed", "gauge", "Those that the destination would not take.",
        ("destination",), {(to,): each.failed for to, each in rows},
    )  # fmt: skip


def _successes(reading: Reading) -> tuple[list[tuple[Labels, int]], list[tuple[Labels, int]]]:
    """What counts in the success rate, and what of it is no success."""
    counted = [row for row in reading.ended if row[2] in COUNTED]
    failed = [row for row in counted if row[2] != SUCCESS]
    failed += [row for row in reading.corrected if row[2] == SUCCESS]
    return [((row[0],), row[3]) for row in counted], [((row[0],), row[3]) for row in failed]


def _executions(
    reading: Reading, labels: Callable[[Any], Labels], seeds: Iterable[Labels]
) -> dict[Labels, float]:
    return sums(seeds, ((labels(row), row.executions) for row in reading.totals))


def _dollars(
    reading: Reading, labels: Callable[[Any], Labels], seeds: Iterable[Labels]
) -> dict[Labels, float]:
    micro = sums(seeds, ((labels(row), row.cost_micro) for row in reading.totals))
    return {each: number / _MICRO for each, number in micro.items()}


def _events(reading: Reading, name: str, labels: Labels, seeds: Iterable[Labels]) -> dict[Labels, float]:
    rows = reading.counts.get(name, ())
    return sums(seeds, ((tuple(given.get(each, "") for each in labels), value) for given, value in rows))


def _age(reading: Reading, since: datetime | None) -> float:
    return max(0.0, (reading.at - since).total_seconds()) if since else 0.0


def _singles(names: Iterable[str]) -> list[Labels]:
    return [(name,) for name in names]


def _pairs(names: Iterable[str], others: Sequence[str]) -> list[Labels]:
    return [(name, other) for name in names for other in others]
