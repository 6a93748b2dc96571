"""The dashboards' PromQL on series with few events, by `promtool test rules`: whole and right numbers."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from grafana.build import promql
from tests import needs

pytestmark = pytest.mark.full

HOUR = 60
X = "x_total"


def check(directory: Path, series: dict[str, str], expected: dict[str, list[Any]], at: int) -> str:
    """What promtool says; empty if the expressions have these values.

    Args:
        series: by name and labels: values at each minute, in promtool's words.
        expected: expression → its samples, as value, or labels and value.
        at: minutes after the first sample; half a minute is added, as queries seldom meet a scrape.
    """
    tests = [
        {"expr": expression, "eval_time": f"{at}m30s", "exp_samples": [sample(each) for each in samples]}
        for expression, samples in expected.items()
    ]
    inputs = [{"series": name, "values": values} for name, values in series.items()]
    case = {"interval": "1m", "input_series": inputs, "promql_expr_test": tests}
    file = directory / "numbers.yml"
    file.write_text(yaml.safe_dump({"rule_files": [], "evaluation_interval": "1m", "tests": [case]}))
    promtool = needs.program("promtool", "prometheus")
    done = subprocess.run([promtool, "test", "rules", str(file)], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def sample(each: Any) -> dict[str, Any]:
    labels, value = each if isinstance(each, tuple) else ("{}", each)
    return {"labels": labels, "value": value}


RUNS = f"0+0x{26 * HOUR} 1+0x{5 * HOUR} 2+0x{9 * HOUR} 3+0x{10 * HOUR}"
"""Three runs, all within the last 24 of 50 hours."""


def test_three_runs_a_day_are_three(tmp_path: Path) -> None:
    expected = {promql.gained(X): [3], promql.daily(X): [3]}
    assert not check(tmp_path, {X: RUNS}, expected, 50 * HOUR)


def test_two_gateways_on_one_record_count_once(tmp_path: Path) -> None:
    """Also while one of them is away, and when another one comes."""
    series = {
        f'{X}{{instance="a", pod="p"}}': RUNS,
        f'{X}{{instance="b", pod="q"}}': f"0+0x{26 * HOUR} 1+0x{5 * HOUR} {'_ ' * (19 * HOUR)}",
        f'{X}{{instance="c", pod="r"}}': f"{'_ ' * (49 * HOUR)} 3+0x{HOUR}",
    }
    expected = {promql.gained(X): [3], promql.daily(X): [3], f"sum({X})": [6]}
    assert not check(tmp_path, series, expected, 50 * HOUR)


def test_increase_would_not_say_three(tmp_path: Path) -> None:
    """Why the expressions are what they are: `increase` extrapolates."""
    assert "got:" in check(tmp_path, {X: RUNS}, {f"increase({X}[24h])": [3]}, 50 * HOUR)


def test_what_was_before_the_first_scrape_is_not_of_today(tmp_path: Path) -> None:
    """A Prometheus that begins today finds 500 executions in the record, and sees two more."""
    series = f"500+0x{3 * HOUR} 502+0x{HOUR}"
    assert not check(tmp_path, {X: series}, {promql.gained(X): [2], promql.daily(X): []}, 4 * HOUR)


def test_a_gap_at_the_windows_beginning(tmp_path: Path) -> None:
    """Prometheus was down a day ago: it is counted from when it was up again, never from the beginning."""
    series = f"400+0x{20 * HOUR} {'_ ' * (10 * HOUR)} 410+0x{10 * HOUR} 413+0x{10 * HOUR}"
    assert not check(tmp_path, {X: series}, {promql.gained(X): [3]}, 50 * HOUR)


def test_a_record_begun_anew(tmp_path: Path) -> None:
    """Its counters are smaller than a day ago: they are counted from their beginning, and never negative."""
    series = f"900+0x{40 * HOUR} 0+0x{5 * HOUR} 4+0x{5 * HOUR}"
    assert not check(tmp_path, {X: series}, {promql.gained(X): [4], promql.daily(X): []}, 50 * HOUR)


def test_a_label_that_is_new_today_counts(tmp_path: Path) -> None:
    series = {
        'x_total{domain="ecm", outcome="success"}': f"7+0x{50 * HOUR}",
        'x_total{domain="ecm", outcome="partial"}': f"{'_ ' * (40 * HOUR)} 2+0x{10 * HOUR}",
    }
    expected = {promql.gained(X, by=("domain",)): [('{domain="ecm"}', 2)]}
    assert not check(tmp_path, series, expected, 50 * HOUR)


@pytest.mark.parametrize(("unseen", "average"), [(0, 3), (3, (0 + 3 + 4 + 5 + 6) / 5)])
def test_the_average_is_one_of_whole_days_that_were_seen(tmp_path: Path, unseen: int, average: float) -> None:
    """Days 1 to 7 had 0, 1, … 6 executions; the last 24 hours, which begin on day 8, don't count.

    Where midnight 3 was not seen, neither day 2 nor day 3 can be told, and both are left out.
    """
    total, halves = 0, []
    for day in range(10):
        made = max(0, min(day - 1, 6)) if day < 8 else 100
        halves += [f"{total}+0x{12 * HOUR - 1}", f"{total + made}+0x{12 * HOUR - 1}"]
        total += made
    if unseen:
        halves[2 * unseen - 1 : 2 * unseen + 1] = ["_ " * (24 * HOUR)]
    expected = {promql.before(promql.daily(X)): [average]}
    assert not check(tmp_path, {X: " ".join(halves)}, expected, 9 * 24 * HOUR + 6 * HOUR)


def test_quantiles_and_ratios_of_nothing_are_no_number(tmp_path: Path) -> None:
    """`NaN` on a dashboard says nothing; no value says that there was nothing."""
    series = {
        'h_bucket{le="1.0"}': f"5+0x{50 * HOUR}",
        'h_bucket{le="+Inf"}': f"5+0x{50 * HOUR}",
        "h_count": f"5+0x{50 * HOUR}",
        "h_sum": f"2+0x{50 * HOUR}",
    }
    expected: dict[str, list[Any]] = {
        promql.quantile(0.95, "h_bucket"): [],
        promql.ratio(promql.gained("h_sum"), promql.gained("h_count")): [],
    }
    assert not check(tmp_path, series, expected, 50 * HOUR)


def test_the_platforms_success_rate_weighs_domains_by_their_executions(tmp_path: Path) -> None:
    counted = 'aspora_executions_total{domain="%s", outcome="success"}'
    series = {
        counted % "ecm": f"0+0x{30 * HOUR} 30+0x{20 * HOUR}",
        counted % "fraud": f"0+0x{30 * HOUR} 10+0x{20 * HOUR}",
        counted % "churn": f"9+0x{50 * HOUR}",
        'aspora_success_rate{domain="ecm"}': f"0.9+0x{50 * HOUR}",
        'aspora_success_rate{domain="fraud"}': f"0.5+0x{50 * HOUR}",
    }
    expected = {promql.success_rate(): [0.8], promql.active(): [2]}
    assert not check(tmp_path, series, expected, 50 * HOUR)
