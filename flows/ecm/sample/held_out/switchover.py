"""A broker that changed its leading node forgot messages which it had already accepted."""

# ruff: noqa: E501 - log lines are as long as software prints them

from __future__ import annotations

from flows.ecm.sample.fault import Fault, Line

_BROKER = "payments-queue"

_LOG = (
    Line(
        "ERROR",
        "OutboxAudit: {order} acknowledged at epoch 41, but epoch 42 of orders.{stage} starts below that position",
        service=_BROKER,
    ),
    Line(
        "ERROR", "OutboxAudit: nothing to read for {order} although its row is flagged SENT", service=_BROKER
    ),
    Line(
        "WARN",
        "orders.{stage}-0: broker-3 becomes leader, in-sync set was [2], unclean=true",
        "once",
        service=_BROKER,
    ),
    Line(
        "WARN",
        "orders.{stage}-0: follower cuts its log back by {many} records to agree with leader",
        "steady",
        2,
        _BROKER,
    ),
    Line("INFO", "poll returned 0 records, position equals end, nothing to do", "steady", 8),
)
_PAIRS = (
    Line(
        "ERROR",
        "event=ack_overdue order={order} dest=orders.{stage} published=true on_disk=false",
        service=_BROKER,
    ),
    Line(
        "WARN",
        "event=ack_overdue order={order} dest=orders.{stage} age_min={minutes} action=none",
        service=_BROKER,
    ),
    Line(
        "WARN",
        "event=mirror_promoted dest=orders.{stage} node=rmq-b synced=false previous=rmq-a reason=node_down",
        "once",
        service=_BROKER,
    ),
    Line(
        "WARN",
        "event=node_rejoined node=rmq-a contents=discarded dest=orders.{stage}",
        "steady",
        1.5,
        _BROKER,
    ),
    Line("INFO", "event=heartbeat inflight=0 ready=0 listeners=4/4", "steady", 8),
)
_GO = (
    Line("ERROR", "sweeper: {order}: sequence missing from stream ORDERS_{stage} (gap), publisher believes it was stored", service=_BROKER),
    Line("WARN", "sweeper: {order}: still no trace downstream", service=_BROKER),
    Line("ERROR", "raft: quorum member js-1 lost, js-3 took over from snapshot {minutes}m old", "steady", 2, _BROKER),
    Line("WARN", "daily tally: {many} intents recorded, far fewer picked up by {service}", "steady", 1, "ledger-core"),
)  # fmt: skip

SWITCHOVER = Fault(
    name="accepted_then_forgotten",
    stages=("lulu", "meridian", "zento", "kaveri", "tambo", "bank_transfer", "kyc", "compliance_review"),
    wordings=(_LOG, _PAIRS, _GO),
    cause_keywords=(
        "failover", "fail-over", "switchover", "switch-over", "leader", " election", "promoted", "lost message",
        "messages lost", "messages were lost", "messages gone", "replica", "mirror", "snapshot", "data loss",
    ),
    runbooks=("messages-gone-after-a-broker-switchover.md",),
    action="requeue_orders",
    refusal=(409, "there is no message for this order any more, so nothing would pick it up"),
    passing=0.1,
)  # fmt: skip
