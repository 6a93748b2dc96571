"""`aspora executions`, `show`, `route`: look into the record."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from flows.cli.app import AsJson, ConfigFile, app, print_json, use_config
from flows.cli.errors import Usage

Since = Annotated[str, typer.Option("--since", help="How far back, such as 24h or 7d.")]


@app.command()
def executions(
    domain: Annotated[str, typer.Option(help="Only this domain.")] = "",
    skill: Annotated[str, typer.Option(help="Only this skill.")] = "",
    outcome: Annotated[str, typer.Option(help="success, partial, error, refused, rejected, expired …")] = "",
    since: Since = "7d",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, the newest.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Search the finished executions of skills."""
    from flows.cli.ledger import database
    from flows.cli.pictures import show_executions
    from tasks import record, report

    start = _since(since)
    rows = database().read_now(
        lambda conn: record.search(
            conn, domain=domain, skill=skill, outcome=outcome, since=start, limit=limit
        )
    )
    listed = [report.view(row) for row in rows]
    if as_json:
        print_json(listed)
    else:
        show_executions(listed)


@app.command()
def show(
    execution_id: Annotated[str, typer.Argument(help="The execution's id.")], as_json: AsJson = False
) -> None:
    """One execution's page: input, tool calls, reasoning, output, cost, latency."""
    from rich.markdown import Markdown

    from flows.cli.ledger import database
    from flows.cli.pictures import console
    from tasks import journal, record, report
    from tasks.page import page

    opened = database()
    if as_json:
        row = opened.read_now(lambda conn: record.get(conn, execution_id))
        steps = opened.read_now(lambda conn: journal.steps(conn, execution_id))
        print_json({**report.execution(row), "steps": [step.model_dump(mode="json") for step in steps]})
        return
    console().print(Markdown(opened.read_now(lambda conn: page(conn, execution_id)), hyperlinks=False))


@app.command()
def route(since: Since = "7d", config: ConfigFile = None, as_json: AsJson = False) -> None:
    """What the routing rules would have done with the recorded runs, against what was done."""
    from flows.cli.ledger import platform
    from flows.cli.pictures import show_routes
    from flows.routes import compare

    use_config(config)
    start, opened = _since(since), platform()
    rows = opened.database.read_now(lambda conn: compare(conn, opened, start))
    if as_json:
        print_json(rows)
    else:
        show_routes(rows)


def _since(text: str) -> datetime:
    from blocks.units import parse_duration

    try:
        return datetime.now(UTC) - parse_duration(text)
    except (ValueError, OverflowError) as error:
        raise Usage(f"--since: {error}") from error
