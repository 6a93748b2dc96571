"""Clicks on a proposed fix in Slack: approve, reject with a reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from blocks.config import SlackBot
from blocks.messengers import Undelivered
from blocks.slack import Slack
from flows.chat import click as clicks
from flows.chat.click import Click
from tasks import approvals, decision, people, telling
from tasks.markup import SLACK
from tasks.platform import Platform

FORM = "reject"
REASON = "reason"


async def approve(platform: Platform, bot: SlackBot, click: Click) -> None:
    """Approves; tells who clicked what else there is to know."""
    await clicks.answer(platform, bot, click, await _decided(platform, click, True, ""))


async def ask_reason(platform: Platform, bot: SlackBot, click: Click, trigger_id: str) -> None:
    """Opens the form that asks why."""
    try:
        asked = await platform.database.read(lambda conn: approvals.get(conn, click.subject))
    except approvals.UnknownApproval as error:
        await clicks.answer(platform, bot, click, str(error))
        return
    if asked.status != "waiting":
        await clicks.answer(platform, bot, click, _too_late(asked))
        return
    about = f"Why should {asked.id} ({SLACK.data(asked.subject)}) not be done? It is kept, and learned from."
    fields = [clicks.field(REASON, "Reason")]
    form = clicks.form(click, FORM, "Reject a fix", "Reject", about, fields)
    try:
        await Slack(bot.token_env).open_view(trigger_id, form)
    except Undelivered as error:
        instead = f"reject it by `aspora reject {asked.id} --as NAME --reason WHY`"
        said = f"The form could not be opened ({error}). Try again, or {instead}"
        await clicks.answer(platform, bot, click, said)


async def submitted(platform: Platform, payload: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Records a rejection; an error beside the field, if it has no reason or can't be taken."""
    click, reason = clicks.kept(payload), clicks.filled(payload, REASON)
    if click is None:
        return clicks.error(REASON, "The form does not tell which fix it is about; press Reject again.")
    if not reason:
        return clicks.error(REASON, "A rejection needs a reason.")
    said = await _decided(platform, click, False, reason)
    return clicks.error(REASON, said) if said else None


async def _decided(platform: Platform, click: Click, approve: bool, comment: str) -> str:
    """Decides; what the person is to be told besides what all see, if anything."""
    person = people.of_slack(platform.config, click.user)
    try:
        made = await decision.decide(
            platform, click.subject, approve, by=person, via="slack", verified=True, comment=comment
        )
    except (decision.NotAllowed, approvals.UnknownApproval) as error:
        return str(error)
    if made.status == "recorded":
        more = f"{made.missing} more {'person' if made.missing == 1 else 'people'} must approve"
        return f"Your approval of {click.subject} counts; {more}."
    return "" if made.decided else _too_late(made.approval)


def _too_late(approval: approvals.Approval) -> str:
    if approval.decided_by and approval.decided_at:
        word = "rejected" if approval.status == "rejected" else "approved"
        at = telling.moment(approval.decided_at)
        return f"{approval.id} was {word} by {approval.decided_by} at {at}; your click changed nothing."
    by = f" by {approval.superseded_by}" if approval.superseded_by else ""
    return f"{approval.id} is {approval.status}{by}; your click changed nothing."
