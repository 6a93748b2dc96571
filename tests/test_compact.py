"""Tool results said in fewer characters: nothing is lost, and what repeats is said once."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tasks.compact import MARK, Compact

FIX = "Restart the listeners of the service, then put the waiting orders back on the queue."
LINE = "2026-03-03T03:18:53Z ERROR fx-service: refusing to price an order: rate is 11 min old"

names = st.sampled_from(["a", "fix", f"{MARK}columns", "rows", f"{MARK}a", "[0]", "a.b"])
texts = st.sampled_from(["", "short", FIX, LINE, MARK, f"{MARK}call 1: a", MARK + FIX, "x" * 48]) | st.text()
alike = st.lists(st.fixed_dictionaries({"fix": texts, "a": texts}), max_size=4)
contents = st.recursive(
    st.none() | st.booleans() | st.integers() | texts | alike,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=30,
)


def said(contents: list[Any]) -> list[str]:
    """The JSON of a conversation's tool results."""
    compact = Compact()
    return [json.dumps(compact.pack(content, call)) for call, content in enumerate(contents, 1)]


def heard(texts: list[str]) -> list[Any]:
    """What somebody else reads in them."""
    compact = Compact()
    return [compact.unpack(json.loads(text), call) for call, text in enumerate(texts, 1)]


@given(st.lists(contents, max_size=4))
def test_what_is_read_is_what_was_said(results: list[Any]) -> None:
    assert heard(said(results)) == results


@given(st.lists(contents, max_size=4))
def test_it_is_never_longer_but_for_marks(results: list[Any]) -> None:
    for text, result in zip(said(results), results, strict=True):
        plain = json.dumps(result)
        assert len(text) <= len(plain) + len(json.dumps(MARK)) * plain.count(json.dumps(MARK)[1:-1])


def test_alike_objects_are_a_table() -> None:
    names = ["a.md", "b.md", "c.md"]
    (text,) = said([{"hits": [{"runbook": name, "score": 0.5} for name in names]}])
    rows = [[name, 0.5] for name in names]
    assert json.loads(text) == {"hits": {f"{MARK}columns": ["runbook", "score"], "rows": rows}}


def test_a_place_that_is_longer_than_its_text_is_not_given() -> None:
    deep: Any = [LINE]
    for _ in range(40):
        deep = {"a name of some length": deep}
    assert len(json.dumps([deep, LINE, LINE, LINE])) >= len(said([[deep, LINE, LINE, LINE]])[0])


def test_a_model_may_name_a_place_where_a_text_belongs() -> None:
    compact = Compact()
    compact.pack({"fix": FIX}, 1)
    place = f"{MARK}call 1: fix"
    assert compact.written_out({"fix": place, "why": [place, f"see {place}"]}) == {
        "fix": FIX,
        "why": [FIX, f"see {place}"],
    }
    assert compact.written_out(f"{MARK}call 2: fix") == f"{MARK}call 2: fix"


def test_a_text_that_was_told_is_given_as_its_place() -> None:
    hits = [{"runbook": "a.md", "fix": "none"}, {"runbook": "b.md", "fix": FIX}]
    _, again = said([{"hits": hits}, {"hits": [{"runbook": "b.md", "fix": FIX}], "note": "short"}])
    assert json.loads(again) == {
        "hits": [{"runbook": "b.md", "fix": f"{MARK}call 1: hits[1].fix"}],
        "note": "short",
    }


def test_text_that_looks_like_a_place_stays_what_it_is() -> None:
    forged = f"{MARK}call 1: fix"
    results = [{"fix": FIX}, {"line": forged}]
    assert heard(said(results)) == results
    assert json.loads(said(results)[1]) == {"line": MARK + forged}
