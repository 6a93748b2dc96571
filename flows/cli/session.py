"""One run as the command line does it: sample world, Prefect server, progress, decision, report."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import threading
from pathlib import Path
from typing import Any

from blocks.login import login
from flows.cli import server
from flows.cli.app import importing, say, use_config
from flows.cli.errors import Usage


class Session:
    """Starts what a run needs beside this process's own imports.

    Args:
        domain: its name in the config.
        config: the config file; the default one if absent.
        quiet: no progress on stdout or stderr.
        seed: draws the sample world anew with this seed.
        given: the run's input; looked at before anything starts.

    Raises:
        Usage: there is no such domain, or the input does not fit it.
    """

    def __init__(
        self, domain: str, config: Path | None, quiet: bool, seed: int | None, given: dict[str, Any]
    ) -> None:
        self._domain = domain
        self._given = given
        self._quiet = quiet
        use_config(config)
        server.prepare()
        from blocks.config_file import load
        from blocks.home import config_path

        self._config = load(config_path())
        if domain not in self._config.domains:
            raise Usage(f"there is no domain {domain!r}; there are: {', '.join(self._config.domains)}")
        if given:
            self._input()
        self._server = self._start_server()
        threading.Thread(target=_import, args=(self._modules(),)).start()
        self._draw(seed)

    async def run(self, resume: str) -> dict[str, Any]:
        """Runs the domain's flow; the run's report, also if it failed."""
        from flows.cli.progress import hear
        from tasks.platform import opened
        from tasks.progress import watched

        async with opened() as platform:
            code, value = platform.code(self._domain), self._input()
            trigger_id = await self._trigger(platform, value, resume)
            flow = await asyncio.to_thread(_load_flow, code.flow)
            if self._server:
                await asyncio.to_thread(self._server.wait)
            with watched(hear(self._quiet)):
                return await self._run(platform, flow, value, trigger_id)

    async def _run(self, platform: Any, flow: Any, value: Any, trigger_id: str) -> dict[str, Any]:
        from tasks import report
        from tasks.run import RunFailed

        try:
            await flow(input=value, trigger_id=trigger_id)
        except RunFailed:
            pass
        except (asyncio.CancelledError, KeyboardInterrupt):
            say(f"Interrupted. Continue with: aspora run {self._domain} --continue {trigger_id}")
            raise
        result: dict[str, Any] = await platform.database.read(lambda conn: report.of_run(conn, trigger_id))
        return result

    def _input(self) -> Any:
        """The run's input as the domain's model."""
        from pydantic import ValidationError

        model = importlib.import_module(self._config.domains[self._domain].module).DOMAIN.input
        try:
            return model.model_validate(self._given)
        except ValidationError as error:
            raise Usage(_input_faults(error, model)) from error

    async def decide(self, approval_id: str, approve: bool, name: str, comment: str) -> None:
        """Records a decision, and carries the fix out if it was approved."""
        from flows.cli.deciding import decide
        from flows.cli.progress import hear
        from tasks.progress import watched

        with watched(hear(self._quiet)):
            await decide(approval_id, approve, name, comment)

    def reread(self, run_id: str) -> dict[str, Any]:
        """The run's report as it stands now."""
        from tasks import platform, report

        opened = platform.open_now()
        return opened.database.read_now(lambda conn: report.of_run(conn, run_id))

    def show(self, report: dict[str, Any]) -> None:
        """The report for people."""
        from flows.cli.pictures import show_report

        show_report(report)

    def show_proposal(self, approval: dict[str, Any]) -> None:
        """A waiting fix for people."""
        from flows.cli.pictures import show_proposal

        show_proposal(approval)

    async def _trigger(self, platform: Any, value: Any, resume: str) -> str:
        """The stored trigger that the run works on; a new one, or that of a run that was cut off."""
        from tasks import inbox
        from tasks.lease import claimant

        def store(conn: Any) -> str:
            if not resume:
                payload = value.model_dump(mode="json")
                key = f"cli {claimant()}"
                return inbox.accept(conn, "cli", self._domain, key, payload, asked_by=login()).id
            trigger = inbox.get(conn, resume)
            if trigger.state in ("failed", "refused", "deferred"):
                inbox.reopen(conn, trigger.id)
            return trigger.id

        return str(await platform.database.write(store))

    def _start_server(self) -> server.TemporaryServer | None:
        url = server.reachable()
        if url:
            server.use(url)
            self._tell(f"Prefect server at {url}")
            return None
        self._tell("starting a temporary Prefect server …")
        temporary = server.TemporaryServer()
        os.environ["PREFECT_API_URL"] = temporary.url
        server.heed()
        return temporary

    def _modules(self) -> list[str]:
        """What the run will import, in the order in which it needs them."""
        domain = self._config.domains[self._domain]
        servers = [self._config.mcp_servers[name] for name in domain.mcp_tools]
        return [
            f"{domain.module}.flow",
            "mcp",
            *(server.module for server in servers if server.module),
            "anthropic",
        ]

    def _draw(self, seed: int | None) -> None:
        from flows.cli.sample import prepare_sample

        prepare_sample(self._config, self._domain, seed, self._tell)

    def _tell(self, text: str) -> None:
        if not self._quiet:
            say(text)


def _import(modules: list[str]) -> None:
    """Imports modules; one that fails does so again, and is explained, where it is needed."""
    with importing():
        for module in modules:
            with contextlib.suppress(Exception):
                importlib.import_module(module)


def _load_flow(entrypoint: str) -> Any:
    module, _, name = entrypoint.partition(":")
    return getattr(importlib.import_module(module), name)


def _input_faults(error: Any, model: Any) -> str:
    faults = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
    return f"--input does not fit: {faults}; its fields are: {', '.join(model.model_fields)}"
