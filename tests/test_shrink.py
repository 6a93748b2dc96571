"""Tool results cut to size: always fitting, always telling."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.shrink import lean, shrink

LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=300)
)
JSON = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=30) | st.dictionaries(st.text(st.characters(codec=None)), inner, max_size=30)
    ),
    max_leaves=60,
)


def size(content):
    return len(json.dumps(content, ensure_ascii=False, allow_nan=False).encode())


@settings(max_examples=150, deadline=None)
@given(JSON, st.integers(150, 3000))
def test_always_fits_and_is_json(content, limit):
    assert size(shrink(content, limit)) <= limit


@settings(max_examples=100, deadline=None)
@given(JSON, st.integers(150, 3000), st.integers(150, 30_000))
def test_cutting_twice_fits_too(content, limit, coarse):
    assert size(shrink(shrink(content, coarse), limit)) <= limit


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text("abc", min_size=1), st.integers(0, 9) | st.lists(st.text("xyz"), max_size=3)))
def test_what_fits_is_left_alone(content):
    assert shrink(content, 100_000) == content


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"lines": ["x" * 40] * 1000}, "lines: 1000 items to"),
        ({"note": "x" * 9000}, "note: 9000 characters to"),
        (["x" * 40] * 1000, "list: 1000 items to"),
        ("x" * 9000, "text: 9000 characters to"),
        ({f"order {number}": "stuck" for number in range(1000)}, "dict: 1000 items to"),
        ({"a": {f"order {number}": "stuck" for number in range(1000)}}, "a: 1000 items to"),
    ],
)
def test_tells_what_was_cut(content, told):
    cut = shrink(content, 5000)
    assert any(told in each for each in cut["cut"])
    assert size(cut) <= 5000


def test_keeps_structure_and_short_fields():
    cut = shrink({"service": "lulu", "samples": [{"id": 1, "text": "x" * 5000}] * 3}, 3000)
    assert cut["service"] == "lulu"
    assert [sample["id"] for sample in cut["samples"]] == [1, 1, 1]


def test_second_cut_still_tells_of_the_first():
    first = shrink({"lines": ["y" * 50] * 100_000, "note": "z" * 3000}, 50_000)
    second = shrink(first, 5000)
    assert any("100000 items" in each for each in second["cut"])


@pytest.mark.parametrize(
    "content",
    [
        {"id": 10**5000},
        {"ratio": float("nan"), "more": float("inf")},
        {"text": "\ud800 half of an emoji"},
        {"\udfff": 1},
        {1: "a", None: "b"},
    ],
    ids=["huge integer", "not a number", "lone surrogate", "surrogate key", "other keys"],
)
def test_what_json_can_not_carry(content):
    assert size(shrink(content, 1000)) <= 1000


def test_endless_nesting():
    content = []
    for _ in range(5000):
        content = [content]
    assert "nested deeper" in json.dumps(shrink(content, 2000))


def test_size_of_the_content_does_not_matter():
    """No more is walked through than what may be kept."""
    Read.lists = 0
    shrink(Read(Read(Read("x" for _ in range(200)) for _ in range(200)) for _ in range(50)), 20_000)
    assert Read.lists < 1000


class Read(list):
    """A list that counts the lists that are read."""

    lists = 0

    def __getitem__(self, place):
        Read.lists += 1
        return super().__getitem__(place)


def test_lean_leaves_out_fractions_of_seconds_and_nothing_else():
    content = {
        "first_seen": "2026-02-28T11:26:05.981000Z",
        "last_seen": "2026-02-28T11:26:05+00:00",
        "said": "at 2026-02-28T11:26:05.981Z it began",
        "rate": None,
        "rows": [{"at": "2026-02-28T11:26:05.9+01:00"}, None, [], 0.5],
    }
    assert lean(content) == {
        **content,
        "first_seen": "2026-02-28T11:26:05Z",
        "rows": [{"at": "2026-02-28T11:26:05+01:00"}, None, [], 0.5],
    }
