"""Names and types in routing rules, checked when the config loads: CEL itself checks none.

Refused are unknown names and fields, and single comparisons that a field's declared type, choices or range
rule out. What can't be judged with certainty passes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cel

from blocks.config_file import suggest
from tasks.fields import KIND_WORDS, FieldType, Kind, example, field_at, field_names
from tasks.rule_text import Comparison, Literal, Path, RuleText
from tasks.rules import AUTO_FIX, RuleError, Scope, compile_rule

_ORDERS = ("<", "<=", ">", ">=")
_FUNCTIONS = frozenset(
    re.findall(
        r"\w+",
        "size contains startsWith endsWith matches int uint double string bytes type dyn timestamp duration "
        "getFullYear getMonth getDate getDayOfMonth getDayOfWeek getDayOfYear "
        "getHours getMinutes getSeconds getMilliseconds",
    )
)
"""What `cel` evaluates without further libraries. Operators and macros have no plain names."""


@dataclass(frozen=True)
class Fault:
    """Something in a rule that can't be right."""

    message: str
    remedy: str


def faults(text: str, scope: Scope) -> list[Fault]:
    """Everything wrong with a rule: syntax, names, functions, comparisons."""
    try:
        compile_rule(text, scope)
    except RuleError as error:
        return [Fault(error.message, error.remedy)]
    found = [*_functions(text), *_constant(text)]
    rule = RuleText(text)
    judged: set[str] = set()
    for comparison in rule.comparisons():
        fault = _comparison(comparison, scope)
        if fault:
            judged.update(str(side) for side in (comparison.left, comparison.right) if isinstance(side, Path))
            found.append(fault)
    found += [fault for path in rule.conditions() if (fault := _condition(path, scope))]
    named = {str(path): path for path in rule.paths() if str(path) not in judged}
    found += [fault for path in named.values() if (fault := _name(path, scope, text))]
    return list(dict.fromkeys(found or _operations(text, scope)))


def _operations(text: str, scope: Scope) -> Iterator[Fault]:
    """Operations between types that CEL doesn't mix, such as a whole number times 0.5: tried on examples."""
    bindings = {AUTO_FIX: True, **scope.constants}
    bindings |= {name: example(FieldType("record", model=model)) for name, model in scope.records.items()}
    try:
        cel.compile(text).execute(bindings)
    except TypeError as error:
        reason = str(error).partition(". ")[0].partition(":")[2] or str(error)
        remedy = "bring both sides to one type with double(…), int(…) or string(…)"
        yield Fault(f"the rule mixes types:{reason[:150]}", remedy)
    except Exception:
        return


def _functions(text: str) -> Iterator[Fault]:
    for name in cel.compile(text).functions():
        if name[0].isalpha() and name not in _FUNCTIONS:
            yield Fault(f"unknown function {name}", suggest(name, _FUNCTIONS))


def _constant(text: str) -> Iterator[Fault]:
    program = cel.compile(text)
    if program.variables():
        return
    try:
        answer = program.execute({})
    except Exception:
        answer = None
    if answer is not True:
        yield Fault("the rule names nothing and is never true", "compare a field, such as manager.count > 0")


def _resolve(path: Path, scope: Scope) -> FieldType | None:
    """What a path holds; None if there is no such name or field."""
    root, *rest = path.parts
    if root in scope.records:
        return field_at(scope.records[root], tuple(rest))
    if root == AUTO_FIX and not rest:
        return FieldType("bool")
    return None


def _name(path: Path, scope: Scope, text: str) -> Fault | None:
    root, *rest = path.parts
    if _resolve(path, scope) or (root in scope.constants and not rest):
        return None
    if root not in scope.records:
        return Fault(f"unknown name {root}", _meant(root, scope, text))
    for depth in range(1, len(path.parts)):
        if field_at(scope.records[root], path.parts[1 : depth + 1]) is None:
            owner = field_at(scope.records[root], path.parts[1:depth])
            known = field_names(owner.model) if owner and owner.model else ()
            return Fault(
                f"{'.'.join(path.parts[:depth])} has no field {path.parts[depth]}",
                suggest(path.parts[depth], known),
            )
    return None


def _meant(root: str, scope: Scope, text: str) -> str:
    for bound, skill in scope.skills.items():
        if "-" in skill and re.search(rf"(?<![\w-]){re.escape(skill)}(?![\w-])", text):
            return f"{skill} is written {bound} in rules"
    for record, model in scope.records.items():
        if root in field_names(model):
            return f"did you mean {record}.{root}?"
    return suggest(root, [*scope.records, AUTO_FIX, *scope.constants])


