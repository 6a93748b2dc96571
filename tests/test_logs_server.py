"""logs-mcp's tool as a client sees it."""

import json
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from mcp import Client
from pydantic import ValidationError

from mcp_servers.logs import Options, build

END = datetime(2026, 2, 17, 8, tzinfo=UTC)


def stamp(minutes_before_end):
    return (END - timedelta(minutes=minutes_before_end)).isoformat().replace("+00:00", "Z")


def lines():
    """30 hours: steady traffic in three services, and from two hours before the end a burst of 429."""
    for minute in range(30 * 60, 0, -1):
        yield minute, "INFO", "lulu-gateway", f"transfer ORD-{10000 + minute} accepted in {minute % 700} ms"
        if minute % 3 == 0:
            yield minute, "ERROR", "kyc-service", f"connection reset by peer after {minute} ms"
        if minute < 120:
            yield minute, "ERROR", "lulu-gateway", f"Lulu API answered HTTP 429 for ORD-{10000 + minute}"
            yield minute, "ERROR", "fx-rates", f"stale quote {minute}"
            yield minute, "WARN", "payout-router", f"partner LULU slow: {minute} ms"
    yield 130, "INFO", "lulu-gateway", "deployed version 2.4.1"


@pytest.fixture
def folder(tmp_path):
    with (tmp_path / "all.jsonl").open("w") as file:
        for minute, level, service, message in lines():
            record = {"time": stamp(minute), "level": level, "service": service, "message": message}
            file.write(json.dumps(record) + "\n")
    return tmp_path


async def ask(folder, **arguments):
    server = build(Options(path=str(folder)), None, folder)
    async with Client(server) as client:
        return await client.call_tool("query_application_logs", arguments)


async def report(folder, **arguments):
    result = await ask(folder, **arguments)
    assert not result.is_error, result.content
    return result.structured_content


async def error(folder, **arguments):
    result = await ask(folder, **arguments)
    assert result.is_error
    return result.content[0].text


async def test_the_fault_comes_first_and_noise_last(folder):
    found = await report(folder, service="lulu")
    top = found["templates"][0]
    assert top["template"] == "Lulu API answered HTTP 429 for <*>"
    assert (top["count"], top["baseline_count"], top["change"], top["mentions_ids"]) == (119, 0, "new", 119)
    assert top["rate_ratio"] is None
    assert top["score"] > 0.85
    assert len(top["samples"]) == 3
    steady = next(one for one in found["templates"] if "accepted" in one["template"])
    assert steady["score"] < 0.05
    assert steady["rate_ratio"] == pytest.approx(1, abs=0.02)


async def test_service_takes_in_mentions_elsewhere_and_leaves_others_out(folder):
    found = await report(folder, service="LULU_gateway")
    assert {one["service"] for one in found["services"]} == {"lulu-gateway"}
    found = await report(folder, service="Lulu")
    assert {one["service"] for one in found["services"]} == {"lulu-gateway", "payout-router"}


async def test_deployment_before_the_burst_is_shown(folder):
    found = await report(folder, service="lulu")
    deployed = next(one for one in found["templates"] if one["template"].startswith("deployed"))
    assert deployed["change"] == "new"
    assert "2.4.1" in deployed["samples"][0]


async def test_window_ends_where_the_logs_end(folder):
    found = await report(folder)
    assert found["until"].startswith("2026-02-17T07:59:01")
    assert "newest log line" in found["note"]
    assert found["lines"] == sum(stamp(minute) >= found["since"] for minute, *_ in lines())


async def test_counts_match_the_window_asked_for(folder):
    found = await report(folder, service="kyc", since=stamp(300), until=stamp(60), baseline_hours=10)
    assert found["lines"] == sum(service[0] == "k" and 60 < m <= 300 for m, _, service, _ in lines())
    assert found["baseline_lines"] == sum(
        service[0] == "k" and 300 < m <= 900 for m, _, service, _ in lines()
    )


async def test_level_is_a_least_level(folder):
    found = await report(folder, level="warning")
    assert {one["level"] for one in found["templates"]} == {"WARN", "ERROR"}


async def test_query_words_all_then_any(folder):
    found = await report(folder, query="stale quote")
    assert [one["template"] for one in found["templates"]] == ["stale quote <*>"]
    found = await report(folder, query="429 unheard-of")
    assert [one["template"] for one in found["templates"]] == ["Lulu API answered HTTP 429 for <*>"]
    assert "any of them" in found["note"]


async def test_nothing_found_explains_itself(folder):
    found = await report(folder, query="zebra")
    assert found["templates"] == []
    assert "no line of the window matches" in found["note"]
    assert "lulu-gateway" in found["note"]


