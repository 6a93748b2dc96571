"""A fix: proposed with a dry run, approved by a person, carried out once for each order, told truthfully."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import mcp
import pytest
from sqlalchemy import update

from blocks.config_file import load
from blocks.home import ROOT
from blocks.schema import approvals as approvals_table
from flows.ecm import DOMAIN
from flows.ecm.models import FixDraft, ResolutionDraft
from mcp_servers.memory import Options, build
from tasks import approvals, calls, controls, decision, fix, undo
from tasks.clock import utc
from tasks.domain import Answer
from tasks.platform import opened
from tests.fix_world import (
    Api,
    World,
    approve,
    carried_out,
    carry_out,
    done_to,
    new_api,  # noqa: F401
    new_world,  # noqa: F401
    outcome,
    proposed,
    run,
)


async def test_a_rule_straight_from_triage_leads_to_a_dry_run(world: World, api: Api) -> None:
    """The effect is told, nothing is done, and the execution waits."""
    world.action["rate"] = "2/s"
    world.write()
    result = await run()
    assert result["state"] == "awaiting_approval"
    (approval,) = result["approvals"]
    (plan,) = approval["proposal"]["plans"]
    assert plan["text"] == "retry_orders: 3 orders at 2/s, about 2s"
    assert plan["amount"] == 300
    assert [each["order_id"] for each in plan["sample"]] == ["A1", "A2", "A3"]
    assert [each["outcome"] for each in result["executions"]] == ["success", None]
    assert api.calls == []


async def test_an_approved_fix_frees_the_orders_and_is_remembered(world: World, api: Api) -> None:
    approval = await proposed()
    done = await carried_out(approval["id"])
    assert done.status == "done"
    assert done.result["text"] == "3 orders done; 0 of the proposed still need it"
    assert world.stuck() == set()
    assert sorted(call.path for call in api.calls) == [f"/orders/A{n}/retry" for n in (1, 2, 3)]
    execution = outcome(world, done)
    assert (execution.outcome, execution.output_data["result"]["done"]) == ("success", 3)
    async with mcp.Client(build(Options(), load(world.config_file), world.home)) as client:
        answer = await client.call_tool("get_similar_incidents", {"query": "lulu retry", "stage": "lulu"})
    (incident,) = answer.structured_content["incidents"]
    assert (incident["stage"], incident["source"]) == ("lulu", "ecm-resolve")
    assert "3 orders done" in incident["outcome"]


async def test_the_runs_state_follows_its_fixes(world: World) -> None:
    """A run with two waiting fixes waits until both are decided."""
    world.fill(["B1"], stage="fx")
    result = await run()
    first, second = (each["id"] for each in result["approvals"])
    await carried_out(first)
    assert (await reread(result))["state"] == "awaiting_approval"
    async with opened() as platform:
        await decision.decide(platform, second, False, by="ann", via="cli", comment="not now")
    ended = await reread(result)
    assert ended["state"] == "completed"
    assert "was rejected" in ended["reason"]


async def reread(result: dict[str, Any]) -> dict[str, Any]:
    from tasks import report

    async with opened() as platform:
        return await platform.database.read(lambda conn: report.of_run(conn, result["run_id"]))


async def test_nothing_is_done_without_approval(world: World, api: Api) -> None:
    approval = await proposed()
    with pytest.raises(fix.NotApproved, match="is waiting"):
        await carry_out(approval["id"])
    async with opened() as platform:
        await decision.decide(platform, approval["id"], False, by="ann", via="cli", comment="wait for lulu")
    with pytest.raises(fix.NotApproved, match="is rejected"):
        await carry_out(approval["id"])
    assert (await approve(approval["id"])).status == "already_decided"
    assert api.calls == []


async def test_a_fix_is_carried_out_once(world: World, api: Api) -> None:
    """Thirty who approve and carry out at once: one decides, each order is acted on once."""
    approval = await proposed()

    async def one(name: str) -> str:
        made = await approve(approval["id"], by=name)
        try:
            await carry_out(approval["id"])
        except fix.NotApproved:
            return made.status
        return f"{made.status}, carried out"

    said = await asyncio.gather(*(one(f"p{n}") for n in range(30)))
    assert sum("approved" in each for each in said) == 1
    assert sum("carried out" in each for each in said) == 1
    assert len(api.calls) == 3


async def test_a_second_proposal_supersedes_the_waiting_one(world: World) -> None:
    first = await proposed()
    second = await proposed()
    assert {first["id"]} != {second["id"]}
    old = world.database.read_now(lambda conn: approvals.get(conn, first["id"]))
    assert (old.status, old.superseded_by) == ("superseded", second["id"])
    assert (await approve(first["id"])).status == "superseded"
    assert (await reread(first))["state"] == "completed"


async def test_a_second_proposal_leaves_out_what_was_acted_on(world: World, api: Api) -> None:
    """The API took two of the orders and did not free them; the third is new."""
    world.free("A3")
    api.answer = lambda call: 200
    await carried_out((await proposed())["id"])
    world.fill(["A4"])
    (plan,) = (await proposed())["proposal"]["plans"]
    assert [each["order_id"] for each in plan["sample"]] == ["A4"]
    assert "2 left out, acted on before" in plan["text"]


async def test_the_allowed_number_of_objects(world: World) -> None:
    world.action["max_objects"] = 2
    world.write()
    (plan,) = (await proposed())["proposal"]["plans"]
    assert plan["objects"] == 2
    assert "1 left for a next run, 2 are allowed at a time" in plan["text"]


async def test_an_order_that_moved_on_is_skipped(world: World, api: Api) -> None:
    approval = await proposed()
    world.free("A2")
    done = await carried_out(approval["id"])
    assert done.result["text"] == "2 orders done; 1 skipped; 0 of the proposed still need it"
    assert done_to(world, approval["id"])["A2"].status == "skipped"
    assert not any("A2" in call.path for call in api.calls)


@pytest.mark.parametrize("switch", ["actions", "domain:ecm", "approval"])
async def test_a_stop_in_the_middle_leaves_a_truthful_half(world: World, api: Api, switch: str) -> None:
    approval = await proposed()
    name = f"approval:{approval['id']}" if switch == "approval" else switch

    def stops(call: Any) -> int:
        world.free(call.path.split("/")[2])
        world.database.write_now(lambda conn: controls.stop(conn, name, by="bob", reason="lulu called"))
        return 200

    api.answer = stops
    done = await carried_out(approval["id"])
    assert done.status == "stopped"
    assert (done.result["done"], done.result["not_attempted"]) == (1, 2)
    assert "stopped by bob: lulu called" in done.result["text"]
    assert world.stuck() == {"A2", "A3"}
    assert outcome(world, done).outcome == "partial"
    assert (await reread(approval))["state"] == "failed"


async def test_while_a_switch_is_off_nothing_can_be_approved(world: World) -> None:
    """The fix is not used up: it still waits."""
    approval = await proposed()
    world.database.write_now(lambda conn: controls.stop(conn, controls.ALL_ACTIONS, by="bob"))
    with pytest.raises(decision.NotAllowed, match="all actions were stopped by bob"):
        await approve(approval["id"])
    world.database.write_now(lambda conn: controls.start(conn, controls.ALL_ACTIONS, by="bob"))
    assert (await approve(approval["id"])).status == "approved"


async def test_refusals_in_a_row_end_the_work(world: World, api: Api) -> None:
    world.fill([f"B{n}" for n in range(6)])
    api.answer = lambda call: 403
    done = await carried_out((await proposed())["id"])
    assert (done.status, done.result["failed"], done.result["not_attempted"]) == ("stopped", 5, 4)
    assert "answer 403" in done.result["ended_early"]
    assert outcome(world, done).outcome == "error"


async def test_refused_and_unknown_are_told_apart(world: World, api: Api) -> None:
    """4xx is a no; 5xx, silence and a redirect may have acted."""
    world.fill(["A4"])
    world.action["timeout"] = 0.3
    world.write()

    def answer(call: Any) -> Any:
        order = call.path.split("/")[2]
        if order == "A3":
            time.sleep(1)
        return {"A1": 409, "A2": 503, "A4": (303, {"Location": "/elsewhere"})}.get(order, 200)

    api.answer = answer
    approval = await proposed()
    done = await carried_out(approval["id"])
    statuses = {order: each.status for order, each in done_to(world, approval["id"]).items()}
    assert statuses == {"A1": "failed", "A2": "unknown", "A3": "unknown", "A4": "unknown"}
    assert done.status == "failed"
    assert not any(call.path == "/elsewhere" for call in api.calls)
    later = await proposed()
    assert [each["order_id"] for each in later["proposal"]["plans"][0]["sample"]] == ["A1"]


async def test_an_api_that_is_not_there(world: World) -> None:
    world.action["url"] = "http://127.0.0.1:9/orders/{order_id}/retry"
    world.write()
    approval = await proposed()
    done = await carried_out(approval["id"])
    assert (done.status, done.result["failed"]) == ("failed", 3)
    assert (
        "can't reach http://127.0.0.1:9/orders/A1/retry"
        in done_to(world, approval["id"])["A1"].response["reason"]
    )


async def test_the_http_call_is_what_config_says(
    world: World, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ids are data: they choose no other path, query or host."""
    hostile = "../admin?x=1#y&z= é/{stage}\\%2e"
    world.free("A1", "A2", "A3")
    world.fill([hostile])
    world.action.update({
        "method": "PUT", "url": f"{api.url}/o/{{order_id}}", "idempotency_header": "X-Once",
        "token_env": "SHOP_TOKEN", "body": {"where": "stage", "id": "order_id"},
    })  # fmt: skip
    world.write()
    monkeypatch.setenv("SHOP_TOKEN", "s3cret")
    approval = await proposed()
    await carried_out(approval["id"])
    (call,) = api.calls
    assert call.method == "PUT"
    assert call.path == "/o/..%2Fadmin%3Fx%3D1%23y%26z%3D%20%C3%A9%2F%7Bstage%7D%5C%252e"
    assert call.body == {"where": "lulu", "id": hostile}
    assert call.headers["authorization"] == "Bearer s3cret"
    assert call.headers["x-once"] == done_to(world, approval["id"])[hostile].idempotency_key
    assert "s3cret" not in str(done_to(world, approval["id"]))


