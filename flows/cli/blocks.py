"""`aspora blocks`: the platform's credentials as Prefect blocks."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.cli.app import AsJson, app, print_json, say, wait_for
from flows.cli.errors import Usage


@app.command()
def blocks(
    save: Annotated[
        bool, typer.Option("--save", help="Save what the environment holds into the blocks.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Register the platform's credential blocks with the Prefect server, and list which secrets are set.

    Each block has one document, `aspora`. Fill it in on the Blocks page of Prefect's UI, or with --save.
    """
    from flows.cli import server

    if not server.join():
        raise Usage("no Prefect server answers; start `aspora up`, or set PREFECT_API_URL")
    from blocks.credentials import register

    found = wait_for(register(save))
    if as_json:
        print_json(found)
        return
    for kind, names in found.items():
        say(f"{kind}: {', '.join(names) or 'sets nothing'}")
