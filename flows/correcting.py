"""A correction from the Prefect UI: the deployment's form asks for it, and the flow run keeps it."""

from __future__ import annotations

from prefect import flow, get_run_logger
from prefect.artifacts import acreate_markdown_artifact

from tasks import feedback
from tasks.page import escape, page
from tasks.platform import opened


@flow(name="correct", persist_result=False)
async def correct(execution_id: str, actual_root_cause: str, name: str, what_was_wrong: str = "") -> None:
    """Says what was wrong with an execution and what is right. A name typed here is a claim.

    Args:
        execution_id: which one, as its page shows it.
        actual_root_cause: what the root cause really was.
        name: who says so.
        what_was_wrong: what the answer got wrong, in a few words.
    """
    said = {"actual_root_cause": actual_root_cause, "what_was_wrong": what_was_wrong}
    given = {field: text for field, text in said.items() if text.strip()}
    async with opened() as platform:
        heard = await feedback.say(platform, execution_id.strip(), "correct", given, by=name, via="prefect")
        shown = await platform.database.read(lambda conn: page(conn, heard.execution_id))
    get_run_logger().info("%s: %s by %s", heard.execution_id, heard.status, heard.said.corrected_by)
    await acreate_markdown_artifact(shown, description=f"Correction by {escape(name)}")
