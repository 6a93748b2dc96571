"""What comes in from outside: matched, read, grouped, counted, held back, or kept with the reason why not."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from blocks.database import Database
from flows import orchestrator
from flows.orchestrator.replay import replay
from tasks import inbox, lease
from tasks.domain import Incoming
from tasks.platform import Platform
from tests.orchestrated import ALERT, alert, platform_of, received, resolved, row
from tests.record_world import MINUTE, NOW, new_database, new_postgres  # noqa: F401

HOUR = timedelta(hours=1)
WEBHOOK = {"source": "webhook", "match": {"path": "/api/ecm/analyze"}, "domain": "ecm"}
MENTION = {"source": "slack", "match": {"mention": "@ecm-agent"}, "domain": "ecm"}
GROUPED = {**ALERT, "group_by": ["stage"]}


def webhook(data: Mapping[str, Any], path: str = "/api/ecm/analyze") -> Incoming:
    return Incoming("webhook", "call 1", {"path": path}, data=data)


def mention(text: str) -> Incoming:
    origin = {"kind": "slack", "bot": "@ecm-agent", "channel": "C1", "thread": "1.2", "user": "U1"}
    return Incoming("slack", "Ev1", {"mention": "@ecm-agent"}, text, asked_by="Ada", origin=origin)


def started(platform: Platform, trigger: inbox.Trigger, at: Any = NOW) -> str:
    """Its run, under way; who works on it."""
    owner = lease.claimant()
    assert platform.database.write_now(lambda conn: inbox.claim(conn, trigger.id, owner, 48 * HOUR, now=at))
    return owner


def ended(platform: Platform, trigger: inbox.Trigger, owner: str) -> None:
    platform.database.write_now(lambda c: inbox.finish(c, trigger.id, owner, "done", result="no_action"))


# matching


def test_the_first_trigger_that_matches_in_all_fields_is_taken(database: Database) -> None:
    table = (
        {**ALERT, "match": {"alertname": "EcmBacklog", "severity": "page"}},
        {**ALERT, "match": {"alertname": "EcmBacklog"}},
        {**ALERT, "match": {"alertname": "EcmBacklog", "stage": "lulu"}},
    )
    platform = platform_of(database, *table)
    assert received(platform, alert(stage="lulu")).rule == "triggers[1]"
    assert received(platform, alert(severity="page")).rule == "triggers[0]"
    assert received(platform, alert(severity="pager")).rule == "triggers[1]"


def test_a_source_is_only_matched_by_its_own_triggers(database: Database) -> None:
    platform = platform_of(database, {**WEBHOOK, "match": {"alertname": "EcmBacklog"}})
    assert received(platform, alert()).state == "unmatched"


def test_what_nothing_matches_is_kept_and_says_so(database: Database) -> None:
    kept = received(platform_of(database, ALERT), alert(alertname="DiskFull", host="db1"))
    assert (kept.state, kept.domain, kept.rule) == ("unmatched", "", "")
    assert kept.reason == "no prometheus trigger of the config matches: alertname=DiskFull, host=db1"
    assert kept.received["data"] == {"labels": {"alertname": "DiskFull", "host": "db1"}}


def test_a_domain_that_is_not_built_yet_says_so(database: Database) -> None:
    platform = platform_of(database, {**ALERT, "domain": "later"})
    kept = received(platform, alert())
    assert (kept.state, kept.domain) == ("unmatched", "later")
    assert kept.reason == f"there is no domain 'later' yet; there are: {', '.join(platform.config.domains)}"


# the run's input


def test_a_webhooks_body_is_the_input(database: Database) -> None:
    platform = platform_of(database, WEBHOOK)
    kept = received(platform, webhook({"stage": "lulu"}))
    assert (kept.state, kept.payload) == ("pending", {"stage": "lulu", "as_of": None})


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"stage": 5}, "the message does not fit ecm: stage: Input should be a valid string"),
        ({"stagge": "lulu"}, "stagge: Extra inputs are not permitted; its fields are: stage, as_of"),
        ({"as_of": "tomorrow"}, "as_of: Input should be a valid datetime"),
        ({"stage": "l" * 30_000}, "the message is too large: stage is longer than 20000 characters"),
    ],
)
def test_a_body_that_does_not_fit_is_refused_with_the_reason(
    database: Database, data: dict[str, Any], words: str
) -> None:
    kept = received(platform_of(database, WEBHOOK), webhook(data))
    assert (kept.state, kept.result, kept.payload) == ("refused", "refused", None)
    assert words in kept.reason
    assert kept.finished_at == NOW


@pytest.mark.parametrize(
    ("text", "stage"),
    [
        ("@ecm-agent look at lulu", "lulu"),
        ("please check LULU!", "lulu"),
        ("card_funding is slow again", "card_funding"),
        ("what is stuck?", ""),
        ("is it lulu or zento?", ""),
        ("the default is fine", ""),
        ("look at '; DROP TABLE orders; --", ""),
    ],
)
def test_the_stage_that_a_person_names_is_the_one_to_look_at(
    database: Database, text: str, stage: str
) -> None:
    kept = received(platform_of(database, MENTION), mention(text))
    assert (kept.state, kept.payload["stage"]) == ("pending", stage)
    assert (kept.asked_by, kept.origin["thread"]) == ("Ada", "1.2")


def test_a_number_that_nobody_knows_starts_nothing(database: Database) -> None:
    platform = platform_of(database, {"source": "whatsapp", "match": {"sender": "491"}, "domain": "ecm"})
    stranger = Incoming("whatsapp", "w1", {"sender": "491"}, "look at lulu")
    assert received(platform, stranger).state == "refused"
    known = replace(stranger, dedupe_key="w2", asked_by="Ada")
    assert received(platform, known).payload["stage"] == "lulu"


def test_an_alerts_label_names_the_stage(database: Database) -> None:
    platform = platform_of(database, ALERT)
    assert received(platform, alert(stage="zento", team="ops")).payload["stage"] == "zento"
    refused = received(platform, alert(stage="zento'); --"))
    assert refused.state == "refused"
    assert "the label stage is no stage's name" in refused.reason


@pytest.mark.parametrize(
    ("error", "words"), [(KeyError("stage"), "KeyError: 'stage'"), (AttributeError("no\x1b"), "no�")]
)
def test_a_message_that_the_domains_code_fails_on_is_kept_and_replayed_later(
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    words: str,
) -> None:
    platform = platform_of(database, ALERT)
    message = alert(stage="lulu")

    def fails(*_: object) -> Any:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr("flows.ecm.DOMAIN", replace(platform.code("ecm"), read=fails))
        kept = received(platform, message)
    assert (kept.state, kept.received["fields"]) == ("refused", message.fields)
    assert kept.reason.startswith("the code of ecm can't read the message (")
    assert words in kept.reason
    assert message.dedupe_key in caplog.text
    again = database.write_now(lambda conn: replay(conn, platform, kept.id, NOW))
    assert (again.state, again.payload["stage"]) == ("pending", "lulu")


def test_a_message_is_kept_while_the_domains_code_can_not_be_imported(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = platform_of(database, ALERT)
    monkeypatch.setitem(sys.modules, "flows.ecm", None)
    kept = received(platform, alert())
    assert kept.state == "refused"
    assert "ModuleNotFoundError" in kept.reason


# what is stored of it


def test_untrusted_text_is_bounded_and_without_control_signs(database: Database) -> None:
    """The same dirty message again is still the same one."""
    labels = {"alertname": "EcmBacklog", "note": "a\x1b[2Jb" + "n" * 5_000}
    data = {"deep": [[{"a": "\x07"}]], "many": list(range(30_000))}
    key, text = "key\x00\n" + "k" * 5_000, "t\u202e" + "x" * 50_000
    dirty = Incoming("prometheus", key, labels, text, data, "g" * 3_000, asked_by="A" * 500)
    platform = platform_of(database, GROUPED)
    kept = received(platform, dirty)
    assert row(platform, kept.id) == kept
    assert len(kept.dedupe_key) <= 250
    assert kept.received["fields"]["note"].startswith("a�[2Jb")
    assert len(kept.received["fields"]["note"]) == 1_000
    assert len(kept.received["text"]) == 20_000
    assert kept.received["data"]["deep"] == [[{"a": "�"}]]
    assert len(kept.received["data"]["many"]) == 20_000
    assert len(kept.asked_by) == 200
    assert received(platform, dirty) == kept
    assert received(platform, replace(dirty, dedupe_key=dirty.dedupe_key + "k")).id != kept.id


def test_a_message_of_endless_depth_is_kept(database: Database) -> None:
    data: dict[str, Any] = {}
    for _ in range(500):
        data = {"d": data}
    kept = received(platform_of(database, WEBHOOK), webhook(data))
    assert kept.state == "refused"
    assert "deeper than 32 levels" in kept.reason


# once


def test_the_same_message_again_is_the_first_one_unchanged(database: Database) -> None:
    platform = platform_of(database, ALERT)
    message = alert("alert 1", stage="lulu")
    first = received(platform, message)
    assert received(platform, message, NOW + HOUR) == first
    ended(platform, first, started(platform, first))
    again = received(platform, message, NOW + 2 * HOUR)
    assert (again.id, again.state, again.attempts) == (first.id, "done", 1)


def test_many_processes_that_receive_the_same_messages_store_each_once(database: Database) -> None:
    """Overlapping batches in different orders: no deadlock, no double."""
    platform = platform_of(database, GROUPED)
    messages = [alert(f"same {n}", stage=f"s{n % 3}") for n in range(20)]
    failures: list[Exception] = []

    def work(number: int) -> None:
        batch = messages[number:] + messages[:number]

        def receive_all(conn: Any) -> None:
            for message in batch[:: -1 if number % 2 else 1]:
                orchestrator.receive(conn, platform, message, NOW)

        try:
            database.write_now(receive_all)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    kept = database.read_now(inbox.find)
    assert len(kept) == 20
    assert sorted(each.payload["stage"] for each in kept if each.state == "pending") == ["s0", "s1", "s2"]


# grouping


def test_alerts_of_one_incident_share_a_run_while_it_is_under_way(database: Database) -> None:
    platform = platform_of(database, GROUPED)
    first, second = received(platform, alert(stage="lulu")), received(platform, alert(stage="lulu"))
    other = received(platform, alert(stage="zento"))
    assert (second.state, second.part_of, other.state) == ("grouped", first.id, "pending")
    assert second.reason == f"joined run {first.run_id}"
    owner = started(platform, first)
    assert received(platform, alert(stage="lulu")).part_of == first.id
    ended(platform, first, owner)
    assert received(platform, alert(stage="lulu")).state == "pending"


def test_alertmanagers_own_grouping_is_the_default(database: Database) -> None:
    platform = platform_of(database, ALERT)
    first = received(platform, alert(group='{}:{alertname="EcmBacklog"}', stage="lulu"))
    assert received(platform, alert(group='{}:{alertname="EcmBacklog"}', stage="zento")).part_of == first.id
    assert received(platform, alert(group="{}:{}")).state == "pending"


def test_an_empty_group_by_turns_grouping_off(database: Database) -> None:
    platform = platform_of(database, {**ALERT, "group_by": []})
    assert [received(platform, alert(group="g")).state for _ in range(2)] == ["pending", "pending"]


def test_messages_are_not_grouped_unless_told(database: Database) -> None:
    platform = platform_of(database, WEBHOOK)
    calls = [replace(webhook({}), dedupe_key=str(n)) for n in range(2)]
    assert [received(platform, call).state for call in calls] == ["pending", "pending"]


def test_triggers_of_different_domains_do_not_share_an_incident(database: Database) -> None:
    table = ({**GROUPED, "match": {"team": "a"}}, {**GROUPED, "match": {"team": "b"}})
    platform = platform_of(database, *table)
    states = [received(platform, alert(stage="lulu", team=team)).state for team in "ab"]
    assert states == ["pending", "pending"]


# counting


COUNTED = {**GROUPED, "after": {"count": 3, "within": "10m"}}


def test_a_run_starts_only_after_so_many_occurrences_in_the_window(database: Database) -> None:
    platform = platform_of(database, COUNTED)
    kept = [received(platform, alert(stage="lulu"), NOW + n * MINUTE) for n in (0, 4, 10.5, 11, 12)]
    assert [each.state for each in kept] == ["counted", "counted", "counted", "pending", "grouped"]
    assert [each.reason for each in kept[:3]] == [
        "1 of 3 that start a run", "2 of 3 that start a run", "2 of 3 that start a run",
    ]  # fmt: skip
    run = kept[3]
    assert [row(platform, each.id).part_of for each in kept] == [None, run.id, run.id, None, run.id]


def test_what_was_counted_for_a_run_is_not_counted_again(database: Database) -> None:
    platform = platform_of(database, COUNTED)
    for n in range(2):
        run = [received(platform, alert(stage="lulu"), NOW + n * MINUTE) for _ in range(3)][-1]
        assert run.state == "pending"
        ended(platform, run, started(platform, run))


def test_incidents_are_counted_apart(database: Database) -> None:
    platform = platform_of(database, COUNTED)
    states = [received(platform, alert(stage=stage)).state for stage in ("a", "b", "a", "b", "a")]
    assert states == ["counted"] * 4 + ["pending"]


def test_processes_that_count_at_once_start_one_run(database: Database) -> None:
    platform = platform_of(database, {**COUNTED, "after": {"count": 5, "within": "10m"}})
    messages = [alert(stage="lulu") for _ in range(20)]
    threads = [threading.Thread(target=received, args=(platform, message)) for message in messages]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    states = [each.state for each in database.read_now(inbox.find)]
    assert [states.count(state) for state in ("counted", "pending", "grouped")] == [4, 1, 15]


# quiet


def test_an_incident_is_quiet_for_a_while_after_its_run_started(database: Database) -> None:
    platform = platform_of(database, {**GROUPED, "quiet": "30m"})
    first = received(platform, alert(stage="lulu"))
    ended(platform, first, started(platform, first, NOW + MINUTE))
    states = [received(platform, alert(stage="lulu"), NOW + n * MINUTE).state for n in (2, 30.9, 31.1)]
    assert states == ["suppressed", "suppressed", "pending"]
    assert received(platform, alert(stage="zento"), NOW + 2 * MINUTE).state == "pending"


def test_quiet_holds_before_the_run_has_started_too(database: Database) -> None:
    platform = platform_of(database, {**WEBHOOK, "quiet": "30m"})
    first, second = (received(platform, replace(webhook({}), dedupe_key=str(n))) for n in range(2))
    assert (first.state, second.state) == ("pending", "suppressed")
    assert second.reason == f"quiet: run {first.run_id} of the same incident is about to start"


# maintenance


WINDOW = {"start": NOW - HOUR, "end": NOW + HOUR, "domains": ["ecm"], "reason": "database move"}


def test_what_comes_in_a_maintenance_window_waits_for_its_end(database: Database) -> None:
    window = WINDOW
    platform = platform_of(database, ALERT, maintenance=[window, {**window, "end": NOW + MINUTE}])
    kept = received(platform, alert("a1"))
    assert (kept.state, kept.next_attempt_at) == ("deferred", NOW + HOUR)
    assert kept.reason == "maintenance until 2026-02-17 09:05 UTC (database move)"
    assert received(platform, alert("a1"), NOW + MINUTE) == kept
    assert received(platform, alert(), NOW + HOUR).state == "pending"
    others = platform_of(database, ALERT, maintenance=[{**window, "domains": ["fraud"]}])
    assert received(others, alert()).state == "pending"
    everywhere = platform_of(database, ALERT, maintenance=[{**window, "domains": []}])
    assert received(everywhere, alert()).state == "deferred"


def test_an_alert_that_ends_in_the_window_starts_nothing_after_it(database: Database) -> None:
    platform = platform_of(database, ALERT, maintenance=[WINDOW])
    received(platform, alert("a1"))
    over = resolved(platform, "a1", NOW + MINUTE)
    assert over is not None
    assert (over.state, over.result, over.reason) == ("done", "no_action", "resolved before it ran")


def test_an_incident_of_the_window_is_one_run_after_it(database: Database) -> None:
    platform = platform_of(database, COUNTED, maintenance=[WINDOW])
    kept = [received(platform, alert(stage="lulu"), NOW + n * MINUTE) for n in range(4)]
    assert [each.state for each in kept] == ["counted", "counted", "deferred", "grouped"]
    assert [row(platform, each.id).part_of for each in kept] == [kept[2].id, kept[2].id, None, kept[2].id]


def test_who_asks_in_the_window_is_told_that_it_starts_later(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks import notices

    told: list[str] = []
    monkeypatch.setattr(notices, "deferred", lambda conn, settings, trigger, reason: told.append(reason))
    received(platform_of(database, MENTION, maintenance=[WINDOW]), mention("look"))
    assert told == ["maintenance until 2026-02-17 09:05 UTC (database move)"]


# resolved


def test_a_resolved_alert_ends_a_run_that_has_not_started(database: Database) -> None:
    platform = platform_of(database, ALERT)
    received(platform, alert("a1"))
    over = resolved(platform, "a1", NOW + MINUTE)
    assert over is not None
    assert (over.state, over.result, over.reason) == ("done", "no_action", "resolved before it ran")
    assert (over.resolved_at, over.finished_at) == (NOW + MINUTE, NOW + MINUTE)
    assert resolved(platform, "a1", NOW + HOUR) == over
    assert resolved(platform, "never came", NOW) is None


def test_a_run_is_still_wanted_while_another_alert_of_its_incident_fires(database: Database) -> None:
    platform = platform_of(database, GROUPED)
    first = received(platform, alert("a1", stage="lulu"))
    for key in ("a2", "a3"):
        received(platform, alert(key, stage="lulu"))
    for key in ("a1", "a3"):
        resolved(platform, key)
        assert row(platform, first.id).state == "pending"
    resolved(platform, "a2")
    assert row(platform, first.id).reason == "resolved before it ran"
    assert received(platform, alert("a4", stage="lulu")).state == "pending"


def test_a_resolved_alert_annotates_a_run_that_has_started_and_tells_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks import notices

    told: list[str] = []
    monkeypatch.setattr(notices, "resolved", lambda conn, settings, trigger: told.append(trigger.id))
    platform = platform_of(database, GROUPED)
    first = received(platform, alert("a1", stage="lulu"))
    owner = started(platform, first)
    received(platform, alert("a2", stage="lulu"))
    resolved(platform, "a1", NOW + MINUTE)
    ended(platform, first, owner)
    assert told == []
    for _ in range(2):
        resolved(platform, "a2", NOW + 2 * MINUTE)
    assert told == [first.id]
    kept = row(platform, first.id)
    assert (kept.state, kept.resolved_at) == ("done", NOW + MINUTE)


def test_a_flapping_alert_counts_each_time_that_it_fired(database: Database) -> None:
    platform = platform_of(database, COUNTED)
    for n in range(2):
        assert received(platform, alert(f"f{n}", stage="lulu")).state == "counted"
        resolved(platform, f"f{n}")
    assert received(platform, alert("f2", stage="lulu")).state == "pending"


# who asked is told


def test_who_asked_in_a_thread_is_told_that_no_run_will_come(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks import notices

    told: list[str] = []
    monkeypatch.setattr(notices, "refused", lambda conn, settings, trigger, reason: told.append(reason))
    platform = platform_of(database, {**MENTION, "domain": "later"}, {**ALERT, "domain": "later"})
    received(platform, mention("look"))
    received(platform, alert())
    assert told == [f"there is no domain 'later' yet; there are: {', '.join(platform.config.domains)}"]
