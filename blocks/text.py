"""Ranking of short texts against a question: BM25 over weighted fields, with a thesaurus for paraphrases.

A question's word counts for a document by the word itself (stemmed) or, weaker, by a word that means the same
(`blocks.synonyms`); neighbouring words that stay neighbours add to it. The score is the share of the
question that the document answers, so scores of different questions compare, and a question about something
else scores low.
"""

from __future__ import annotations

import math
import re
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from itertools import pairwise
from typing import NamedTuple

import snowballstemmer

from blocks.synonyms import CONCEPTS

SYNONYM = 0.8
"""What a synonym is worth against the word itself."""
NEIGHBOURS = 0.3
"""What a pair of neighbouring words adds, against a word of the same rarity."""
TITLE = 0.2
"""What a title that the question covers whole adds, against a question that the document answers whole."""
SATURATION = 1.5
LENGTH = 0.6
SOFTENING = 0.75
"""Exponent on a word's rarity: below 1 the common words, often the question's subject, keep a say."""
UNKNOWN = 0.9
"""Weight of a question's word that no document holds, against the rarest word that one holds."""
FEW = 0.3
"""So many matching words halve the score: one common word is weak evidence, three are good."""
STEEPNESS = 1.5
"""Sets the scale: chosen so that questions about something else end at 0.3 or below."""
SAME = 0.4
"""Likeness from which on two short texts say the same: of 33 paraphrases three in four reach it, of 433 pairs
of different things one."""
REPEATS = 2
"""A word counts this often in a question at most."""

_WORD = re.compile(r"[^\W_]+")
_BOUNDARY = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=\d)(?=\D)|(?<=\D)(?=\d)")
_NEGATION = re.compile(r"n['’]t\b")
_IDENTIFIER = re.compile(r"\d{5,}|(?=(?:\D*\d){3})(?=.*[A-Za-z])\w{8,}")
_STOP = frozenset(
    re.findall(
        r"\w+",
        "a an the of to in on at is are was were be been being by for with and or it its this that these"
        " those from as has have had than which into if then there their our we you i my your do does did so"
        " what when where who how why s t ms",
    )
)
_GLUE = frozenset(("not", "no", "too", "much", "mani", "cannot", "veri"))
"""Stems that mean something only as part of a phrase of the thesaurus."""
_CODES = frozenset(re.findall(r"\b\d{5}\b", " ".join(CONCEPTS.values())))
"""Numbers that look like ids but are error codes the thesaurus knows, such as SQLSTATE 23505."""
_STEMMER = snowballstemmer.stemmer("english")
_STEMMING = threading.Lock()
"""The stemmer keeps the word it works on, so one thread at a time may use it."""


_DENIED = re.compile(
    r"(?i)\b(?:(?:not|never)\s+(?:(?:just|really|only)\s+)?(?:a|an|the|because|due|caused|by)\b"
    r"|(?:instead of|rather than|and no|but no)\b)[^,.;:()]*?(?=[,.;:()]|\bbut\b|$)"
)
"""What a text says that it was not. A bare `not` is left: it belongs to phrases such as `not enough`."""
_COMPARED = 1000
"""Characters of a text that are compared with another one."""


class Hit(NamedTuple):
    """A document that answers the question, by its place in the list that was indexed."""

    document: int
    score: float
    """0 to 1; at about 0.3 or below the document is not about the question."""


@lru_cache(maxsize=50_000)
def stem(word: str) -> str:
    """A lower-case word without its ending: `certificates` and `certificate` give the same.

    What is validated need not be valid: the stemmer would not tell the two apart.
    """
    if word.startswith("validat"):
        return "validat"
    with _STEMMING:
        return str(_STEMMER.stemWord(word))


def words(text: str) -> list[str]:
    """The stems of a text in order, compound names split (CamelCase, snake_case), without ids and filler."""
    whole = (
        word
        for word in _WORD.findall(_NEGATION.sub(" not", text))
        if word in _CODES or not _IDENTIFIER.fullmatch(word)
    )
    parts = (part.lower() for word in whole for part in _BOUNDARY.split(word))
    return [stem(part) for part in parts if part not in _STOP]


