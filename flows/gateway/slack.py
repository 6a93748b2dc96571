"""`/slack/…`: what Slack sends for people who write, click and command."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, model_validator
from slack_sdk.signature import SignatureVerifier
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from blocks.config import SlackBot
from blocks.secrets import secret
from flows.gateway import answers, body, door
from flows.gateway.refusal import Refusal, log
from flows.gateway.slack_text import readable
from tasks import people
from tasks.domain import Incoming

EVENTS, INTERACTIVITY, COMMANDS = "/slack/events", "/slack/interactivity", "/slack/commands"
SECONDS = 2.5
"""Slack gives up after three."""
FORM = "application/x-www-form-urlencoded"
SIGNED: list[dict[str, list[str]]] = [{"slackSignature": []}]
router = APIRouter(tags=["Slack"])


class Event(BaseModel):
    """A message that somebody wrote; values that Slack leaves empty are null or absent."""

    model_config = ConfigDict(extra="allow")

    type: str = ""
    text: str = ""
    user: str = ""
    channel: str = ""
    channel_type: str = ""
    subtype: str = ""
    bot_id: str = ""
    ts: str = ""
    thread_ts: str = ""

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {name: item for name, item in value.items() if item is not None}


class Authorization(BaseModel):
    """For whom Slack sends an event."""

    model_config = ConfigDict(extra="allow")

    user_id: str = ""


class SlackEvent(BaseModel):
    """A request of Slack's Events API."""

    model_config = ConfigDict(extra="allow")

    type: str
    challenge: str = Field("", max_length=1_000, description="Of `url_verification`.")
    event_id: str = Field("", max_length=200)
    event: dict[str, Any] = Field({}, description="What happened; kinds that start nothing are not read.")
    authorizations: list[Authorization] = []


class SlackInteraction(BaseModel):
    """A click, as Slack's interactivity sends it."""

    payload: str = Field(description="JSON.")


class SlackCommand(BaseModel):
    """A slash command; further fields are handed on."""

    model_config = ConfigDict(extra="allow")

    command: str = Field(examples=["/aspora"])
    text: str = ""
    user_id: str
    channel_id: str = ""


class SlackAnswer(BaseModel):
    """What Slack is told."""

    model_config = ConfigDict(extra="allow")

    ok: bool = True


EVENT_EXAMPLE = {
    "type": "event_callback",
    "event_id": "Ev08MFMKH6",
    "event": {
        "type": "app_mention",
        "user": "U061F7AUR",
        "text": "<@U0LAN0Z89> why are refunds of &lt;lulu&gt; slow?",
        "channel": "C123ABC456",
        "ts": "1712345678.000100",
    },
}


@router.post(
    EVENTS,
    response_model=SlackAnswer,
    response_description="Stored, recognised as a retry, or ignored.",
    responses=answers.TAKING,
    openapi_extra=answers.body_of("SlackEvent", EVENT_EXAMPLE, security=SIGNED),
    summary="Messages to the bots",
)
async def take_event(request: Request) -> Response:
    """The request URL of an app's Event Subscriptions, with the bot events `app_mention` and `message.im`.

    The signature is verified over the raw body with the signing secret of each configured bot. A message that
    mentions a bot, or is written to it directly, is one trigger with the field `mention`; the answer comes
    into its thread. Slack's retries carry the same event id and start nothing again; what can't be stored in
    time is answered 503, so that Slack sends it again. Messages of bots, and events of other kinds, are
    answered 200 and ignored.
    """
    desk = door.of(request)
    bots, sent = await _verified(request, desk, EVENTS)
    body.kind(request, "application/json")
    told = body.fitting(SlackEvent, body.json_object(sent))
    if told.type == "url_verification":
        return JSONResponse({"challenge": told.challenge})
    if told.type != "event_callback" or told.event.get("type") not in ("app_mention", "message"):
        return JSONResponse({"ok": True, "ignored": True})
    event = body.fitting(Event, told.event)
    if not _for_us(desk, event):
        return JSONResponse({"ok": True, "ignored": True})
    if not (told.event_id and event.user and event.channel and event.ts):
        raise Refusal(422, "the event has no event_id, user, channel or ts, so it can't be answered")
    named = {each.user_id for each in told.authorizations}
    bot = _addressed(bots, named) or _mentioned(bots, event.text) or bots[0]
    if retry := body.header(request, "x-slack-retry-num"):
        log.info("%s: retry %s of an event", EVENTS, retry[:3] if retry.isdigit() else "?")
    [trigger] = await desk.store([_message(desk, bot, event, told)], SECONDS)
    return JSONResponse({"ok": True, **answers.kept(trigger).model_dump(mode="json")})