async def test_an_id_that_would_change_the_path_is_left_out(world: World, api: Api) -> None:
    world.fill(["..", ".", ""])
    approval = await proposed()
    assert "3 left out, their ids can't be put into a request" in approval["proposal"]["plans"][0]["text"]
    await carried_out(approval["id"])
    assert {call.path for call in api.calls} == {f"/orders/A{n}/retry" for n in (1, 2, 3)}


async def test_a_missing_token_ends_the_work_before_it_begins(world: World, api: Api) -> None:
    world.action["token_env"] = "SHOP_TOKEN_THAT_IS_MISSING"
    world.write()
    done = await carried_out((await proposed())["id"])
    assert (done.status, done.result["not_attempted"], api.calls) == ("stopped", 3, [])
    assert "SHOP_TOKEN_THAT_IS_MISSING, which is not set" in done.result["text"]


async def test_a_huge_answer_is_cut(world: World, api: Api) -> None:
    async with calls.client(DOMAIN) as http:
        action = load(world.config_file).domains["ecm"].actions[0]
        api.answer = lambda call: (200, {"X-Long": "y" * 1000})
        ending, answer = await calls.send(http, action, calls.prepare(action, {"order_id": "A1"}), "k")
    assert ending == "done"
    assert len(answer["body"]) <= calls.MAX_RESPONSE


