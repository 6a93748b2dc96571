"""Ways to hide an order in text, and the reader that finds it again in any of them."""

from __future__ import annotations

import base64
import binascii
import codecs
import html
import re
import unicodedata
from collections.abc import Callable, Iterator
from urllib.parse import quote, unquote

_CODES = (
    ".- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- ...- .-- "
    "-..- -.-- --.. ----- .---- ..--- ...-- ....- ..... -.... --... ---.. ----. ..--.- ---... -..-. .-.-.-"
)
_MORSE = dict(zip("abcdefghijklmnopqrstuvwxyz0123456789_:/.", _CODES.split(), strict=True))
_LETTERS = {sign: letter for letter, sign in _MORSE.items()}
_ALIKE = str.maketrans("aeopcxyi", "аеорсхуі")
_UNLIKE = str.maketrans("аеорсхуі", "aeopcxyi")
_WIDE = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}
_LEET = str.maketrans("aeot", "4307")
_UNLEET = str.maketrans("4307", "aeot")


def base64_of(text: str) -> str:
    """In base64."""
    return base64.b64encode(text.encode()).decode()


def hex_of(text: str) -> str:
    """In hexadecimal digits."""
    return text.encode().hex()


def rot13(text: str) -> str:
    """Each letter 13 places on."""
    return codecs.encode(text, "rot13")


def morse(text: str) -> str:
    """In Morse's signs."""
    return " / ".join(" ".join(_MORSE[sign] for sign in word) for word in text.lower().split())


def percent(text: str) -> str:
    """Percent-encoded, twice."""
    return quote(quote(text, safe=""), safe="")


def entities(text: str) -> str:
    """As HTML's numeric entities."""
    return "".join(f"&#{ord(sign)};" for sign in text)


def zero_width(text: str) -> str:
    """With signs of no width between the letters."""
    return "\u200b".join(text)


def joined(text: str) -> str:
    """With word joiners, soft hyphens and variation selectors between the letters."""
    return "".join(sign + "\u2060\u00ad\ufe0f"[place % 3] for place, sign in enumerate(text))


def tags(text: str) -> str:
    """In Unicode's tag characters, which nothing shows."""
    return "".join(chr(0xE0000 + ord(sign)) for sign in text)


def alike(text: str) -> str:
    """With Cyrillic letters that look like the Latin ones."""
    return text.translate(_ALIKE)


def wide(text: str) -> str:
    """In full-width signs."""
    return text.translate(_WIDE)


def backwards(text: str) -> str:
    """From right to left, under an override that shows it the right way round."""
    return f"\u202e{text[::-1]}\u202c"


def leet(text: str) -> str:
    """With digits for letters."""
    return text.translate(_LEET)


def spaced(text: str) -> str:
    """Letter by letter."""
    return " ".join(text)


def readings(text: str) -> Iterator[str]:
    """The text, and all that it may say once it is decoded."""
    clean = "".join(sign for sign in map(_of_tag, text) if unicodedata.category(sign) not in ("Cf", "Mn"))
    seen: set[str] = set()
    for way in (str, _normal, _from_entities, _from_percent, rot13, _reversed, _from_morse, _unspaced):
        seen.add(way(clean))
    seen.add(clean.translate(_UNLIKE))
    seen.add(clean.translate(_UNLEET))
    seen |= {_decoded(word, base64.b64decode) for word in re.findall(r"[A-Za-z0-9+/]{16,}={0,2}", clean)}
    seen |= {_decoded(word, bytes.fromhex) for word in re.findall(r"\b(?:[0-9a-f]{2}){10,}\b", clean)}
    yield from seen


def _of_tag(sign: str) -> str:
    return chr(ord(sign) - 0xE0000) if 0xE0020 <= ord(sign) < 0xE007F else sign


def _normal(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


def _from_entities(text: str) -> str:
    return html.unescape(html.unescape(text))


def _from_percent(text: str) -> str:
    return unquote(unquote(text))


def _reversed(text: str) -> str:
    return text[::-1]


def _unspaced(text: str) -> str:
    return re.sub(r"(?<=\b\S) (?=\S\b)", "", text)


def _from_morse(text: str) -> str:
    words = (words.split() for words in text.split("/"))
    return " ".join("".join(_LETTERS.get(sign, "") for sign in word) for word in words)


def _decoded(word: str, decode: Callable[[str], bytes]) -> str:
    try:
        return decode(word).decode("utf-8", "ignore")
    except (binascii.Error, ValueError):
        return ""
