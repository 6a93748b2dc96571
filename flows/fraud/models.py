"""What the fraud skills and tools take and return. Money is in the transactions' own currency unit."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

LONGEST_RULE = 2000


class Evasion(StrEnum):
    """How easily a fraudster keeps below the rule."""

    easy = "easy"
    hard = "hard"
    unknown = "unknown"


class Verdict(StrEnum):
    """One check's result."""

    passed = "pass"
    warning = "warn"
    failed = "fail"


class RuleTest(BaseModel):
    """A case that a proposed rule must decide rightly: transactions, the last of which is judged."""

    model_config = ConfigDict(extra="forbid")

    transactions: list[dict[str, Any]] = Field(min_length=1, max_length=50)
    """Each with the rule's fields; `time` as ISO text, if it matters."""
    hit: bool


class FraudInput(BaseModel):
    """What a run may be asked: a proposed rule, or by default every proposal that waits in the warehouse."""

    model_config = ConfigDict(extra="forbid")

    rule: str = Field("", max_length=LONGEST_RULE)
    """The proposed rule: `block if amount > 220`; all waiting proposals if empty."""
    replaces: str = Field("", max_length=200)
    """Id of the rule in force that it would replace; a rule of its own if empty."""
    threshold: float | None = Field(None, allow_inf_nan=False)
    """Instead of a rule: the new threshold of the rule `replaces`."""
    tests: list[RuleTest] = Field(default_factory=list, max_length=50)
    """Cases that the rule must decide rightly."""
    since: datetime | None = None
    """Judge it on transactions from here on; on the whole history if absent."""
    as_of: datetime | None = None
    """The moment to look from, with a time zone; now if absent."""

    @model_validator(mode="after")
    def _threshold_of_a_rule(self) -> FraudInput:
        if self.threshold is not None and (not self.replaces or self.rule):
            raise ValueError("threshold goes with replaces, the id of the rule in force, and without rule")
        return self


class Interval(BaseModel):
    """Where the true value lies with 95 % confidence."""

    low: float
    high: float


class Figures(BaseModel):
    """What one rule did. Shares count transactions old enough for their label; hits count all."""

    hits: int
    amount: float
    customers: int
    """Distinct customers that it hit."""
    immature_hits: int
    """Hits too young to be judged."""
    fraud_caught: int
    fraud_caught_amount: float
    false_positives: int
    false_positive_amount: float
    customers_hurt: int
    """Distinct customers of whom it hit a genuine transaction."""
    precision: float | None
    precision_interval: Interval | None
    recall: float | None
    recall_interval: Interval | None
    recall_amount: float | None
    """Share of the money lost to fraud that it caught."""
    false_positive_rate: float | None
    """Share of genuine transactions that it hit."""


class Change(BaseModel):
    """The proposed rule against the one it replaces, or against nothing."""

    newly_hit: int
    newly_caught: int
    newly_caught_amount: float
    newly_hit_genuine: int
    newly_hurt_customers: int
    """Distinct customers with a genuine transaction that is hit only now."""
    lost_fraud: int
    lost_fraud_amount: float
    released_genuine: int
    recall_change: float | None
    recall_change_interval: Interval | None
    fraud_amount_a_day: float
    """Money caught more, or less, in a day on average."""
    fraud_amount_a_day_interval: Interval | None
    """From the days' differences; absent with fewer than five days."""
    genuine_a_day: float
    genuine_a_day_interval: Interval | None
    net_amount: float
    """Money caught more, less what false positives cost by the config."""


class Overlap(BaseModel):
    """The proposed rule and one in force."""

    rule_id: str
    rule: str
    action: str
    both: int
    only_proposed: int
    only_existing: int
    share: float
    """Transactions that both hit, of those that either does."""
    relation: Literal["same", "inside", "contains", "overlaps", "apart"]


class Day(BaseModel):
    """One day, or the week that begins then."""

    day: date
    hits: int
    fraud_caught: int
    false_positives: int
    current_hits: int
    frauds: int


class Problem(BaseModel):
    """Why a rule can't be judged, and where."""

    message: str
    at: int
    """The character at fault, from 0."""
    shown: str
    """The message with a mark under the character."""


class Backtest(BaseModel):
    """What a proposed rule would have done, counted in the warehouse."""

    rule_id: str = ""
    """Of the proposal, if it stands in the warehouse."""
    rule: str
    action: str = ""
    replaces: str = ""
    current_rule: str = ""
    """The text of the rule that it replaces."""
    problem: Problem | None = None
    since: datetime | None = None
    until: datetime | None = None
    labels_until: datetime | None = None
    """Transactions from here on are too young to be judged."""
    transactions: int = 0
    mature_transactions: int = 0
    frauds: int = 0
    """Among the mature transactions."""
    fraud_amount: float = 0
    proposed: Figures | None = None
    current: Figures | None = None
    change: Change | None = None
    hits_of_its_own: int = 0
    """Hits that no rule in force has, the replaced one aside."""
    fraud_of_its_own: int = 0
    overlaps: list[Overlap] = []
    by_day: list[Day] = []
    by: Literal["day", "week"] = "day"
    just_under: int = 0
    """Transactions that pass the thresholds by a tenth, or by one, or less."""
    fraud_just_under: int = 0
    evasion: Evasion = Evasion.unknown
    never_fires: str = ""
    """Why no transaction can meet it, or that none did; empty if it fires."""
    conflicts: list[str] = []
    """Rules in force that decide otherwise on transactions that it hits."""
    duplicates: list[str] = []
    """Rules in force that hit all that it hits."""
    tests: int = 0
    """How many test cases came with it."""
    test_cases: list[dict[str, Any]] = []
    """Those of a stored proposal."""
    warnings: list[str] = []
    note: str = ""


