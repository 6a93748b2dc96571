"""Bodies at the gateway that are too large, broken, or hostile: 4xx with a sentence, never a traceback."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from blocks.database import Database
from tests.gateway_world import (
    Town,
    alert,
    bearer,
    mention,
    meta_signed,
    new_town,
    notification,
    serving,
    set_surroundings,
    slack_signed,
    whatsapp,
)  # fmt: skip
from tests.record_world import new_postgres  # noqa: F401

__all__ = ["new_town", "set_surroundings"]
ROUTES = ["/alerts/prometheus", "/slack/events", "/whatsapp", "/api/ecm/analyze", "/api/ecm/signed"]


def proven(path: str, body: bytes) -> dict[str, str]:
    """Headers of a genuine sender."""
    partner = {"X-Partner-Signature": meta_signed(body, "partner-key")["X-Hub-Signature-256"]}
    by_path = {"/slack/events": slack_signed, "/whatsapp": meta_signed, "/api/ecm/signed": lambda _: partner}
    try:
        return by_path[path](body)
    except KeyError:
        return bearer()


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"\xff\xfe{}", (400, 401), ""),
        (b"{", (400,), "no JSON"),
        (b"", (400,), "no JSON"),
        (b"[]", (400,), "no JSON object"),
        (b"7", (400,), "no JSON object"),
        (b'{"a": NaN}', (400,), "NaN is no number"),
        (b'{"a": -Infinity}', (400,), "is no number"),
        (b'{"a": ' + b"9" * 5000 + b"}", (400,), "no JSON"),
        (b'{"a": ' + b"[" * 40 + b"]" * 40 + b"}", (400,), "nested too deeply"),
        (b'{"a":' * 20_000 + b"1" + b"}" * 20_000, (400, 413), ""),
        (b"[" * 90_000, (400,), ""),
        (b'{"a": "' + b"x" * 100_001 + b'"}', (413,), "100,000 bytes"),
    ],
)
async def test_broken_bodies_of_genuine_senders(
    town: Town, body: bytes, status: tuple[int, ...], said: str
) -> None:
    """4xx and what is wrong. Slack's own verifier takes only UTF-8."""
    for path in ROUTES:
        answer = await town.post(path, body, proven(path, body))
        assert answer.status_code in status, (path, answer.text)
        assert said in answer.json()["error"]
    assert not town.rows()


async def test_the_limit_holds_without_a_length(town: Town) -> None:
    """Streamed in chunks, the body is cut off at the limit, not read to its end."""
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 1
            yield b" " * 1000

    headers = {"Content-Type": "application/json", **bearer()}
    for path in ROUTES:
        read = 0
        answer = await town.client.post(path, content=endless(), headers=headers)
        assert (answer.status_code, read <= 102) == (413, True)


