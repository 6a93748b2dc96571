"""What every domain's flows share with Prefect: names, artifacts, the suspended approval, the report."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, Literal

from prefect import get_run_logger
from prefect.artifacts import acreate_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.context import FlowRunContext
from prefect.flow_runs import asuspend_flow_run
from prefect.input import RunInput
from prefect.runtime import deployment, flow_run
from prefect.states import Completed
from pydantic import BaseModel, Field
from sqlalchemy import Connection

from flows import approving, form
from tasks import approvals, decision, demands, fix, record, votes
from tasks import report as reports
from tasks import skill as skills
from tasks.admission import Taken
from tasks.beside import soon
from tasks.clock import utc
from tasks.decision import LONGEST_COMMENT, LONGEST_NAME
from tasks.domain import Domain
from tasks.page import page
from tasks.platform import Platform, opened
from tasks.run import Run, RunFailed, SkillFlow, admitted
from tasks.skill import equipped

_deployed: ContextVar[bool] = ContextVar("deployed", default=False)
"""Whether the run that this is part of came from a deployment."""


class Verdict(RunInput):
    """The approval form of the Prefect UI."""

    decision: Literal["approve", "reject"]
    name: str = Field(min_length=1, max_length=LONGEST_NAME, pattern=r"\S")
    comment: str = Field("", max_length=LONGEST_COMMENT)


async def run_domain(
    code: Domain, given: BaseModel, trigger_id: str, manager: SkillFlow, specialists: Mapping[str, SkillFlow]
) -> Any:
    """A domain's whole run as a flow: admitted, manager, routing, specialists; the run's report.

    Args:
        given: the run's input; a stored trigger's payload replaces it.
        trigger_id: the trigger to work on; a new one is stored if empty.
        specialists: by their names in the config.

    Raises:
        RunFailed: the run failed; what was done is recorded.
        Taken: another process works on the trigger, and nobody deployed this flow run.
    """
    async with opened() as platform:
        try:
            async with admitted(code, given, trigger_id, str(flow_run.id)) as run:
                await _follow(run)
                if not run.refusal:
                    await run.pursue(await run.manage(manager), specialists)
        except Taken as taken:
            return _left_alone(taken)
        return await _report(platform, run)


async def perform(execution_id: str) -> None:
    """Performs an execution and leaves its detail page as the run's artifact.

    Raises:
        SkillFailed: its outcome is error.
    """
    async with opened() as platform:
        await soon(execution_id, _name(execution_id))
        try:
            await skills.perform(execution_id)
        finally:
            await soon(execution_id, _leave_page(platform, execution_id))


async def decide_and_carry_out(execution_id: str) -> None:
    """Carries an approved fix out; in a deployment, suspends until a person has decided.

    As a subflow of a deployed run it hands the waiting to the skill's own deployment; with no server around,
    the waiting row is left for `aspora approve`.
    """
    async with opened() as platform:
        await decision.expire(platform)
        asked = await _asked(platform, execution_id)
        if asked is None:
            return
        own = _own_run()
        if asked.status == "waiting" and own and own.deployment_id and not own.parent_task_run_id:
            asked = await _ask(platform, asked)
        elif asked.status == "waiting" and _deployed.get():
            await approving.give_run(platform, asked)
        if asked.status == "approved":
            await _carry_out(platform, asked)
        if asked.status != "waiting":
            await _forget(platform, asked.id)
            await soon(execution_id, _leave_page(platform, execution_id))


def artifact_key(execution_id: str) -> str:
    """The key of an execution's detail page; Prefect's UI has it at `/artifacts/key/KEY`."""
    return "".join(sign if sign.isalnum() else "-" for sign in execution_id.lower())


async def _follow(run: Run) -> None:
    """Gives the flow run the name of the run that it works on, and notes whether it was deployed."""
    own = _own_run()
    _deployed.set(own is not None and own.deployment_id is not None)
    await soon(run.run_id, _name(run.run_id))


async def _report(platform: Platform, run: Run) -> Mapping[str, Any]:
    """The run's report. Approvals that ran out, and runs that wait for a decided one, are tidied up besides.

    It is no dict, since Prefect walks through every value of one in search of futures.

    Raises:
        RunFailed: the run failed; what was done is recorded.
    """
    await decision.expire(platform)
    await approving.wake(platform)
    result = await platform.database.read(lambda conn: reports.of_run(conn, run.run_id))
    if result["state"] == "failed":
        raise RunFailed(result["reason"])
    return MappingProxyType(result)


def _left_alone(taken: Taken) -> State[Any]:
    """How a flow run ends whose trigger another one works on, or has worked on: with nothing to do.

    Raises:
        Taken: nobody deployed it, so somebody waits for it.
    """
    if not deployment.id:
        raise taken
    state: State[Any] = Completed(message=str(taken))
    return state


async def _asked(platform: Platform, execution_id: str) -> approvals.Approval | None:
    def find(conn: Connection) -> approvals.Approval | None:
        run_id = record.get(conn, execution_id).run_id
        of_run = approvals.of_run(conn, run_id)
        return next((each for each in of_run if each.execution_id == execution_id), None)

    return await platform.database.read(find)


async def _approved(platform: Platform, asked: approvals.Approval) -> list[votes.Vote]:
    return await platform.database.read(lambda conn: demands.approved(conn, platform.config, asked))


async def _ask(platform: Platform, asked: approvals.Approval) -> approvals.Approval:
    """Suspends this flow run until a person has decided who may, and records the decision.

    A resumed run starts from the top: verdicts given before come back under their key, and are judged again.
    """
    id, refused, number = asked.id, "", 0
    if await approving.waits_elsewhere(platform, asked, str(flow_run.id)):
        get_run_logger().info("flow run %s waits for %s already", asked.flow_run_id, id)
        return asked
    await platform.database.write(lambda conn: approvals.attach(conn, id, flow_run.id))
    while asked.status == "waiting":
        number += 1
        left = (asked.expires_at - utc()).total_seconds()
        approved = await _approved(platform, asked)
        verdict = await asuspend_flow_run(
            wait_for_input=Verdict.with_initial_data(
                description=form.text(platform.config, asked, approved, refused)
            ),
            timeout=max(1, int(left)),
            key=f"{id}-{number}",
        )
        refused = await _decide(platform, id, verdict)
        asked = await platform.database.read(lambda conn: approvals.get(conn, id))
    return asked


async def _decide(platform: Platform, approval_id: str, verdict: Verdict) -> str:
    """Records a verdict; why it can't be taken, if so."""
    approve = verdict.decision == "approve"
    try:
        await decision.decide(
            platform, approval_id, approve, by=verdict.name, via="prefect", comment=verdict.comment
        )
    except decision.NotAllowed as error:
        get_run_logger().warning("%s", error)
        return str(error)
    return ""


async def _forget(platform: Platform, approval_id: str) -> None:
    """Notes that this flow run waits no more."""
    if flow_run.id:
        id = str(flow_run.id)
        await platform.database.write(lambda conn: approvals.detach(conn, approval_id, id))


async def _carry_out(platform: Platform, asked: approvals.Approval) -> None:
    async with equipped(platform, asked.domain) as toolbox:
        try:
            await fix.carry_out(platform, asked.id, toolbox)
        except fix.NotApproved as error:
            get_run_logger().info("%s", error)


def _own_run() -> FlowRun | None:
    """This flow run. `prefect.runtime` would ask the server, and hold up the event loop meanwhile."""
    context = FlowRunContext.get()
    return context.flow_run if context else None


async def _name(name: str) -> None:
    own = _own_run()
    if own:
        async with get_client() as client:
            await client.update_flow_run(own.id, name=name)


async def _leave_page(platform: Platform, execution_id: str) -> None:
    text = await platform.database.read(lambda conn: page(conn, execution_id))
    key = artifact_key(execution_id)
    await acreate_markdown_artifact(markdown=text, key=key, description=f"Execution {execution_id}")
