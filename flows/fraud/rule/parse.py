"""The rule language: `block if amount > 220`, `review if count(terminal, 1h) > 3 and country <> 'GB'`.

A rule is an action (`block`, `review`, `allow`), `if`, and a condition: comparisons of fields, features and
numbers, `in (…)`, `between … and …`, `is null`, joined by `and`, `or`, `not` and parentheses. Features are
`count(KEY, WINDOW)`, `sum(FIELD, KEY, WINDOW)`, `avg(FIELD, KEY, WINDOW)`, `distinct(FIELD, KEY, WINDOW)`,
`since(KEY)` and `age(KEY)`; windows and durations are written `30m`, `1h`, `7d`, `2w`. Some English is
understood too: `amount above 220`, `more than 3 transactions on one terminal in an hour`.

Nothing of the text reaches SQL: it becomes a tree, and the tree an expression with bound values.
"""

from __future__ import annotations

import re
from typing import NamedTuple, cast, get_args

from flows.fraud.rule.tree import (
    Action,
    All,
    Arithmetic,
    Compare,
    Comparison,
    Condition,
    Feature,
    Field,
    Kind,
    Missing,
    Not,
    Number,
    OneOf,
    Operator,
    Rule,
    RuleError,
    Some,
    Text,
    Value,
    walk,
)

MAX_LENGTH = 2000
MAX_NODES = 300
MAX_FEATURES = 8
LONGEST_WINDOW = 26 * 7 * 86400
"""Half a year, in seconds."""

_MAX_DEPTH = 30
_ACTIONS = get_args(Action)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_UNIT_WORDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}
_SYMBOLS: dict[str, Comparison] = {
    "=": "=", "==": "=", "<>": "<>", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">=",
}  # fmt: skip
_WORDS: dict[tuple[str, ...], Comparison] = {
    ("more", "than"): ">",
    ("greater", "than"): ">",
    ("higher", "than"): ">",
    ("over",): ">",
    ("above",): ">",
    ("exceeds",): ">",
    ("less", "than"): "<",
    ("fewer", "than"): "<",
    ("lower", "than"): "<",
    ("below",): "<",
    ("under",): "<",
    ("at", "least"): ">=",
    ("at", "most"): "<=",
}
_AFTER_IS = {words[0] for words in _WORDS} | {"in", "between"}
_THINGS = ("transaction", "payment", "purchase")
_PREPOSITIONS = ("on", "by", "per", "from", "with", "in", "at", "for", "of", "to")
_ARTICLES = ("a", "an", "one", "the", "same", "each", "this", "single", "last")
_TOKEN = re.compile(
    r"""(?P<text>'(?:[^']|'')*'|"(?:[^"]|"")*")
    |(?P<number>\$?\d[\d_]*(?:\.\d+)?(?P<unit>[smhdw](?![A-Za-z0-9_]))?)
    |(?P<word>[A-Za-z][A-Za-z0-9_]*)
    |(?P<symbol><=|>=|<>|!=|==|[=<>(),+*/-])""",
    re.VERBOSE,
)


class _Token(NamedTuple):
    kind: str
    text: str
    at: int

    @property
    def word(self) -> str:
        return self.text.lower() if self.kind == "word" else ""

    @property
    def shown(self) -> str:
        return repr(self.text) if self.text else "the end of the rule"


def parse(text: str) -> Rule:
    """The rule that a text says; RuleError points at the character where it leaves the language."""
    return _Parser(text).rule()


def _tokens(text: str) -> list[_Token]:
    if len(text) > MAX_LENGTH:
        raise RuleError(f"the rule is longer than {MAX_LENGTH} characters", MAX_LENGTH)
    found: list[_Token] = []
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        match = _TOKEN.match(text, at)
        if not match:
            what = "a quote that is not closed" if text[at] in "'\"" else f"{text[at]!r} is not allowed here"
            raise RuleError(what, at)
        kind = "duration" if match["unit"] else next(
            name for name in ("text", "number", "word", "symbol") if match[name]
        )  # fmt: skip
        found.append(_Token(kind, match[0], at))
        at = match.end()
    return found


