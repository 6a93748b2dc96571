"""Tables of the platform database: the one record of what ran, what it cost and what people decided.

Money is integer micro-dollars, times are UTC. `blocks.migrations` creates these tables, the triggers that
keep outcomes and corrections unchanged, and the view `skill_executions`.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    column,
    table,
    text,
)

from blocks.columns import Json, PlainText, UtcDateTime

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

Serial = BigInteger().with_variant(Integer, "sqlite")
"""A number that the database counts up."""

TRIGGER_STATES = (
    "pending", "running", "done", "refused", "failed", "deferred",
    "unmatched", "counted", "grouped", "suppressed",
)  # fmt: skip
RESULTS = ("completed", "awaiting_approval", "no_action", "refused", "failed")
OUTCOMES = ("success", "partial", "error", "refused", "rejected", "expired")
STEP_STATUSES = ("ok", "no_data", "error")
APPROVAL_STATUSES = (
    "waiting", "approved", "rejected", "expired", "superseded", "stopped", "done", "failed",
)  # fmt: skip
MESSAGE_STATES = ("pending", "sent", "failed")
TELEMETRY = ("langfuse", "opik")
TELEMETRY_STATES = ("pending", "failed")
CORRECTION_KINDS = ("correction", "confirmation", "withdrawal")
ACTION_STATUSES = ("pending", "running", "done", "failed", "skipped", "unknown")


def _one_of(column: str, values: tuple[str, ...]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


triggers = Table(
    "triggers",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("source", PlainText, nullable=False),
    Column("domain", PlainText, nullable=False),
    Column("dedupe_key", PlainText, nullable=False, unique=True),
    Column("payload", Json),
    Column("run_id", String(200), nullable=False, unique=True),
    Column("state", String(20), nullable=False),
    Column("result", String(20)),
    Column("reason", PlainText, nullable=False, server_default=""),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("claimed_by", PlainText),
    Column("lease_until", UtcDateTime),
    Column("flow_run_id", PlainText),
    Column("created_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    Column("received", Json),
    Column("rule", PlainText, nullable=False, server_default=""),
    Column("incident", PlainText, nullable=False, server_default=""),
    Column("part_of", String(40)),
    Column("asked_by", PlainText, nullable=False, server_default=""),
    Column("origin", Json),
    Column("next_attempt_at", UtcDateTime),
    Column("give_up_at", UtcDateTime),
    Column("dispatches", Integer, nullable=False, server_default="0"),
    Column("dispatched_at", UtcDateTime),
    Column("resolved_at", UtcDateTime),
    Index(None, "state", "domain"),
    Index(None, "domain", "started_at"),
    Index(None, "started_at"),
    Index(None, "incident", "part_of", "created_at"),
    Index(None, "state", "next_attempt_at"),
    Index(None, "part_of"),
    Index(None, "created_at"),
    _one_of("state", TRIGGER_STATES),
    _one_of("result", RESULTS),
)
"""The inbox: one row a trigger, and so one a run.

`received` is the message as it came in and `payload` the run's input made of it. `incident` names what the
trigger is about, for grouping, counting and quiet periods. A trigger that joined another one's run is
`part_of` it. `origin` is where the answer goes.
"""

_UNARCHIVED = "archive IS NULL AND finished_at IS NOT NULL"

executions = Table(
    "executions",
    metadata,
    Column("execution_id", String(200), primary_key=True),
    Column("key", String(36), nullable=False, unique=True),
    Column("run_id", String(200), nullable=False, index=True),
    Column("domain", PlainText, nullable=False),
    Column("skill_name", PlainText, nullable=False),
    Column("skill_role", String(20), nullable=False),
    Column("from_skill", PlainText),
    Column("rule", PlainText),
    Column("pattern_key", PlainText),
    Column("model", PlainText, nullable=False),
    Column("provider", PlainText, nullable=False),
    Column("started_at", UtcDateTime, nullable=False, index=True),
    Column("finished_at", UtcDateTime),
    Column("outcome", String(20)),
    Column("error", PlainText),
    Column("input_data", Json),
    Column("output_data", Json),
    Column("reasoning_trace", PlainText),
    Column("latency_seconds", Float),
    Column("model_seconds", Float, nullable=False, server_default="0"),
    Column("tool_seconds", Float, nullable=False, server_default="0"),
    Column("cost_micro", BigInteger, nullable=False, server_default="0"),
    Column("input_tokens", BigInteger, nullable=False, server_default="0"),
    Column("output_tokens", BigInteger, nullable=False, server_default="0"),
    Column("cache_read_tokens", BigInteger, nullable=False, server_default="0"),
    Column("cache_write_tokens", BigInteger, nullable=False, server_default="0"),
    Column("archive", PlainText),
    Index(None, "domain", "started_at"),
    Index(None, "skill_name", "started_at", "outcome"),
    Index(
        "ix_executions_unarchived",
        "finished_at",
        sqlite_where=text(_UNARCHIVED),
        postgresql_where=text(_UNARCHIVED),
    ),
    _one_of("skill_role", ("manager", "specialist")),
    _one_of("outcome", OUTCOMES),
)
"""One row a skill execution. `outcome` is null until it ends, then never changes.

