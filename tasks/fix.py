"""Carries out a fix that a person has approved: object by object, each checked again first."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx
from sqlalchemy import Connection

from blocks.config import Action
from tasks import (
    actions,
    approvals,
    calls,
    controls,
    decision,
    incidents,
    notices,
    proposal,
    record,
    report,
    votes,
)
from tasks.clock import utc
from tasks.domain import Incomplete, Skill, Target
from tasks.lease import claimant, is_free
from tasks.platform import Platform
from tasks.progress import tell
from tasks.tools import Toolbox

LEASE = timedelta(seconds=60)
RECHECK_EVERY = 25
"""After so many objects, what still needs the fix is read again."""
RECHECK_SECONDS = 15.0
"""Or after so long."""
LOOK_SECONDS = 2.0
"""While the rate makes it wait, it looks at the stop switches so often."""
REFUSALS = 5
"""So many failures in a row end the work: the other side does not want it."""
_ENDED: tuple[actions.Status, ...] = ("done", "failed", "unknown", "skipped")


class NotApproved(Exception):
    """The fix may not be carried out now. The message says why."""


async def carry_out(platform: Platform, approval_id: str, toolbox: Toolbox) -> approvals.Approval:
    """Executes an approved fix, object by object, and records what became of it.

    Each object's need is checked again first; a stop switch, a lost claim, or a run of refusals ends the work
    where it stands, and the record says what was done until then.

    Raises:
        NotApproved: it is not approved, or another process carries it out.
    """
    owner = claimant()
    if not await platform.database.write(
        lambda conn: approvals.claim_execution(conn, approval_id, owner, LEASE)
    ):
        approval = await platform.database.read(lambda conn: approvals.get(conn, approval_id))
        raise NotApproved(f"{approval_id} is {approval.status}; only an approved fix is carried out, once")
    approval = await platform.database.read(lambda conn: approvals.get(conn, approval_id))
    row = await platform.database.read(lambda conn: record.get(conn, approval.execution_id))
    skill, code = platform.code(row.domain).skills[row.skill_name], platform.code(row.domain)
    approvers = await platform.database.read(lambda conn: len(votes.of(conn, approval_id)))
    work = _Work(platform, approval, row, skill, toolbox, owner, max(1, approvers))
    async with calls.client(code) as http:
        await work.run(http, platform.domain(row.domain).actions)
    return await platform.database.read(lambda conn: approvals.get(conn, approval_id))


def abandoned(approval: approvals.Standing, now: datetime | None = None) -> bool:
    """Whether an approved fix was begun, or should have been, by a process that is gone."""
    at = utc(now)
    if approval.status != "approved" or approval.decided_at is None:
        return False
    if approval.claimed_by is None:
        return approval.decided_at + LEASE <= at
    return is_free(approval.claimed_by, approval.lease_until, at)


@dataclass
class _Work:
    """The execution of one approved fix."""

    platform: Platform
    approval: approvals.Approval
    row: record.Execution
    skill: Skill
    toolbox: Toolbox
    owner: str
    approvers: int
    """How many people approved it."""
    ended: str = ""
    """Why the work ended early."""
    refusals: int = 0
    last_refusal: str = ""
    due: set[str] = field(default_factory=set)
    cut_off: set[str] = field(default_factory=set)
    """Objects that an earlier attempt was at when it ended: it may have acted on them."""
    count: int = 0
    """Objects since the due ones were read."""
    read_at: float = 0.0
    next_at: float = 0.0

    async def run(self, http: httpx.AsyncClient, declared: list[Action]) -> None:
        """Works through the plans and records the end."""
        allowed = {action.name: action for action in declared}
        for plan in self.approval.proposal["plans"]:
            action = allowed.get(plan["action"])
            self.ended = self._forbidden(plan["action"], action)
            if action and not self.ended:
                await self._carry_out(http, action, plan)
            if self.ended:
                break
        await self._finish()

    def _forbidden(self, name: str, action: Action | None) -> str:
        """Why the action may not be carried out after all; empty if it may."""
        if action is None:
            return f"{name} is no longer allowed by the config"
        if action.dangerous and not self.approval.verified:
            return f"{name} is dangerous, and {self.approval.decided_by} was not verified"
        if action.needed > self.approvers:
            return f"{name} needs {action.needed} people's approval, and has {self.approvers}"
        missing = calls.missing_token(action)
        return f"{name} needs {missing}, which is not set" if missing else ""

    async def _carry_out(self, http: httpx.AsyncClient, action: Action, plan: Mapping[str, Any]) -> None:
        try:
            requests = {
                target["key"]: calls.prepare(action, target["fields"], action.body)
                for target in plan["targets"]
            }
        except calls.Unfit as error:
            self.ended = str(error)
            return
        await self._plan(action, requests)
        self.count = RECHECK_EVERY
        for done, key in enumerate(requests, 1):
            if not await self._ready(action, plan):
                return
            await self._one(http, action, key)
            tell("action", f"{action.name} {done} of {len(requests)}", self.row.skill_name,
                 done, len(requests))  # fmt: skip

    async def _plan(self, action: Action, requests: Mapping[str, Any]) -> None:
        """Writes down what is to be done; what an earlier attempt left in doubt is noted."""

        def write(conn: Connection) -> list[actions.Action]:
            actions.plan(conn, self.approval.id, action.name, requests)
            return actions.of_approval(conn, self.approval.id)

        written = await self.platform.database.write(write)
        doubtful = (each for each in written if each.status in ("running", "unknown"))
        self.cut_off = {each.object_key for each in doubtful if each.action == action.name}

    async def _ready(self, action: Action, plan: Mapping[str, Any]) -> bool:
        """Waits as the rate demands; False if the work is to end here."""
        loop = asyncio.get_running_loop()
        while not await self._stopped(action):
            left = self.next_at - loop.time()
            if left <= 0:
                return await self._fresh(plan)
            await asyncio.sleep(min(left, LOOK_SECONDS))
        return False

    async def _fresh(self, plan: Mapping[str, Any]) -> bool:
        """Reads again, if it is time to, what needs the fix; False if that can't be told any more."""
        now = asyncio.get_running_loop().time()
        self.count += 1
        if self.count <= RECHECK_EVERY and now - self.read_at < RECHECK_SECONDS:
            return True
        try:
            targets = await self._targets(plan)
        except Incomplete as error:
            self.ended = str(error)
            return False
        self.due = {target.key for target in targets}
        self.count, self.read_at = 1, now
        return True

    async def _targets(self, plan: Mapping[str, Any]) -> list[Target]:
        if self.skill.fixer is None:
            raise Incomplete(f"{self.row.skill_name} has no objects to act on")
        return await self.skill.fixer.targets(
            self.row.input_data, {"action": plan["action"], "scope": plan["scope"]}, self.toolbox.call
        )

    async def _stopped(self, action: Action) -> bool:
        """True if a switch is off, the claim is lost, or the other side keeps refusing."""
        domain, fix = controls.domain(self.row.domain), controls.approval(self.approval.id)

        def look(conn: Connection) -> tuple[controls.Control | None, bool]:
            held = approvals.extend(conn, self.approval.id, self.owner, LEASE + action.timeout)
            return controls.stopped(conn, controls.ALL_ACTIONS, domain, fix), held

        stop, held = await self.platform.database.write(look)
        if not held:
            self.ended = "another process took the work over"
        elif stop:
            self.ended = decision.told(stop)
        elif self.refusals >= REFUSALS:
            self.ended = f"{self.refusals} refusals in a row, the last: {self.last_refusal}"
        return bool(self.ended)

    async def _one(self, http: httpx.AsyncClient, action: Action, key: str) -> None:
        """Acts on one object, if it still needs it and nobody did."""
        write = self.platform.database.write
        begun = await write(lambda conn: actions.begin(conn, self.approval.id, action.name, key))
        if begun is None:
            return
        if key not in self.due:
            ending, reason = self._not_due(key)
            await write(lambda conn: actions.finish(conn, begun, ending, response=reason))
            return
        self.next_at = asyncio.get_running_loop().time() + action.rate.interval
        ending, response = await calls.send(http, action, begun.request, str(begun.idempotency_key))
        if ending == "failed" and key in self.cut_off:
            ending = "unknown"
        await write(lambda conn: actions.finish(conn, begun, ending, response=response))
        self.refusals = 0 if ending == "done" else self.refusals + 1
        self.last_refusal = str(response.get("body") or response.get("reason") or response["status"])[:200]

    def _not_due(self, key: str) -> tuple[actions.Ending, dict[str, str]]:
        if key in self.cut_off:
            return "unknown", {"reason": "an earlier attempt was cut off at it, and it needs no fix now"}
        return "skipped", {"reason": "no longer needs it"}

    async def _finish(self) -> None:
        counts = await self.platform.database.read(lambda conn: actions.counts(conn, self.approval.id))
        left = await self._left()
        result: dict[str, Any] = {
            "done": counts.get("done", 0),
            "failed": counts.get("failed", 0),
            "unknown": counts.get("unknown", 0),
            "skipped": counts.get("skipped", 0),
            "not_attempted": self._proposed() - sum(counts.get(name, 0) for name in _ENDED),
            "still_due": left,
            "ended_early": self.ended,
        }
        result["text"] = _tell(result, self.approval.proposal["plans"])
        await self.platform.database.write(lambda conn: self._record(conn, result))
        tell("action", result["text"], self.row.skill_name)

    def _proposed(self) -> int:
        return sum(len(plan["targets"]) for plan in self.approval.proposal["plans"])

    def _in_words(self) -> str:
        """What was proposed: the skill's summary, or what the dry run said."""
        proposed = self.approval.proposal
        return str(proposed.get("summary") or "; ".join(plan["text"] for plan in proposed["plans"]))

    async def _left(self) -> int | None:
        """How many of the proposal's objects still need the fix; None if that can't be read."""
        proposed = {target["key"] for plan in self.approval.proposal["plans"] for target in plan["targets"]}
        try:
            due = [await self._targets(plan) for plan in self.approval.proposal["plans"]]
        except Incomplete:
            return None
        return len(proposed & {target.key for targets in due for target in targets})

    def _record(self, conn: Connection, result: Mapping[str, Any]) -> None:
        if self.ended:
            status: approvals.Ending = "stopped"
            outcome: record.Outcome = "partial" if result["done"] else "error"
        elif result["failed"] or result["unknown"]:
            status, outcome = "failed", "partial" if result["done"] else "error"
        else:
            status, outcome = "done", "success"
        if not approvals.finish(conn, self.approval.id, self.owner, status, result=result):
            return
        output = {**(self.row.output_data or {}), "result": dict(result)}
        record.finish(
            conn,
            self.row.execution_id,
            outcome,
            output=output,
            error=self.ended or None,
            trace=self.approval.proposal.get("trace"),
        )
        if result["done"]:
            incidents.remember(conn, self._incident(result["text"]))
        report.conclude(conn, self.row.run_id)
        notices.carried_out(conn, self.platform.config, approvals.get(conn, self.approval.id))

    def _incident(self, outcome: str) -> incidents.Incident:
        """What memory keeps: the diagnosis that led here, and what the fix achieved."""
        found, subject = proposal.diagnosis(self.row), self.approval.subject
        return incidents.Incident(
            domain=self.row.domain,
            stage=subject,
            title=f"{subject}: {found.get('root_cause') or self._in_words()}"[:300],
            symptoms="; ".join(item["finding"] for item in found.get("evidence", [])),
            root_cause=found.get("root_cause") or "",
            fix=found.get("recommended_fix") or self._in_words(),
            outcome=outcome,
            source=self.row.skill_name,
            opened_at=self.row.started_at,
            resolved_at=utc(),
            execution_id=self.row.execution_id,
        )


def _tell(result: Mapping[str, Any], plans: list[dict[str, Any]]) -> str:
    noun = plans[0]["noun"] if plans else "objects"
    others = ("failed", "unknown", "skipped", "not_attempted")
    parts = [f"{result['done']} {noun} done"]
    parts += [f"{result[name]} {name.replace('_', ' ')}" for name in others if result[name]]
    if result["still_due"] is not None:
        parts.append(f"{result['still_due']} of the proposed still need it")
    if result["ended_early"]:
        parts.append(f"ended early: {result['ended_early']}")
    return "; ".join(parts)
