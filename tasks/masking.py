"""Masks personal data before text leaves for a model or for telemetry.

The same value always gets the same mask within one installation, so counting and joining still work; the
mask is a keyed hash and can't be reversed without the key.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from typing import Any

from blocks.home import home

_EMAIL = re.compile(r"[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b")
_CARD = re.compile(r"(?<![\w-])\d(?:[ -]?\d){12,18}(?![\w-])")
_PHONE = re.compile(r"(?<![\w+])\+\d{1,3}[ .-]?\(?\d{1,4}\)?(?:[ .-]?\d{2,4}){2,4}(?!\w)")
_NAME_FIELD = re.compile(
    r"((?:customer|sender|beneficiary|recipient|account[ _]?holder|full|first|last)[ _]?name"
    r"|beneficiary|recipient|sender)(\s*[=:]\s*)(\"[^\"]{1,80}\"|[A-Z][\w'-]+(?: [A-Z][\w'-]+){0,3})"
)
_NAME_KEYS = re.compile(
    r"(customer|sender|beneficiary|recipient|holder|full|first|last)_?name", re.IGNORECASE
)
_ACCOUNT_KEYS = re.compile(
    r"(account|iban|card|phone|msisdn|passport|national)_?(number|no|id)?$", re.IGNORECASE
)


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
        text = _IBAN.sub(self._replace("account", _valid_iban), text)
        text = _PHONE.sub(self._replace("phone"), text)
        text = _CARD.sub(self._replace("card", _valid_card), text)
        return _NAME_FIELD.sub(lambda m: f"{m[1]}{m[2]}{self._mask('person', m[3])}", text)

    def data(self, content: Any, key: str = "") -> Any:
        """JSON-like data with every string masked, and whole values under keys that hold personal data."""
        if isinstance(content, str):
            if _NAME_KEYS.search(key):
                return self._mask("person", content)
            return self._mask("account", content) if _ACCOUNT_KEYS.match(key) else self.text(content)
        if isinstance(content, dict):
            return {name: self.data(value, str(name)) for name, value in content.items()}
        if isinstance(content, list | tuple):
            return [self.data(item, key) for item in content]
        return content

    def _replace(
        self, kind: str, valid: Callable[[str], bool] | None = None
    ) -> Callable[[re.Match[str]], str]:
        def replacement(match: re.Match[str]) -> str:
            return match[0] if valid and not valid(match[0]) else self._mask(kind, match[0])

        return replacement

    def _mask(self, kind: str, value: str) -> str:
        plain = re.sub(r"[\s.()\"-]", "", value).lower()
        digest = hmac.new(self._key, plain.encode(), hashlib.sha256).hexdigest()
        return f"<{kind}:{digest[:6]}>"


def _valid_card(text: str) -> bool:
    """Luhn's check, ISO/IEC 7812-1 annex B."""
    digits = [int(sign) for sign in reversed(text) if sign.isdigit()]
    doubled = [digit * 2 - 9 if digit > 4 else digit * 2 for digit in digits[1::2]]
    return (sum(digits[0::2]) + sum(doubled)) % 10 == 0


def _valid_iban(text: str) -> bool:
    """The mod-97 check of ISO 13616."""
    plain = text.replace(" ", "")
    if not 15 <= len(plain) <= 34:
        return False
    return int("".join(str(int(sign, 36)) for sign in plain[4:] + plain[:4])) % 97 == 1
