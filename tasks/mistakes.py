"""What people corrected again and again: corrections grouped by what they say, however it is worded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, select

from blocks.schema import corrections, executions
from blocks.text import SAME, likeness
from tasks.votes import identity

CAUSE, WRONG = "actual_root_cause", "what_was_wrong"
"""The fields of a correction that everything else reads; more may stand beside them."""
MOST = 2000
"""Corrections that are grouped: the newest."""
_COMPARED = 5
"""Wordings of a group that another one is compared with."""


class Mistake(BaseModel):
    """What several corrections of a skill say alike."""

    model_config = ConfigDict(frozen=True)

    text: str
    """The wording that was used most; the newest of those."""
    count: int
    """Executions that were corrected so."""
    people: int
    """Who said so, or confirmed it."""
    last: datetime
    """When it was last said."""
    executions: tuple[str, ...]
    """Their ids, the newest correction first."""


class Said(BaseModel):
    """One correction as far as it is grouped."""

    model_config = ConfigDict(frozen=True)

    execution_id: str
    text: str
    person: str
    at: datetime


def common(conn: Connection, skill: str, since: datetime, limit: int = 5) -> list[Mistake]:
    """A skill's mistakes by the corrections since a moment that stand: the most frequent first."""
    found = [_mistake(group) for group in grouped(_said(conn, skill, since))]
    return sorted(found, key=lambda one: (-one.count, -one.last.timestamp(), one.text))[:limit]


def text_of(correction: Mapping[str, Any]) -> str:
    """A correction in one text: the actual root cause, else what was wrong, else all its fields."""
    for name in (CAUSE, WRONG):
        if str(correction.get(name) or "").strip():
            return " ".join(str(correction[name]).split())
    return "; ".join(f"{name}: {value}" for name, value in correction.items())


def grouped(said: Iterable[Said]) -> list[list[Said]]:
    """Corrections that say the same, together; each joins the group that it is most like on the whole."""
    groups: list[list[Said]] = []
    exact: dict[str, list[Said]] = {}
    for one in said:
        key = one.text.casefold()
        if key not in exact:
            exact[key] = _nearest(groups, one.text)
            if not exact[key]:
                groups.append(exact[key])
        exact[key].append(one)
    return groups


def _nearest(groups: Sequence[list[Said]], text: str) -> list[Said]:
    """The group that a text belongs to; a new one if it says what none says."""
    rated = [(_alike(group, text), place) for place, group in enumerate(groups)]
    best, place = max(rated, key=lambda pair: (pair[0], -pair[1]), default=(0.0, -1))
    return groups[place] if best >= SAME else []


def _alike(group: Sequence[Said], text: str) -> float:
    wordings = list(dict.fromkeys(one.text for one in group))[:_COMPARED]
    return sum(likeness(text, each) for each in wordings) / len(wordings)


def _mistake(group: Sequence[Said]) -> Mistake:
    newest = sorted(group, key=lambda one: one.at, reverse=True)
    wordings = Counter(one.text for one in newest)
    ids = tuple(dict.fromkeys(one.execution_id for one in newest))
    return Mistake(
        text=wordings.most_common(1)[0][0],
        count=len(ids),
        people=len({identity(one.person) for one in newest}),
        last=newest[0].at,
        executions=ids,
    )


def _said(conn: Connection, skill: str, since: datetime) -> list[Said]:
    """The skill's corrections and their confirmations that nobody took back, the oldest first."""
    rows, first = corrections.alias("said"), corrections.alias("first")
    withdrawn = select(corrections.c.refers_to).where(
        corrections.c.kind == "withdrawal", corrections.c.refers_to.is_not(None)
    )
    its_skill = select(executions.c.skill_name).where(executions.c.execution_id == rows.c.execution_id)
    query = (
        select(rows, first.c.correction.label("confirmed"))
        .outerjoin(first, first.c.id == rows.c.refers_to)
        .where(
            its_skill.scalar_subquery() == skill,
            rows.c.created_at >= since,
            (rows.c.kind == "correction") | ((rows.c.kind == "confirmation") & rows.c.refers_to.is_not(None)),
            rows.c.id.not_in(withdrawn),
            rows.c.refers_to.is_(None) | rows.c.refers_to.not_in(withdrawn),
        )
        .order_by(rows.c.id.desc())
        .limit(MOST)
    )
    return [
        Said(
            execution_id=row.execution_id,
            text=text_of(row.correction or row.confirmed or {}),
            person=row.corrected_by,
            at=row.created_at,
        )
        for row in reversed(conn.execute(query).all())
    ]
