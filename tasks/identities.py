"""Numbers that states and banks give to people, recognised by their form and their check digits.

Where a form has no check digit, it is one that nothing else is written in.
"""

from __future__ import annotations

import re
from collections.abc import Callable

Check = Callable[[str], bool]

_BEFORE, _AFTER = r"(?:(?<![\w.-])|(?<=\.\.))", r"(?![\w-]|\.\d)"
_TIMES = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9), (1, 2, 3, 4, 0, 6, 7, 8, 9, 5), (2, 3, 4, 0, 1, 7, 8, 9, 5, 6),
    (3, 4, 0, 1, 2, 8, 9, 5, 6, 7), (4, 0, 1, 2, 3, 9, 5, 6, 7, 8), (5, 9, 8, 7, 6, 0, 4, 3, 2, 1),
    (6, 5, 9, 8, 7, 1, 0, 4, 3, 2), (7, 6, 5, 9, 8, 2, 1, 0, 4, 3), (8, 7, 6, 5, 9, 3, 2, 1, 0, 4),
    (9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
)  # fmt: skip
_PLACES = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9), (1, 5, 7, 6, 2, 8, 3, 0, 9, 4), (5, 8, 0, 3, 7, 9, 6, 1, 4, 2),
    (8, 9, 1, 6, 0, 4, 3, 5, 2, 7), (9, 4, 5, 3, 1, 2, 6, 8, 7, 0), (4, 2, 8, 6, 5, 7, 3, 9, 0, 1),
    (2, 7, 9, 3, 8, 0, 6, 4, 1, 5), (7, 0, 4, 6, 9, 1, 3, 2, 5, 8),
)  # fmt: skip
_NRIC = {"S": (0, "JZIHGFEDCBA"), "T": (4, "JZIHGFEDCBA"), "F": (0, "XWUTRQPNMLK"), "G": (4, "XWUTRQPNMLK")}


def aadhaar(text: str) -> bool:
    """India: Verhoeff's check."""
    rest = 0
    for place, digit in enumerate(reversed(_digits(text))):
        rest = _TIMES[rest][_PLACES[place % 8][digit]]
    return rest == 0


def cpf(text: str) -> bool:
    """Brazil: two check digits, and not the same digit throughout."""
    digits = _digits(text)
    ends = [
        sum(weight * digit for weight, digit in zip(range(length + 1, 1, -1), digits, strict=False)) * 10 % 11
        for length in (9, 10)
    ]
    return len(set(digits)) > 1 and [end % 10 for end in ends] == digits[9:]


def resident(text: str) -> bool:
    """China: ISO 7064 mod 11-2."""
    values = [10 if sign == "X" else int(sign) for sign in text.upper()]
    return sum(value * pow(2, 17 - place, 11) for place, value in enumerate(values)) % 11 == 1


def nric(text: str) -> bool:
    """Singapore: the letter at the end."""
    offset, letters = _NRIC[text[0]]
    weighed = sum(weight * int(sign) for weight, sign in zip((2, 7, 6, 5, 4, 3, 2), text[1:8], strict=True))
    return letters[(weighed + offset) % 11] == text[8]


def _always(text: str) -> bool:
    return True


def _whole(pattern: str) -> re.Pattern[str]:
    return re.compile(_BEFORE + pattern + _AFTER, re.ASCII)


PEOPLE: tuple[tuple[re.Pattern[str], Check], ...] = (
    (_whole(r"(?!000|666|9)\d{3}-(?!00)\d\d-(?!0000)\d{4}"), _always),  # United States: SSN
    (_whole(r"[2-9]\d{3}([ -])\d{4}\1\d{4}(?![ -]\d)"), aadhaar),
    (_whole(r"[A-Z]{3}[ABCFGHLJPT][A-Z]\d{4}[A-Z]"), _always),  # India: PAN
    (_whole(r"\d{3}\.\d{3}\.\d{3}-\d\d"), cpf),
    (
        _whole(r"(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]( ?)\d\d\1\d\d\1\d\d\1[A-D]"),
        _always,
    ),
    (_whole(r"784-\d{4}-\d{7}-\d"), _always),  # Emirates ID
    (_whole(r"\d{6}(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dX]"), resident),
    (_whole(r"[STFG]\d{7}[A-Z]"), nric),
    (_whole(r"[A-Z][AEIOUX][A-Z]{2}\d{6}[HM][A-Z]{5}[A-Z\d]\d"), _always),  # Mexico: CURP
)
"""Form and check of numbers that stand for a person; those of the United Kingdom are NINOs."""

SORT_CODE_AND_ACCOUNT = _whole(r"\d\d-\d\d-\d\d[ ,/]{1,3}\d{8}")
"""How accounts are written in the United Kingdom and Ireland."""


def _digits(text: str) -> list[int]:
    return [int(sign) for sign in text if sign.isdigit()]
