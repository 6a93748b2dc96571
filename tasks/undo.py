"""Takes a fix back: the undo of each action that was done, where config declares one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import httpx

from blocks.config import Action
from tasks import actions, approvals, calls, controls, decision, fix
from tasks.platform import Platform
from tasks.progress import tell

PREFIX = "undo:"
"""Before an action's name: its undo, in the record of actions."""


class NotUndoable(Exception):
    """The fix can't be taken back, or not by this person. The message says why."""


async def take_back(platform: Platform, approval_id: str, by: str) -> dict[str, Any]:
    """Undoes what an ended fix did, object by object, under the same guards as the fix.

    Args:
        by: the person's name, a claim; kept with each undone object.

    Returns:
        Counts of objects `done`, `failed`, `unknown`, `not_attempted`, with `ended_early` and a `text`.

    Raises:
        UnknownApproval: there is no such approval.
        NotUndoable: it has not ended, nothing of it has an undo, or an undo of it is dangerous.
    """
    name = " ".join(by.split())[: decision.LONGEST_NAME]
    approval = await platform.database.read(lambda conn: approvals.get(conn, approval_id))
    done = await _undoable(platform, approval, name)
    work = _Work(platform, approval, name, done)
    async with calls.client(platform.code(approval.domain)) as http:
        await work.run(http)
    return work.result()


async def _undoable(
    platform: Platform, approval: approvals.Approval, name: str
) -> list[tuple[Action, actions.Action]]:
    """What was done and has an undo, the last first."""
    if not name:
        raise NotUndoable("an undo needs the name of the person who takes the fix back")
    if approval.finished_at is None:
        raise NotUndoable(
            f"{approval.id} is {approval.status}; only a fix that was carried out is taken back"
        )
    declared = {action.name: action for action in platform.domain(approval.domain).actions if action.undo}
    all_ = await platform.database.read(lambda conn: actions.of_approval(conn, approval.id))
    found = [
        (declared[each.action], each) for each in all_ if each.status == "done" and each.action in declared
    ]
    if not found:
        raise NotUndoable(
            f"nothing that {approval.id} did has an undo; declare it under actions: undo: {{url: …}}"
        )
    dangerous = sorted({action.name for action, _ in found if action.dangerous})
    if dangerous:
        raise NotUndoable(
            f"{', '.join(dangerous)} is dangerous, and so is its undo; a typed name is no verification"
        )
    return sorted(found, key=lambda each: str(each[1].finished_at), reverse=True)


@dataclass
class _Work:
    platform: Platform
    approval: approvals.Approval
    by: str
    done: list[tuple[Action, actions.Action]]
    ended: str = ""
    counts: dict[str, int] = field(default_factory=lambda: {"done": 0, "failed": 0, "unknown": 0})
    earlier: int = 0
    """Objects that were undone before."""
    refusals: int = 0

    async def run(self, http: httpx.AsyncClient) -> None:
        for number, (action, was) in enumerate(self.done, 1):
            if await self._stopped(action):
                return
            if await self._one(http, action, was):
                await asyncio.sleep(action.rate.interval if number < len(self.done) else 0)
            tell("action", f"{PREFIX}{action.name} {number} of {len(self.done)}", self.approval.skill,
                 number, len(self.done))  # fmt: skip

    def result(self) -> dict[str, Any]:
        left = len(self.done) - self.earlier - sum(self.counts.values())
        parts = [f"{self.counts['done']} undone"]
        parts += [f"{self.earlier} undone before"] if self.earlier else []
        parts += [f"{self.counts[name]} {name}" for name in ("failed", "unknown") if self.counts[name]]
        parts += [f"{left} not attempted"] if left else []
        parts += [f"ended early: {self.ended}"] if self.ended else []
        ending = {"not_attempted": left, "ended_early": self.ended, "text": "; ".join(parts)}
        return {"id": self.approval.id, **self.counts, **ending}

    async def _stopped(self, action: Action) -> bool:
        domain = controls.domain(self.approval.domain)
        stop = await self.platform.database.read(
            lambda conn: controls.stopped(conn, controls.ALL_ACTIONS, domain)
        )
        missing = calls.missing_token(action)
        if stop:
            self.ended = decision.told(stop)
        elif missing:
            self.ended = f"{action.name} needs {missing}, which is not set"
        elif self.refusals >= fix.REFUSALS:
            self.ended = f"{self.refusals} refusals in a row"
        return bool(self.ended)

    async def _one(self, http: httpx.AsyncClient, action: Action, was: actions.Action) -> bool:
        """Undoes one object, unless that was done before; True if a request was sent."""
        write, name, key = self.platform.database.write, PREFIX + action.name, was.object_key
        request = self._request(action, was)
        await write(lambda conn: actions.plan(conn, self.approval.id, name, {key: request}))
        begun = await write(lambda conn: actions.begin(conn, self.approval.id, name, key))
        if begun is None:
            self.earlier += 1
            return False
        ending, response = await calls.send(http, action, begun.request, str(begun.idempotency_key))
        await write(
            lambda conn: actions.finish(conn, begun, ending, response={**response, "undone_by": self.by})
        )
        self.counts[ending] += 1
        self.refusals = 0 if ending == "done" else self.refusals + 1
        return True

    def _request(self, action: Action, was: actions.Action) -> dict[str, Any]:
        """The undo's request, from the fields that the plan kept."""
        plans = (plan for plan in self.approval.proposal["plans"] if plan["action"] == action.name)
        fields = {target["key"]: target["fields"] for plan in plans for target in plan["targets"]}
        if action.undo is None:
            raise NotUndoable(f"{action.name} has no undo")
        return calls.prepare(action.undo, fields[was.object_key])