async def test_a_body_that_does_not_come(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sender that stops in the middle keeps no place for ever."""
    monkeypatch.setattr("flows.gateway.body.SECONDS", 0.05)

    async def stalled() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    headers = {"Content-Type": "application/json", **bearer()}
    answer = await town.client.post("/alerts/prometheus", content=stalled(), headers=headers)
    assert (answer.status_code, "did not arrive" in answer.json()["error"]) == (408, True)


@pytest.mark.parametrize(
    "headers",
    [{"Content-Type": "text/plain"}, {"Content-Type": ""}, {"Content-Encoding": "gzip"}],
)
async def test_other_kinds_of_bodies(town: Town, headers: dict[str, str]) -> None:
    """415 and what it takes instead."""
    for path in ROUTES:
        answer = await town.post(path, b"{}", {**proven(path, b"{}"), **headers})
        assert answer.status_code == 415
        assert "Content-" in answer.json()["error"]


@pytest.mark.parametrize("name", ["Authorization", "Idempotency-Key", "Content-Type"])
async def test_headers_that_decide_come_once(town: Town, name: str) -> None:
    """Sent twice it is not clear which one counts."""
    headers = [("Content-Type", "application/json"), *bearer().items(), ("Idempotency-Key", "k")]
    headers.append(next(each for each in headers if each[0] == name))
    answer = await town.client.post("/api/ecm/analyze", content=b"{}", headers=headers)
    assert (answer.status_code, "2 times" in answer.json()["error"]) == (400, True)


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/alerts/prometheus", "POST"),
        ("PUT", "/whatsapp", "GET, POST"),
        ("DELETE", "/api/ecm/analyze", "POST"),
        ("POST", "/healthz", "GET"),
    ],
)
async def test_other_methods(town: Town, method: str, path: str, allow: str) -> None:
    """405 with those that there are."""
    answer = await town.client.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allow)
    assert "Allow" in answer.json()["error"]


async def test_addresses_that_do_not_exist(town: Town) -> None:
    """404 that says where to look."""
    answer = await town.client.get("/alerts")
    assert (answer.status_code, answer.json()) == (
        404, {"error": "there is nothing at this address; /docs lists what there is"},
    )  # fmt: skip


def nasty() -> st.SearchStrategy[str]:
    """Any text, NUL characters and lone surrogates too."""
    return st.text(st.characters(exclude_categories=()), max_size=30)


@pytest.fixture(name="url", params=["sqlite", "postgresql"])
def database_url(
    request: pytest.FixtureRequest, surroundings: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """Where the record is, for a gateway on each database."""
    if request.param == "postgresql":
        monkeypatch.setenv("ASPORA_DATABASE_URL", request.getfixturevalue("postgres_url"))
    yield request.param


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(nasty(), min_size=8, max_size=8))
async def test_any_text_is_stored(url: str, texts: list[str]) -> None:
    """Whatever stands in a message's texts, it is taken, and both databases keep it."""
    one, two, three, four, five, six, seven, eight = texts
    labels = {"alertname": "StuckOrders", one: two}
    value = notification(alert("f" + three, labels=labels, annotations={four: five, "summary": six}))
    event = mention(text=seven, event_id=f"Ev{eight}", channel=f"C{one}")
    async with serving() as town:
        assert (await town.post("/alerts/prometheus", value)).status_code == 202
        body = json.dumps(event).encode()
        assert (await town.post("/slack/events", body, slack_signed(body))).status_code == 200
        body = json.dumps(whatsapp(text=two, id=f"w{three}", sender=four)).encode()
        assert (await town.post("/whatsapp", body, meta_signed(body))).status_code == 200
        answer = await town.post("/api/ecm/analyze", {"stage": five, six: seven})
        assert answer.status_code in (202, 422)
        assert "id" in answer.json()


async def test_values_at_the_edge_are_stored(url: str) -> None:
    """Numbers that no database column holds, and keys longer than an index takes."""
    async with serving() as town:
        value = {"huge": 10**4000, "far": 1e308, "n" * 90_000: 1}
        assert (await town.post("/api/ecm/analyze", value)).status_code == 422
        labels = {"alertname": "StuckOrders", "long": "x" * 50_000}
        taken = await town.post(
            "/alerts/prometheus", notification(alert(labels=labels), groupKey="g" * 40_000)
        )
        assert taken.status_code == 202
        [told] = taken.json()["triggers"]
        assert told["state"] == "pending"


async def test_a_database_that_is_gone(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """503: nothing was acknowledged, and it says when to come again."""

    def full(self: Database, work: Any) -> Any:
        from blocks.database import DatabaseError

        raise DatabaseError("the disk is full")

    monkeypatch.setattr(Database, "write_now", full)
    monkeypatch.setattr(Database, "read_now", full)
    answers = [
        await town.post("/alerts/prometheus", notification()),
        await town.post("/api/ecm/analyze", {}),
        await town.client.get("/api/triggers/trg-1", headers=bearer()),
    ]
    assert [(answer.status_code, answer.headers["retry-after"]) for answer in answers] == [(503, "1")] * 3
    assert all("again" in answer.json()["error"] for answer in answers)
    ready = await town.client.get("/readyz")
    assert (ready.status_code, ready.json()["reasons"]) == (503, ["the disk is full"])
