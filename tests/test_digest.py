"""The weekly digest: once a week for each domain, of what happened in it, escaped."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, func, select

from blocks.config import Digest
from blocks.database import Database
from blocks.schema import messages
from tasks import approvals, config_changes, digest, weekly
from tasks.platform import opened
from tests.chat_world import delivered, new_slack  # noqa: F401
from tests.fix_world import World, new_api, new_world  # noqa: F401
from tests.record_world import new_database, new_postgres  # noqa: F401
from tests.report_world import DAY, HOUR, SETTINGS, ended
from tests.slack_server import SlackServer

MONDAY = datetime(2026, 11, 23, 8, tzinfo=UTC)
EVIL = "<!channel> *bold* <https://evil.test|here> @ann `x`"


def ago(at: datetime) -> float:
    """Hours from a moment until now."""
    return (datetime.now(UTC) - at) / HOUR


async def sent(now: datetime) -> int:
    async with opened() as platform:
        return await digest.send(platform, now)


@pytest.mark.parametrize(
    ("now", "due"),
    [
        ("2026-11-23 08:00", "2026-11-23 08:00"),
        ("2026-11-23 07:59", "2026-11-16 08:00"),
        ("2026-11-29 23:59", "2026-11-23 08:00"),
        ("2026-11-30 08:01", "2026-11-30 08:00"),
    ],
)
def test_when_it_is_due(now: str, due: str) -> None:
    at = datetime.fromisoformat(now).replace(tzinfo=UTC)
    assert f"{digest.due(Digest(), at):%Y-%m-%d %H:%M}" == due


@given(
    st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
    st.sampled_from(["monday", "thursday", "sunday"]),
    st.integers(0, 23),
)
def test_it_is_due_within_the_week_before(now: datetime, day: Any, hour: int) -> None:
    due = digest.due(Digest(day=day, hour=hour), now)
    assert now - timedelta(days=7) < due <= now
    assert (due.strftime("%A").lower(), due.hour, due.minute) == (day, hour, 0)


async def test_a_week_is_told_once(world: World, slack: SlackServer) -> None:
    """By any number of processes, at any time of the week, also when the day in the config moves."""
    world.database.write_now(lambda conn: ended(conn, "ecm-triage", ago(MONDAY - DAY), dollars=0.5))
    assert sum(await asyncio.gather(*(sent(MONDAY + HOUR) for _ in range(5)))) == 1
    assert await delivered() == 1
    assert await sent(MONDAY + 3 * DAY) == 0
    world.config["slack"]["digest"] = {"day": "wednesday"}
    world.write()
    assert await sent(MONDAY + 3 * DAY) == 0
    assert await sent(MONDAY + 9 * DAY) == 1
    assert await delivered() == 1
    assert [post.channel for post in slack.posts] == ["C0OPS", "C0OPS"]
    assert [post.thread for post in slack.posts] == ["", ""]
    first, second = slack.posts
    assert "The week of ecm*, 2026-11-16 08:00 UTC to 2026-11-23 08:00 UTC" in first.words
    assert "*Executions:* 1: ecm-triage 1" in first.words
    assert "*Cost:* $0.50" in first.words
    assert "Nothing was executed." in second.words


async def test_without_a_channel_or_a_history_there_is_none(world: World, slack: SlackServer) -> None:
    """A platform that was set up today tells nothing of last week."""
    assert await sent(MONDAY) == 0
    world.database.write_now(lambda conn: ended(conn, "ecm-triage", ago(MONDAY + HOUR)))
    assert await sent(MONDAY + 2 * HOUR) == 0
    world.database.write_now(lambda conn: ended(conn, "ecm-triage", ago(MONDAY - HOUR)))
    world.config["slack"] = {"digest": {"enabled": False}, "channels": {"default": "C0OPS"}}
    world.write()
    assert await sent(MONDAY) == 0
    world.config["slack"] = {}
    world.write()
    assert await sent(MONDAY) == 0
    world.config["slack"] = {"digest": {"channels": {"ecm": "C0ECM"}}, "channels": {"default": "C0OPS"}}
    world.write()
    assert await sent(MONDAY) == 1
    await delivered()
    assert [post.channel for post in slack.posts] == ["C0ECM"]


async def test_a_clock_that_jumped_tells_no_week_twice(world: World, slack: SlackServer) -> None:
    world.database.write_now(lambda conn: ended(conn, "ecm-triage", ago(MONDAY - DAY)))
    for now in (MONDAY, MONDAY + 365 * DAY, MONDAY + HOUR, MONDAY + 365 * DAY, MONDAY - 365 * DAY):
        await sent(now)
    keys = world.database.read_now(
        lambda conn: list(conn.scalars(select(messages.c.key).order_by(messages.c.id)))
    )
    assert keys == ["slack:digest:ecm:2026-W48", "slack:digest:ecm:2027-W47"]


def eventful(conn: Connection) -> None:
    """Executions of two weeks, a correction, approvals with each fate, a change of the config."""
    for day in range(8, 14):
        ended(conn, "ecm-triage", ago(MONDAY - day * DAY), dollars=1)
    ended(conn, "ecm-triage", ago(MONDAY - 2 * DAY), dollars=1)
    ended(conn, "ecm-diagnose", ago(MONDAY - 2 * DAY), dollars=1, wrong=f"timeout {EVIL}")
    ended(conn, "ecm-diagnose", ago(MONDAY - 3 * DAY), "error", dollars=1)
    ended(conn, "ecm-diagnose", ago(MONDAY + DAY), dollars=100)
    for number, (began, decided) in enumerate(((30, 20), (50, None), (5, None)), 1):
        id_ = ended(conn, "ecm-resolve", ago(MONDAY - began * HOUR), "expired", run_id=f"resolve-{number}")
        at, expires = MONDAY - began * HOUR, timedelta(hours=24 if began > 10 else 100)
        subject = f"lulu-{number} {EVIL}"
        asked = approvals.propose(conn, id_, subject=subject, proposal={}, expires=expires, now=at)
        if decided:
            approvals.decide(conn, asked.id, False, by=EVIL, via="cli", now=MONDAY - decided * HOUR)
    approvals.expire(conn, now=MONDAY - HOUR)
    for number, rule in enumerate(("count >= 10", f"count >= 5 {EVIL}")):
        written = {"domains": {"ecm": {"routing": [{"when": rule}]}}}
        at = MONDAY - (4 - number) * DAY
        config_changes.add(conn, "aspora.config.yaml", written, by="ann", now=at)


def test_what_a_week_is_made_of(database: Database) -> None:
    database.write_now(eventful)
    found = database.read_now(lambda conn: weekly.week(conn, SETTINGS, "ecm", MONDAY))
    report = found.report
    assert {row.skill_name: row.executions for row in report.skills} == {
        "ecm-triage": 1, "ecm-diagnose": 2, "ecm-resolve": 3,
    }  # fmt: skip
    assert (report.cost, report.corrected) == (pytest.approx(3), 1)
    assert report.success_rate == pytest.approx(1 / 3)
    assert list(found.mistakes) == ["ecm-diagnose"]
    assert [(each.status, each.seconds / 3600) for each in found.waits] == [
        ("expired", 24), ("rejected", 10), ("waiting", 5),
    ]  # fmt: skip
    (change,) = found.changes
    assert (change.key, change.old) == ("domains.ecm.routing[0].when", "count >= 10")


async def test_the_message_says_it_all_and_obeys_nothing(world: World, slack: SlackServer) -> None:
    world.database.write_now(eventful)
    assert await sent(MONDAY + HOUR) == 1
    await delivered()
    (post,) = slack.posts
    words = post.words
    for expected in (
        "*Executions:* 6",
        "*Cost:* $3.00",
        "satisfaction:* 83.3% (5 of 6 not corrected)",
        "*Common mistakes*\n• ecm-diagnose: timeout",
        "*Approvals:* 3 waited, 10 h in the middle, 1 expired, 1 still wait",
        "domains.ecm.routing[0].when: count &gt;= 10 → count &gt;= 5",
        "seen by ann",
        "`aspora report domain ecm --week`",
    ):
        assert expected in words, words
    assert "<!channel>" not in words
    assert "<https" not in words
    assert "*bold*" not in words


async def test_the_services_send_it(world: World, slack: SlackServer) -> None:
    """It is one of their rounds."""
    from flows.orchestrator.events import Server
    from flows.services import rounds

    world.database.write_now(lambda conn: ended(conn, "ecm-triage", 24 * 8))
    async with opened() as platform, Server() as server:
        (round,) = (each for each in rounds(platform, server) if each.name == "digest")
        await round.work()
        await round.work()
    count = select(func.count()).select_from(messages)
    assert world.database.read_now(lambda conn: conn.execute(count).scalar_one()) == 1
