"""Webhooks of anybody at the gateway: who may call, what the domain takes, and following a trigger."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from blocks.config_file import read
from tasks.check_triggers import problems
from tests.gateway_world import (
    Town,
    bearer,
    configure,
    meta_signed,
    new_town,
    serving,
    set_surroundings,
)  # fmt: skip

__all__ = ["new_town", "set_surroundings"]
PATH = "/api/ecm/analyze"


def partner_signed(body: bytes, key: str = "partner-key") -> dict[str, str]:
    """The partner's own header."""
    return {"X-Partner-Signature": meta_signed(body, key)["X-Hub-Signature-256"]}


async def test_a_body_that_fits_starts_the_domain(town: Town) -> None:
    """202 with the id, and where to follow it."""
    answer = await town.post(PATH, {"stage": "lulu"}, {**bearer(), "Idempotency-Key": "case-1"})
    [row] = town.rows()
    assert answer.status_code == 202
    assert answer.json() == {"id": row.id, "state": "pending", "reason": "", "run_id": row.run_id}
    assert (row.domain, row.dedupe_key) == ("ecm", f"webhook:{PATH}:case-1")
    assert row.payload["stage"] == "lulu"
    assert row.received["fields"] == {"stage": "lulu", "path": PATH}
    followed = await town.client.get(answer.headers["location"], headers=bearer())
    assert followed.status_code == 200
    told = followed.json()
    assert (told["id"], told["state"], told["domain"], told["result"]) == (row.id, "pending", "ecm", None)


async def test_the_path_that_triggers_match_is_the_address(town: Town) -> None:
    """A body can't claim another one."""
    await town.post(PATH, {"path": "/api/ecm/signed"})
    [row] = town.rows()
    assert row.received["fields"]["path"] == PATH


async def test_a_body_that_does_not_fit_is_told_by_field(town: Town) -> None:
    """422 with what is wrong with which field; the refusal is kept."""
    answer = await town.post(PATH, {"stage": 7, "color": "red"})
    [row] = town.rows()
    assert (answer.status_code, answer.json()["id"], answer.json()["state"]) == (422, row.id, "refused")
    assert "stage" in answer.json()["error"] and "color" in answer.json()["error"]
    assert row.state == "refused"


@pytest.mark.parametrize(
    ("path", "said"),
    [("/api/refunds/analyze", "no domain 'refunds'"), ("/api/ecm/dance", "no webhook trigger")],
)
async def test_nothing_that_could_be_started(town: Town, path: str, said: str) -> None:
    """404 that says why; what came in is kept and visible."""
    answer = await town.post(path, {})
    [row] = town.rows()
    assert (answer.status_code, row.state) == (404, "unmatched")
    assert said in answer.json()["error"]


async def test_the_same_key_is_the_same_trigger(surroundings: Path) -> None:
    """However often, at once, and after a restart; another key or address is another trigger."""
    headers = {**bearer(), "Idempotency-Key": "k"}
    ids = set()
    for _ in range(2):
        async with serving() as town:
            answers = await asyncio.gather(*(town.post(PATH, {}, headers) for _ in range(50)))
            ids |= {answer.json()["id"] for answer in answers}
    async with serving() as town:
        await town.post(PATH, {}, {**bearer(), "Idempotency-Key": "l"})
        await town.post("/api/ecm/partner", {}, {**bearer("partner-token"), "Idempotency-Key": "k"})
        assert (len(ids), len(town.rows())) == (1, 3)


async def test_without_a_key_each_request_is_a_trigger(town: Town) -> None:
    """Two of the same body are two runs."""
    assert {(await town.post(PATH, {})).status_code for _ in range(2)} == {202}
    assert len(town.rows()) == 2


@pytest.mark.parametrize("key", ["a b", "\u00e9", "x" * 201, "a\tb"])
async def test_keys_that_are_no_keys(town: Town, key: str) -> None:
    """400, and nothing is stored."""
    headers: Any = {**bearer(), "Idempotency-Key": key.encode("latin-1")}
    answer = await town.post(PATH, {}, headers)
    assert (answer.status_code, "Idempotency-Key" in answer.json()["error"]) == (400, True)
    assert not town.rows()


@pytest.mark.parametrize(
    ("path", "right", "wrong"),
    [
        (PATH, bearer(), bearer("partner-token")),
        ("/api/ecm/partner", bearer("partner-token"), bearer()),
        ("/api/ecm/signed", partner_signed(b"{}"), partner_signed(b"{ }")),
        ("/api/ecm/signed", partner_signed(b"{}"), bearer()),
        ("/api/ecm/signed", partner_signed(b"{}"), partner_signed(b"{}", "other-key")),
        ("/api/no/such", bearer(), bearer("partner-token")),
    ],
)
async def test_each_address_has_its_own_proof(
    town: Town, path: str, right: dict[str, str], wrong: dict[str, str]
) -> None:
    """One that proves itself otherwise is told nothing, and leaves nothing."""
    for headers in (wrong, {}):
        answer = await town.post(path, b"{}", headers)
        assert (answer.status_code, town.rows()) == (401, [])
    answer = await town.post(path, b"{}", right)
    assert answer.status_code == (404 if "no" in path.split("/") else 202)
    assert len(town.rows()) == 1


