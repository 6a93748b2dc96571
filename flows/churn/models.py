"""What the churn skills and tools take and return."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Confidence(StrEnum):
    """How sure a reason is. High needs that it came true in the past."""

    high = "high"
    medium = "medium"
    low = "low"


class ChurnInput(BaseModel):
    """What a run of the domain may be asked: everybody by default, one reason, or another moment."""

    model_config = ConfigDict(extra="forbid")

    driver: str = Field("", max_length=200)
    """Only customers at risk for this reason; all if empty."""
    as_of: datetime | None = None
    """The moment to look from, with a time zone; now if absent."""


class Interval(BaseModel):
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float


class LeftOut(BaseModel):
    """A column that the model may not use."""

    column: str
    role: Literal["protected", "leaking", "id", "constant"]
    reason: str


class Model(BaseModel):
    """What was learnt, and how it did on the newest time whose outcome is known, which it had not seen."""

    trained_on: int
    """Customers at earlier moments; one customer counts at each of them."""
    trained_leavers: int
    tested_on: int
    tested_leavers: int
    auc: Interval
    """Interval: DeLong."""
    precision_top_tenth: Interval
    """Interval: Wilson."""
    calibration_error: float
    expected_leavers: float
    """Of the customers tested on, how many it expected to leave."""
    telling: bool
    """Whether those whom it held at risk then left clearly more often than the others."""
    drifted: dict[str, float] = {}
    """Columns that are no longer as in the time learnt from, with their population stability index."""


class SegmentFacts(BaseModel):
    """The customers at risk for one reason."""

    driver: str
    customers: int
    contactable: int
    """Those who may be written to now."""
    risk: float
    """Mean probability to leave within the horizon."""
    expected_leavers: float
    value_at_risk: float
    """US dollars a year: what they bring, times the probability that they leave."""
    avoidable_value: float
    """The part of it that goes away if the reason does."""
    examples: list[str]
    """Customers with the highest risk."""
    signs: list[str]
    """How they differ from all others."""
    offers: int
    """Entries of the catalogue that answer the reason."""


class Risks(BaseModel):
    """Who is at risk at a moment, by reason."""

    as_of: datetime
    customers: int
    """Customers who have not left."""
    at_risk: int = 0
    usual_risk: float = 0.0
    """Mean probability to leave within the horizon."""
    horizon_days: float
    segments: list[SegmentFacts] = []
    """Largest avoidable value first."""
    model: Model | None = None
    left_out: list[LeftOut] = []
    problem: str = ""
    """Why nothing could be learnt; empty if it could."""
    picture: list[str] = []
    warnings: list[str] = []
    note: str = ""


class Difference(BaseModel):
    """One measure of a segment against all other customers."""

    measure: str
    segment: float
    others: float


class Mix(BaseModel):
    """A value of an attribute that is more frequent in a segment than elsewhere."""

    attribute: str
    value: str
    segment: float
    """Share of the segment's customers."""
    others: float


class Profile(BaseModel):
    """What is known of a segment."""

    driver: str
    customers: int
    risk: float
    usual_risk: float
    value_at_risk: float
    avoidable_value: float
    differences: list[Difference]
    mix: list[Mix]
    past_customers: int
    """Customers at risk for the reason in the newest time whose outcome is known."""
    past_expected: float
    """How many of them the model, which had not seen that time, expected to leave."""
    past_left: int
    past_share: Interval
    """Share of them that left. Interval: Wilson."""
    past_others_share: Interval
    """Share of the customers at no risk that left."""
    confirmed: bool
    """Whether significantly more of them left than of those at no risk."""
    also: dict[str, float]
    """Other reasons that push these customers: mean added log-odds."""
    picture: list[str] = []
    note: str = ""


class OfferFacts(BaseModel):
    """An entry of the catalogue against a segment."""

    id: str
    text: str
    discount: float
    cost_per_customer: float
    """US dollars: the discount on three months' fees, and what the message costs."""
    assumed_effect: float
    kept: float
    """Customers that it keeps, if the assumption holds."""
    net_value: float
    """US dollars a year that they bring, less what it costs."""
    allowed: bool
    reason: str = ""
    """Why not, if it is not allowed."""


