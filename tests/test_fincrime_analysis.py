"""Shapes, innocent explanations and doubts, each on transfers made for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.fincrime.drawing import money_flow
from flows.fincrime.models import INNOCENT, Proof
from flows.fincrime.statistics import quantile, ramp, rarity
from tests.fincrime_world import NOW, Row, ask, config, ledger, new_fincrime_home, usual

__all__ = ["new_fincrime_home"]
AT = NOW.isoformat()
FAN_IN: list[Row] = [(f"T-{n}", 8 - n / 2, f"B-{n}", "A-1", 900.0 + 40 * n) for n in range(9)]
FAN_OUT: list[Row] = [(f"T-{n}", 8 - n / 2, "A-1", f"B-{n}", 900.0 + 40 * n) for n in range(9)]
RING: list[Row] = [
    (f"T-{n}", 8 - n, f"R-{n}" if n else "A-1", f"R-{n + 1}" if n < 4 else "A-1", 4000.0 - 50 * n)
    for n in range(5)
]
SPREAD: list[Row] = [
    row
    for n in range(5)
    for row in (
        (f"T-{n}a", 8 - n / 2, "A-1", f"M-{n}", 1500.0 + 10 * n),
        (f"T-{n}b", 7 - n / 2, f"M-{n}", "Z-1", 1450.0 + 10 * n),
    )
]
PASSED: list[Row] = [
    row
    for n in range(4)
    for row in (
        (f"T-{n}a", 9.2 - 2 * n, "B-1", "A-1", 3000.0),
        (f"T-{n}b", 9 - 2 * n, "A-1", f"D-{n % 2}", 2950.0),
    )
]
BOTH: list[Row] = [*FAN_IN, *((f"U-{n}", 3 - n / 5, "A-1", f"E-{n}", 1000.0) for n in range(9))]


async def screened(home: Path, rows: list[Row], accounts: dict[str, str] | None = None, **more: str) -> Any:
    ledger(home, rows, {"A-1": "person", **(accounts or {})}, **more)
    return (await ask(config(home), "screen_accounts", account="A-1", as_of=AT))["cases"][0]


@pytest.mark.parametrize(
    ("rows", "kind"),
    [
        (FAN_IN, "fan_in"),
        (FAN_OUT, "fan_out"),
        (BOTH, "gather_scatter"),
        (RING, "cycle"),
        (SPREAD, "scatter_gather"),
        (PASSED, "pass_through"),
    ],
    ids=["fan-in", "fan-out", "gather-scatter", "cycle", "scatter-gather", "pass-through"],
)
async def test_a_shape_is_found(fincrime_home: Path, rows: list[Row], kind: str) -> None:
    case = await screened(fincrime_home, [*usual("A-1"), *rows])
    best = case["hypotheses"][0]
    assert (best["kind"], best["innocent"]) == (kind, False)
    assert case["suspicion"] > 0.5 and best["indicators"]


@pytest.mark.parametrize("rows", [FAN_IN, FAN_OUT], ids=["in", "out"])
async def test_who_always_dealt_with_them_is_no_fan(fincrime_home: Path, rows: list[Row]) -> None:
    before: list[Row] = [
        (f"{id}-{k}", days + 30 * k, a, b, x) for k in (2, 3, 4) for id, days, a, b, x in rows
    ]
    case = await screened(fincrime_home, [*usual("A-1"), *before, *rows])
    assert case["suspicion"] < 0.15


async def test_cash_just_under_the_threshold(fincrime_home: Path) -> None:
    near: list[Row] = [(f"T-{n}", 9 - n, None, "A-1", 9000.0 + 130 * n) for n in range(6)]
    case = await screened(fincrime_home, near, kind="cash")
    assert case["hypotheses"][0]["kind"] == "structuring"
    varied: list[Row] = [(f"T-{n}", 9 - n, None, "A-1", 3000.0 + 2500 * n) for n in range(6)]
    assert (await screened(fincrime_home, varied, kind="cash"))["suspicion"] < 0.4


async def test_an_account_that_slept_wakes_up(fincrime_home: Path) -> None:
    old: list[Row] = [(f"O-{n}", 150 + n, "A-1", "SHOP", 20.0) for n in range(4)]
    woken: list[Row] = [
        ("T-1", 6, "B-1", "A-1", 7000.0),
        ("T-2", 5, "B-2", "A-1", 6000.0),
        ("T-3", 4, "A-1", "B-3", 12500.0),
    ]
    case = await screened(fincrime_home, [*old, *woken])
    assert case["hypotheses"][0]["kind"] == "dormant"


async def test_a_new_account_that_is_used_at_last_did_not_sleep(fincrime_home: Path) -> None:
    """Little is known of its own past, so that its peers' counts."""
    old: list[Row] = [(f"O-{n}", 150 + n, "B-9", "A-1", 11.0) for n in range(4)]
    used: list[Row] = [("T-1", 9, "B-9", "A-1", 21.0), ("T-2", 6, "B-1", "A-1", 175.0)]
    rows = [*old, *used, *usual("B-1"), *usual("B-9")]
    assert (await screened(fincrime_home, rows))["suspicion"] < 0.4


