"""`fincrime-mcp`: what may be behind an account's transfers, worked out from the graph. Read-only.

Run alone with `python -m flows.fincrime.tools`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations
from pydantic import BaseModel, ConfigDict, Field, field_validator

from blocks.config import Config
from blocks.units import Duration, parse_duration
from blocks.warehouse import WarehouseError
from flows.fincrime.analysis import challenged, screened, tested
from flows.fincrime.case import Case
from flows.fincrime.models import CaseFile, Challenge, Screened, Screening
from flows.fincrime.neighbourhood import Look, gather
from mcp_servers.graph import Graph
from mcp_servers.serve import serve
from mcp_servers.transactions import TABLES, Desk, moment

__all__ = ["MOST_SUBJECTS", "TABLES", "Options", "build"]

MOST_SUBJECTS = 20
"""Accounts of one screening."""

_READ_ONLY = ToolAnnotations(readOnlyHint=True, idempotentHint=True, openWorldHint=False)


class Options(BaseModel):
    """How far is looked, and what a bank must report."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    reporting_threshold: float = Field(10_000, gt=0)
    """Cash of so much must be reported, in the currency of `warehouse.tables.transfers`."""
    window: Duration = parse_duration("45d")
    """What is judged: so long before the moment of looking."""
    history: Duration = parse_duration("365d")
    """What is usual: so long before the window."""

    @field_validator("window", "history")
    @classmethod
    def _bounded(cls, given: timedelta) -> timedelta:
        if not timedelta(days=1) <= given <= timedelta(days=3650):
            raise ValueError("lies between 1d and 3650d")
        return given


@dataclass
class _Subject:
    """An account to look at, and why."""

    account: str
    alerts: list[str] = field(default_factory=list)
    reason: str = ""


@dataclass(frozen=True)
class _Asked:
    """Whom to look at, and what was left out."""

    subjects: Sequence[_Subject]
    alerts: int = 0
    note: str = ""


Id = Annotated[str, Field(max_length=200)]
AsOf = Annotated[str, Field(description="ISO time to look from; now if empty")]


def build(options: Options, config: Config, base: Path) -> MCPServer:
    """The server over the config's warehouse.

    Args:
        options: how far is looked.
        config: the whole config; `warehouse` is read.
        base: the config file's directory.

    Raises:
        WarehouseError: `warehouse.url` is no URL of a supported database.
        pydantic.ValidationError: a table is not mapped as it must be.
    """
    desk = Desk(config, base)
    server = MCPServer("fincrime-mcp", instructions="Forms and tests hypotheses of laundering. Read-only.")

    @server.tool(annotations=_READ_ONLY)
    async def screen_accounts(
        account: Id = "", customer: Id = "", alert: Id = "", transaction: Id = "", as_of: AsOf = ""
    ) -> Screening:
        """Ranked hypotheses with measured indicators about an account, a customer's accounts, an alert's
        account, or both ends of a transaction; about the open alerts' accounts if nothing is named.

        Shapes of laundering and innocent explanations, measured against each account's own past.
        """
        given = {"account": account, "customer": customer, "alert": alert, "transaction": transaction}
        told = ", ".join(f"{name}={value!r}" for name, value in given.items() if value)
        try:
            look = _look(options, as_of)
            asked = await desk.read(lambda graph: _asked(graph, account, customer, alert, transaction))
            cases, failed = await _all_screened(desk, asked.subjects, look)
            currency = await desk.read(lambda graph: graph.currency)
        except (WarehouseError, ValueError) as error:
            raise ToolError(f"screen_accounts({told}): {error}") from None
        cases.sort(key=lambda case: (-case.suspicion, case.subject))
        return Screening(
            cases=cases,
            as_of=look.as_of,
            window_days=options.window.total_seconds() / 86400,
            currency=currency,
            open_alerts=asked.alerts,
            note="; ".join(each for each in (asked.note, *failed) if each),
        )

    @server.tool(annotations=_READ_ONLY)
    async def test_hypotheses(
        account: Annotated[str, Field(min_length=1, max_length=200)], as_of: AsOf = ""
    ) -> CaseFile:
        """Each hypothesis about an account with its indicators, what speaks against it, and its transfers."""
        return tested(await _case(desk, options, "test_hypotheses", account, as_of))

    @server.tool(annotations=_READ_ONLY)
    async def challenge_hypotheses(
        account: Annotated[str, Field(min_length=1, max_length=200)], as_of: AsOf = ""
    ) -> Challenge:
        """The sceptical pass: tries to knock each hypothesis down, and tells what is left of it.

        Was it so before, does it rest on one transfer, is it chance, do they know each other, is there an
        innocent explanation of the same transfers, is the sum worth it.
        """
        return challenged(await _case(desk, options, "challenge_hypotheses", account, as_of))

    return server


