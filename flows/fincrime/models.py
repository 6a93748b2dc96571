"""What the FinCrime skills and tools take and return."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Kind = Literal[
    "structuring", "fan_in", "fan_out", "gather_scatter", "scatter_gather", "cycle", "bipartite",
    "stack", "pass_through", "dormant", "mule_network", "corridor",
    "payroll", "marketplace", "merchant", "family_remittance", "own_accounts", "rents", "salary",
    "purchase", "collection",
]  # fmt: skip
"""Shapes of laundering, and innocent explanations."""

INNOCENT: tuple[Kind, ...] = (
    "payroll", "marketplace", "merchant", "family_remittance", "own_accounts", "rents", "salary",
    "purchase", "collection",
)  # fmt: skip

Id = Annotated[str, StringConstraints(strip_whitespace=True, max_length=100, pattern=r"^[^\x00-\x1f]*$")]


class Verdict(StrEnum):
    """What a person should do with a case. Nothing is ever filed by itself."""

    probable_false_positive = "probable_false_positive"
    investigate = "investigate"
    escalate = "escalate"


class FinCrimeInput(BaseModel):
    """What a run may be asked: one of these; without any of them the open alerts."""

    model_config = ConfigDict(extra="forbid")

    account: Id = ""
    customer: Id = ""
    """All accounts of the customer."""
    alert: Id = ""
    """Id of an alert of the monitoring system."""
    transaction: Id = ""
    """Both of its ends are looked at."""
    as_of: datetime | None = None
    """The moment to look from, with a time zone; now if absent."""

    @model_validator(mode="after")
    def _one(self) -> FinCrimeInput:
        given = [name for name in ("account", "customer", "alert", "transaction") if getattr(self, name)]
        if len(given) > 1:
            raise ValueError(
                f"ask by one of account, customer, alert and transaction, not by {', '.join(given)}"
            )
        return self


class Indicator(BaseModel):
    """One thing that was measured."""

    name: str
    value: float
    usual: float | None = None
    """What the account's own past, or chance, would make of it; null if there is nothing to compare with."""


class Hypothesis(BaseModel):
    """What may be behind an account's transfers, with what was measured."""

    kind: Kind
    innocent: bool
    score: float = Field(ge=0, le=1)
    """How well the transfers fit."""
    indicators: list[Indicator] = []
    against: list[str] = []


class Screened(BaseModel):
    """One account with its hypotheses, the best fitting first."""

    subject: str
    alerts: list[str] = []
    reason: str = ""
    """Why it was asked about: the alert's own words, the transaction."""
    suspicion: float = Field(ge=0, le=1)
    """The score of the best fitting hypothesis that is not innocent."""
    hypotheses: list[Hypothesis]
    transfers: int
    """Of the window, counted in the warehouse."""
    total_in: float
    total_out: float
    usual_month: float
    """What comes in in a usual month."""
    counterparties: int
    new_counterparties: int
    warnings: list[str] = []
    cut: list[str] = []


class Screening(BaseModel):
    """Accounts that were looked at, the most suspicious first."""

    cases: list[Screened]
    as_of: datetime
    window_days: float
    currency: str
    open_alerts: int = 0
    """That were found, if none was asked for by name."""
    note: str = ""


class Proof(BaseModel):
    """One transfer that shows it."""

    id: str
    time: datetime
    sender: str
    receiver: str
    value: float | None
    cash: bool = False


class Tested(Hypothesis):
    """A hypothesis with its proof."""

    proof: list[Proof] = []
    proof_total: int = 0
    """Transfers that make it; `proof` has the first of them."""


class CaseFile(BaseModel):
    """What the data shows of each hypothesis about one account."""

    subject: str
    customer: str = ""
    country: str = ""
    business: bool = False
    opened_at: datetime | None = None
    since: datetime
    as_of: datetime
    currency: str
    usual_month: float
    total_in: float
    total_out: float
    transfers: int
    hypotheses: list[Tested]
    warnings: list[str] = []
    cut: list[str] = []


class Doubt(BaseModel):
    """One attempt to knock a hypothesis down."""

    kind: Kind
    question: str
    finding: str
    holds: bool
    """Whether the hypothesis stands it."""
    factor: float = Field(ge=0, le=1)
    """What is left of its score."""


