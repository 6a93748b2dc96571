"""Masks personal data and secrets before text leaves for a model, for telemetry or for a chat.

The same value always gets the same mask within one installation, so counting and joining still work; the
mask is a keyed hash and can't be reversed without the key. A mask is never masked again.

Phone numbers are recognised in international form (+44…, 0044…), in the North American one, and anywhere
behind a word such as `phone` or `mobile`; bare national numbers can't be told from order ids and stay.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Callable, Iterable
from itertools import takewhile
from pathlib import Path
from typing import Any

from blocks import passwords
from blocks.home import home
from blocks.secrets import known
from tasks import leaks
from tasks.identities import PEOPLE, SORT_CODE_AND_ACCOUNT

_EMAIL = re.compile(r"[\w.+-]{1,64}@(?:[\w-]+\.)+[^\W\d_][\w-]*")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b", re.IGNORECASE | re.ASCII)
_CARD = re.compile(
    r"(?:(?<![\w.-])|(?<=\.\.))"
    r"(?:\d{13,19}|\d{4}([ -])\d{4}\1\d{4}\1\d{1,7}|\d{4}([ -])\d{6}\2\d{4,5})(?![\w-]|\.\d)"
)
_CARD_ISSUERS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|(?:5[1-5]|2[2-7])\d{14}|3[47]\d{13}|3[068]\d{12}|(?:6|35)\d{14,18}"
)
_PHONE = re.compile(
    r"(?<![\w+.])\+[1-9]\d{0,2}[ .-]?\(?\d{1,4}\)?(?:[ .-]?\d{1,4}){2,5}(?!\w|\.\d)"
    r"|(?<![\w.:+-])00[1-9]\d{0,2}[ .-]?\(?\d{1,4}\)?(?:[ .-]?\d{2,4}){2,4}(?!\w|\.\d)"
    r"|(?<![\w.:+-])(?:1[ .-])?(?:\([2-9]\d\d\) ?|[2-9]\d\d[.-])[2-9]\d\d[.-]\d{4}(?![\w-]|\.\d)"
)
_LABEL_END = r"\\?[\"']?\s*[=:]\s*\\?[\"']?"
_LABELLED = re.compile(
    r"(?<![a-z<])((?:phone|mobile|msisdn|telephone|tel|whatsapp|account|acct|iban|card|passport"
    r"|sort[ _-]?code|routing[ _-]?(?=n)|aba|bsb|clabe|ssn|aadhaar|cpf|nino|nric"
    r"|(?:emirates|national|tax)[ _-]?(?=id))"
    rf"\.?(?:[ _-]?(?:number|no|num|id))?\.?{_LABEL_END}(?!\d{{4}}-\d\d-\d\d)"
    r"|(?:phone|mobile|account|passport|sort code|aba) (?=\S{6}))"
    r"([A-Z]{0,3}\+?\(?\d[\d ().-]{4,24}\d)(?![\w:-]|\.\d)",
    re.IGNORECASE,
)
_PERSON = r"customer|sender|beneficiary|recipient|payee|payer|remitter|account[ _-]?holder|card[ _-]?holder"
_NAME_LABEL = re.compile(
    rf"(?<![a-z])(?:(?:{_PERSON}|full|first|last)[ _-]?name|{_PERSON}){_LABEL_END}", re.IGNORECASE
)
_QUOTED = re.compile(r"[^\"'\\<>]{1,80}(?=\\?[\"'])")
_WORDS = re.compile(r"[^\W\d_][\w'’.-]*(?: [^\W\d_][\w'’.-]*(?!\s*[=:])){0,4}")
_PARTICLES = frozenset(
    (
        "de", "da", "do", "dos", "das", "di", "del", "della", "la", "el", "le", "al",
        "bin", "bint", "ibn", "ben", "van", "der", "den", "von", "zu", "y", "e",
    )
)  # fmt: skip
_NAME_KEYS = re.compile(rf"(?:{_PERSON}|full|first|last|sur|given|family)[ _-]?name", re.IGNORECASE)
_PERSON_KEYS = re.compile(_PERSON, re.IGNORECASE)
_ACCOUNT_KEYS = re.compile(
    rf"(?:(?:{_PERSON}|user|from|to|source|destination|debit|credit|payout|bank|contact)[_-]?)?"
    r"(?:account|acct|iban|card|phone|mobile|tel|telephone|whatsapp|msisdn|passport|national|sort[_-]?code"
    r"|routing|aba|bsb|clabe|ssn|aadhaar|cpf|nino|nric|emirates|tax)"
    r"[_-]?(?:number|no|num|id)?",
    re.IGNORECASE,
)
_MASK = re.compile(r"<(?:email|account|phone|card|person|id|secret):[0-9a-f]{6}>")
_FOUR_DIGITS = re.compile(r"\d(?:[ .-]?\d){3}")
"""Without these nobody's number stands in a text."""
_REMEMBERED = 50_000
"""Masks whose values a process remembers; the oldest go first."""
_LEAST_DIGITS = 5
"""A number under a key such as `account` with fewer digits is no account number."""
_PASSES = 16


