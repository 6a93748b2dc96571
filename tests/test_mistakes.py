"""Common mistakes: corrections that say the same are one, however worded; different ones are not."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import Connection

from blocks.database import Database
from blocks.text import SAME, likeness
from tasks import corrections, mistakes, record
from tests.record_world import NOW, began, new_database, new_postgres  # noqa: F401

PARAPHRASES = [
    ("Lulu API rate limit (429 errors)", "Lulu throttled us, too many requests"),
    ("our client certificate had expired", "TLS cert ran out yesterday and was not renewed"),
    ("prefunded balance at Zento was used up", "not enough money on our float account with Zento"),
    ("a poison message blocked the queue consumer", "the consumer hung on one malformed message"),
    ("fx rates were stale, the feed stopped", "the market data feed stopped, exchange rates too old"),
    ("stale locks left by a crashed worker", "worker died and left its locks behind"),
    ("DB deadlock", "transactions deadlocked in the database"),
    ("wrong account number of the payee", "beneficiary IBAN invalid"),
    ("disk of the node full", "no space left on the host's volume"),
    ("not a timeout but a rate limit", "rate limit, 429"),
]
DIFFERENT = [
    ("a rate limit, not a timeout", "a timeout, not a rate limit"),
    ("TLS certificate of the partner expired", "our API key expired"),
    ("Lulu rate limit", "Lulu outage"),
    ("Lulu is down for maintenance", "Lulu was slow"),
    ("partner changed its response schema", "partner changed its API host"),
    ("database connection pool exhausted", "database disk full"),
    ("the partner rejected our signature", "the partner rejected our IP address"),
    ("sanctions screening false positives", "KYC documents expired"),
    ("cut-off time missed because the job started late", "bank holiday missing from the calendar"),
    ("message queue consumer died", "message queue disk full"),
]


@pytest.mark.parametrize(("one", "other"), PARAPHRASES)
def test_paraphrases_say_the_same(one: str, other: str) -> None:
    assert likeness(one, other) == likeness(other, one) >= SAME


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_different_things_do_not(one: str, other: str) -> None:
    assert likeness(one, other) == likeness(other, one) < SAME


@pytest.mark.parametrize("empty", ["", "   ", "!!!", "not a timeout"])
def test_texts_without_words_are_like_nothing(empty: str) -> None:
    assert likeness(empty, "rate limit") == 0


def corrected(conn: Connection, number: int, cause: str, by: str, skill: str = "ecm-diagnose") -> str:
    at = NOW + timedelta(hours=number)
    id_ = began(conn, skill, f"run-{number}", now=at).execution_id
    record.finish(conn, id_, "success", now=at)
    corrections.add(conn, id_, {"actual_root_cause": cause}, by=by, via="cli", now=at)
    return id_


def test_common_mistakes_are_grouped_and_counted(database: Database) -> None:
    def work(conn: Connection) -> list[str]:
        ids = [
            corrected(conn, 1, "Lulu API rate limit (429 errors)", "ann"),
            corrected(conn, 2, "Lulu throttled us, too many requests", "bob"),
            corrected(conn, 3, "the client certificate had expired", "ann"),
            corrected(conn, 4, "Lulu API rate limit (429 errors)", "Ann"),
        ]
        corrected(conn, 5, "rate limit", "ann", "ecm-triage")
        corrected(conn, -50, "Lulu API rate limit (429 errors)", "old")
        back = corrected(conn, 6, "an outage at Lulu", "eve")
        corrections.withdraw(conn, back, by="eve", via="cli")
        corrections.confirm(conn, ids[2], by="cid", via="cli", now=NOW + timedelta(hours=9))
        corrections.approve(conn, ids[0], by="dan", via="cli")
        return ids

    first, second, third, fourth = database.write_now(work)
    found = database.read_now(lambda c: mistakes.common(c, "ecm-diagnose", NOW))
    assert [(each.text, each.count, each.people) for each in found] == [
        ("Lulu API rate limit (429 errors)", 3, 2),
        ("the client certificate had expired", 1, 2),
    ]
    assert found[0].executions == (fourth, second, first)
    assert [each.last for each in found] == [NOW + timedelta(hours=4), NOW + timedelta(hours=9)]
    assert found[1].executions == (third,)
    assert len(database.read_now(lambda c: mistakes.common(c, "ecm-diagnose", NOW, 1))) == 1
    assert database.read_now(lambda c: mistakes.common(c, "fraud-qa", NOW)) == []


def test_groups_do_not_chain(database: Database) -> None:
    """What is alike to a group's edge only does not join it."""
    said = [
        mistakes.Said(execution_id=str(number), text=text, person="ann", at=NOW)
        for number, text in enumerate(dict.fromkeys(text for pair in DIFFERENT[1:] for text in pair))
    ]
    groups = mistakes.grouped(said)
    assert len(groups) >= len(said) - 2