class _Parser:
    """Recursive descent; each method reads one part of the grammar."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._place = 0
        self._depth = 0

    def rule(self) -> Rule:
        action = self._action()
        condition = self._either()
        if self._next.kind != "end":
            found = self._next
            raise RuleError(f"expected and, or, or the end of the rule, found {found.shown}", found.at)
        rule = Rule(action, condition, self._text.strip())
        if sum(1 for _ in walk(condition)) > MAX_NODES:
            raise RuleError(f"the rule has more than {MAX_NODES} parts; split it into several rules", 0)
        if len(rule.features) > MAX_FEATURES:
            at = rule.features[MAX_FEATURES].at
            raise RuleError(f"the rule has more than {MAX_FEATURES} windowed features", at)
        return rule

    @property
    def _next(self) -> _Token:
        return self._ahead(0)

    def _ahead(self, count: int) -> _Token:
        place = self._place + count
        return self._tokens[place] if place < len(self._tokens) else _Token("end", "", len(self._text))

    def _take(self, *words: str) -> str:
        """The next token's word or symbol if it is one of these, and past it; empty otherwise."""
        token = self._next
        said = token.word or (token.text if token.kind == "symbol" else "")
        if said not in words or not said:
            return ""
        self._place += 1
        return said

    def _expect(self, *words: str) -> str:
        found = self._take(*words)
        if not found:
            raise RuleError(f"expected {' or '.join(words)}, found {self._next.shown}", self._next.at)
        return found

    def _action(self) -> Action:
        if not self._tokens:
            raise RuleError("the rule is empty; write one such as block if amount > 220", 0)
        action = self._expect(*_ACTIONS)
        self._expect("if", "when", "where")
        return cast(Action, action)

    def _either(self) -> Condition:
        at = self._next.at
        parts = [self._both()]
        while self._take("or"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else Some(tuple(parts), at)

    def _both(self) -> Condition:
        at = self._next.at
        parts = [self._negation()]
        while self._take("and"):
            parts.append(self._negation())
        return parts[0] if len(parts) == 1 else All(tuple(parts), at)

    def _negation(self) -> Condition:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise RuleError(f"nested deeper than {_MAX_DEPTH} levels", self._next.at)
        at = self._next.at
        condition: Condition
        if self._take("not"):
            condition = Not(self._negation(), at)
        elif self._next.text == "(" and self._is_condition():
            self._take("(")
            condition = self._either()
            self._expect(")")
        else:
            condition = self._phrase() or self._predicate()
        self._depth -= 1
        return condition

    def _is_condition(self) -> bool:
        """Whether the parenthesis ahead holds a condition rather than a calculation."""
        depth = 0
        for token in self._tokens[self._place :]:
            depth += {"(": 1, ")": -1}.get(token.text, 0)
            if depth == 0:
                break
            if token.text in _SYMBOLS or token.word in ("and", "or", "not", "is", "between"):
                return True
            if any(token.word == words[0] for words in _WORDS) or token.word in ("in", "within"):
                return True
        return False

    def _phrase(self) -> Condition | None:
        """`more than 3 transactions on one terminal in an hour`, `at least 3 different terminals per …`."""
        at = self._next.at
        words = next((words for words in _WORDS if self._says(words)), None)
        if words is None:
            return None
        self._place += len(words)
        least = self._number()
        kind: Kind = "distinct" if self._take("different", "distinct") else "count"
        what = self._next
        if what.kind != "word":
            raise RuleError(f"expected transactions, found {what.shown}", what.at)
        self._place += 1
        counted = _singular(what.word)
        if kind == "count" and counted not in _THINGS:
            message = f"expected transactions, found {what.shown}; to count other things write different"
            raise RuleError(message, what.at)
        self._expect(*_PREPOSITIONS)
        key = self._key()
        self._expect("in", "within", "per", "during")
        feature = Feature(kind, key, self._window(), counted if kind == "distinct" else "", at)
        return Compare(_WORDS[words], feature, least, at)

    def _says(self, words: tuple[str, ...]) -> bool:
        return all(self._ahead(count).word == word for count, word in enumerate(words))

    def _predicate(self) -> Condition:
        at = self._next.at
        left = self._sum()
        if self._next.word == "is" and self._ahead(1).word in _AFTER_IS:
            self._take("is")
        if operator := self._comparison():
            return Compare(operator, left, self._sum(), at)
        if self._take("is"):
            negated = bool(self._take("not"))
            if self._take("null", "missing", "empty"):
                return Not(Missing(left, at), at) if negated else Missing(left, at)
            return Compare("<>" if negated else "=", left, self._sum(), at)
        negated = bool(self._take("not"))
        test = self._test(left, at)
        if test is None:
            raise RuleError(f"expected a comparison such as > or in, found {self._next.shown}", self._next.at)
        return Not(test, at) if negated else test

    def _comparison(self) -> Comparison | None:
        if symbol := self._take(*_SYMBOLS):
            return _SYMBOLS[symbol]
        words = next((words for words in _WORDS if self._says(words)), None)
        if words is None:
            return None
        self._place += len(words)
        return _WORDS[words]

    def _test(self, left: Value, at: int) -> Condition | None:
        if self._take("in"):
            self._expect("(")
            choices = [self._literal()]
            while self._take(","):
                choices.append(self._literal())
            self._expect(")")
            return OneOf(left, tuple(choices), at)
        if self._take("between"):
            low = self._sum()
            self._expect("and")
            return All((Compare(">=", left, low, at), Compare("<=", left, self._sum(), at)), at)
        return None

    def _sum(self) -> Value:
        value = self._product()
        while operator := self._take("+", "-"):
            value = Arithmetic(cast(Operator, operator), value, self._product(), value.at)
        return value

    def _product(self) -> Value:
        value = self._value()
        while operator := self._take("*", "/"):
            value = Arithmetic(cast(Operator, operator), value, self._value(), value.at)
        return value

    def _value(self) -> Value:
        token = self._next
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise RuleError(f"nested deeper than {_MAX_DEPTH} levels", token.at)
        value: Value
        if self._take("("):
            value = self._sum()
            self._expect(")")
        elif token.kind in ("number", "duration", "text") or token.text == "-":
            value = self._literal()
        elif token.kind == "word":
            value = self._named()
        else:
            raise RuleError(f"expected a field, a feature or a number, found {token.shown}", token.at)
        self._depth -= 1
        return value

    def _literal(self) -> Number | Text:
        token = self._next
        if token.kind == "text":
            self._place += 1
            quote = token.text[0]
            return Text(token.text[1:-1].replace(quote * 2, quote), token.at)
        negative = bool(self._take("-"))
        number = self._number()
        return Number(-number.value, token.at, number.duration) if negative else number

    def _number(self) -> Number:
        token = self._next
        if token.kind not in ("number", "duration"):
            raise RuleError(f"expected a number, found {token.shown}", token.at)
        self._place += 1
        if token.kind == "duration":
            return Number(_plain(token.text[:-1]) * _UNITS[token.text[-1]], token.at, True)
        unit = _UNIT_WORDS.get(_singular(self._next.word))
        if unit:
            self._place += 1
            return Number(_plain(token.text) * unit, token.at, True)
        return Number(_plain(token.text), token.at)

    def _named(self) -> Value:
        token = self._next
        self._place += 1
        if not self._take("("):
            return Field(token.word, token.at)
        kind = token.word
        if kind not in get_args(Kind):
            known = ", ".join(get_args(Kind))
            raise RuleError(f"there is no feature {token.text}; there are: {known}", token.at)
        feature = self._feature(cast(Kind, kind), token.at)
        self._expect(")")
        return feature

    def _feature(self, kind: Kind, at: int) -> Feature:
        if kind in ("since", "age"):
            return Feature(kind, self._key(), at=at)
        of = ""
        if kind in ("sum", "avg", "distinct"):
            of = self._key()
            self._expect(",", "per", "by")
        key = self._key()
        self._expect(",", "in", "within")
        return Feature(kind, key, self._window(), of, at)

    def _key(self) -> str:
        while self._take(*_ARTICLES):
            pass
        token = self._next
        if token.kind != "word":
            raise RuleError(f"expected a field such as customer, found {token.shown}", token.at)
        self._place += 1
        return token.word

    def _window(self) -> int:
        while self._take(*_ARTICLES):
            pass
        token = self._next
        if unit := _UNIT_WORDS.get(_singular(token.word)):
            self._place += 1
            return unit
        number = self._number()
        if not number.duration:
            raise RuleError("a window needs a unit, such as 30m, 1h, 7d or 2w", token.at)
        if not 1 <= number.value <= LONGEST_WINDOW or number.value != int(number.value):
            raise RuleError("a window lies between 1s and 26w, in whole seconds", token.at)
        return int(number.value)


def _plain(text: str) -> float:
    return float(text.lstrip("$").replace("_", ""))


def _singular(word: str) -> str:
    return word.removesuffix("s") if len(word) > 1 else word
