"""`aspora token`: personal approver tokens, which prove on the command line who decides."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.cli.app import AsJson, Exit, app, leave, print_json, say
from flows.cli.errors import Usage

Name = Annotated[str, typer.Argument(metavar="NAME", help="Whose token it is, as in platform.people.")]


@app.command()
def token(
    name: Name = "",
    revoke: Annotated[bool, typer.Option("--revoke", help="Revoke all tokens of NAME.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="List who has a token. None is shown.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a personal approver token for NAME. It is shown once; only its digest is kept.

    NAME keeps it in ASPORA_APPROVER_TOKEN or in a file for `aspora approve --token-file`. Whoever may run
    this command can make a token for anybody: keep the platform's machine to people you trust.
    """
    if list_ == bool(name.strip()) or (list_ and revoke):
        raise Usage("name a person, or --list")
    if list_:
        _list(as_json)
    elif revoke:
        _revoke(" ".join(name.split()), as_json)
    else:
        _issue(" ".join(name.split()), as_json)


def _issue(name: str, as_json: bool) -> None:
    from flows.cli.ledger import database
    from tasks import tokens

    made = database().write_now(lambda conn: tokens.issue(conn, name))
    if as_json:
        print_json({"person": name, "token": made})
        return
    say(f"An approver token of {name}. It is not shown again:")
    typer.echo(made)


def _revoke(name: str, as_json: bool) -> None:
    from flows.cli.ledger import database
    from tasks import tokens

    count = database().write_now(lambda conn: tokens.revoke(conn, name))
    if as_json:
        print_json({"person": name, "revoked": count})
    else:
        say(f"{count} tokens of {name} revoked" if count else f"{name} has no valid token")
    leave(Exit.DONE if count else Exit.FAILED)


def _list(as_json: bool) -> None:
    from flows.cli.ledger import database
    from flows.cli.pictures import console
    from tasks import tokens

    found = database().read_now(tokens.every)
    if as_json:
        print_json([each.model_dump() for each in found])
        return
    for each in found:
        revoked = f", revoked {each.revoked_at:%Y-%m-%d %H:%M} UTC" if each.revoked_at else ""
        line = f"{each.person}: made {each.created_at:%Y-%m-%d %H:%M} UTC{revoked}"
        console().print(line, markup=False)
    if not found:
        console().print("Nobody has an approver token.")
