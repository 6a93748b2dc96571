"""`aspora telemetry`: what Langfuse and Opik were told, and what they were not."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from flows.cli.app import AsJson, app, print_json, say

_NOTHING = "Nothing was refused, so nothing is told again."


@app.command()
def telemetry(
    retry: Annotated[bool, typer.Option("--retry", help="Tell again what was refused.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show where telemetry goes, what waits to be told, and what was refused and why."""
    from blocks import secrets
    from blocks.telemetry import whereabouts
    from flows.cli.ledger import database
    from tasks import forwarding, outbox

    secrets.load()
    record = database()
    again = record.write_now(outbox.retry) if retry else 0
    where = whereabouts()
    states = record.read_now(forwarding.state)
    if as_json:
        print_json([{**state.model_dump(mode="json"), "place": where[state.destination]} for state in states])
        return
    for state in states:
        _show(state, where[state.destination])
    if retry:
        told = f"{again} that were refused are told again while `aspora up` runs." if again else _NOTHING
        say(told)


def _show(state: Any, where: str) -> None:
    from blocks.telemetry import NAMES
    from flows.cli.pictures import console, escape

    since = f", the oldest since {state.oldest:%Y-%m-%d %H:%M:%S} UTC" if state.oldest else ""
    out = console()
    out.print(f"[bold]{NAMES[state.destination]}[/] ({escape(where)})", soft_wrap=True)
    out.print(f"  waits: {state.pending}{since}", soft_wrap=True)
    if state.failed:
        out.print(f"  [red]refused: {state.failed}[/]; --retry tells them again", soft_wrap=True)
    for reason in state.reasons:
        out.print(f"  because: {escape(reason)}", soft_wrap=True)
