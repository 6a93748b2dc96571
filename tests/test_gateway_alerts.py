"""Alertmanager's notifications at the gateway."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.gateway_world import Town, alert, bearer, new_town, notification, serving, set_surroundings  # noqa: F401

PATH = "/alerts/prometheus"


async def test_an_alert_is_stored_before_it_is_acknowledged(town: Town) -> None:
    """The answer names the row; the row holds the alert as it was sent."""
    answer = await town.post(PATH, notification(alert(generatorURL="http://prometheus/graph")))
    assert answer.status_code == 202
    [told], [row] = answer.json()["triggers"], town.rows()
    assert told == {"id": row.id, "state": "pending", "reason": "", "run_id": row.run_id}
    assert (row.source, row.domain, row.dedupe_key) == (
        "prometheus", "ecm", "prometheus:f1:2026-02-17T08:05:32.123456+00:00",
    )  # fmt: skip
    assert row.received["text"] == "orders are stuck"
    assert row.received["fields"] == {"alertname": "StuckOrders", "service": "payouts"}
    assert row.received["data"]["generatorURL"] == "http://prometheus/graph"
    assert row.received["group"] == '{}:{alertname="StuckOrders"}'


async def test_repeated_notifications_are_one_row(surroundings: Path) -> None:
    """A thousand times, together and one after the other, before and after a restart."""
    ids: set[str] = set()
    for _ in range(2):
        async with serving() as town:
            answers = await asyncio.gather(*(town.post(PATH, notification()) for _ in range(500)))
            assert {answer.status_code for answer in answers} == {202}
            ids |= {each["id"] for answer in answers for each in answer.json()["triggers"]}
            [row] = town.rows()
    assert ids == {row.id}


async def test_the_same_alert_anew_is_another_trigger(town: Town) -> None:
    """It ended and began again: another startsAt. The same moment in another zone is the same."""
    await town.post(PATH, notification(alert(startsAt="2026-02-17T08:00:00Z")))
    await town.post(PATH, notification(alert(startsAt="2026-02-17T09:00:00+01:00")))
    await town.post(PATH, notification(alert(startsAt="2026-02-17T09:00:00Z")))
    assert len(town.rows()) == 2


async def test_a_group_of_firing_and_resolved_alerts(town: Town) -> None:
    """Each is answered in its place: one ends before it ran, one is new, one never came in."""
    await town.post(PATH, notification(alert("ends"), groupKey="a"))
    sent = [alert("ends", status="resolved"), alert("new"), alert("never", status="resolved")]
    answer = await town.post(PATH, notification(*sent, groupKey="b"))
    ended, new, never = answer.json()["triggers"]
    by_id = {row.id: row for row in town.rows()}
    assert answer.status_code == 202
    assert by_id[ended["id"]].resolved_at and by_id[ended["id"]].state == "done"
    assert (by_id[new["id"]].state, by_id[new["id"]].resolved_at) == ("pending", None)
    assert (never["id"], never["state"]) == (None, None)
    assert "never came in" in never["reason"]


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (notification(version="3"), "version"),
        (notification(version=4), "version"),
        (notification(alert(status="maybe")), "alerts.0.status"),
        (notification(alert(labels={"alertname": 1})), "alerts.0.labels.alertname"),
        (notification(alert(startsAt="yesterday")), "alerts.0.startsAt"),
        (notification(alert(startsAt="0001-01-01T00:00:00+14:00")), "alerts.0.startsAt"),
        (notification(alert(startsAt="99999-01-01T00:00:00Z")), "alerts.0.startsAt"),
        (notification(alert(startsAt=1e300)), "alerts.0.startsAt"),
        (notification(alert("f" * 201)), "alerts.0.fingerprint"),
        (notification(alert(**{"labels": {"\ud800": 7}})), "alerts.0.labels."),
        ({"version": "4"}, "alerts"),
    ],
)  # fmt: skip
async def test_what_does_not_fit_is_told_by_field(town: Town, value: Any, field: str) -> None:
    """422 with the field; nothing is stored, not even the alerts that would fit."""
    answer = await town.post(PATH, value)
    assert answer.status_code == 422, answer.text
    [fault] = answer.json()["fields"]
    assert fault["field"].startswith(field)
    assert field in answer.json()["error"]
    assert not town.rows()


@pytest.mark.parametrize(
    "headers", [{}, bearer("wrong"), bearer(""), {"Authorization": "Basic x"}, bearer("\u00e9")]
)
async def test_without_the_token_nothing_is_said_or_stored(town: Town, headers: dict[str, str]) -> None:
    """401, before the body is looked at."""
    answer = await town.post(PATH, b"{", {name: value.encode("latin-1") for name, value in headers.items()})  # type: ignore[misc]
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "bearer token" in answer.json()["error"]
    assert not town.rows()
