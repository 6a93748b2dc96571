"""What must hold whatever fails, told from the outside: the record against what the neighbours saw."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from langfuse import Langfuse
from sqlalchemy import Connection, text

from blocks.config_file import load
from blocks.database import DatabaseError
from tests.faults.traffic import Ledger
from tests.faults.world import World
from tests.scraped import every, of, samples

QUIET_SECONDS = 300.0
"""So long the platform may take to come to rest once nothing is injected any more."""
UNDER_WAY = ("PENDING", "RUNNING", "CANCELLING")
JOINED = ("grouped", "suppressed", "counted")


@dataclass(frozen=True)
class State:
    """The rows of the record that the audit looks at."""

    triggers: list[Any]
    executions: list[Any]
    spend: list[Any]
    steps: list[Any]
    approvals: list[Any]
    actions: list[Any]
    messages: list[Any]
    outbox: list[Any]
    days: list[Any]
    handoffs: list[Any]


_COLUMNS = {
    "triggers": "id, source, dedupe_key, run_id, state, result, reason, attempts, part_of, flow_run_id",
    "executions": "execution_id, run_id, domain, skill_name, skill_role, pattern_key, outcome, error,"
    " cost_micro",
    "spend": "execution_id, sequence, domain, day, reserved_micro, settled_micro, lapsed",
    "execution_steps": "execution_id, sequence, kind, cost_micro",
    "approvals": "id, run_id, execution_id, domain, status, decided_by, flow_run_id, result",
    "actions": "approval_id, action, object_key, idempotency_key, status, attempts",
    "messages": "key, channel, state, reason",
    "outbox": "destination, kind, subject, state",
    "budget_days": "scope, day, committed_micro",
    "handoffs": "from_skill, to_skill",
}


def read(world: World) -> State:
    """The record, at one moment."""

    def rows(conn: Connection) -> list[list[Any]]:
        return [
            list(conn.execute(text(f"SELECT {columns} FROM {table}"))) for table, columns in _COLUMNS.items()
        ]

    return State(*world.database.read_now(rows))


def wait_until_quiet(world: World, seconds: float = QUIET_SECONDS) -> tuple[float, list[str]]:
    """Waits until nothing is under way; how long it took, and what still is after all."""
    began = time.monotonic()
    restless = ["never looked"]
    while time.monotonic() - began < seconds:
        try:
            restless = [*unrest(world)]
        except (DatabaseError, httpx.HTTPError) as error:
            restless = [f"can't be asked: {error!r}"]
        if not restless:
            break
        time.sleep(1.0)
    return time.monotonic() - began, restless


def unrest(world: World) -> Iterator[str]:
    """What is under way, or should be and is not."""
    now = read(world)
    for row in now.triggers:
        if row.state in ("pending", "running", "deferred"):
            yield f"trigger {row.id} is {row.state} after {row.attempts} attempts: {row.reason}"
    waiting = {row.execution_id: row for row in now.approvals if row.status in ("waiting", "approved")}
    for row in now.executions:
        if row.outcome is None and row.execution_id not in waiting:
            yield f"execution {row.execution_id} has not ended"
    for row in now.approvals:
        if row.status == "approved":
            yield f"fix {row.id} is approved and not carried out"
    for name, rows in (("message", now.messages), ("outbox row", now.outbox)):
        if count := sum(row.state == "pending" for row in rows):
            yield f"{count} of {name} wait to be sent"
    body = {"flow_runs": {"state": {"type": {"any_": [*UNDER_WAY, "PAUSED"]}}}, "limit": 200}
    flow_runs = {run["id"]: run for run in world.ask("/flow_runs/filter", body)}
    for run in flow_runs.values():
        if run["state_type"] in UNDER_WAY:
            yield f"flow run {run['name']} is {run['state_name']}"
    attached = {row.flow_run_id for row in waiting.values()}
    for row in waiting.values():
        if row.status == "waiting" and row.flow_run_id not in flow_runs:
            yield f"fix {row.id} waits, and no flow run waits for its decision"
    for id, run in flow_runs.items():
        if run["state_type"] == "PAUSED" and id not in attached:
            yield f"flow run {run['name']} is {run['state_name']}, and no fix waits for it"
    if runs := world.runs():
        yield f"processes of runs live: {[each.pid for each in runs]}"
    if children := world.mcp_children():
        yield f"MCP servers live: {[each.pid for each in children]}"


Check = Callable[[World, Ledger, State], Iterator[str]]


def audit(world: World, ledger: Ledger) -> list[str]:
    """Every violation, in words. To be asked when all is quiet."""
    now = read(world)
    return [f"{name}: {told}" for name, check in CHECKS.items() for told in check(world, ledger, now)]


def no_trigger_lost(world: World, ledger: Ledger, now: State) -> Iterator[str]:
    """What the gateway accepted stands in the inbox, once, and has ended."""
    rows = {row.id: row for row in now.triggers}
    yield from ledger.refused
    for key, ids in ledger.accepted.items():
        if len(ids) != 1:
            yield f"{key} was accepted as {sorted(ids)}"
        for id in ids:
            row = rows.get(id)
            if row is None:
                yield f"{key} was accepted as {id}, which the inbox does not have"
            elif row.state not in ("done", "failed", *JOINED) and row.part_of is None:
                yield f"{key}, {id}, is {row.state}: {row.reason}"
            elif row.state in ("failed", "refused") and not row.reason:
                yield f"{key}, {id}, is {row.state} without a reason"


def none_run_twice(world: World, ledger: Ledger, now: State) -> Iterator[str]:
    """A trigger has one run, a run one execution of a skill on a pattern."""
    for what, count in Counter(row.dedupe_key for row in now.triggers).items():
        if count > 1:
            yield f"{what} has {count} rows"
    runs = {row.run_id for row in now.triggers}
    seen = Counter((row.run_id, row.skill_name, row.pattern_key) for row in now.executions)
    for each, count in seen.items():
        if count > 1:
            yield f"{each} has {count} executions"
        if each[0] not in runs:
            yield f"{each} belongs to no trigger"
    managed = {row.run_id for row in now.executions if row.skill_role == "manager"}
    for row in now.triggers:
        if (
            row.state == "done"
            and row.result != "refused"
            and row.part_of is None
            and row.run_id not in managed
        ):
            yield f"{row.id} is done, and its run did nothing"


def one_turn_in_flight(world: World, ledger: Ledger, now: State) -> Iterator[str]:
    """A start that was cut off loses at most the turn in flight, and so does an answer that was lost.

    An answer lost on its way is asked for once more. What was lost counts as reserved.
    """
    starts: Counter[str] = Counter({row.run_id: row.attempts for row in now.triggers})
    run_of = {row.execution_id: row.run_id for row in now.executions}
    outcome = {row.execution_id: row.outcome for row in now.executions}
    asked = Counter((row.execution_id, row.sequence) for row in now.spend)
    for (id, sequence), count in asked.items():
        if count > 2 * max(1, starts[run_of[id]]):
            yield f"turn {sequence} of {id} was asked for {count} times in {starts[run_of[id]]} starts"
    open_ = [row for row in now.spend if row.lapsed or row.settled_micro is None]
    lost = Counter(row.execution_id for row in open_)
    interrupted = sum(max(0, starts[run_of[id]] - 1) for id in lost)
    answers = world.model.lost + world.wires["model"].cut
    if lost.total() > answers + interrupted:
        yield f"{lost.total()} turns were lost by {answers} lost answers and {interrupted} interruptions"
    for row in now.spend:
        if row.lapsed and row.settled_micro != row.reserved_micro:
            yield f"a lost turn of {row.execution_id} counts {row.settled_micro} of {row.reserved_micro}"
        if row.settled_micro is None and outcome[row.execution_id] is not None:
            yield f"a reservation of {row.execution_id} is neither settled nor lapsed"
    if world.model.answered > len(now.spend):
        yield f"{world.model.answered} turns were answered, and {len(now.spend)} reserved"


def actions_once(world: World, ledger: Ledger, now: State) -> Iterator[str]:
    """What the company did: once an object, under an approval given before by a person of ours."""
    by_key = {row.idempotency_key: row for row in now.actions if row.idempotency_key}
    approved = {row.id: row for row in now.approvals}
    done: Counter[tuple[str, str]] = Counter()
    for act in world.company.acts:
        row = by_key.get(act.key)
        if row is None:
            yield f"{act.order} was acted on under a key that the record does not have: {act.key}"
            continue
        done[row.action, row.object_key] += 1
        said, fix = ledger.said.get(row.approval_id), approved[row.approval_id]
        if not row.object_key.startswith(f"{act.order}@"):
            yield f"{act.order} was acted on for {row.object_key}"
        if said is None or not said.yes or said.at > act.at:
            yield f"{row.object_key} was acted on without an approval of {row.approval_id}"
        if fix.status in ("waiting", "rejected", "expired", "superseded") or fix.decided_by not in (
            "Ada",
            "Ben",
        ):
            yield f"{row.object_key} was acted on, and {fix.id} is {fix.status} by {fix.decided_by}"
        if row.status not in ("done", "unknown"):
            yield f"{row.object_key} was acted on, and the record says {row.status}"
    for each, count in done.items():
        if count > 1:
            yield f"{each} was done {count} times"
    for row in now.actions:
        if row.status == "done" and not done[row.action, row.object_key]:
            yield f"the record says that {row.object_key} was done, and the company did nothing"
        if row.status == "running":
            yield f"{row.object_key} of {row.approval_id} is still running"


def decisions_hold(world: World, ledger: Ledger, now: State) -> Iterator[str]:
    """No fix was approved that people rejected, and none rejected that they approved."""
    yes, no = ("approved", "done", "failed", "stopped"), ("rejected",)
    for row in now.approvals:
        said = ledger.said.get(row.id)
        if row.status in yes and not (said and said.yes):
            yield f"{row.id} is {row.status}, and nobody approved it"
        if row.status in no and not (said and not said.yes):
            yield f"{row.id} is {row.status}, and nobody rejected it"


def no_budget_passed(world: World, ledger: Ledger, now: State) -> Iterator[str]:
    """What is committed of a day is the sum of its reservations, and within the budget."""
    config = load(Path(world.up.environment["ASPORA_CONFIG"]))
    for scope, day, committed in now.days:
        domain = scope.removeprefix("domain:")
        rows = [row for row in now.spend if row.day == day and scope in ("platform", f"domain:{row.domain}")]
        total = sum(row.reserved_micro if row.settled_micro is None else row.settled_micro for row in rows)
        if total != committed:
            yield f"{scope} has {committed} committed on {day}, and its reservations are {total}"
        limits = config.platform.guardrails if scope == "platform" else config.domains[domain].guardrails
        if limits.budget is not None and committed > limits.budget:
            yield f"{scope} has {committed} committed of {limits.budget}"
    cost: Counter[str] = Counter()
    for row in now.spend:
        cost[row.execution_id] += row.settled_micro or 0
    for row in now.executions:
        if row.outcome is not None and row.cost_micro != cost[row.execution_id]:
            yield f"{row.execution_id} cost {row.cost_micro}, and its turns {cost[row.execution_id]}"


def metrics_equal_record(world: World, ledger: Ledger, now: State) -> Iterator[str]:
    """What Prometheus is told, against a count of the rows."""
    found = samples(world.metrics())
    ended = [row for row in now.executions if row.outcome is not None]
    yield from _equal(
        found,
        "aspora_executions_total",
        ("domain", "outcome"),
        Counter((row.domain, row.outcome) for row in ended),
    )
    yield from _equal(
        found, "aspora_skill_executions_total", ("skill_name", "outcome", "skill_role"),
        Counter((row.skill_name, row.outcome, row.skill_role) for row in ended),
    )  # fmt: skip
    yield from _equal(
        found,
        "aspora_skill_latency_seconds_count",
        ("skill_name",),
        Counter((row.skill_name,) for row in ended),
    )
    yield from _equal(
        found, "aspora_skill_routing_decisions", ("from_skill", "to_skill"),
        Counter((row.from_skill, row.to_skill) for row in now.handoffs),
    )  # fmt: skip
    status = {
        "approved": ("approved", "done", "failed", "stopped"),
        "rejected": ("rejected",),
        "expired": ("expired",),
        "superseded": ("superseded",),
    }
    counted: Counter[tuple[str, ...]] = Counter()
    for name, of_status in status.items():
        counted["ecm", name] = sum(row.status in of_status for row in now.approvals)
    yield from _equal(found, "aspora_approval_decisions_total", ("domain", "decision"), counted)
    waiting = sum(row.status == "waiting" for row in now.approvals)
    if of(found, "aspora_approvals_waiting", domain="ecm") != waiting:
        yield f"aspora_approvals_waiting is not {waiting}"
    cost = sum(row.cost_micro for row in ended) / 1_000_000
    told = of(found, "aspora_cost_total_dollars", domain="ecm")
    if told is None or abs(told - cost) > 1e-6:
        yield f"aspora_cost_total_dollars is {told}, and the record has {cost}"
    for labels, value in every(found, "aspora_inbox_triggers"):
        if value:
            yield f"{value:g} triggers are {labels['state']}, says aspora_inbox_triggers"


def _equal(found: Any, name: str, labels: tuple[str, ...], counted: Counter[Any]) -> Iterator[str]:
    told = {tuple(given[each] for each in labels): value for given, value in every(found, name)}
    for key in {*told, *counted}:
        if told.get(key, 0) != counted[key]:
            yield f"{name}{key} is {told.get(key)}, and the record has {counted[key]}"


def ends_are_true(world: World, ledger: Ledger, now: State) -> Iterator[str]:
    """A run that says what it did says what its executions did."""
    by_run: dict[str, list[Any]] = {}
    for row in now.executions:
        by_run.setdefault(row.run_id, []).append(row)
    fixes: dict[str, set[str]] = {}
    for row in now.approvals:
        fixes.setdefault(row.run_id, set()).add(row.status)
    for row in now.triggers:
        of_run = by_run.get(row.run_id, [])
        if row.result == "awaiting_approval" and not fixes.get(row.run_id, set()) & {"waiting", "approved"}:
            yield f"{row.id} waits for approval, and its fixes are {fixes.get(row.run_id)}"
        if row.result == "completed" and any(each.outcome is None for each in of_run):
            yield f"{row.id} is completed, and an execution of it has not ended"
    for row in now.executions:
        if row.outcome == "error" and not row.error:
            yield f"{row.execution_id} failed without a word"


def telemetry_complete(world: World, ledger: Ledger, now: State) -> Iterator[str]:
    """Langfuse and Opik have each ended execution, and nothing else."""
    ended = {row.execution_id for row in now.executions if row.outcome is not None}
    traces = {Langfuse.create_trace_id(seed=each) for each in ended}
    seen = {span.trace for span in world.langfuse.spans.values()}
    if traces != seen:
        yield f"Langfuse lacks {len(traces - seen)} executions and has {len(seen - traces)} others"
    told = {span.get("metadata", {}).get("execution_id") for span in world.opik.spans.values()} - {None}
    if ended != told:
        yield f"Opik lacks {sorted(ended - told)[:5]} and has {sorted(told - ended)[:5]} besides"
    for name, rows in (("messages", now.messages), ("telemetry rows", now.outbox)):
        if failed := [row for row in rows if row.state == "failed"]:
            yield f"{len(failed)} {name} were given up: {failed[0]}"


CHECKS: dict[str, Check] = {
    "no trigger lost": no_trigger_lost,
    "none run twice": none_run_twice,
    "one turn in flight": one_turn_in_flight,
    "actions once, approved": actions_once,
    "decisions hold": decisions_hold,
    "no budget passed": no_budget_passed,
    "metrics equal the record": metrics_equal_record,
    "ends are true": ends_are_true,
    "telemetry complete": telemetry_complete,
}
