"""The comparisons that stand in a CEL rule's text, as far as they can be read with certainty.

CEL checks no types. What this reading doesn't understand it leaves out, so that nothing valid is refused.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_TOKEN = re.compile(
    r"""(?P<space>\s+|//[^\n]*)
      | (?P<text>[rRbB]{0,2}(?:"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
      | (?P<number>0x[0-9a-fA-F]+u?|\d+\.\d*(?:[eE][-+]?\d+)?|\.\d+|\d+(?:[eE][-+]?\d+)?[uU]?)
      | (?P<path>[A-Za-z_]\w*(?:\s*\.\s*[A-Za-z_]\w*)*)
      | (?P<sign>==|!=|<=|>=|&&|\|\||[<>!?:()\[\]{},.+\-*/%])""",
    re.VERBOSE | re.DOTALL,
)
_WORDS = {"true": True, "false": False, "null": None}
_RELATIONS = ("==", "!=", "<", "<=", ">", ">=")
_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_BEFORE = (None, "(", "[", "&&", "||", "?", ":", ",")
_AFTER = (None, ")", "]", "&&", "||", "?", ":", ",")
_LOGIC = ("&&", "||")
_LONG_QUOTES = ('"""', "'''")
_MACROS = ("exists", "all", "map", "filter", "exists_one", "existsOne")


@dataclass(frozen=True)
class Path:
    """A dotted name, such as `manager.critical_count`."""

    parts: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join(self.parts)


@dataclass(frozen=True)
class Literal:
    """A value written out: number, text, true, false or null."""

    value: Any


@dataclass(frozen=True)
class Comparison:
    """`left relation right`, the path on the left where there is one. `in` compares with each item."""

    left: Path | Literal
    relation: str
    right: Path | Literal

    @property
    def turned(self) -> Comparison:
        """The same comparison with its sides exchanged."""
        return Comparison(self.right, _FLIPPED.get(self.relation, self.relation), self.left)

    def __str__(self) -> str:
        return f"{_written(self.left)} {self.relation} {_written(self.right)}"


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str


def _written(side: Path | Literal) -> str:
    if isinstance(side, Path):
        return str(side)
    if side.value is None:
        return "null"
    return str(side.value).lower() if isinstance(side.value, bool) else repr(side.value)


class RuleText:
    """A rule's text, cut into tokens. Readable in whole or not at all."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text) or []

    def paths(self) -> Iterator[Path]:
        """Every dotted name that reads a value, without functions and without a macro's own variable."""
        own = self._own_names()
        for index, token in enumerate(self._tokens):
            path = self._path(index)
            if token.kind != "path" or self._sign(index - 1) == "." or not path:
                continue
            if path.parts[0] not in own:
                yield path

    def comparisons(self) -> Iterator[Comparison]:
        """The comparisons between a path and a literal or another path."""
        own = self._own_names()
        for index, token in enumerate(self._tokens):
            found: list[Comparison] = []
            if token.kind == "sign" and token.text in _RELATIONS:
                found = self._compared(index)
            elif token.kind == "path" and token.text == "in":
                found = self._members(index)
            for one in found:
                if not any(isinstance(side, Path) and side.parts[0] in own for side in (one.left, one.right)):
                    yield one

    def conditions(self) -> Iterator[Path]:
        """Paths that stand alone where only true or false can stand."""
        own = self._own_names()
        for index, token in enumerate(self._tokens):
            path = self._path(index)
            if token.kind == "path" and path and path.parts[0] not in own and self._alone(index):
                yield path

    def _own_names(self) -> set[str]:
        """Variables that macros such as exists(x, …) bring along."""
        tokens = self._tokens
        return {
            tokens[index + 2].text
            for index, token in enumerate(tokens[:-3])
            if token.kind == "path"
            and token.text.split(".")[-1] in _MACROS
            and tokens[index + 1].text == "("
            and tokens[index + 2].kind == "path"
            and tokens[index + 3].text == ","
        }

    def _sign(self, index: int) -> str | None:
        """The sign at an index, None beyond either end, and `value` for anything else."""
        if not 0 <= index < len(self._tokens):
            return None
        token = self._tokens[index]
        return token.text if token.kind == "sign" or token.text == "in" else "value"

    def _path(self, index: int) -> Path | None:
        token = self._tokens[index]
        parts = tuple(token.text.split("."))
        if self._sign(index + 1) == "(":
            parts = parts[:-1]
        if token.kind != "path" or not parts or token.text in _WORDS or token.text == "in":
            return None
        return Path(parts)

    def _operand(self, index: int) -> Path | Literal | None:
        """The operand at an index: a path that is read as it stands, or a literal."""
        if not 0 <= index < len(self._tokens):
            return None
        token = self._tokens[index]
        if token.kind == "path":
            called = self._sign(index + 1) in ("(", "[", ".")
            literal = Literal(_WORDS[token.text]) if token.text in _WORDS else None
            return literal or (None if called else self._path(index))
        return _literal(token)

    def _left(self, index: int) -> tuple[Path | Literal | None, int]:
        """The operand that ends before an index, and where it begins."""
        operand, begin = self._operand(index - 1), index - 1
        if _negative(operand) and self._sign(index - 2) == "-":
            return _minus(operand), begin - 1
        return operand, begin

    def _right(self, index: int) -> tuple[Path | Literal | None, int]:
        """The operand that begins after an index, and where the text goes on."""
        if self._sign(index + 1) == "-":
            operand = self._operand(index + 2)
            return (_minus(operand) if _negative(operand) else None), index + 3
        return self._operand(index + 1), index + 2

    def _compared(self, index: int) -> list[Comparison]:
        relation = self._tokens[index].text
        left, begin = self._left(index)
        right, end = self._right(index)
        if not left or not right or self._sign(begin - 1) not in _BEFORE or self._sign(end) not in _AFTER:
            return []
        comparison = Comparison(left, relation, right)
        if isinstance(left, Path):
            return [comparison]
        return [comparison.turned] if isinstance(right, Path) else []

    def _members(self, index: int) -> list[Comparison]:
        left, begin = self._left(index)
        if not isinstance(left, Path) or self._sign(begin - 1) not in _BEFORE or self._sign(index + 1) != "[":
            return []
        found: list[Comparison] = []
        while self._sign(index + 1) in ("[", ","):
            right, end = self._right(index + 1)
            if not right or self._sign(end) not in (",", "]"):
                return []
            found.append(Comparison(left, "==", right))
            index = end - 1
        return found

    def _alone(self, index: int) -> bool:
        before, after = self._sign(index - 1), self._sign(index + 1)
        if before == "!":
            return after in _AFTER
        if before not in _BEFORE or after not in _AFTER:
            return False
        return before in _LOGIC or after in (*_LOGIC, "?") or (before is None and after is None)


def _tokens(text: str) -> list[_Token] | None:
    found: list[_Token] = []
    place = 0
    if any(quotes in text for quotes in _LONG_QUOTES):
        return None
    while place < len(text):
        match = _TOKEN.match(text, place)
        if not match:
            return None
        place = match.end()
        if match.lastgroup and match.lastgroup != "space":
            found.append(_Token(match.lastgroup, re.sub(r"\s", "", match[0]) if match["path"] else match[0]))
    return found


def _literal(token: _Token) -> Literal | None:
    if token.kind not in ("number", "text"):
        return None
    try:
        return Literal(ast.literal_eval(token.text.rstrip("uU") if token.kind == "number" else token.text))
    except (ValueError, SyntaxError):
        return None


def _negative(operand: Path | Literal | None) -> bool:
    """Whether a minus sign may stand before it."""
    return isinstance(operand, Literal) and type(operand.value) in (int, float)


def _minus(operand: Path | Literal | None) -> Literal | None:
    return Literal(-operand.value) if isinstance(operand, Literal) else None
