"""What every domain's flows share with Prefect: artifacts, the suspended approval, the report."""

from __future__ import annotations

from typing import Any, Literal

from prefect import get_run_logger
from prefect.artifacts import acreate_markdown_artifact
from prefect.deployments.flow_runs import arun_deployment
from prefect.exceptions import ObjectNotFound
from prefect.flow_runs import asuspend_flow_run
from prefect.input import RunInput
from prefect.runtime import deployment, flow_run
from sqlalchemy import Connection

from tasks import approvals, decision, fix, record
from tasks import report as reports
from tasks import skill as skills
from tasks.clock import utc
from tasks.page import escape, page
from tasks.platform import Platform, opened
from tasks.run import Run, RunFailed
from tasks.skill import equipped


class Verdict(RunInput):
    """The approval form of the Prefect UI."""

    decision: Literal["approve", "reject"]
    name: str
    comment: str = ""


async def perform(execution_id: str) -> None:
    """Performs an execution and leaves its detail page as the run's artifact.

    Raises:
        SkillFailed: its outcome is error.
    """
    async with opened() as platform:
        try:
            await skills.perform(execution_id)
        finally:
            await _leave_page(platform, execution_id)


async def decide_and_carry_out(execution_id: str) -> None:
    """Carries an approved fix out; in a deployment, suspends until a person has decided.

    As a subflow of a deployed run it hands the waiting to the skill's own deployment; with no server around,
    the waiting row is left for `aspora approve`.
    """
    async with opened() as platform:
        asked = await _asked(platform, execution_id)
        if asked and asked.status == "waiting" and deployment.id and not flow_run.parent_flow_run_id:
            asked = await _ask(platform, asked)
        elif asked and asked.status == "waiting" and await _deployed():
            await _start_waiting(asked)
        if asked and asked.status == "approved":
            async with equipped(platform, asked.domain) as toolbox:
                await fix.carry_out(platform, asked.id, toolbox)
            await _leave_page(platform, execution_id)


async def report(run: Run) -> dict[str, Any]:
    """The run's report.

    Raises:
        RunFailed: the run failed; what was done is recorded.
    """
    async with opened() as platform:
        result = await platform.database.read(lambda conn: reports.of_run(conn, run.run_id))
    if result["state"] == "failed":
        raise RunFailed(result["reason"])
    return result


def flow_run_key() -> str:
    """Names the trigger of a flow run that came without one: the same flow run is the same trigger."""
    return f"flow run {flow_run.id}"


async def _asked(platform: Platform, execution_id: str) -> approvals.Approval | None:
    def find(conn: Connection) -> approvals.Approval | None:
        run_id = record.get(conn, execution_id).run_id
        of_run = approvals.find(conn, run_id=run_id)
        return next((each for each in of_run if each.execution_id == execution_id), None)

    return await platform.database.read(find)


async def _ask(platform: Platform, asked: approvals.Approval) -> approvals.Approval:
    """Suspends this flow run until a person has decided, and records the decision."""
    await platform.database.write(lambda conn: approvals.attach(conn, asked.id, flow_run.id))
    left = (asked.expires_at - utc()).total_seconds()
    verdict = await asuspend_flow_run(
        wait_for_input=Verdict.with_initial_data(description=_form(asked)),
        timeout=max(1, int(left)),
        key=asked.id,
    )
    try:
        await decision.decide(
            platform,
            asked.id,
            verdict.decision == "approve",
            by=verdict.name,
            via="prefect",
            comment=verdict.comment,
        )
    except decision.NotAllowed as error:
        get_run_logger().warning("%s", error)
    return await platform.database.read(lambda conn: approvals.get(conn, asked.id))


def _form(asked: approvals.Approval) -> str:
    """What the approver reads above the form."""
    plans = "\n".join(f"- {escape(text)}" for text in asked.effect["text"])
    found = asked.proposal.get("summary", "")
    return (
        f"**{asked.id}** asks for approval: {escape(asked.subject)}\n\n{escape(found)}\n\nEffect:\n\n{plans}"
    )


async def _deployed() -> bool:
    """Whether this subflow's run came from a deployment."""
    from prefect.client.orchestration import get_client

    if not flow_run.root_flow_run_id:
        return False
    async with get_client() as client:
        root = await client.read_flow_run(flow_run.root_flow_run_id)
    return root.deployment_id is not None


async def _start_waiting(asked: approvals.Approval) -> None:
    """Starts the skill's deployment, which suspends; without one, the row waits for `aspora approve`."""
    try:
        await arun_deployment(
            f"{asked.skill}/{asked.skill}",
            parameters={"execution_id": asked.execution_id},
            timeout=0,
            as_subflow=False,
            idempotency_key=asked.id,
        )
    except ObjectNotFound:
        get_run_logger().warning("no deployment %s; `aspora approve %s` decides", asked.skill, asked.id)


async def _leave_page(platform: Platform, execution_id: str) -> None:
    text = await platform.database.read(lambda conn: page(conn, execution_id))
    key = "".join(sign if sign.isalnum() else "-" for sign in execution_id.lower())
    await acreate_markdown_artifact(markdown=text, key=key, description=f"Execution {execution_id}")
