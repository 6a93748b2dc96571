"""Log templates: messages that say the same, with what varies between them as `<*>`.

Ids, numbers, addresses and times are masked; codes that tell what went wrong (HTTP statuses, error codes,
exception names) stay. Then positions that take many values become `<*>` too. Nothing here depends on the
order in which lines are read.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import lru_cache

VARIABLE = "<*>"

_UNIT = r"(?:ms|[µun]s|secs?|seconds?|mins?|minutes?|hours?|hrs?|days?|[smhd]|[kKMGT]i?[bB]|bytes)(?!\w)"
_CODE_WORD = (
    r"(?i:https?|status(?:[_ ]?code)?|code|errno|error(?:[_ ]?code)?|err|reason(?:[_ ]?code)?"
    r"|exit(?:[_ ]code)?|rc|signal)"
)
_PATTERN = re.compile(
    rf"""(?<![A-Za-z0-9])(?:
      (?P<url>[a-z][a-z+.-]{{1,15}}://[^\s"'<>,;)\]}}]+)
    | (?P<email>[\w.+-]{{1,64}}@[\w-]+(?:\.[\w-]+)+)
    | (?P<uuid>(?<![\w-])[0-9a-fA-F]{{8}}-(?:[0-9a-fA-F]{{4}}-){{3}}[0-9a-fA-F]{{12}}(?![\w-]))
    | (?P<time>(?<!\d)\d{{4}}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?
        | (?<![\d:])\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?![\d:]))
    | (?P<pair>(?=\w{{2,60}}=)(?<![\w.])
        (?:(?:\w{{0,40}}_)?(?:id|uuid|ref|reference|utr|rrn|iban|account|user|customer|sender
        |beneficiary|ip|email|phone|token|session)|[a-z]\w{{0,40}}?(?:Id|ID|Uuid|Ref))=(?:"[^"]*"|[^\s,;)\]}}]+))
    | (?P<ip>(?<![\w.])\d{{1,3}}(?:\.\d{{1,3}}){{3}}(?::\d+)?(?![\w.])
        | (?<![\w:])(?:[0-9a-fA-F]{{1,4}}:){{3,7}}[0-9a-fA-F]{{0,4}}(?![\w:]))
    | (?P<code>(?<![A-Za-z0-9])(?i:sqlstate)\W{{0,3}}[0-9A-Z]{{5}}\b
        | (?<![A-Za-z0-9])(?=[hscerxHSCERX]){_CODE_WORD}["']?[ =:(\[]{{0,3}}["']?
            [A-Z]{{0,6}}[-_]?\d{{1,5}}(?![\w.,-]*\d|\s?{_UNIT}|%)\b
        | (?<![A-Za-z0-9])HTTP/\d(?:\.\d)?(?:"?\s[1-5]\d\d\b)?
        | (?<![\w.-])[1-5]\d\d(?=\s[A-Z][a-z]+)
        | (?<=\()[45]\d\d(?=\))
        | (?:\b(?:returned|responded|answered|responded\ with|got|received|with|by)\s|(?<=[:>]\s))
            [45]\d\d(?![\w.,-]*\d)
            (?=$|[\s,.;)])(?!\s(?:rows|records|orders|items|messages|bytes|ms|entries|files))
        | (?<="\s)[1-5]\d\d\b
        | (?<![\w-])(?:ORA|TNS|ERR(?:OR)?|SQL|PG|EC?|RC|SSL|DB)[-_]?\d{{2,5}}(?![\w-])
        | (?<![\w-])[A-Z]{{1,4}}\d{{1,4}}(?![\w-])
        | (?<![\w-])(?:oauth|OAuth|http|ipv|sha|md|utf-?|base|s|x|ec|h|p|v|tlsv?|iso
            |pacs\.?|pain\.?|camt\.?|log)\d{{1,5}}[js]?(?![\w-]|\.\d)
        | (?<![\w-])k8s(?![\w-]))
    | (?P<hex>(?<![A-Za-z0-9])(?:0x[0-9a-fA-F]+|(?=[a-f]*\d)[0-9a-f]{{8,}})(?![\w-]))
    | (?P<word>(?<![A-Za-z0-9])[A-Za-z*#][A-Za-z_*#-]*\d[\w*-]*(?:\.\d+)*)
    | (?P<number>[$€£₹]?(?<![A-Za-z_])\d[\d,]*(?:\.\d+)*(?:\s?{_UNIT}|[\w-]*)%?)
    )""",
    re.VERBOSE,
)
_PLAIN = re.compile(
    r"""(?<![^\s=])(?:
      (?:[A-Z]{1,6}-)?\d{6,}(?![^\s,;:])
    | (?P<hex>(?=[a-f]*\d)[0-9a-f]{8,}(?![^\s,;:]))
    | (?<!["\d]\s)(?:\d{1,4}|\d{6,})\.\d+(?![^\s,;])
    | (?<!["\d]\s)\d{1,4}(?=\sms(?![^\s,;]))
    )""",
    re.VERBOSE,
)
"""Numbers and ids that `_PATTERN` takes for variable whatever their digits are."""
_DIGITS = str.maketrans("123456789", "0" * 9)
_RUN = re.compile(r"<\*>(?:(?:,|;|\||\s)+<\*>)+")
_MARK = re.compile(r"[\d@=]")
"""One of these, or `://`, stands in every variable."""
_EXCEPTION = re.compile(r"\b[\w.$]*[A-Za-z](?:Error|Exception|Failure|Fault|Timeout)\b")
_OUTCOME = re.compile(
    r"\b(?:fail(?:ed|ure|ing|s)?|errors?|time(?:d)?[ -]?outs?|reject(?:ed|ion)|den(?:ied|y)|refused|expir\w+"
    r"|declined|ok|success\w*|succeeded|completed?|unavailable|invalid|missing|unauthori[sz]ed|forbidden|exceeded|blocked"
    r"|lost|down|up|closed|open(?:ed)?|started|stopped|not|no|un\w+|dis\w+)\b",
    re.IGNORECASE,
)
_PLAIN_WORD = re.compile(r"[^\w]*[A-Za-z]+[^\w]*")

_VALUES = 4
"""So many values at one place make it a variable, if they look like names or ids."""
_WORDS = 12
"""So many values at one place make it a variable, if they are plain words."""
_LEADERS = 40
"""With so many of the most frequent rows a rarer one is compared; bounds the work on a log without order."""


@lru_cache(maxsize=65_536)
def mask(message: str) -> tuple[str, str]:
    """A message with its variables as `<*>`, and the first id in it (empty if there is none)."""
    if not (_MARK.search(message) or "://" in message):
        return message, ""
    masked, start, end = _mask(_PLAIN.sub(_zeroed, message))
    return masked, message[start:end]


def _zeroed(found: re.Match[str]) -> str:
    """A number or id of zeros, as long as it was: messages that are alike otherwise become the same."""
    text = found[0]
    if found.lastgroup:
        return ("0" if text[0].isdecimal() else "a").ljust(len(text), "0")
    return text.translate(_DIGITS)


@lru_cache(maxsize=65_536)
def _mask(message: str) -> tuple[str, int, int]:
    """A message with its variables as `<*>`, and where the first id in it stands."""
    first = (0, 0)

    def replace(found: re.Match[str]) -> str:
        nonlocal first
        kind, text = found.lastgroup or "", found[0]
        if first == (0, 0) and _is_id(kind, text):
            first = found.span()
        return _masked(kind, text)

    return _RUN.sub(VARIABLE, _PATTERN.sub(replace, message)), *first


def _is_id(kind: str, text: str) -> bool:
    return kind in ("uuid", "pair") or (
        kind == "word" and bool(re.match(r"[A-Za-z]{2,}[-_]?\d{3,}|\w+-.*\d{3}", text))
    )


def _masked(kind: str, text: str) -> str:
    if kind == "code":
        return text
    if kind == "pair":
        return f"{text.partition('=')[0]}={VARIABLE}"
    if kind == "url":
        return _masked_url(text)
    if kind == "word":
        return _masked_word(text)
    return VARIABLE


def _masked_url(text: str) -> str:
    """A URL without its query; parts of the path with digits are variable, except the likes of `v1`."""
    scheme, _, rest = text.partition("://")
    host, *parts = rest.partition("?")[0].partition("#")[0].split("/")
    shown = [
        VARIABLE if any(map(str.isdigit, part)) and not re.fullmatch(r"v\d+", part) else part
        for part in parts
    ]
    return f"{scheme}://{'/'.join([host.rpartition('@')[2], *shown])}"


def _masked_word(text: str) -> str:
    """`worker3` → `worker<*>`, `lulu-gateway-7f9c` → `lulu-gateway-<*>`, ids in capitals → `<*>`."""
    head = re.match(r"[a-z]+(?:[-_][a-z]+)*[-_]?(?=\d|[-_]?\w*\d)", text)
    if not head or text != text.lower():
        return VARIABLE
    lead = re.match(r"(?:[a-z]{3,}[-_])*(?:[a-z]{3,}(?=\d{1,3}$))?", text)
    return f"{lead[0] if lead else ''}{VARIABLE}"


def clusters(messages: Iterable[tuple[str, str, int]]) -> dict[tuple[str, str], str]:
    """The template of each masked message.

    Args:
        messages: level, masked message and count of each.

    Returns:
        Template by (level, masked message). Messages share one if they have the same level, length, codes
        and outcome words, and differ only where many values occur or in a few tokens that look like names.
    """
    groups: dict[tuple[object, ...], list[tuple[str, int]]] = defaultdict(list)
    for level, text, count in messages:
        tokens = text.split()
        groups[level, len(tokens), _signature(tokens)].append((text, count))
    templates: dict[tuple[str, str], str] = {}
    for key, members in sorted(groups.items(), key=lambda item: repr(item[0])):
        for text, template in _generalise(sorted(members)).items():
            templates[str(key[0]), text] = template
    return templates


def _signature(tokens: Sequence[str]) -> tuple[tuple[int, str], ...]:
    """The tokens that must be equal within a template, with their places."""
    return tuple((place, token) for place, token in enumerate(tokens) if _is_telling(token))


def _is_telling(token: str) -> bool:
    """Whether a token says what happened: a code, an exception, an outcome."""
    rest = token.replace(VARIABLE, "")
    return bool(any(map(str.isdigit, rest)) or _EXCEPTION.search(rest) or _OUTCOME.search(rest))


def _generalise(members: list[tuple[str, int]]) -> dict[str, str]:
    """Template by message, for messages of the same length and signature."""
    current = {text: tuple(text.split()) for text, _ in members}
    if len(members) == 1:
        return {text: " ".join(tokens) for text, tokens in current.items()}
    for _ in range(4):
        variable = _variable_places(set(current.values()))
        if not variable:
            break
        current = {text: _widened(tokens, variable) for text, tokens in current.items()}
    counts: dict[tuple[str, ...], int] = defaultdict(int)
    for text, count in members:
        counts[current[text]] += count
    merged = _merged(counts)
    return {text: " ".join(merged[tokens]) for text, tokens in current.items()}


def _variable_places(rows: set[tuple[str, ...]]) -> set[tuple[tuple[str, ...], int]]:
    """Rows with one place left open, where many different values occur in that place."""
    values: dict[tuple[tuple[str, ...], int], set[str]] = defaultdict(set)
    for row in rows:
        for place, token in enumerate(row):
            if token != VARIABLE and not _is_telling(token):
                values[_opened(row, place), place].add(token)
    return {key for key, found in values.items() if _is_variable(found)}


def _is_variable(values: set[str]) -> bool:
    plain = sum(bool(_PLAIN_WORD.fullmatch(value)) for value in values)
    return len(values) >= (_WORDS if plain * 2 > len(values) else _VALUES)


def _opened(row: tuple[str, ...], place: int) -> tuple[str, ...]:
    return (*row[:place], _open_token(row[place]), *row[place + 1 :])


def _open_token(token: str) -> str:
    """A token with its value open: the key of a pair stays."""
    key, separator, _ = token.partition("=")
    return f"{key}={VARIABLE}" if separator else VARIABLE


def _widened(row: tuple[str, ...], variable: set[tuple[tuple[str, ...], int]]) -> tuple[str, ...]:
    places = [place for place in range(len(row)) if (_opened(row, place), place) in variable]
    for place in places:
        row = _opened(row, place)
    return row


def _merged(counts: dict[tuple[str, ...], int]) -> dict[tuple[str, ...], tuple[str, ...]]:
    """Joins rows that differ in a few name-like tokens; the more frequent row leads."""
    leaders: list[tuple[str, ...]] = []
    leader_of: dict[tuple[str, ...], int] = {}
    for row in sorted(counts, key=lambda row: (-counts[row], row)):
        home = next((i for i, leader in enumerate(leaders[:_LEADERS]) if _are_alike(leader, row)), None)
        if home is None:
            leader_of[row] = len(leaders)
            leaders.append(row)
        else:
            leader_of[row] = home
            leaders[home] = _common(leaders[home], row)
    return {row: leaders[index] for row, index in leader_of.items()}


def _are_alike(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    different = [(a, b) for a, b in zip(one, other, strict=True) if a != b]
    return len(different) <= max(1, len(one) * 3 // 10) and all(
        VARIABLE in a
        or VARIABLE in b
        or not (_PLAIN_WORD.fullmatch(a) or _PLAIN_WORD.fullmatch(b) or "=" in a + b)
        for a, b in different
    )


def _common(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(a if a == b else _open_token(a) for a, b in zip(one, other, strict=True))