@router.post(
    INTERACTIVITY,
    response_class=Response,
    response_description="Empty, or what Slack is to show, as JSON.",
    responses=answers.TAKING,
    openapi_extra=answers.body_of(
        "SlackInteraction", {"payload": '{"type": "block_actions", "actions": []}'}, FORM, security=SIGNED
    ),
    summary="Clicks on buttons",
)
async def take_click(request: Request) -> Response:
    """The request URL of an app's Interactivity: decisions on fixes, and whether reports were right.

    The verified Slack user is who decides. The message is updated with who decided what and when; a click
    that comes too late is told so.
    """
    from flows.chat import interactivity

    desk = door.of(request)
    bots, sent = await _verified(request, desk, INTERACTIVITY)
    body.kind(request, FORM)
    payload = body.json_object(body.fields(sent).get("payload", "").encode())
    message = payload.get("message")
    named = {str(message.get("user", ""))} if isinstance(message, dict) else set()
    bot = _addressed(bots, named) or bots[0]
    said = await desk.ask(interactivity.clicked(desk.platform, bot, payload), SECONDS)
    return JSONResponse(dict(said)) if said is not None else Response(status_code=200)


@router.post(
    COMMANDS,
    response_model=SlackAnswer,
    response_description="What only the person who typed it sees.",
    responses=answers.TAKING | answers.problems(409),
    openapi_extra=answers.body_of(
        "SlackCommand",
        {"command": "/aspora", "text": "status", "user_id": "U061F7AUR"},
        FORM,
        security=SIGNED,
    ),
    summary="Slash commands",
)
async def take_command(request: Request) -> Response:
    """The request URL of an app's slash command, such as `/aspora stop ecm`; `/aspora help` lists all."""
    from flows.chat import commands

    desk = door.of(request)
    bots, sent = await _verified(request, desk, COMMANDS)
    body.kind(request, FORM)
    form = body.fields(sent)
    if desk.repeated(body.header(request, "x-slack-signature")):
        raise Refusal(409, "this very command was obeyed already")
    said = await desk.ask(commands.obey(desk.platform, bots[0], form), SECONDS)
    late = {
        "response_type": "ephemeral",
        "text": "This takes longer than usual; ask for the status in a while.",
    }
    return JSONResponse(dict(said) if said is not None else late)


async def _verified(request: Request, desk: door.Door, route: str) -> tuple[list[SlackBot], bytes]:
    """The bots whose secret signed the request, and its body.

    Raises:
        Refusal: no bot is set up (503), or none's secret did (401).
    """
    with_secret = [(bot, secret(bot.signing_secret_env)) for bot in desk.config.slack.bots]
    if not any(key.strip() for _, key in with_secret):
        said = "Slack is not set up here: name a bot under slack.bots and set its signing secret"
        raise Refusal(503, said, {"Retry-After": "60"})
    sent = await body.raw(request, desk.config.gateway.max_body)
    at, signature = (
        body.header(request, "x-slack-request-timestamp"),
        body.header(request, "x-slack-signature"),
    )
    bots = [bot for bot, key in with_secret if key.strip() and _signed(key, sent, at, signature)]
    told = "Slack's signature is missing, wrong, or older than five minutes"
    desk.admit(request, route, bool(bots), told)
    return bots, sent


def _signed(key: str, sent: bytes, at: str, signature: str) -> bool:
    try:
        return SignatureVerifier(key).is_valid(sent, at, signature)
    except (ValueError, TypeError):
        return False


def _for_us(desk: door.Door, event: Event) -> bool:
    """Whether a person wrote to a bot: what bots write, edits and removals start nothing."""
    written = event.type == "app_mention" or (event.type == "message" and event.channel_type == "im")
    by_bot = bool(event.bot_id) or event.user in {bot.user_id for bot in desk.config.slack.bots}
    return written and not by_bot and event.subtype in ("", "file_share", "thread_broadcast")


def _addressed(bots: Collection[SlackBot], ids: Collection[str]) -> SlackBot | None:
    return next((bot for bot in bots if bot.user_id in ids), None)


def _mentioned(bots: Collection[SlackBot], text: str) -> SlackBot | None:
    return next((bot for bot in bots if f"<@{bot.user_id}" in text), None)


def _message(desk: door.Door, bot: SlackBot, event: Event, told: SlackEvent) -> Incoming:
    users = desk.config.slack.users
    return Incoming(
        source="slack",
        dedupe_key=f"slack:{told.event_id}",
        fields={"mention": bot.mention, "channel": event.channel, "user": event.user},
        text=readable(event.text, bot.user_id, users),
        data=told.event,
        asked_by=people.of_slack(desk.config, event.user),
        origin={
            "kind": "slack",
            "bot": bot.mention,
            "channel": event.channel,
            "thread": event.thread_ts or event.ts,
            "user": event.user,
        },
    )
