"""Text ranking: words, synonyms, fields, and a score that means the same for every question."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.synonyms import CONCEPTS
from blocks.text import Index, concepts, words

PAGES = [
    {"title": "Node disk is full", "text": "The filesystem of a node has no space left."},
    {"title": "Certificate expired", "text": "The TLS certificate of a partner is past its validity date."},
    {"title": "Partner rate limit", "text": "The partner throttles us because of too many requests."},
    {"title": "Queue backlog", "text": "Consumers fall behind and messages accumulate in the queue."},
]
WEIGHTS = {"title": 2.0, "text": 1.0}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("KubePodCrashLooping", ["kube", "pod", "crash", "loop"]),
        ("HTTPServer", ["http", "server"]),
        ("stuck_orders-count", ["stuck", "order", "count"]),
        ("certificates renewed", ["certif", "renew"]),
        ("order 1234567 failed with 429", ["order", "fail", "429"]),
        ("trace 9f8e7d6c5b4a", ["trace"]),
        ("Überweisung fällig", ["überweisung", "fällig"]),
        ("SQLSTATE 23505 for 48213", ["sqlstate", "23505"]),
        ("the bank doesn't answer", ["bank", "not", "answer"]),
        ("validated, not valid", ["validat", "not", "valid"]),
    ],
)
def test_names_split_into_stems_and_identifiers_fall_out(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_a_phrase_has_the_concept_of_all_its_words() -> None:
    found = concepts(words("we sent too many requests"))
    assert "~rate limit" not in found[0]
    assert all("~rate limit" in each for each in found[1:])


@pytest.mark.parametrize(
    ("question", "document"),
    [
        ("volume ran out of room on a host", 0),
        ("x509: cert no longer valid", 1),
        ("HTTP 429 from provider", 2),
        ("kafka lag is growing", 3),
    ],
)
def test_a_paraphrase_finds_its_page(question: str, document: int) -> None:
    assert Index(PAGES, WEIGHTS).search(question, 1)[0].document == document


@pytest.mark.parametrize(
    ("printed", "said"),
    [
        ("RequestTimeTooSkewed", "clock skew"),
        ("client address not in allowlist", "our IP is not whitelisted"),
        ("getaddrinfo EAI_AGAIN", "dns"),
        ("no cipher suites in common", "tls version"),
        ("insufficient_scope", "permission"),
        ("RESOURCE_EXHAUSTED", "too many calls"),
        ("410 Gone", "deprecated"),
        ("Unexpected token < in JSON at position 0", "html"),
        ("UnicodeDecodeError", "character set"),
        ("ImagePullBackOff", "docker image"),
        ("java.lang.NullPointerException", "bug"),
        ("EMFILE", "file handles"),
        ("write ENOSPC", "disk full"),
        ("ORA-00060", "deadlock"),
        ("SQLSTATE[23505]", "duplicate"),
        ("SQLSTATE 25006", "read-only"),
        ("CommitFailedException", "rebalancing"),
        ("RecordDeserializationException", "poison message"),
        ("not a business day", "public holiday"),
        ("INSUFFICIENT_FUNDS", "nostro"),
        ("device token NotRegistered", "push notification"),
    ],
)
def test_what_software_prints_means_what_people_say(printed: str, said: str) -> None:
    def meanings(text: str) -> set[str]:
        return set().union(*concepts(words(text)))

    assert (meanings(printed) & meanings(said)) - {"~failure"}


def test_a_word_of_glue_is_no_evidence() -> None:
    pages = [{"title": "", "text": "too many, not very much"}, {"title": "", "text": "ledger"}]
    assert Index(pages, WEIGHTS).search("not too ledger") == Index(pages, WEIGHTS).search("ledger")
    assert [hit.document for hit in Index(pages, WEIGHTS).search("very much not ledger")] == [1]


def test_a_richer_thesaurus_makes_no_text_longer() -> None:
    plain = [{"title": "", "text": "zebra giraffe walrus"}, {"title": "", "text": "zebra badger otter"}]
    meaning = [{"title": "", "text": "zebra disk timeout"}, {"title": "", "text": "zebra badger otter"}]
    first, second = (Index(pages, WEIGHTS).scores("zebra") for pages in (plain, meaning))
    assert first == second


@pytest.mark.parametrize("question", ["best pizza in town", "qwer asdf", "", "???", "the of and"])
def test_a_question_about_nothing_here_scores_low(question: str) -> None:
    assert all(score <= 0.3 for score in Index(PAGES, WEIGHTS).scores(question))


def test_the_word_itself_beats_its_synonym() -> None:
    index = Index([{"title": "", "text": "disk trouble"}, {"title": "", "text": "volume trouble"}], WEIGHTS)
    assert index.search("volume", 1)[0].document == 1


def test_a_page_named_after_the_question_wins() -> None:
    pages = [
        {"title": "Alertmanager failed reload", "text": "The configuration of a program failed to reload."},
        {"title": "Kubelet down", "text": "Target discovery has lost the agent."},
        {"title": "Scheduler down", "text": "Scheduler has disappeared from target discovery."},
    ]
    assert Index(pages, WEIGHTS).search("Kubelet has disappeared from target discovery", 1)[0].document == 1


def test_an_empty_index_answers_nothing() -> None:
    assert Index([], WEIGHTS).search("disk full") == []
    assert Index([{}], WEIGHTS).search("disk full") == []


def test_no_synonym_is_written_twice_in_a_concept_or_stands_alone() -> None:
    for concept, members in CONCEPTS.items():
        phrases = [phrase.strip() for phrase in members.split(",")]
        assert len(phrases) == len(set(phrases)) > 1, concept
        assert all(words(phrase) for phrase in phrases), concept


@given(st.text(max_size=200))
def test_scores_stay_between_0_and_1_and_come_best_first(question: str) -> None:
    hits = Index(PAGES, WEIGHTS).search(question, 10)
    assert all(0 < hit.score <= 1 for hit in hits)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


@given(st.permutations(range(len(PAGES))))
def test_the_order_of_documents_changes_no_score(order: list[int]) -> None:
    question = "partner certificate queue full"
    expected = Index(PAGES, WEIGHTS).scores(question)
    shuffled = Index([PAGES[place] for place in order], WEIGHTS).scores(question)
    assert shuffled == pytest.approx([expected[place] for place in order])