async def test_a_copied_signed_request_starts_nothing_under_another_key(town: Town) -> None:
    """The signature covers the body and not the header."""
    for key in ("", "a", "b"):
        headers = partner_signed(b"{}") | {"Content-Type": "application/json", "Idempotency-Key": key}
        if not key:
            del headers["Idempotency-Key"]
        answer = await town.client.post("/api/ecm/signed", content=b"{}", headers=headers)
        assert answer.status_code == 202
    assert len(town.rows()) == 1


async def test_a_bare_hex_signature(town: Town) -> None:
    """As some senders write it."""
    digest = partner_signed(b"{}")["X-Partner-Signature"].removeprefix("sha256=").upper()
    assert (await town.post("/api/ecm/signed", b"{}", {"X-Partner-Signature": digest})).status_code == 202


async def test_a_copied_signed_request_starts_nothing(town: Town) -> None:
    """The same signed body is the same trigger."""
    body = json.dumps({"stage": "lulu"}).encode()
    answers = [await town.post("/api/ecm/signed", body, partner_signed(body)) for _ in range(3)]
    assert {answer.status_code for answer in answers} == {202}
    assert len(town.rows()) == 1


async def test_a_missing_secret_locks_the_address(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can prove anything: 503, whatever is sent."""
    monkeypatch.delenv("PARTNER_KEY")
    monkeypatch.delenv("PARTNER_TOKEN")
    for path, headers in (("/api/ecm/signed", partner_signed(b"{}", "")), ("/api/ecm/partner", bearer(""))):
        answer = await town.post(path, b"{}", headers)
        assert (answer.status_code, "PARTNER" in answer.text) == (503, False)
    assert not town.rows()


async def test_triggers_that_differ_in_their_proof(surroundings: Path) -> None:
    """Nobody may start one domain by the proof of another: the check says so, and the door stays shut."""
    trigger = {"source": "webhook", "match": {"path": PATH}, "domain": "ecm"}
    other = {**trigger, "match": {"path": PATH, "kind": "b"}, "auth": {"bearer_env": "PARTNER_TOKEN"}}
    configure(surroundings, triggers=[other, trigger])
    async with serving() as town:
        for token in ("partner-token", "gateway-token-of-the-tests"):
            assert (await town.post(PATH, {}, bearer(token))).status_code == 503
        assert not town.rows()
        told = list(problems(read(surroundings), town.app.state.door.config))
    assert [(each.key, each.level) for each in told if "same path" in each.message] == [
        ("triggers[1].auth", "error")
    ]


async def test_following_needs_a_proof(town: Town) -> None:
    """The gateway's token shows every trigger, the address's own those that came in there; else 401."""
    mine = (await town.post("/api/ecm/partner", {}, bearer("partner-token"))).json()["id"]
    other = (await town.post(PATH, {})).json()["id"]

    async def status(id: str, token: str) -> int:
        return (await town.client.get(f"/api/triggers/{id}", headers=bearer(token))).status_code

    assert await status(mine, "partner-token") == 200
    assert await status(other, "partner-token") == 401
    assert await status("trg-unknown", "partner-token") == 401
    assert await status("trg-unknown", "gateway-token-of-the-tests") == 404
    assert (await town.client.get(f"/api/triggers/{mine}")).status_code == 401


async def test_a_flood_at_one_address(surroundings: Path) -> None:
    """429 with the time to wait; other addresses, and genuine senders among forgers, are let in."""
    configure(surroundings, gateway={"flood": "5/hour"})
    async with serving() as town:
        forged = [(await town.post(PATH, {}, bearer("x"))).status_code for _ in range(7)]
        genuine = [await town.post(PATH, {}) for _ in range(7)]
        other = await town.post("/alerts/prometheus", {})
        assert forged == [401] * 5 + [429] * 2
        assert [answer.status_code for answer in genuine] == [202] * 5 + [429] * 2
        assert 0 < int(genuine[-1].headers["retry-after"]) <= 720
        assert other.status_code == 422
        assert len(town.rows()) == 5


async def test_who_proves_nothing_has_no_row_read(
    surroundings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forged tokens that ask what became of a trigger are turned away at the door, and then as a flood."""
    configure(surroundings, gateway={"flood": "3/hour"})
    async with serving() as town:
        mine = (await town.post(PATH, {})).json()["id"]

        async def read(*_: Any) -> None:
            raise AssertionError("the database was asked")

        monkeypatch.setattr(town.app.state.door.platform.database, "read", read)
        answers = [await town.client.get(f"/api/triggers/{mine}", headers=bearer("x")) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [401] * 3 + [429] * 2
