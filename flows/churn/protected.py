"""Columns that say what must not decide about a customer: sex, age, origin, religion, health, family."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

_NAMES: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (what, re.compile(rf"(^|_)({words})(_|$)"))
    for what, words in (
        ("sex", r"gender|sex|is_?(fe)?male|female|male|salutation|honorific|pronouns?"),
        ("age", r"age|age_?(group|band|range|years)|birth\w*|dob|date_?of_?birth|senior\w*|year_?of_?birth"),
        ("origin", r"race|racial|ethnic\w*|nationality|citizenship|country_?of_?birth|birth_?country|caste|"
                   r"mother_?tongue|native_?language|skin\w*"),
        ("religion", r"religio\w*|faith|church\w*"),
        ("health", r"disab\w*|health\w*|pregnan\w*|medical\w*|handicap\w*"),
        ("family", r"marital\w*|married|marriage|spouse|dependents?|dependants?|children|kids|"
                   r"family_?(size|status)|civil_?status"),
        ("sexual orientation", r"orientation|sexual\w*"),
        ("politics", r"politic\w*|union_?member\w*|party_?member\w*"),
    )
)  # fmt: skip
_VALUES: tuple[tuple[str, frozenset[str]], ...] = (
    ("sex", frozenset({"male", "female", "m", "f", "man", "woman", "non-binary"})),
    ("sex", frozenset({"mr", "mrs", "ms", "miss", "mr.", "mrs.", "ms.", "mx"})),
    ("family", frozenset({"single", "married", "divorced", "widowed", "separated"})),
    ("religion", frozenset({"christian", "muslim", "hindu", "jewish", "buddhist", "sikh", "atheist",
                            "catholic", "protestant", "orthodox"})),
)  # fmt: skip
_REST = frozenset({"other", "none", "diverse", "unknown", "undisclosed"})
_YES_NO = frozenset({"yes", "no", "true", "false", "0", "1", "y", "n"})
_OF_A_THING = re.compile(r"(^|_)(account|card|device|contract|policy|app|data|invoice)_age(_|$)")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def looks_protected(name: str, values: Iterable[Any] = ()) -> str:
    """What a column seems to say about a person, by its name or its values; empty if nothing protected."""
    plain = re.sub(r"[^a-z0-9]+", "_", _CAMEL.sub("_", name).lower())
    found = {str(value).strip().lower() for value in values if str(value).strip()}
    for what, pattern in _NAMES:
        if pattern.search(plain) and not _OF_A_THING.search(plain):
            return what
    if plain == "partner" and found <= _YES_NO:
        return "family"
    told = found - _REST
    return next((what for what, known in _VALUES if len(told) > 1 and told <= known), "")
