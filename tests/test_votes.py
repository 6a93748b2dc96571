"""Four eyes: different people, verified, never who asked; whatever the order, the names and the crowd."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, text, update

from blocks.database import Database
from blocks.schema import approvals as approvals_table
from blocks.schema import triggers
from blocks.schema import votes as votes_table
from tasks import approvals, decision, fix, incidents, tokens, votes
from tests.chat_world import approval
from tests.fix_world import Api, World, approve, carry_out, new_api, new_world, proposed  # noqa: F401
from tests.record_world import NOW, new_database, new_postgres  # noqa: F401
from tests.test_record_approvals import decide, propose

NAMES = st.sampled_from(["ann", "Ann", " ANN ", "ｂob", "bob", "slack:U1", "Slack:u1", "straße", "STRASSE"])


def test_of_fifty_at_once_two_are_enough(database: Database) -> None:
    """One decision, whoever came; those after it are told; nobody counts twice."""
    asked = propose(database)
    decisions: list[approvals.Decision] = []

    def vote(number: int) -> None:
        name = f"p{number % 25}"
        decisions.append(decide(database, asked.id, by=name, verified=True, needed=2))

    threads = [threading.Thread(target=vote, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    by_status: dict[str, list[approvals.Decision]] = {}
    for made in decisions:
        by_status.setdefault(made.status, []).append(made)
    (winner,) = by_status["approved"]
    assert set(by_status) == {"approved", "recorded", "already_decided"}
    assert len(winner.approvers) == 2
    assert len(set(winner.approvers)) == 2
    assert winner.approval.decided_by == ", ".join(winner.approvers)
    kept = database.read_now(lambda conn: votes.of(conn, asked.id))
    assert [vote.name for vote in kept] == list(winner.approvers)


def test_of_twenty_who_approve_and_twenty_who_reject_one_side_wins(database: Database) -> None:
    asked = propose(database)
    decisions: list[approvals.Decision] = []
    threads = [
        threading.Thread(
            target=lambda n=n: decisions.append(
                decide(database, asked.id, n % 2 == 0, f"p{n}", verified=True, needed=3)
            )
        )
        for n in range(40)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = [made for made in decisions if made.decided]
    now = database.read_now(lambda conn: approvals.get(conn, asked.id))
    assert now.status == winner.status
    assert sum(made.status == "recorded" for made in decisions) <= 2


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=st.lists(st.tuples(NAMES, st.booleans(), st.booleans()), max_size=8), needed=st.integers(1, 3))
def test_it_takes_as_many_different_people_as_needed(
    database: Database, events: list[tuple[str, bool, bool]], needed: int
) -> None:
    """Approved exactly if, before any rejection, that many different people approved; verified if several."""
    database.write_now(forget)
    asked = propose(database)
    seen: set[str] = set()
    expected = "waiting"
    for name, yes, verified in events:
        made = decide(database, asked.id, yes, name, verified=verified, needed=needed)
        if expected == "waiting":
            if not yes:
                expected = "rejected"
            elif verified or needed == 1:
                seen.add(votes.identity(name))
                expected = "approved" if len(seen) >= needed else "waiting"
            assert made.decided == (expected != "waiting")
        else:
            assert made.status == "already_decided"
    now = database.read_now(lambda conn: approvals.get(conn, asked.id))
    assert now.status == expected
    assert not (now.status == "approved" and needed > 1 and not now.verified)


def forget(conn: Any) -> None:
    conn.execute(delete(votes_table))
    conn.execute(delete(approvals_table))


@given(NAMES, NAMES, st.sets(NAMES, max_size=3))
def test_whether_two_names_may_be_one_does_not_depend_on_their_order(
    one: str, other: str, in_slack: set[str]
) -> None:
    assert votes.may_be_one(one, other, in_slack) == votes.may_be_one(other, one, in_slack)
    assert votes.may_be_one(one, one, in_slack)


def test_a_stranger_in_slack_may_be_anybody_without_another_account() -> None:
    assert votes.may_be_one("slack:U1", "dora", [])
    assert not votes.may_be_one("slack:U1", "dora", ["Dora"])
    assert not votes.may_be_one("slack:U1", "slack:U2", [])
    assert not votes.may_be_one("ann", "bob", [])


async def test_who_asked_never_approves_what_needs_several(world: World, api: Api) -> None:
    """Nor who asked for a part of the run; each may reject."""
    world.action["approvals"] = 2
    world.write()
    waiting = await proposed()
    joined = {"id": "trg-2", "source": "whatsapp", "domain": "ecm", "dedupe_key": "2", "run_id": "r2"}
    joined |= {"state": "grouped", "created_at": NOW, "asked_by": "Bob"}

    def ask(conn: Any) -> None:
        conn.execute(update(triggers).values(asked_by="Ann", source="slack"))
        conn.execute(insert(triggers).values(**joined))
        conn.execute(update(triggers).where(triggers.c.id == "trg-2").values(part_of=own(conn)))

    world.database.write_now(ask)
    for name in ("ann", "ANN ", "bob"):
        with pytest.raises(decision.NotAllowed, match="asked for this run"):
            await approve(waiting["id"], by=name, verified=True)
    with pytest.raises(decision.NotAllowed, match="slack:U9 may be Ann"):
        await approve(waiting["id"], by="slack:U9", verified=True)
    assert (await approve(waiting["id"], by="cid", verified=True)).missing == 1
    assert (await approve(waiting["id"], by="Cid", verified=True)).missing == 1
    assert (await approve(waiting["id"], by="dora", verified=True)).status == "approved"
    assert (await carry_out(waiting["id"])).status == "done"


def own(conn: Any) -> str:
    return str(conn.execute(triggers.select().where(triggers.c.id != "trg-2")).first().id)


async def test_the_number_of_people_is_fixed_when_it_is_proposed(world: World, api: Api) -> None:
    """And raised by the config of the moment, never lowered."""
    world.action["approvals"] = 2
    world.write()
    waiting = await proposed()
    world.action["approvals"] = 1
    world.write()
    assert (await approve(waiting["id"], by="ann", verified=True)).missing == 1
    world.action["approvals"] = 3
    world.write()
    assert (await approve(waiting["id"], by="bob", verified=True)).missing == 1
    assert (await approve(waiting["id"], by="cid", verified=True)).status == "approved"
    world.action["approvals"] = 4
    world.write()
    done = await carry_out(waiting["id"])
    assert (done.status, api.calls) == ("stopped", [])
    assert "needs 4 people's approval, and has 3" in done.result["text"]


async def test_config_alone_approves_nothing_that_needs_several(world: World) -> None:
    world.domain["guardrails"]["human_in_loop"] = []
    world.action["approvals"] = 2
    world.write()
    assert (await proposed())["status"] == "waiting"


async def test_who_it_was_escalated_to_may_decide_from_then_on(world: World) -> None:
    world.config["platform"]["people"] = {"ops-leads": ["ann"], "heads": ["hera"]}
    world.domain["guardrails"] |= {"escalate_after": "2h", "escalate_to": ["heads"]}
    world.write()
    waiting = await proposed()
    with pytest.raises(decision.NotAllowed, match="hera is not among"):
        await approve(waiting["id"], by="hera")
    world.database.write_now(lambda conn: approvals.escalate(conn, approval(world)))
    assert (await approve(waiting["id"], by="hera")).status == "approved"


async def test_a_rejection_needs_a_reason_and_an_approver(world: World) -> None:
    from tasks.platform import opened

    world.config["platform"]["people"] = {"ops-leads": ["ann"]}
    world.write()
    waiting = await proposed()
    async with opened() as platform:
        with pytest.raises(decision.NotAllowed, match="needs a reason"):
            await decision.decide(platform, waiting["id"], False, by="ann", via="cli", comment=" ")
        with pytest.raises(decision.NotAllowed, match="not among the approvers"):
            await decision.decide(platform, waiting["id"], False, by="eve", via="cli", comment="no")
    assert approval(world).status == "waiting"


async def test_memory_keeps_a_rejection_once(world: World) -> None:
    """Marked as what it is; the latest of the same fix, so that rejections don't crowd memory."""
    from tasks.platform import opened

    for reason in ("lulu is asleep", "still asleep"):
        waiting = await proposed()
        async with opened() as platform:
            await decision.decide(platform, waiting["id"], False, by="ann", via="cli", comment=reason)
    (kept,) = world.database.read_now(incidents.find)
    assert (kept.source, kept.outcome, kept.stage) == ("rejection", "rejected: still asleep", "lulu")
    assert kept.title.startswith("rejected fix for lulu: ")
    assert kept.fix.startswith("rejected, not done: ")
    assert kept.resolved_at is None


