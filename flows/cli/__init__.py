"""The command line, `aspora`. Commands import what they need when they run: help is there at once."""

from __future__ import annotations

import gc
import sys

from flows.cli.app import app
from flows.cli.errors import explained
from flows.cli.handover import hand_over

GARBAGE = 100_000
"""Objects between two collections: imports make hundreds of thousands, and hardly any garbage."""


def main() -> None:
    """Runs the command line: in a process of `aspora up` that has its imports, or else in this one."""
    code = hand_over(sys.argv[1:])
    if code is None:
        start()
    sys.exit(code)


def start() -> None:
    """Runs the command here; what goes wrong is explained, and the exit code says which kind it was."""
    gc.set_threshold(GARBAGE)
    from flows.cli import (  # noqa: F401
        approval,
        blocks,
        check,
        correction,
        deploy,
        evaluation,
        execution,
        inbox,
        report,
        run,
        switches,
        telemetry,
        token,
        up,
        version,
    )

    try:
        with explained():
            app()
        sys.exit(0)
    finally:
        gc.freeze()
