"""What people say about an execution, whichever way it comes in: kept, remembered, and shown to all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection

from blocks.config import Config
from tasks import claims, corrections, notices, people, record
from tasks.platform import Platform

What = Literal["correct", "confirm", "right", "undo"]


class Heard(BaseModel):
    """What a call came to."""

    model_config = ConfigDict(frozen=True)

    execution_id: str
    status: Literal["corrected", "confirmed", "right", "said_before", "taken_back"]
    said: corrections.Correction
    """What was said; of `taken_back`, what was taken back."""
    user_correction: dict[str, Any] | None
    """The newest correction that stands now."""
    standing: list[corrections.Correction]
    """All that stands now, oldest first."""
    trusted: bool
    """Whether one of them is trusted, so that skills that look into memory follow it."""
    followed: dict[str, Any] | None
    """That one."""


async def say(
    platform: Platform,
    execution_id: str,
    what: What,
    correction: Mapping[str, Any] | None = None,
    *,
    by: str,
    via: str,
    verified: bool = False,
) -> Heard:
    """Takes what a person says about an execution.

    Args:
        what: `correct` it, `confirm` the newest correction, say that it was `right`, or `undo` what one said
            last; one of `platform.operators` may undo what others said.
        by: the person's name; a claim unless `verified`.

    Raises:
        record.UnknownExecution: there is no such execution.
        corrections.Unfinished: it has not ended.
        corrections.Unfit: what was said can't be taken as it is.
        corrections.NothingSaid: there is nothing to take back.
        corrections.NotAllowed: a typed name can't take back what a verified person said.
    """
    name = people.known_as(platform.config, " ".join(by.split()))

    def write(conn: Connection) -> Heard:
        given = _take(conn, platform.config, execution_id, what, correction or {}, name, via, verified)
        heard = _heard(conn, execution_id, what, given)
        if given.new:
            notices.judged(conn, platform.config, record.get(conn, execution_id).run_id, given.row.id)
        return heard

    return await platform.database.write(write)


def _take(
    conn: Connection,
    settings: Config,
    execution_id: str,
    what: What,
    correction: Mapping[str, Any],
    name: str,
    via: str,
    verified: bool,
) -> corrections.Given:
    if what == "correct":
        return corrections.add(conn, execution_id, correction, by=name, via=via, verified=verified)
    if what == "undo":
        operator = people.contains(settings, settings.platform.operators, name)
        return corrections.withdraw(conn, execution_id, by=name, via=via, verified=verified, anybody=operator)
    take = corrections.confirm if what == "confirm" else corrections.approve
    return take(conn, execution_id, by=name, via=via, verified=verified)


def _heard(conn: Connection, execution_id: str, what: What, given: corrections.Given) -> Heard:
    said = corrections.of_execution(conn, execution_id)
    standing = corrections.standing(said)
    row, newest = given.row, [each for each in standing if each.kind == "correction"][-1:]
    if what == "undo":
        row = next(each for each in said if each.id == given.row.refers_to)
        status = "taken_back"
    elif not given.new:
        status = "said_before"
    elif row.kind == "correction":
        status = "corrected"
    else:
        status = "confirmed" if row.refers_to else "right"
    trusted = [one.said.correction for one in claims.claims(standing) if one.trusted and one.said]
    return Heard.model_validate(
        {
            "execution_id": execution_id,
            "status": status,
            "said": row,
            "user_correction": newest[0].correction if newest else None,
            "standing": standing,
            "trusted": bool(trusted),
            "followed": trusted[0] if trusted else None,
        }
    )
