"""A rule as a tree: what the parser makes, the checker checks, and SQL and the replay evaluate.

Every node knows `at`, the character in the rule's text where it stands, from 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

Action = Literal["block", "review", "allow"]
Comparison = Literal["=", "<>", "<", "<=", ">", ">="]
Operator = Literal["+", "-", "*", "/"]
Kind = Literal["count", "sum", "avg", "distinct", "since", "age"]


class RuleError(ValueError):
    """The rule is not in the language, or asks for what the data doesn't have. The message is for people.

    Attributes:
        at: the character of the rule's text at fault, from 0.
    """

    def __init__(self, message: str, at: int) -> None:
        super().__init__(message)
        self.at = at

    def shown(self, text: str) -> str:
        """The message, with the rule and a mark under the character at fault."""
        flat = "".join(" " if sign.isspace() else sign for sign in text)
        start = max(0, self.at - 60)
        piece = flat[start : self.at + 40]
        return f"{self} (character {self.at + 1})\n  {piece}\n  {' ' * (self.at - start)}^"


@dataclass(frozen=True)
class Number:
    """A number; a duration is its seconds."""

    value: float
    at: int = field(default=0, compare=False)
    duration: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class Text:
    """A text in quotes."""

    value: str
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Field:
    """A field of the transaction, by its logical name."""

    name: str
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Feature:
    """What is known about a key from its transactions up to and including this one.

    `count`, `sum`, `avg`, `distinct` look at the last `seconds`, this moment included and the moment
    `seconds` ago not; `since` is the seconds since the key's transaction before, `age` those since its first.
    Of transactions at the same second, those with a lower id count as earlier.
    """

    kind: Kind
    key: str
    seconds: int = 0
    of: str = ""
    """The field summed, averaged or told apart."""
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Arithmetic:
    """Two numbers joined. A division by zero has no value."""

    operator: Operator
    left: Value
    right: Value
    at: int = field(default=0, compare=False)


Value = Number | Text | Field | Feature | Arithmetic


@dataclass(frozen=True)
class Compare:
    """A comparison; neither true nor false where a side has no value."""

    operator: Comparison
    left: Value
    right: Value
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class OneOf:
    """Whether a value is one of a list."""

    value: Value
    choices: tuple[Number | Text, ...]
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Missing:
    """Whether a value is absent."""

    value: Value
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Not:
    """A negation."""

    part: Condition
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class All:
    """Parts that must all hold."""

    parts: tuple[Condition, ...]
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Some:
    """Parts of which one must hold."""

    parts: tuple[Condition, ...]
    at: int = field(default=0, compare=False)


Condition = Compare | OneOf | Missing | Not | All | Some
Node = Condition | Value


@dataclass(frozen=True)
class Rule:
    """What is done with transactions that meet a condition."""

    action: Action
    condition: Condition
    text: str = field(compare=False)

    @property
    def features(self) -> tuple[Feature, ...]:
        """The features that it needs, each once."""
        found = (node for node in walk(self.condition) if isinstance(node, Feature))
        return tuple(dict.fromkeys(found))

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that it names, keys and summed fields of features included."""
        names: list[str] = []
        for node in walk(self.condition):
            if isinstance(node, Field):
                names.append(node.name)
            elif isinstance(node, Feature):
                names += [name for name in (node.key, node.of) if name]
        return tuple(dict.fromkeys(names))


def walk(node: Node) -> Iterator[Node]:
    """The node and all below it, from the left."""
    yield node
    for below in _below(node):
        yield from walk(below)


def _below(node: Node) -> tuple[Node, ...]:
    if isinstance(node, All | Some):
        return node.parts
    if isinstance(node, Not):
        return (node.part,)
    if isinstance(node, Compare | Arithmetic):
        return (node.left, node.right)
    if isinstance(node, OneOf):
        return (node.value, *node.choices)
    return (node.value,) if isinstance(node, Missing) else ()
