"""Masks personal data before text leaves for a model or for telemetry.

The same value always gets the same mask within one installation, so counting and joining still work; the
mask is a keyed hash and can't be reversed without the key. A mask is never masked again.

Phone numbers are recognised in international form (+44…, 0044…), in the North American one, and anywhere
behind a word such as `phone` or `mobile`; bare national numbers can't be told from order ids and stay.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from typing import Any

from blocks.home import home

_EMAIL = re.compile(r"[\w.+-]{1,64}@(?:[\w-]+\.)+[^\W\d_][\w-]*")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b", re.IGNORECASE)
_CARD = re.compile(
    r"(?<![\w.-])(?:\d{13,19}|\d{4}([ -])\d{4}\1\d{4}\1\d{1,7}|\d{4}([ -])\d{6}\2\d{4,5})(?![\w-]|\.\d)"
)
_CARD_ISSUERS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|(?:5[1-5]|2[2-7])\d{14}|3[47]\d{13}|3[068]\d{12}|(?:6|35)\d{14,18}"
)
_PHONE = re.compile(
    r"(?<![\w+.])\+\d{1,3}[ .-]?\(?\d{1,4}\)?(?:[ .-]?\d{1,4}){2,5}(?![\w]|\.\d)"
    r"|(?<![\w.:+-])00[1-9]\d{0,2}[ .-]?\(?\d{1,4}\)?(?:[ .-]?\d{2,4}){2,4}(?![\w]|\.\d)"
    r"|(?<![\w.:+-])(?:1[ .-])?(?:\([2-9]\d\d\) ?|[2-9]\d\d[.-])[2-9]\d\d[.-]\d{4}(?![\w-]|\.\d)"
)
_LABEL_END = r"\\?[\"']?\s*[=:]\s*\\?[\"']?"
_LABELLED = re.compile(
    r"((?<![a-z])(?:phone|mobile|msisdn|telephone|tel|whatsapp|account|acct|iban|card|passport)"
    r"(?:[ _-]?(?:number|no|num|id))?\.?" + _LABEL_END + r"|(?<![a-z])(?:phone|mobile|tel|account|passport) )"
    r"(?=[A-Z]{0,3}[+(\d])([A-Z+(]{0,3}\d[\d ().-]{4,24}\d)(?![\w:]|\.\d)",
    re.IGNORECASE,
)
_PERSON = r"customer|sender|beneficiary|recipient|payee|payer|remitter|account[ _-]?holder|card[ _-]?holder"
_NAME_WORD = r"[^\W\d_][\w'’.-]*"
_NAME_FIELD = re.compile(
    rf"((?i:(?<![a-z])(?:(?:{_PERSON}|full|first|last)[ _-]?name|{_PERSON})){_LABEL_END})"
    rf"({_NAME_WORD}(?: {_NAME_WORD}){{0,3}})"
)
_NAME_KEYS = re.compile(rf"(?:{_PERSON}|full|first|last|sur|given|family)[ _-]?name", re.IGNORECASE)
_PERSON_KEYS = re.compile(_PERSON, re.IGNORECASE)
_ACCOUNT_KEYS = re.compile(
    r"(?:.*_)?(?:account|acct|iban|card|phone|mobile|tel|telephone|whatsapp|msisdn|passport|national)"
    r"[_-]?(?:number|no|num|id)?",
    re.IGNORECASE,
)
_MASK = re.compile(r"<(?:email|account|phone|card|person):[0-9a-f]{6}>")
_LEAST_DIGITS = 5
"""A number under a key such as `account` with fewer digits is no account number."""


class Masker:
    """Replaces e-mail addresses, phone numbers, card and account numbers and named persons.

    Args:
        key: secret of the keyed hash.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def of_home(cls) -> Masker:
        """The installation's masker; its key is made once, in the state directory."""
        path = home() / "masking.key"
        if not path.exists():
            path.touch(mode=0o600)
            path.write_bytes(secrets.token_bytes(32))
        return cls(path.read_bytes())

    def text(self, text: str) -> str:
        """`text` with its personal data masked, as in `<email:3fa2c1>`."""
        text = _EMAIL.sub(self._replace("email"), text)
        text = _IBAN.sub(self._iban, text)
        text = _PHONE.sub(self._replace("phone", _valid_phone), text)
        text = _CARD.sub(self._replace("card", _valid_card), text)
        text = _LABELLED.sub(self._labelled, text)
        return _NAME_FIELD.sub(self._named, text)

    def data(self, content: Any, key: str = "") -> Any:
        """JSON-like data with every string masked, and whole values under keys that hold personal data."""
        if isinstance(content, str):
            return self._value(content, key)
        if isinstance(content, dict):
            return {self._name(name): self.data(value, str(name)) for name, value in content.items()}
        if isinstance(content, list | tuple):
            return [self.data(item, key) for item in content]
        if isinstance(content, int) and not isinstance(content, bool):
            masked = self._value(str(content), key)
            return content if masked == str(content) else masked
        return content

    def _name(self, name: Any) -> Any:
        return self.text(name) if isinstance(name, str) else name

    def _value(self, value: str, key: str) -> str:
        if not value or _MASK.fullmatch(value):
            return value
        if _NAME_KEYS.search(key) or (_PERSON_KEYS.fullmatch(key) and _like_a_name(value)):
            return self._mask("person", value)
        if _ACCOUNT_KEYS.fullmatch(key) and sum(map(str.isdigit, value)) >= _LEAST_DIGITS:
            return self._mask("account", value)
        return self.text(value)

    def _replace(
        self, kind: str, valid: Callable[[str], bool] | None = None
    ) -> Callable[[re.Match[str]], str]:
        def replacement(match: re.Match[str]) -> str:
            return match[0] if valid and not valid(match[0]) else self._mask(kind, match[0])

        return replacement

    def _iban(self, match: re.Match[str]) -> str:
        """The match masked as far as it is an IBAN; words behind it may look like a further group."""
        groups = match[0].split(" ")
        for end in range(len(groups), 0, -1):
            if _valid_iban("".join(groups[:end])):
                return " ".join([self._mask("account", "".join(groups[:end])), *groups[end:]])
        return match[0]

    def _labelled(self, match: re.Match[str]) -> str:
        return match[1] + self._mask("account", match[2])

    def _named(self, match: re.Match[str]) -> str:
        """A labelled name masked; without the word `name` in its label it must begin like one."""
        sure = "name" in match[1].lower() or _like_a_name(match[2])
        return match[1] + self._mask("person", match[2]) if sure else match[0]

    def _mask(self, kind: str, value: str) -> str:
        plain = value.lower() if kind == "email" else re.sub(r"[\s.()\"-]", "", value).lower()
        digest = hmac.new(self._key, plain.encode(errors="replace"), hashlib.sha256).hexdigest()
        return f"<{kind}:{digest[:6]}>"


def _like_a_name(text: str) -> bool:
    """True if every word begins like a name's: a capital, or a letter of a script without capitals."""
    words = text.split()
    return bool(words) and all(word[0].isalpha() and not word[0].islower() for word in words)


def _valid_phone(text: str) -> bool:
    """E.164: at most 15 digits; below 8 it may be anything."""
    return 8 <= sum(map(str.isdigit, text)) <= 15 + 2 * text.startswith("00")


def _valid_card(text: str) -> bool:
    """A known issuer's prefix and length, and Luhn's check, ISO/IEC 7812-1 annex B."""
    plain = re.sub(r"[ -]", "", text)
    if not _CARD_ISSUERS.fullmatch(plain):
        return False
    digits = [int(sign) for sign in reversed(plain)]
    doubled = [digit * 2 - 9 if digit > 4 else digit * 2 for digit in digits[1::2]]
    return (sum(digits[0::2]) + sum(doubled)) % 10 == 0


def _valid_iban(text: str) -> bool:
    """The mod-97 check of ISO 13616."""
    if not 15 <= len(text) <= 34:
        return False
    return int("".join(str(int(sign, 36)) for sign in text[4:] + text[:4])) % 97 == 1
