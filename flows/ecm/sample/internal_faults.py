"""Faults of the company's own services."""

# ruff: noqa: E501 - log lines are as long as software prints them

from __future__ import annotations

from flows.ecm.sample.fault import Fault, Line

_PAYOUTS = ("lulu", "meridian", "zento", "kaveri", "tambo")
_ANY = (*_PAYOUTS, "card_funding", "bank_transfer", "fx", "kyc", "compliance_review")

_QUEUE_BACKLOG = Fault(
    name="queue_backlog",
    stages=(*_PAYOUTS, "bank_transfer", "kyc", "compliance_review"),
    wordings=(
        (
            Line("WARN", "consumer group {service} lag {many}000 ms on topic orders.{stage}, oldest message {order}", service="payments-queue"),
            Line("ERROR", "consumer {service}-{n} has not committed an offset for {minutes} min", "steady", 6, "payments-queue"),
            Line("WARN", "rebalance in progress, no partition assigned (member {id})", "steady", 10),
        ),
        (
            Line("ERROR", "message for {order} redelivered {many} times, handler keeps rejecting offset before it", service="payments-queue"),
            Line("ERROR", "cannot decode message at offset {many}, requeueing", "steady", 25),
            Line("WARN", "depth of orders.{stage} is {many}, in: 40/min out: 0/min", "steady", 6, "payments-queue"),
        ),
        (
            Line("WARN", "{order} waiting {minutes} min for a listener on orders.{stage}", service="payments-queue"),
            Line("ERROR", "listener container stopped: Consumer failed to start in 60 s", "steady", 5),
            Line("WARN", "unacknowledged messages on orders.{stage}: {many}", "steady", 8, "payments-queue"),
        ),
    ),
    cause_keywords=("queue", "consumer", "backlog", "poison", "listener"),
    runbooks=("05-order-queue-not-draining.md",),
    action="requeue_orders",
    refusal=(409, "this order's message is stuck in the queue; a second attempt would wait behind it"),
    passing=0.05,
)  # fmt: skip

_BAD_DEPLOY = Fault(
    name="bad_deploy",
    stages=_ANY,
    wordings=(
        (
            Line("INFO", "rollout {service} {version} finished, 6/6 pods ready", "once", service="deployer"),
            Line("INFO", "starting {service} {version}", "once"),
            Line("ERROR", "java.lang.NullPointerException: Cannot invoke \"BranchCode.value()\" because \"branch\" is null order={order} build={version}"),
            Line("ERROR", "unhandled exception in step prepare for {order} build={version}"),
        ),
        (
            Line("INFO", "{service}: image {version} is live (promoted by release-train)", "once", service="deployer"),
            Line("INFO", "{service} {version} up, migrations ok", "once"),
            Line("ERROR", "KeyError: 'PAYOUT_MODE' in settings.py line 88 while handling {order}"),
            Line("ERROR", "{order} aborted: internal error, see trace {id}"),
        ),
        (
            Line("INFO", "deployment {service} revision {version} available", "once", service="deployer"),
            Line("ERROR", "panic: runtime error: index out of range [0] with length 0 goroutine {many} handling {order}"),
            Line("WARN", "process restarted, exit code 2, revision {version}", "steady", 12),
        ),
    ),
    cause_keywords=("deploy", "release", "rollout", "roll back", "rollback", "new version", "regression"),
    runbooks=("02-rolling-back-a-release.md",),
    action=None,
    refusal=(500, "{service} failed with an internal error"),
    passing=0.05,
)  # fmt: skip

_HOLD_SURGE = Fault(
    name="hold_surge",
    stages=("compliance_review",),
    wordings=(
        (
            Line("WARN", "{order} put on hold: name similarity 0.{pct} with list entry SDN-{many}, no date of birth compared"),
            Line("WARN", "hold rate {pct}% in last 30 min, usual 3%", "steady", 4),
            Line("INFO", "watch list import done, {many} entries added", "once"),
        ),
        (
            Line("INFO", "screening outcome HOLD for {order}, rule R-117 (introduced {day})"),
            Line("WARN", "analyst worklist grows: {many} cases open", "steady", 6),
            Line("INFO", "ruleset published, R-117 active", "once"),
        ),
        (
            Line("WARN", "possible match for {order}: score above 70 on file of {day}, case opened"),
            Line("WARN", "cases opened in last hour: {many} (7-day mean 21)", "steady", 3),
            Line("INFO", "matching threshold now 70 (was 85), source: config-service", "once"),
        ),
    ),
    cause_keywords=("screening", "hold surge", "on hold", "held", "holds", "false positive", "over-broad", "watch list", "watchlist", "list entry", "r-117", "ruleset", "rule set"),
    runbooks=("21-screening-holds.md",),
    action="release_holds",
    refusal=(409, "this order is held by screening"),
    passing=0.5,
    stuck=(190, 280),
)  # fmt: skip

