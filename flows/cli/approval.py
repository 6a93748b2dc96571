"""`aspora approvals`, `approve`, `reject`, `undo`: decide on proposed fixes, and take one back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.app import AsJson, ConfigFile, Exit, Person, app, leave, print_json, say, use_config, wait_for

ApprovalId = Annotated[str, typer.Argument(metavar="ID", help="The approval's id, such as apr-7f3k2m.")]


@app.command()
def approvals(
    domain: Annotated[str, typer.Option(help="Only this domain.")] = "",
    every: Annotated[bool, typer.Option("--all", help="Decided ones too.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the fixes that wait for a decision."""
    from flows.cli.ledger import database
    from flows.cli.pictures import console, show_proposal
    from tasks import approvals as rows
    from tasks import decision, report

    record = database()
    record.write_now(decision.expire_all)
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
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Approve a fix and carry it out. One whose carrying out was cut off is carried on."""
    _decide(id, True, name, comment, as_json, config)


@app.command()
def reject(
    id: ApprovalId,
    name: Person,
    reason: Annotated[str, typer.Option("--reason", help="Why; kept, and learned from.")],
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Reject a fix, with a reason."""
    _decide(id, False, name, reason, as_json, config)


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


def _decide(id: str, yes: bool, name: str, comment: str, as_json: bool, config: Path | None) -> None:
    from flows.cli.deciding import decide
    from flows.cli.pictures import show_proposal
    from flows.cli.progress import hear
    from tasks.progress import watched

    use_config(config)
    with watched(hear(quiet=as_json)):
        result = wait_for(decide(id, yes, name, comment))
    if as_json:
        print_json(result)
    else:
        show_proposal({**result, "status": result["approval_status"]})
        if result["status"] not in ("approved", "rejected", "continued"):
            say(f"Not decided by this call: {result['status']}{_by_whom(result)}.")
    decided = result["status"] in ("approved", "rejected", "continued")
    failed = result["approval_status"] in ("failed", "stopped")
    leave(Exit.REFUSED if not decided else Exit.FAILED if failed else Exit.DONE)


def _by_whom(result: dict[str, object]) -> str:
    if result["superseded_by"]:
        return f" by {result['superseded_by']}"
    return f", {result['decided_by']} did at {result['decided_at']}" if result["decided_by"] else ""
