"""The language of fraud rules: parsed, checked, compiled to SQL, and replayed slowly for comparison."""

from flows.fraud.rule.check import Schema, check
from flows.fraud.rule.parse import parse
from flows.fraud.rule.tree import Rule, RuleError
from flows.fraud.rule.words import written

__all__ = ["Rule", "RuleError", "Schema", "check", "parse", "written"]
