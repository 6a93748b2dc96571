"""A read replica falls behind, so a stage does not see what was just written about an order."""

from __future__ import annotations

from flows.ecm.sample.fault import Fault, Line

_POSTGRES = (
    Line("ERROR", "load order {order}: no rows in result set (source=replica)"),
    Line("WARN", "order {order} not found on pg-replica-2, giving up after {attempt} reads"),
    Line("WARN", "pg-replica-2: replay lag {minutes} min behind primary", "steady", 6),
    Line("ERROR", "canceling statement due to conflict with recovery (SQLSTATE 40001)", "steady", 2),
)
_MYSQL = (
    Line("WARN", "{order} skipped: state CREATED, expected READY (read from mysql-ro-1)"),
    Line("WARN", "stale read for {order}: expected row version {n}, replica has an older one"),
    Line("WARN", "mysql-ro-1 Seconds_Behind_Source: {many}, threshold 30", "steady", 6),
)

REPLICA = Fault(
    name="lagging_replica",
    stages=("card_funding", "fx", "kyc", "compliance_review"),
    wordings=(_POSTGRES, _MYSQL),
    cause_keywords=("replica", "replication", "stale read", "stale data"),
    runbooks=("read-replica-lag.md",),
    action=None,
    refusal=(409, "order is not in a state that allows this"),
    passing=0.35,
)
