"""What every domain's flows share with Prefect: names, artifacts, the suspended approval, the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from prefect import get_run_logger
from prefect.artifacts import acreate_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.deployments.flow_runs import arun_deployment
from prefect.exceptions import ObjectNotFound
from prefect.flow_runs import asuspend_flow_run
from prefect.input import RunInput
from prefect.runtime import deployment, flow_run
from pydantic import Field
from sqlalchemy import Connection

from flows import waking
from tasks import approvals, decision, fix, record
from tasks import report as reports
from tasks import skill as skills
from tasks.clock import utc
from tasks.decision import LONGEST_COMMENT, LONGEST_NAME
from tasks.page import escape, page
from tasks.platform import Platform, opened
from tasks.run import Run, RunFailed
from tasks.skill import equipped


class Verdict(RunInput):
    """The approval form of the Prefect UI."""

    decision: Literal["approve", "reject"]
    name: str = Field(min_length=1, max_length=LONGEST_NAME, pattern=r"\S")
    comment: str = Field("", max_length=LONGEST_COMMENT)


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
        await decision.expire(platform)
        asked = await _asked(platform, execution_id)
        if asked is None:
            return
        if asked.status == "waiting" and deployment.id and not flow_run.parent_flow_run_id:
            asked = await _ask(platform, asked)
        elif asked.status == "waiting" and await _deployed():
            await _start_waiting(asked)
        if asked.status == "approved":
            await _carry_out(platform, asked)
        if asked.status != "waiting":
            await _leave_page(platform, execution_id)


async def named(run: Run) -> None:
    """Gives the flow run the name of the run that it works on."""
    async with get_client() as client:
        await client.update_flow_run(flow_run.id, name=run.run_id)


async def report(run: Run) -> dict[str, Any]:
    """The run's report. Approvals that ran out, and runs that wait for a decided one, are tidied up besides.

    Raises:
        RunFailed: the run failed; what was done is recorded.
    """
    async with opened() as platform:
        await decision.expire(platform)
        await waking.wake(platform)
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
    """Suspends this flow run until a person has decided who may, and records the decision.

    A resumed run starts from the top: verdicts given before come back under their key, and are judged again.
    """
    id, refused, number = asked.id, "", 0
    await platform.database.write(lambda conn: approvals.attach(conn, id, flow_run.id))
    while asked.status == "waiting":
        number += 1
        left = (asked.expires_at - utc()).total_seconds()
        verdict = await asuspend_flow_run(
            wait_for_input=Verdict.with_initial_data(description=_form(asked, refused)),
            timeout=max(1, int(left)),
            key=f"{id}-{number}",
        )
        refused = await _decide(platform, id, verdict)
        asked = await platform.database.read(lambda conn: approvals.get(conn, id))
    await platform.database.write(lambda conn: approvals.attach(conn, id, None))
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


async def _carry_out(platform: Platform, asked: approvals.Approval) -> None:
    async with equipped(platform, asked.domain) as toolbox:
        try:
            await fix.carry_out(platform, asked.id, toolbox)
        except fix.NotApproved as error:
            get_run_logger().info("%s", error)


def _form(asked: approvals.Approval, refused: str) -> str:
    """What the approver reads above the form."""
    approvers = ", ".join(asked.proposal.get("approvers", [])) or "anybody"
    plans = "\n".join(f"- {escape(text)}" for text in asked.effect["text"])
    parts = [
        f"**Not accepted:** {escape(refused)}" if refused else "",
        f"**{asked.id}** asks {escape(approvers)} for approval: {escape(asked.subject)}",
        escape(asked.proposal.get("summary", "")),
        _grounds(asked.proposal.get("diagnosis") or {}),
        f"Effect:\n\n{plans}",
    ]
    return "\n\n".join(part for part in parts if part)


def _grounds(diagnosis: Mapping[str, Any]) -> str:
    """The diagnosis that led to the proposal, with its evidence."""
    if not diagnosis.get("root_cause"):
        return ""
    evidence = "\n".join(
        f"- {escape(item['source'])}: {escape(item['finding'])}" for item in diagnosis.get("evidence", [])
    )
    confidence = escape(str(diagnosis.get("confidence", "")))
    return f"Root cause: {escape(diagnosis['root_cause'])} (confidence {confidence})\n\n{evidence}"


async def _deployed() -> bool:
    """Whether this subflow's run came from a deployment."""
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