async def _case(desk: Desk, options: Options, tool: str, account: str, as_of: str) -> Case:
    try:
        look = _look(options, as_of)
        return await desk.read(lambda graph: gather(graph, account.strip(), look))
    except (WarehouseError, ValueError) as error:
        raise ToolError(f"{tool}({account[:100]!r}): {error}") from None


async def _all_screened(
    desk: Desk, subjects: Sequence[_Subject], look: Look
) -> tuple[list[Screened], list[str]]:
    """The accounts that could be read, and why others could not.

    Raises:
        WarehouseError: none of them could.
    """
    cases: list[Screened] = []
    failed: list[str] = []
    for subject in subjects:
        try:
            cases.append(await _screened(desk, subject, look))
        except WarehouseError as error:
            failed.append(f"{subject.account[:100]} was not looked at: {error}")
            if len(failed) == len(subjects):
                raise
    return cases, failed


async def _screened(desk: Desk, subject: _Subject, look: Look) -> Screened:
    case = await desk.read(lambda graph: gather(graph, subject.account, look))
    return screened(case, subject.alerts, subject.reason)


def _look(options: Options, as_of: str) -> Look:
    now = moment("as_of", as_of) if as_of.strip() else datetime.now(UTC).replace(microsecond=0)
    return Look(now, options.window, options.history, options.reporting_threshold)


def _asked(graph: Graph, account: str, customer: str, alert: str, transaction: str) -> _Asked:
    """Whom to look at.

    Raises:
        WarehouseError: there is no such customer, alert or transaction.
        ValueError: several things are named.
    """
    given = [each.strip() for each in (account, customer, alert, transaction) if each.strip()]
    if len(given) > 1:
        raise ValueError("name one of account, customer, alert and transaction")
    if account.strip():
        return _Asked([_Subject(account.strip())])
    if customer.strip():
        return _of_customer(graph, customer.strip())
    if alert.strip():
        return _of_alert(graph, alert.strip())
    return _of_transaction(graph, transaction.strip()) if transaction.strip() else _of_open_alerts(graph)


def _of_customer(graph: Graph, customer: str) -> _Asked:
    found = graph.of_customer(customer, MOST_SUBJECTS + 1)
    if not found:
        raise WarehouseError(f"there is no customer {customer[:100]!r} in the table of accounts")
    cut = len(found) > MOST_SUBJECTS
    note = f"the customer has more than {MOST_SUBJECTS} accounts; these are the first" if cut else ""
    reason = f"an account of {customer}"
    return _Asked([_Subject(party.id, reason=reason) for party in found[:MOST_SUBJECTS]], note=note)


def _of_alert(graph: Graph, alert: str) -> _Asked:
    found = graph.alert(alert)
    if found is None:
        raise WarehouseError(f"there is no alert {alert[:100]!r}")
    return _Asked([_Subject(found.subject, [found.id], found.reason)])


def _of_transaction(graph: Graph, transaction: str) -> _Asked:
    found = graph.transfers([transaction])
    if not found:
        raise WarehouseError(f"there is no transaction {transaction[:100]!r}")
    ends = dict.fromkeys(end for each in found for end in (each.sender, each.receiver) if end)
    note = f"{len(found)} transfers have the id {transaction}" if len(found) > 1 else ""
    return _Asked(
        [_Subject(end, reason=f"an end of {transaction}") for end in ends][:MOST_SUBJECTS], note=note
    )


def _of_open_alerts(graph: Graph) -> _Asked:
    found = graph.open_alerts(10 * MOST_SUBJECTS + 1)
    subjects: dict[str, _Subject] = {}
    for each in found:
        subject = subjects.setdefault(each.subject, _Subject(each.subject, reason=each.reason))
        subject.alerts.append(each.id)
    chosen = list(subjects.values())[:MOST_SUBJECTS]
    more = f"more than {10 * MOST_SUBJECTS}" if len(found) > 10 * MOST_SUBJECTS else str(len(found))
    cut = len(subjects) > len(chosen)
    note = f"the accounts of the newest of {more} open alerts; close some, or ask by alert" if cut else ""
    return _Asked(
        chosen, len(found), note if found else "no alert is open; ask by account, customer or transaction"
    )


if __name__ == "__main__":
    serve("fincrime-mcp", Options, build)
