"""The sample world: drawn where no data of one's own is configured, and drawn anew when it has gone stale."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from blocks.config import Config, Warehouse
from blocks.home import database_url, home
from blocks.secrets import secret
from flows.cli.errors import Usage

DEFAULT_SEED = 7
STALE = timedelta(hours=6)


def prepare_sample(config: Config, domain: str, seed: int | None, tell: Callable[[str], None]) -> None:
    """Draws the domain's sample world if there is none, it is stale, or a seed is given.

    Raises:
        Usage: a seed is given, but the config points at real data.
    """
    if not _sample_configured(config):
        if seed is not None:
            raise Usage("--seed draws sample data, but warehouse.url points at your own warehouse")
        return
    drawn = _drawn()
    if seed is None and drawn and datetime.now(UTC) - drawn[1] < STALE:
        return
    chosen = seed if seed is not None else (drawn[0] if drawn else DEFAULT_SEED)
    tell(f"drawing the sample world, seed {chosen} (sample data, not real orders) …")
    _draw(config.domains[domain].module, chosen)


def draw_missing(config: Config, tell: Callable[[str], None]) -> None:
    """Draws the domains' sample worlds if there are none; one that is there stays, whatever its age."""
    if _sample_configured(config) and not _drawn():
        tell(f"drawing the sample world, seed {DEFAULT_SEED} (sample data, not real orders) …")
        for domain in config.domains.values():
            _draw(domain.module, DEFAULT_SEED)


def _sample_configured(config: Config) -> bool:
    configured = secret("ASPORA_WAREHOUSE_URL") or config.warehouse.url
    return configured == Warehouse().url


def _drawn() -> tuple[int, datetime] | None:
    """Seed and time of the world that is there."""
    path = home() / "sample" / "world.json"
    if not path.exists() or not (home() / "warehouse.db").exists():
        return None
    world: dict[str, Any] = json.loads(path.read_text())
    return int(world["seed"]), datetime.fromisoformat(world["drawn_at"])


def _draw(module: str, seed: int) -> None:
    from blocks.database import Database
    from tasks.incidents import Incident, replace

    code = importlib.import_module(module).DOMAIN
    if code.draw is None:
        return
    remembered = [Incident(**incident) for incident in code.draw(seed, home())]
    database = Database(database_url())
    database.migrate()
    database.write_now(lambda conn: replace(conn, "sample", remembered))
    database.close()