async def test_money_that_was_never_sent_in_a_circle_is_no_cycle(fincrime_home: Path) -> None:
    backwards: list[Row] = [
        (id, 30 - days, a, b, amount * (1 + k)) for k, (id, days, a, b, amount) in enumerate(RING)
    ]
    case = await screened(fincrime_home, [*usual("A-1"), *backwards])
    assert "cycle" not in {each["kind"] for each in case["hypotheses"]}


async def test_wages_and_rents_explain_themselves(fincrime_home: Path) -> None:
    wages: list[Row] = [
        (f"W-{k}-{n}", 3 + 30 * k, "A-1", f"P-{n}", 2000.0 + n) for k in range(5) for n in range(9)
    ]
    case = await screened(fincrime_home, wages, {"A-1": "business", **{f"P-{n}": "person" for n in range(9)}})
    assert (case["hypotheses"][0]["kind"], case["suspicion"]) == ("payroll", 0)
    rents: list[Row] = [
        (f"W-{k}-{n}", 3 + 30 * k, f"P-{n}", "A-1", 500.0 + n) for k in range(5) for n in range(5)
    ]
    case = await screened(fincrime_home, rents, {f"P-{n}": "person" for n in range(5)})
    assert (case["hypotheses"][0]["kind"], case["suspicion"]) == ("rents", 0)


async def test_a_habit_is_doubted(fincrime_home: Path) -> None:
    """As many newcomers in each earlier stretch: the fan is this account's way of life."""
    habit: list[Row] = [
        (f"H-{k}-{n}", 45 * k + 4 + n / 2, f"N-{k}-{n}", "A-1", 900.0) for k in range(1, 6) for n in range(8)
    ]
    ledger(fincrime_home, [*usual("A-1"), *habit, *FAN_IN], {"A-1": "person"})
    of = config(fincrime_home)
    found = await ask(of, "challenge_hypotheses", account="A-1", as_of=AT)
    file = await ask(of, "test_hypotheses", account="A-1", as_of=AT)
    fan = next((each for each in file["hypotheses"] if each["kind"] == "fan_in"), None)
    stand = next((each for each in found["stands"] if each["kind"] == "fan_in"), None)
    assert fan is None or (stand and stand["support"] <= 0.6 * fan["score"])


async def test_every_proof_is_a_transfer_of_the_warehouse(fincrime_home: Path) -> None:
    ledger(fincrime_home, [*usual("A-1"), *SPREAD], {"A-1": "person"})
    of = config(fincrime_home)
    file = await ask(of, "test_hypotheses", account="A-1", as_of=AT)
    ids = [each["id"] for one in file["hypotheses"] if one["kind"] not in INNOCENT for each in one["proof"]]
    found = await ask(of, "get_transactions", ids=sorted(set(ids)))
    assert ids and found["missing"] == []


def proof(*moves: tuple[str, str, float]) -> list[Proof]:
    return [Proof(id=f"T-{n}", time=NOW, sender=a, receiver=b, value=x) for n, (a, b, x) in enumerate(moves)]


def test_a_hub_is_drawn_with_its_sides() -> None:
    lines = money_flow("A-1", proof(("B", "A-1", 100), ("C", "A-1", 50), ("A-1", "D", 140)), "USD", 3)
    text = "\n".join(lines)
    assert text.index("B") < text.index("A-1", 20) < text.index("D", 60)
    assert "140" in text and max(map(len, lines)) <= 78


def test_a_ring_is_drawn_as_one() -> None:
    lines = money_flow("A", proof(("A", "B", 100), ("B", "C", 95), ("C", "A", 90)), "USD", 3)
    assert lines[2].startswith("┌▶ A") and lines[-1].startswith("└")


def test_a_large_picture_says_what_it_leaves_out() -> None:
    lines = money_flow("A", proof(*((f"B-{n}", "A", 10.0 + n) for n in range(40))), "USD", 90)
    assert "first 40 of 90" in lines[0] and any(line.strip().startswith("and 26 more") for line in lines)
    assert money_flow("A", [], "USD", 0) == []


@given(st.integers(0, 500), st.floats(0, 300))
def test_rarity_grows_with_the_count(count: int, expected: float) -> None:
    assert 0 <= rarity(count, expected) <= rarity(count + 1, expected) + 1e-6


@given(st.floats(-1e6, 1e6), st.floats(-10, 10), st.floats(0.1, 10))
def test_a_ramp_stays_between_0_and_1(value: float, low: float, width: float) -> None:
    assert 0 <= ramp(value, low, low + width) <= 1


@given(st.lists(st.floats(0, 1e9), max_size=30), st.floats(0, 1))
def test_a_quantile_is_one_of_the_values(values: list[float], share: float) -> None:
    assert quantile(values, share) in (values or [0.0])
