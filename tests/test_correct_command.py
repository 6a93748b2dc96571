"""`aspora correct`: what it takes, what it says, its exit codes."""

from __future__ import annotations

import json

import pytest

from tests.commands import Aspora, Done, new_aspora  # noqa: F401
from tests.fix_world import Api, World, new_api, new_world  # noqa: F401


@pytest.fixture
def execution(aspora: Aspora) -> str:
    """The manager's execution of a run."""
    report = aspora("run", "ecm", "--json").json
    return next(each["execution_id"] for each in report["executions"] if each["role"] == "manager")


def test_a_correction_and_its_way_back(aspora: Aspora, execution: str) -> None:
    done = aspora("correct", execution, "--set", "actual_root_cause=rate limit=429", "--as", "ann", "--json")
    assert done.code == 0, done.err
    assert (done.json["status"], done.json["trusted"]) == ("corrected", False)
    assert done.json["user_correction"] == {"actual_root_cause": "rate limit=429"}
    assert done.json["said"]["verified"] is False
    again = aspora("correct", execution, "--set", "actual_root_cause=rate limit=429", "--as", "ann")
    assert (again.code, "said so before" in again.out) == (0, True)
    listed = aspora("executions", "--outcome", "user_corrected", "--json").json
    assert [each["execution_id"] for each in listed] == [execution]
    assert "rate limit" in aspora("show", execution).out
    agreed = aspora("correct", execution, "--confirm", "--as", "bob")
    assert "bob on the command line, by a typed name says the same" in agreed.out
    assert "Skills follow it once a verified person says so too" in agreed.out
    right = aspora("correct", execution, "--right", "--as", "cid", "--json").json
    assert right["status"] == "right"
    back = aspora("correct", execution, "--undo", "--as", "ann", "--json").json
    assert (back["status"], back["said"]["corrected_by"], back["user_correction"]) == (
        "taken_back",
        "ann",
        None,
    )
    assert aspora("executions", "--outcome", "user_corrected", "--json").json == []


def test_which_of_several_corrections_skills_follow(
    aspora: Aspora, execution: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_wrong = aspora("correct", execution, "--set", "what_was_wrong=no outage", "--as", "ann")
    assert "Skills learn nothing from it: say what is right too" in only_wrong.out
    aspora("correct", execution, "--set", "actual_root_cause=rate limit", "--as", "ann")
    other = aspora("correct", execution, "--set", "actual_root_cause=a full disk", "--as", "bob")
    assert "People say different things" in other.out
    agreed = aspora("correct", execution, "--confirm", "--as", "cid")
    assert "People say different things" in agreed.out
    token = aspora("token", "cid", "--json").json["token"]
    with monkeypatch.context() as patched:
        patched.setenv("ASPORA_APPROVER_TOKEN", token)
        agreed = aspora("correct", execution, "--confirm", "--as", "cid")
    assert "Skills follow “a full disk” when they see the same again" in agreed.out
    third = aspora("correct", execution, "--set", "actual_root_cause=an expired key", "--as", "dan")
    assert "Skills follow “a full disk” when they see the same again" in third.out


def test_a_token_proves_who_corrects(aspora: Aspora, execution: str, monkeypatch: pytest.MonkeyPatch) -> None:
    token = aspora("token", "ann", "--json").json["token"]
    monkeypatch.setenv("ASPORA_APPROVER_TOKEN", token)
    given = ("correct", execution, "--set", "actual_root_cause=a quota", "--as")
    wrong = aspora(*given, "bob")
    assert (wrong.code, "is not bob's" in wrong.err) == (3, True)
    proven = aspora(*given, "ann", "--json").json
    assert (proven["said"]["verified"], proven["trusted"]) == (True, True)
    monkeypatch.delenv("ASPORA_APPROVER_TOKEN")
    typed = aspora("correct", execution, "--undo", "--as", "ann")
    assert (typed.code, "a typed name does not take it back" in typed.err) == (3, True)


def test_an_operator_takes_back_what_others_said(world: World, aspora: Aspora, execution: str) -> None:
    aspora("correct", execution, "--set", "actual_root_cause=nonsense", "--as", "eve")
    refused = aspora("correct", execution, "--undo", "--as", "zoe")
    assert (refused.code, "nothing that zoe said" in refused.err) == (3, True)
    world.config["platform"]["operators"] = ["zoe"]
    world.write()
    assert aspora("correct", execution, "--undo", "--as", "zoe", "--json").json["status"] == "taken_back"


def test_wrong_use_is_explained(aspora: Aspora, execution: str) -> None:
    def failed(*arguments: str) -> tuple[int, str]:
        done: Done = aspora("correct", *arguments, "--as", "ann")
        assert done.out == ""
        return done.code, done.err

    assert failed("nope", "--set", "actual_root_cause=x")[0] == 2
    assert failed(execution) == (
        2,
        "Error: correct takes one of --set FIELD=TEXT, --confirm, --right, --undo\n",
    )
    assert failed(execution, "--undo", "--right")[0] == 2
    assert "write FIELD=TEXT" in failed(execution, "--set", "rate limit")[1]
    assert "is given twice" in failed(execution, "--set", "a=1", "--set", "a=2")[1]
    assert "no field's name" in failed(execution, "--set", "A B=1")[1]
    assert "characters; say it in 4,000 at most" in failed(execution, "--set", "a=" + "x" * 100_000)[1]
    told = aspora("correct", execution, "--set", "a=", "--as", "ann", "--json")
    assert json.loads(told.out) == {"error": "a is empty; write what is right, such as a=…", "exit_code": 2}


def test_what_waits_cannot_be_corrected_yet(aspora: Aspora) -> None:
    report = aspora("run", "ecm", "--json").json
    waiting = next(each["execution_id"] for each in report["executions"] if each["outcome"] is None)
    done = aspora("correct", waiting, "--set", "actual_root_cause=x", "--as", "ann")
    assert (done.code, "has not ended yet" in done.err) == (3, True)