async def test_fifty_people_at_once_give_one_execution(world: World, api: Api) -> None:
    """Each of them decides and, where it counted, carries out; each order is acted on once."""
    world.action["approvals"] = 2
    world.write()
    waiting = await proposed()
    made = await asyncio.gather(
        *(approve(waiting["id"], by=f"p{number % 30}", verified=True) for number in range(50))
    )
    assert sum(each.decided for each in made) == 1
    done = await asyncio.gather(*(carry_out(waiting["id"]) for _ in range(20)), return_exceptions=True)
    (finished,) = [each for each in done if not isinstance(each, fix.NotApproved)]
    assert isinstance(finished, approvals.Approval)
    assert finished.status == "done"
    assert sorted(call.path for call in api.calls) == [f"/orders/A{number}/retry" for number in (1, 2, 3)]


@pytest.fixture(name="record")
def new_record(world: World, database: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    """The world's record on either database; its fix needs two people."""
    url = database._url.render_as_string(hide_password=False)
    monkeypatch.setenv("ASPORA_DATABASE_URL", url)
    monkeypatch.setattr(World, "database", database)
    world.action["approvals"] = 2
    know(world)
    return database


def know(world: World, **users: str) -> None:
    """Slack accounts that the config knows from now on."""
    world.config["slack"] = {"users": users}
    world.write()


async def test_a_person_who_gets_a_name_in_the_config_is_still_one_person(
    world: World, record: Database
) -> None:
    """Of two names one after the other, the approval counts once; whatever the case of the account."""
    waiting = await proposed()
    assert (await approve(waiting["id"], by="slack:U0ALICE", verified=True)).missing == 1
    know(world, u0alice="alice")
    again = await approve(waiting["id"], by="alice", verified=True)
    assert (again.status, again.approvers, again.missing) == ("recorded", ("alice",), 1)
    made = await approve(waiting["id"], by="bob", verified=True)
    assert (made.status, made.approvers) == ("approved", ("alice", "bob"))
    assert len(record.read_now(lambda conn: votes.of(conn, waiting["id"]))) == 2


async def test_who_asked_gets_a_name_in_the_config_and_may_still_not_approve(
    world: World, record: Database
) -> None:
    """Nor does the approval count that came before the config knew who asked."""
    know(world, U9="alice")
    waiting = await proposed()
    asked = {"asked_by": "slack:U0ALICE", "source": "slack"}
    record.write_now(lambda conn: conn.execute(update(triggers).values(**asked)))
    assert (await approve(waiting["id"], by="alice", verified=True)).missing == 1
    know(world, U9="alice", U0ALICE="alice")
    with pytest.raises(decision.NotAllowed, match="alice asked for this run"):
        await approve(waiting["id"], by="alice", verified=True)
    assert (await approve(waiting["id"], by="bob", verified=True)).approvers == ("bob",)
    assert (await approve(waiting["id"], by="cid", verified=True)).approvers == ("bob", "cid")


async def test_an_approver_may_be_named_by_account_or_by_name(world: World, record: Database) -> None:
    world.config["platform"]["people"] = {"ops-leads": ["slack:U0ALICE", "bob"]}
    know(world, U0ALICE="alice")
    waiting = await proposed()
    for name in ("alice", "bob"):
        await approve(waiting["id"], by=name, verified=True)
    assert approval(world).decided_by == "alice, bob"


async def test_an_approval_counts_as_long_as_the_person_may_approve(world: World, record: Database) -> None:
    """Counted anew with each one; the record of an approved fix names those that counted."""
    world.config["platform"]["people"] = {"ops-leads": ["ann", "bob", "cid"]}
    world.write()
    waiting = await proposed()
    assert (await approve(waiting["id"], by="ann", verified=True)).missing == 1
    world.config["platform"]["people"] = {"ops-leads": ["bob", "cid"]}
    world.write()
    second = await approve(waiting["id"], by="bob", verified=True)
    assert (second.status, second.approvers, second.missing) == ("recorded", ("bob",), 1)
    assert (await approve(waiting["id"], by="cid", verified=True)).status == "approved"
    assert approval(world).decided_by == "bob, cid"
    assert [vote.name for vote in record.read_now(lambda conn: votes.of(conn, waiting["id"]))] == [
        "bob",
        "cid",
    ]


async def test_an_approval_by_a_revoked_token_counts_no_more(world: World, record: Database) -> None:
    """Until it is given again by a new one. What was given elsewhere, or is decided, stays."""
    waiting = await proposed()
    assert (await approve(waiting["id"], by="Ann", verified=True)).missing == 1
    record.write_now(lambda conn: tokens.revoke(conn, "ann"))
    assert (await approve(waiting["id"], by="bob", verified=True)).approvers == ("bob",)
    made = await approve(waiting["id"], by="ann", verified=True)
    assert (made.status, set(made.approvers)) == ("approved", {"ann", "bob"})
    record.write_now(lambda conn: tokens.revoke(conn, "ann"))
    assert all(vote.verified for vote in record.read_now(lambda conn: votes.of(conn, waiting["id"])))


async def test_two_at_once_who_may_be_one_do_not_both_count(
    world: World, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second waits for the first, and is judged by what the first left behind."""
    monkeypatch.setenv("ASPORA_DATABASE_URL", postgres_url)
    database = Database(postgres_url)
    world.action["approvals"] = 2
    world.write()
    waiting = await proposed()
    voted, blocked = threading.Event(), threading.Event()

    def first(conn: Any) -> None:
        approvals.decide(conn, waiting["id"], True, by="dora", via="cli", verified=True, needed=2)
        voted.set()
        assert blocked.wait(30)

    def held_up(conn: Any) -> bool:
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
        return bool(conn.execute(text(query + "AND wait_event_type = 'Lock'")).scalar())

    one = asyncio.create_task(database.write(first))
    await asyncio.to_thread(voted.wait, 30)
    other = asyncio.create_task(approve(waiting["id"], by="slack:U9", verified=True))
    async with asyncio.timeout(30):
        while not await database.read(held_up):
            await asyncio.sleep(0.01)
    blocked.set()
    await one
    with pytest.raises(decision.NotAllowed, match="slack:U9 may be dora"):
        await other
    kept = await database.read(lambda conn: votes.of(conn, waiting["id"]))
    database.close()
    assert [vote.name for vote in kept] == ["dora"]
