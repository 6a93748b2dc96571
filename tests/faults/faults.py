"""The faults: each does its harm, lasts for a moment, and leaves the platform to itself."""

from __future__ import annotations

import contextlib
import random
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from tasks import approvals, inbox
from tests.faults.neighbours import CompanyMode, ModelMode
from tests.faults.traffic import Traffic
from tests.faults.wire import Mode
from tests.faults.world import World
from tests.telemetry_servers import failing

Moment = Literal["at any time", "a turn in flight", "a fix waits", "an action under way"]
MOMENTS: tuple[Moment, ...] = ("at any time", "a turn in flight", "a fix waits", "an action under way")
MOMENT_SECONDS = 10.0
"""So long the moment is waited for; then the fault comes all the same."""
UP_SECONDS = 180.0


@dataclass(frozen=True)
class Scene:
    """Where faults happen."""

    world: World
    traffic: Traffic
    chance: random.Random


Harm = Callable[[Scene], bool | None]
"""Does its harm, and returns once it is over; False if there was nothing to harm."""


@dataclass(frozen=True)
class Fault:
    """A kind of fault.

    Attributes:
        does: what it does, for people.
        weight: how often it is drawn, compared with others.
        alone: whether no other fault may come meanwhile.
    """

    name: str
    does: str
    harm: Harm
    weight: int = 1
    needs_disk: bool = False
    alone: bool = False


def wait_for(world: World, moment: Moment) -> bool:
    """Waits for the moment; whether it came."""
    deadline = time.monotonic() + MOMENT_SECONDS
    if moment == "at any time":
        return True
    event = {"a turn in flight": world.model.turning, "an action under way": world.company.acting}.get(moment)
    if event:
        event.clear()
        return event.wait(MOMENT_SECONDS)
    while time.monotonic() < deadline:
        if world.database.read_now(lambda conn: approvals.standing(conn, "waiting")):
            return True
        time.sleep(0.2)
    return False


def _to_part(name: str, act: Callable[[Scene, psutil.Process], None]) -> Harm:
    """Does it to the process of a part, if there is one."""

    def harm(scene: Scene) -> bool:
        part = scene.world.part(name)
        with contextlib.suppress(psutil.Error):
            if part:
                act(scene, part)
                return True
        return False

    return harm


def _kill_part(name: str) -> Harm:
    return _to_part(name, lambda _, part: part.kill())


def _kill_run(scene: Scene) -> bool:
    return _kill_one(scene, scene.world.runs)


def _kill_mcp(scene: Scene) -> bool:
    return _kill_one(scene, scene.world.mcp_children)


def _kill_one(scene: Scene, found: Callable[[], list[psutil.Process]]) -> bool:
    """kill -9 for one of the processes, once there is one."""
    deadline = time.monotonic() + 2 * MOMENT_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(psutil.Error):
            if living := found():
                scene.chance.choice(living).kill()
                return True
        time.sleep(0.05)
    return False


def _freeze(name: str) -> Harm:
    def hold(scene: Scene, part: psutil.Process) -> None:
        part.suspend()
        time.sleep(scene.chance.uniform(2, 12))
        part.resume()

    return _to_part(name, hold)


def _lock(low: float, high: float) -> Harm:
    def harm(scene: Scene) -> None:
        with closing(sqlite3.connect(scene.world.home / "aspora.db", timeout=60)) as connection:
            connection.isolation_level = None
            connection.execute("BEGIN EXCLUSIVE")
            time.sleep(scene.chance.uniform(low, high))
            connection.execute("ROLLBACK")

    return harm


def _fill_disk(scene: Scene) -> None:
    with ballast(scene.world.home.parent / "ballast"):
        time.sleep(scene.chance.uniform(1, 6))


@contextmanager
def ballast(file: Path) -> Iterator[None]:
    """Its file system is full."""
    try:
        with file.open("wb", buffering=0) as heap, contextlib.suppress(OSError):
            block = bytes(1 << 20)
            while True:
                heap.write(block)
        with file.open("ab", buffering=0) as heap, contextlib.suppress(OSError):
            while True:
                heap.write(b"0" * 512)
        yield
    finally:
        file.unlink(missing_ok=True)


