"""What people are told: enqueued in the transaction of what happened, sent by `tasks.delivery`.

Where a run was asked for in a chat, there: in the thread, or to the number. Otherwise in the Slack channel of
its domain, where its first message opens a thread. Where there is nowhere to tell, nothing is enqueued.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from blocks.config import Config
from tasks import corrections, demands, ids, inbox, messages, people, telling, votes
from tasks import report as reports
from tasks.approvals import Approval, Decision
from tasks.clock import utc
from tasks.inbox import Trigger
from tasks.markup import SLACK, WHATSAPP, Markup, Paragraph

Write = Callable[[Markup], Sequence[Paragraph]]
"""Writes a message in a channel's way."""

APPROVE, REJECT = "approve", "reject"
"""The buttons of a proposed fix, by their action ids."""
RIGHT, WRONG, AGREE, TAKE_BACK = "right", "wrong", "agree", "take_back"
"""The buttons of a report, by their action ids."""
_JUDGED = ("success", "partial")
_MOST_JUDGED = 100
"""Slack lets people choose among so many."""
_MENTIONED = 20
"""People that one message calls at most."""


@dataclass(frozen=True)
class _Place:
    """Where something is told."""

    channel: messages.Channel
    address: Mapping[str, str]

    @property
    def markup(self) -> Markup:
        return SLACK if self.channel == "slack" else WHATSAPP


def working(conn: Connection, settings: Config, trigger: Trigger) -> None:
    """Its run starts."""

    def write(m: Markup) -> list[Paragraph]:
        who = f", asked for by {m.data(trigger.asked_by)}" if trigger.asked_by else ""
        lines = [f"{m.bold('Working on it:')} {m.data(trigger.run_id)}, {m.data(trigger.domain)}{who}"]
        return [[*lines, *_subject(m, trigger)]]

    _tell(conn, _places(settings, trigger), f"working:{trigger.run_id}", trigger.run_id, write)


def ended(conn: Connection, settings: Config, trigger: Trigger) -> None:
    """Its run ended: the report, where more of it is, and in Slack the question whether it was right."""
    now = inbox.get(conn, trigger.id)
    _report(conn, settings, now, f"ended:{now.run_id}:{now.attempts}")


def judged(conn: Connection, settings: Config, run_id: str, number: int) -> None:
    """Somebody said whether a run's report was right: the report shows it from now on."""
    try:
        trigger = inbox.get(conn, run_id)
    except inbox.UnknownTrigger:
        return
    before = f"ended:{run_id}:{trigger.attempts}"
    if messages.of_key(conn, messages.key("slack", before)):
        _report(conn, settings, trigger, f"judged:{run_id}:{number}", before)


