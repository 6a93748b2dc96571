"""Faults kept out of the building: their worlds draw alike, their pages exist, their names stay hidden."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import httpx
import pytest

from flows.ecm.sample import FAULTS, Fault, World, company, draw, held_out, unseen
from flows.ecm.sample.stages import STAGE
from flows.ecm.sample.values import fill, of_stage
from flows.ecm.sample.world import plan

pytestmark = pytest.mark.full

NOW = datetime(2026, 3, 11, 14, 5, 9, tzinfo=UTC)
SAMPLE_RUNBOOKS = Path(__file__).parent.parent / "runbooks"
VERBS = {
    "retry_orders": "retry",
    "reroute_orders": "reroute",
    "requeue_orders": "requeue",
    "release_holds": "release",
    "clear_locks": "unlock",
}
ACTIONS = frozenset(VERBS)
Worlds = dict[str, tuple[Path, World]]


@dataclass(frozen=True)
class Kept:
    """A set of faults, the folder of their pages, and how many wordings each has at least."""

    name: str
    faults: tuple[Fault, ...]
    pages: Path
    wordings: int


SETS = (
    Kept("held-out", held_out.HELD_OUT, held_out.RUNBOOKS, 3),
    Kept("unseen", unseen.UNSEEN, unseen.RUNBOOKS, 2),
)
PAIRS = [(kept, fault) for kept in SETS for fault in kept.faults]
each_set = pytest.mark.parametrize("kept", SETS, ids=lambda kept: kept.name)
each_fault = pytest.mark.parametrize(("kept", "fault"), PAIRS, ids=[fault.name for _, fault in PAIRS])


def wording_of(fault: Fault) -> int:
    """A wording to draw, another one for each fault."""
    return [other for _, other in PAIRS].index(fault) % len(fault.wordings)


def seed_of(fault: Fault) -> int:
    """First seed that draws the fault alone with that wording."""
    wanted = [wording_of(fault)]
    return next(s for s in range(300) if [found.wording for found in plan(s, NOW, (fault,))] == wanted)


def lines_of(faults: Iterable[Fault]) -> list[str]:
    return [line.text for fault in faults for wording in fault.wordings for line in wording]


def pages_of(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.md")}


def words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", re.sub(r"\{\w+\}", " ", text.lower()))


def runs(text: str, length: int) -> set[tuple[str, ...]]:
    found = words(text)
    return {tuple(found[at : at + length]) for at in range(len(found) - length + 1)}


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Worlds:
    """A world for each fault, by name: its home and what was drawn."""
    homes = {fault.name: tmp_path_factory.mktemp("world") for _, fault in PAIRS}
    return {
        fault.name: (homes[fault.name], draw(seed_of(fault), homes[fault.name], now=NOW, faults=(fault,)))
        for _, fault in PAIRS
    }


@each_set
def test_they_are_other_kinds_than_the_known_ones(kept: Kept) -> None:
    others = [*FAULTS, *(fault for other, fault in PAIRS if other is not kept)]
    assert len(kept.faults) >= 2
    assert not {fault.name for fault in kept.faults} & {fault.name for fault in others}
    assert not set(lines_of(kept.faults)) & set(lines_of(others))


@each_set
def test_a_seed_gives_the_same_world(kept: Kept, worlds: Worlds, tmp_path: Path) -> None:
    home, world = worlds[kept.faults[0].name]
    assert draw(world.seed, tmp_path, now=NOW, faults=kept.faults[:1]) == world
    one, two = ({path.name: path.read_bytes() for path in (at / "logs").iterdir()} for at in (home, tmp_path))
    assert one == two


@each_set
def test_seeds_draw_every_one_of_them(kept: Kept) -> None:
    plans = [plan(seed, NOW, kept.faults) for seed in range(60)]
    drawn = {(found.fault.name, found.wording) for planned in plans for found in planned}
    assert drawn == {(fault.name, index) for fault in kept.faults for index in range(len(fault.wordings))}
    assert {len(found) for found in plans} == {0, 1, 2}


@each_fault
def test_the_truth_names_pages_and_actions_that_exist(kept: Kept, fault: Fault, worlds: Worlds) -> None:
    home, world = worlds[fault.name]
    truth = json.loads((home / "sample/truth/ecm.json").read_text())
    assert truth == list(world.faults)
    assert [found["fault"] for found in truth] == [fault.name]
    assert truth[0]["runbooks"]
    assert all((kept.pages / page).is_file() for page in truth[0]["runbooks"])
    assert truth[0]["action"] is None or truth[0]["action"] in ACTIONS


@each_fault
def test_nothing_that_skills_read_names_the_fault(kept: Kept, fault: Fault, worlds: Worlds) -> None:
    home, _ = worlds[fault.name]
    files = [
        *(home / "logs").iterdir(),
        home / "warehouse.db",
        home / "sample/world.json",
        *kept.pages.iterdir(),
    ]
    assert not [path for path in files if fault.name in path.read_bytes().decode(errors="replace")]
    assert not [line for wording in fault.wordings for line in wording if fault.name in line.text]


def test_pages_of_the_held_out_set_quote_no_log_line() -> None:
    pages = pages_of(held_out.RUNBOOKS)
    quoted = {run for line in lines_of(held_out.HELD_OUT) for run in runs(line, 4)}
    assert not [(name, runs(text, 4) & quoted) for name, text in pages.items() if runs(text, 4) & quoted]


@each_set
def test_pages_name_no_action(kept: Kept) -> None:
    pages = pages_of(kept.pages)
    assert not [name for name, text in pages.items() for action in ACTIONS if action in text]


@each_set
def test_some_pages_fit_no_fault_and_none_hides_another(kept: Kept) -> None:
    names = set(pages_of(kept.pages))
    assert names - {page for fault in kept.faults for page in fault.runbooks}
    others = [SAMPLE_RUNBOOKS, *(other.pages for other in SETS if other is not kept)]
    assert not names & {name for folder in others for name in pages_of(folder)}


@each_fault
def test_every_wording_can_be_printed_in_every_stage(kept: Kept, fault: Fault) -> None:
    assert len(fault.wordings) >= kept.wordings
    moments = {"order": "ORD-1", "time": "09:30", "day": "2026-03-11", "next_day": "2026-03-13"}
    for stage in fault.stages:
        for wording in fault.wordings:
            assert wording[0].when == "attempt"
            printed = [
                fill(line.text, Random(1), of_stage(STAGE[stage], "3.1.0") | moments) for line in wording
            ]
            assert len(set(printed)) == len(wording)
            assert all("ORD-1" in text for text, line in zip(printed, wording, strict=True)
                       if line.when == "attempt")  # fmt: skip


@each_fault
def test_a_wording_reaches_the_logs(kept: Kept, fault: Fault, worlds: Worlds) -> None:
    home, world = worlds[fault.name]
    stage = STAGE[world.faults[0]["stage"]]
    for line in fault.wordings[wording_of(fault)]:
        file = next((home / "logs").glob(f"{line.service or stage.service}.*"))
        longest = max(re.split(r"\{\w+\}", line.text.replace("{stage}", stage.name)), key=len)
        assert json.dumps(longest)[1:-1] in file.read_text(encoding="utf-8")


@each_fault
async def test_only_the_action_of_the_truth_frees_an_order(kept: Kept, fault: Fault, worlds: Worlds) -> None:
    home, world = worlds[fault.name]
    stage = STAGE[world.faults[0]["stage"]]
    due = (NOW - timedelta(hours=stage.sla)).strftime("%Y-%m-%d %H:%M:%S")
    sql = "SELECT order_id FROM orders WHERE status = 'open' AND stuck_at = ? AND stage_entered_at < ?"
    with closing(sqlite3.connect(home / "warehouse.db")) as connection:
        order = connection.execute(sql, (stage.name, due)).fetchone()[0]
    async with httpx.AsyncClient(mounts={"sample://": company(home, clock=lambda: NOW)}) as http:
        for action in sorted(VERBS, key=lambda action: action == fault.action):
            url, headers = f"sample://orders/{order}/{VERBS[action]}", {"Idempotency-Key": action}
            answer = await http.post(url, headers=headers)
            assert (answer.status_code == 200) == (action == fault.action)
