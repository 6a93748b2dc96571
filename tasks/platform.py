"""What a run stands on, opened once a process: config, record, model provider, masking."""

from __future__ import annotations

import importlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from blocks import config as settings
from blocks import secrets
from blocks.config_file import load
from blocks.database import Database
from blocks.home import config_path, database_url
from blocks.model import Provider, choose_provider
from tasks import config_changes
from tasks.domain import Domain
from tasks.masking import Masker
from tasks.tools import Toolbox


class NoSuchDomain(Exception):
    """The config has no domain of that name. The message names those there are."""


@dataclass(frozen=True)
class Platform:
    """The opened platform.

    Attributes:
        base: the config file's directory; relative paths of the config start there.
        provider: which model answers.
    """

    config: settings.Config
    base: Path
    database: Database
    provider: Provider
    masker: Masker

    def domain(self, name: str) -> settings.Domain:
        """A domain's section of the config; NoSuchDomain if there is none."""
        if name not in self.config.domains:
            raise NoSuchDomain(f"there is no domain {name!r}; there are: {', '.join(self.config.domains)}")
        return self.config.domains[name]

    def code(self, name: str) -> Domain:
        """A domain's code, by its module path in the config."""
        code: Domain = importlib.import_module(self.domain(name).module).DOMAIN
        return code

    def prompt(self, domain: str, skill: str) -> str:
        """A skill's prompt."""
        module = importlib.import_module(self.domain(domain).module)
        return (Path(str(module.__file__)).parent / "prompts" / f"{skill}.md").read_text(encoding="utf-8")

    def toolbox(self, domain: str) -> Toolbox:
        """The domain's tools, not yet connected."""
        return Toolbox(self.config, self.domain(domain), self.base, self.masker)


_current: ContextVar[Platform | None] = ContextVar("platform", default=None)


def open_now(path: Path | None = None) -> Platform:
    """Opens the platform, migrating its database; what changed in the config since the last time is recorded.

    In a run that a worker started, secrets are read from Prefect's blocks first.

    Raises:
        ConfigError: the config does not load.
        DatabaseError: the platform database can't be used.
        ModelError: the config demands a provider that isn't set up.
    """
    if os.environ.get("PREFECT__FLOW_RUN_ID"):
        secrets.load()
    file = path or config_path()
    config = load(file)
    provider = choose_provider(config.platform.provider)
    database = Database(database_url())
    database.migrate()
    config_changes.keep(database, config, file)
    return Platform(config, file.parent, database, provider, Masker.of_home())


@asynccontextmanager
async def opened(path: Path | None = None) -> AsyncIterator[Platform]:
    """The platform of this context; opened here, and closed at the end, unless it is open already."""
    current = _current.get()
    if current:
        yield current
        return
    platform = open_now(path)
    token = _current.set(platform)
    try:
        yield platform
    finally:
        _current.reset(token)
        platform.database.close()
