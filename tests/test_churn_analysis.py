"""What the churn domain computes: columns, leaks, risk, its quality, experiments; and labelled files."""

from __future__ import annotations

import os
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.churn import evaluate, quality
from flows.churn.analysis import control, sample_size, smallest_effect
from flows.churn.columns import Frame, Role, as_categories, as_numbers, role_of
from flows.churn.evaluate import evaluate_data
from flows.churn.leaks import leaking
from flows.churn.picture import drivers, pushes
from flows.churn.protected import looks_protected
from flows.churn.risk import fit, sigmoid
from flows.evaluation import EvaluationError
from tests.churn_world import customers, write


@pytest.mark.parametrize(
    ("name", "values", "role"),
    [
        ("tenure", [1, 5, 9, " ", 12] * 20, Role.number),
        ("senior", ["0", "1"] * 50, Role.category),
        ("plan", ["a", "b", "c", ""] * 25, Role.category),
        ("customerid", [f"{n:04}-X" for n in range(100)], Role.id),
        ("account", list(range(500, 600)), Role.id),
        ("balance", [round(n * 1.37, 2) for n in range(100)], Role.number),
        ("cents", [n * n * 97 for n in range(100)], Role.number),
        ("always", ["yes"] * 100, Role.constant),
        ("empty", [None, "", " ", "NaN"] * 25, Role.constant),
    ],
)
def test_a_columns_role_is_seen_from_its_values(name: str, values: list[Any], role: Role) -> None:
    assert role_of(name, values)[0] == role


@pytest.mark.parametrize(
    ("name", "values", "what"),
    [
        ("gender", [], "sex"),
        ("CustomerAge", ["31"], "age"),
        ("dateOfBirth", [], "age"),
        ("SeniorCitizen", ["0", "1"], "age"),
        ("col_7", ["F", "M", "m"], "sex"),
        ("status_2", ["Single", "Married", "unknown"], "family"),
        ("partner", ["Yes", "No"], "family"),
        ("religion", [], "religion"),
        ("nationality", [], "origin"),
        ("partner", ["lulu", "zento"], ""),
        ("account_age", ["12"], ""),
        ("usage", ["1", "2"], ""),
        ("message_language", ["en", "hi"], ""),
        ("kind", ["none", "other"], ""),
        ("corridor", ["IN", "PH"], ""),
    ],
)
def test_protected_columns_are_seen_by_name_or_values(name: str, values: list[str], what: str) -> None:
    assert looks_protected(name, values) == what


def made(count: int = 1200, seed: int = 3) -> tuple[Frame, Any]:
    rng = np.random.default_rng(seed)
    tenure, group = rng.uniform(0, 70, count), rng.choice(["a", "b", "c"], count)
    odds = 0.8 - tenure / 25 + 1.5 * (group == "a")
    left = rng.uniform(size=count) < 1 / (1 + np.exp(-odds))
    numbers = {"tenure": tenure, "noise": rng.normal(size=count)}
    return Frame(numbers, {"group": as_categories(list(group))}, count), left


def widened(frame: Frame, name: str, values: Any) -> Frame:
    return Frame({**frame.numbers, name: np.asarray(values, dtype=float)}, frame.categories, frame.rows)


def test_columns_known_only_afterwards_are_caught_and_named() -> None:
    frame, left = made()
    rng = np.random.default_rng(5)
    assert leaking(frame, left) == []
    certain = widened(frame, "score", np.where(left, 80, 20) + rng.normal(scale=5, size=frame.rows))
    assert [each.column for each in leaking(certain, left)] == ["score"]
    refund = np.where(left & (rng.uniform(size=frame.rows) < 0.3), rng.uniform(5, 90, frame.rows), np.nan)
    (found,) = leaking(widened(frame, "refund", refund), left)
    assert found.column == "refund" and "known only afterwards" in found.reason
    noisy = np.where(rng.uniform(size=frame.rows) < 0.75, left, ~left)
    assert [each.column for each in leaking(widened(frame, "exit_call", noisy), left)] == ["exit_call"]
    assert leaking(widened(frame, "calls", noisy), left) == []


