"""What comes in: triggers, and people's decisions. All of it is noted, to be compared with what was done."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import httpx

from blocks.database import DatabaseError
from tasks import approvals, decision
from tasks.approvals import Approval
from tasks.platform import open_now
from tests.faults.world import BOT, PEOPLE, SIGNING_SECRET, TOKEN, World
from tests.gateway_world import alert, notification, slack_signed

PAUSE = (3.0, 9.0)
"""Seconds between triggers."""
INSISTS_FOR = 120.0
"""So long a sender tries again whose trigger was not accepted."""


@dataclass
class Said:
    """What a person decided, and since when they have tried to say it."""

    yes: bool
    at: float


@dataclass
class Ledger:
    """What was accepted and decided.

    Attributes:
        accepted: key of a trigger → the ids that the gateway ever gave for it.
        sent: how often triggers were sent, repetitions included.
        said: approval → its decision.
    """

    accepted: dict[str, set[str]] = field(default_factory=dict)
    sent: int = 0
    refused: list[str] = field(default_factory=list)
    said: dict[str, Said] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Traffic:
    """Sends triggers and decides on fixes, at random, until told to pause."""

    def __init__(self, world: World, chance: random.Random, pause: tuple[float, float] = PAUSE) -> None:
        self.world, self.ledger = world, Ledger()
        self._chance, self._pause = chance, pause
        self._number = 0
        self._flows = threading.Event()
        self._over = threading.Event()
        self._senders = ThreadPoolExecutor(12)
        self._threads = [threading.Thread(target=each, daemon=True) for each in (self._send, self._decide)]
        for thread in self._threads:
            thread.start()

    def go_on(self) -> None:
        """Sends and decides again."""
        self._flows.set()

    def pause(self) -> None:
        """Sends no more; what was sent is sent to its end."""
        self._flows.clear()
        self._senders.shutdown(wait=True)
        self._senders = ThreadPoolExecutor(12)

    def close(self) -> None:
        """Ends it."""
        self._over.set()
        self._flows.set()
        for thread in self._threads:
            thread.join(30)
        self._senders.shutdown(wait=True)

    def trigger(self, times: int = 1) -> None:
        """A new trigger, delivered so many times at once."""
        self._number += 1
        key = f"fault-{self._number}"
        send = self._alert if self._number % 5 == 0 else self._webhook
        for _ in range(times):
            with contextlib.suppress(RuntimeError):
                self._senders.submit(self._insist, send, key)

    def _send(self) -> None:
        while not self._over.is_set():
            self._flows.wait()
            if self._over.is_set():
                return
            with contextlib.suppress(sqlite3.Error):
                self.world.company.stick()
            self.trigger(times=3 if self._chance.random() < 0.2 else 1)
            self._over.wait(self._chance.uniform(*self._pause))

    def _insist(self, send: Any, key: str) -> None:
        """Sends until it is accepted, as Alertmanager and good webhooks do."""
        deadline = time.monotonic() + INSISTS_FOR
        while time.monotonic() < deadline:
            with self.ledger.lock:
                self.ledger.sent += 1
            with contextlib.suppress(httpx.HTTPError):
                answer: httpx.Response = send(key)
                if answer.status_code == httpx.codes.ACCEPTED:
                    ids = _ids(answer.json())
                    with self.ledger.lock:
                        self.ledger.accepted.setdefault(key, set()).update(ids)
                    return
                if answer.status_code not in (429, 500, 503, 504):
                    self.ledger.refused.append(f"{key}: {answer.status_code} {answer.text[:200]}")
                    return
            time.sleep(1)

    def _webhook(self, key: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {TOKEN}", "Idempotency-Key": key}
        url = f"{self.world.gateway}/api/ecm/analyze"
        return httpx.post(url, json={}, headers=headers, timeout=45)

    def _alert(self, key: str) -> httpx.Response:
        labels = {"alertname": "StuckOrders", "stage": "lulu", "run": key}
        body = notification(alert(key, labels=labels), groupKey=key)
        headers = {"Authorization": f"Bearer {TOKEN}"}
        return httpx.post(f"{self.world.gateway}/alerts/prometheus", json=body, headers=headers, timeout=45)

    def _decide(self) -> None:
        while not self._over.is_set():
            self._over.wait(1.0)
            if not self._flows.is_set() or self._over.is_set():
                continue
            with contextlib.suppress(Exception):
                self._look()

    def _look(self) -> None:
        waiting = self.world.database.read_now(lambda conn: approvals.find(conn, statuses=("waiting",)))
        for asked in waiting:
            if asked.id in self.ledger.said or self._chance.random() < 0.6:
                continue
            self.decide(asked)

    def decide(self, asked: Approval) -> None:
        """A person says yes or no, sometimes in two ways at the same time."""
        yes = self._chance.random() < 0.85
        self.ledger.said[asked.id] = Said(yes, time.time())
        ways = [self._by_hand, self._by_form, self._by_click]
        for way in self._chance.sample(ways, 2 if self._chance.random() < 0.4 else 1):
            with contextlib.suppress(RuntimeError):
                self._senders.submit(self._until_decided, way, asked, yes)

    def _until_decided(self, way: Any, asked: Approval, yes: bool) -> None:
        deadline = time.monotonic() + INSISTS_FOR
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.HTTPError, DatabaseError, decision.NotAllowed, KeyError):
                way(asked, yes)
            with contextlib.suppress(DatabaseError):
                now = self.world.database.read_now(lambda conn: approvals.get(conn, asked.id))
                if now.status != "waiting":
                    return
            time.sleep(2)

    def _by_hand(self, asked: Approval, yes: bool) -> None:
        """As `aspora approve` does."""
        platform = open_now()
        work = decision.decide(platform, asked.id, yes, by="Ada", via="cli", comment="so it is")
        asyncio.run(work)

    def _by_form(self, asked: Approval, yes: bool) -> None:
        """As Prefect's page does."""
        now = self.world.database.read_now(lambda conn: approvals.get(conn, asked.id))
        verdict = {"decision": "approve" if yes else "reject", "name": "Ben", "comment": "so it is"}
        if now.flow_run_id:
            self.world.ask(f"/flow_runs/{now.flow_run_id}/resume", {"run_input": verdict})

    def _by_click(self, asked: Approval, yes: bool) -> None:
        """As Slack does; without a message there is nothing to click at, and no reason to say no."""
        posts = [post for post in self.world.slack.posts if asked.id in "".join(post.buttons.values())]
        if not posts or not yes:
            self._by_hand(asked, yes)
            return
        (action,) = [name for name in posts[-1].buttons if "approve" in name]
        payload = {
            "type": "block_actions",
            "user": {"id": next(iter(PEOPLE))},
            "channel": {"id": posts[-1].channel},
            "container": {"channel_id": posts[-1].channel, "message_ts": posts[-1].ts},
            "message": {"ts": posts[-1].ts, "thread_ts": posts[-1].ts, "user": BOT},
            "trigger_id": "T1",
            "actions": [{"action_id": action, "value": posts[-1].buttons[action], "type": "button"}],
        }
        body = urlencode({"payload": json.dumps(payload)}).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded"} | slack_signed(body, SIGNING_SECRET)
        httpx.post(f"{self.world.gateway}/slack/interactivity", content=body, headers=headers, timeout=30)


def _ids(answer: Any) -> set[str]:
    """The triggers that the gateway names."""
    if isinstance(answer, dict):
        own = {str(answer["id"])} if str(answer.get("id", "")).startswith("trg-") else set()
        return own.union(*(_ids(each) for each in answer.values()))
    if isinstance(answer, list):
        return set().union(*(_ids(each) for each in answer))
    return set()
