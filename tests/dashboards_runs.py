"""Real offline runs of three domains in this process' home, and what people say to them."""

from __future__ import annotations

import asyncio
import importlib
from typing import Any

from blocks.config_file import load
from blocks.home import config_path
from flows.cli.sample import draw_missing
from tasks import approvals, controls, corrections, decision, record
from tasks.platform import Platform, opened
from tasks.run import admitted
from tasks.skill import perform

DOMAINS = {"ecm": "flows.ecm", "auto-rca": "flows.rca", "fraud": "flows.fraud"}


async def main() -> None:
    """Each domain runs once; one diagnosis is corrected, one fix rejected, and one run refused."""
    draw_missing(load(config_path()), lambda said: None)
    async with opened() as platform:
        for module in DOMAINS.values():
            await run(importlib.import_module(module).DOMAIN)
        await _correct(platform)
        await _reject(platform, "auto-rca")
        stop = controls.domain("ecm")
        await platform.database.write(lambda conn: controls.stop(conn, stop, by="ann", reason="a test"))
        await run(importlib.import_module("flows.ecm").DOMAIN)
        await platform.database.write(lambda conn: controls.start(conn, stop, by="ann"))


async def run(code: Any) -> None:
    """One run without a workflow server."""
    async with admitted(code, code.input()) as begun:
        if not begun.refusal:
            manager = await begun.manage(perform)
            await begun.pursue(manager, dict.fromkeys(code.skills, perform))


async def _correct(platform: Platform) -> None:
    said = {"actual_root_cause": "Expired credentials"}
    newest = await platform.database.read(lambda conn: record.search(conn, skill="ecm-diagnose", limit=1))
    id = newest[0].execution_id
    await platform.database.write(lambda conn: corrections.add(conn, id, said, by="ann", via="cli"))


async def _reject(platform: Platform, domain: str) -> None:
    waiting = await platform.database.read(lambda conn: approvals.find(conn, statuses=("waiting",)))
    for each in waiting:
        if each.domain == domain:
            await decision.decide(platform, each.id, False, by="ann", via="cli", comment="a test")


if __name__ == "__main__":
    asyncio.run(main())