def test_an_id_does_not_look_like_a_leak_by_chance() -> None:
    frame, left = made(400)
    ids = as_categories([f"c{n // 2}" for n in range(400)])
    assert leaking(Frame(frame.numbers, {**frame.categories, "branch": ids}, 400), left) == []


@pytest.mark.full
def test_contributions_add_up_to_the_score() -> None:
    frame, left = made()
    risk = fit(frame, left)
    parts = risk.contributions(frame)
    odds = sum(parts.values()) + sum(risk.usual.values()) + risk.shift
    assert np.allclose(sigmoid(odds), risk.scores(frame))
    assert abs(risk.scores(frame).mean() - left.mean()) < 0.01
    young = frame.numbers["tenure"] < 10
    assert parts["tenure"][young].mean() > 0.5 > 0.2 > abs(parts["noise"]).mean()


def test_values_never_seen_and_missing_ones_get_a_score() -> None:
    frame, left = made()
    risk = fit(frame, left)
    odd = Frame(
        {"tenure": np.array([np.nan, 1e9, -1e9]), "noise": np.zeros(3)},
        {"group": as_categories(["", "z", None])},
        3,
    )
    assert np.isfinite(risk.scores(odd)).all()
    nobody = frame.take(np.array([], dtype=int))
    assert len(risk.scores(nobody)) == 0 and all(
        len(values) == 0 for values in risk.contributions(nobody).values()
    )


def test_the_area_under_the_curve_counts_pairs_and_ties() -> None:
    left = np.array([True, True, False, False, False])
    scores = np.array([0.9, 0.4, 0.4, 0.3, 0.1])
    pairs = product(scores[left], scores[~left])
    told = np.mean([1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs])
    assert quality.auc(left, scores)[0] == pytest.approx(told)
    frame, gone = made(800)
    found = quality.auc_estimate([(gone, -frame.numbers["tenure"])])
    drawn = quality.resampled([(gone, -frame.numbers["tenure"])], lambda parts: quality.auc(*parts[0])[0])
    assert (found.low, found.high) == pytest.approx((drawn.low, drawn.high), abs=0.01)


def test_calibration_error_is_the_gap_between_said_and_seen() -> None:
    rng = np.random.default_rng(1)
    said = rng.uniform(0.05, 0.6, 20_000)
    left = rng.uniform(size=20_000) < said
    assert quality.calibration_error(left, said) < 0.015
    assert quality.calibration_error(left, said + 0.1) == pytest.approx(0.1, abs=0.015)


def test_drift_is_seen_in_numbers_and_categories() -> None:
    before, _ = made(2000, seed=1)
    after, _ = made(2000, seed=2)
    assert max(quality.drift(before, after).values()) < 0.1
    shifted = Frame(
        {**after.numbers, "noise": after.numbers["noise"] + 1}, {"group": as_categories(["d"] * 2000)}, 2000
    )
    found = quality.drift(before, shifted)
    assert found["noise"] > quality.DRIFTED and found["group"] > quality.DRIFTED > found["tenure"]


def test_sample_sizes_are_those_of_the_textbook() -> None:
    assert sample_size(0.65, 0.55) == sample_size(0.55, 0.65) == 376
    assert sample_size(0.1, 0.05) == 435
    with pytest.raises(ValueError, match="two different shares"):
        sample_size(0.2, 0.2)


@given(st.floats(0.01, 0.9), st.integers(200, 100_000))
def test_the_smallest_effect_needs_as_many_as_there_are(usual: float, each: int) -> None:
    effect = smallest_effect(usual, each)
    if effect is not None:
        assert sample_size(usual, usual * (1 - effect)) <= each
        assert effect < 0.02 or sample_size(usual, usual * (1 - effect * 0.98)) >= each * 0.9


def test_control_groups_are_drawn_alike_each_time_and_apart_for_each_test() -> None:
    ids = [f"C-{n}" for n in range(4000)]
    one = [control(id, "a", 0.3) for id in ids]
    assert one == [control(id, "a", 0.3) for id in ids]
    assert 0.27 < np.mean(one) < 0.33
    both = np.mean([control(id, "a", 0.3) and control(id, "b", 0.3) for id in ids])
    assert 0.07 < both < 0.11


