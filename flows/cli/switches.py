"""`aspora stop` and `aspora start`: the kill switches. They work with a broken config too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from blocks.login import login
from flows.cli.app import AsJson, ConfigFile, app, print_json, say, use_config
from flows.cli.errors import Usage

if TYPE_CHECKING:
    from sqlalchemy import Connection

Domain = Annotated[str, typer.Argument(help="The domain; leave out with --all-actions or --approval.")]
AllActions = Annotated[bool, typer.Option("--all-actions", help="Every action of every domain.")]
Approval = Annotated[str, typer.Option("--approval", metavar="ID", help="One fix under way.")]
By = Annotated[str, typer.Option("--as", help="Your name; your login by default.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; shown to who is refused.")]


@app.command()
def stop(
    domain: Domain = "",
    all_actions: AllActions = False,
    approval: Approval = "",
    by: By = "",
    reason: Reason = "",
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Stop a domain, all actions, or one fix; takes effect within seconds, in the middle of a fix too."""
    use_config(config)
    _turn(_switch(domain, all_actions, approval), by, reason, as_json, stopping=True)


@app.command()
def start(
    domain: Domain = "",
    all_actions: AllActions = False,
    approval: Approval = "",
    by: By = "",
    reason: Reason = "",
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Lift a stop."""
    use_config(config)
    _turn(_switch(domain, all_actions, approval), by, reason, as_json, stopping=False)


def _switch(domain: str, all_actions: bool, approval: str) -> str:
    """The name of the one switch that is meant.

    Raises:
        Usage: none or several are meant, or the config has no such domain.
    """
    from tasks import controls

    if sum(map(bool, (domain, all_actions, approval))) != 1:
        raise Usage("name one domain, or --all-actions, or --approval ID")
    if domain:
        _known(domain)
        return controls.domain(domain)
    return controls.approval(approval) if approval else controls.ALL_ACTIONS


def _known(domain: str) -> None:
    """Refuses a domain that the config lacks; a config that does not load keeps nobody from stopping."""
    from blocks.config_file import ConfigError, load
    from blocks.home import config_path

    try:
        domains = load(config_path()).domains
    except ConfigError as error:
        say(f"Warning: the config does not load, so the name is not checked: {error}")
        return
    if domain not in domains:
        raise Usage(f"there is no domain {domain!r}; there are: {', '.join(domains)}")


def _turn(name: str, by: str, reason: str, as_json: bool, *, stopping: bool) -> None:
    from flows.cli.ledger import database
    from tasks import approvals, controls

    who = by.strip() or login()
    turn = controls.stop if stopping else controls.start
    kind, _, subject = name.partition(":")

    def write(conn: Connection) -> None:
        if kind == "approval":
            approvals.get(conn, subject)
        turn(conn, name, by=who, reason=reason)

    database().write_now(write)
    if as_json:
        print_json({"switch": name, "stopped": stopping, "by": who, "reason": reason})
    else:
        what = f"{kind} {subject}" if subject else "all actions"
        say(f"{what}: {'stopped' if stopping else 'started'} by {who}")