`archive` is the file that its journal was moved to, null while it stands in the database.
"""

execution_steps = Table(
    "execution_steps",
    metadata,
    Column("execution_id", ForeignKey("executions.execution_id"), primary_key=True),
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(10), nullable=False),
    Column("name", PlainText, nullable=False),
    Column("call", Integer),
    Column("request_digest", String(64), nullable=False, server_default=""),
    Column("input", Json),
    Column("output", Json),
    Column("summary", PlainText, nullable=False, server_default=""),
    Column("status", String(10), nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("tokens", Json),
    Column("cost_micro", BigInteger, nullable=False, server_default="0"),
    _one_of("kind", ("model", "tool")),
    _one_of("status", STEP_STATUSES),
)
"""The journal: each model turn and tool call of an execution, in order."""

handoffs = Table(
    "handoffs",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("run_id", String(200), nullable=False, index=True),
    Column("from_execution_id", ForeignKey("executions.execution_id"), nullable=False),
    Column("from_skill", PlainText, nullable=False),
    Column("to_skill", PlainText, nullable=False),
    Column("rule", PlainText, nullable=False, server_default=""),
    Column("pattern_key", PlainText, nullable=False, server_default=""),
    Column("context", Json),
    Column("to_execution_id", ForeignKey("executions.execution_id")),
    Column("created_at", UtcDateTime, nullable=False),
    UniqueConstraint("from_execution_id", "pattern_key", "to_skill"),
)
"""Routing decisions. `to_skill` is `none` where patterns were found and no rule matched."""

corrections = Table(
    "corrections",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("execution_id", ForeignKey("executions.execution_id"), nullable=False, index=True),
    Column("correction", Json, nullable=False),
    Column("corrected_by", PlainText, nullable=False),
    Column("via", PlainText, nullable=False),
    Column("verified", Boolean, nullable=False, server_default=text("false")),
    Column("created_at", UtcDateTime, nullable=False, index=True),
    Column("kind", String(20), nullable=False, server_default="correction"),
    Column("refers_to", ForeignKey("corrections.id"), index=True),
    _one_of("kind", CORRECTION_KINDS),
)
"""What users said about executions. Append-only: the database refuses updates and deletes.

