"""What every run needs, imported once: the fork server imports this module, and each run is its fork.

Imports here start no thread: a fork has only the thread that forked it.
"""

from __future__ import annotations

import gc
import importlib
import logging

_NEEDED = (
    "anthropic",
    "anyio._backends._asyncio",
    "anyio.from_thread",
    "cel",
    "encodings.idna",
    "httpx",
    "mcp",
    "prefect._vendor.croniter",
    "prefect.engine",
    "prefect.flow_engine",
    "prefect.deployments.steps.pull",
    "prefect.events.clients",
    "prefect.logging.handlers",
    "prefect.task_engine",
    "prefect.workers.process",
    "sqlalchemy.dialects.sqlite",
    "flows.performance",
    "pytz",
    "rich._emoji_codes",
)


def preload() -> None:
    """Imports what runs need. What can't be imported is left to the run that needs it."""
    for name in (*_NEEDED, *_flow_modules()):
        try:
            importlib.import_module(name)
        except Exception as error:
            logging.getLogger(__name__).warning("%s could not be imported: %s", name, error)
    _complete()
    gc.collect()
    gc.freeze()


def _complete() -> None:
    """Builds what pydantic and Prefect otherwise build when it is first used."""
    from prefect.client.schemas.schedules import CronSchedule
    from pydantic import BaseModel

    CronSchedule(cron="0 * * * *", timezone="UTC")
    models = list(BaseModel.__subclasses__())
    for model in models:
        models += model.__subclasses__()
        if not model.__pydantic_complete__:
            model.model_rebuild(raise_errors=False)


def _flow_modules() -> list[str]:
    """The modules of the config: domains, their flows, MCP servers."""
    from blocks.config_file import ConfigError, load
    from blocks.home import config_path

    try:
        config = load(config_path())
    except ConfigError:
        return []
    domains = [
        name for domain in config.domains.values() for name in (domain.module, f"{domain.module}.flow")
    ]
    return [*domains, *(server.module for server in config.mcp_servers.values() if server.module)]


preload()
