"""Log templates: what is masked, what stays, what is counted together, and how anomalous it is."""

import random
import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_servers import log_scores, log_tally, log_templates
from mcp_servers.log_lines import Record
from mcp_servers.log_scores import Counts

HOUR = 3600.0
SINCE = 1_771_315_200.0

MASKED = {
    "order ORD-12345 held for 12.5 s": "order <*> held for <*>",
    "orders ORD-1001, ORD-1002, ORD-1003 held": "orders <*> held",
    "user 3f2504e0-4f89-11d3-9a0c-0305e82c3301 from 10.0.0.12:5432": "user <*> from <*>",
    "GET https://api.lulu.com/v1/transfers/8812?x=2 took 900ms": (
        "GET https://api.lulu.com/v1/transfers/<*> took <*>"
    ),
    "mail to ann@example.com at 2026-02-17T08:00:00Z": "mail to <*> at <*>",
    "worker3 of lulu-gateway-7f9c4d deployed 2.4.1": "worker<*> of lulu-gateway-<*> deployed <*>",
    "amount=$1,250.00 customer_id=ann": "amount=<*> customer_id=<*>",
}

KEPT = [
    "partner answered HTTP 429 Too Many Requests",
    "POST returned 503 Service Unavailable",
    "status=401 from bank",
    "ORA-00942: table or view does not exist",
    "insert failed (SQLSTATE 23505)",
    "bank rejected payment reason AC01",
    "connect ECONNREFUSED",
    "acme.PartnerTimeoutError: no answer",
    'column "swift_code" does not exist',
    "OAuth2 token refused",
]


@pytest.mark.parametrize("message", MASKED)
def test_variables_are_masked(message):
    assert log_templates.mask(message)[0] == MASKED[message]


@pytest.mark.parametrize("message", KEPT)
def test_what_tells_the_fault_stays(message):
    assert log_templates.mask(message)[0] == message


def templates(messages, level="INFO"):
    book = log_tally.count((Record(SINCE + n, level, "lulu", text) for n, text in enumerate(messages)), SINCE)
    return {text: tally.count for _, text, tally in book.templates()}


def test_names_share_a_template_and_outcomes_do_not():
    names = ["Ann", "Bob", "Chi", "Dee", "Eve", "Fay", "Gus", "Hal", "Ian", "Jo", "Kim", "Lea", "Max"]
    messages = [f"payout for {name} completed" for name in names] + [
        "payout for Ann failed",
        "payout for Bob failed",
    ]
    found = templates(messages)
    assert found["payout for <*> completed"] == 13
    assert not any(("failed" in text) and ("completed" in text) for text in found)
    assert sum(count for text, count in found.items() if "failed" in text) == 2


def test_statuses_stay_apart():
    found = templates(
        [f"partner answered HTTP {code} for ORD-{n}0000" for n in range(50) for code in (429, 503)]
    )
    assert found == {"partner answered HTTP 429 for <*>": 50, "partner answered HTTP 503 for <*>": 50}


def noisy(random_):
    draw = random_.randint
    order = f"ORD-{draw(10000, 99999)}"
    amount = f"{draw(1, 9999)}.{draw(10, 99)}"
    return random_.choice(
        [
            f"transfer {order} accepted after {draw(1, 900)} ms",
            f"rate {random_.choice(['INR', 'PHP', 'AED'])} refreshed: {random_.random():.4f}",
            f'sent "MT103" ref={random_.getrandbits(64):x} amount={amount} USD',
            f"Rate limit exceeded: HTTP 429, order {order}, retry in {draw(1, 60)}s",
            f"Authentication failed: invalid_client for session {random_.getrandbits(128):032x}",
            f"queue payouts depth {draw(100, 99999)} consumers {draw(0, 9)}",
            f"java.net.ConnectException: Connection refused: 10.0.{draw(0, 9)}.{draw(1, 250)}:443",
        ]
    )


def test_noisy_log_falls_into_its_statements():
    chance = random.Random(7)
    found = templates([noisy(chance) for _ in range(5000)])
    assert len(found) == 9
    assert sum(found.values()) == 5000


@given(st.lists(st.sampled_from("ab"), min_size=1, max_size=80), st.integers(0, 2**32))
def test_order_of_reading_does_not_matter(services, seed):
    chance = random.Random(seed)
    records = [
        Record(SINCE + chance.randint(-9000, 9000), "INFO", service, noisy(chance)) for service in services
    ]
    shuffled = chance.sample(records, len(records))
    one, other = (log_tally.count(each, SINCE).templates() for each in (records, shuffled))
    assert [(text, tally.window, tally.baseline) for _, text, tally in one] == [
        (text, tally.window, tally.baseline) for _, text, tally in other
    ]