A `correction` says what was wrong and what is right. A `confirmation` says the same as the correction it
refers to, or, without one, that the execution was right. A `withdrawal` takes back the row it refers to.
"""

spend = Table(
    "spend",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("domain", PlainText, nullable=False),
    Column("day", Date, nullable=False),
    Column("run_id", String(200), nullable=False),
    Column("execution_id", ForeignKey("executions.execution_id"), nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("reserved_micro", BigInteger, nullable=False),
    Column("settled_micro", BigInteger),
    Column("lapsed", Boolean, nullable=False, server_default=text("false")),
    Column("lease_until", UtcDateTime, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Index(None, "execution_id", "sequence"),
    Index(None, "day", "domain"),
    Index(
        "ix_spend_open",
        "lease_until",
        sqlite_where=text("settled_micro IS NULL"),
        postgresql_where=text("settled_micro IS NULL"),
    ),
)
"""Reservations of money, settled when the cost is known. `lapsed`: the lease ran out before that."""

budget_days = Table(
    "budget_days",
    metadata,
    Column("scope", String(200), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("committed_micro", BigInteger, nullable=False, server_default="0"),
)
"""Sum of `spend` a UTC day: by `domain:NAME`, and `platform` for all. The row that reservations lock."""

approvals = Table(
    "approvals",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("run_id", String(200), nullable=False, index=True),
    Column("execution_id", ForeignKey("executions.execution_id"), nullable=False),
    Column("domain", PlainText, nullable=False),
    Column("skill", PlainText, nullable=False),
    Column("subject", PlainText, nullable=False),
    Column("proposal", Json, nullable=False),
    Column("effect", Json),
    Column("status", String(20), nullable=False),
    Column("requested_by", PlainText, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("reminded_at", UtcDateTime),
    Column("escalated_at", UtcDateTime),
    Column("flow_run_id", PlainText),
    Column("decided_by", PlainText),
    Column("decided_via", PlainText),
    Column("verified", Boolean, nullable=False, server_default=text("false")),
    Column("decided_at", UtcDateTime),
    Column("comment", PlainText, nullable=False, server_default=""),
    Column("superseded_by", String(40)),
    Column("claimed_by", PlainText),
    Column("lease_until", UtcDateTime),
    Column("started_at", UtcDateTime),
    Column("result", Json),
    Column("finished_at", UtcDateTime),
    UniqueConstraint("execution_id", "subject"),
    Index(None, "status", "expires_at"),
    Index(
        "uq_approvals_waiting",
        "domain",
        "subject",
        unique=True,
        sqlite_where=text("status = 'waiting'"),
        postgresql_where=text("status = 'waiting'"),
    ),
    _one_of("status", APPROVAL_STATUSES),
)
"""Proposed fixes and what people decided. One waits for a subject of a domain at most."""

votes = Table(
    "votes",
    metadata,
    Column("approval_id", ForeignKey("approvals.id"), primary_key=True),
    Column("person", String(200), primary_key=True),
    Column("name", PlainText, nullable=False),
    Column("via", PlainText, nullable=False),
    Column("verified", Boolean, nullable=False),
    Column("comment", PlainText, nullable=False, server_default=""),
    Column("created_at", UtcDateTime, nullable=False),
)
"""Who has approved a fix so far, each person once. `person` is the name in lower case."""

approver_tokens = Table(
    "approver_tokens",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("person", PlainText, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("revoked_at", UtcDateTime),
)
"""Personal approver tokens, as SHA-256: they prove on the command line who decides."""

messages = Table(
    "messages",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("key", String(200), nullable=False, unique=True),
    Column("channel", String(20), nullable=False),
    Column("address", Json, nullable=False),
    Column("body", Json, nullable=False),
    Column("about", PlainText, nullable=False),
    Column("replaces", String(200)),
    Column("state", String(10), nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("next_attempt_at", UtcDateTime, nullable=False),
    Column("reason", PlainText, nullable=False, server_default=""),
    Column("external_id", PlainText),
    Column("created_at", UtcDateTime, nullable=False),
    Column("sent_at", UtcDateTime),
    Index(None, "state", "next_attempt_at"),
    Index(None, "about"),
    _one_of("channel", ("slack", "whatsapp")),
    _one_of("state", MESSAGE_STATES),
)
"""What people are to be told: written in the transaction of what happened, sent by the background services.

`key` makes a message once; `replaces` is the key of the message that it takes the place of, such as an
approval's buttons; `about` is a run or an approval; `external_id` the channel's own id of the message.
"""

actions = Table(
    "actions",
    metadata,
    Column("approval_id", ForeignKey("approvals.id"), primary_key=True),
    Column("action", String(200), primary_key=True),
    Column("object_key", String(500), primary_key=True),
    Column("idempotency_key", String(36), unique=True),
    Column("status", String(10), nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("request", Json),
    Column("response", Json),
    Column("started_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    Index(None, "action", "object_key"),
    Index(
        "uq_actions_taken",
        "action",
        "object_key",
        unique=True,
        sqlite_where=text("status IN ('running', 'done', 'unknown')"),
        postgresql_where=text("status IN ('running', 'done', 'unknown')"),
    ),
    _one_of("status", ACTION_STATUSES),
)
"""What an approved fix did to each object. No two proposals act on one object in the same way."""

incidents = Table(
    "incidents",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("domain", PlainText, nullable=False),
    Column("stage", PlainText, nullable=False, server_default=""),
    Column("title", PlainText, nullable=False),
    Column("symptoms", PlainText, nullable=False, server_default=""),
    Column("root_cause", PlainText, nullable=False, server_default=""),
    Column("fix", PlainText, nullable=False, server_default=""),
    Column("outcome", PlainText, nullable=False, server_default=""),
    Column("source", PlainText, nullable=False),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("resolved_at", UtcDateTime),
    Column("execution_id", ForeignKey("executions.execution_id"), unique=True),
    Column("correction_id", ForeignKey("corrections.id")),
    Column("said_by", Json),
    Column("said_at", UtcDateTime),
    Column("trusted", Boolean, nullable=False, server_default=text("true")),
    Index(None, "domain", "stage"),
    Index("uq_incidents_correction_id", "correction_id", unique=True),
    sqlite_autoincrement=True,
)
"""Memory: resolved incidents, for the next similar one.

