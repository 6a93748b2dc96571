"""`/whatsapp`: the webhook of Meta's WhatsApp Cloud API."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from blocks.secrets import secret
from flows.gateway import answers, body, door
from flows.gateway.refusal import Refusal
from tasks.domain import Incoming

ROUTE = "/whatsapp"
_MENTION = re.compile(r"\s*(@[A-Za-z0-9._-]+)[\s,:]*")
router = APIRouter(tags=["WhatsApp"])


class Part(BaseModel):
    """A part of Meta's message; what is not read here is kept as it is."""

    model_config = ConfigDict(extra="allow")


class Text(Part):
    """What a person wrote."""

    body: str


class ChatMessage(Part):
    """One message."""

    id: str = Field(min_length=1, max_length=300)
    sender: str = Field("", alias="from", max_length=30)
    type: str
    text: Text | None = None


class Metadata(Part):
    """The business's own number."""

    phone_number_id: str = Field(max_length=100)


class Value(Part):
    """What changed; statuses of messages that were sent come without `messages`."""

    metadata: Metadata | None = None
    messages: list[ChatMessage] = []


class Change(Part):
    """One change."""

    field: str
    value: Value


class Entry(Part):
    """Changes of one business account."""

    changes: list[Change] = []


class WhatsappMessage(Part):
    """A notification of the Cloud API."""

    object: str
    entry: list[Entry] = []


class KeptMessages(BaseModel):
    """The text messages of one notification, in its order."""

    triggers: list[answers.Kept]


EXAMPLE = {
    "object": "whatsapp_business_account",
    "entry": [
        {
            "id": "102290129340398",
            "changes": [
                {
                    "field": "messages",
                    "value": {
                        "messaging_product": "whatsapp",
                        "metadata": {
                            "display_phone_number": "15550783881",
                            "phone_number_id": "106540352242922",
                        },
                        "messages": [
                            {
                                "from": "4915112345678",
                                "id": "wamid.HBgLMTY1MDM4Nzk0MzkVAgASGBQ",
                                "timestamp": "1712345678",
                                "type": "text",
                                "text": {"body": "@fraud-agent look at case 4711"},
                            }
                        ],
                    },
                }
            ],
        }
    ],
}


@router.get(
    ROUTE,
    response_class=Response,
    responses=answers.problems(400, 403, 429, 503) | answers.plain_text("The challenge."),
    summary="Meta's check of this address",
)
async def subscribe(
    request: Request,
    mode: Annotated[str, Query(alias="hub.mode", examples=["subscribe"])] = "",
    token: Annotated[str, Query(alias="hub.verify_token")] = "",
    challenge: Annotated[str, Query(alias="hub.challenge", examples=["1158201444"])] = "",
) -> Response:
    """Echoes `hub.challenge` where `hub.verify_token` is the one in `WHATSAPP_VERIFY_TOKEN`."""
    desk = door.of(request)
    expected = _needed("WHATSAPP_VERIFY_TOKEN")
    if not door.same(token, expected):
        desk.turn_away(request, ROUTE, 403, "the verify token is wrong")
    if mode != "subscribe" or not challenge or len(challenge) > 200:
        raise Refusal(400, "hub.mode must be subscribe, and hub.challenge 1 to 200 characters")
    return PlainTextResponse(challenge, headers={"X-Content-Type-Options": "nosniff"})


@router.post(
    ROUTE,
    response_model=KeptMessages,
    response_description="All text messages are stored.",
    responses=answers.TAKING,
    openapi_extra=answers.body_of("WhatsappMessage", EXAMPLE, security=[{"metaSignature": []}]),
    summary="Messages",
)
async def take_messages(request: Request) -> Response:
    """The callback URL of a Meta app's WhatsApp webhook, subscribed to `messages`.

    `X-Hub-Signature-256` is verified over the raw body with `WHATSAPP_APP_SECRET`. Each text message is one
    trigger with the fields `sender`, `phone_number_id`, and `mention` if the text begins with a name such as
    `@fraud-agent`. People who are not among `whatsapp.senders` of the config start nothing and are not
    answered; what they wrote is kept. Status updates and other kinds of messages are ignored.
    """
    desk = door.of(request)
    key = _needed("WHATSAPP_APP_SECRET")
    sent = await body.raw(request, desk.config.gateway.max_body)
    given = body.header(request, "x-hub-signature-256")
    desk.admit(request, ROUTE, door.signed(given, key, sent), "Meta's signature is missing or wrong")
    body.kind(request, "application/json")
    notification = body.fitting(WhatsappMessage, body.json_object(sent))
    stored = await desk.store(list(_messages(desk, notification)))
    return answers.json(KeptMessages(triggers=[answers.kept(trigger) for trigger in stored]))


def _needed(name: str) -> str:
    value = secret(name)
    if not value:
        raise Refusal(503, f"WhatsApp is not set up here: set {name}", {"Retry-After": "60"})
    return value


def _messages(desk: door.Door, notification: WhatsappMessage) -> Iterator[Incoming]:
    for entry in notification.entry:
        for change in entry.changes:
            for message in change.value.messages if change.field == "messages" else ():
                if message.text and change.value.metadata:
                    yield _message(desk, change.value.metadata.phone_number_id, message, message.text.body)


def _message(desk: door.Door, number: str, message: ChatMessage, text: str) -> Incoming:
    sender = "".join(filter(str.isdigit, message.sender))
    fields = {"sender": sender, "phone_number_id": number}
    if named := _MENTION.match(text):
        fields["mention"] = _as_written(desk, named[1])
        text = text[named.end() :]
    person = desk.config.whatsapp.senders.get(sender, "")
    return Incoming(
        source="whatsapp",
        dedupe_key=f"whatsapp:{message.id}",
        fields=fields,
        text=text.strip(),
        data=message.model_dump(mode="json", by_alias=True),
        asked_by=person,
        origin={"kind": "whatsapp", "phone_number_id": number, "to": sender} if person else None,
    )


def _as_written(desk: door.Door, mention: str) -> str:
    """As the trigger table writes it: phones put capitals where none are meant."""
    known = (each.match.get("mention", "") for each in desk.config.triggers if each.source == "whatsapp")
    return next((name for name in known if name.lower() == mention.lower()), mention.lower())