@cache
def _thesaurus() -> dict[str, list[tuple[tuple[str, ...], str]]]:
    """First stem → the phrases that begin with it, each with its concept."""
    table: dict[str, list[tuple[tuple[str, ...], str]]] = {}
    for concept, members in CONCEPTS.items():
        for phrase in {tuple(words(member)) for member in members.split(",")} - {()}:
            table.setdefault(phrase[0], []).append((phrase, f"~{concept}"))
    return table


def concepts(stems: Sequence[str]) -> list[set[str]]:
    """For each stem, the thesaurus's concepts that it, or a phrase around it, stands for."""
    found: list[set[str]] = [set() for _ in stems]
    table = _thesaurus()
    for start, first in enumerate(stems):
        for phrase, concept in table.get(first, ()):
            end = start + len(phrase)
            if tuple(stems[start:end]) == phrase:
                for position in range(start, end):
                    found[position].add(concept)
    return found


def _pairs(stems: Sequence[str]) -> list[str]:
    return [left + right for left, right in pairwise(stems)]


def _terms(text: str) -> Counter[str]:
    """Stems, concepts and neighbouring pairs of a text, counted."""
    stems = words(text)
    counted = Counter(word for word in stems if word not in _GLUE)
    counted.update(concept for each in concepts(stems) for concept in each)
    counted.update(_pairs(stems))
    return counted


def likeness(one: str, other: str) -> float:
    """How far two short texts say the same, 0 to 1, whichever comes first; from `SAME` on they do.

    Every word counts alike, so the answer doesn't depend on what else is compared. Words of the thesaurus
    that each has for itself speak against it: a leak of memory is none of connections.
    """
    first, second = _asked(_affirmed(one[:_COMPARED])), _asked(_affirmed(other[:_COMPARED]))
    shared = (_shared(first, second) + _shared(second, first)) / 2
    return max(0.0, shared - min(_own(first, second), _own(second, first)))


def _affirmed(text: str) -> str:
    """The text without what it denies (`not a timeout but …`); all of it, if it only denies."""
    left = _DENIED.sub(" ", _NEGATION.sub(" not", text))
    return left if words(left) else text


def _shared(asked: _Asked, other: _Asked) -> float:
    """Which share of a text's words another one has, or has words that mean the same."""
    found = sum(
        1.0 if word in other.vocabulary else SYNONYM * bool(meanings & other.meanings)
        for word, meanings in asked.words
    )
    return found / len(asked.words) if asked.words else 0.0


def _own(asked: _Asked, other: _Asked) -> float:
    """Which share of a text's words have a meaning that the other text lacks."""
    own = sum(
        bool(meanings) and word not in other.vocabulary and not meanings & other.meanings
        for word, meanings in asked.words
    )
    return own / len(asked.words) if asked.words else 0.0


