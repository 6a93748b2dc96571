"""How far people's corrections of an execution are trusted, and what memory keeps of them.

Each person counts once, with what they said last. A correction is trusted once a verified person says so, and
more of them than say anything else of the same execution: a typed name proves nobody, and one person can type
several. Memory keeps one that is not trusted too: as what people say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Connection

from tasks import incidents
from tasks.mistakes import CAUSE, WRONG, text_of
from tasks.record import Execution
from tasks.votes import identity

FIX = "recommended_fix"
"""The field of a correction that says what helps."""
_TELLS_OF_OTHERS = ("runbook", "incident")
"""Sources of evidence that show no symptom of the case itself."""


class Said(Protocol):
    """A statement that stands, as `tasks.corrections` has it."""

    @property
    def id(self) -> int: ...
    @property
    def kind(self) -> str: ...
    @property
    def refers_to(self) -> int | None: ...
    @property
    def correction(self) -> dict[str, Any]: ...
    @property
    def corrected_by(self) -> str: ...
    @property
    def via(self) -> str: ...
    @property
    def verified(self) -> bool: ...
    @property
    def created_at(self) -> datetime: ...


@dataclass(frozen=True)
class Claim:
    """What somebody says is right, and who says so too.

    Attributes:
        said: the correction that said it first; None: that the execution was right as it was.
        support: who says so, each person once.
        trusted: whether that is enough for skills to follow.
    """

    said: Said | None
    support: tuple[Said, ...]
    trusted: bool = False

    @property
    def weight(self) -> int:
        """Verified people who say so."""
        return sum(each.verified for each in self.support)


def claims(standing: Sequence[Said]) -> list[Claim]:
    """What people say about one execution, each by what they said last; the first one first.

    Args:
        standing: the statements that nobody took back, oldest first.
    """
    last = {identity(each.corrected_by): each for each in _proven(standing)}
    firsts = {each.id: each for each in standing if each.kind == "correction"}
    support: dict[int | None, list[Said]] = {}
    for each in last.values():
        support.setdefault(each.id if each.kind == "correction" else each.refers_to, []).append(each)
    found = [Claim(firsts.get(id_) if id_ else None, tuple(said)) for id_, said in support.items()]
    return [
        Claim(
            one.said,
            one.support,
            one.weight > max((other.weight for other in found if other is not one), default=0),
        )
        for one in found
    ]


def remember(conn: Connection, execution: Execution, standing: Sequence[Said]) -> None:
    """Bring memory up to date with what people say about an execution.

    A correction that only says what was wrong, and not what is right, teaches nothing.
    """
    found = [
        _incident(execution, one, one.said)
        for one in claims(standing)
        if one.said is not None and set(one.said.correction) - {WRONG}
    ]
    incidents.correct(conn, execution.execution_id, found)


def _proven(standing: Sequence[Said]) -> list[Said]:
    """In order; a person's typed name says nothing any more after the same person was verified."""
    verified = {identity(each.corrected_by) for each in standing if each.verified}
    return [each for each in standing if each.verified or identity(each.corrected_by) not in verified]


def _incident(execution: Execution, claim: Claim, said: Said) -> incidents.Incident:
    """What memory keeps: what was seen then, and what people say it was."""
    correction, output = said.correction, execution.output_data
    cause, stage = text_of(correction), execution.pattern_key or ""
    wrong = correction.get(WRONG) if correction.get(CAUSE) else ""
    return incidents.Incident(
        domain=execution.domain,
        stage=stage,
        title=f"{stage or execution.skill_name}, corrected: {cause}"[:300],
        symptoms=_symptoms(output if isinstance(output, Mapping) else {}),
        root_cause=cause,
        fix=str(correction.get(FIX) or ""),
        outcome=f"people corrected {execution.execution_id}" + (f": {wrong}" if wrong else ""),
        source=incidents.CORRECTION,
        opened_at=execution.started_at,
        resolved_at=said.created_at,
        correction_id=said.id,
        said_by=[
            {"name": each.corrected_by, "verified": each.verified, "via": each.via} for each in claim.support
        ],
        said_at=max(each.created_at for each in claim.support if each.verified or not claim.weight),
        trusted=claim.trusted,
    )


def _symptoms(output: Mapping[str, Any]) -> str:
    """What was seen of the case itself: not what runbooks and memory said of it, which misled."""
    seen = [
        str(item.get("finding") or "")
        for item in _listed(output, "evidence")
        if item.get("source") not in _TELLS_OF_OTHERS
    ]
    seen = seen or [str(item.get("cause") or "") for item in _listed(output, "ruled_out")]
    return "; ".join(each for each in seen if each) or str(output.get("summary") or "")


def _listed(output: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    value = output.get(name)
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []
