"""The command line as people and scripts use it: texts, JSON, exit codes."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from unittest.mock import Mock

import pytest
from sqlalchemy import update

from blocks.schema import approvals as approvals_table
from flows.cli.session import Session
from tasks import controls, lease
from tasks.clock import utc
from tests.commands import ASPORA, Aspora, new_aspora  # noqa: F401
from tests.fix_world import World, new_api, new_world  # noqa: F401


def test_a_run_leaves_its_fix_waiting(aspora: Aspora) -> None:
    done = aspora("run", "ecm", "--json")
    assert done.code == 4
    report = done.json
    assert report["state"] == "awaiting_approval"
    assert {"run_id", "domain", "executions", "handoffs", "approvals"} <= report.keys()
    assert {"from", "to", "when", "context"} <= report["handoffs"][0].keys()
    assert {"id", "skill", "status", "proposal"} <= report["approvals"][0].keys()
    execution = report["executions"][0]
    assert (execution["skill"], execution["role"], execution["outcome"]) == (
        "ecm-triage",
        "manager",
        "success",
    )
    assert execution["output"]["patterns"][0]["context"]["sample_orders"][0] == "A1"


@pytest.mark.parametrize(
    ("option", "status", "stuck"),
    [
        (("--approve", "ann"), "done", set()),
        (("--reject", "ann", "--reason", "not now"), "rejected", {"A1", "A2", "A3"}),
    ],
)
def test_a_run_decides_at_once(
    aspora: Aspora, world: World, option: tuple[str, ...], status: str, stuck: set[str]
) -> None:
    done = aspora("run", "ecm", "--json", *option)
    assert done.code == 0
    assert done.json["state"] == "completed"
    (approval,) = done.json["approvals"]
    assert (approval["status"], approval["decided_by"]) == (status, "ann")
    assert world.stuck() == stuck


@pytest.mark.parametrize(
    ("answers", "code", "status"),
    [
        ("y\nann\n", 0, "done"),
        ("n\nann\nlulu is asleep\n", 0, "rejected"),
        ("l\n", 4, "waiting"),
        ("\n", 4, "waiting"),
    ],
)
def test_on_a_terminal_it_asks(aspora: Aspora, answers: str, code: int, status: str) -> None:
    done = aspora("run", "ecm", stdin=answers)
    assert done.code == code
    assert f"lulu: {status}" in done.out


def test_nothing_to_do(aspora: Aspora, world: World) -> None:
    world.free("A1", "A2", "A3")
    done = aspora("run", "ecm")
    assert done.code == 0
    assert "no action needed" in done.out


def test_a_stopped_domain_refuses_runs(aspora: Aspora) -> None:
    assert aspora("stop", "ecm", "--as", "bob", "--reason", "bank holiday").code == 0
    done = aspora("run", "ecm", "--json")
    assert (done.code, done.json["state"]) == (3, "refused")
    assert "stopped by bob (bank holiday)" in done.json["reason"]
    assert aspora("start", "ecm").code == 0
    assert aspora("run", "ecm", "--json").code == 4


def test_a_fix_that_fails_fails_the_run(aspora: Aspora, world: World) -> None:
    world.action["url"] = "http://127.0.0.1:9/{order_id}"
    world.write()
    done = aspora("run", "ecm", "--json", "--approve", "ann")
    assert (done.code, done.json["state"]) == (1, "failed")
    assert "3 failed" in done.json["reason"]


def test_a_fix_that_ann_may_not_approve_waits(aspora: Aspora, world: World) -> None:
    world.action["approvals"] = 2
    world.write()
    done = aspora("run", "ecm", "--json", "--approve", "ann")
    assert (done.code, done.json["approvals"][0]["status"]) == (4, "waiting")
    assert "needs 2 different verified approvers; a typed name is no verification" in done.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "nope"), "there is no domain 'nope'; there are: ecm"),
        (("run", "ecm", "--approve", "a", "--reject", "b"), "exclude each other"),
        (("run", "ecm", "--reject", "a"), "--reject needs a reason"),
        (("run", "ecm", "--input", "{"), "--input is no JSON"),
        (("run", "ecm", "--input", "[" * 100_000), "--input is no JSON"),
        (("run", "ecm", "--input", "[]"), "must be a JSON object"),
        (("run", "ecm", "--input", '{"stge": "lulu"}'), "stge: Extra inputs are not permitted"),
        (("run", "ecm", "--input", '{"as_of": "soon"}'), "as_of: Input should be a valid datetime"),
        (("run", "ecm", "--input", "@/nowhere.json"), "--input @/nowhere.json: No such file"),
        (("run", "ecm", "--input", "@/"), "--input @/: Is a directory"),
        (("run", "ecm", "--seed", "3"), "warehouse.url points at your own warehouse"),
        (("run", "ecm", "--continue", "ecm-nope"), "there is no trigger or run 'ecm-nope'"),
        (("approve", "apr-nope", "--as", "ann"), "there is no approval 'apr-nope'"),
        (("undo", "apr-nope", "--as", "ann"), "there is no approval 'apr-nope'"),
        (("show", "nope"), "there is no execution 'nope'"),
        (("stop",), "name one domain, or --all-actions"),
        (("stop", "ecm", "--all-actions"), "name one domain, or --all-actions"),
        (("stop", "nope"), "there is no domain 'nope'"),
        (("stop", "--approval", "apr-nope"), "there is no approval 'apr-nope'"),
        (("executions", "--since", "soon"), "'soon' is no duration"),
        (("route", "--config", "/nowhere.yaml"), "/nowhere.yaml"),
    ],
)
def test_wrong_usage(aspora: Aspora, arguments: tuple[str, ...], words: str) -> None:
    done = aspora(*arguments)
    assert done.code == 2
    assert words in done.err
    assert done.out == ""


def test_an_input_that_does_not_fit_starts_no_server(aspora: Aspora, monkeypatch: pytest.MonkeyPatch) -> None:
    started = Mock(return_value=None)
    monkeypatch.setattr(Session, "_start_server", started)
    aspora("run", "ecm", "--input", '{"stge": "lulu"}')
    started.assert_not_called()
    aspora("run", "ecm", "--input", '{"stage": "lulu"}')
    started.assert_called_once()


def test_versions(aspora: Aspora) -> None:
    found = aspora("version", "--json").json
    assert {"aspora", "python", "prefect", "tables"} <= found.keys()
    assert aspora("--version").out == f"aspora {found['aspora']}\n"
    assert aspora("version").out.splitlines()[0] == f"aspora {found['aspora']}"


def test_an_error_with_json_is_one_document(aspora: Aspora) -> None:
    done = aspora("show", "nope", "--json")
    assert (done.code, done.json["exit_code"]) == (2, 2)
    assert "there is no execution" in done.json["error"]


def test_input_from_a_file(aspora: Aspora, tmp_path: Path) -> None:
    file = tmp_path / "input.json"
    file.write_text('\ufeff{"stage": "lulu"}')
    done = aspora("run", "ecm", "--json", "--input", f"@{file}")
    assert done.json["executions"][0]["input"]["stage"] == "lulu"


def test_approving_later(aspora: Aspora, world: World) -> None:
    aspora("run", "ecm")
    (waiting,) = aspora("approvals", "--json").json
    assert waiting["proposal"]["plans"][0]["text"].startswith("retry_orders: 3 orders")
    done = aspora("approve", waiting["id"], "--as", "ann", "--comment", "go", "--json")
    assert (done.code, done.json["status"], done.json["approval_status"]) == (0, "approved", "done")
    assert done.json["comment"] == "go"
    assert world.stuck() == set()
    again = aspora("approve", waiting["id"], "--as", "bob", "--json")
    assert (again.code, again.json["status"], again.json["decided_by"]) == (3, "already_decided", "ann")
    assert "ann did at" in aspora("reject", waiting["id"], "--as", "bob", "--reason", "no").err
    assert aspora("approvals", "--json").json == []
    assert "No fix waits" in aspora("approvals").out
    assert [each["status"] for each in aspora("approvals", "--all", "--json").json] == ["done"]


def test_rejecting_needs_a_reason(aspora: Aspora) -> None:
    aspora("run", "ecm")
    (waiting,) = aspora("approvals", "--json").json
    assert aspora("reject", waiting["id"], "--as", "ann").code == 2
    done = aspora("reject", waiting["id"], "--as", "ann", "--reason", "lulu is asleep", "--json")
    assert (done.code, done.json["status"], done.json["comment"]) == (0, "rejected", "lulu is asleep")


def test_a_fix_that_was_cut_off_is_carried_on(aspora: Aspora, world: World) -> None:
    """Its process is gone; whoever approves again carries it on."""
    aspora("run", "ecm")
    (waiting,) = aspora("approvals", "--json").json
    gone = lease.claimant().rsplit(":", 2)[0] + ":1:1"
    values = {"status": "approved", "decided_by": "ann", "decided_via": "cli", "claimed_by": gone}
    values |= {"decided_at": utc()}
    world.database.write_now(lambda conn: conn.execute(update(approvals_table).values(**values)))
    done = aspora("approve", waiting["id"], "--as", "bob", "--json")
    assert (done.code, done.json["status"], done.json["decided_by"]) == (0, "continued", "ann")
    assert world.stuck() == set()


def test_taking_a_fix_back(aspora: Aspora, world: World) -> None:
    world.action["undo"] = {"url": f"{world.url}/orders/{{order_id}}/cancel"}
    world.write()
    (approval,) = aspora("run", "ecm", "--json", "--approve", "ann").json["approvals"]
    done = aspora("undo", approval["id"], "--as", "ann", "--json")
    assert (done.code, done.json["done"], done.json["text"]) == (0, 3, "3 undone")
    assert aspora("approvals", "--all", "--json").json[0]["status"] == "done"


def test_looking_into_the_record(aspora: Aspora) -> None:
    aspora("run", "ecm")
    listed = aspora("executions", "--json").json
    assert [each["skill"] for each in listed] == ["ecm-triage"]
    assert aspora("executions", "--skill", "ecm-triage", "--outcome", "success", "--json").json == listed
    assert aspora("executions", "--domain", "fraud", "--json").json == []
    assert "No execution matches" in aspora("executions", "--outcome", "error").out
    assert listed[0]["execution_id"] in aspora("executions").out
    shown = aspora("show", listed[0]["execution_id"])
    assert "query_stuck_orders" in shown.out
    steps = aspora("show", listed[0]["execution_id"], "--json").json["steps"]
    assert [step["kind"] for step in steps] == ["model", "tool", "model"]


def test_trying_a_rule_on_recorded_runs(aspora: Aspora, world: World, tmp_path: Path) -> None:
    aspora("run", "ecm")
    assert "0 of 1 decisions in 1 runs would differ" in aspora("route").out
    world.domain["routing"] = [{"when": "manager.count >= 1", "route_to": "ecm-diagnose"}]
    other = tmp_path / "other.yaml"
    other.write_text(json.dumps(world.config))
    (row, *_) = aspora("route", "--config", str(other), "--json").json
    assert (row["pattern"], row["was"], row["would_be"]) == ("lulu", ["ecm-resolve"], ["ecm-diagnose"])
    assert "Decisions that would differ" in aspora("route", "--config", str(other)).out


def test_the_kill_switch_needs_no_sound_config(aspora: Aspora, world: World) -> None:
    world.config_file.write_text("domains: [")
    done = aspora("stop", "ecm", "--as", "bob", "--json")
    assert (done.code, done.json["switch"], done.json["by"]) == (0, "domain:ecm", "bob")
    assert "the config does not load" in done.err
    stop = world.database.read_now(lambda conn: controls.stopped(conn, "domain:ecm"))
    assert stop and stop.changed_by == "bob"


def test_the_record_is_read_without_a_model(aspora: Aspora, world: World) -> None:
    world.config["platform"]["provider"] = "anthropic"
    world.write()
    assert [aspora(*command).code for command in (["executions"], ["approvals"], ["route"])] == [0, 0, 0]


def test_check(aspora: Aspora, world: World) -> None:
    done = aspora("check", "--json")
    assert (done.code, done.json["ok"]) == (0, True)
    world.domain["routing"] = [{"when": "manager.critical_count == 'many'", "route_to": "ecm-resolve"}]
    world.write()
    done = aspora("check")
    assert done.code == 2
    assert "domains.ecm.routing[0].when" in done.out


def test_what_data_says_is_not_obeyed_by_the_terminal(aspora: Aspora, world: World) -> None:
    world.fill(["X1"], stage="\x1b[2J[red]evil[/red]\u202e")
    done = aspora("run", "ecm")
    assert "[red]evil" in done.out.replace("\n", "")
    assert not {"\x1b", "\u202e"} & set(done.out + done.err)


COMMANDS = ("", "check", "run", "approvals", "approve", "reject", "undo", "stop", "start")
MORE = ("executions", "show", "route", "eval", "bench")


@pytest.mark.parametrize("command", COMMANDS + MORE)
def test_each_command_has_help(aspora: Aspora, command: str) -> None:
    done = aspora(*command.split(), "--help")
    assert done.code == 0
    assert "Usage: aspora" in done.out


def test_a_reader_that_goes_away(world: World) -> None:
    """As with `| head -1`: no traceback."""
    process = subprocess.Popen(
        [ASPORA, "executions", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ)
    )
    assert process.stdout and process.stderr
    process.stdout.close()
    assert b"Traceback" not in process.stderr.read()
    process.wait()
