"""What the ECM skills take and return."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Trend(StrEnum):
    """The backlog now against the same hour of the previous days."""

    UP = "UP"
    DOWN = "DOWN"
    STABLE = "STABLE"


class Confidence(StrEnum):
    """How sure a diagnosis is. High needs corroboration by at least two different tools."""

    high = "high"
    medium = "medium"
    low = "low"


class EcmInput(BaseModel):
    """What a run of the domain may be asked: everything by default, or one stage, or another moment."""

    model_config = ConfigDict(extra="forbid")

    stage: str = Field("", max_length=200)
    """Only this stage; all if empty."""
    as_of: datetime | None = None
    """The moment to look from, with a time zone; now if absent."""


class PatternDraft(BaseModel):
    """The model's words about one stage; the numbers are joined from data."""

    stuck_at: str
    headline: str


class TriageDraft(BaseModel):
    """What the triage model writes: stages in order of urgency, and a summary."""

    patterns: list[PatternDraft]
    summary: str


class Handoff(BaseModel):
    """What a specialist needs to start from, all of it measured."""

    stuck_at: str
    count: int
    critical_count: int
    trend: Trend
    as_of: datetime
    onset: datetime | None
    """When the oldest order still stuck entered the stage, UTC."""
    sla_hours: float
    sample_orders: list[str]


class Pattern(BaseModel):
    """One stage with orders beyond its SLA."""

    stuck_at: str
    count: int = Field(ge=0)
    critical_count: int = Field(ge=0)
    trend: Trend
    trend_ratio: float | None = Field(None, ge=0)
    """Backlog now divided by its mean at the same hour of the previous days."""
    oldest_age_hours: float = Field(ge=0)
    amount_at_risk_usd: float = Field(ge=0)
    continuing: bool
    """The last run reported this stage too, so it is not announced as new."""
    count_change: int | None = None
    """Against the last run; absent if there was none."""
    headline: str
    route_to: str | None = None
    """The specialist that routing chose first; absent if no rule matched."""
    context: Handoff


class Triage(BaseModel):
    """The manager's report: one pattern a stage, most urgent first."""

    patterns: list[Pattern]
    summary: str
    recovered: list[str] = []
    """Stages that the last run reported and that are clear now."""
    open_orders: int = Field(0, ge=0)
    data_as_of: datetime | None = None
    """The newest timestamp in the order table, UTC."""
    warnings: list[str] = []
    """What is wrong with the data itself: staleness, null or future timestamps, unknown stages."""


class Evidence(BaseModel):
    """A finding and the tool call that it rests on."""

    tool_call: int
    """Number of the call, as its result shows it, from 1."""
    source: Literal["logs", "runbook", "incident", "orders"]
    finding: str
    quote: str = ""
    """Words that stand in that result, if any single ones prove it."""


class Hypothesis(BaseModel):
    """A cause that was considered and dropped."""

    cause: str
    reason: str


class DiagnosisDraft(BaseModel):
    """What the diagnosing model writes. No root cause is a valid answer."""

    root_cause: str | None
    evidence: list[Evidence]
    recommended_fix: str | None
    fix_action: str | None
    """Name of the allowed action that carries the fix out; absent if none does."""
    runbook: str | None
    """File name of the runbook that the fix follows."""
    confidence: Confidence
    ruled_out: list[Hypothesis]


class Diagnosis(DiagnosisDraft):
    """A diagnosis whose evidence was checked; confidence follows what remained."""

    stuck_at: str
    dropped_evidence: int = Field(0, ge=0)


class FixDraft(BaseModel):
    """One action that the resolving model proposes."""

    action: str
    scope: Literal["all", "critical"]
    reason: str


class ResolutionDraft(BaseModel):
    """What the resolving model writes."""

    fixes: list[FixDraft]
    summary: str


class Resolution(ResolutionDraft):
    """A proposal, and after a person's decision what became of it."""

    stuck_at: str
