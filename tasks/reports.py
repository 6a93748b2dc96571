"""What three levels of people read: the platform, one domain, one skill."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, RowMapping, TextClause, select

from blocks.config import Config, Domain
from blocks.config_file import suggest
from blocks.schema import counters, execution_totals
from tasks import averages, mistakes, record, tally
from tasks import report_queries as queries
from tasks.averages import Average
from tasks.clock import utc
from tasks.handoffs import NONE
from tasks.mistakes import Mistake

DAY, WEEK, MONTH = timedelta(days=1), timedelta(days=7), timedelta(days=30)
SKEW = timedelta(minutes=5)
"""How far clocks of several machines may differ: what starts later than that is dated in the future."""
LATEST = 5
"""Executions that a skill's report lists, the newest ones."""


class UnknownName(LookupError):
    """Neither the config nor the record knows a domain or skill of that name."""


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True)


class _Report(_Row):
    since: datetime
    until: datetime
    in_future: int
    """Executions that are dated later than now, and left out."""


class Volume(_Row):
    """A domain, among those with the most executions."""

    domain: str
    executions: int
    cost: float
    """Dollars."""


class Cost(_Row):
    """What a domain cost, in dollars."""

    domain: str
    cost: float


class PlatformReport(_Report):
    """Level 1: all domains together."""

    total_executions: int
    total_cost: float
    """Dollars."""
    success_rate: float | None
    """From 0 to 1; None where nothing counts."""
    active_domains: int
    top_domains: list[Volume]
    costs: list[Cost]
    average: Average | None
    """Of the periods before; None if the record does not reach back so far."""


class SkillRow(_Row):
    """A skill of a domain."""

    skill_role: str
    skill_name: str
    executions: int
    avg_latency: float | None
    """Seconds."""
    cost: float
    """Dollars."""
    success_rate: float | None
    satisfaction: float
    """Share of the executions that nobody corrected."""
    corrected: int


class Routed(_Row):
    """How often one skill led to another; to `none` where a pattern was found and no rule matched."""

    manager_skill: str
    specialist_skill: str
    routing_count: int


class DomainReport(_Report):
    """Level 2: a domain's skills, and who led to whom within 7 days."""

    domain: str
    manager: str | None
    schedules: list[str]
    """Cron schedules that start it."""
    skills: list[SkillRow]
    executions: int
    cost: float
    routed: int
    """Executions of specialists that the manager led to."""
    specialists_per_run: float | None
    corrected: int
    satisfaction: float | None
    success_rate: float | None
    routing: list[Routed]
    average: Average | None


class Tool(_Row):
    """A tool, and the share of a skill's executions that called it."""

    tool: str
    executions: int
    share: float


class Newest(_Row):
    """One of a skill's newest executions."""

    execution_id: str
    timestamp: datetime
    outcome: str
    latency_seconds: float | None
    cost_dollars: float


class SkillReport(_Report):
    """Level 3: one skill since `since`; its executions of today and of 30 days, its mistakes of 30 days."""

    skill: str
    domain: str
    executions_today: int
    executions_30_days: int
    executions: int
    success_rate: float | None
    corrected: int
    p50: float | None
    """Seconds that half of the executions did not exceed; one of them took so long."""
    p95: float | None
    avg_cost: float | None
    """Dollars."""
    tool: Tool | None
    """The most used one."""
    mistakes: list[Mistake]
    latest: list[Newest]


def platform(conn: Connection, period: timedelta = DAY, now: datetime | None = None) -> PlatformReport:
    """The platform within the last `period`."""
    at = _times(now, period)
    return PlatformReport(
        **_one(conn, queries.HEALTH, at),
        top_domains=[Volume(**row) for row in _all(conn, queries.VOLUME, at)],
        costs=[Cost(**row) for row in _all(conn, queries.COST, at)],
        average=averages.before(conn, at["since"], period),
        **_frame(conn, at, period),
    )


def domain(
    conn: Connection, settings: Config, name: str, period: timedelta = DAY, now: datetime | None = None
) -> DomainReport:
    """A domain within the last `period`.

    Raises:
        UnknownName: neither the config nor the record knows it.
    """
    _known("domain", name, {*settings.domains, *_recorded(conn)})
    at = _times(now, period)
    skills = [SkillRow(**row) for row in _all(conn, queries.DOMAIN, at, name=name)]
    manager = _manager(settings.domains.get(name), skills)
    flows = _all(conn, queries.ROUTING, at, name=name)
    routed = sum(row["routing_count"] for row in flows if manager and row["manager_skill"] == manager)
    runs = sum(row.executions for row in skills if row.skill_name == manager)
    executions, corrected = sum(row.executions for row in skills), sum(row.corrected for row in skills)
    return DomainReport(
        domain=name,
        manager=manager,
        schedules=[each.schedule for each in settings.triggers if each.domain == name and each.schedule],
        skills=skills,
        executions=executions,
        cost=sum(row.cost for row in skills),
        routed=routed,
        specialists_per_run=routed / runs if runs else None,
        corrected=corrected,
        satisfaction=1 - corrected / executions if executions else None,
        success_rate=_one(conn, queries.SUCCESS, at, name=name)["success_rate"],
        routing=_routing(conn, name, manager, _times(now, WEEK)),
        average=averages.before(conn, at["since"], period, name),
        **_frame(conn, at, period),
    )


