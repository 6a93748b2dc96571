"""Where transactions, rules in force and proposed rules stand in the warehouse, as the config maps them."""

from __future__ import annotations

import re
from datetime import timedelta
from difflib import get_close_matches
from typing import get_args

from pydantic import ConfigDict, Field, field_validator, model_validator

from blocks.config import Section, Table
from blocks.units import Duration, parse_duration
from blocks.warehouse import Kind, condition_columns
from flows.fraud.rule.check import DERIVED
from flows.fraud.rule.tree import Action

REQUIRED = ("transaction_id", "time", "amount", "customer")
TIMES = ("time", "reported_at", "customer_since")
HIDDEN = ("transaction_id", *TIMES)
"""Columns that rules can't name."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_RULE_COLUMNS = ("rule_id", "rule", "replaces", "tests")


class TransactionsTable(Table):
    """`warehouse.tables.transactions`: one row a transaction, with what became of it."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    columns: dict[str, str]
    """Logical → physical: transaction_id, time, amount, customer; optional card, terminal, device, country,
    `reported_at` (when fraud was reported), `customer_since`, and any other that rules may name."""
    fraud_when: str
    """Condition for a fraudulent transaction, such as `is_fraud = 1`."""
    label_delay: Duration = parse_duration("0s")
    """How long fraud takes to be reported: younger transactions tell nothing of precision or recall."""
    segments: list[str] = Field(default_factory=list)
    """Columns of few values by which misfires are looked for, such as country or terminal_type."""

    @field_validator("columns")
    @classmethod
    def _known(cls, columns: dict[str, str]) -> dict[str, str]:
        missing = [name for name in REQUIRED if name not in columns]
        if missing:
            raise ValueError(f"needs {', '.join(missing)} as well")
        for name, physical in columns.items():
            if not _NAME.fullmatch(name) or name in (*DERIVED, "id", "sec", "place", "fraud"):
                raise ValueError(f"{name} can't be a field's name; write a free one in lower case")
            if not physical.strip():
                raise ValueError(f"{name} is empty; write the name of the physical column")
        return columns

    @field_validator("fraud_when")
    @classmethod
    def _parsable(cls, condition: str) -> str:
        condition_columns(condition)
        return condition.strip()

    @field_validator("label_delay")
    @classmethod
    def _bounded(cls, delay: timedelta) -> timedelta:
        if delay > timedelta(days=400):
            raise ValueError("labels that take longer than 400d say nothing")
        return delay

    @model_validator(mode="after")
    def _segments_mapped(self) -> TransactionsTable:
        for name in self.segments:
            if name not in self.columns or name in (*HIDDEN, "amount"):
                close = get_close_matches(name, self.columns, n=1)
                raise ValueError(f"segments: {name} is no column to group by" + _hint(close))
        return self

    @property
    def kinds(self) -> dict[str, Kind]:
        """What each mapped column must hold."""
        known: dict[str, Kind] = {"amount": "number", **dict.fromkeys(TIMES, "moment")}
        return {name: known.get(name, "any") for name in self.columns}

    @property
    def fields(self) -> list[str]:
        """The columns that rules may name."""
        return [name for name in self.columns if name not in HIDDEN]


class RulesTable(Table):
    """`warehouse.tables.fraud_rules` and `fraud_proposals`: one row a rule."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    columns: dict[str, str]
    """Logical → physical: rule_id, rule (its text); proposals also `replaces` (a rule_id) and `tests`
    (JSON, as in a run's input)."""
    active_when: str = ""
    """Condition for a rule in force, or a proposal still open; every row if empty."""

    @field_validator("columns")
    @classmethod
    def _known(cls, columns: dict[str, str]) -> dict[str, str]:
        for name in columns:
            if name not in _RULE_COLUMNS:
                close = get_close_matches(name, _RULE_COLUMNS, n=1)
                raise ValueError(f"unknown column {name}" + _hint(close))
        missing = [name for name in _RULE_COLUMNS[:2] if name not in columns]
        if missing:
            raise ValueError(f"needs {', '.join(missing)} as well")
        return columns

    @field_validator("active_when")
    @classmethod
    def _parsable(cls, condition: str) -> str:
        if condition.strip():
            condition_columns(condition)
        return condition.strip()


class Costs(Section):
    """What a mistake costs, to weigh fraud caught against customers hurt."""

    false_positive: dict[Action, float] = Field({"block": 25.0, "review": 4.0, "allow": 0.0})
    """US dollars that one genuine transaction costs when it is blocked or reviewed."""
    reviews_a_day: int = Field(200, ge=1)
    """Transactions that reviewers can look at in a day."""

    @field_validator("false_positive")
    @classmethod
    def _all(cls, given: dict[Action, float]) -> dict[Action, float]:
        return {action: max(0.0, given.get(action, 0.0)) for action in get_args(Action)}


def _hint(close: list[str]) -> str:
    return f"; did you mean {close[0]}?" if close else ""
