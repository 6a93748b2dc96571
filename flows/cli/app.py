"""The Typer application that the commands register with, and what they share."""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

T = TypeVar("T")

app = typer.Typer(
    name="aspora",
    help="AI agents for payment operations: a manager triages, specialists diagnose, a person approves.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Exit(IntEnum):
    """Exit codes."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3
    WAITS = 4


AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document, and nothing else, on stdout.")]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="Config file; by default ASPORA_CONFIG or aspora.config.yaml.")
]
Person = Annotated[str, typer.Option("--as", help="Your name. A typed name is a claim, and recorded as one.")]


def print_json(document: Any) -> None:
    """One JSON document on stdout."""
    text = json.dumps(document, indent=2, default=str, ensure_ascii=False)
    sys.stdout.write(text.encode(errors="backslashreplace").decode() + "\n")


def say(text: str) -> None:
    """A line for people, on stderr."""
    from blocks.printable import printable

    sys.stderr.write(printable(text) + "\n")


def leave(code: Exit) -> None:
    """Ends the command with this exit code."""
    raise typer.Exit(int(code))


def use_config(path: Path | None) -> None:
    """Makes `path` the config file of this process."""
    if path:
        os.environ["ASPORA_CONFIG"] = str(path.resolve())


@contextmanager
def importing() -> Iterator[None]:
    """Imports go on within this block: they make a million objects and hardly any garbage to look for."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def wait_for(work: Coroutine[Any, Any, T]) -> T:
    """Runs async work to its end."""
    import asyncio

    return asyncio.run(work)
