"""Sample worlds: the same seed gives the same world, the truth stays hidden, the company's API acts once."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import httpx
import pytest

from flows.ecm.sample import FAULTS, Fault, Line, World, api, company, draw, repair
from flows.ecm.sample.stages import STAGE
from flows.ecm.sample.values import fill, of_stage
from flows.ecm.sample.world import plan

NOW = datetime(2026, 2, 17, 8, 0, 23, tzinfo=UTC)
RUNBOOKS = Path(__file__).parent.parent / "runbooks"
LOGIN = next(fault for fault in FAULTS if fault.name == "expired_credential")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, World]:
    home = tmp_path_factory.mktemp("demo")
    return home, draw(7, home, now=NOW)


@pytest.fixture
def shop(demo: tuple[Path, World], tmp_path: Path) -> Path:
    return Path(shutil.copytree(demo[0], tmp_path / "shop"))


def rows(home: Path, sql: str, *values: object) -> list[tuple]:
    with closing(sqlite3.connect(home / "warehouse.db")) as connection:
        return connection.execute(sql, values).fetchall()


def stuck(home: Path, stage: str, hours: float, at: datetime = NOW) -> list[tuple]:
    due = (at - timedelta(hours=hours)).strftime("%Y-%m-%d %H:%M:%S")
    sql = "SELECT order_id, priority FROM orders WHERE status = 'open' AND stuck_at = ?"
    return rows(home, f"{sql} AND stage_entered_at < ?", stage, due)


def first_seed(fault: Fault) -> int:
    return next(seed for seed in range(50) if plan(seed, NOW, (fault,)))


def digest(home: Path) -> str:
    files = [home / "sample/truth/ecm.json", *sorted((home / "logs").iterdir())]
    content = (
        b"".join(path.read_bytes() for path in files) + repr(rows(home, "SELECT * FROM orders")).encode()
    )
    return hashlib.sha256(content).hexdigest()


def test_the_demo_world_is_the_story_of_the_architecture_document(demo: tuple[Path, World]) -> None:
    home, world = demo
    late = stuck(home, "lulu", 2)
    assert len(late) == 90
    assert sum(priority == "critical" for _, priority in late) == 68
    assert [(fault["stage"], fault["action"]) for fault in world.faults] == [("lulu", "retry_orders")]
    assert 20_000 < world.orders < 45_000
    assert 30_000 < world.log_lines < 75_000
    assert rows(home, "SELECT count(*) FROM orders WHERE left_at < stage_entered_at") == [(0,)]


def test_the_backlog_of_healthy_stages_is_steady(demo: tuple[Path, World]) -> None:
    home, _ = demo
    sql = (
        "SELECT count(*) FROM orders WHERE stuck_at = 'kyc' AND stage_entered_at < ?"
        " AND (left_at IS NULL OR left_at > ?)"
    )
    counts = []
    for day in range(8):
        at = NOW - timedelta(days=day)
        values = [str(moment)[:19] for moment in (at - timedelta(hours=12), at)]
        counts += rows(home, sql, *values)[0]
    assert max(counts) < 1.8 * min(counts)


@pytest.mark.full
def test_a_seed_and_a_moment_give_the_same_world(tmp_path: Path) -> None:
    draw(3, tmp_path / "a", now=NOW)
    draw(3, tmp_path / "b", now=NOW)
    draw(4, tmp_path / "c", now=NOW)
    assert digest(tmp_path / "a") == digest(tmp_path / "b") != digest(tmp_path / "c")


def test_seeds_draw_worlds_with_one_two_and_no_faults() -> None:
    plans = [plan(seed, NOW) for seed in range(200)]
    shares = [sum(len(found) == count for found in plans) / 200 for count in range(3)]
    assert shares == pytest.approx([0.15, 0.70, 0.15], abs=0.08)
    assert {item.fault.name for found in plans for item in found} == {fault.name for fault in FAULTS}
    assert all(len({item.stage for item in found}) == len(found) for found in plans)


def test_the_truth_is_in_nothing_that_skills_read(demo: tuple[Path, World]) -> None:
    home, _ = demo
    names = [fault.name for fault in FAULTS]
    readable = [
        *(home / "logs").iterdir(),
        home / "warehouse.db",
        home / "sample/world.json",
        *RUNBOOKS.iterdir(),
    ]
    wordings = [line.text for fault in FAULTS for wording in fault.wordings for line in wording]
    texts = [path.read_bytes().decode(errors="replace") for path in readable] + wordings
    assert not [name for name in names for text in texts if name in text]
    assert json.loads((home / "sample/world.json").read_text()) == {"seed": 7, "drawn_at": NOW.isoformat()}


def test_runbooks_do_not_name_actions_and_exist_for_every_fault() -> None:
    pages = {path.name: path.read_text(encoding="utf-8") for path in RUNBOOKS.glob("*.md")}
    assert len(pages) >= 25
    named = {page for fault in FAULTS for page in fault.runbooks}
    named |= {page for fault in FAULTS for pages_ in fault.stage_runbooks.values() for page in pages_}
    assert named <= set(pages)
    assert len(set(pages) - named) >= 10
    assert not [
        page for page, text in pages.items() for fault in FAULTS if fault.action and fault.action in text
    ]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_every_fault_has_three_wordings_that_can_be_printed(fault: Fault) -> None:
    assert len(fault.wordings) >= 3
    known = of_stage(STAGE[fault.stages[0]], "3.1.0") | {
        "order": "ORD-1",
        "time": "1",
        "day": "2",
        "next_day": "3",
    }
    for wording in fault.wordings:
        assert wording[0].when == "attempt" or any(line.when == "attempt" for line in wording)
        for line in wording:
            fill(line.text, Random(1), known)


def test_faults_of_another_author_can_be_drawn(tmp_path: Path) -> None:
    lines = (Line("ERROR", "no space left on device while writing {order}"),)
    fault = Fault(
        "full_disk_x", ("tambo",), (lines,) * 3, ("disk", "space"), ("99-disk.md",), None, (503, "full")
    )
    draw(first_seed(fault), tmp_path, now=NOW, faults=(fault,))
    log = (tmp_path / "logs/tambo-gateway.jsonl").read_text()
    assert log.count("no space left on device") > 100


def test_logs_hold_noise_personal_data_and_a_text_that_instructs_the_model(demo: tuple[Path, World]) -> None:
    home, _ = demo
    texts = {path.name: path.read_text() for path in (home / "logs").iterdir()}
    assert "@example.com" in texts["customer-portal.jsonl"]
    assert sum(text.count("Ignore all previous instructions") for text in texts.values()) == 1
    assert texts["notifications.log"].startswith("2026-02-14 08:0")
    for line in texts["lulu-gateway.jsonl"].splitlines():
        assert set(json.loads(line)) == {"ts", "level", "service", "msg"}


@pytest.mark.full
def test_a_new_world_replaces_the_old_one_and_leaves_nothing_beside(shop: Path) -> None:
    (shop / "logs/left-over.jsonl").write_text("{}")
    (shop / "aspora.db").write_text("kept")
    before = digest(shop)
    draw(2, shop, now=NOW)
    assert digest(shop) != before
    assert {path.name for path in shop.iterdir()} == {"warehouse.db", "logs", "sample", "aspora.db"}
    assert not (shop / "logs/left-over.jsonl").exists()


def test_a_drawing_that_fails_leaves_the_old_world(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest(shop)

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(api, "create", fail)
    with pytest.raises(OSError, match="disk full"):
        draw(2, shop, now=NOW)
    assert digest(shop) == before
    assert not list(shop.glob(".drawing-*"))


@pytest.fixture
async def client(shop: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(mounts={"sample://": company(shop, clock=lambda: NOW)}) as http:
        yield http


async def post(http: httpx.AsyncClient, order: str, verb: str = "retry", key: str = "k1") -> httpx.Response:
    return await http.post(f"sample://orders/{order}/{verb}", headers={"Idempotency-Key": key})


async def test_a_retry_frees_the_order_once(shop: Path, client: httpx.AsyncClient) -> None:
    order = stuck(shop, "lulu", 2)[0][0]
    first, second = await post(client, order), await post(client, order)
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json() == second.json() == {"order_id": order, "status": "completed"}
    assert rows(shop, "SELECT status, left_at FROM orders WHERE order_id = ?", order)[0] == (
        "completed",
        "2026-02-17 08:00:23.000000",
    )
    assert len(stuck(shop, "lulu", 2)) == 89
    assert (await post(client, order, key="k2")).status_code == 409


async def test_a_key_belongs_to_one_request(shop: Path, client: httpx.AsyncClient) -> None:
    one, other = (row[0] for row in stuck(shop, "lulu", 2)[:2])
    await post(client, one)
    assert (await post(client, other)).status_code == 422
    assert (await client.post(f"sample://orders/{other}/retry")).status_code == 400


async def test_unknown_orders_paths_and_orders_on_time(shop: Path, client: httpx.AsyncClient) -> None:
    fresh = rows(shop, "SELECT order_id FROM orders WHERE status = 'open' ORDER BY stage_entered_at DESC")[0][
        0
    ]
    assert (await post(client, "ORD-0")).status_code == 404
    assert (await post(client, fresh, "vanish")).status_code == 404
    assert (await post(client, fresh)).status_code == 409


async def test_the_wrong_action_is_refused_with_a_reason(shop: Path, client: httpx.AsyncClient) -> None:
    order = stuck(shop, "lulu", 2)[0][0]
    answer = await post(client, order, "reroute")
    assert answer.status_code == 409
    assert "Lulu" in answer.json()["error"]
    assert (await post(client, order)).status_code == 200, "a refusal keeps no key"


async def test_before_payout_an_order_goes_on_to_its_payout_stage(
    shop: Path, client: httpx.AsyncClient
) -> None:
    order = stuck(shop, "kyc", 12)[0][0]
    assert (await post(client, order)).json()["stage"] in {"lulu", "meridian", "zento", "kaveri", "tambo"}
    assert rows(shop, "SELECT status, left_at FROM orders WHERE order_id = ?", order) == [("open", None)]


async def test_too_fast_is_refused(shop: Path) -> None:
    late = [row[0] for row in stuck(shop, "lulu", 2)[:3]]
    async with httpx.AsyncClient(mounts={"sample://": company(shop, clock=lambda: NOW, pace=2)}) as http:
        answers = [await post(http, order, key=order) for order in late]
    assert [answer.status_code for answer in answers] == [200, 200, 429]


async def test_orders_stay_stuck_until_a_person_repairs_the_cause(tmp_path: Path) -> None:
    stage = draw(first_seed(LOGIN), tmp_path, now=NOW, faults=(LOGIN,)).faults[0]["stage"]
    order = stuck(tmp_path, stage, STAGE[stage].sla)[0][0]
    async with httpx.AsyncClient(mounts={"sample://": company(tmp_path, clock=lambda: NOW)}) as http:
        assert (await post(http, order)).status_code == 502
        assert repair(tmp_path, stage)
        assert (await post(http, order)).status_code == 200
    assert not repair(tmp_path, stage)


def test_past_incidents_are_rows_for_memory(demo: tuple[Path, World]) -> None:
    incidents = demo[1].incidents
    assert len(incidents) >= 20
    assert {row["source"] for row in incidents} == {"sample"}
    assert all(row["opened_at"] < row["resolved_at"] < NOW for row in incidents)
