"""`aspora stop` and `aspora start`: the kill switches."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.cli.app import app, say
from flows.cli.errors import Usage

Domain = Annotated[str, typer.Argument(help="The domain to stop; leave out with --all-actions.")]
AllActions = Annotated[bool, typer.Option("--all-actions", help="Every action of every domain.")]
Approval = Annotated[str, typer.Option("--approval", metavar="ID", help="One fix under way.")]
By = Annotated[str, typer.Option("--as", help="Your name.")]


@app.command()
def stop(
    domain: Domain = "",
    all_actions: AllActions = False,
    approval: Approval = "",
    by: By = "",
    reason: Annotated[str, typer.Option(help="Why; shown to who is refused.")] = "",
) -> None:
    """Stop a domain, all actions, or one fix; takes effect within seconds, in the middle of an action too."""
    _turn(domain, all_actions, approval, by, reason, stopping=True)


@app.command()
def start(domain: Domain = "", all_actions: AllActions = False, approval: Approval = "", by: By = "") -> None:
    """Lift a stop."""
    _turn(domain, all_actions, approval, by, "", stopping=False)


def _turn(domain: str, all_actions: bool, approval: str, by: str, reason: str, *, stopping: bool) -> None:
    from getpass import getuser

    from tasks import controls
    from tasks.platform import open_now

    if sum(map(bool, (domain, all_actions, approval))) != 1:
        raise Usage("name one domain, or --all-actions, or --approval ID")
    platform = open_now()
    if domain:
        platform.domain(domain)
    name = controls.domain(domain) if domain else controls.approval(approval) if approval else "actions"
    who = by or getuser()
    turn = controls.stop if stopping else controls.start
    platform.database.write_now(lambda conn: turn(conn, name, by=who, reason=reason))
    what = domain or (approval and f"approval {approval}") or "all actions"
    say(f"{what}: {'stopped' if stopping else 'started'} by {who}")
