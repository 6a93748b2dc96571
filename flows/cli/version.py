"""`aspora version`: what is installed here."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.cli.app import AsJson, app, print_json

PARTS = ("prefect", "anthropic", "mcp", "sqlalchemy")
"""What a report of a fault should name besides."""


@app.command()
def version(as_json: AsJson = False) -> None:
    """Show the versions of Aspora, of what it stands on, and of its database's tables."""
    found = _versions()
    if as_json:
        print_json(found)
        return
    for name, number in found.items():
        typer.echo(f"{name} {number}")


def _short(asked: bool) -> None:
    if asked:
        typer.echo(f"aspora {_versions()['aspora']}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", "-V", help="Show the version and exit.", is_eager=True, callback=_short),
    ] = False,
) -> None:
    """What stands before a command."""


def _versions() -> dict[str, str]:
    import platform
    from importlib import metadata

    from blocks.migrations import HEAD

    return {
        "aspora": metadata.version("aspora"),
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in PARTS},
        "tables": HEAD,
    }
