"""What the gateway says about itself, and the pages for people."""

from __future__ import annotations

import json
import re
from html import escape
from pathlib import Path

import pytest

from flows.gateway import refusal
from flows.gateway.door import Door
from flows.gateway.token import gateway_token
from tests.gateway_world import Town, bearer, new_town, notification, serving, set_surroundings

__all__ = ["new_town", "set_surroundings"]


async def test_alive_and_ready(town: Town) -> None:
    """Both say so without a token."""
    assert (await town.client.get("/healthz")).json() == {"status": "ok"}
    ready = await town.client.get("/readyz")
    assert (ready.status_code, ready.json()) == (
        200, {"status": "ready", "reasons": [], "config": "as read at start"},
    )  # fmt: skip


async def test_a_config_that_changed(town: Town, surroundings: Path) -> None:
    """The gateway goes on with what it read, and says that a restart would change things, or fail."""
    good = surroundings.read_text(encoding="utf-8")
    surroundings.write_text(good + "\n# a change\n", encoding="utf-8")
    told = (await town.client.get("/readyz")).json()
    assert told["status"] == "ready"
    assert "restart" in told["config"]
    surroundings.write_text(good + "\nnonsense: true\n", encoding="utf-8")
    told = (await town.client.get("/readyz")).json()
    assert told["status"] == "ready"
    assert "does not load" in told["config"] and "nonsense" in told["config"]
    assert (await town.post("/alerts/prometheus", notification())).status_code == 202


async def test_the_page_describes_every_route(town: Town) -> None:
    """From `/`, without anything from elsewhere; examples are those of the OpenAPI document."""
    answer = await town.client.get("/", follow_redirects=True)
    document = (await town.client.get("/openapi.json")).json()
    assert (answer.status_code, str(answer.url)) == (200, "http://gateway/docs")
    assert not re.search(r"(src|href)=\"?http|<script|@import", answer.text)
    for path, methods in document["paths"].items():
        assert path in answer.text
        for route in methods.values():
            assert escape(route["summary"]) in answer.text
            assert route["description"]
    assert "HighAPILatency" in answer.text


async def test_the_document_has_every_body(town: Town) -> None:
    """Each route that takes something has a schema, an example that it takes, and its proof."""
    document = (await town.client.get("/openapi.json")).json()
    references = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(document)))
    assert references <= set(document["components"]["schemas"])
    for path, methods in document["paths"].items():
        for method, route in methods.items():
            assert method == "get" or (route["security"] and route["requestBody"]["content"]), path
    example = document["paths"]["/alerts/prometheus"]["post"]["requestBody"]["content"]["application/json"][
        "example"
    ]
    assert (await town.post("/alerts/prometheus", example)).status_code == 202


async def test_the_token_is_made_once(
    surroundings: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In the state directory, for the owner only; the environment's wins."""
    assert gateway_token() == "gateway-token-of-the-tests"
    monkeypatch.delenv("ASPORA_GATEWAY_TOKEN")
    made = gateway_token()
    file = tmp_path / "home" / "gateway-token"
    assert (gateway_token(), file.read_text().strip(), file.stat().st_mode & 0o777) == (made, made, 0o600)
    assert len(made) >= 40
    assert [each.name for each in file.parent.iterdir() if each.name.startswith("gateway-token")] == [
        file.name
    ]
    file.write_text("")
    assert gateway_token() not in ("", made)
    async with serving() as town:
        assert (
            await town.post("/alerts/prometheus", notification(), bearer(gateway_token()))
        ).status_code == 202


async def test_a_fault_of_the_gateway(
    town: Town, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """500 with a sentence; the log has the place, and neither data nor a traceback."""

    async def broken(*_: object) -> None:
        raise RuntimeError("secret words")

    monkeypatch.setattr(Door, "store", broken)
    answer = await town.post("/alerts/prometheus", notification())
    assert (answer.status_code, "fault" in answer.json()["error"]) == (500, True)
    assert "RuntimeError at" in caplog.text and "secret words" not in caplog.text
    assert "Traceback" not in caplog.text


async def test_one_line_for_many_that_are_turned_away(town: Town, caplog: pytest.LogCaptureFixture) -> None:
    """The log tells of forged requests, and can't be filled by them; nothing of theirs stands in it."""
    for _ in range(20):
        await town.post("/alerts/prometheus", notification(), bearer("guess-7"))
    lines = [record.getMessage() for record in caplog.records if record.name == refusal.log.name]
    assert len(lines) == 1
    assert "turned away" in lines[0] and "guess-7" not in caplog.text
