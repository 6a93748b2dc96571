"""What goes wrong, explained: the message, what to do, and the exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

from flows.cli.app import Exit, print_json, say

_CODES = {
    "blocks.config_file.ConfigError": Exit.USAGE,
    "blocks.model.ModelError": Exit.USAGE,
    "tasks.platform.NoSuchDomain": Exit.USAGE,
    "tasks.record.UnknownExecution": Exit.USAGE,
    "tasks.reports.UnknownName": Exit.USAGE,
    "tasks.inbox.UnknownTrigger": Exit.USAGE,
    "tasks.approvals.UnknownApproval": Exit.USAGE,
    "flows.evaluation.EvaluationError": Exit.USAGE,
    "mcp_servers.evaluate.EvaluationError": Exit.USAGE,
    "flows.quality.PageError": Exit.USAGE,
    "flows.orchestrator.replay.NotReplayable": Exit.REFUSED,
    "tasks.corrections.Unfit": Exit.USAGE,
    "tasks.corrections.Unfinished": Exit.REFUSED,
    "tasks.corrections.NotAllowed": Exit.REFUSED,
    "tasks.corrections.NothingSaid": Exit.REFUSED,
    "tasks.decision.NotAllowed": Exit.REFUSED,
    "tasks.fix.NotApproved": Exit.REFUSED,
    "tasks.undo.NotUndoable": Exit.REFUSED,
    "tasks.admission.Taken": Exit.FAILED,
    "tasks.run.RunFailed": Exit.FAILED,
    "blocks.database.DatabaseError": Exit.FAILED,
    "tasks.archive.ArchiveError": Exit.FAILED,
    "blocks.mcp.McpUnavailable": Exit.FAILED,
    "flows.cli.server.ServerError": Exit.FAILED,
    "flows.cli.up.UpFailed": Exit.FAILED,
    "flows.cli.deploy.DeployFailed": Exit.FAILED,
}
INTERRUPTED = 130


class Usage(Exception):
    """The command was used wrongly. The message says what would be right."""


@contextmanager
def explained() -> Iterator[None]:
    """Turns what goes wrong into a message and an exit code; with `--json`, into a document too."""
    try:
        yield
    except KeyboardInterrupt:
        _leave("Interrupted. What was done so far is recorded.", INTERRUPTED)
    except BrokenPipeError:
        _close_stdout()
        sys.exit(Exit.FAILED)
    except Usage as error:
        _leave(f"Error: {error}", Exit.USAGE)
    except OSError as error:
        _reraise_in_debug()
        _leave(f"Error: {_said(error)}", Exit.FAILED)
    except Exception as error:
        _reraise_in_debug()
        code = _code(error)
        if code is not None:
            _leave(f"Error: {error}", code)
        say("This is a fault of Aspora; set ASPORA_DEBUG=1 to see where.")
        _leave(f"Error: {type(error).__name__}: {error}", Exit.FAILED)


def _leave(message: str, code: int) -> None:
    say(message)
    if "--json" in sys.argv:
        print_json({"error": message.removeprefix("Error: "), "exit_code": int(code)})
    sys.exit(code)


def _said(error: OSError) -> str:
    where = f": {error.filename}" if error.filename else ""
    home = os.environ.get("ASPORA_HOME", "")
    hint = "; ASPORA_HOME must be a directory that may be written" if home and home in where else ""
    return f"{error.strerror or error}{where}{hint}"


def _close_stdout() -> None:
    """The reader is gone: nothing more is flushed to it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _reraise_in_debug() -> None:
    if os.environ.get("ASPORA_DEBUG"):
        raise  # noqa: PLE0704 - within an except block of the caller


def _code(error: Exception) -> Exit | None:
    for path, code in _CODES.items():
        module, _, name = path.rpartition(".")
        if module in sys.modules and isinstance(error, getattr(import_module(module), name)):
            return code
    return None