@given(
    st.lists(
        st.tuples(
            st.integers(-86_400, 21_599), st.sampled_from("ab"), st.sampled_from(["INFO", "ERROR"]), st.text()
        )
    )
)
def test_counts_equal_independent_counting(rows):
    records = [Record(SINCE + at, level, service, text) for at, service, level, text in rows]
    book = log_tally.count(records, SINCE)
    found = book.templates()
    assert sum(tally.count for _, _, tally in found) == sum(at >= 0 for at, *_ in rows)
    assert sum(tally.baseline for _, _, tally in found) == sum(at < 0 for at, *_ in rows)
    assert +book.errors == Counter(service for at, service, level, _ in rows if at >= 0 and level == "ERROR")
    assert +book.before == Counter(service for at, service, _, _ in rows if at < 0)


def test_more_messages_than_are_kept_are_still_counted(monkeypatch):
    monkeypatch.setattr(log_tally, "_DISTINCT", 10)
    messages = [f"{a}{b} is gone" for a in "abcdefgh" for b in "abcdefgh"]
    book = log_tally.count((Record(SINCE, "INFO", "lulu", text) for text in messages), SINCE)
    assert sum(tally.count for _, _, tally in book.templates()) == 64
    assert book.overflow == 54
    book.add(Record(SINCE, "ERROR", "lulu", "no route"))
    assert ("ERROR", "no route") in {(level, text) for level, text, _ in book.templates()}


def judge(level, text, window, hours, **more):
    return log_scores.judge(level, text, Counts(window, hours), window_hours=6, baseline_hours=24, **more)


def even(rate):
    return dict.fromkeys(range(1, 25), rate)


@given(st.integers(1, 100_000), st.sampled_from(["INFO", "WARN", "ERROR", "FATAL"]), st.integers(10, 100_000))
def test_steady_noise_never_outranks_a_new_error(rate, level, burst):
    noise = judge(level, "connection reset", rate * 6, even(rate))
    error = judge("ERROR", "rate limit exceeded", burst, {})
    assert error.change == "new"
    assert noise.change == "steady"
    assert noise.score < 0.1 < 0.85 < error.score


@given(st.integers(0, 500), st.integers(0, 500), st.dictionaries(st.integers(2, 24), st.integers(0, 300)))
def test_more_lines_never_score_lower_when_rising(count, more, hours):
    low, high = (judge("ERROR", "x", n, hours) for n in (count, count + more))
    if low.change in ("new", "surge"):
        assert high.score >= low.score


def test_nightly_burst_is_no_news():
    assert judge("ERROR", "batch retry failed", 50, {15: 50}).score < 0.1


def test_incident_that_began_before_the_window_is_seen():
    verdict = judge("ERROR", "rate limit exceeded", 600, {1: 100, 2: 100, 3: 100, 4: 100})
    assert verdict.score > 0.85


def test_single_change_is_worth_a_look_and_single_chatter_little():
    change = judge("INFO", "deployed version <*>", 1, {})
    chatter = judge("INFO", "cache warmed", 1, {})
    assert 0.3 < change.score < 0.7
    assert chatter.score < change.score


def test_heartbeat_that_went_silent():
    assert judge("INFO", "heartbeat ok", 0, even(60), silent_hours=6.0).change == "gone"
    late = judge("INFO", "heartbeat ok", 240, even(60), silent_hours=2.0)
    assert late.change == "gone"
    assert late.score > 0.3
    assert judge("INFO", "heartbeat ok", 360, even(60), silent_hours=0.01).change == "steady"


def test_without_a_baseline_severity_decides():
    error, info = (
        log_scores.judge(level, "x", Counts(50, {}), window_hours=6, baseline_hours=0)
        for level in ("ERROR", "INFO")
    )
    assert error.change == info.change == "unknown"
    assert 0.5 >= error.score > info.score


_PARTS = (
    "order", "ORD-18200099", "E-123456", "ERR-12345678", "status", "code ", "errno", "=", ": ", "> ",
    "error code: ", "123456", "42901", "429", "450 ms", "450 us", "450 rows", "450 Abc", "12.5", "404.5",
    "12345.6", "1.2.3", "%", "cb7c8f5ca6", "12345678", "a1", "id=", "ref=", "ORD-18200099x", "sqlstate ",
    "ABCDEFG-123456", "HTTP/1.1", '" 500', "by ", "returned ", "2026-01-01", "0x12ab34cd", "12345678-1234",
    "http://a/123456", "?a=123456", "@x.com", "(", ")", "SQLSTATE=12345678", "rc ", "1234567 ms", "v1 ",
    "TNS-123456", "a0000001,", "abcdef12;", "é",
)  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from(_PARTS), st.sampled_from(("", " ", " ", ","))), max_size=7))
def test_taking_alike_messages_for_one_changes_no_mask(parts: list[tuple[str, str]]) -> None:
    message = "".join(part + gap for part, gap in parts)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(log_templates, "_PLAIN", re.compile("(?!)"))
        log_templates.mask.cache_clear()
        one_by_one = log_templates.mask(message)
    log_templates.mask.cache_clear()
    assert log_templates.mask(message) == one_by_one