class Masker:
    """Replaces e-mail addresses, phone, card, account and identity numbers, named persons, and secrets.

    Args:
        key: secret of the keyed hash.
        secrets: values that are secrets wherever they stand.
    """

    def __init__(self, key: bytes, secrets: Iterable[str] = ()) -> None:
        self._key = key
        self._own = leaks.own(secrets)
        self._issued: dict[str, tuple[str, str]] = {}

    @classmethod
    def of_home(cls) -> Masker:
        """The installation's masker; its key is made once, in the state directory. It knows its secrets."""
        path = home() / "masking.key"
        if not path.exists():
            _write_new(path, secrets.token_bytes(32))
        return cls(path.read_bytes(), known() | passwords.made())

    def text(self, text: str) -> str:
        """`text` with its personal data masked, as in `<email:3fa2c1>`."""
        for _ in range(_PASSES):
            before, text = text, self._once(text)
            if text == before:
                break
        return text

    def _once(self, text: str) -> str:
        text = leaks.hide(text, self._own, self._secret)
        text = _EMAIL.sub(self._replace("email"), text)
        text = _IBAN.sub(self._iban, text)
        if _FOUR_DIGITS.search(text):
            text = SORT_CODE_AND_ACCOUNT.sub(self._replace("account"), text)
            for form, valid in PEOPLE:
                text = form.sub(self._replace("id", valid), text)
        text = _PHONE.sub(self._replace("phone", _valid_phone), text)
        text = _CARD.sub(self._replace("card", _valid_card), text)
        text = _LABELLED.sub(lambda match: match[1] + self._mask("account", match[2]), text)
        return self._names(text)

    def data(self, content: Any, key: str = "") -> Any:
        """JSON-like data with every string masked, and whole values under keys that hold personal data."""
        if isinstance(content, str):
            return self._value(content, key)
        if isinstance(content, dict):
            return {self._name(name): self.data(value, str(name)) for name, value in content.items()}
        if isinstance(content, list | tuple):
            return [self.data(item, key) for item in content]
        if isinstance(content, int) and not isinstance(content, bool):
            return self._mask("account", str(content)) if _is_account(str(content), key) else content
        return content

    def unmasked(self, content: Any) -> Any:
        """JSON-like data with the masks that this process gave out turned back into what they stand for.

        For what a model hands back to a tool, which then needs the real account. A mask that is unknown, or
        that stands for two values, stays.
        """
        if isinstance(content, str):
            return _MASK.sub(lambda match: self._issued.get(match[0], ("", ""))[1] or match[0], content)
        if isinstance(content, dict):
            return {name: self.unmasked(value) for name, value in content.items()}
        if isinstance(content, list | tuple):
            return [self.unmasked(item) for item in content]
        return content

    def _name(self, name: Any) -> Any:
        return self.text(name) if isinstance(name, str) else name

    def _value(self, value: str, key: str) -> str:
        if not value or _MASK.fullmatch(value):
            return value
        if leaks.is_secret(key, value):
            return self._secret(value)
        if _NAME_KEYS.search(key) or (_PERSON_KEYS.fullmatch(key) and _like_a_name(value)):
            return self._mask("person", value)
        return self._mask("account", value) if _is_account(value, key) else self.text(value)

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

    def _names(self, text: str) -> str:
        """The text with the names behind labels such as `customer_name:` masked."""
        parts: list[str] = []
        end = 0
        for label in _NAME_LABEL.finditer(text):
            name = _name_at(text, label) if label.end() >= end else ""
            if name:
                parts += [text[end : label.end()], self._mask("person", name)]
                end = label.end() + len(name)
        return "".join([*parts, text[end:]])

    def _mask(self, kind: str, value: str) -> str:
        plain = value.lower() if kind == "email" else re.sub(r"[\s.()\"-]", "", value).lower()
        mask = f"<{kind}:{self._digest(plain)}>"
        self._remember(mask, plain, value)
        return mask

    def _secret(self, value: str) -> str:
        return f"<secret:{self._digest(value)}>"

    def _digest(self, plain: str) -> str:
        return hmac.new(self._key, plain.encode(errors="replace"), hashlib.sha256).hexdigest()[:6]

    def _remember(self, mask: str, plain: str, value: str) -> None:
        """Keeps what a mask stands for; nothing if two different values share it."""
        known, _ = self._issued.pop(mask, (plain, value))
        self._issued[mask] = (plain, value) if known == plain else ("", "")
        while len(self._issued) > _REMEMBERED:
            self._issued.pop(next(iter(self._issued)))


def _write_new(path: Path, content: bytes) -> None:
    """Writes a file that is complete from the moment it exists; another process's stays."""
    draft = path.with_suffix(f".{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_bytes(content)
    with contextlib.suppress(FileExistsError):
        path.hardlink_to(draft)
    draft.unlink()


def _is_account(value: str, key: str) -> bool:
    return bool(_ACCOUNT_KEYS.fullmatch(key)) and sum(map(str.isdigit, value)) >= _LEAST_DIGITS


def _name_at(text: str, label: re.Match[str]) -> str:
    """The name behind a label, or nothing. Without the word `name` in its label it must look like one."""
    sure = "name" in label[0].lower()
    if label[0][-1] in "\"'":
        quoted = _QUOTED.match(text, label.end())
        return quoted[0] if quoted and (sure or _like_a_name(quoted[0])) else ""
    found = _WORDS.match(text, label.end())
    words = found[0].split(" ") if found else []
    name = list(takewhile(lambda word: _like_a_name(word) or word in _PARTICLES, words))
    while name and name[-1] in _PARTICLES:
        name.pop()
    return " ".join(name or (words[:2] if sure else []))


def _like_a_name(text: str) -> bool:
    """True if words begin like a name's, a capital or a letter of a script without capitals; no digits."""
    words = [word for word in text.split() if word not in _PARTICLES]
    return bool(words) and all(
        word[0].isalpha() and not word[0].islower() and not any(map(str.isdigit, word)) for word in words
    )


def _valid_phone(text: str) -> bool:
    """E.164: at most 15 digits. Fewer than 8, or 11 with the prefix 00, may be anything."""
    digits = sum(map(str.isdigit, text))
    return 11 <= digits <= 17 if text.startswith("00") else 8 <= digits <= 15


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
