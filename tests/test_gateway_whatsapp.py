"""WhatsApp at the gateway: Meta's check, its signature, and messages of people."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from tests.gateway_world import Town, meta_signed, new_town, set_surroundings, whatsapp

__all__ = ["new_town", "set_surroundings"]
PATH = "/whatsapp"


async def send(town: Town, value: Any) -> httpx.Response:
    """A notification, signed."""
    body = json.dumps(value).encode()
    return await town.post(PATH, body, meta_signed(body))


async def test_the_address_is_verified(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """Meta's challenge comes back as text where the token is right."""
    asked = {"hub.mode": "subscribe", "hub.verify_token": "verify-token", "hub.challenge": "<b>115"}
    answer = await town.client.get(PATH, params=asked)
    assert (answer.status_code, answer.text) == (200, "<b>115")
    assert answer.headers["content-type"].startswith("text/plain")
    for wrong in ({"hub.verify_token": "x"}, {"hub.verify_token": ""}, {"hub.verify_token": "\u00e9\ud800"}):
        given = {name: value.encode("utf-8", "surrogatepass") for name, value in {**asked, **wrong}.items()}
        assert (await town.client.get(PATH, params=given)).status_code == 403
    assert (await town.client.get(PATH, params={**asked, "hub.mode": "other"})).status_code == 400
    assert (await town.client.get(PATH)).status_code == 403
    monkeypatch.delenv("WHATSAPP_VERIFY_TOKEN")
    assert (await town.client.get(PATH, params={**asked, "hub.verify_token": ""})).status_code == 503


async def test_a_message_is_a_trigger(town: Town) -> None:
    """With the name at its beginning as field, however the phone wrote it, and whom to answer."""
    answer = await send(town, whatsapp("@Ecm-Agent, look at lulu"))
    [row] = town.rows()
    assert (answer.status_code, [each["id"] for each in answer.json()["triggers"]]) == (200, [row.id])
    assert (row.source, row.dedupe_key, row.asked_by, row.state) == (
        "whatsapp",
        "whatsapp:wamid.1",
        "anna",
        "pending",
    )
    assert row.received["text"] == "look at lulu"
    assert row.received["fields"] == {
        "mention": "@ecm-agent", "sender": "4915112345678", "phone_number_id": "106",
    }  # fmt: skip
    assert row.origin == {"kind": "whatsapp", "phone_number_id": "106", "to": "4915112345678"}


async def test_strangers_start_nothing(town: Town) -> None:
    """They are not answered; what they wrote is kept, with the reason."""
    answer = await send(town, whatsapp(sender="15550001111"))
    [row] = town.rows()
    assert (answer.status_code, row.state, row.asked_by, row.origin) == (200, "refused", "", None)
    assert "whatsapp.senders" in row.reason


async def test_the_same_message_is_one_row(town: Town) -> None:
    """Meta sends again what it thinks was lost."""
    await asyncio.gather(*(send(town, whatsapp()) for _ in range(20)))
    assert len(town.rows()) == 1


async def test_what_starts_nothing(town: Town) -> None:
    """Statuses, pictures and other fields are answered 200, or Meta would send them again."""
    statuses = {"metadata": {"phone_number_id": "1"}, "statuses": [{"id": "wamid.1", "status": "read"}]}
    picture = {"metadata": {"phone_number_id": "1"}, "messages": [{"from": "1", "id": "w", "type": "image"}]}
    for field, value in (("messages", statuses), ("messages", picture), ("account_update", {"event": "x"})):
        answer = await send(
            town, {"object": "x", "entry": [{"id": "1", "changes": [{"field": field, "value": value}]}]}
        )
        assert (answer.status_code, answer.json()) == (200, {"triggers": []})
    assert not town.rows()


async def test_only_meta_is_heard(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """401 for another key, another body, or none; 503 where no key is set."""
    body = json.dumps(whatsapp()).encode()
    for headers in (
        {},
        meta_signed(body, "guessed"),
        meta_signed(body + b" "),
        {"X-Hub-Signature-256": "sha256="},
    ):
        assert (await town.post(PATH, body, headers)).status_code == 401
    monkeypatch.delenv("WHATSAPP_APP_SECRET")
    assert (await town.post(PATH, body, meta_signed(body, ""))).status_code == 503
    assert not town.rows()
