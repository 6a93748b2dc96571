"""Clicks on a report in Slack: it was right, it was wrong and what is right, agreement, a way back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from blocks.config import SlackBot
from blocks.messengers import Undelivered
from blocks.slack import Slack
from flows.chat import click as clicks
from flows.chat.click import Click
from tasks import corrections, feedback, inbox, notices, people, record, report
from tasks.markup import SLACK
from tasks.mistakes import CAUSE, WRONG
from tasks.platform import Platform

FORM = "correct"
EXECUTION = "execution"
_REFUSED = (
    record.UnknownExecution,
    corrections.Unfinished,
    corrections.Unfit,
    corrections.NotAllowed,
    corrections.NothingSaid,
)


async def approve(platform: Platform, bot: SlackBot, click: Click) -> None:
    """It was right: all that a run's report shows."""
    told = [
        await _said(platform, click, id_, "right") for id_, _ in await _judgeable(platform, click.subject)
    ]
    new = not all(told)
    text = "" if new else told[0] if told else f"There is nothing to judge in {click.subject} any more."
    await clicks.answer(platform, bot, click, text)


async def agree(platform: Platform, bot: SlackBot, click: Click) -> None:
    """The newest correction is right."""
    await clicks.answer(platform, bot, click, await _said(platform, click, click.subject, "confirm"))


async def take_back(platform: Platform, bot: SlackBot, click: Click) -> None:
    """What the person said last no longer counts."""
    await clicks.answer(platform, bot, click, await _said(platform, click, click.subject, "undo"))


async def ask(platform: Platform, bot: SlackBot, click: Click, trigger_id: str) -> None:
    """Opens the form that asks what was wrong and what is right."""
    options = await _judgeable(platform, click.subject)
    if not options:
        await clicks.answer(
            platform, bot, click, f"There is nothing to correct in {SLACK.data(click.subject)}."
        )
        return
    about = f"What was wrong in {SLACK.data(click.subject)}? It is kept under your name, and learned from."
    fields = [
        clicks.choice(EXECUTION, "Which answer?", options),
        clicks.field(CAUSE, "The actual root cause"),
        clicks.field(WRONG, "What was wrong", optional=True),
    ]
    form = clicks.form(click, FORM, "Correct an answer", "Correct", about, fields)
    try:
        await Slack(bot.token_env).open_view(trigger_id, form)
    except Undelivered as error:
        instead = f"`aspora correct {options[0][0]} --set {CAUSE}=… --as NAME`"
        said = f"The form could not be opened ({error}). Try again, or {instead}"
        await clicks.answer(platform, bot, click, said)


async def submitted(platform: Platform, payload: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Records a correction; an error beside the field, if it says nothing or can't be taken."""
    click, execution_id = clicks.kept(payload), clicks.filled(payload, EXECUTION)
    if click is None:
        return clicks.error(CAUSE, "The form does not tell what it is about; press No again.")
    if execution_id not in dict(await _judgeable(platform, click.subject)):
        return clicks.error(EXECUTION, "Choose one of the answers of this run.")
    given = {name: text for name in (CAUSE, WRONG) if (text := clicks.filled(payload, name))}
    if CAUSE not in given:
        return clicks.error(CAUSE, "Say what the root cause was, as far as you know.")
    said = await _said(platform, click, execution_id, "correct", given)
    return clicks.error(CAUSE, said) if said else None


async def _said(
    platform: Platform,
    click: Click,
    execution_id: str,
    what: feedback.What,
    given: Mapping[str, str] | None = None,
) -> str:
    """Takes it; what the person is to be told besides what all see, if anything."""
    person = people.of_slack(platform.config, click.user)
    try:
        heard = await feedback.say(platform, execution_id, what, given, by=person, via="slack", verified=True)
    except _REFUSED as error:
        return f"{error} Your click changed nothing."
    return "You said so already; nothing was changed." if heard.status == "said_before" else ""


async def _judgeable(platform: Platform, run_id: str) -> list[tuple[str, str]]:
    """A run's executions that can be judged: id, and what people read of it; none if the run is unknown."""
    try:
        of_run = await platform.database.read(lambda conn: report.of_run(conn, run_id))
    except inbox.UnknownTrigger:
        return []
    return [
        (str(each["execution_id"]), " ".join(filter(None, (each["skill"], each["pattern"]))))
        for each in notices.judgeable(of_run)
    ]