class Backtests(BaseModel):
    """The backtests of all waiting proposals, or of the one rule asked for."""

    backtests: list[Backtest]
    rules_in_force: int
    warnings: list[str] = []
    note: str = ""


class Segment(BaseModel):
    """A part of the genuine transactions that the rule hits more than the others."""

    field: str
    value: str
    genuine: int
    false_positives: int
    rate: float
    """Of its genuine transactions, how many are hit."""
    elsewhere: float
    """The same of all other genuine transactions."""
    times: float | None
    """`rate` over `elsewhere`; absent if none is hit elsewhere."""
    fraud_caught: int
    z: float
    """How many standard errors apart the two rates are."""


class SampleTransaction(BaseModel):
    """One transaction, to look at."""

    transaction_id: str
    time: datetime
    amount: float
    customer: str
    why: Literal["genuine and hit", "fraud just under the threshold"]
    fields: dict[str, Any] = {}


class Refinement(BaseModel):
    """A variant of the rule; one is proposed only if it is better on the older and the newer days alike."""

    rule: str
    how: str
    fraud_caught: int
    fraud_caught_amount: float
    false_positives: int
    precision: float | None
    recall: float | None
    net_amount: float
    newer_net_amount: float
    """On the newest three tenths of the days alone."""
    newer_net_amount_before: float
    """The proposed rule's own, there."""


class EdgeCases(BaseModel):
    """Where a rule misfires, who passes just under it, and what would be better."""

    rule: str
    problem: Problem | None = None
    segments: list[Segment] = []
    looked_at: list[str] = []
    """Fields by which segments were formed."""
    samples: list[SampleTransaction] = []
    just_under: int = 0
    fraud_just_under: int = 0
    evasion: Evasion = Evasion.unknown
    refinement: Refinement | None = None
    tried: list[Refinement] = []
    before: Refinement | None = None
    """The proposed rule in the same figures."""
    warnings: list[str] = []
    note: str = ""


class Check(BaseModel):
    """One item of the checklist."""

    name: str
    verdict: Verdict
    detail: str


class TestRun(BaseModel):
    """One test case that was run through the same SQL as the backtest."""

    __test__ = False

    name: str
    expected: bool
    got: bool

    @property
    def right(self) -> bool:
        """Whether it was decided as expected."""
        return self.expected == self.got


class Checklist(BaseModel):
    """All checks of one rule."""

    rule: str
    checks: list[Check]
    tests: list[TestRun] = []
    warnings: list[str] = []
    note: str = ""


class PatternDraft(BaseModel):
    """The model's words about one proposed rule; the numbers are joined from data."""

    rule: str
    """The pattern's key, as the tool gives it in `rule_id`, or the rule's text if that is empty."""
    headline: str


class SimulationDraft(BaseModel):
    """What the simulating model writes."""

    patterns: list[PatternDraft]
    summary: str


class Handoff(BaseModel):
    """What a specialist needs to start from."""

    rule: str
    replaces: str
    tests: list[dict[str, Any]] = []
    since: datetime | None
    as_of: datetime | None
    hits: int
    newly_hit_genuine: int
    fraud_caught: int


class Pattern(BaseModel):
    """One proposed rule and what it would have done."""

    rule: str
    """The proposal's id, or the rule's text if it has none."""
    hits: int = Field(ge=0)
    fraud_caught: int = Field(ge=0)
    false_positives: int = Field(ge=0)
    precision: float | None = Field(None, ge=0, le=1)
    recall: float | None = Field(None, ge=0, le=1)
    net_amount: float = 0
    text: str
    action: str
    replaces: str
    fraud_caught_amount: float
    false_positive_rate: float | None = Field(None, ge=0, le=1)
    newly_caught: int = Field(0, ge=0)
    newly_hit_genuine: int = Field(0, ge=0)
    customers_hurt: int = Field(0, ge=0)
    lost_fraud: int = Field(0, ge=0)
    fraud_just_under: int = Field(0, ge=0)
    evasion: Evasion = Evasion.unknown
    conflicts: int = Field(0, ge=0)
    duplicates: int = Field(0, ge=0)
    never_fires: bool = False
    tested: bool
    valid: bool
    headline: str
    route_to: str | None = None
    context: Handoff


class Simulation(BaseModel):
    """The manager's report: one pattern a proposed rule."""

    patterns: list[Pattern]
    summary: str
    backtests: list[Backtest] = []
    rules_in_force: int = 0
    warnings: list[str] = []
    picture: list[str] = []
    """Drawn in signs, line by line."""


class EdgeDraft(BaseModel):
    """What the edge-case model writes."""

    verdict: Literal["keep", "refine", "drop"]
    refined_rule: str | None
    """One of the variants that the tool tried; absent if none is better."""
    findings: list[str]
    summary: str


class EdgeReport(EdgeDraft):
    """The findings with the tool's figures; a refined rule is one that was backtested."""

    rule: str
    segments: list[Segment]
    samples: list[SampleTransaction]
    evasion: Evasion
    fraud_just_under: int
    refinement: Refinement | None
    before: Refinement | None
    warnings: list[str] = []
    picture: list[str] = []
    """Drawn in signs, line by line."""


class QaDraft(BaseModel):
    """What the checking model writes."""

    findings: list[str]
    summary: str


class QaReport(QaDraft):
    """The checklist; ready only if nothing failed."""

    rule: str
    verdict: Verdict
    """The worst of the checks."""
    checks: list[Check]
    tests_run: int = Field(0, ge=0)
    tests_failed: int = Field(0, ge=0)
    tests: list[TestRun] = []
    warnings: list[str] = []
