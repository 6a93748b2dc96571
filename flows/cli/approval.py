"""`aspora approvals`, `approve`, `reject`, `undo`: decide on proposed fixes, and take one back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.app import AsJson, ConfigFile, Exit, Person, app, leave, print_json, say, use_config, wait_for
from flows.cli.errors import Usage

ApprovalId = Annotated[str, typer.Argument(metavar="ID", help="The approval's id, such as apr-7f3k2m.")]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        metavar="FILE",
        help="Holds your approver token, which proves who you are; or set ASPORA_APPROVER_TOKEN.",
    ),
]
_DECIDED = ("approved", "rejected", "continued")


@app.command()
def approvals(
    domain: Annotated[str, typer.Option(help="Only this domain.")] = "",
    every: Annotated[bool, typer.Option("--all", help="Decided ones too.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the fixes that wait for a decision."""
    from flows.cli.ledger import platform
    from flows.cli.pictures import console, show_proposal
    from tasks import approvals as rows
    from tasks import decision, report

    opened = platform()
    record = opened.database
    record.write_now(lambda conn: decision.expire_all(conn, opened.config))
    statuses: tuple[rows.Status, ...] = () if every else ("waiting",)
    found = record.read_now(lambda conn: rows.find(conn, domain=domain, statuses=statuses))
    listed = [report.approval(each) for each in found]
    if as_json:
        print_json(listed)
        return
    for each in listed:
        show_proposal(each)
    if not listed:
        console().print("No fix waits for a decision." if not every else "No fix was proposed yet.")


@app.command()
def approve(
    id: ApprovalId,
    name: Person,
    comment: Annotated[str, typer.Option(help="Kept with the decision.")] = "",
    token_file: TokenFile = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Approve a fix and carry it out. One whose carrying out was cut off is carried on.

    A fix that needs several people waits for the others (exit code 4).
    """
    _decide(id, True, name, comment, token_file, as_json, config)


@app.command()
def reject(
    id: ApprovalId,
    name: Person,
    reason: Annotated[str, typer.Option("--reason", help="Why; kept, and learned from.")],
    token_file: TokenFile = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Reject a fix, with a reason."""
    _decide(id, False, name, reason, token_file, as_json, config)


@app.command()
def undo(id: ApprovalId, name: Person, as_json: AsJson = False, config: ConfigFile = None) -> None:
    """Take a fix back: undoes each of its actions that was done and has an undo in the config."""
    from flows.cli.deciding import take_back
    from flows.cli.pictures import console
    from flows.cli.progress import hear
    from tasks.progress import watched

    use_config(config)
    with watched(hear(quiet=as_json)):
        result = wait_for(take_back(id, name))
    if as_json:
        print_json(result)
    else:
        console().print(f"{id}: {result['text']}", markup=False)
    whole = not (result["failed"] or result["unknown"] or result["ended_early"])
    leave(Exit.DONE if whole else Exit.FAILED)


def _decide(
    id: str, yes: bool, name: str, comment: str, token_file: Path | None, as_json: bool, config: Path | None
) -> None:
    from flows.cli.deciding import decide
    from flows.cli.pictures import show_proposal
    from flows.cli.progress import hear
    from tasks.progress import watched

    use_config(config)
    token = token_of(token_file)
    with watched(hear(quiet=as_json)):
        result = wait_for(decide(id, yes, name, comment, token))
    if as_json:
        print_json(result)
    else:
        show_proposal({**result, "status": result["approval_status"]})
        if result["status"] == "recorded":
            names = ", ".join(result["approvers"])
            say(f"Counted: approved by {names}; {result['missing']} more must approve.")
        elif result["status"] not in _DECIDED:
            say(f"Not decided by this call: {result['status']}{_by_whom(result)}.")
    leave(_code(result))


def token_of(file: Path | None) -> str:
    """The person's approver token, from a file or the environment; empty if there is none.

    Raises:
        Usage: the file can't be read, or is empty.
    """
    from tasks import tokens

    if file is None:
        return os.environ.get(tokens.VARIABLE, "").strip()
    try:
        token = file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise Usage(f"--token-file {file}: {error.strerror}") from error
    except ValueError as error:
        raise Usage(f"--token-file {file}: the file is not text in UTF-8") from error
    if not token:
        raise Usage(f"--token-file {file}: the file is empty")
    return token


def _code(result: dict[str, object]) -> Exit:
    if result["status"] == "recorded":
        return Exit.WAITS
    if result["status"] not in _DECIDED:
        return Exit.REFUSED
    return Exit.FAILED if result["approval_status"] in ("failed", "stopped") else Exit.DONE


def _by_whom(result: dict[str, object]) -> str:
    if result["superseded_by"]:
        return f" by {result['superseded_by']}"
    return f", {result['decided_by']} did at {result['decided_at']}" if result["decided_by"] else ""
