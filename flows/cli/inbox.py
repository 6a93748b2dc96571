"""`aspora triggers` and `replay`: what came in, what became of it, and once more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

import typer

from blocks.login import login
from flows.cli.app import AsJson, ConfigFile, Exit, app, leave, print_json, use_config
from flows.cli.errors import Usage

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from tasks.inbox import State, Trigger


@app.command()
def triggers(
    pending: Annotated[bool, typer.Option("--pending", help="Only those that wait for their run.")] = False,
    domain: Annotated[str, typer.Option(help="Only this domain.")] = "",
    state: Annotated[str, typer.Option(help="Only this state: unmatched, deferred, refused, done …")] = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, the newest.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List what came in from outside or was started by hand, and what became of it."""
    from flows.cli.ledger import database
    from flows.cli.pictures import show_triggers
    from tasks import inbox, report

    states = _states(state, pending)
    found = database().read_now(lambda conn: inbox.find(conn, domain, states, limit))
    listed = [report.trigger(each) for each in found]
    if as_json:
        print_json(listed)
    else:
        show_triggers(listed)


@app.command()
def replay(
    trigger_id: Annotated[str, typer.Argument(help="The trigger's id, or its run's.")],
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Let a trigger start its run once more; one that found no domain is matched anew."""
    from flows.cli.ledger import platform
    from flows.cli.pictures import console, escape
    from flows.orchestrator.replay import replay as replayed
    from tasks import inbox, report

    use_config(config)
    opened = platform()

    def write(conn: Connection) -> Trigger:
        trigger = replayed(conn, opened, trigger_id)
        if trigger.state == "pending":
            inbox.claim_asked(conn, trigger.id, login())
        return inbox.get(conn, trigger.id)

    trigger = opened.database.write_now(write)
    if as_json:
        print_json(report.trigger(trigger))
    elif trigger.state == "pending":
        console().print(f"{trigger.id} waits: run {trigger.run_id} starts while `aspora up` runs.")
    else:
        console().print(f"{trigger.id} stays {trigger.state}: {escape(trigger.reason)}")
    leave(Exit.DONE if trigger.state == "pending" else Exit.REFUSED)


def _states(state: str, pending: bool) -> tuple[State, ...]:
    """The states that are meant; none if all are.

    Raises:
        Usage: there is no such state, or two filters were given.
    """
    from blocks.config_file import suggest
    from blocks.schema import TRIGGER_STATES
    from tasks.inbox import WAITING

    if state and pending:
        raise Usage("name --pending or --state, not both")
    if pending:
        return WAITING
    if state and state not in TRIGGER_STATES:
        raise Usage(f"there is no state {state!r}; {suggest(state, TRIGGER_STATES)}")
    return (cast("State", state),) if state else ()