def test_pictures_have_a_line_a_reason_and_none_without_value() -> None:
    lines = drivers([("price rise", 40, 1000.0, 600.0), ("tenure", 9, 100.0, 0.0)])
    assert lines[1].count("█") == 18 and lines[1].count("░") == 12
    assert "40 customers" in lines[1] and len(lines) == 4
    assert drivers([]) == [] and drivers([("x", 3, 0.0, 0.0)]) == []
    assert pushes("x", {"a": 1.0, "b": -1.0})[1].startswith("a")


@pytest.mark.full
def test_labelled_customers_are_scored_in_folds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate, "REPEATS", 1)
    found = evaluate_data(write(tmp_path / "c.csv", customers(500)))
    assert found["n"] == 500 and found["metrics"].keys() == found["intervals"].keys()
    assert found["metrics"]["auc"] > 0.7
    for name, (low, high) in found["intervals"].items():
        assert 0 <= low <= found["metrics"][name] <= high <= 1
    assert found["left_out"] == {
        "customerID": "id: 500 different values for 500 customers",
        "gender": "protected: looks like sex",
    }


def test_a_leaking_column_is_left_out_in_every_fold_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate, "REPEATS", 1)
    rows = customers(500)
    clean = evaluate_data(write(tmp_path / "a.csv", rows))
    leaky = [{**row, "refund": 1 if row["Churn"] == "Yes" else 0} for row in rows]
    found = evaluate_data(write(tmp_path / "b.csv", leaky, delimiter=";"))
    assert "known only afterwards" in found["left_out"]["refund"]
    assert found["metrics"] == clean["metrics"]


def test_rows_of_one_customer_stay_in_one_fold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate, "REPEATS", 1)
    rng = np.random.default_rng(2)
    rows = [
        {**row, "tone": round(float(rng.normal()), 6), "Churn": rng.choice(["Yes", "No"])}
        for row in customers(150)
    ]
    told = evaluate_data(write(tmp_path / "c.csv", rows * 3))
    assert told["metrics"]["auc"] < 0.65, "who leaves is pure chance here"


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{**row, "Churn": "No"} for row in customers(300)], "all 300 customers stayed"),
        (customers(50), "50 customers of whom"),
        ([{k: v for k, v in row.items() if k != "Churn"} for row in customers(300)], "has no column churn"),
        ([{"Churm": row["Churn"], **row} | {"Churn": ""} for row in customers(300)], "too few"),
        ([{"id": row["customerID"], "Churn": row["Churn"]} for row in customers(300)], "no column is left"),
        (
            [{"end": row["Churn"], "Churn": row["Churn"]} for row in customers(300)],
            "every column gives the answer away",
        ),
    ],
)
def test_files_that_teach_nothing_are_refused_in_words(
    tmp_path: Path, rows: list[dict[str, Any]], said: str
) -> None:
    with pytest.raises(EvaluationError, match=said):
        evaluate_data(write(tmp_path / "c.csv", rows))


@pytest.mark.parametrize(
    ("content", "said"), [(b"", "no customers"), (b"\xff\xfe\x00x", "no UTF-8"), (b"a,b\n", "no customers")]
)
def test_files_that_are_no_table_are_refused_in_words(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "c.csv").write_bytes(content)
    with pytest.raises(EvaluationError, match=said):
        evaluate_data(tmp_path / "c.csv")
    with pytest.raises(EvaluationError, match="can't be read"):
        evaluate_data(tmp_path / "nowhere.csv")


def test_as_numbers_takes_what_is_none_as_missing() -> None:
    assert np.isnan(as_numbers(["", " ", "x", "inf"])).all()
    assert list(as_numbers(["1,200.5", 3])) == [1200.5, 3]


@pytest.mark.full
def test_the_public_telco_set() -> None:
    path = os.environ.get("ASPORA_TELCO", "")
    if not path:
        pytest.skip("needs ASPORA_TELCO, the public Telco churn set as a CSV")
    found = evaluate_data(Path(path))
    assert found["metrics"]["auc"] >= 0.83 and found["metrics"]["precision_top_decile"] >= 0.74
    assert found["metrics"]["calibration_error"] <= 0.03
