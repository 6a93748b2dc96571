"""`aspora eval` and `aspora bench`: quality on labelled data, speed in one run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.app import AsJson, Exit, app, leave, print_json
from flows.cli.errors import Usage

if TYPE_CHECKING:
    from flows.evaluation import FaultSet


@app.command("eval")
def evaluate(
    name: Annotated[str, typer.Argument(help="A domain, such as ecm, or runbooks.")],
    seeds: Annotated[int, typer.Option(min=1, help="How many sample worlds (domains).")] = 50,
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
            help="Labelled data: a folder of incidents (rca), a CSV of transactions (fraud).",
        ),
    ] = None,
    rules: Annotated[Path | None, typer.Option(help="File with a rule a line, with --data (fraud).")] = None,
    as_json: AsJson = False,
) -> None:
    """Score a domain's skills on sample worlds, or the runbook search on labelled queries."""
    from flows.cli.pictures import show_metrics

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
        result = evaluate_domain(name, seeds=seeds, first=first, model=model, faults=faults)
    if as_json:
        print_json(result)
    else:
        show_metrics(name, result)


def _faults(held_out: bool, unseen: bool) -> FaultSet:
    if held_out and unseen:
        raise Usage("eval takes --held-out or --unseen, not both")
    if held_out:
        return "held-out"
    return "unseen" if unseen else "sample"


@app.command()
def bench() -> None:
    """Measure speed, as ratios within one run."""
    import subprocess
    import sys

    from blocks.home import ROOT

    done = subprocess.run([sys.executable, "-m", "tests.bench"], cwd=ROOT, check=False)
    leave(Exit.DONE if done.returncode == 0 else Exit.FAILED)