def _wire(name: str, mode: Mode, low: float, high: float) -> Harm:
    def harm(scene: Scene) -> None:
        wire = scene.world.wires[name]
        wire.set(mode)
        time.sleep(scene.chance.uniform(low, high))
        wire.set("open")

    return harm


def _model(mode: ModelMode, low: float, high: float) -> Harm:
    def harm(scene: Scene) -> None:
        scene.world.model.mode = mode
        time.sleep(scene.chance.uniform(low, high))
        scene.world.model.mode = "well"

    return harm


def _company(mode: CompanyMode, low: float, high: float) -> Harm:
    def harm(scene: Scene) -> None:
        scene.world.company.mode = mode
        time.sleep(scene.chance.uniform(low, high))
        scene.world.company.mode = "well"

    return harm


def _slack_500(scene: Scene) -> None:
    scene.world.slack.misbehave = lambda method, given: (500, {}, b"{}")
    time.sleep(scene.chance.uniform(3, 12))
    scene.world.slack.misbehave = lambda method, given: None


def _telemetry_500(scene: Scene) -> None:
    servers = (scene.world.langfuse, scene.world.opik)
    for server in servers:
        server.misbehave = lambda path, body: failing(500)
    time.sleep(scene.chance.uniform(3, 12))
    for server in servers:
        server.misbehave = lambda path, body: None


def _many_deliveries(scene: Scene) -> None:
    for _ in range(3):
        scene.traffic.trigger(times=10)


def _same_work(scene: Scene) -> bool:
    """Flow runs of triggers that are under way already."""
    world = scene.world
    deployment = world.ask("/deployments/name/ecm/ecm")["id"]
    deadline = time.monotonic() + MOMENT_SECONDS
    while time.monotonic() < deadline:
        rows = world.database.read_now(lambda conn: inbox.find(conn, states=("pending", "running"), limit=2))
        for row in rows:
            body = {"state": {"type": "SCHEDULED"}, "parameters": {"trigger_id": row.id}}
            for _ in range(2):
                world.ask(f"/deployments/{deployment}/create_flow_run", body)
        if rows:
            return True
        time.sleep(0.2)
    return False


def _second(module: str) -> Harm:
    def harm(scene: Scene) -> None:
        process = scene.world.help(module)
        time.sleep(scene.chance.uniform(12, 25))
        scene.world.end_helper(process)

    return harm


def _restart_killed(scene: Scene) -> None:
    """Everything dies at the same moment."""
    for process in scene.world.up.processes():
        with contextlib.suppress(psutil.Error):
            process.kill()
    _again(scene.world)


def _restart_supervisor(scene: Scene) -> None:
    """Only the supervisor is killed; its parts have to notice."""
    process = scene.world.up.process
    if process:
        process.kill()
    _again(scene.world)


def _restart_told(scene: Scene) -> None:
    scene.world.up.signal(signal.SIGTERM)
    _again(scene.world)


def _again(world: World) -> None:
    assert world.up.process
    world.up.process.wait(UP_SECONDS)
    world.up.start()


