"""`aspora report platform | domain | skill | changes`: what leadership, domain owners and engineers read."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.cli.app import AsJson, ConfigFile, app, print_json, use_config
from flows.cli.times import Period, Since, moment, period

report = typer.Typer(
    help="Reports: the platform, one domain, one skill, and what was changed in the config.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(report, name="report")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Its name in the config.")]


@report.command("platform")
def of_platform(since: Period = "24h", as_json: AsJson = False) -> None:
    """All domains: executions, cost, success, against the average of the days before."""
    from flows.cli.ledger import database
    from flows.cli.panels import show_platform
    from tasks import reports

    asked = period(since)
    found = database().read_now(lambda conn: reports.platform(conn, asked))
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        show_platform(found)


@report.command("domain")
def of_domain(
    name: Name,
    since: Period = "24h",
    week: Annotated[bool, typer.Option("--week", help="The weekly digest, of the last seven days.")] = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """One domain: manager and specialists, satisfaction, who led to whom."""
    from flows.cli.ledger import platform
    from flows.cli.panels import show_domain, show_week
    from tasks import reports, weekly

    use_config(config)
    asked, opened = period(since), platform()
    read = opened.database.read_now
    if week:
        digest = read(lambda conn: weekly.week(conn, opened.config, name))
        if as_json:
            print_json(digest.model_dump(mode="json"))
        else:
            show_week(digest)
        return
    found = read(lambda conn: reports.domain(conn, opened.config, name, asked))
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        show_domain(found)


@report.command("skill")
def of_skill(name: Name, since: Period = "7d", config: ConfigFile = None, as_json: AsJson = False) -> None:
    """One skill: success, latency, cost, tools, common mistakes."""
    from flows.cli.ledger import platform
    from flows.cli.panels import show_skill
    from tasks import reports

    use_config(config)
    asked, opened = period(since), platform()
    found = opened.database.read_now(lambda conn: reports.skill(conn, opened.config, name, asked))
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        show_skill(found)


@report.command("changes")
def of_changes(
    domain: Annotated[str, typer.Option(help="Only this domain, and what concerns all.")] = "",
    since: Since = "30d",
    as_json: AsJson = False,
) -> None:
    """What was changed in the config: which key, from what to what, when, and who was there."""
    from flows.cli.ledger import database
    from flows.cli.panels import show_changes
    from tasks import config_changes

    start = moment("--since", since)
    found = database().read_now(lambda conn: config_changes.since(conn, start, domain))
    if as_json:
        print_json([each.model_dump(mode="json") for each in found])
    else:
        show_changes(found)