def judgeable(of_run: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The executions of a run that people can judge: what specialists found, else what the manager did.

    Args:
        of_run: from `tasks.report.of_run`.
    """
    done = [each for each in of_run["executions"] if each["outcome"] in _JUDGED]
    specialists = [each for each in done if each["role"] == "specialist"]
    return (specialists or done)[:_MOST_JUDGED]


def _report(conn: Connection, settings: Config, trigger: Trigger, name: str, replaces: str = "") -> None:
    of_run = reports.of_run(conn, trigger.run_id)
    skills = [each for each in of_run["executions"] if each["outcome"] is not None]
    asked = [each["execution_id"] for each in judgeable(of_run)]
    said = [each for id_ in asked for each in corrections.standing(corrections.of_execution(conn, id_))]
    said.sort(key=lambda each: each.id)

    def write(m: Markup) -> list[Paragraph]:
        if replaces and m is WHATSAPP:
            return []
        shown = [f"aspora show {m.data(each['execution_id'])}" for each in skills[:3]]
        question = telling.judgement(m, said) if asked and m is SLACK else []
        links = telling.links(m, settings, trigger.flow_run_id, *shown)
        return [*telling.report(m, of_run), [*question, *links]]

    buttons = _judging(trigger.run_id, said) if asked else []
    _tell(conn, _places(settings, trigger), name, trigger.run_id, write, buttons, replaces)


def _judging(run_id: str, said: Sequence[corrections.Correction]) -> list[dict[str, Any]]:
    """Yes and No; to what was corrected also agreement, and a way back."""
    newest = [each.execution_id for each in said if each.kind == "correction"][-1:]
    agree = [_button(AGREE, "I agree with the correction", "primary", id_) for id_ in newest]
    back = [_button(TAKE_BACK, "Take back what I said", "", said[-1].execution_id)] if said else []
    yes = _button(RIGHT, "Yes", "" if newest else "primary", run_id)
    return [*agree, yes, _button(WRONG, "No …", "", run_id), *back]


def refused(conn: Connection, settings: Config, trigger: Trigger, reason: str) -> None:
    """No run will be made of it. Where no person asked, the same reason is told once an hour."""

    def write(m: Markup) -> list[Paragraph]:
        lines = [f"{m.bold('Refused:')} {m.data(reason, 1000)}", *_subject(m, trigger)]
        return [[*lines, f"It is kept as {m.code(trigger.id)}."]]

    why = f"{trigger.domain}:{ids.key(reason)}:{utc():%Y-%m-%d-%H}"
    name = f"refused:{f'{trigger.id}:{trigger.attempts}' if trigger.origin else why}"
    _tell(conn, _places(settings, trigger), name, trigger.run_id, write)


def deferred(conn: Connection, settings: Config, trigger: Trigger, reason: str) -> None:
    """Its run starts later; told once, and only to a person who asked."""
    if not trigger.origin:
        return

    def write(m: Markup) -> list[Paragraph]:
        return [
            [
                f"{m.bold('Later:')} {m.data(reason, 1000)}",
                f"It is kept as {m.code(trigger.id)} and tried again.",
            ]
        ]

    _tell(conn, _places(settings, trigger), f"deferred:{trigger.id}", trigger.run_id, write)


def resolved(conn: Connection, settings: Config, trigger: Trigger) -> None:
    """Its alert ended by itself; told where its run was told of."""
    run = inbox.get(conn, trigger.part_of) if trigger.part_of else trigger
    places = [
        place for place in _places(settings, run) if messages.of_thread(conn, run.run_id, place.channel)
    ]
    at = telling.moment(trigger.resolved_at or utc())

    def write(m: Markup) -> list[Paragraph]:
        return [[f"{m.bold('Resolved:')} the alert ended at {at}", *_subject(m, trigger)]]

    _tell(conn, places, f"resolved:{trigger.id}", run.run_id, write)


def asked(conn: Connection, settings: Config, approval: Approval) -> None:
    """A fix waits for a decision: with buttons in Slack, and a word on where to decide elsewhere."""
    _tell_fix(conn, settings, approval, f"asked:{approval.id}", _asking(conn, settings, approval), _buttons)


def decided(conn: Connection, settings: Config, decision: Decision) -> None:
    """A fix was decided, or an approval counted: the question shows it from now on."""
    approval = decision.approval
    approved = votes.of(conn, approval.id)
    if decision.status != "recorded":
        _replace(conn, settings, approval, f"decided:{approval.id}", approved)
        return
    question, names = _asking(conn, settings, approval), ", ".join(decision.approvers)

    def write(m: Markup) -> Sequence[Paragraph]:
        counted = f"approved by {m.data(names)}, and {decision.missing} more must approve."
        return [[f"{m.bold(approval.id)} is {counted}"]] if m is WHATSAPP else question(m)

    number = f"{len(decision.approvers)}-{len(decision.approvers) + decision.missing}"
    name, replaces = f"voted:{approval.id}:{number}", f"asked:{approval.id}"
    _tell_fix(conn, settings, approval, name, write, _buttons, replaces)


def superseded(conn: Connection, settings: Config, approval: Approval) -> None:
    """A newer proposal took its place."""
    _replace(conn, settings, approval, f"superseded:{approval.id}")


def reminded(conn: Connection, settings: Config, approval: Approval) -> None:
    """It still waits."""
    number = approval.reminded_at.isoformat() if approval.reminded_at else ""
    guardrails = settings.domains[approval.domain].guardrails
    _call(conn, settings, approval, f"reminded:{approval.id}:{number}", "Reminder", guardrails.approvers)


def escalated(conn: Connection, settings: Config, approval: Approval) -> None:
    """It has waited so long that others may decide too."""
    guardrails = settings.domains[approval.domain].guardrails
    _call(conn, settings, approval, f"escalated:{approval.id}", "Escalated", guardrails.escalate_to)


def expired(conn: Connection, settings: Config, approval: Approval) -> None:
    """Nobody decided in time: the question shows it, and its thread is told."""
    _replace(conn, settings, approval, f"expired:{approval.id}")

    def write(m: Markup) -> list[Paragraph]:
        became = f"{m.bold(approval.id)} {m.data(approval.subject)}: {telling.fate(m, approval)}."
        return [] if m is WHATSAPP else [[became]]

    _tell_fix(conn, settings, approval, f"told-expired:{approval.id}", write)


def carried_out(conn: Connection, settings: Config, approval: Approval) -> None:
    """An approved fix was carried out, or stopped on the way."""

    def write(m: Markup) -> list[Paragraph]:
        shown = telling.links(m, settings, None, f"aspora show {m.data(approval.execution_id)}")
        return [*telling.outcome(m, approval), shown]

    _tell_fix(conn, settings, approval, f"carried-out:{approval.id}", write)


def whispered(conn: Connection, bot: str, channel: str, thread: str, user: str, text: str) -> None:
    """An answer to one Slack user's click, which nobody else sees."""
    address = {"bot": bot, "channel": channel, "thread": thread, "user": user}
    name = f"whisper:{user}:{utc().isoformat()}"
    body = SLACK.body([[SLACK.data(text, 1000)]])
    messages.add(conn, name, "slack", address, body, about=name)


def _places(settings: Config, trigger: Trigger) -> list[_Place]:
    """Where a run is told of."""
    origin = trigger.origin if isinstance(trigger.origin, dict) else {}
    if origin.get("kind") == "slack" and origin.get("channel"):
        kept = {name: str(origin.get(name) or "") for name in ("bot", "channel", "thread")}
        return [_Place("slack", kept)]
    if origin.get("kind") == "whatsapp" and origin.get("to"):
        return [_Place("whatsapp", {name: str(origin.get(name, "")) for name in ("phone_number_id", "to")})]
    return _channel(settings, trigger.domain)


def _channel(settings: Config, domain: str) -> list[_Place]:
    """The Slack channel of a domain."""
    channels = settings.slack.channels
    channel = channels.get(domain) or channels.get("default")
    if not channel:
        return []
    return [_Place("slack", {"bot": bot(settings, domain), "channel": channel, "thread": ""})]


def bot(settings: Config, domain: str) -> str:
    """The bot that speaks for a domain: the one that people call for it, or the first."""
    called = [
        trigger.match.get("mention")
        for trigger in settings.triggers
        if trigger.source == "slack" and trigger.domain == domain
    ]
    mentions = [bot.mention for bot in settings.slack.bots]
    return next((mention for mention in mentions if mention in called), mentions[0] if mentions else "")


def _tell(
    conn: Connection,
    places: Sequence[_Place],
    name: str,
    about: str,
    write: Write,
    buttons: Sequence[dict[str, Any]] = (),
    replaces: str = "",
) -> None:
    for place in places:
        written = write(place.markup)
        if written:
            body = place.markup.body(written, buttons)
            messages.add(conn, name, place.channel, place.address, body, about=about, replaces=replaces)


def _tell_fix(
    conn: Connection,
    settings: Config,
    approval: Approval,
    name: str,
    write: Write,
    buttons: Callable[[Approval], Sequence[dict[str, Any]]] = lambda approval: (),
    replaces: str = "",
) -> None:
    """Tells of a fix where its run is told of, and in Slack besides, where people can decide."""
    try:
        trigger = inbox.get(conn, approval.run_id)
    except inbox.UnknownTrigger:
        places = _channel(settings, approval.domain)
    else:
        places = _places(settings, trigger)
        if all(place.channel != "slack" for place in places):
            places += _channel(settings, approval.domain)
    _tell(conn, places, name, approval.run_id, write, buttons(approval), replaces)


def _replace(
    conn: Connection, settings: Config, approval: Approval, name: str, approved: Sequence[votes.Vote] = ()
) -> None:
    """The question, without its buttons and with what became of it; where it can't be changed, only that."""

    def write(m: Markup) -> list[Paragraph]:
        became = telling.fate(m, approval, approved)
        if m is WHATSAPP:
            return [[f"{m.bold(approval.id)} {m.data(approval.subject)}: {became}"]]
        return [*telling.proposal(m, settings, approval, approved), [became]]

    _tell_fix(conn, settings, approval, name, write, replaces=f"asked:{approval.id}")


def _asking(conn: Connection, settings: Config, approval: Approval) -> Write:
    approved = demands.approved(conn, settings, approval)

    def write(m: Markup) -> list[Paragraph]:
        commands = (f"aspora show {m.data(approval.execution_id)}", f"aspora approve {approval.id} --as NAME")
        shown = telling.links(m, settings, approval.flow_run_id, *commands)
        elsewhere = [f"Decide in Slack, or in Prefect: {telling.prefect_address(settings)}"]
        places = elsewhere if m is WHATSAPP else []
        return [*telling.proposal(m, settings, approval, approved), places, shown]

    return write


def _call(
    conn: Connection, settings: Config, approval: Approval, name: str, word: str, called: Sequence[str]
) -> None:
    """Calls people to a fix that waits."""

    def write(m: Markup) -> list[Paragraph]:
        until = telling.moment(approval.expires_at)
        waits = f"{m.bold(f'{word}:')} {m.bold(approval.id)} {m.data(approval.subject)} waits until {until}."
        return [[f"{waits} {_mentions(m, settings, called)}"]]

    _tell_fix(conn, settings, approval, name, write)


def _mentions(m: Markup, settings: Config, called: Sequence[str]) -> str:
    """The people called: their Slack accounts, or else their names."""
    accounts = people.slack_ids(settings, called) if m is SLACK else []
    tagged = [f"<@{id}>" for id in accounts if id.isalnum()]
    named = {votes.identity(people.of_slack(settings, id)) for id in accounts}
    others = [each for each in people.members(settings, called) if votes.identity(each) not in named]
    return ", ".join([*tagged, *map(m.data, others)][:_MENTIONED])


def _buttons(approval: Approval) -> list[dict[str, Any]]:
    return [
        _button(APPROVE, "Approve", "primary", approval.id),
        _button(REJECT, "Reject …", "danger", approval.id),
    ]


def _button(action: str, label: str, style: str, value: str) -> dict[str, Any]:
    text = {"type": "plain_text", "text": label}
    made = {"type": "button", "action_id": action, "text": text, "value": value}
    return {**made, "style": style} if style else made


def _subject(m: Markup, trigger: Trigger) -> list[str]:
    """What an alert or message said, if it was not said in the thread itself."""
    received = trigger.received if isinstance(trigger.received, dict) else {}
    text = received.get("text")
    return [m.data(text)] if text and trigger.source not in ("slack", "whatsapp") else []
