"""`aspora run`: one run with live progress; needs no server."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.cli.app import AsJson, ConfigFile, Exit, app, leave, print_json, say, wait_for
from flows.cli.errors import Usage


@app.command()
def run(
    domain: Annotated[str, typer.Argument(help="Name of the domain, such as ecm.")],
    input: Annotated[str, typer.Option("--input", help="What to run on: JSON, or @FILE.")] = "",
    approve: Annotated[str, typer.Option("--approve", metavar="NAME", help="Approve fixes as NAME.")] = "",
    reject: Annotated[str, typer.Option("--reject", metavar="NAME", help="Reject fixes as NAME.")] = "",
    reason: Annotated[str, typer.Option(help="With --reject: why; kept, and learned from.")] = "",
    resume: Annotated[
        str, typer.Option("--continue", metavar="RUN_ID", help="Go on with a run that was cut off.")
    ] = "",
    seed: Annotated[
        int | None, typer.Option("--seed", help="Draw the sample world with this seed first.")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="FILE.svg", help="Save the report as a picture too.")
    ] = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Run a domain once, with live progress, and report. Needs no server.

    A proposed fix waits for a person: on a terminal you are asked, with --approve or --reject you are not,
    and otherwise it waits for `aspora approve` (exit code 4).
    """
    if approve and reject:
        raise Usage("--approve and --reject exclude each other")
    if reject and not reason.strip():
        raise Usage("--reject needs a reason: add --reason WHY")
    from flows.cli.pictures import save_picture
    from flows.cli.session import Session

    given = _input(input)
    say(f"Aspora runs {domain} …")
    session = Session(domain, config, quiet=as_json, seed=seed, given=given)
    report = wait_for(session.run(resume))
    if report["state"] == "awaiting_approval":
        report = _decide(session, report, approve, reject, reason, as_json)
    if as_json:
        print_json(report)
    else:
        session.show(report)
        if picture:
            save_picture(picture, f"aspora run {domain}")
    leave(_code(report))


def _input(text: str) -> dict[str, Any]:
    if not text:
        return {}
    if text.startswith("@"):
        text = _contents(Path(text[1:]))
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Usage(f'--input is no JSON: {error}; write it as \'{{"stage": "lulu"}}\' or @FILE') from error
    if not isinstance(given, dict):
        raise Usage('--input must be a JSON object, such as \'{"stage": "lulu"}\'')
    return given


def _contents(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise Usage(f"--input @{path}: {error.strerror}") from error
    except ValueError as error:
        raise Usage(f"--input @{path}: the file is not text in UTF-8") from error


def _decide(
    session: Any, report: dict[str, Any], approve: str, reject: str, reason: str, as_json: bool
) -> dict[str, Any]:
    """Decides on the run's waiting fixes, if somebody is there to decide."""
    waiting = [each for each in report["approvals"] if each["status"] == "waiting"]
    if not (approve or reject) and (as_json or not sys.stdin.isatty()):
        return report
    for each in waiting:
        if approve or reject:
            name, yes, why = approve or reject, bool(approve), reason
        else:
            session.show_proposal(each)
            name, yes, why = _ask(each["id"])
        if name:
            _decide_one(session, each["id"], yes, name, why)
    result: dict[str, Any] = session.reread(report["run_id"])
    return result


def _decide_one(session: Any, approval_id: str, approve: bool, name: str, why: str) -> None:
    """Decides on one fix; one that this person may not decide on is left waiting."""
    from tasks.decision import NotAllowed

    try:
        wait_for(session.decide(approval_id, approve, name, why))
    except NotAllowed as error:
        say(f"{approval_id} still waits: {error}")


def _ask(approval_id: str) -> tuple[str, bool, str]:
    """Asks on the terminal: name, decision, and why not; an empty name leaves the fix waiting."""
    answer = typer.prompt(f"Approve {approval_id}? [y]es, [n]o, [l]ater", default="l").strip().lower()
    if answer[:1] not in ("y", "n"):
        return "", False, ""
    name = typer.prompt("Your name").strip()
    return name, answer.startswith("y"), "" if answer.startswith("y") else typer.prompt("Why not").strip()


def _code(report: dict[str, Any]) -> Exit:
    return {
        "failed": Exit.FAILED,
        "refused": Exit.REFUSED,
        "awaiting_approval": Exit.WAITS,
    }.get(report["state"], Exit.DONE)