FAULTS: tuple[Fault, ...] = (
    Fault("worker killed", "SIGKILL for the worker; its runs end with it", _kill_part("worker"), 3),
    Fault("run killed", "SIGKILL for the process of one run", _kill_run, 4),
    Fault("Prefect server killed", "SIGKILL for the Prefect server", _kill_part("server"), 3),
    Fault("gateway killed", "SIGKILL for the gateway", _kill_part("gateway"), 2),
    Fault("services killed", "SIGKILL for the background services", _kill_part("services"), 3),
    Fault("forwarder killed", "SIGKILL for the telemetry forwarder", _kill_part("forwarder"), 2),
    Fault("MCP server killed", "SIGKILL for a run's stdio MCP server", _kill_mcp, 2),
    Fault(
        "all killed", "SIGKILL for everything at once, and `aspora up` again", _restart_killed, 1, alone=True
    ),
    Fault(
        "supervisor killed",
        "SIGKILL for `aspora up` alone, and `aspora up` again",
        _restart_supervisor,
        1,
        alone=True,
    ),
    Fault("restarted", "SIGTERM for `aspora up`, and `aspora up` again", _restart_told, 1, alone=True),
    Fault("Prefect server frozen", "SIGSTOP for the Prefect server, 2–12 s", _freeze("server"), 2),
    Fault("worker frozen", "SIGSTOP for the worker, 2–12 s", _freeze("worker"), 1),
    Fault("services frozen", "SIGSTOP for the background services, 2–12 s", _freeze("services"), 1),
    Fault("gateway frozen", "SIGSTOP for the gateway, 2–12 s", _freeze("gateway"), 1),
    Fault("database locked", "an exclusive lock on the platform database, 1–8 s", _lock(1, 8), 3),
    Fault("database locked for long", "the same for 32–36 s: longer than anybody waits", _lock(32, 36), 1),
    Fault("disk full", "no byte is left on the home's file system, 1–6 s", _fill_disk, 3, needs_disk=True),
    Fault("model slow", "turns take 2–6 s, for 6–15 s", _model("slow", 6, 15), 2),
    Fault("model 429", "Anthropic answers 429, 1–10 s", _model("429", 1, 10), 2),
    Fault("model 529", "Anthropic answers 529, 1–10 s", _model("529", 1, 10), 2),
    Fault("half an answer", "Anthropic's answers end in the middle, 2–6 s", _model("half", 2, 6), 2),
    Fault(
        "model connection cut", "connections end without an answer, 2–6 s", _wire("model", "cutting", 2, 6), 2
    ),
    Fault("model down", "nobody listens, 2–20 s", _wire("model", "refusing", 2, 20), 2),
    Fault("company slow", "actions take up to 1 s, for 4–10 s", _company("slow", 4, 10), 1),
    Fault("company 500", "the company breaks down and does nothing, 2–8 s", _company("500", 2, 8), 1),
    Fault("company 503", "the company says that it did nothing, 2–8 s", _company("503", 2, 8), 1),
    Fault(
        "company acts, then 500", "it acts, and says that it broke down, 2–8 s", _company("late 500", 2, 8), 2
    ),
    Fault(
        "company connection cut",
        "it acts, and its answer is lost, 2–8 s",
        _wire("company", "cutting", 2, 8),
        2,
    ),
    Fault("company down", "nobody listens, 2–8 s", _wire("company", "refusing", 2, 8), 1),
    Fault("Slack down", "nobody listens, 3–15 s", _wire("slack", "refusing", 3, 15), 1),
    Fault("Slack 500", "Slack answers 500, 3–12 s", _slack_500, 1),
    Fault(
        "Slack hangs",
        "Slack takes everything and answers nothing, 5–20 s",
        _wire("slack", "hanging", 5, 20),
        1,
    ),
    Fault("Langfuse down", "nobody listens, 3–15 s", _wire("langfuse", "refusing", 3, 15), 1),
    Fault("Langfuse hangs", "no byte passes, 5–20 s", _wire("langfuse", "hanging", 5, 20), 1),
    Fault("Opik down", "nobody listens, 3–15 s", _wire("opik", "refusing", 3, 15), 1),
    Fault("Opik hangs", "no byte passes, 5–20 s", _wire("opik", "hanging", 5, 20), 1),
    Fault("Langfuse and Opik 500", "both answer 500, 3–12 s", _telemetry_500, 1),
    Fault("delivered many times", "three triggers, each delivered ten times at once", _many_deliveries, 2),
    Fault("same work twice", "two more flow runs for each trigger under way", _same_work, 3),
    Fault(
        "two workers", "a second worker on the same pool for 12–25 s, then killed", _second("flows.worker"), 2
    ),
    Fault("two services", "second background services, 12–25 s, then killed", _second("flows.services"), 2),
    Fault("two forwarders", "a second forwarder, 12–25 s, then killed", _second("flows.forwarder"), 1),
)
