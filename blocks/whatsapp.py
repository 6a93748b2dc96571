"""WhatsApp's Cloud API: text messages to who has written. One call, one attempt, bounded in time."""

from __future__ import annotations

import re
from typing import Any

import httpx

from blocks.messengers import Limited, Refused, Unreachable, wait
from blocks.secrets import secret

API = "https://graph.facebook.com"
VERSION = "v23.0"
LONGEST = 4096
"""Characters of one text message."""
SECONDS = 10.0
_LIMITED = (4, 80007, 130429, 131048, 131056)
_FAULTS = (1, 2, 131000, 131016)
_FINAL = (100, 131008, 131009, 131026, 131047, 131051)
"""Among them: the person's last message is more than 24 hours ago, so that no free text may be sent."""
_DIGITS = re.compile(r"\d{5,20}")


async def send(phone_number_id: str, to: str, text: str) -> str:
    """Sends a text message; its id.

    Args:
        phone_number_id: the platform's own number, as Meta names it.
        to: the person's number, digits with country code.

    Raises:
        Limited: WhatsApp asks to come back later.
        Refused: it says no, or WHATSAPP_ACCESS_TOKEN is not set.
        Unreachable: there is no usable answer in time.
    """
    token = secret("WHATSAPP_ACCESS_TOKEN")
    if not token:
        raise Refused("WHATSAPP_ACCESS_TOKEN is not set")
    if not _DIGITS.fullmatch(phone_number_id) or not _DIGITS.fullmatch(to):
        raise Refused("the phone number is none", final=True)
    base = (secret("WHATSAPP_API_URL") or API).rstrip("/")
    body = {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": to,
        "type": "text",
        "text": {"preview_url": False, "body": text[:LONGEST]},
    }
    try:
        async with httpx.AsyncClient(timeout=SECONDS) as client:
            answer = await client.post(
                f"{base}/{VERSION}/{phone_number_id}/messages",
                json=body,
                headers={"Authorization": f"Bearer {token}"},
            )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Unreachable(f"WhatsApp can't be reached: {type(error).__name__}") from None
    return _sent(answer)


def _sent(answer: httpx.Response) -> str:
    data = _json(answer)
    if answer.is_success:
        try:
            return str(data["messages"][0]["id"])
        except (KeyError, IndexError, TypeError):
            raise Unreachable("WhatsApp's answer lacks the message's id") from None
    fault = data.get("error")
    code = fault.get("code") if isinstance(fault, dict) else None
    if answer.status_code == 429 or code in _LIMITED:
        raise Limited(wait(answer.headers.get("retry-after")))
    if answer.status_code >= 500 or code in _FAULTS:
        raise Unreachable(f"WhatsApp failed, HTTP {answer.status_code}")
    raise Refused(
        f"WhatsApp refused the message: HTTP {answer.status_code}, code {code}", final=code in _FINAL
    )


def _json(answer: httpx.Response) -> dict[str, Any]:
    try:
        data = answer.json()
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}
