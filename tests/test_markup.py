"""Text for chats: what data says stays words, and everything fits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.markup import LONGEST_DATA, SLACK, WHATSAPP, cut

EVIL = st.text(
    st.one_of(
        st.sampled_from("<>&@*_~`|:/!#^. \n\t-+w1aé"),
        st.characters(codec="utf-8"),
    ),
    max_size=1500,
) | st.lists(
    st.sampled_from(
        [
            "<!channel>",
            "<@U123>",
            "<https://x.y|z>",
            "&lt;",
            "https://a.b",
            "www.a.b",
            ":tada:",
            "@here",
            "mailto:",
        ]
    ),
    max_size=40,
).map("".join)
ENTITY = re.compile(r"&(amp|lt|gt);")


@pytest.fixture(autouse=True, scope="module")
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The key of masks lies here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASPORA_HOME", str(tmp_path_factory.mktemp("home")))
        yield Path()


@given(EVIL)
def test_data_commands_nothing_in_slack(text: str) -> None:
    """No brackets, no entities but our own, no address, no mention, no emoji, no formatting, one line."""
    said = SLACK.data(text)
    assert "<" not in said
    assert ">" not in said
    assert "&" not in ENTITY.sub("", said)
    commands_nothing(ENTITY.sub("§", said))
    assert len(said) <= 11 * LONGEST_DATA


@given(EVIL)
def test_data_commands_nothing_in_whatsapp(text: str) -> None:
    commands_nothing(WHATSAPP.data(text))


def commands_nothing(said: str) -> None:
    assert not re.search(r"://|\bwww\.|@\w|\bmailto:|[*~`\n\r]", said, re.IGNORECASE)
    assert not re.search(r":[\w+'-]*[^\W\d_][\w+'-]*:", said)
    assert not re.search(r"(?<![^\W_])_|_(?![^\W_])", said)


@given(st.lists(st.lists(EVIL, max_size=8), max_size=80))
def test_any_message_fits(paragraphs: list[list[str]]) -> None:
    """Slack: 50 blocks of 3000 characters, none empty, no half of an entity. WhatsApp: 4096 characters."""
    written = [[SLACK.data(line) for line in paragraph] for paragraph in paragraphs]
    body = SLACK.body(written, [{"type": "button"}])
    texts = [block["text"]["text"] for block in body["blocks"] if block["type"] == "section"]
    assert len(body["blocks"]) <= 50
    assert all(0 < len(text) <= 3000 for text in texts)
    assert all("&" not in ENTITY.sub("", text) for text in [*texts, body["text"]])
    assert all(block["text"]["verbatim"] for block in body["blocks"] if block["type"] == "section")
    plain = [[WHATSAPP.data(line) for line in paragraph] for paragraph in paragraphs]
    assert len(WHATSAPP.body(plain)["text"]) <= 4096


@given(st.text("&<>a", max_size=300), st.integers(10, 200))
def test_a_cut_halves_no_escaped_sign(text: str, longest: int) -> None:
    shorter = cut(SLACK.data(text), longest)
    assert len(shorter) <= longest
    assert "&" not in ENTITY.sub("", shorter)


def test_plain_words_stay_as_they_are() -> None:
    """Names of actions, times, ids and amounts read as usual."""
    for text in (
        "retry_orders: 3 orders at 5/s, about 1s",
        "08:00:23 ecm-2026-02-17",
        "$1,200 (50 %)",
        "größer",
    ):
        assert SLACK.data(text) == text


def test_personal_data_is_masked_before_the_text_is_cut() -> None:
    """So that no half of it is left."""
    said = SLACK.data("x" * (LONGEST_DATA - 8) + " kim.lee@example.com")
    assert "kim" not in said
    assert "&lt;email:" in SLACK.data("from kim.lee@example.com")


def test_the_end_of_a_long_message_stays() -> None:
    """That is where its links are."""
    long = [["word " * 500] for _ in range(80)]
    assert SLACK.body([*long, ["the end"]])["blocks"][-1]["text"]["text"] == "the end"
    assert WHATSAPP.body([*long, ["the end"]])["text"].endswith("…\n\nthe end")