async def test_unknown_service_names_those_there_are(folder):
    text = await error(folder, service="moneygram")
    assert "'moneygram'" in text
    assert "kyc-service" in text


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"since": "yesterday-ish"}, "is no time"),
        ({"since": stamp(0), "until": stamp(60)}, "must lie before"),
        ({"level": "loud"}, "TRACE, DEBUG"),
        ({"limit": 0}, "from 1 to 100"),
        ({"baseline_hours": -1}, "baseline_hours"),
    ],
)
async def test_wrong_arguments_are_told(folder, arguments, expected):
    assert expected in await error(folder, **arguments)


async def test_missing_folder_is_told(tmp_path):
    assert "gone" in await error(tmp_path / "gone")


async def test_limit_tells_what_was_cut(folder):
    found = await report(folder, limit=1)
    assert len(found["templates"]) == 1
    assert "more templates" in found["note"]


async def test_of_steady_noise_only_the_most_frequent_is_shown(folder):
    with (folder / "chatter.log").open("w") as file:
        for minute in range(30 * 60, 0, -1):
            word = "".join(chr(ord("a") + int(digit)) for digit in str(100 + minute % 40))
            file.write(f"{stamp(minute)} DEBUG {word}-job: {word} swept its {word} shelf\n")
            if minute % 50 == 0:
                file.write(f"{stamp(minute)} ERROR ledger: balance differs by a cent\n")
    found = await report(folder, limit=100)
    quiet = [one for one in found["templates"] if one["change"] == "steady" and not one["score"]]
    assert 1 < len(quiet) <= 10
    assert "scores up to 0.00, are not shown" in found["note"]
    assert any("429" in one["template"] for one in found["templates"])
    assert any("deployed" in one["template"] for one in found["templates"])
    assert any("cent" in one["template"] for one in found["templates"]), "a rare error before chatter"


async def test_young_logs_have_no_baseline_to_compare_with(tmp_path):
    (tmp_path / "lulu.log").write_text(f"{stamp(30)} ERROR lulu: boom\n{stamp(0)} INFO lulu: ok\n")
    found = await report(tmp_path)
    assert {one["change"] for one in found["templates"]} == {"unknown"}
    assert "no lines before since" in found["note"]


async def test_secrets_do_not_leave(tmp_path):
    (tmp_path / "lulu.log").write_text(
        f"{stamp(1)} ERROR lulu: login failed password=hunter2abc Authorization: Bearer abcdefgh12345678\n"
    )
    text = json.dumps(await report(tmp_path))
    assert "hunter2abc" not in text
    assert "abcdefgh12345678" not in text


async def test_time_limit_gives_a_partial_report(folder):
    server = build(Options(path=str(folder), time_limit="0s"), None, folder)
    async with Client(server) as client:
        result = await client.call_tool("query_application_logs", {"until": stamp(0)})
    assert "too low" in result.structured_content["note"]


@pytest.mark.parametrize("style", ["iso", "datetime", "epoch"])
async def test_table(tmp_path, style):
    url = f"sqlite:///{tmp_path / 'logs.db'}"
    kind = {"iso": sa.String, "datetime": sa.DateTime, "epoch": sa.Integer}[style]
    engine = sa.create_engine(url)
    table = sa.Table(
        "app_logs",
        sa.MetaData(),
        sa.Column("at", kind),
        sa.Column("severity", sa.String),
        sa.Column("app", sa.String),
        sa.Column("body", sa.String),
    )
    table.create(engine)

    def at(minute):
        moment = END - timedelta(minutes=minute)
        shapes = {
            "iso": stamp(minute),
            "datetime": moment.replace(tzinfo=None),
            "epoch": int(moment.timestamp()),
        }
        return shapes[style]

    with engine.begin() as connection:
        rows = [{"at": at(m), "severity": lv, "app": s, "body": text} for m, lv, s, text in lines()]
        connection.execute(table.insert(), rows)
    engine.dispose()
    columns = {"time": "at", "level": "severity", "service": "app", "message": "body"}
    source = {"url": "sqlite:///logs.db", "table": "app_logs", "columns": columns}
    async with Client(build(Options(table=source), None, tmp_path)) as client:
        result = await client.call_tool("query_application_logs", {"service": "lulu"})
        top = result.structured_content["templates"][0]
        assert (top["template"], top["count"]) == ("Lulu API answered HTTP 429 for <*>", 119)
    wrong = {**source, "columns": {**columns, "message": "nope"}}
    async with Client(build(Options(table=wrong), None, tmp_path)) as client:
        result = await client.call_tool("query_application_logs", {})
        assert result.is_error
        assert "nope" in result.content[0].text


def test_options_need_exactly_one_source():
    with pytest.raises(ValidationError, match="either path"):
        Options()
    with pytest.raises(ValidationError, match="Extra inputs"):
        Options(path="x", paht="y")
