"""What the auto-RCA skills take and return."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Role(StrEnum):
    """Whether a service's trouble is its own, or comes from what it calls."""

    cause = "cause"
    symptom = "symptom"


class Metric(StrEnum):
    """What deviates: seconds that answers take, or the share of requests that fail."""

    latency = "latency"
    failures = "failures"


class Confidence(StrEnum):
    """How sure a trace is. High needs corroboration by at least two different tools."""

    high = "high"
    medium = "medium"
    low = "low"


class RcaInput(BaseModel):
    """What a run of the domain may be asked: an alert, or without a service the alerts that fire now."""

    model_config = ConfigDict(extra="forbid")

    service: str = Field("", max_length=200)
    """The service that alerts; the longest firing alert's if empty."""
    metric: Metric | None = None
    """What the alert is about; both are looked at if absent."""
    at: datetime | None = None
    """When it fired, with a time zone; now if absent."""
    alert: str = Field("", max_length=500)
    """Its name or summary, for people."""


class PatternDraft(BaseModel):
    """The model's words about one service; the numbers are joined from data."""

    service: str
    headline: str


class AnomaliesDraft(BaseModel):
    """What the detecting model writes: services, the likeliest cause first, and a summary."""

    patterns: list[PatternDraft]
    summary: str


class Handoff(BaseModel):
    """What a specialist needs to start from, all of it measured."""

    service: str
    alert_service: str
    metric: Metric
    at: datetime
    onset: datetime
    usual: float
    peak: float
    score: float
    path: list[str]
    new_callees: list[str]
    overloaded: bool = False
    """It gets far more requests than usual."""
    others: list[str]
    """The other services that deviate."""
    reasons: list[str]


class Pattern(BaseModel):
    """One service that deviates."""

    service: str
    rank: int = Field(ge=1)
    role: Role
    metric: Metric
    score: float = Field(ge=0, le=1)
    """How likely it is the cause."""
    share: float = Field(ge=0, le=1)
    """Of the alert's additional seconds or failures, what is its own."""
    usual: float
    peak: float
    spreads: float = Field(ge=0)
    onset: datetime
    continuing: bool
    """The last run reported this service too, so it is not announced as new."""
    headline: str
    route_to: str | None = None
    """The specialist that routing chose first; absent if no rule matched."""
    context: Handoff


class Anomalies(BaseModel):
    """The manager's report: a pattern a service, the likeliest cause first; none if nothing is anomalous."""

    patterns: list[Pattern]
    summary: str
    alert_service: str = ""
    metric: Metric | None = None
    rarity: float | None = Field(None, ge=0, le=1)
    """Share of normal windows that are as unusual; absent if there are too few to tell."""
    picture: list[str] = []
    """The metric of the alerting service and of the causes around the alert: name and bars, a line each."""
    warnings: list[str] = []
    """What is wrong with the data itself: missing, cut, or too little to compare with."""


class Evidence(BaseModel):
    """A finding and the tool call that it rests on."""

    tool_call: int
    """Number of the call, as its result shows it, from 1."""
    source: Literal["changes", "logs", "metrics", "incident"]
    finding: str
    quote: str = ""
    """Words that stand in that result, if any single ones prove it."""


class Hypothesis(BaseModel):
    """A change or cause that was considered and dropped."""

    cause: str
    reason: str


class TraceDraft(BaseModel):
    """What the tracing model writes. No root cause is a valid answer."""

    root_cause: str | None
    suspected_change: str | None
    """Id of the change; absent if no change explains it."""
    evidence: list[Evidence]
    refuted_by: list[str]
    """What would show that it was not the cause."""
    recommended_fix: str | None
    fix_action: str | None
    """Name of the allowed action that takes the change back; absent if none does."""
    confidence: Confidence
    ruled_out: list[Hypothesis]


class Change(BaseModel):
    """The suspected change, as its record tells it."""

    id: str
    kind: str
    service: str
    at: datetime
    minutes_before_onset: float
    version: str
    previous_version: str
    summary: str


class Rollback(BaseModel):
    """The action that takes a change back."""

    action: str
    scope: str
    """The change's id."""
    reason: str


class Trace(TraceDraft):
    """A trace whose evidence was checked; confidence follows what remained."""

    service: str
    change: Change | None = None
    fixes: list[Rollback] = []
    summary: str = ""
    dropped_evidence: int = Field(0, ge=0)
