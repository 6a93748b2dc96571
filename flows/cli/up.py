"""`aspora up`: the whole platform on one machine, under one supervisor."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator

from blocks.home import ROOT
from flows.cli import server
from flows.cli.alone import alone
from flows.cli.app import ConfigFile, app, say, use_config, wait_for
from flows.cli.deploy import POOL, DeployFailed, deploy_all, load, logs, make_pool, migrate
from flows.cli.errors import Usage
from flows.cli.ports import HOST, free_port
from flows.supervisor import Kept, Part, PartFailed, answers

GATEWAY_PORT = 8321
FREE_WITHIN = 10.0
"""How long the ports of a killed `aspora up` may take to become free, in seconds."""
SERVER_SETTINGS = {
    "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": server.OWN_ORIGIN,
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_API_URL": "/api",
    "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
    "PREFECT_LOGGING_SERVER_LEVEL": "WARNING",
    "PREFECT__SERVER_FINAL": "1",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "50",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "50",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
}
"""What differs from Prefect's defaults; the environment wins. Unless PREFECT_SERVER_DATABASE_CONNECTION_URL
says otherwise, its database is SQLite in the state directory, one writer at a time: that is as fast as
PostgreSQL (`flows.cli.turns` has the figures), and there is nothing more to install and supervise."""


class UpFailed(Exception):
    """`aspora up` can't go on. The message is for people."""


@app.command()
def up(config: ConfigFile = None) -> None:
    """Run everything: Prefect server, deployments, worker, gateway and services, until Ctrl-C.

    A Prefect server that answers at PREFECT_API_URL is used instead of one of its own.
    """
    use_config(config)
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "INFO")
    server.prepare()
    with alone() as was_killed:
        try:
            wait_for(_run(FREE_WITHIN if was_killed else 0.0))
        except PartFailed as error:
            raise UpFailed(f"{error}") from error
    say("Aspora has stopped.")


async def _run(patience: float) -> None:
    started = time.monotonic()
    stopping, parts = _signals(), list[Kept]()
    try:
        work = asyncio.create_task(_serve(started, parts, patience))
        stopped = asyncio.create_task(stopping.wait())
        await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            work.result()
        work.cancel()
        say("stopping … (Ctrl-C again: at once)")
        with contextlib.suppress(asyncio.CancelledError):
            await work
    finally:
        await _stop(parts, stopping)


async def _serve(started: float, parts: list[Kept], patience: float) -> None:
    """Starts everything, says where it is, and keeps it running.

    Args:
        started: when, on the monotonic clock.
        patience: how long the ports may take to become free, in seconds.
    """
    loaded = await asyncio.to_thread(load)
    own = await asyncio.to_thread(_own_server, patience)
    port = await asyncio.to_thread(free_port, "ASPORA_GATEWAY_PORT", GATEWAY_PORT, patience)
    gateway = f"http://{HOST}:{port}"
    async with _together() as group:
        group.create_task(_start(parts, own) if own else _use(os.environ["PREFECT_API_URL"]))
        group.create_task(asyncio.to_thread(migrate, loaded))
    api = os.environ["PREFECT_API_URL"]
    await asyncio.to_thread(make_pool, api)
    told = await asyncio.to_thread(_told)
    async with _together() as group:
        if told:
            group.create_task(_start(parts, Part("forwarder", _module("flows.forwarder"), says="is running")))
        group.create_task(deploy_all())
        worker = _module("flows.worker", "--pool", POOL, "--commands")
        group.create_task(_start(parts, Part("worker", worker, says="started!")))
        group.create_task(_start(parts, Part("gateway", _module("flows.gateway"), f"{gateway}/healthz")))
        group.create_task(_start(parts, Part("services", _module("flows.services"), says="are running")))
    say(
        f"Aspora is up after {time.monotonic() - started:.0f} s: Prefect {api.removesuffix('/api')}, "
        f"gateway {gateway}, its OpenAPI page {gateway}/docs. Ctrl-C stops it."
    )
    if own:
        say(f"Prefect's pages ask for a password: {server.place_of_password()}.")
    say(f"Telemetry goes to {' and '.join(told)}." if told else "Telemetry is off: nothing leaves.")
    async with _together() as group:
        for part in parts:
            group.create_task(part.keep())


@contextlib.asynccontextmanager
async def _together() -> AsyncIterator[asyncio.TaskGroup]:
    """A task group whose first failure is the failure."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except* (PartFailed, DeployFailed, Usage) as errors:
        raise errors.exceptions[0] from None


async def _start(parts: list[Kept], part: Part) -> None:
    say(f"starting {part.name} …")
    kept = Kept(part, ROOT, logs(), say)
    parts.append(kept)
    began = time.monotonic()
    await kept.start()
    say(f"{part.name} is ready ({time.monotonic() - began:.0f} s)")


async def _use(url: str) -> None:
    say(f"using the Prefect server at {url}")


async def _stop(parts: list[Kept], stopping: asyncio.Event) -> None:
    """Ends what needs the server before the server; a second signal ends all at once."""
    stopping.clear()
    first, last = [each for each in parts if each.part.name != "server"], parts[:]
    ending = asyncio.create_task(_stop_in_turn(first, last))
    at_once = asyncio.create_task(stopping.wait())
    await asyncio.wait({ending, at_once}, return_when=asyncio.FIRST_COMPLETED)
    at_once.cancel()
    if not ending.done():
        ending.cancel()
        await asyncio.gather(*(each.stop(0) for each in parts))


async def _stop_in_turn(*turns: list[Kept]) -> None:
    for parts in turns:
        await asyncio.gather(*(each.stop() for each in parts))


def _signals() -> asyncio.Event:
    """Set by SIGINT and SIGTERM."""
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    return stopping


def _own_server(patience: float) -> Part | None:
    """The Prefect server to start; None if one answers at PREFECT_API_URL.

    Raises:
        UpFailed: PREFECT_API_URL names one that does not answer.
        ServerError: it wants another password.
        Usage: a port is taken.
    """
    if configured := os.environ.get("PREFECT_API_URL"):
        if not answers(f"{configured.rstrip('/')}/health"):
            raise UpFailed(
                f"no Prefect server answers at PREFECT_API_URL, {configured}; start it, or unset the "
                "variable to have one started here"
            )
        server.reachable()
        return None
    port = free_port("ASPORA_PREFECT_PORT", server.PORT, patience)
    url = f"http://{HOST}:{port}/api"
    os.environ["PREFECT_API_URL"] = url
    server.close()
    settings = {name: os.environ.get(name, value) for name, value in SERVER_SETTINGS.items()}
    command = _module("flows.cli.server", str(port), str(os.getpid()))
    return Part("server", command, f"{url}/health", environment=settings)


def _told() -> list[str]:
    """Where telemetry goes, as the environment and Prefect's blocks have it."""
    from blocks import secrets, telemetry

    secrets.load()
    return [f"{each.title} ({each.place})" for each in telemetry.configured().values()]


def _module(name: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", name, *arguments)
