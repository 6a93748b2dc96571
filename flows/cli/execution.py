"""`aspora executions`, `show`, `route`: look into the record."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.cli.app import AsJson, ConfigFile, app, print_json, use_config
from flows.cli.errors import Usage
from flows.cli.times import Since, Until, moment, words

_COLUMN = 14
"""Characters that a table's column needs to be read."""


@app.command()
def executions(
    domain: Annotated[str, typer.Option(help="Only this domain.")] = "",
    skill: Annotated[str, typer.Option(help="Only this skill.")] = "",
    outcome: Annotated[
        str,
        typer.Option(help="success, partial, error, refused, rejected, expired, or user_corrected."),
    ] = "",
    since: Since = "7d",
    until: Until = "",
    text: Annotated[
        str, typer.Option(help="Words in the input, output, reasoning or correction, taken literally.")
    ] = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, the newest.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Search the finished executions of skills."""
    from flows.cli.ledger import database
    from flows.cli.pictures import show_executions
    from tasks import record, report

    _check(outcome)
    asked = {"domain": domain, "skill": skill, "outcome": outcome, "text": words(text)}
    start, end = moment("--since", since), moment("--until", until) if until else None
    rows = database().read_now(lambda conn: record.search(conn, **asked, since=start, until=end, limit=limit))
    listed = [report.view(row) for row in rows]
    if as_json:
        print_json(listed)
    else:
        show_executions(listed)


@app.command()
def show(
    execution_id: Annotated[str, typer.Argument(help="The execution's id.")], as_json: AsJson = False
) -> None:
    """One execution's page: input, tool calls, reasoning, output, correction, cost, latency."""
    from rich.markdown import Markdown

    from flows.cli.ledger import database
    from flows.cli.pictures import console
    from tasks import report
    from tasks.page import page

    opened, out = database(), console()
    if as_json:
        print_json(opened.read_now(lambda conn: report.detail(conn, execution_id)))
        return
    columns = out.width // _COLUMN
    out.print(Markdown(opened.read_now(lambda conn: page(conn, execution_id, columns)), hyperlinks=False))


@app.command()
def route(since: Since = "7d", config: ConfigFile = None, as_json: AsJson = False) -> None:
    """What the routing rules would have done with the recorded runs, against what was done."""
    from flows.cli.ledger import platform
    from flows.cli.pictures import show_routes
    from flows.routes import compare

    use_config(config)
    start, opened = moment("--since", since), platform()
    rows = opened.database.read_now(lambda conn: compare(conn, opened, start))
    if as_json:
        print_json(rows)
    else:
        show_routes(rows)


def _check(outcome: str) -> None:
    from blocks.config_file import suggest
    from blocks.schema import OUTCOMES
    from tasks.record import CORRECTED

    known = (*OUTCOMES, CORRECTED)
    if outcome and outcome not in known:
        raise Usage(f"--outcome: there is no outcome {outcome!r}; {suggest(outcome, known)}")
