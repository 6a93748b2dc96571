"""memory-mcp's tool over a real platform database."""

from datetime import UTC, datetime, timedelta

import pytest
from mcp import Client
from sqlalchemy import insert

from blocks.database import Database
from blocks.schema import incidents
from mcp_servers.memory import Options, build

PAST = [
    (
        "lulu",
        "Lulu transfers stuck: API rate limit",
        "HTTP 429 Too Many Requests from partner",
        "burst of retries",
    ),
    ("kyc", "Screening backlog", "queue depth rising, consumers idle", "worker deploy removed a consumer"),
    (
        "bank",
        "Payouts refused by bank",
        "certificate expired during TLS handshake",
        "client certificate not renewed",
    ),
    ("lulu", "Lulu payouts rejected", "field swift_code missing in response", "partner changed its schema"),
]


@pytest.fixture
def database(tmp_path, monkeypatch):
    url = f"sqlite:///{tmp_path / 'aspora.db'}"
    monkeypatch.setenv("ASPORA_DATABASE_URL", url)
    database = Database(url)
    database.migrate()
    yield database
    database.close()


def remember(database, domain="ecm"):
    rows = [
        {
            "domain": domain,
            "stage": stage,
            "title": title,
            "symptoms": symptoms,
            "root_cause": cause,
            "fix": "retry slowly",
            "outcome": "resolved",
            "source": "manual",
            "opened_at": datetime(2026, 1, 1 + day, tzinfo=UTC),
        }
        for day, (stage, title, symptoms, cause) in enumerate(PAST)
    ]
    database.write_now(lambda connection: connection.execute(insert(incidents), rows))


async def ask(tmp_path, options=None, **arguments):
    async with Client(build(options or Options(), None, tmp_path)) as client:
        return await client.call_tool("get_similar_incidents", arguments)


async def found(tmp_path, options=None, **arguments):
    result = await ask(tmp_path, options, **arguments)
    assert not result.is_error, result.content
    return result.structured_content


@pytest.mark.parametrize(
    ("query", "title"),
    [
        ("partner answers 429, too many requests", PAST[0][1]),
        ("TLS handshake fails, certificate expired", PAST[2][1]),
        ("backlog of screening messages, consumers idle", PAST[1][1]),
        ("response lacks the field swift_code", PAST[3][1]),
    ],
)
async def test_similar_incident_comes_first(tmp_path, database, query, title):
    remember(database)
    result = await found(tmp_path, query=query)
    first = result["incidents"][0]
    assert first["title"] == title
    assert first["root_cause"]
    assert first["fix"] == "retry slowly"
    assert 0 < first["similarity"] <= 1
    similarities = [one["similarity"] for one in result["incidents"]]
    assert similarities == sorted(similarities, reverse=True)


async def test_own_stage_ranks_higher(tmp_path, database):
    remember(database)
    query = "orders wait, many requests, queue depth rising"
    without = await found(tmp_path, query=query)
    within = await found(tmp_path, query=query, stage="LULU")
    rate = {one["id"]: one["similarity"] for one in without["incidents"]}
    gained = {one["stage"] for one in within["incidents"] if one["similarity"] > rate.get(one["id"], 0)}
    assert gained == {"lulu"}


async def test_other_domains_stay_out(tmp_path, database):
    remember(database)
    remember(database, domain="fraud")
    result = await found(tmp_path, Options(domain="fraud"), query="429 too many requests", limit=50)
    assert {one["domain"] for one in result["incidents"]} == {"fraud"}


async def test_empty_memory_explains_itself(tmp_path, database):
    result = await found(tmp_path, query="anything")
    assert result["incidents"] == []
    assert "no incident yet" in result["note"]


async def test_nothing_alike_explains_itself(tmp_path, database):
    remember(database)
    result = await found(tmp_path, query="zebra crossing")
    assert result["incidents"] == []
    assert "none of the 4" in result["note"]


async def test_cut_is_told(tmp_path, database):
    remember(database)
    result = await found(tmp_path, query="lulu stuck rejected", limit=1)
    assert len(result["incidents"]) == 1
    assert "not shown" in result["note"]


