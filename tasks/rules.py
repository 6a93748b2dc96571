"""Routing rules: CEL over the manager's pattern and the specialists' outputs.

A rule sees `manager` (one pattern), each specialist's output by its name without the domain's prefix
(`ecm-diagnose` → `diagnose`, `rca-trace-deploy` → `trace_deploy`), the flag `auto_fix`, and every enum
value as a constant, so `diagnose.confidence == high` needs no quotes.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import cel
from pydantic import BaseModel, ConfigDict

from blocks import config
from tasks.domain import Domain
from tasks.fields import field_at, field_names
from tasks.rule_text import RuleText

MANAGER = "manager"
AUTO_FIX = "auto_fix"


class RuleError(Exception):
    """A rule has bad syntax, or could not be evaluated with the values it was given."""

    def __init__(self, message: str, remedy: str = "") -> None:
        self.message, self.remedy = message, remedy
        super().__init__(f"{message}; {remedy}" if remedy else message)


@dataclass(frozen=True)
class Scope:
    """What the rules of one domain may refer to.

    Attributes:
        records: name in rules → the model of what it holds; `manager` and one for each specialist.
        skills: specialist's name in rules → its name in the config.
    """

    records: Mapping[str, type[BaseModel]]
    skills: Mapping[str, str] = field(default_factory=dict)

    @functools.cached_property
    def constants(self) -> Mapping[str, str]:
        """Every enum value of the records that can be written as a name."""
        taken = {*self.records, AUTO_FIX}
        values = {value for model in self.records.values() for value in _choices(model, frozenset())}
        return {value: value for value in values if value.isidentifier() and value not in taken}


@dataclass(frozen=True)
class Rule:
    """A compiled rule.

    Attributes:
        needs: the records it refers to, `manager` and specialists; it can be evaluated once all are known.
        uses_auto_fix: whether it asks for the flag `auto_fix`.
    """

    text: str
    needs: frozenset[str]
    uses_auto_fix: bool
    _program: Any = field(repr=False, compare=False)
    _constants: Mapping[str, str] = field(repr=False, compare=False)

    def evaluate(self, bindings: Mapping[str, Any]) -> bool:
        """Whether the rule fires.

        A rule that needs an absent value (null, or a number that isn't one) doesn't fire; `x == null` and
        `x != null` may ask for it.

        Args:
            bindings: records by name, as models or mappings, and `auto_fix`.

        Raises:
            RuleError: a record that the rule needs isn't bound, the evaluation failed, or gave no yes or no.
        """
        missing = sorted(self.needs - bindings.keys())
        if missing:
            raise RuleError(
                f"rule `{self.text}` needs {', '.join(missing)}", "evaluate it when that is known"
            )
        known = {AUTO_FIX: False, **{name: _plain(value) for name, value in bindings.items()}}
        try:
            answer = self._program.execute({**self._constants, **known})
        except Exception as error:
            if any(_absent(path.parts, known) for path in RuleText(self.text).paths()):
                return False
            raise RuleError(
                f"rule `{self.text}` failed: {_first_line(error)} ({self._values(known)})"
            ) from error
        if not isinstance(answer, bool):
            raise RuleError(f"rule `{self.text}` gave {answer!r}, no yes or no ({self._values(known)})")
        return answer

    def _values(self, known: Mapping[str, Any]) -> str:
        paths = dict.fromkeys(path.parts for path in RuleText(self.text).paths() if path.parts[0] in known)
        return ", ".join(f"{'.'.join(parts)} = {_shown(parts, known)}" for parts in paths)


def bound_name(skill: str, domain: str, manager: str) -> str:
    """A specialist's name in rules.

    The domain's name is dropped from its front, or else what the manager's name begins with.

    Example:
        `bound_name("rca-trace-deploy", "auto-rca", "rca-manager")` is `trace_deploy`.
    """
    for prefix in (f"{domain}-", manager.split("-", maxsplit=1)[0] + "-"):
        if skill.startswith(prefix) and skill != prefix:
            return skill.removeprefix(prefix).replace("-", "_")
    return skill.replace("-", "_")


class _Untold(BaseModel):
    """Stands for the output of a specialist whose code is missing."""

    model_config = ConfigDict(extra="allow")


def domain_scope(name: str, domain: config.Domain, code: Domain) -> Scope:
    """What the rules of a configured domain may refer to.

    Args:
        name: the domain's name in the config.
        domain: its section.
        code: its `DOMAIN`.
    """
    records: dict[str, type[BaseModel]] = {MANAGER: code.pattern}
    skills: dict[str, str] = {}
    manager = next((skill.name for skill in domain.skills if skill.role == "manager"), name)
    for skill in domain.skills:
        bound = bound_name(skill.name, name, manager)
        if skill.role == "specialist" and bound not in records:
            found = code.skills.get(skill.name)
            records[bound], skills[bound] = (found.output if found else _Untold), skill.name
    return Scope(records, skills)


def compile_rule(text: str, scope: Scope) -> Rule:
    """Compile a rule's text; RuleError with the place in the text if its syntax is bad.

    Names and types are for `tasks.rule_types.faults`.
    """
    try:
        program = cel.compile(text)
    except Exception as error:
        raise _syntax_error(text, error) from error
    names = set(program.variables())
    needs = frozenset(names & scope.records.keys())
    return Rule(text, needs, AUTO_FIX in names, program, scope.constants)


def _syntax_error(text: str, error: Exception) -> RuleError:
    message, remedy = _first_line(error), "write one such as manager.critical_count >= 10"
    if "Recursion limit" in message:
        return RuleError("the rule is nested too deeply", remedy)
    place, separator, reason = message.partition("<input>:")[2].partition(": ")
    line, _, column = place.partition(":")
    if not separator:
        return RuleError(f"`{text[:100]}` is no rule", remedy)
    where = f"column {column}" if line == "1" else f"line {line}, column {column}"
    reason = reason.removeprefix("Syntax error: ").partition(" expecting ")[0]
    return RuleError(f"bad syntax at {where} of the rule: {reason}", remedy)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


@functools.cache
def _choices(model: type[BaseModel], seen: frozenset[type[BaseModel]]) -> Sequence[str]:
    if model in seen:
        return ()
    choices: list[str] = []
    for name in field_names(model):
        found = field_at(model, (name,))
        if found and found.model:
            choices += _choices(found.model, seen | {model})
        if found:
            choices += (value for value in found.choices or () if isinstance(value, str))
    return choices


def _plain(value: Any) -> Any:
    """A value as CEL takes it: records as mappings, enums as their values, no infinite numbers."""
    if isinstance(value, BaseModel):
        return _plain(value.model_dump())
    if isinstance(value, Mapping):
        return {str(_plain(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, Enum):
        return _plain(value.value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _absent(parts: tuple[str, ...], known: Mapping[str, Any]) -> bool:
    """Whether a path leads to a null, or through one."""
    value: Any = known
    for part in parts:
        if not isinstance(value, Mapping) or part not in value:
            return False
        value = value[part]
        if value is None:
            return True
    return False


def _shown(parts: tuple[str, ...], known: Mapping[str, Any]) -> str:
    value: Any = known
    for part in parts:
        if not isinstance(value, Mapping) or part not in value:
            return "unknown"
        value = value[part]
    text = repr(value)
    return text if len(text) <= 100 else text[:99] + "…"