class Offers(BaseModel):
    """What may be offered to a segment."""

    driver: str
    customers: int
    contactable: int
    off_limits: dict[str, int]
    """Why the others may not be written to."""
    offers: list[OfferFacts]
    """Largest net value first."""
    note: str = ""


class Experiment(BaseModel):
    """How to find out whether an offer works."""

    driver: str
    offer: str
    contactable: int
    control_share: float
    """Customers who get nothing, drawn by a hash of their id."""
    control: int
    treatment: int
    usual_share: float
    """Share that leaves without the offer, within the horizon."""
    assumed_share: float
    needed_each: int
    """Customers in each group to see the assumed effect with 80 % power at 5 % significance."""
    enough: bool
    smallest_effect: float | None
    """The smallest relative effect that these groups show; null if not even that nobody leaves."""
    days: float
    """How long to wait for the outcome."""
    method: str
    note: str = ""


class Recipient(BaseModel):
    """A customer who would be sent an offer now."""

    customer_id: str
    value: float
    """US dollars a year."""
    last_contact: str = "never"


class Recipients(BaseModel):
    """Who would be sent an offer now: contactable, not in the control group; the largest loss first."""

    driver: str
    offer: str
    recipients: list[Recipient]
    note: str = ""


class PatternDraft(BaseModel):
    """The model's words about one segment; the numbers are joined from data."""

    driver: str
    headline: str


class SignalsDraft(BaseModel):
    """What the analysing model writes: segments in order of urgency, and a summary."""

    patterns: list[PatternDraft]
    summary: str


class Handoff(BaseModel):
    """What a specialist needs to start from, all of it measured."""

    driver: str
    as_of: datetime
    customers: int
    contactable: int
    risk: float
    usual_risk: float
    value_at_risk: float
    avoidable_value: float
    signs: list[str]
    telling: bool


class Pattern(BaseModel):
    """One segment of customers at risk."""

    driver: str
    customers: int = Field(ge=0)
    contactable: int = Field(ge=0)
    risk: float = Field(ge=0, le=1)
    lift: float = Field(ge=0)
    """Risk divided by the usual one."""
    expected_leavers: float = Field(ge=0)
    value_at_risk: float = Field(ge=0)
    avoidable_value: float
    offers: int = Field(ge=0)
    telling: bool
    """On the newest known time, those at risk left clearly more often than the others."""
    continuing: bool
    """The last run reported this reason too, so it is not announced as new."""
    headline: str
    route_to: str | None = None
    """The specialist that routing chose first; absent if no rule matched."""
    context: Handoff


class Signals(BaseModel):
    """The manager's report: one pattern a reason, the most value first."""

    patterns: list[Pattern]
    summary: str
    customers: int = Field(0, ge=0)
    at_risk: int = Field(0, ge=0)
    problem: str = ""
    model: Model | None = None
    left_out: list[LeftOut] = []
    picture: list[str] = []
    warnings: list[str] = []


class Evidence(BaseModel):
    """A finding and the tool call that it rests on."""

    tool_call: int
    """Number of the call, as its result shows it, from 1."""
    source: Literal["history", "catalogue", "experiment"]
    finding: str
    quote: str = ""
    """Words that stand in that result, if any single ones prove it."""


class Hypothesis(BaseModel):
    """An offer or a reason that was considered and dropped."""

    cause: str
    reason: str


class PlanDraft(BaseModel):
    """What the personalizing model writes. No offer is a valid answer."""

    root_cause: str | None
    """The likely reason, in words."""
    evidence: list[Evidence]
    offer: str | None
    """Id of an offer of the catalogue; absent if none is worth it."""
    confidence: Confidence
    ruled_out: list[Hypothesis]


class Send(BaseModel):
    """The action that sends an offer."""

    action: str
    scope: str
    """`offer@control share`."""
    reason: str


class Plan(PlanDraft):
    """A draft whose evidence was checked, with an offer that the catalogue allows. Nothing is sent by it."""

    driver: str
    recommended_fix: str | None = None
    message: str = ""
    """Word for word from the catalogue."""
    experiment: Experiment | None = None
    refuted_by: list[str] = []
    fixes: list[Send] = []
    summary: str = ""
    picture: list[str] = []
    dropped_evidence: int = Field(0, ge=0)