def _condition(path: Path, scope: Scope) -> Fault | None:
    held = _resolve(path, scope)
    if held is None and len(path.parts) == 1 and path.parts[0] in scope.constants:
        held = FieldType("text")
    if held is None or held.kind in ("bool", "unknown"):
        return None
    return Fault(f"{path} is {held.words}, no yes or no", f"compare it with something, such as {path} == …")


def _comparison(comparison: Comparison, scope: Scope) -> Fault | None:
    """What is wrong with one comparison; None also where a name is unknown, which `_name` tells better."""
    left, right = comparison.left, comparison.right
    held = _resolve(left, scope) if isinstance(left, Path) else None
    other = _resolve(right, scope) if isinstance(right, Path) else None
    if held is None:
        return _comparison(comparison.turned, scope) if other and isinstance(right, Path) else None
    if other:
        return _two_fields(comparison, held, other)
    if isinstance(right, Literal):
        return _with_value(comparison, held, right.value)
    if len(right.parts) > 1:
        return None
    word = right.parts[0]
    known = word in scope.constants
    return _with_value(comparison, held, word) if known else _bare_word(comparison, held, word)


def _bare_word(comparison: Comparison, held: FieldType, word: str) -> Fault | None:
    """A name that is no constant, on the other side of a field."""
    if held.kind == "choice":
        return _never(comparison, held, suggest(word, held.choices or ()))
    if held.kind == "text":
        quoted = f'{comparison.left} {comparison.relation} "{word}"'
        return Fault(f"unknown name {word}", f"write text in quotes: {quoted}")
    return None


def _two_fields(comparison: Comparison, held: FieldType, other: FieldType) -> Fault | None:
    texts: tuple[Kind, ...] = ("text", "choice")
    same = held.kind == other.kind or (held.kind in texts and other.kind in texts)
    if "unknown" in (held.kind, other.kind) or (same and held.kind != "choice"):
        return None
    if same and (held.choices is None or other.choices is None or set(held.choices) & set(other.choices)):
        return None
    return Fault(
        f"`{comparison}` compares {held.words} with {other.words}", "compare fields that can be equal"
    )


def _with_value(comparison: Comparison, held: FieldType, value: Any) -> Fault | None:
    kind, fault = _kind(value), None
    if "unknown" in (held.kind, kind):
        return None
    if value is None:
        if not held.optional or comparison.relation not in ("==", "!="):
            fault = _never(comparison, held, f"{comparison.left} is never null; compare it with a value")
    elif held.kind == "choice" and kind == "text":
        fault = _choice(comparison, held, value)
    elif kind != held.kind:
        fault = _never(comparison, held, _right_value(held))
    elif held.kind == "bool" and comparison.relation in _ORDERS:
        fault = _never(comparison, held, f"write {comparison.left} or !{comparison.left}")
    elif held.kind == "number":
        fault = _number(comparison, held, value)
    return fault


def _kind(value: Any) -> Kind:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    if value is None:
        return "record"
    return "text" if isinstance(value, str) else "unknown"


def _right_value(held: FieldType) -> str:
    examples: dict[Kind, str] = {
        "time": 'write timestamp("2026-01-31T00:00:00Z")',
        "list": "ask for its size, or with in",
        "record": "compare one of its fields",
    }
    return examples.get(held.kind, f"compare it with {held.words if held.choices else KIND_WORDS[held.kind]}")


def _choice(comparison: Comparison, held: FieldType, value: str) -> Fault | None:
    choices = held.choices or ()
    if comparison.relation in _ORDERS:
        listed = f"{comparison.left} in [{', '.join(repr(choice) for choice in choices[:2])}]"
        return Fault(f"`{comparison}`: {held.words} has no order", f"use == or write {listed}")
    return None if value in choices else _never(comparison, held, suggest(value, choices))


def _number(comparison: Comparison, held: FieldType, value: float) -> Fault | None:
    fraction = held.whole and comparison.relation in ("==", "!=") and value != int(value)
    if fraction or _under(held, comparison.relation, value) or _over(held, comparison.relation, value):
        return _never(comparison, held, "compare it with a value that it can have")
    return None


def _under(held: FieldType, relation: str, value: float) -> bool:
    """Whether the range begins above what the comparison asks for."""
    if held.low is None or value > held.low:
        return False
    return value < held.low or relation == "<" or (held.low_open and relation in ("==", "<="))


def _over(held: FieldType, relation: str, value: float) -> bool:
    """Whether the range ends below what the comparison asks for."""
    if held.high is None or value < held.high:
        return False
    return value > held.high or relation == ">" or (held.high_open and relation in ("==", ">="))


def _never(comparison: Comparison, held: FieldType, remedy: str) -> Fault:
    return Fault(f"`{comparison}`: {comparison.left} is {held.words}", remedy)
