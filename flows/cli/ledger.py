"""Opens the record for commands that only look or turn a switch: they need no model and no tools."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from blocks.database import Database
    from tasks.platform import Platform


def database() -> Database:
    """The platform database, at this version's state.

    Raises:
        DatabaseError: it can't be used.
    """
    from blocks.database import Database
    from blocks.home import database_url

    opened = Database(database_url())
    opened.migrate()
    return opened


def platform() -> Platform:
    """The config and the record, with the offline model: nothing will be asked.

    Raises:
        ConfigError: the config does not load.
        DatabaseError: the platform database can't be used.
    """
    from blocks.config_file import load
    from blocks.home import config_path
    from tasks.masking import Masker
    from tasks.platform import Platform

    path = config_path()
    return Platform(load(path), path.parent, database(), "offline", Masker.of_home())
