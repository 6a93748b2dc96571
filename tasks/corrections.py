"""What users say about an execution: that it was wrong and what is right, or that it was right.

It is kept beside the execution: the record itself never changes, and what was said is only added to. Somebody
who says the same confirms; what was said can be taken back. How far memory follows is worked out anew after
each of these, see `tasks.claims`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, insert, select

from blocks.database import alone
from blocks.printable import printable
from blocks.schema import corrections
from blocks.text import SAME, likeness
from tasks import claims, outbox, record, tally
from tasks.clock import utc
from tasks.mistakes import text_of
from tasks.votes import identity

Kind = Literal["correction", "confirmation", "withdrawal"]

LONGEST = 4000
"""Characters of one field."""
LONGEST_NAME = 200
MOST_FIELDS = 10
MOST_SAID = 200
"""Statements about one execution."""
_FIELD = re.compile(r"[a-z][a-z0-9_]{0,63}")


class Unfinished(Exception):
    """An execution that still runs or waits can't be corrected."""


class Unfit(ValueError):
    """What was said can't be taken as it is. The message says what to change."""


class NotAllowed(Exception):
    """This person may not take that back. The message says who may."""


class NothingSaid(LookupError):
    """There is nothing to confirm or to take back."""


class Correction(BaseModel):
    """One statement about an execution; of the corrections that stand, the newest counts."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    id: int
    execution_id: str
    kind: Kind
    refers_to: int | None
    """What a confirmation confirms (None: that the execution was right), or a withdrawal takes back."""
    correction: dict[str, Any]
    """What is right, by field: `{"actual_root_cause": …, "what_was_wrong": …}`; empty where nothing is."""
    corrected_by: str
    via: str
    verified: bool
    """Whether `corrected_by` was proven and not only typed."""
    created_at: datetime


class _Voice(NamedTuple):
    """Who speaks, how that came in, whether it is proven, and when."""

    name: str
    via: str
    verified: bool
    at: datetime

    def said(self, each: Correction) -> bool:
        """Whether this person said it, as surely as now."""
        return identity(each.corrected_by) == identity(self.name) and (each.verified or not self.verified)


class Given(NamedTuple):
    """A statement, and whether it is new: the same by the same person again is the first one."""

    row: Correction
    new: bool


def add(
    conn: Connection,
    execution_id: str,
    correction: Mapping[str, Any],
    *,
    by: str,
    via: str,
    verified: bool = False,
    now: datetime | None = None,
) -> Given:
    """Correct a finished execution. Who says the same as somebody before confirms that, in their own words.

    Raises:
        record.UnknownExecution: if there is none of that id.
        Unfinished: if it has no outcome yet.
        Unfit: if the correction says nothing, or more than a person writes, or has no name.
    """
    said, voice = _fields(correction), _voice(by, via, verified, now)
    execution, before = _open(conn, execution_id)
    same = next((each for each in before if each.kind == "correction" and _alike(each, said)), None)
    if same is None:
        return _put(conn, execution, "correction", voice, said)
    return Given(same, False) if voice.said(same) else _confirmed(conn, execution, before, same, voice, said)


def confirm(
    conn: Connection,
    execution_id: str,
    *,
    by: str,
    via: str,
    verified: bool = False,
    now: datetime | None = None,
) -> Given:
    """Say the same as the newest correction that stands; without one, that the execution was right.

    Raises:
        record.UnknownExecution: if there is none of that id.
        Unfinished: if it has no outcome yet.
        Unfit: if there is no name, or who confirms said it first: nobody counts twice.
    """
    voice = _voice(by, via, verified, now)
    execution, before = _open(conn, execution_id)
    newest = next((each for each in reversed(before) if each.kind == "correction"), None)
    if newest and voice.said(newest):
        raise Unfit(f"{voice.name} said so first; a correction is confirmed by somebody else")
    return _confirmed(conn, execution, before, newest, voice)


def approve(
    conn: Connection,
    execution_id: str,
    *,
    by: str,
    via: str,
    verified: bool = False,
    now: datetime | None = None,
) -> Given:
    """Say that the execution was right, whatever others said of it.

    Raises:
        record.UnknownExecution: if there is none of that id.
        Unfinished: if it has no outcome yet.
        Unfit: if there is no name.
    """
    voice = _voice(by, via, verified, now)
    execution, before = _open(conn, execution_id)
    return _confirmed(conn, execution, before, None, voice)


def withdraw(
    conn: Connection,
    execution_id: str,
    *,
    by: str,
    via: str,
    verified: bool = False,
    anybody: bool = False,
    now: datetime | None = None,
) -> Given:
    """Take back what a person said last about an execution; with `anybody`, else the last that anybody said.

    What a verified person said is taken back by a verified one only.

    Returns:
        The withdrawal, which refers to what was taken back.

    Raises:
        record.UnknownExecution: if there is none of that id.
        Unfinished: if it has no outcome yet.
        NothingSaid: if nothing of this person stands.
        NotAllowed: if it was said by a verified person, and this one is not.
    """
    voice = _voice(by, via, verified, now)
    execution, before = _open(conn, execution_id)
    theirs = [each for each in before if identity(each.corrected_by) == identity(voice.name)]
    theirs = theirs or (before if anybody else [])
    if not theirs:
        others = ", ".join(dict.fromkeys(each.corrected_by for each in before))
        who = f"; what {others} said, they or one of platform.operators take back" if others else ""
        raise NothingSaid(f"nothing that {voice.name} said about {execution_id} stands{who}")
    last = theirs[-1]
    if last.verified and not verified:
        raise NotAllowed(
            f"{last.corrected_by} said that verified, {last.via}; a typed name does not take it back. "
            f"Take it back in Slack, or with an approver token. Nothing was changed."
        )
    return _put(conn, execution, "withdrawal", voice, {}, last.id)


def of_execution(conn: Connection, execution_id: str) -> list[Correction]:
    """All that was said about the execution, oldest first."""
    query = select(corrections).where(corrections.c.execution_id == execution_id).order_by(corrections.c.id)
    return [Correction.model_validate(row) for row in conn.execute(query)]


def standing(said: Sequence[Correction]) -> list[Correction]:
    """What of it nobody took back, and what does not confirm what was taken back; oldest first."""
    back = {each.refers_to for each in said if each.kind == "withdrawal"}
    return [
        each
        for each in said
        if each.kind != "withdrawal" and each.id not in back and each.refers_to not in back
    ]


def _open(conn: Connection, execution_id: str) -> tuple[record.Execution, list[Correction]]:
    """A finished execution and what stands about it; until the transaction ends nobody else adds to it."""
    alone(conn, f"correction:{execution_id}")
    execution = record.get(conn, execution_id)
    if execution.outcome is None:
        raise Unfinished(f"{execution_id} has not ended yet; correct it once it has")
    said = of_execution(conn, execution_id)
    if len(said) >= MOST_SAID:
        raise Unfit(f"{MOST_SAID} statements about {execution_id} are kept; no more are taken")
    return execution, standing(said)


def _confirmed(
    conn: Connection,
    execution: record.Execution,
    before: Sequence[Correction],
    what: Correction | None,
    voice: _Voice,
    words: Mapping[str, Any] | None = None,
) -> Given:
    """A confirmation of a correction, or that the execution was right; once a person."""
    refers_to = what.id if what else None
    for each in before:
        if each.kind == "confirmation" and each.refers_to == refers_to and voice.said(each):
            return Given(each, False)
    return _put(conn, execution, "confirmation", voice, words or {}, refers_to)


def _put(
    conn: Connection,
    execution: record.Execution,
    kind: Kind,
    voice: _Voice,
    correction: Mapping[str, Any],
    refers_to: int | None = None,
) -> Given:
    id_ = execution.execution_id
    values = {
        "execution_id": id_,
        "kind": kind,
        "refers_to": refers_to,
        "correction": dict(correction),
        "corrected_by": voice.name,
        "via": voice.via,
        "verified": voice.verified,
        "created_at": voice.at,
    }
    row = conn.execute(insert(corrections).values(**values).returning(corrections)).one()
    if kind == "correction":
        tally.count(conn, tally.CORRECTIONS, domain=execution.domain)
    outbox.put(conn, "correction", str(row.id), voice.at)
    claims.remember(conn, execution, standing(of_execution(conn, id_)))
    return Given(Correction.model_validate(row), True)


def _alike(each: Correction, said: Mapping[str, Any]) -> bool:
    one, other = text_of(each.correction), text_of(said)
    return one.casefold() == other.casefold() or likeness(one, other) >= SAME


def _voice(by: str, via: str, verified: bool, now: datetime | None) -> _Voice:
    name = printable(" ".join(by.split()))[:LONGEST_NAME]
    if not name:
        raise Unfit("a correction needs the name of the person who makes it")
    return _Voice(name, via, verified, utc(now))


def _fields(correction: Mapping[str, Any]) -> dict[str, Any]:
    """The fields as they are kept: text without signs that a terminal obeys, no longer than people write."""
    if not correction:
        raise Unfit("a correction needs at least one field, such as actual_root_cause=…")
    if len(correction) > MOST_FIELDS:
        raise Unfit(f"a correction of {len(correction)} fields; {MOST_FIELDS} are taken at most")
    return {_field(name): _value(str(name), value) for name, value in correction.items()}


def _field(name: str) -> str:
    if not _FIELD.fullmatch(str(name)):
        shown = printable(str(name)[:64])
        raise Unfit(f"{shown!r} is no field's name; write small letters, such as actual_root_cause=…")
    return str(name)


def _value(name: str, value: Any) -> Any:
    if isinstance(value, bool | int | float):
        return value
    if not isinstance(value, str):
        raise Unfit(f"{name} is {type(value).__name__}; write a text")
    if len(value) > LONGEST:
        raise Unfit(f"{name} has {len(value):,} characters; say it in {LONGEST:,} at most")
    text = printable(value).strip()
    if not text:
        raise Unfit(f"{name} is empty; write what is right, such as {name}=…")
    return text
