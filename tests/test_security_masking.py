"""Secrets, and the numbers of several countries' people and banks, are masked; the same one always alike."""

from __future__ import annotations

import pytest

from blocks.secrets import known
from tasks.masking import Masker

OWN = "townsOwnToken_0123456789"
MASKER = Masker(b"a key", [OWN])
SECRETS = [
    "sk-ant-api03-abcdefghijklmnop",
    "xoxb-123456789012-abcdef",
    "AKIAIOSFODNN7EXAMPLE",
    "ghp_abcdefghijklmnopqrstuvwxyz012345",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    "aspora-" + "a1B2" * 10 + "xyz",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nIBAAK\n-----END RSA PRIVATE KEY-----",
    OWN,
]
PEOPLE = {
    "SSN": "078-05-1120",
    "Aadhaar": "2345 6789 0124",
    "PAN": "ABCPE1234F",
    "CPF": "529.982.247-25",
    "NINO": "AB 12 34 56 C",
    "Emirates ID": "784-1990-1234567-1",
    "resident id of China": "11010519491231002X",
    "NRIC": "S1234567D",
    "CURP": "GODE561231HDFRRN09",
}


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("around", ["{}", "login with {} failed", '{{"x": "{}"}}'])
def test_keys_are_masked_by_their_form(secret: str, around: str) -> None:
    masked = MASKER.text(around.format(secret))
    assert secret not in masked
    assert "<secret:" in masked
    assert MASKER.text(masked) == masked


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("password=hunter2x", "hunter2x"),
        ('"client_secret": "abc123xyz"', "abc123xyz"),
        ("Authorization: Bearer abcdefghij12", "abcdefghij12"),
        ("postgresql://app:p4ss@db.internal/x", "p4ss"),
        ("https://u:p-s@h/x", "p-s@"),
    ],
)
def test_what_a_label_calls_secret_is_masked(text: str, gone: str) -> None:
    assert gone not in MASKER.text(text)


@pytest.mark.parametrize("key", ["password", "api_key", "db_password", "Authorization", "cookie"])
def test_what_stands_under_a_secrets_key_is_masked(key: str) -> None:
    assert MASKER.data({key: "plain words"})[key].startswith("<secret:")


@pytest.mark.parametrize(
    "text", ["token expired", "password: expired", "next_token", "secret santa", "tokens: 120000"]
)
def test_words_about_secrets_stay(text: str) -> None:
    assert MASKER.text(text) == text


def test_a_pages_token_stays_usable() -> None:
    assert MASKER.data({"next_token": "abcdefgh1"}) == {"next_token": "abcdefgh1"}


def test_no_tool_gets_a_secret_back() -> None:
    masked = MASKER.text(f"key {SECRETS[0]}")
    assert MASKER.unmasked(masked) == masked


@pytest.mark.parametrize("name", PEOPLE)
@pytest.mark.parametrize("around", ["{}", "id {}, refused", "cut...{} x"])
def test_identity_numbers_are_masked(name: str, around: str) -> None:
    masked = MASKER.text(around.format(PEOPLE[name]))
    assert PEOPLE[name] not in masked
    assert "<id:" in masked
    assert MASKER.text(masked) == masked


@pytest.mark.parametrize(
    "text",
    [
        "20-00-00 12345678",
        "sort code 20-00-00",
        "routing number: 021000021",
        "aba: 021000021",
        "bsb: 062-000",
        "clabe: 032180000118359719",
    ],
)
def test_account_numbers_of_several_countries_are_masked(text: str) -> None:
    assert "<account:" in MASKER.text(text)


@pytest.mark.parametrize(
    "text", ["2345 6789 0123", "529.982.247-26", "S1234567A", "987-65-4321", "110105194912310021"]
)
def test_numbers_that_fail_their_check_stay(text: str) -> None:
    """They may be anything, and analysis needs them."""
    assert MASKER.text(text) == text


def test_one_number_has_one_mask_however_it_is_written() -> None:
    assert MASKER.text("AB123456C") == MASKER.text("AB 12 34 56 C")
    assert MASKER.text("2345-6789-0124") == MASKER.text("2345 6789 0124")


def test_the_platforms_own_secrets_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARTNER_TOKEN", "partner-token-0123")
    monkeypatch.setenv("PARTNER_NAME", "partner-name-0123")
    assert "partner-token-0123" in known()
    assert "partner-name-0123" not in known()
