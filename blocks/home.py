"""Where this process keeps its state and what the environment tells it."""

from __future__ import annotations

import os
from pathlib import Path

from blocks.secrets import secret

ROOT = Path(__file__).resolve().parent.parent
"""The checkout."""


def home() -> Path:
    """The state directory, `ASPORA_HOME`, by default `.aspora/` in the checkout. Created if missing."""
    path = Path(os.environ.get("ASPORA_HOME") or ROOT / ".aspora").expanduser().resolve()
    path.mkdir(parents=True, exist_ok=True)
    return path


def config_path() -> Path:
    """The config file, `ASPORA_CONFIG`, by default `aspora.config.yaml` in the checkout."""
    return Path(os.environ.get("ASPORA_CONFIG") or ROOT / "aspora.config.yaml").expanduser().resolve()


def resolve(path: str, base: Path | None = None) -> Path:
    """A path from the config: `.aspora/…` lies in the state directory, other relative ones beside `base`.

    Args:
        path: as written in the config.
        base: the config file's directory; the checkout if absent.
    """
    given = Path(path).expanduser()
    if given.is_absolute():
        return given
    if given.parts[:1] == (".aspora",):
        return home().joinpath(*given.parts[1:])
    return (base or ROOT) / given


def database_url() -> str:
    """The platform database's URL: `ASPORA_DATABASE_URL`, by default SQLite in the state directory."""
    return secret("ASPORA_DATABASE_URL") or f"sqlite:///{home() / 'aspora.db'}"
