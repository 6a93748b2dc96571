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
from tasks.domain import Domain

DEFAULT_SEED = 7
STALE = timedelta(hours=6)
_OWN_WAREHOUSE = "warehouse.url points at your own warehouse"


def prepare_sample(config: Config, domain: str, seed: int | None, tell: Callable[[str], None]) -> None:
    """Draws the domain's sample world if there is none, it is stale, or a seed is given.

    Raises:
        Usage: a seed is given, but the config points at real data.
    """
    code = _code(config, domain)
    if not _sample_configured(config, code):
        if seed is not None:
            own = "the config points at your own data" if code.sampled else _OWN_WAREHOUSE
            raise Usage(f"--seed draws sample data, but {own}")
        return
    drawn = _drawn(code)
    if seed is None and drawn and datetime.now(UTC) - drawn[1] < STALE:
        return
    chosen = seed if seed is not None else (drawn[0] if drawn else DEFAULT_SEED)
    tell(f"drawing the sample world, seed {chosen} (sample data, nothing real) …")
    _draw(code, chosen)


def draw_missing(config: Config, tell: Callable[[str], None]) -> None:
    """Draws the domains' sample worlds if there are none; one that is there stays, whatever its age."""
    codes = [_code(config, domain) for domain in config.domains]
    for code in codes:
        if _sample_configured(config, code) and not _drawn(code):
            tell(f"drawing the sample world of {code.name}, seed {DEFAULT_SEED} (sample data) …")
            _draw(code, DEFAULT_SEED)


def _code(config: Config, domain: str) -> Domain:
    code: Domain = importlib.import_module(config.domains[domain].module).DOMAIN
    return code


def _sample_configured(config: Config, code: Domain) -> bool:
    if code.sampled:
        return code.sampled(config)
    configured = secret("ASPORA_WAREHOUSE_URL") or config.warehouse.url
    return configured == Warehouse().url


def _drawn(code: Domain) -> tuple[int, datetime] | None:
    """Seed and time of the world that is there."""
    files = [home() / name for name in code.worlds]
    if not all(path.exists() for path in files):
        return None
    world: dict[str, Any] = json.loads(files[0].read_text())
    return int(world["seed"]), datetime.fromisoformat(world["drawn_at"])


def _draw(code: Domain, seed: int) -> None:
    from blocks.database import Database
    from tasks.incidents import Incident, replace

    if code.draw is None:
        return
    remembered = [Incident(**incident) for incident in code.draw(seed, home())]
    database = Database(database_url())
    database.migrate()
    database.write_now(lambda conn: replace(conn, "sample", remembered, code.name))
    database.close()