_STALE_RATES = Fault(
    name="stale_rates",
    stages=("fx",),
    wordings=(
        (
            Line("ERROR", "refusing to price {order}: rate is {minutes} min old, limit 5"),
            Line("WARN", "no tick from {host} since {time}", "steady", 12),
        ),
        (
            Line("ERROR", "{order} not converted, StaleQuoteException: last quote at {time}"),
            Line("WARN", "websocket to {host} connected but idle, sequence unchanged", "steady", 10),
        ),
        (
            Line("ERROR", "price for {order} rejected by guard: market data age {minutes}m"),
            Line("WARN", "subscription {partner}/spot: heartbeat ok, 0 updates per minute", "steady", 8),
        ),
    ),
    cause_keywords=("stale", "rate feed", "rates feed", "market data", "too old", "no tick", "old rate", "websocket", "no fresh rate"),
    runbooks=("12-fx-quotes-too-old.md",),
    action=None,
    refusal=(409, "there is no fresh exchange rate"),
    passing=0.0,
)  # fmt: skip

_POOL_EXHAUSTED = Fault(
    name="pool_exhausted",
    stages=_ANY,
    wordings=(
        (
            Line("ERROR", "HikariPool-1 - Connection is not available, request timed out after 30000ms (total=20, active=20, idle=0, waiting={many}) order={order}"),
            Line("ERROR", "could not save {order}: unable to acquire JDBC connection"),
        ),
        (
            Line("ERROR", "sqlalchemy.exc.TimeoutError: QueuePool limit of size 10 overflow 20 reached, connection timed out, timeout 30.00 order={order}"),
            Line("ERROR", "transaction for {order} not started"),
            Line("WARN", "pg_stat_activity: 28 sessions idle in transaction from {service}", "steady", 4),
        ),
        (
            Line("ERROR", "FATAL: remaining connection slots are reserved for superuser connections, while loading {order}"),
            Line("ERROR", "pq: sorry, too many clients already order={order}"),
        ),
    ),
    cause_keywords=("connection pool", "pool", "database connection", "connections", "connection slots", "too many clients", "jdbc"),
    runbooks=("08-database-connections-used-up.md",),
    action=None,
    refusal=(503, "{service} has no database connection"),
    passing=0.2,
)  # fmt: skip

_STALE_LOCK = Fault(
    name="stale_lock",
    stages=(*_PAYOUTS, "bank_transfer", "card_funding"),
    wordings=(
        (
            Line("WARN", "{order} skipped, lock payment:{order} held by worker-{thread} (pid gone)"),
            Line("WARN", "lock payment:{order} has no expiry, owner not seen since {time}"),
            Line("ERROR", "worker-{n} killed (OOM), {many} payments in hand", "once"),
        ),
        (
            Line("ERROR", "DuplicatePaymentException: a payment for {order} is already in progress (started {time})"),
            Line("INFO", "duplicate guard refused {order}, marker set at {time}"),
        ),
        (
            Line("WARN", "idempotency record for {order} still IN_FLIGHT since {time}, refusing second submission"),
            Line("WARN", "IN_FLIGHT records older than 1h: {many}", "steady", 4),
            Line("WARN", "node {ip} removed from cluster without shutdown", "once"),
        ),
    ),
    cause_keywords=("duplicate guard", "stale lock", "leftover", "locks", "lock payment", "duplicatepayment", "in_flight", "already in progress", "idempotency record"),
    runbooks=("17-duplicate-guard-leftovers.md",),
    action="clear_locks",
    refusal=(409, "a payment for this order is marked as in progress"),
    passing=0.5,
)  # fmt: skip

INTERNAL_FAULTS = (_QUEUE_BACKLOG, _BAD_DEPLOY, _HOLD_SURGE, _STALE_RATES, _POOL_EXHAUSTED, _STALE_LOCK)