class Stand(BaseModel):
    """What is left of a hypothesis after all doubts."""

    kind: Kind
    score: float
    support: float
    verdict: Verdict


class Challenge(BaseModel):
    """The sceptical pass: every attempt, and what is left."""

    subject: str
    doubts: list[Doubt]
    stands: list[Stand]
    """The best supported first."""
    verdict: Verdict


class PatternDraft(BaseModel):
    """The model's words about one account; the numbers are joined from data."""

    subject: str
    headline: str


class HypothesesDraft(BaseModel):
    """What the manager's model writes: accounts, the most pressing first, and a summary."""

    patterns: list[PatternDraft]
    summary: str


class Handoff(BaseModel):
    """What the specialist starts from, all of it measured."""

    subject: str
    alerts: list[str]
    reason: str
    suspicion: float
    hypotheses: list[Hypothesis]
    as_of: datetime


class Pattern(BaseModel):
    """One account that was asked about."""

    subject: str
    rank: int = Field(ge=1)
    hypothesis: str
    """The best fitting one that is not innocent; empty if there is none."""
    suspicion: float = Field(ge=0, le=1)
    explanation: str
    """The best fitting innocent one; empty if there is none."""
    transfers: int = Field(ge=0)
    total_in: float
    total_out: float
    usual_month: float
    counterparties: int = Field(ge=0)
    new_counterparties: int = Field(ge=0)
    alerts: int = Field(ge=0)
    headline: str
    route_to: str | None = None
    """The specialist that routing chose first; absent if no rule matched."""
    context: Handoff


class Ranked(BaseModel):
    """One hypothesis about one account, for people."""

    subject: str
    hypothesis: Kind
    innocent: bool
    score: float
    measured: str
    against: str


class Hypotheses(BaseModel):
    """The manager's report: a pattern an account, and all their hypotheses in order of score."""

    patterns: list[Pattern]
    summary: str
    hypotheses: list[Ranked] = []
    as_of: datetime | None = None
    warnings: list[str] = []
    """What is wrong with the data itself, and what was cut."""


class Evidence(BaseModel):
    """A finding and the tool call that it rests on."""

    tool_call: int
    """Number of the call, as its result shows it, from 1."""
    source: Literal["case", "doubts", "graph"]
    finding: str
    quote: str = ""
    """Words that stand in that result, if any single ones prove it."""


class Answer(BaseModel):
    """One part of the narrative."""

    question: Literal["who", "what", "when", "where", "why", "how"]
    text: str


class DiagnosisDraft(BaseModel):
    """What the specialist's model writes: a first verdict, the proof, and the second, sceptical look."""

    hypothesis: str
    """The kind that is left standing; empty if none is."""
    first_verdict: Verdict
    proof: list[str]
    """Ids of the transfers that show it."""
    evidence: list[Evidence]
    against: list[str]
    """What speaks against it."""
    second_verdict: Verdict
    """After trying to knock the first one down; never above it."""
    second_look: str
    """What was tried, and what came of it."""
    narrative: list[Answer]
    """A draft for a person to finish: who, what, when, where, why, how. None for a false positive."""
    next_steps: list[str]
    summary: str


class Moment(BaseModel):
    """One line of the timeline."""

    time: datetime
    what: str


class Diagnosis(BaseModel):
    """A judged case: the lower of both verdicts, and only proof that stands in the warehouse."""

    subject: str
    verdict: Verdict
    hypothesis: str
    support: float = Field(ge=0, le=1)
    """What is left of the hypothesis after every doubt, as measured."""
    first_verdict: Verdict
    summary: str
    findings: list[str]
    picture: list[str] = []
    """The money's way, in signs."""
    narrative: list[Answer]
    """A draft; a person finishes it and decides. Nothing is filed."""
    timeline: list[Moment]
    transactions: list[Proof]
    proof_total: int = 0
    hypotheses: list[Ranked]
    doubts: list[Doubt]
    evidence: list[Evidence]
    next_steps: list[str]
    dropped_proof: int = Field(0, ge=0)
    """Ids that the model named and that no tool found in the warehouse."""
    dropped_evidence: int = Field(0, ge=0)
    warnings: list[str] = []
