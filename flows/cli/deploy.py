"""`aspora deploy`: what the parts find when each is started by itself."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

from blocks.home import ROOT, home
from flows.cli.app import ConfigFile, app, say, use_config, wait_for

POOL = "aspora"
DEPLOY_SECONDS = 120.0


class DeployFailed(Exception):
    """The Prefect server does not have what the parts need. The message is for people."""


@app.command()
def deploy(config: ConfigFile = None) -> None:
    """Prepare what runs in parts: the platform database's tables, the work pool, and all deployments.

    The Prefect server is the one at PREFECT_API_URL. Deployments note this checkout's path: workers need
    theirs at the same one. Done again, it brings all up to date.
    """
    from flows.cli import server

    use_config(config)
    server.prepare()
    api = server_at(os.environ.get("PREFECT_API_URL", ""))
    server.reachable()
    migrate(load())
    make_pool(api)
    wait_for(deploy_all())
    say("Now the parts can start: flows.worker, flows.gateway, flows.services; docs/deploy.md says how.")


def load() -> Any:
    """The config."""
    from blocks.config_file import load
    from blocks.home import config_path

    return load(config_path())


def migrate(config: Any) -> None:
    """Makes the platform database's tables, and sample data that the config names and that is missing."""
    from blocks.database import Database
    from blocks.home import database_url
    from flows.cli.sample import draw_missing

    draw_missing(config, say)
    database = Database(database_url())
    database.migrate()
    database.close()


def server_at(url: str) -> str:
    """The API's URL, if a server answers there.

    Raises:
        DeployFailed: none does.
    """
    from flows.supervisor import answers

    if not answers(f"{url.rstrip('/')}/health"):
        raise DeployFailed(
            f"no Prefect server answers at PREFECT_API_URL, {url or 'which is not set'}; start one with "
            "`prefect server start` and set the variable to its address, such as http://127.0.0.1:4200/api"
        )
    return url.rstrip("/")


def make_pool(api: str) -> None:
    """Makes the work pool if there is none; Prefect's own process worker can serve it as well as ours.

    Raises:
        DeployFailed: the server does not let us.
    """
    import httpx

    from blocks.secrets import authorisation

    pool = {"name": POOL, "type": "process"}
    answer = httpx.post(f"{api}/work_pools/", json=pool, headers=authorisation(), timeout=30)
    if answer.status_code not in (httpx.codes.CREATED, httpx.codes.CONFLICT):
        raise DeployFailed(
            f"the work pool {POOL} could not be made: {answer.status_code} {answer.text[:300]}"
        )


async def deploy_all() -> None:
    """Deploys all of prefect.yaml.

    Raises:
        DeployFailed: Prefect could not. The message has its last lines.
    """
    say("deploying prefect.yaml …")
    log = logs() / "deploy.log"
    with log.open("wb") as file:
        deploying = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"),
            cwd=ROOT, stdin=asyncio.subprocess.DEVNULL, stdout=file, stderr=file,
        )  # fmt: skip
        try:
            await asyncio.wait_for(deploying.wait(), DEPLOY_SECONDS)
        finally:
            if deploying.returncode is None:
                deploying.kill()
                await deploying.wait()
    if deploying.returncode:
        lines = "\n".join(f"  {line}" for line in log.read_text(errors="replace").rstrip().splitlines()[-20:])
        raise DeployFailed(
            f"prefect.yaml could not be deployed; its last lines were:\n{lines}\nall of them: {log}"
        )
    say("deployed")


def logs() -> Path:
    """The folder of what the parts say."""
    path = home() / "parts"
    path.mkdir(exist_ok=True)
    return path
