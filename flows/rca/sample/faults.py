"""What can be wrong in a sample world, and the change behind it, if there is one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["deploy", "config", "migration", "flag"]


@dataclass(frozen=True)
class Fault:
    """A kind of trouble of one service.

    Attributes:
        name: its identifier, written to the truth file only.
        services: those that it can hit.
        seconds: range of what it adds to each request's time.
        failing: range of the share of requests that it makes fail.
        change: kind of the change that caused it; None if no change did.
        minutes: range of the time between the change and the trouble.
        summary: the change's summary; `{version}` and the like are filled in.
        diff: what it changed.
        lines: log level and text of what the service logs since; one for each affected request, thinned out.
        action: the action that takes the change back; None if only people can.
        new_callee: what the service calls since and never called before.
    """

    name: str
    services: tuple[str, ...]
    seconds: tuple[float, float]
    failing: tuple[float, float]
    change: Kind | None
    minutes: tuple[int, int]
    summary: str
    diff: str
    lines: tuple[tuple[str, str], ...]
    action: str | None
    new_callee: str = ""


FAULTS: tuple[Fault, ...] = (
    Fault(
        "slow_query_release",
        ("accounts", "payments", "ledger", "search"),
        (0.15, 0.6),
        (0.0, 0.002),
        "deploy",
        (1, 12),
        "release {version}: statement history loads counterparties",
        "StatementRepository: one query per counterparty instead of a join; removes the index hint",
        (("WARN", "slow statement: StatementRepository.counterparties took {ms} ms for {id}"),),
        "roll_back_deploy",
    ),
    Fault(
        "null_reference_release",
        ("accounts", "payments", "quotes", "screening"),
        (0.0, 0.004),
        (0.05, 0.25),
        "deploy",
        (1, 8),
        "release {version}: optional middle names",
        "CustomerMapper: middleName may be absent; NameFormatter reads it without a check",
        (("ERROR", "NullPointerException in NameFormatter.middleName for customer of {id}"),),
        "roll_back_deploy",
    ),
    Fault(
        "pool_too_small",
        ("payments", "ledger", "accounts", "screening"),
        (0.2, 0.9),
        (0.005, 0.05),
        "config",
        (1, 15),
        "connection pool lowered to spare the database",
        "datasource.pool.max: 60 → 6; datasource.pool.wait: 1s → 3s",
        (("WARN", "waited {ms} ms for a connection of the datasource pool (6 of 6 in use)"),),
        "revert_config",
    ),
    Fault(
        "timeout_too_short",
        ("screening", "payout-router", "rates"),
        (0.0, 0.01),
        (0.06, 0.3),
        "config",
        (1, 10),
        "client timeouts aligned with the gateway",
        "partner.client.timeout: 2000ms → 150ms",
        (("ERROR", "partner client timeout after 150 ms, giving up on {id}"),),
        "revert_config",
    ),
    Fault(
        "flag_on",
        ("quotes", "search", "pricing", "payout-router"),
        (0.01, 0.1),
        (0.08, 0.3),
        "flag",
        (0, 6),
        "flag dynamic_margins turned on for everybody",
        "dynamic_margins: off → on (was 1% of customers)",
        (("ERROR", "dynamic_margins: no margin table for corridor of {id}"),),
        "turn_flag_off",
    ),
    Fault(
        "locking_migration",
        ("payments-db", "ledger-db", "accounts-db"),
        (0.08, 0.3),
        (0.0, 0.01),
        "migration",
        (0, 5),
        "migration 0192: backfill of settlement_reference",
        "UPDATE of all rows in one transaction; ALTER TABLE adds settlement_reference NOT NULL",
        (("WARN", "process {id} still waiting for ShareLock on settlement_reference after {ms} ms"),),
        None,
    ),
    Fault(
        "wrong_host_release",
        ("accounts", "quotes", "payout-router"),
        (0.0, 0.02),
        (0.1, 0.3),
        "deploy",
        (1, 8),
        "release {version}: preferences move to their own store",
        "PreferencesClient: new host preferences-store; fallback removed",
        (("ERROR", "PreferencesClient: preferences-store answered 404 for {id}"),),
        "roll_back_deploy",
        new_callee="preferences-store",
    ),
    Fault(
        "partner_outage",
        ("fx-partner", "screening-partner", "payout-partner"),
        (0.3, 1.5),
        (0.15, 0.5),
        None,
        (0, 0),
        "",
        "",
        (),
        None,
    ),
    Fault(
        "disk_full",
        ("ledger", "notifications", "search-index", "watchlists"),
        (0.0, 0.05),
        (0.1, 0.4),
        None,
        (0, 0),
        "",
        "",
        (("ERROR", "write failed for {id}: No space left on device"),),
        None,
    ),
)
