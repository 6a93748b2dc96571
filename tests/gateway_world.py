"""A gateway with its routes in this process, and messages signed as their senders sign them."""

from __future__ import annotations

import hashlib
import hmac
import json
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from sqlalchemy import select

from blocks.database import Database
from blocks.schema import triggers
from flows.gateway.app import Gateway, create_app
from tasks import inbox
from tasks.platform import open_now
from tests.worlds import STRAIGHT, write_config

TOKEN = "gateway-token-of-the-tests"
BOT, OTHER_BOT = "U0BOT", "U0OTHER"
SECRETS = {
    "ASPORA_GATEWAY_TOKEN": TOKEN,
    "SLACK_SIGNING_SECRET": "slack-secret",
    "OTHER_SIGNING_SECRET": "other-slack-secret",
    "WHATSAPP_APP_SECRET": "meta-secret",
    "WHATSAPP_VERIFY_TOKEN": "verify-token",
    "PARTNER_TOKEN": "partner-token",
    "PARTNER_KEY": "partner-key",
}
CONFIG: dict[str, Any] = {
    "triggers": [
        {"source": "prometheus", "match": {"alertname": "StuckOrders"}, "domain": "ecm"},
        {"source": "slack", "match": {"mention": "@ecm-agent"}, "domain": "ecm"},
        {"source": "whatsapp", "match": {"mention": "@ecm-agent"}, "domain": "ecm"},
        {"source": "webhook", "match": {"path": "/api/ecm/analyze"}, "domain": "ecm"},
        {"source": "webhook", "match": {"path": "/api/fincrime/analyze"}, "domain": "fincrime"},
        {"source": "webhook", "match": {"path": "/api/refunds/analyze"}, "domain": "refunds"},
        {
            "source": "webhook",
            "match": {"path": "/api/ecm/partner"},
            "domain": "ecm",
            "auth": {"bearer_env": "PARTNER_TOKEN"},
        },
        {
            "source": "webhook",
            "match": {"path": "/api/ecm/signed"},
            "domain": "ecm",
            "auth": {"hmac_env": "PARTNER_KEY", "header": "X-Partner-Signature"},
        },
    ],
    "slack": {
        "bots": [
            {"mention": "@ecm-agent", "user_id": BOT},
            {"mention": "@fraud-agent", "user_id": OTHER_BOT, "signing_secret_env": "OTHER_SIGNING_SECRET"},
        ],
        "users": {"U0ANNA": "anna"},
    },
    "whatsapp": {"senders": {"4915112345678": "anna"}},
    "gateway": {"max_body": 100_000, "flood": "100000/s"},
}


@dataclass
class Town:
    """The gateway, somebody who calls it, and what it stored."""

    app: Gateway
    client: httpx.AsyncClient
    database: Database

    async def post(self, path: str, value: Any, headers: dict[str, str] | None = None) -> httpx.Response:
        """A JSON body with the gateway's token, or these headers."""
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        sent = {"Content-Type": "application/json", **(bearer() if headers is None else headers)}
        return await self.client.post(path, content=content, headers=sent)

    def rows(self) -> list[inbox.Trigger]:
        """Everything in the inbox, oldest first."""
        query = select(triggers).order_by(triggers.c.created_at, triggers.c.id)
        found = self.database.read_now(lambda conn: conn.execute(query).all())
        return [inbox.Trigger.model_validate(row) for row in found]


@pytest.fixture(name="surroundings")
def set_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home and a config of its own, and all secrets in the environment."""
    path = write_config(tmp_path / "aspora.config.yaml", STRAIGHT)
    configure(path)
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    home = tmp_path / "home"
    home.mkdir()
    (home / "aspora.db").write_bytes(empty_record())
    monkeypatch.setenv("ASPORA_HOME", str(home))
    monkeypatch.setenv("ASPORA_CONFIG", str(path))
    monkeypatch.delenv("ASPORA_DATABASE_URL", raising=False)
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    return path


@cache
def empty_record() -> bytes:
    """A migrated SQLite database; migrating takes longer than most of the tests."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "aspora.db"
        database = Database(f"sqlite:///{path}")
        database.migrate()
        database.close()
        return path.read_bytes()


def configure(path: Path, **sections: Any) -> None:
    """These sections of the config instead of those of the tests."""
    written = yaml.safe_load(path.read_text(encoding="utf-8"))
    path.write_text(yaml.safe_dump({**written, **CONFIG, **sections}), encoding="utf-8")


@pytest.fixture(name="town")
async def new_town(surroundings: Path) -> AsyncIterator[Town]:
    """A gateway on a fresh SQLite database."""
    async with serving() as town:
        yield town


@asynccontextmanager
async def serving() -> AsyncIterator[Town]:
    """The gateway of this environment, from start to stop."""
    platform = open_now()
    app = create_app(platform)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://gateway") as client,
    ):
        yield Town(app, client, platform.database)
    platform.database.close()


def bearer(token: str = TOKEN) -> dict[str, str]:
    """The Authorization header."""
    return {"Authorization": f"Bearer {token}"}


def slack_signed(body: bytes, secret: str = "slack-secret", at: float | None = None) -> dict[str, str]:
    """Slack's headers."""
    when = str(int(time.time() if at is None else at))
    digest = hmac.new(secret.encode(), b"v0:" + when.encode() + b":" + body, hashlib.sha256).hexdigest()
    return {"X-Slack-Request-Timestamp": when, "X-Slack-Signature": f"v0={digest}"}


def meta_signed(body: bytes, secret: str = "meta-secret") -> dict[str, str]:
    """Meta's header."""
    return {"X-Hub-Signature-256": f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"}


def alert(fingerprint: str = "f1", **given: Any) -> dict[str, Any]:
    """One alert of a notification."""
    labels = {"alertname": "StuckOrders", "service": "payouts"}
    whole = {"status": "firing", "labels": labels, "annotations": {"summary": "orders are stuck"}}
    whole |= {"startsAt": "2026-02-17T08:05:32.123456789Z", "endsAt": "0001-01-01T00:00:00Z"}
    return {**whole, "fingerprint": fingerprint, **given}


def notification(*alerts: dict[str, Any], **given: Any) -> dict[str, Any]:
    """A notification of Alertmanager."""
    whole = {"version": "4", "groupKey": '{}:{alertname="StuckOrders"}', "status": "firing"}
    return {**whole, "alerts": list(alerts) or [alert()], **given}


def mention(text: str = f"<@{BOT}> look at lulu", event_id: str = "Ev1", **given: Any) -> dict[str, Any]:
    """Slack's event of somebody who mentions the bot."""
    event = {"type": "app_mention", "user": "U0ANNA", "text": text, "channel": "C1", "ts": "17.01", **given}
    return {"type": "event_callback", "event_id": event_id, "event": event}


def whatsapp(
    text: str = "@ecm-agent look", id: str = "wamid.1", sender: str = "4915112345678"
) -> dict[str, Any]:
    """Meta's notification of one text message."""
    message = {"from": sender, "id": id, "timestamp": "1712345678", "type": "text", "text": {"body": text}}
    value = {"metadata": {"phone_number_id": "106"}, "messages": [message]}
    return {
        "object": "whatsapp_business_account",
        "entry": [{"id": "1", "changes": [{"field": "messages", "value": value}]}],
    }
