"""`aspora correct`: say that an execution was wrong and what is right, agree with others, take it back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.app import AsJson, ConfigFile, Person, app, print_json, use_config, wait_for
from flows.cli.approval import TokenFile, token_of
from flows.cli.errors import Usage

if TYPE_CHECKING:
    from tasks.feedback import Heard, What

_STATUSES = {
    "corrected": "Corrected",
    "confirmed": "Confirmed",
    "right": "Noted as right",
    "said_before": "Nothing new: the same person said so before",
    "taken_back": "Taken back",
}


@app.command()
def correct(
    execution_id: Annotated[str, typer.Argument(help="The execution's id; `aspora executions` lists them.")],
    name: Person,
    given: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="FIELD=TEXT", help="actual_root_cause=…, what_was_wrong=…, recommended_fix=…"
        ),
    ] = None,
    confirm: Annotated[bool, typer.Option("--confirm", help="Say the same as the last correction.")] = False,
    right: Annotated[bool, typer.Option("--right", help="Say that the execution was right.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Take back what you said last about it.")] = False,
    token_file: TokenFile = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Say what was wrong with an execution and what is right. It is added to the record, never overwritten.

    Skills follow a correction once a verified person says so. A typed name is a claim; an approver token
    or Slack proves it.
    """
    use_config(config)
    what, fields = _what(given or [], confirm, right, undo), _fields(given or [])
    heard = wait_for(_say(execution_id, what, fields, name, token_of(token_file)))
    if as_json:
        print_json(heard.model_dump(mode="json"))
    else:
        _show(heard)


def _what(given: list[str], confirm: bool, right: bool, undo: bool) -> What:
    asked: dict[What, bool] = {"correct": bool(given), "confirm": confirm, "right": right, "undo": undo}
    chosen = [what for what, wanted in asked.items() if wanted]
    if len(chosen) != 1:
        raise Usage("correct takes one of --set FIELD=TEXT, --confirm, --right, --undo")
    return chosen[0]


def _fields(given: list[str]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for each in given:
        name, separator, text = each.partition("=")
        if not separator or not name.strip():
            raise Usage(f"--set {each[:80]}: write FIELD=TEXT, such as actual_root_cause=…")
        if name.strip() in fields:
            raise Usage(f"--set {name.strip()[:80]} is given twice")
        fields[name.strip()] = text
    return fields


async def _say(execution_id: str, what: What, fields: dict[str, str], name: str, token: str) -> Heard:
    from tasks import decision, feedback
    from tasks.platform import opened

    async with opened() as platform:
        if token:
            await decision.proven(platform, name, token)
        return await feedback.say(
            platform, execution_id, what, fields, by=name, via="cli", verified=bool(token)
        )


def _show(heard: Heard) -> None:
    from flows.cli.pictures import console
    from tasks import telling
    from tasks.markup import WHATSAPP

    out = console()
    out.print(f"{heard.execution_id}: {_STATUSES[heard.status]}.", markup=False, soft_wrap=True)
    for each in heard.standing:
        out.print(telling.statement(WHATSAPP, each), markup=False, soft_wrap=True)
    if heard.user_correction:
        out.print(_followed(heard), markup=False, soft_wrap=True)


def _followed(heard: Heard) -> str:
    """What skills make of what people said."""
    from tasks.markup import WHATSAPP
    from tasks.mistakes import WRONG, text_of

    followed = heard.followed or heard.user_correction or {}
    if not set(followed) - {WRONG}:
        return "Skills learn nothing from it: say what is right too, such as actual_root_cause=…"
    different = len({each.refers_to or each.id for each in heard.standing}) > 1
    if heard.followed is None and different:
        return "People say different things: skills follow what most verified people say."
    what = f"“{WHATSAPP.data(text_of(followed))}”" if different else "it"
    when = "when they see the same again" if heard.followed else "once a verified person says so too"
    return f"Skills follow {what} {when}."
