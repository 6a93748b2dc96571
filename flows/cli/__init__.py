"""The command line, `aspora`. Commands import what they need when they run: help is there at once."""

from __future__ import annotations

import sys

from flows.cli.app import app
from flows.cli.errors import explained


def main() -> None:
    """Runs the command line; what goes wrong is explained, and the exit code says which kind it was."""
    from flows.cli import approval, check, evaluation, execution, run, switches  # noqa: F401

    with explained():
        app()
    sys.exit(0)
