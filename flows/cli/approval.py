"""`aspora approvals`, `approve`, `reject`: decide on proposed fixes."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from flows.cli.app import AsJson, ConfigFile, Exit, Person, app, leave, print_json, say, wait_for

ApprovalId = Annotated[str, typer.Argument(metavar="ID", help="The approval's id, such as apr-7f3k2m.")]


@app.command()
def approvals(
    domain: Annotated[str, typer.Option(help="Only this domain.")] = "",
    every: Annotated[bool, typer.Option("--all", help="Decided ones too.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the fixes that wait for a decision."""
    from blocks.database import Database
    from blocks.home import database_url
    from flows.cli.pictures import console, show_proposal
    from tasks import approvals as rows
    from tasks import report

    database = Database(database_url())
    database.migrate()
    database.write_now(rows.expire)
    statuses: tuple[rows.Status, ...] = () if every else ("waiting",)
    found = database.read_now(lambda conn: rows.find(conn, domain=domain, statuses=statuses))
    listed = [report.approval(each) for each in found]
    if as_json:
        print_json(listed)
        return
    for each in listed:
        show_proposal(each)
    if not listed:
        console().print("No fix waits for a decision.")


@app.command()
def approve(
    id: ApprovalId,
    name: Person,
    comment: Annotated[str, typer.Option(help="Kept with the decision.")] = "",
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Approve a fix and carry it out."""
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


def _decide(id: str, yes: bool, name: str, comment: str, as_json: bool, config: Any) -> None:
    from flows.cli.app import use_config
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
        if result["status"] not in ("approved", "rejected"):
            say(f"Not decided by this call: {result['status']}.")
    decided = result["status"] in ("approved", "rejected")
    failed = result["approval_status"] in ("failed", "stopped")
    leave(Exit.REFUSED if not decided else Exit.FAILED if failed else Exit.DONE)
