"""fraud-mcp: what a fraud rule would have done, counted in the warehouse. Read-only.

Run alone with `python -m flows.fraud.tools`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import sqlalchemy as sa
from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations
from pydantic import Field, ValidationError

from blocks.config import Config
from blocks.warehouse import (
    ConditionError,
    MappingError,
    Reader,
    Warehouse,
    WarehouseError,
    bind,
    compile_condition,
)
from flows.fraud import cases, checklist, edges
from flows.fraud.analysis import evasion
from flows.fraud.history import History, Period
from flows.fraud.models import Backtest, Backtests, Checklist, EdgeCases, RuleTest
from flows.fraud.rule import Rule, parse
from flows.fraud.rule.change import rests_on_amount
from flows.fraud.simulate import Proposal, Stored, backtest
from flows.fraud.table import Costs, RulesTable, TransactionsTable
from mcp_servers.serve import serve

TABLES = {"transactions": TransactionsTable, "fraud_rules": RulesTable, "fraud_proposals": RulesTable}
"""The strict form of each table under `warehouse.tables` that this server reads."""

MAX_PROPOSALS = 20
MAX_RULES = 1000
_READ_ONLY = ToolAnnotations(readOnlyHint=True, idempotentHint=True, openWorldHint=False)
T = TypeVar("T")


class Options(Costs):
    """What mistakes cost."""


RuleText = Annotated[str, Field(max_length=2000, description="such as block if amount > 220")]
Replaces = Annotated[str, Field(max_length=200, description="id of the rule in force that it would replace")]
Since = Annotated[str, Field(description="ISO time from which on to judge; the whole history if empty")]
AsOf = Annotated[str, Field(description="ISO time to look from; now if empty")]
Tests = Annotated[
    str, Field(max_length=100_000, description='JSON list of {"transactions": [{field: value}], "hit": bool}')
]


class _Desk:
    """The warehouse with the mapped tables."""

    def __init__(self, options: Options, config: Config, base: Path) -> None:
        self.costs: Costs = options
        self.warehouse = Warehouse(config.warehouse, base)
        given = config.warehouse.tables
        self._transactions = _table(given.get("transactions"), TransactionsTable)
        self._rules = {
            name: _table(given.get(name), RulesTable) for name in ("fraud_rules", "fraud_proposals")
        }

    @property
    def transactions(self) -> TransactionsTable:
        if self._transactions is None:
            raise WarehouseError(
                "the config has no warehouse.tables.transactions; map your transactions there"
            )
        return self._transactions

    async def in_force(self) -> list[Stored]:
        """The rules in force."""
        rows = await self._listed("fraud_rules")
        return [Stored(str(row["rule_id"]), str(row["rule"] or "")) for row in rows]

    async def proposals(self) -> list[Proposal]:
        """The proposals that wait."""
        rows = await self._listed("fraud_proposals")
        return [
            Proposal(
                text=str(row["rule"] or ""),
                rule_id=str(row["rule_id"]),
                replaces=str(row.get("replaces") or ""),
                tests=_loaded(row.get("tests")),
            )
            for row in rows
        ]

    async def _listed(self, name: str) -> list[dict[str, Any]]:
        table = self._rules[name]
        return await self.warehouse.read(lambda reader: _rows(reader, name, table)) if table else []

    async def read(self, period: Period, work: Callable[[History], T]) -> T:
        """Runs work on the history, in a read of its own."""
        return await self.warehouse.read(lambda reader: work(History(reader, self.transactions, period)))


def build(options: Options, config: Config, base: Path) -> MCPServer:
    """The server over the config's warehouse.

    Args:
        options: what mistakes cost.
        config: the whole config; `warehouse` is read.
        base: the config file's directory.

    Raises:
        WarehouseError: `warehouse.url` is no URL of a supported database.
        pydantic.ValidationError: a table is not mapped as it must be.
    """
    desk = _Desk(options, config, base)
    server = MCPServer("fraud-mcp", instructions="Judges fraud rules on the past. Read-only.")

    @server.tool(annotations=_READ_ONLY)
    async def backtest_rule(
        rule: RuleText = "",
        replaces: Replaces = "",
        threshold: Annotated[float | None, Field(description="new threshold of `replaces`, no rule")] = None,
        tests: Tests = "",
        since: Since = "",
        as_of: AsOf = "",
    ) -> Backtests:
        """What a proposed rule would have done: hits, fraud caught, customers hurt, by day, against the rule
        it replaces and those in force. Without a rule: every proposal that waits in the warehouse.

        All figures are counted by SQL over the whole history; features look back only.
        """
        asked = f"backtest_rule(rule={rule[:200]!r}, replaces={replaces!r}, since={since!r})"
        try:
            period = _period(since, as_of)
            in_force = await desk.in_force()
            wanted = [Proposal(rule, "", replaces, threshold, _tests(tests))] if rule or replaces else []
            proposals = wanted or await desk.proposals()
            found = [await _backtest(desk, period, each, in_force) for each in proposals[:MAX_PROPOSALS]]
        except (WarehouseError, ValueError) as error:
            raise ToolError(f"{asked}: {error}") from None
        cut = len(proposals) - len(found)
        note = f"{cut} more proposals wait; ask for them by their rule" if cut else ""
        nothing = "" if found else "no proposal waits; give a rule such as block if amount > 220"
        return Backtests(backtests=found, rules_in_force=len(in_force), note=note or nothing)

    @server.tool(annotations=_READ_ONLY)
    async def find_edge_cases(rule: RuleText, since: Since = "", as_of: AsOf = "") -> EdgeCases:
        """Where a rule misfires (segments of genuine transactions that it hits too often), what passes just
        under it, sample transactions, and variants of it with their backtests, the best of them told.
        """
        try:
            return await _edge_cases(desk, _period(since, as_of), Proposal(rule))
        except (WarehouseError, ValueError) as error:
            raise ToolError(f"find_edge_cases(rule={rule[:200]!r}): {error}") from None

    @server.tool(annotations=_READ_ONLY)
    async def check_rule(
        rule: RuleText, replaces: Replaces = "", tests: Tests = "", since: Since = "", as_of: AsOf = ""
    ) -> Checklist:
        """The checklist before a rule goes live, a verdict each: syntax, types, nulls, boundaries, conflicts,
        duplicates, volume, history, rollback, tests. Test cases are generated from its thresholds and run.
        """
        try:
            proposal = Proposal(rule, replaces=replaces, tests=_tests(tests))
            return await _checked(desk, _period(since, as_of), proposal)
        except (WarehouseError, ValueError) as error:
            raise ToolError(f"check_rule(rule={rule[:200]!r}): {error}") from None

    return server


async def _backtest(desk: _Desk, period: Period, proposal: Proposal, in_force: Sequence[Stored]) -> Backtest:
    return await desk.warehouse.read(
        lambda reader: backtest(reader, desk.transactions, desk.costs, period, proposal, in_force)
    )


async def _edge_cases(desk: _Desk, period: Period, proposal: Proposal) -> EdgeCases:
    judged = await _backtest(desk, period, proposal, [])
    if judged.problem or judged.proposed is None:
        return EdgeCases(rule=proposal.text, problem=judged.problem)
    rule = parse(judged.rule)
    schema = await desk.read(period, lambda history: history.schema)
    fields = edges.fields_of(desk.transactions)
    found, warnings = [], list(judged.warnings)
    for field in fields:
        segments, warning = await desk.read(period, _by(rule, field))
        found += segments
        warnings += [warning] if warning else []
    shown = [*desk.transactions.segments, *(["tenure"] if "tenure" in fields else [])]
    samples = await desk.read(period, lambda history: edges.samples(history, rule, shown))
    tried = [("as proposed", rule), *edges.variants(rule, found, schema)]
    rows, best = await desk.read(period, lambda history: edges.compared(history, tried, desk.costs))
    return EdgeCases(
        rule=judged.rule,
        segments=edges.worst(found),
        looked_at=fields,
        samples=samples,
        just_under=judged.just_under,
        fraud_just_under=judged.fraud_just_under,
        evasion=evasion(judged.fraud_just_under, judged.proposed.fraud_caught, rests_on_amount(rule)),
        refinement=best,
        tried=rows[1:],
        before=rows[0],
        warnings=warnings,
        note="" if best else "no variant tried does better on the older and the newer days alike",
    )


def _by(rule: Rule, field: str) -> Callable[[History], tuple[list[Any], str]]:
    return lambda history: edges.segments(history, rule, field)


async def _checked(desk: _Desk, period: Period, proposal: Proposal) -> Checklist:
    in_force = await desk.in_force()
    judged = await _backtest(desk, period, proposal, in_force)
    if judged.problem:
        return Checklist(rule=proposal.text, checks=checklist.unreadable(judged))
    schema = await desk.read(period, lambda history: history.schema)
    rule = parse(judged.rule)
    nulls = await desk.read(period, lambda history: history.nulls(rule.fields))
    given_cases = cases.given([RuleTest.model_validate(test) for test in proposal.tests])
    given = await desk.warehouse.read(lambda reader: cases.run(rule, schema, given_cases))
    made = await desk.warehouse.read(lambda reader: cases.run(rule, schema, cases.made(rule, schema)))
    found = checklist.checks(rule, judged, nulls, made, given, desk.costs)
    return Checklist(rule=judged.rule, checks=found, tests=[*given, *made], warnings=judged.warnings)


def _table(given: Any, model: type[T]) -> T | None:
    return model.model_validate(given.model_dump(exclude_unset=True)) if given else None  # type: ignore[attr-defined]


def _rows(reader: Reader, name: str, table: RulesTable) -> list[dict[str, Any]]:
    key = f"warehouse.tables.{name}"
    bound = bind(reader, key, table.table, table.columns, dict.fromkeys(table.columns, "any"))
    statement = sa.select(*(column.label(logical) for logical, column in bound.columns.items()))
    statement = statement.select_from(bound.source).order_by(bound.columns["rule_id"])
    if table.active_when:
        try:
            statement = statement.where(compile_condition(table.active_when, bound.column))
        except (ConditionError, WarehouseError) as error:
            raise MappingError(f"{key}.active_when", str(error)) from None
    return [dict(row._mapping) for row in reader.rows(statement, MAX_RULES)]


def _tests(text: str) -> list[dict[str, Any]]:
    if not text.strip():
        return []
    try:
        return [RuleTest.model_validate(test).model_dump() for test in json.loads(text)]
    except (ValidationError, ValueError, TypeError, RecursionError):
        raise ValueError('tests is no JSON list of {"transactions": [{…}], "hit": true}') from None


def _loaded(text: Any) -> list[dict[str, Any]]:
    """The tests of a stored proposal; one that can't be read counts as none."""
    try:
        return _tests(text if isinstance(text, str) else json.dumps(text or []))
    except ValueError:
        return []


def _period(since: str, as_of: str) -> Period:
    now = _moment("as_of", as_of) if as_of.strip() else datetime.now(UTC).replace(microsecond=0)
    start = _moment("since", since) if since.strip() else None
    if start and start >= now:
        raise ValueError(f"since={since!r} is not before {now:%Y-%m-%d %H:%M} UTC")
    return Period(start, now, now)


def _moment(name: str, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"{name}={text!r} is no ISO time such as 2026-02-17T08:00:00Z") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if not 1980 <= moment.year <= 9000:
        raise ValueError(f"{name}={text!r} lies outside the years 1980 to 9000")
    return moment.astimezone(UTC).replace(microsecond=0)


if __name__ == "__main__":
    serve("fraud-mcp", Options, build)
