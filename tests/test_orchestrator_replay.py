"""`aspora triggers` and `aspora replay`: the inbox listed, and a trigger once more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from flows import orchestrator
from tasks import inbox, lease
from tasks.admission import LEASE
from tasks.clock import utc
from tasks.domain import Incoming
from tasks.platform import open_now
from tests.commands import Aspora, new_aspora  # noqa: F401
from tests.fix_world import World, new_api, new_world, run  # noqa: F401

Receive = Callable[..., inbox.Trigger]


@pytest.fixture
def receive(world: World) -> Receive:
    """Lets a message in, under the config as it stands."""
    world.config["triggers"] = [
        {"source": "webhook", "match": {"path": "/api/ecm/analyze"}, "domain": "ecm"},
        {"source": "webhook", "match": {"path": "/api/fraud/analyze"}, "domain": "fraud"},
    ]
    world.write()

    def receive(key: str, path: str = "/api/ecm/analyze", **data: Any) -> inbox.Trigger:
        message = Incoming("webhook", key, {"path": path}, data=data)
        platform = open_now()
        return world.database.write_now(lambda conn: orchestrator.receive(conn, platform, message))

    return receive


def row(world: World, id: str) -> inbox.Trigger:
    return world.database.read_now(lambda conn: inbox.get(conn, id))


def test_triggers_are_listed_with_what_became_of_them(aspora: Aspora, world: World, receive: Receive) -> None:
    waiting = receive("1", stage="lulu")
    unmatched = receive("2", "/api/ecm/[red]other\x1b[2J")
    nowhere = receive("3", "/api/fraud/analyze")
    refused = receive("4", stagge="lulu")
    shown = aspora("triggers")
    assert shown.code == 0
    assert "there is no domain 'fraud' yet" in " ".join(shown.out.replace("│", " ").split())
    assert "\x1b[2J" not in shown.out
    assert "[red]other" in shown.out
    listed = aspora("triggers", "--json").json
    assert {each["id"] for each in listed} == {each.id for each in (waiting, unmatched, nowhere, refused)}
    assert {"state", "reason", "rule", "run_id", "received", "payload"} <= listed[0].keys()
    assert [each["id"] for each in aspora("triggers", "--pending", "--json").json] == [waiting.id]
    assert [each["id"] for each in aspora("triggers", "--domain", "fraud", "--json").json] == [nowhere.id]
    states = aspora("triggers", "--state", "unmatched", "--json").json
    assert {each["id"] for each in states} == {unmatched.id, nowhere.id}
    assert len(aspora("triggers", "--limit", "2", "--json").json) == 2
    assert "No trigger matches." in aspora("triggers", "--state", "failed").out


def test_what_can_not_be_listed(aspora: Aspora) -> None:
    wrong = aspora("triggers", "--state", "asleep")
    assert wrong.code == 2
    assert "there is no state 'asleep'" in wrong.err
    assert aspora("triggers", "--state", "done", "--pending").code == 2


def test_an_unmatched_trigger_is_matched_anew(aspora: Aspora, world: World, receive: Receive) -> None:
    """First in vain; then the config has learnt of it."""
    trigger = receive("1", "/api/ecm/other", stage="lulu")
    again = aspora("replay", trigger.id, "--json")
    assert (again.code, again.json["state"]) == (3, "unmatched")
    world.config["triggers"].append(
        {"source": "webhook", "match": {"path": "/api/ecm/other"}, "domain": "ecm"}
    )
    world.write()
    done = aspora("replay", trigger.id, "--json")
    assert (done.code, done.json["state"], done.json["rule"]) == (0, "pending", "triggers[2]")
    kept = row(world, trigger.id)
    assert (kept.payload["stage"], kept.domain, kept.run_id[:4]) == ("lulu", "ecm", "ecm-")
    assert asyncio.run(run(trigger_id=trigger.id))["state"] == "awaiting_approval"


def test_a_body_that_did_not_fit_still_does_not(aspora: Aspora, receive: Receive) -> None:
    trigger = receive("1", stagge="lulu")
    done = aspora("replay", trigger.id)
    assert done.code == 3
    assert "stays refused" in done.out


@pytest.mark.parametrize("state", ["deferred", "refused", "suppressed", "grouped", "counted", "failed"])
def test_what_was_held_back_waits_again(aspora: Aspora, world: World, receive: Receive, state: Any) -> None:
    trigger = receive("1")
    world.database.write_now(
        lambda conn: inbox.renew(conn, trigger.id, {"state": state, "reason": "so", "started_at": utc()})
    )
    done = aspora("replay", trigger.run_id)
    assert done.code == 0
    assert f"{trigger.id} waits" in done.out
    kept = row(world, trigger.id)
    assert (kept.state, kept.reason, kept.started_at, kept.run_id) == ("pending", "", None, trigger.run_id)
    assert [each.id for each in world.database.read_now(lambda c: inbox.due(c, utc(), 10))] == [trigger.id]


def test_a_run_that_has_ended_is_started_anew(aspora: Aspora, world: World, receive: Receive) -> None:
    """Its own record stays; the new run works."""
    world.free("A1", "A2", "A3")
    trigger = receive("1", stage="lulu")
    first = asyncio.run(run(trigger_id=trigger.id))
    assert first["state"] == "no_action"
    world.fill(["B1"])
    done = aspora("replay", trigger.id, "--json")
    assert done.json["id"] != trigger.id
    assert done.json["payload"] == row(world, trigger.id).payload
    assert asyncio.run(run(trigger_id=done.json["id"]))["state"] == "awaiting_approval"
    assert row(world, trigger.id).result == "no_action"


def test_a_run_by_hand_is_replayed_by_the_platform(aspora: Aspora, world: World) -> None:
    asyncio.run(run())
    [trigger] = world.database.read_now(inbox.find)
    done = aspora("replay", trigger.id, "--json")
    due = world.database.read_now(lambda conn: inbox.due(conn, utc(), 10))
    assert [each.id for each in due] == [done.json["id"]]


def test_what_waits_or_runs_is_not_replayed(aspora: Aspora, world: World, receive: Receive) -> None:
    trigger = receive("1")
    waits = aspora("replay", trigger.id, "--json")
    assert (waits.code, waits.json["error"]) == (3, f"{trigger.id} is pending already")
    world.database.write_now(lambda conn: inbox.claim(conn, trigger.id, lease.claimant(), LEASE))
    assert aspora("replay", trigger.id).code == 3
    unknown = aspora("replay", "trg-nope")
    assert unknown.code == 2
    assert "there is no trigger or run 'trg-nope'" in unknown.err


def test_who_replays_has_asked_unless_somebody_else_had(
    aspora: Aspora, world: World, receive: Receive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By their login; what stays refused is not theirs, and gets no further for it."""
    monkeypatch.setenv("LOGNAME", "zoe")
    held = {"state": "suppressed"}
    alert, message, unfit = receive("1"), receive("2"), receive("3", stagge="lulu")
    world.database.write_now(lambda conn: inbox.renew(conn, alert.id, held))
    world.database.write_now(lambda conn: inbox.renew(conn, message.id, {**held, "asked_by": "slack:U0ANN"}))
    asked = [aspora("replay", each.id, "--json").json["asked_by"] for each in (alert, message, unfit)]
    assert asked == ["zoe", "slack:U0ANN", ""]
    assert row(world, alert.id).asked_by == "zoe"