def proposing(monkeypatch: pytest.MonkeyPatch, *named: str) -> None:
    """The resolution, as a model might word it: these actions, for all orders."""
    fixes = [FixDraft(action=name, scope="all", reason="it helps") for name in named]
    answer = Answer(ResolutionDraft(fixes=fixes, summary="Do it."))
    skill = replace(DOMAIN.skills["ecm-resolve"], decide=lambda known: answer)
    monkeypatch.setitem(DOMAIN.skills, "ecm-resolve", skill)


async def test_an_order_stands_in_one_plan_of_a_proposal(
    world: World, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two actions on the same orders would do things twice where the data lags behind."""
    world.domain["actions"].append({"name": "reroute", "url": f"{api.url}/r/{{order_id}}", "rate": "200/s"})
    world.write()
    proposing(monkeypatch, "retry_orders", "reroute")
    first, second = (await proposed())["proposal"]["plans"]
    assert (first["objects"], second["objects"]) == (3, 0)


async def test_an_action_that_is_not_in_the_config_is_never_proposed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    proposing(monkeypatch, "drop_database")
    result = await run()
    assert (result["state"], result["approvals"]) == ("completed", [])


async def test_a_dangerous_action_needs_a_verified_person(
    world: World, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    proposing(monkeypatch, "retry_orders")
    world.action["dangerous"] = True
    world.domain["guardrails"]["human_in_loop"] = []
    world.write()
    approval = await proposed()
    with pytest.raises(decision.NotAllowed, match="retry_orders is a dangerous action"):
        await approve(approval["id"], by="root")
    still = world.database.read_now(lambda conn: approvals.get(conn, approval["id"]))
    assert still.status == "waiting"
    first = await approve(approval["id"], verified=True)
    assert (first.status, first.missing, first.decided) == ("recorded", 1, False)
    assert (await approve(approval["id"], by="bo", verified=True)).status == "approved"
    assert (await carry_out(approval["id"])).status == "done"


async def test_only_the_named_people_may_approve(world: World, api: Api) -> None:
    world.config["platform"]["people"] = {"ops-leads": ["Ann", "bo"]}
    world.write()
    approval = await proposed()
    with pytest.raises(decision.NotAllowed, match=r"mallory is not among the approvers of ecm \(ops-leads"):
        await approve(approval["id"], by="mallory")
    assert (await approve(approval["id"], by="ann")).status == "approved"


async def test_an_action_that_became_dangerous_after_it_was_proposed(world: World, api: Api) -> None:
    """Both gates look at the config of the moment."""
    approval = await proposed()
    world.action["dangerous"] = True
    world.write()
    with pytest.raises(decision.NotAllowed, match="dangerous"):
        await approve(approval["id"])
    world.action["dangerous"] = False
    world.write()
    await approve(approval["id"])
    world.action["dangerous"] = True
    world.write()
    done = await carry_out(approval["id"])
    assert (done.status, api.calls) == ("stopped", [])
    assert "dangerous, and ann was not verified" in done.result["text"]


async def test_an_action_that_was_taken_from_the_config(world: World, api: Api) -> None:
    approval = await proposed()
    await approve(approval["id"])
    world.action["name"] = "another_action"
    world.write()
    done = await carry_out(approval["id"])
    assert (done.status, api.calls) == ("stopped", [])
    assert "retry_orders is no longer allowed by the config" in done.result["text"]


async def test_a_decision_needs_a_name(world: World) -> None:
    approval = await proposed()
    with pytest.raises(decision.NotAllowed, match="needs the name"):
        await approve(approval["id"], by=" \n ")


async def test_a_decision_that_comes_too_late(world: World, api: Api) -> None:
    approval = await proposed()
    world.database.write_now(
        lambda conn: conn.execute(update(approvals_table).values(expires_at=utc() - timedelta(seconds=1)))
    )
    assert (await approve(approval["id"])).status == "expired"
    assert (await reread(approval))["state"] == "completed"
    with pytest.raises(fix.NotApproved, match="is expired"):
        await carry_out(approval["id"])


@pytest.mark.parametrize(("auto_fix", "status"), [(True, "approved"), (False, "waiting")])
async def test_with_nobody_in_the_loop(world: World, auto_fix: bool, status: str) -> None:
    """Config approves, if the domain may fix by itself."""
    world.domain["guardrails"]["human_in_loop"] = []
    world.domain["auto_fix"] = auto_fix
    world.write()
    result = await run()
    (approval,) = result["approvals"]
    assert approval["status"] == status
    if auto_fix:
        assert approval["decided_by"] == "config"
        assert (await carry_out(approval["id"])).status == "done"


@pytest.mark.full
async def test_a_killed_process_is_taken_over_with_the_same_keys(
    world: World, api: Api, tmp_path: Path
) -> None:
    """It dies while the second order's call is under way; the other side has acted and nobody knows."""
    approval = await proposed()
    await approve(approval["id"])
    reached = tmp_path / "reached"

    def hangs(call: Any) -> int:
        if "A2" in call.path and not reached.exists():
            reached.touch()
            time.sleep(3)
        elif "A2" in call.path or "A1" in call.path:
            world.free(call.path.split("/")[2])
        return 200

    api.answer = hangs
    code = (
        f"import asyncio; from tests.fix_world import carry_out; asyncio.run(carry_out({approval['id']!r}))"
    )
    child = subprocess.Popen([sys.executable, "-c", code], env=dict(os.environ))
    deadline = time.monotonic() + 30
    while not reached.exists() and time.monotonic() < deadline:
        await asyncio.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait()
    cut = done_to(world, approval["id"])
    assert {order: each.status for order, each in cut.items()} == {
        "A1": "done",
        "A2": "running",
        "A3": "pending",
    }
    orphan = world.database.read_now(lambda conn: approvals.get(conn, approval["id"]))
    assert fix.abandoned(orphan)
    done = await carry_out(approval["id"])
    assert done.result["done"] == 3
    keys = [call.headers["idempotency-key"] for call in api.calls if "A2" in call.path]
    assert len(keys) == 2
    assert len(set(keys)) == 1
    assert sum("A1" in call.path for call in api.calls) == 1


async def test_a_cut_off_call_to_an_order_that_moved_on_stays_unknown(world: World, api: Api) -> None:
    """Whether the first attempt freed it can't be told; it is not asked for again."""
    from tasks import actions

    approval = await proposed()
    await approve(approval["id"])
    (plan,) = world.database.read_now(lambda c: approvals.get(c, approval["id"])).proposal["plans"]
    key = plan["targets"][0]["key"]
    world.database.write_now(lambda c: actions.plan(c, approval["id"], "retry_orders", {key: {}}))
    world.database.write_now(lambda c: actions.begin(c, approval["id"], "retry_orders", key))
    world.free("A1")
    done = await carry_out(approval["id"])
    assert (done.result["done"], done.result["unknown"]) == (2, 1)
    assert not any("A1" in call.path for call in api.calls)


async def test_only_a_claim_that_nobody_holds_is_taken_over(world: World) -> None:
    approval = await proposed()
    made = await approve(approval["id"])
    assert not fix.abandoned(made.approval)
    assert fix.abandoned(made.approval, utc() + timedelta(minutes=5))


async def test_a_fix_is_taken_back(world: World, api: Api) -> None:
    """Only what was done, once, under a name."""
    world.action["undo"] = {"url": f"{api.url}/orders/{{order_id}}/cancel", "method": "DELETE"}
    world.write()
    approval = await proposed()
    world.free("A2")
    await carried_out(approval["id"])
    api.calls.clear()
    async with opened() as platform:
        result = await undo.take_back(platform, approval["id"], "ann")
        assert result["text"] == "2 undone"
        again = await undo.take_back(platform, approval["id"], "bob")
    assert again["text"] == "0 undone; 2 undone before"
    assert sorted((call.method, call.path) for call in api.calls) == [
        ("DELETE", "/orders/A1/cancel"),
        ("DELETE", "/orders/A3/cancel"),
    ]
    rows = world.database.read_now(lambda conn: fix.actions.of_approval(conn, approval["id"]))
    undone = [each for each in rows if each.action == "undo:retry_orders"]
    assert {each.response["undone_by"] for each in undone} == {"ann"}


async def test_what_can_not_be_taken_back(world: World) -> None:
    approval = await proposed()
    async with opened() as platform:
        with pytest.raises(undo.NotUndoable, match="is waiting"):
            await undo.take_back(platform, approval["id"], "ann")
        await carried_out(approval["id"])
        with pytest.raises(undo.NotUndoable, match="has an undo"):
            await undo.take_back(platform, approval["id"], "ann")


@pytest.mark.full
async def test_on_the_sample_world_an_approved_retry_frees_the_orders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seed 7 is a world in which lulu takes calls again, slowly."""
    text = (ROOT / "aspora.config.yaml").read_text()
    text = text.replace("rate: 5/s", "rate: 500/s\n        max_objects: 20").replace(
        "runbooks/", str(ROOT / "runbooks")
    )
    text = text.replace("manager.critical_count >= 10", "manager.stuck_at == 'lulu'")
    text = text.replace("route_to: ecm-diagnose", "route_to: ecm-resolve")
    config = tmp_path / "aspora.config.yaml"
    config.write_text(text)
    monkeypatch.setenv("ASPORA_HOME", str(tmp_path))
    monkeypatch.setenv("ASPORA_CONFIG", str(config))
    for name in ("ASPORA_DATABASE_URL", "ASPORA_WAREHOUSE_URL", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    assert DOMAIN.draw
    DOMAIN.draw(7, tmp_path)
    proposing(monkeypatch, "retry_orders")
    approval = await proposed()
    (plan,) = approval["proposal"]["plans"]
    done = await carried_out(approval["id"])
    assert (done.status, plan["objects"]) == ("done", 20)
    assert (done.result["done"], done.result["still_due"]) == (20, 0)
