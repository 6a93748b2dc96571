"""`aspora eval` and `aspora bench`: quality on labelled data, speed in one run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.app import AsJson, Exit, app, leave, print_json
from flows.cli.errors import Usage

if TYPE_CHECKING:
    from flows.evaluation import FaultSet

SEEDS = 50
ALL_SEEDS = 30
"""Of each domain, where all are evaluated."""


@app.command("eval")
def evaluate(
    name: Annotated[
        str, typer.Argument(help="A domain, such as ecm, or runbooks; without a name, all of them.")
    ] = "",
    seeds: Annotated[
        int | None, typer.Option(min=1, help="How many sample worlds (domains): 50, of all domains 30 each.")
    ] = None,
    first: Annotated[int, typer.Option(help="The first seed (domains).")] = 1000,
    model: Annotated[str, typer.Option(help="offline, or scripted: a scripted language model.")] = "offline",
    held_out: Annotated[
        bool, typer.Option("--held-out", help="Only faults kept out while building.")
    ] = False,
    unseen: Annotated[bool, typer.Option("--unseen", help="Only faults of a second such set.")] = False,
    corpus: Annotated[Path | None, typer.Option(help="Folder of runbooks (runbooks).")] = None,
    queries: Annotated[Path | None, typer.Option(help='JSON list of {"query", "gold"} (runbooks).')] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            "--transactions",
            "--customers",
            help="Labelled data: incidents (rca), a CSV of transactions (fraud) or customers (churn); "
            "without a name, the folder that holds all of it.",
        ),
    ] = None,
    rules: Annotated[Path | None, typer.Option(help="File with a rule a line, with --data (fraud).")] = None,
    page: Annotated[
        Path | None, typer.Option(metavar="FILE.md", help="Without a name: write the table into this page.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Score a domain's skills on sample worlds or labelled data, or the runbook search on labelled queries.

    Without a name, everything on the data that is there, as one table.
    """
    from flows.cli.pictures import show_metrics

    if not name:
        if corpus or queries or rules or held_out or unseen or model != "offline":
            raise Usage("eval without a name takes --data, --seeds, --first, --page and --json only")
        _all(data, seeds or ALL_SEEDS, first, page, as_json)
        return
    if page:
        raise Usage("eval takes --page without a name only: the page shows all evaluations")
    if name == "runbooks":
        if corpus is None or queries is None:
            raise Usage("eval runbooks needs --corpus DIR and --queries FILE")
        from mcp_servers.evaluate import evaluate_runbooks

        result = evaluate_runbooks(corpus, queries)
    elif data is not None:
        from flows.evaluation import evaluate_labelled

        result = evaluate_labelled(name, data, rules)
    elif rules is not None:
        raise Usage("eval takes --rules FILE with --data PATH")
    else:
        from flows.evaluation import evaluate_domain

        faults = _faults(held_out, unseen)
        result = evaluate_domain(name, seeds=seeds or SEEDS, first=first, model=model, faults=faults)
    if as_json:
        print_json(result)
    else:
        show_metrics(name, result)


def _all(data: Path | None, seeds: int, first: int, page: Path | None, as_json: bool) -> None:
    """Makes all evaluations, and shows them as one table."""
    from flows import quality
    from flows.cli.pictures import show_quality
    from flows.cli.progress import hear
    from tasks.progress import watched

    folder = quality.folder(data)
    if data and not folder.is_dir():
        raise Usage(f"--data {data}: there is no such folder")
    if page:
        quality.check_page(page)
    with watched(hear(quiet=as_json)):
        done = quality.evaluate_all(folder, seeds, first)
    if page:
        quality.write(page, quality.page_text(done, seeds, first))
    if as_json:
        print_json(done)
    else:
        show_quality(quality.rows(done), done)
    leave(Exit.FAILED if any("failed" in each for each in done) else Exit.DONE)


def _faults(held_out: bool, unseen: bool) -> FaultSet:
    if held_out and unseen:
        raise Usage("eval takes --held-out or --unseen, not both")
    if held_out:
        return "held-out"
    return "unseen" if unseen else "sample"


@app.command()
def bench(
    only: Annotated[
        list[str] | None, typer.Option(help="Only this section, such as record; repeatable.")
    ] = None,
    page: Annotated[Path | None, typer.Option(help="Renew the figures on this page.")] = None,
) -> None:
    """Measure speed, as ratios within one run. All of it takes about half an hour on an idle machine."""
    import subprocess
    import sys

    from blocks.home import ROOT

    asked = [f"--only={each}" for each in only or []] + ([f"--page={page.resolve()}"] if page else [])
    command = [sys.executable, "-m", "tests.bench", *asked]
    done = subprocess.run(command, cwd=ROOT, check=False)  # noqa: S603 - its arguments are checked there
    leave({0: Exit.DONE, 2: Exit.USAGE}.get(done.returncode, Exit.FAILED))