One that people's correction brought in has the correction's id; `said_by` lists who says so, `said_at` is
when that was last said, and `trusted` whether enough of them do for skills to follow it.
"""

controls = Table(
    "controls",
    metadata,
    Column("name", String(200), primary_key=True),
    Column("stopped", Boolean, nullable=False),
    Column("changed_by", PlainText, nullable=False),
    Column("reason", PlainText, nullable=False, server_default=""),
    Column("changed_at", UtcDateTime, nullable=False),
)
"""Kill switches: `domain:NAME`, `actions` for all of them, `approval:ID` for one fix under way."""

execution_totals = Table(
    "execution_totals",
    metadata,
    Column("domain", String(200), primary_key=True),
    Column("skill_name", String(200), primary_key=True),
    Column("skill_role", String(20), primary_key=True),
    Column("model", String(200), primary_key=True),
    Column("outcome", String(20), primary_key=True),
    Column("bucket", String(10), primary_key=True),
    Column("executions", BigInteger, nullable=False, server_default="0"),
    Column("cost_micro", BigInteger, nullable=False, server_default="0"),
    Column("latency_seconds", Float, nullable=False, server_default="0"),
    Column("exemplar", String(200), nullable=False, server_default=""),
    Column("exemplar_seconds", Float, nullable=False, server_default="0"),
    Column("exemplar_at", UtcDateTime),
)
"""Ended executions, counted in the transaction that ends them: what metrics are made of.

`bucket` is the smallest of `tally.BUCKETS` that the latency fits into; `exemplar` the last one's id.
"""

execution_slots = Table(
    "execution_slots",
    metadata,
    Column("slot", UtcDateTime, primary_key=True),
    Column("domain", String(200), primary_key=True),
    Column("skill_name", String(200), primary_key=True),
    Column("outcome", String(20), primary_key=True),
    Column("executions", BigInteger, nullable=False, server_default="0"),
    Column("cost_micro", BigInteger, nullable=False, server_default="0"),
)
"""The same by the quarter of an hour in which they started, for what is asked of a day."""

counters = Table(
    "counters",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("labels", String(500), primary_key=True),
    Column("value", BigInteger, nullable=False, server_default="0"),
)
"""What else is counted in the transaction in which it happens. `labels` is a JSON object, keys in order."""

outbox = Table(
    "outbox",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("destination", String(20), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("subject", String(200), nullable=False),
    Column("state", String(10), nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("next_attempt_at", UtcDateTime, nullable=False),
    Column("reason", PlainText, nullable=False, server_default=""),
    Column("created_at", UtcDateTime, nullable=False),
    UniqueConstraint("destination", "kind", "subject"),
    Index(None, "destination", "state", "next_attempt_at"),
    _one_of("destination", TELEMETRY),
    _one_of("state", TELEMETRY_STATES),
)
"""What Langfuse and Opik have yet to be told of: an `execution`, or a `correction`, by its id.

A row goes once the other side has confirmed it.
"""

config_versions = Table(
    "config_versions",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("file", PlainText, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("content", Json),
    Column("seen_at", UtcDateTime, nullable=False, index=True),
    Column("seen_by", PlainText, nullable=False),
    Column("commit_hash", PlainText, nullable=False, server_default=""),
    Column("commit_author", PlainText, nullable=False, server_default=""),
)
"""Contents of the config that processes acted by, secrets hidden. `content` is kept of a file's newest one.

`seen_by` is the user of the process that saw it first; the commit, where there is one, a claim.
"""

config_changes = Table(
    "config_changes",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("version_id", ForeignKey("config_versions.id"), nullable=False, index=True),
    Column("domain", PlainText, nullable=False, server_default=""),
    Column("key", PlainText, nullable=False),
    Column("old", PlainText),
    Column("new", PlainText),
)
"""What a version of the config changed, key by key. `domain` is empty where it concerns all."""

skill_executions = table(
    "skill_executions",
    column("execution_id", String),
    column("timestamp", UtcDateTime),
    column("domain", String),
    column("skill_name", String),
    column("skill_role", String),
    column("manager_skill", String),
    column("specialist_skill", String),
    column("outcome", String),
    column("input_data", Json),
    column("output_data", Json),
    column("reasoning_trace", String),
    column("tool_calls", Json),
    column("latency_seconds", Float),
    column("cost_dollars", Float),
    column("user_correction", Json),
)
"""The view of finished executions. `timestamp` is when one started."""
