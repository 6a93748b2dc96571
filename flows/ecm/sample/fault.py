"""What a fault of a sample world is.

Further faults can stand in a module of their own, as a tuple that is given to `draw(…, faults=…)`; their
runbooks in a folder of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal


@dataclass(frozen=True)
class Line:
    """What software prints because of a fault.

    Attributes:
        level: DEBUG, INFO, WARN or ERROR.
        text: message; `values.fill` lists the variables it may have in braces, such as `{order}`. Braces that
            belong to the message are doubled.
        when: `attempt`: each time that an affected order is tried (one such line of the wording is chosen);
            `steady`: `per_hour` times an hour from the onset on; `once`: at the onset.
        per_hour: only for `steady`.
        service: the service that prints it; the stage's own if empty. Where a wording's first line names a
            service, the held orders never reached the stage's own.
    """

    level: str
    text: str
    when: Literal["attempt", "steady", "once"] = "attempt"
    per_hour: float = 4
    service: str = ""


@dataclass(frozen=True)
class Fault:
    """A kind of failure that leaves orders stuck in a stage.

    Attributes:
        name: its identifier, written to the truth file only. It must occur in no log line and no runbook.
        stages: names of the stages that it can hit.
        wordings: at least two ways of the services to put it, each a tuple of lines with one `attempt` line
            or more, the first of them what the failing step itself prints. A world uses one wording.
        cause_keywords: lower-case substrings; a diagnosis that has one of them names the cause.
        runbooks: file names of the pages that fit, whatever the stage.
        stage_runbooks: further pages that fit in one stage.
        action: the action that frees the orders; None when only people can put it right.
        refusal: HTTP status and text with which the company answers any other action while the fault lasts.
        passing: share of the stage's orders that get through nevertheless, 0 to 1.
        stuck: range of orders stuck.
    """

    name: str
    stages: tuple[str, ...]
    wordings: tuple[tuple[Line, ...], ...]
    cause_keywords: tuple[str, ...]
    runbooks: tuple[str, ...]
    action: str | None
    refusal: tuple[int, str]
    stage_runbooks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    passing: float = 0.3
    stuck: tuple[int, int] = (45, 150)


@dataclass(frozen=True)
class Affliction:
    """A fault at work in one stage of a world.

    Attributes:
        wording: index into the fault's wordings.
        onset: when it began, UTC.
        stuck: orders of the stage beyond the SLA, those that are slow anyway included.
        critical: how many of them are critical.
    """

    stage: str
    fault: Fault
    wording: int
    onset: datetime
    stuck: int
    critical: int

    def truth(self) -> dict[str, Any]:
        """What the evaluation scores a diagnosis against."""
        pages = (*self.fault.runbooks, *self.fault.stage_runbooks.get(self.stage, ()))
        return {
            "stage": self.stage,
            "fault": self.fault.name,
            "cause_keywords": list(self.fault.cause_keywords),
            "runbooks": list(pages),
            "action": self.fault.action,
            "onset": self.onset.isoformat(),
        }
