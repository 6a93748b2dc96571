"""`aspora check`: is the config right?"""

from __future__ import annotations

from typing import Annotated

import typer

from flows.cli.app import AsJson, ConfigFile, Exit, app, leave, print_json


@app.command()
def check(
    config: ConfigFile = None,
    keys: Annotated[
        bool, typer.Option("--keys", help="Print all keys with their meaning, in markdown.")
    ] = False,
    connect: Annotated[
        bool, typer.Option("--connect", help="Ask MCP servers by command or URL for their tools too.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Validate config, prompts, tools and models; names file, line, key and remedy of what is wrong."""
    if keys:
        from blocks.config_reference import reference

        typer.echo(reference(), nl=False)
        return
    from blocks.home import config_path
    from blocks.telemetry import NAMES, whereabouts
    from flows.cli.pictures import console
    from tasks.check import check as look

    path = config.resolve() if config else config_path()
    loaded, problems = look(path, connect=connect)
    errors = [problem for problem in problems if problem.level == "error"]
    if as_json:
        print_json({"ok": not errors, "problems": [vars_of(problem) for problem in problems]})
    else:
        out = console()
        for problem in problems:
            colour = "red" if problem.level == "error" else "yellow"
            out.print(f"[{colour}]{problem.level}[/]", end=" ")
            out.print(str(problem), markup=False, soft_wrap=True)
        if loaded and not errors:
            skills = sum(len(domain.skills) for domain in loaded.domains.values())
            out.print(f"{path.name} is fine: {len(loaded.domains)} domains, {skills} skills")
            for name, where in whereabouts().items():
                out.print(f"telemetry to {NAMES[name]}: {where}", markup=False, soft_wrap=True)
    leave(Exit.USAGE if errors else Exit.DONE)


def vars_of(problem: object) -> dict[str, object]:
    """A problem's fields."""
    return {name: getattr(problem, name) for name in ("file", "line", "key", "message", "remedy", "level")}