def skill(
    conn: Connection, settings: Config, name: str, period: timedelta = WEEK, now: datetime | None = None
) -> SkillReport:
    """A skill within the last `period`.

    Raises:
        UnknownName: neither the config nor the record knows it.
    """
    of = {each.name: domain for domain, each in _skills(settings)}
    of |= {skill: domain for domain, skills in _recorded(conn).items() for skill in skills}
    _known("skill", name, of)
    at, month = _times(now, period), _times(now, MONTH)
    found = dict(_one(conn, queries.SKILL, at, name=name))
    timed, total = found.pop("timed"), found["executions"]
    used = _all(conn, queries.TOOL, at, name=name)
    latest = record.search(conn, skill=name, since=at["since"], until=at["until"], limit=LATEST)
    return SkillReport(
        **found,
        skill=name,
        domain=of[name],
        executions_today=_count(conn, name, _times(now, DAY)),
        executions_30_days=_count(conn, name, month),
        p50=_ranked(conn, name, at, timed, 50),
        p95=_ranked(conn, name, at, timed, 95),
        tool=Tool(share=used[0]["executions"] / total, **used[0]) if used else None,
        mistakes=common(conn, name, month["since"]),
        latest=[Newest.model_validate(row, from_attributes=True) for row in latest],
        **_frame(conn, at, period),
    )


def common(conn: Connection, skill: str, since: datetime) -> list[Mistake]:
    """A skill's common mistakes, each with its newest executions."""
    found = mistakes.common(conn, skill, since)
    return [each.model_copy(update={"executions": each.executions[:LATEST]}) for each in found]


def _known(kind: str, name: str, names: Iterable[str]) -> None:
    if name not in names:
        raise UnknownName(f"there is no {kind} {name!r}; {suggest(name, names)}")


def _skills(settings: Config) -> Iterable[tuple[str, Any]]:
    return ((name, skill) for name, section in settings.domains.items() for skill in section.skills)


def _recorded(conn: Connection) -> dict[str, set[str]]:
    """The skills that have ended executions, by domain."""
    totals, found = execution_totals.c, dict[str, set[str]]()
    for domain, skill in conn.execute(select(totals.domain, totals.skill_name).distinct()).tuples():
        found.setdefault(domain, set()).add(skill)
    return found


def _times(now: datetime | None, period: timedelta) -> dict[str, datetime]:
    at = utc(now)
    return {"since": at - period, "until": at if now else at + SKEW}


def _frame(conn: Connection, at: Mapping[str, datetime], period: timedelta) -> dict[str, Any]:
    ahead = conn.execute(queries.AHEAD, {"until": utc() + SKEW}).scalar_one()
    return {"since": at["since"], "until": at["since"] + period, "in_future": ahead}


def _all(conn: Connection, query: TextClause, at: Mapping[str, datetime], **given: Any) -> list[RowMapping]:
    return list(conn.execute(query, {**at, **given}).mappings())


def _one(conn: Connection, query: TextClause, at: Mapping[str, datetime], **given: Any) -> RowMapping:
    return _all(conn, query, at, **given)[0]


def _count(conn: Connection, skill: str, at: Mapping[str, datetime]) -> int:
    return int(_one(conn, queries.COUNT, at, name=skill)["executions"])


def _ranked(
    conn: Connection, skill: str, at: Mapping[str, datetime], count: int, percent: int
) -> float | None:
    """The latency at that percentile, by nearest rank."""
    if not count:
        return None
    rank = -(-count * percent // 100) - 1
    return float(_one(conn, queries.RANKED, at, name=skill, rank=rank)["latency_seconds"])


def _manager(section: Domain | None, skills: Iterable[SkillRow]) -> str | None:
    recorded = (row.skill_name for row in skills if row.skill_role == "manager")
    return section.manager.name if section else next(recorded, None)


def _routing(conn: Connection, name: str, manager: str | None, at: Mapping[str, datetime]) -> list[Routed]:
    """Who led to whom; with 0, who ever did and now doesn't, and the manager to nobody."""
    flows = {(manager, NONE): 0} if manager else {}
    flows |= dict.fromkeys(_routes(conn, {manager, *_recorded(conn).get(name, ())}), 0)
    for query in (queries.ROUTING, queries.UNROUTED):
        for row in _all(conn, query, at, name=name):
            flows[row["manager_skill"], row["specialist_skill"]] = row["routing_count"]
    ranked = sorted(flows.items(), key=lambda each: (each[0][0] != manager, each[0][1] == NONE, -each[1]))
    return [
        Routed(manager_skill=sender or "", specialist_skill=receiver, routing_count=count)
        for (sender, receiver), count in ranked
    ]


def _routes(conn: Connection, skills: set[str | None]) -> list[tuple[str, str]]:
    """Routing decisions that were ever taken by one of these skills."""
    named = select(counters.c.labels).where(counters.c.name == tally.ROUTING)
    labels = [json.loads(text) for text in conn.scalars(named)]
    return [(each["from_skill"], each["to_skill"]) for each in labels if each["from_skill"] in skills]
