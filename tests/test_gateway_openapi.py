"""The gateway against its own OpenAPI document: made-up requests get no 5xx and no answer it doesn't name.

Two thirds of them come from a genuine sender, so that they get as far as the message itself.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.python.asgi import shutdown_lifespans
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)  # fmt: skip

from flows.gateway.app import create_app
from tasks.platform import open_now
from tests.gateway_world import bearer, meta_signed, set_surroundings, slack_signed

__all__ = ["set_surroundings"]
pytestmark = pytest.mark.full
OPERATIONS = [
    "POST /alerts/prometheus", "POST /slack/events", "POST /slack/interactivity", "POST /slack/commands",
    "GET /whatsapp", "POST /whatsapp", "POST /api/{domain}/{action}", "GET /api/triggers/{id}",
    "GET /healthz", "GET /readyz", "GET /metrics",
]  # fmt: skip
CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance,
    allow_header_conformance,
]  # fmt: skip


class Proving:
    """The gateway, with two of three requests signed on their way to it."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._numbers = itertools.count()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Handles one request, or the lifespan."""
        if scope["type"] != "http" or next(self._numbers) % 3 == 0:
            await self._app(scope, receive, send)
            return
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        proofs = bearer() | slack_signed(body) | meta_signed(body)
        named = {name.lower().encode(): value.encode() for name, value in proofs.items()}
        kept = [pair for pair in scope["headers"] if pair[0] not in named]
        sent = iter([{"type": "http.request", "body": body}])

        async def again() -> Any:
            return next(sent)

        await self._app({**scope, "headers": [*kept, *named.items()]}, again, send)


@pytest.fixture(name="operations", scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The document's operations by name."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        set_surroundings.__wrapped__(tmp_path_factory.mktemp("gateway"), monkeypatch)  # type: ignore[attr-defined]
        platform = open_now()
        schema = schemathesis.openapi.from_asgi("/openapi.json", Proving(create_app(platform)))
        found = [each.ok() for each in schema.get_all_operations()]
        yield {operation.label: operation for operation in found}
        shutdown_lifespans()
        platform.database.close()


def test_every_operation_is_tried(operations: dict[str, Any]) -> None:
    """The list above is the document's."""
    assert sorted(operations) == sorted(OPERATIONS)


@pytest.mark.parametrize("name", OPERATIONS)
def test_made_up_requests(operations: dict[str, Any], name: str, caplog: pytest.LogCaptureFixture) -> None:
    """Fitting ones and unfitting ones."""
    takes = operations[name].body or operations[name].path_parameters
    modes = list(schemathesis.GenerationMode) if takes else [schemathesis.GenerationMode.POSITIVE]
    for mode in modes:

        @settings(
            max_examples=60 if takes else 20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
        )
        @given(case=operations[name].as_strategy(generation_mode=mode))
        def try_one(case: Any) -> None:
            case.call_and_validate(checks=CHECKS)

        try_one()
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
