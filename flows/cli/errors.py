"""What goes wrong, explained: the message, what to do, and the exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

from flows.cli.app import Exit, say

_CODES = {
    "blocks.config_file.ConfigError": Exit.USAGE,
    "blocks.model.ModelError": Exit.USAGE,
    "tasks.platform.NoSuchDomain": Exit.USAGE,
    "tasks.record.UnknownExecution": Exit.USAGE,
    "tasks.inbox.UnknownTrigger": Exit.USAGE,
    "tasks.approvals.UnknownApproval": Exit.USAGE,
    "tasks.decision.NotAllowed": Exit.REFUSED,
    "tasks.fix.NotApproved": Exit.REFUSED,
    "tasks.admission.Taken": Exit.FAILED,
    "tasks.run.RunFailed": Exit.FAILED,
    "blocks.database.DatabaseError": Exit.FAILED,
    "blocks.mcp.McpUnavailable": Exit.FAILED,
    "flows.cli.server.ServerError": Exit.FAILED,
}


class Usage(Exception):
    """The command was used wrongly. The message says what would be right."""


@contextmanager
def explained() -> Iterator[None]:
    """Turns the errors that people can do something about into a message and an exit code."""
    try:
        yield
    except KeyboardInterrupt:
        say("Interrupted. What was done so far is recorded.")
        sys.exit(130)
    except Usage as error:
        say(f"Error: {error}")
        sys.exit(Exit.USAGE)
    except OSError as error:
        _reraise_in_debug()
        say(f"Error: {error.strerror or error}" + (f": {error.filename}" if error.filename else ""))
        sys.exit(Exit.FAILED)
    except Exception as error:
        _reraise_in_debug()
        code = _code(error)
        if code is None:
            say(f"Error: {type(error).__name__}: {error}")
            say("This is a fault of Aspora; set ASPORA_DEBUG=1 to see where.")
            sys.exit(Exit.FAILED)
        say(f"Error: {error}")
        sys.exit(code)


def _reraise_in_debug() -> None:
    if os.environ.get("ASPORA_DEBUG"):
        raise  # noqa: PLE0704 - within an except block of the caller


def _code(error: Exception) -> Exit | None:
    for path, code in _CODES.items():
        module, _, name = path.rpartition(".")
        if module in sys.modules and isinstance(error, getattr(import_module(module), name)):
            return code
    return None