class Index:
    """Documents of several fields, ready to be asked.

    Args:
        documents: field → text, one mapping a document.
        weights: field → how much a word there counts.
        title: the field that names what a document is about; a question that covers it whole is rewarded.
    """

    def __init__(
        self, documents: Sequence[Mapping[str, str]], weights: Mapping[str, float], title: str = "title"
    ) -> None:
        counted = [{field: _terms(document.get(field, "")) for field in weights} for document in documents]
        mean = {field: _mean([_length(each[field]) for each in counted]) for field in weights}
        self._documents = [_weigh(each, weights, mean) for each in counted]
        self._titles = [_Asked(document.get(title, "")) for document in documents]
        holders = Counter(term for document in self._documents for term in document)
        self._rarity = {term: _rarity(count, len(documents)) for term, count in holders.items()}
        self._unknown = UNKNOWN * _rarity(1, max(len(documents), 1))

    def search(self, question: str, limit: int = 5) -> list[Hit]:
        """The best documents, best first; none where no word of the question is known."""
        scores = self.scores(question)
        best = sorted(range(len(scores)), key=lambda document: -scores[document])[:limit]
        return [Hit(document, round(scores[document], 3)) for document in best if scores[document] > 0]

    def scores(self, question: str) -> list[float]:
        """The score of each document, in the order that was indexed."""
        asked = _Asked(question)
        total = sum(self._weight(word, meanings) for word, meanings in asked.words)
        if not total:
            return [0.0] * len(self._documents)
        return [
            self._score(document, title, asked, total)
            for document, title in zip(self._documents, self._titles, strict=True)
        ]

    def _score(self, document: Mapping[str, float], title: _Asked, asked: _Asked, total: float) -> float:
        answer, matches = self._answered(document, asked)
        share = answer / total + TITLE * self._covered(title, asked)
        return 1 - math.exp(-STEEPNESS * share * matches / (matches + FEW))

    def _weight(self, word: str, meanings: frozenset[str]) -> float:
        if word in self._rarity:
            return self._rarity[word]
        return max((self._rarity[each] for each in meanings if each in self._rarity), default=self._unknown)

    def _answered(self, document: Mapping[str, float], asked: _Asked) -> tuple[float, float]:
        """The question's weight that the document carries, and by how many words (a synonym is half)."""
        answer = matches = 0.0
        for word, meanings in asked.words:
            exact = self._evidence(document, word)
            synonym = SYNONYM * max((self._evidence(document, each) for each in meanings), default=0.0)
            answer += max(exact, synonym)
            matches += 1 if exact else 0.5 * bool(synonym)
        return answer + NEIGHBOURS * sum(self._evidence(document, pair) for pair in asked.pairs), matches

    def _evidence(self, document: Mapping[str, float], term: str) -> float:
        frequency = document.get(term)
        return self._rarity[term] * frequency / (frequency + SATURATION) if frequency else 0.0

    def _covered(self, title: _Asked, asked: _Asked) -> float:
        """Which share of the title's weight stands in the question."""
        total = covered = 0.0
        for word, meanings in title.words:
            weight = self._weight(word, meanings)
            total += weight
            covered += (
                weight if word in asked.vocabulary else weight * SYNONYM * bool(meanings & asked.meanings)
            )
        return covered / total if total else 0.0


class _Asked:
    """A question, or a title, as words with their meanings, and neighbouring pairs."""

    def __init__(self, text: str) -> None:
        stems = words(text)
        meant = zip(stems, map(frozenset, concepts(stems)), strict=True)
        self.words = _at_most(REPEATS, [each for each in meant if each[1] or each[0] not in _GLUE])
        self.pairs = list(dict.fromkeys(_pairs(stems)))
        self.vocabulary = frozenset(stems) - _GLUE
        self.meanings = frozenset[str]().union(*(meanings for _, meanings in self.words))


@lru_cache(maxsize=5_000)
def _asked(text: str) -> _Asked:
    return _Asked(text)


def _at_most(times: int, asked: Sequence[tuple[str, frozenset[str]]]) -> list[tuple[str, frozenset[str]]]:
    seen: Counter[str] = Counter()
    kept = []
    for word, meanings in asked:
        seen[word] += 1
        if seen[word] <= times:
            kept.append((word, meanings))
    return kept


def _length(terms: Counter[str]) -> int:
    """How long a text is, whatever the thesaurus makes of it."""
    return sum(count for term, count in terms.items() if not term.startswith("~"))


def _mean(lengths: Sequence[int]) -> float:
    return max(sum(lengths) / len(lengths), 1.0) if lengths else 1.0


def _weigh(
    fields: Mapping[str, Counter[str]], weights: Mapping[str, float], mean: Mapping[str, float]
) -> dict[str, float]:
    """Term → its frequency over all fields, each field by its weight and shorter texts for more."""
    weighed: dict[str, float] = {}
    for field, terms in fields.items():
        factor = weights[field] / (1 - LENGTH + LENGTH * _length(terms) / mean[field])
        for term, count in terms.items():
            weighed[term] = weighed.get(term, 0.0) + factor * count
    return weighed


def _rarity(holders: int, documents: int) -> float:
    return math.pow(math.log(1 + (documents - holders + 0.5) / (holders + 0.5)), SOFTENING)
