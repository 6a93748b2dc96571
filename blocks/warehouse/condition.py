"""Conditions that the config's owner writes in SQL, such as `status = 'open'`, parsed before they run.

The grammar is a boolean expression over one table's columns and literals: AND, OR, NOT, comparisons, IN,
BETWEEN, LIKE, IS NULL, parentheses and the functions in `FUNCTIONS`. No subqueries, comments, semicolons or
other functions; literals become bound parameters.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import sqlalchemy as sa

FUNCTIONS = ("abs", "coalesce", "length", "lower", "trim", "upper")

Resolve = Callable[[str], sa.ColumnElement[Any]]
"""A column's name as written → its expression."""

_MAX_LENGTH = 2000
_MAX_DEPTH = 30
_KEYWORDS = {"AND", "OR", "NOT", "IN", "IS", "NULL", "LIKE", "BETWEEN", "TRUE", "FALSE"}
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_TOKEN = re.compile(
    r"""(?P<text>'(?:[^']|'')*')
    |(?P<number>-?\d+(?:\.\d+)?)
    |(?P<quoted>"(?:[^"]|"")+")
    |(?P<word>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<symbol><=|>=|<>|!=|[=<>(),])""",
    re.VERBOSE,
)


class ConditionError(ValueError):
    """The condition is not in the grammar, or names an unknown column."""


class _Token(NamedTuple):
    kind: str
    text: str

    @property
    def keyword(self) -> str:
        upper = self.text.upper()
        return upper if self.kind == "symbol" or (self.kind == "word" and upper in _KEYWORDS) else ""


_END = _Token("end", "")


def compile_condition(text: str, resolve: Resolve) -> sa.ColumnElement[bool]:
    """The condition as an SQLAlchemy expression; ConditionError says where it leaves the grammar."""
    return _Parser(text, resolve).parse()


def condition_columns(text: str) -> list[str]:
    """The columns that a condition names, in order; ConditionError if it is not in the grammar."""
    names: dict[str, None] = {}

    def note(name: str) -> sa.ColumnElement[Any]:
        names[name] = None
        return sa.column(name)

    compile_condition(text, note)
    return list(names)


def _tokens(text: str) -> list[_Token]:
    if len(text) > _MAX_LENGTH:
        raise ConditionError(f"longer than {_MAX_LENGTH} characters")
    found, position = [], 0
    while position < len(text):
        if text[position].isspace():
            position += 1
            continue
        match = _TOKEN.match(text, position)
        if not match:
            raise ConditionError(f"{text[position]!r} at character {position + 1} is not allowed")
        found.append(_Token(str(match.lastgroup), match[0]))
        position = match.end()
    return found


class _Parser:
    """Recursive descent over the tokens; each method reads one rule of the grammar."""

    def __init__(self, text: str, resolve: Resolve) -> None:
        self._tokens = _tokens(text)
        self._resolve = resolve
        self._position = 0
        self._depth = 0

    def parse(self) -> sa.ColumnElement[bool]:
        if not self._tokens:
            raise ConditionError("is empty")
        condition = self._either()
        if self._next is not _END:
            raise ConditionError(f"unexpected {self._next.text!r} after a complete condition")
        return condition

    @property
    def _next(self) -> _Token:
        return self._tokens[self._position] if self._position < len(self._tokens) else _END

    def _take(self, *keywords: str) -> str:
        """The next token's keyword if it is one of these, and past it; empty otherwise."""
        keyword = self._next.keyword
        if keyword not in keywords:
            return ""
        self._position += 1
        return keyword

    def _expect(self, keyword: str) -> None:
        if not self._take(keyword):
            raise ConditionError(f"expected {keyword}, found {self._next.text or 'the end'!r}")

    def _either(self) -> sa.ColumnElement[bool]:
        parts = [self._both()]
        while self._take("OR"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else sa.or_(*parts)

    def _both(self) -> sa.ColumnElement[bool]:
        parts = [self._negation()]
        while self._take("AND"):
            parts.append(self._negation())
        return parts[0] if len(parts) == 1 else sa.and_(*parts)

    def _negation(self) -> sa.ColumnElement[bool]:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise ConditionError(f"nested deeper than {_MAX_DEPTH} levels")
        if self._take("NOT"):
            condition = sa.not_(self._negation())
        elif self._take("("):
            condition = self._either()
            self._expect(")")
        else:
            condition = self._predicate()
        self._depth -= 1
        return condition

    def _predicate(self) -> sa.ColumnElement[bool]:
        left = self._operand()
        if symbol := self._take(*_COMPARE):
            condition: sa.ColumnElement[bool] = _COMPARE[symbol](left, self._operand())
            return condition
        if self._take("IS"):
            negated = self._take("NOT")
            self._expect("NULL")
            return left.is_not(None) if negated else left.is_(None)
        negated = self._take("NOT")
        test = self._test(left)
        if test is None and negated:
            raise ConditionError("expected IN, BETWEEN or LIKE after NOT")
        if test is None:
            return left
        return sa.not_(test) if negated else test

    def _test(self, left: sa.ColumnElement[Any]) -> sa.ColumnElement[bool] | None:
        if self._take("IN"):
            return left.in_(self._arguments(self._literal))
        if self._take("BETWEEN"):
            low = self._operand()
            self._expect("AND")
            return left.between(low, self._operand())
        if self._take("LIKE"):
            return left.like(self._literal())
        return None

    def _arguments(self, read: Callable[[], Any]) -> list[Any]:
        self._expect("(")
        found = [read()]
        while self._take(","):
            found.append(read())
        self._expect(")")
        return found

    def _literal(self) -> Any:
        token = self._next
        self._position += 1
        if token.kind == "text":
            return token.text[1:-1].replace("''", "'")
        if token.kind == "number":
            return float(token.text) if "." in token.text else int(token.text)
        if token.keyword in ("TRUE", "FALSE"):
            return token.keyword == "TRUE"
        raise ConditionError(f"expected a text or a number, found {token.text or 'the end'!r}")

    def _operand(self) -> sa.ColumnElement[Any]:
        token = self._next
        if token.kind == "quoted":
            self._position += 1
            return self._resolve(token.text[1:-1].replace('""', '"'))
        if token.kind != "word" or token.keyword:
            return sa.literal(self._literal())
        self._position += 1
        if self._next.text != "(":
            return self._resolve(token.text)
        if token.text.lower() not in FUNCTIONS:
            raise ConditionError(f"function {token.text} is not allowed; these are: {', '.join(FUNCTIONS)}")
        function = getattr(sa.func, token.text.lower())
        result: sa.ColumnElement[Any] = function(*self._arguments(self._operand))
        return result