@pytest.mark.parametrize(
    ("arguments", "expected"), [({"query": " "}, "empty"), ({"query": "x", "limit": 0}, "1 to 50")]
)
async def test_wrong_arguments_are_told(tmp_path, database, arguments, expected):
    result = await ask(tmp_path, **arguments)
    assert result.is_error
    assert expected in result.content[0].text


async def test_database_that_cannot_be_read_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("ASPORA_DATABASE_URL", f"sqlite:///{tmp_path}")
    result = await ask(tmp_path, query="x")
    assert result.is_error
    assert "query='x'" in result.content[0].text


async def test_database_without_tables_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("ASPORA_DATABASE_URL", f"sqlite:///{tmp_path / 'new.db'}")
    result = await ask(tmp_path, query="x")
    assert result.is_error
    assert "tables are missing" in result.content[0].text


async def test_a_rejected_fix_is_found_and_named_as_such(tmp_path, database):
    remember(database)
    rejected = {
        "domain": "ecm",
        "stage": "lulu",
        "title": "rejected fix for lulu: quota of the partner used up",
        "symptoms": "quota of the partner used up, THROTTLED",
        "root_cause": "quota of the partner used up",
        "fix": "rejected, not done: retry slowly",
        "outcome": "rejected: the partner asked us to wait",
        "source": "rejection",
        "opened_at": datetime(2026, 2, 1, tzinfo=UTC),
    }
    database.write_now(lambda connection: connection.execute(insert(incidents), [rejected]))
    first = (await found(tmp_path, query="THROTTLED, quota used up"))["incidents"][0]
    assert first["source"] == "rejection"
    assert first["outcome"] == "rejected: the partner asked us to wait"
    others = await found(tmp_path, query="TLS handshake fails, certificate expired", limit=1)
    assert others["incidents"][0]["title"] == PAST[2][1]


SAID = [{"name": "ann", "verified": True, "via": "slack"}, {"name": "bob", "verified": False, "via": "cli"}]


def remember_correction(database, title, *, trusted, days=0, people=2):
    """An incident as a correction leaves it."""
    at = datetime.now(UTC) - timedelta(days=days)
    row = {
        "domain": "ecm",
        "stage": "lulu",
        "title": title,
        "symptoms": "zxq gauge wobble",
        "root_cause": "a mouse",
        "source": "correction",
        "opened_at": at,
        "said_by": SAID[:people] if trusted else SAID[1:],
        "said_at": at,
        "trusted": trusted,
    }
    database.write_now(lambda connection: connection.execute(insert(incidents), [row]))


async def test_corrections_tell_who_says_so(tmp_path, database):
    remember_correction(database, "gauge", trusted=True)
    remember_correction(database, "gauge again", trusted=False)
    kept = {one["title"]: one for one in (await found(tmp_path, query="gauge wobble"))["corrections"]}
    assert kept["gauge"]["trusted"] is True
    assert "2 people say so: ann (verified), bob (a typed name)" in kept["gauge"]["standing"]
    assert kept["gauge again"]["trusted"] is False
    assert "one person says so: bob (a typed name)" in kept["gauge again"]["standing"]
    assert kept["gauge again"]["standing"].endswith("not confirmed")


async def test_corrections_expire(tmp_path, database):
    remember_correction(database, "gauge", trusted=True, days=181)
    assert (await found(tmp_path, query="gauge wobble"))["corrections"] == []
    remember_correction(database, "gauge", trusted=True, days=179)
    assert len((await found(tmp_path, query="gauge wobble"))["corrections"]) == 1


async def test_corrections_change_nothing_about_incidents(tmp_path, database):
    """Neither their order nor their similarity, however many there are; one person's are two at most."""
    remember(database)
    query = "429 too many requests, gauge wobble"
    before = (await found(tmp_path, query=query))["incidents"]
    for number in range(20):
        remember_correction(database, f"429 too many requests {number}", trusted=False)
    after = await found(tmp_path, query=query)
    assert after["incidents"] == before
    assert len(after["corrections"]) == 2
