"""Carries out a fix that a person has approved: object by object, each checked again first."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
from sqlalchemy import Connection

from blocks.config import Action
from tasks import actions, approvals, calls, controls, inbox, incidents, record
from tasks.clock import utc
from tasks.domain import Incomplete, Skill, Target
from tasks.lease import claimant
from tasks.platform import Platform
from tasks.progress import tell
from tasks.tools import Toolbox

LEASE = timedelta(seconds=60)
RECHECK_EVERY = 25
"""After so many objects, what still needs the fix is read again."""
REFUSALS = 5
"""So many failures in a row end the work: the other side does not want it."""


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
    work = _Work(platform, approval, row, skill, toolbox, owner)
    async with calls.client(code) as http:
        await work.run(http, platform.domain(row.domain).actions)
    return await platform.database.read(lambda conn: approvals.get(conn, approval_id))


@dataclass
class _Work:
    """The execution of one approved fix."""

    platform: Platform
    approval: approvals.Approval
    row: record.Execution
    skill: Skill
    toolbox: Toolbox
    owner: str
    ended: str = ""
    """Why the work ended early."""
    refusals: int = 0
    last_refusal: str = ""
    due: set[str] = field(default_factory=set)

    async def run(self, http: httpx.AsyncClient, declared: list[Action]) -> None:
        """Works through the plans and records the end."""
        allowed = {action.name: action for action in declared}
        for plan in self.approval.proposal["plans"]:
            action = allowed.get(plan["action"])
            if action is None:
                self.ended = f"{plan['action']} is no longer allowed by the config"
            if self.ended or action is None:
                break
            await self._carry_out(http, action, plan)
        await self._finish()

    async def _carry_out(self, http: httpx.AsyncClient, action: Action, plan: Mapping[str, Any]) -> None:
        requests = {target["key"]: calls.prepare(action, target["fields"]) for target in plan["targets"]}
        await self.platform.database.write(
            lambda conn: actions.plan(conn, self.approval.id, action.name, requests)
        )
        loop = asyncio.get_running_loop()
        next_at = loop.time()
        for done, (key, request) in enumerate(requests.items()):
            if done % RECHECK_EVERY == 0 and not await self._refresh(plan):
                return
            if await self._stopped():
                return
            if await self._one(http, action, key, request):
                next_at = max(next_at + action.rate.interval, loop.time())
                await asyncio.sleep(next_at - loop.time())
            tell("action", f"{action.name} {done + 1} of {len(requests)}", self.row.skill_name,
                 done + 1, len(requests))  # fmt: skip

    async def _refresh(self, plan: Mapping[str, Any]) -> bool:
        """Reads again what needs the fix; False if that can't be told any more."""
        try:
            targets = await self._targets(plan)
        except Incomplete as error:
            self.ended = str(error)
            return False
        self.due = {target.key for target in targets}
        return True

    async def _targets(self, plan: Mapping[str, Any]) -> list[Target]:
        if self.skill.fixer is None:
            raise Incomplete(f"{self.row.skill_name} has no objects to act on")
        return await self.skill.fixer.targets(
            self.row.input_data, {"action": plan["action"], "scope": plan["scope"]}, self.toolbox.call
        )

    async def _stopped(self) -> bool:
        """True if a switch is off, the claim is lost, or the other side keeps refusing."""
        domain, fix = controls.domain(self.row.domain), controls.approval(self.approval.id)

        def look(conn: Connection) -> tuple[controls.Control | None, bool]:
            held = approvals.extend(conn, self.approval.id, self.owner, LEASE)
            return controls.stopped(conn, controls.ALL_ACTIONS, domain, fix), held

        stop, held = await self.platform.database.write(look)
        if stop:
            self.ended = f"stopped by {stop.changed_by}" + (f": {stop.reason}" if stop.reason else "")
        elif not held:
            self.ended = "another process took the work over"
        elif self.refusals >= REFUSALS:
            self.ended = f"{self.refusals} refusals in a row, the last: {self.last_refusal}"
        return bool(self.ended)

    async def _one(
        self, http: httpx.AsyncClient, action: Action, key: str, request: Mapping[str, Any]
    ) -> bool:
        """Acts on one object, if it still needs it and nobody did; True if a request was sent."""
        write = self.platform.database.write
        begun = await write(lambda conn: actions.begin(conn, self.approval.id, action.name, key))
        if begun is None:
            return False
        if key not in self.due:
            reason = {"reason": "no longer needs it"}
            await write(lambda conn: actions.finish(conn, begun, "skipped", response=reason))
            return False
        ending, response = await calls.send(http, action, request, str(begun.idempotency_key))
        await write(lambda conn: actions.finish(conn, begun, ending, response=response))
        self.refusals = 0 if ending == "done" else self.refusals + 1
        self.last_refusal = str(response.get("body") or response.get("reason"))[:200]
        return True

    async def _finish(self) -> None:
        counts = await self.platform.database.read(lambda conn: actions.counts(conn, self.approval.id))
        left = await self._left()
        result: dict[str, Any] = {
            "done": counts.get("done", 0),
            "failed": counts.get("failed", 0),
            "unknown": counts.get("unknown", 0),
            "skipped": counts.get("skipped", 0),
            "not_attempted": counts.get("pending", 0),
            "still_due": left,
            "ended_early": self.ended,
        }
        result["text"] = _tell(result, self.approval.proposal["plans"])
        await self.platform.database.write(lambda conn: self._record(conn, result))
        tell("action", result["text"], self.row.skill_name)

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
        inbox.conclude(conn, self.row.run_id, "completed" if outcome == "success" else "failed", self.ended)

    def _incident(self, outcome: str) -> incidents.Incident:
        """What memory keeps: the diagnosis that led here, and what the fix achieved."""
        context = self.row.input_data
        found = next(
            (value for value in context.values() if isinstance(value, dict) and "root_cause" in value), {}
        )
        subject = self.approval.subject
        return incidents.Incident(
            domain=self.row.domain,
            stage=subject,
            title=f"{subject}: {found.get('root_cause') or self.approval.proposal['summary']}"[:300],
            symptoms="; ".join(item["finding"] for item in found.get("evidence", [])),
            root_cause=found.get("root_cause") or "",
            fix=found.get("recommended_fix") or self.approval.proposal["summary"],
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
