"""Auto-RCA as a whole: sample worlds, runs from an alert to an approved rollback, bad surroundings."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from blocks.config_file import load
from flows.evaluation import EvaluationError
from flows.rca.evaluate import evaluate_data, evaluate_world, judge, summarise
from flows.rca.models import RcaInput
from flows.rca.sample import FAULTS, company, draw
from flows.rca.sample.held_out import HELD_OUT
from flows.rca.sample.services import ENTRY, SERVICES
from flows.rca.sample.world import changes_of, plan
from tasks.check import check
from tests.fix_world import approve, carry_out
from tests.rca_world import new_rca_home, run, write_config  # noqa: F401

NOW = datetime(2026, 2, 17, 8, 0, 23, tzinfo=UTC)


def skill(report: dict[str, Any], name: str) -> dict[str, Any]:
    return next(each for each in report["executions"] if each["skill"] == name)


def seed_of(fault: str | None) -> int:
    planned = ((seed, plan(seed, NOW)) for seed in range(1, 500))
    return next(seed for seed, trouble in planned if (trouble.fault.name if trouble else None) == fault)


async def test_from_a_firing_alert_to_an_approved_rollback(rca_home: Path) -> None:
    world = draw(7, rca_home)
    assert world.truth is not None
    found = await run()
    assert found["state"] == "awaiting_approval", found
    detected = skill(found, "rca-detect-anomaly")["output"]
    first, *others = detected["patterns"]
    assert (first["service"], first["role"], first["route_to"]) == (
        world.truth["service"], "cause", "rca-trace-deploy",
    )  # fmt: skip
    assert detected["alert_service"] == ENTRY and len(detected["picture"]) == 2
    assert {one["role"] for one in others} == {"symptom"} and not any(one["route_to"] for one in others)
    traced = skill(found, "rca-trace-deploy")["output"]
    assert traced["suspected_change"] == world.truth["change"]
    assert traced["confidence"] == "high" and traced["refuted_by"]
    (approval,) = found["approvals"]
    assert approval["proposal"]["plans"][0]["action"] == world.truth["action"]
    await approve(approval["id"])
    done = await carry_out(approval["id"])
    assert done.result["text"] == "1 changes done; 0 of the proposed still need it"
    back = next(change for change in changes_of(rca_home) if change["undoes"] == world.truth["change"])
    assert back["service"] == world.truth["service"]


async def test_nothing_wrong_ends_without_patterns(rca_home: Path) -> None:
    world = draw(seed_of(None), rca_home)
    found = await run(RcaInput(service=ENTRY, at=world.alert["since"]))
    assert found["state"] == "no_action"
    detected = skill(found, "rca-detect-anomaly")["output"]
    assert detected["patterns"] == [] and detected["summary"].startswith("Nothing anomalous")


async def test_a_partners_outage_has_no_change_and_no_fix(rca_home: Path) -> None:
    draw(seed_of("partner_outage"), rca_home)
    found = await run()
    assert found["state"] == "completed"
    traced = skill(found, "rca-trace-deploy")["output"]
    assert (traced["root_cause"], traced["fixes"]) == (None, [])


async def test_a_change_that_somebody_takes_back_meanwhile_is_left_alone(rca_home: Path) -> None:
    world = draw(7, rca_home)
    assert world.truth is not None
    (approval,) = (await run())["approvals"]
    async with httpx.AsyncClient(mounts={"sample://": company(rca_home)}) as http:
        url = f"sample://changes/{world.truth['change']}/revert"
        assert (await http.post(url, headers={"Idempotency-Key": "by hand"})).status_code == 200
    await approve(approval["id"])
    assert (await carry_out(approval["id"])).result["skipped"] == 1


@pytest.mark.parametrize(
    ("metrics", "said"),
    [
        ({"prometheus": "http://127.0.0.1:9", "metrics": {"latency": {"query": "x"}}}, "http://127.0.0.1:9"),
        ({"path": "/nowhere"}, "series.csv can't be read"),
    ],
)
async def test_metrics_that_cannot_be_read_fail_with_a_clear_answer(
    rca_home: Path, metrics: dict[str, Any], said: str
) -> None:
    write_config(rca_home / "aspora.config.yaml", metrics=metrics)
    found = await run(RcaInput(service="web"))
    assert found["state"] == "failed" and said in found["reason"]


async def test_changes_that_cannot_be_read_leave_the_services_found(rca_home: Path) -> None:
    world = draw(7, rca_home)
    (rca_home / "rca" / "changes.db").unlink()
    found = await run()
    assert world.truth is not None
    assert skill(found, "rca-detect-anomaly")["output"]["patterns"][0]["service"] == world.truth["service"]
    traced = skill(found, "rca-trace-deploy")
    assert traced["outcome"] == "success" and traced["output"]["suspected_change"] is None


def test_the_domains_config_is_sound(rca_home: Path) -> None:
    _, problems = check(rca_home / "aspora.config.yaml")
    assert [str(problem) for problem in problems] == []
    assert load(rca_home / "aspora.config.yaml").domains["auto-rca"].manager.name == "rca-detect-anomaly"


def digest(home: Path) -> dict[str, bytes]:
    files = sorted(path for path in (home / "rca").rglob("*") if path.is_file() and path.suffix != ".db")
    found = {str(path.relative_to(home)): path.read_bytes() for path in files}
    return found | {"changes": json.dumps(changes_of(home)).encode()}


def test_a_seed_and_a_moment_give_the_same_world(tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        draw(seed, tmp_path / name, now=NOW)
    assert digest(tmp_path / "a") == digest(tmp_path / "b") != digest(tmp_path / "c")


def test_a_new_world_replaces_the_old_one_and_touches_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    draw(3, tmp_path, now=NOW)
    draw(4, tmp_path, now=NOW)
    assert {path.name for path in tmp_path.iterdir()} == {"logs", "rca"}
    assert json.loads((tmp_path / "rca/world.json").read_text())["seed"] == 4


def test_worlds_have_every_fault_and_often_none() -> None:
    planned = [plan(seed, NOW) for seed in range(300)]
    assert {each.fault.name for each in planned if each} == {fault.name for fault in FAULTS}
    assert 0.1 < sum(each is None for each in planned) / 300 < 0.25


@pytest.mark.parametrize("faults", [FAULTS, HELD_OUT])
def test_the_truth_is_in_nothing_that_skills_read(faults: Any, tmp_path: Path) -> None:
    draw(11, tmp_path, now=NOW, faults=faults)
    home = tmp_path / "rca"
    readable = [home / "changes.db", *(home / "logs").iterdir(), *(home / "metrics").iterdir()]
    texts = [path.read_bytes().decode(errors="replace") for path in readable]
    assert not [fault.name for fault in faults for text in texts if fault.name in text]
    services = {name for fault in faults for name in fault.services}
    assert services <= set(SERVICES)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    draw(7, tmp_path, now=NOW)
    return tmp_path


async def post(home: Path, path: str, key: str = "k", method: str = "POST") -> int:
    async with httpx.AsyncClient(mounts={"sample://": company(home)}) as http:
        headers = {"Idempotency-Key": key} if key else {}
        return (await http.request(method, f"sample://changes/{path}", headers=headers)).status_code


async def test_the_companys_api_takes_a_change_back_once(shop: Path) -> None:
    config = next(change["id"] for change in changes_of(shop) if change["kind"] == "config")
    before = len(changes_of(shop))
    assert await post(shop, f"{config}/revert", key="") == 400
    assert await post(shop, f"{config}/revert", method="GET") == 405
    assert await post(shop, "nosuch/revert") == 404
    assert await post(shop, f"{config}/explode") == 404
    assert await post(shop, f"{config}/rollback") == 409
    assert [await post(shop, f"{config}/revert") for _ in range(2)] == [200, 200]
    assert await post(shop, f"{config}/off") == 422
    assert await post(shop, f"{config}/revert", key="other") == 409
    assert len(changes_of(shop)) == before + 1


def petshop(folder: Path) -> Path:
    """Two services of which one becomes slow, in the PetShop layout."""
    start = int(NOW.timestamp())
    head = [
        ["microservice", "front", "back", "front", "back", "front", "back"],
        ["metric", "latency", "latency", "requests", "requests", "availability", "availability"],
        ["statistic", "Average", "Average", "Sum", "Sum", "Average", "Average"],
        ["unix_timestamp", "", "", "", "", "", ""],
    ]

    def rows(first: int, count: int, slow: float) -> list[list[Any]]:
        return [
            [
                first + 300 * n,
                0.2 + (n * 7 % 11) / 200 + extra,
                0.1 + (n * 5 % 7) / 200 + extra,
                100,
                100,
                100,
                "",
            ]
            for n in range(count)
            for extra in [slow if n >= 2 else 0.0]
        ]

    def write(path: Path, found: list[list[Any]]) -> None:
        path.parent.mkdir(parents=True)
        path.write_text("\n".join(",".join(map(str, row)) for row in [*head, *found]))

    write(folder / "calm/noissue/metrics.csv", rows(start, 400, 0.0))
    write(folder / "calm/train/issue_0/metrics.csv", rows(start + 400 * 300, 5, 2.0))
    target = {
        "target": {"node": "front", "metric": "latency", "agg": "Average", "timestamp": start + 401.5 * 300},
        "root_cause": {"node": "back", "metric": None},
    }
    (folder / "calm/train/issue_0/target.json").write_text(json.dumps(target))
    (folder / "calm/graph.csv").write_text(",front,back\nfront,0.0,1.0\nback,0.0,0.0\n")
    return folder


def test_labelled_incidents_are_scored(tmp_path: Path) -> None:
    found = evaluate_data(petshop(tmp_path))
    assert found["n"] == 1 and found["failures"] == []
    assert found["metrics"] == {"top1": 1.0, "top3": 1.0, "silent_on_normal": 1.0}
    assert found["by_metric"]["latency"]["n"] == 1


@pytest.mark.full
def test_petshops_incidents_are_found() -> None:
    folder = os.environ.get("ASPORA_PETSHOP", "")
    if not folder:
        pytest.skip("needs ASPORA_PETSHOP, a folder with amazon-science/petshop-root-cause-analysis")
    found = evaluate_data(Path(folder))
    assert found["n"] >= 20
    assert found["metrics"]["top1"] >= 0.85, found["failures"]
    assert found["metrics"]["top3"] >= 0.95, found["failures"]
    assert found["metrics"]["silent_on_normal"] >= 0.9, found["failures"]


def test_folders_of_another_layout_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"no graph\.csv"):
        evaluate_data(tmp_path)
    folder = petshop(tmp_path)
    (folder / "calm/train/issue_0/target.json").write_text("{}")
    with pytest.raises(EvaluationError, match="not as in the PetShop layout"):
        evaluate_data(folder)
    shutil.rmtree(folder / "calm/train")
    with pytest.raises(EvaluationError, match="has no incident"):
        evaluate_data(folder)


def test_a_world_is_judged(rca_home: Path) -> None:
    found = summarise([evaluate_world(7, rca_home, "offline", "sample")])
    assert found["metrics"] == {
        "service_found": 1.0, "change_right": 1.0, "action_right": 1.0, "silent_on_normal": None,
    }  # fmt: skip


def test_shares_count_what_they_say() -> None:
    truth = {"fault": "x", "service": "bank", "change": None, "action": None}
    silent = {"state": "no_action", "reason": "", "executions": []}
    wrong = {
        "state": "completed", "reason": "",
        "executions": [{"skill": "rca-detect-anomaly", "output": {"patterns": [{"service": "web"}]}}],
    }  # fmt: skip
    found = summarise([judge(1, None, silent), judge(2, None, wrong), judge(3, truth, silent)])
    assert found["metrics"]["silent_on_normal"] == 0.5
    assert found["metrics"]["service_found"] == 0.0
    assert len(found["failures"]) == 2


def test_the_change_log_is_a_plain_table(shop: Path) -> None:
    with closing(sqlite3.connect(shop / "rca/changes.db")) as connection:
        newest = connection.execute("SELECT max(at) FROM changes").fetchone()[0]
    assert NOW - timedelta(hours=1) < datetime.fromisoformat(newest) <= NOW
