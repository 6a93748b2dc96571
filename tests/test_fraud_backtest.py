"""Backtests of fraud rules through the tool: figures against hand counts, labels, overlaps, bad input."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flows.evaluation import EvaluationError, evaluate_labelled
from flows.fraud.evaluate import evaluate_data
from flows.fraud.statistics import daily, paired, wilson
from tests.fraud_book import KINDS, START, Payments, opened
from tests.fraud_world import ask

DAY = 86400
UNTIL = "2026-04-01T00:00:00Z"


@pytest.fixture(params=KINDS)
def payments(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Payments]:
    yield from opened(request, tmp_path)


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Payments]:
    """A table on SQLite."""
    import sqlalchemy as sa

    url = f"sqlite:///{tmp_path / 'payments.db'}"
    writer = sa.create_engine(url)
    yield Payments(writer, url)
    writer.dispose()


def rows(*spent: tuple[int, float, int, bool]) -> list[dict[str, Any]]:
    """Day, amount, customer, fraud."""
    return [
        {
            "transaction_id": n,
            "time": START + day * DAY + n,
            "amount": amount,
            "customer": customer,
            "terminal": 1,
            "country": "GB",
            "fraud": fraud,
        }
        for n, (day, amount, customer, fraud) in enumerate(spent, 1)
    ]


SPENT = rows(
    (0, 500, 1, True),
    (0, 250, 2, False),
    (0, 300, 2, False),
    (1, 215, 3, True),
    (1, 220, 3, False),
    (2, 900, 4, True),
    (2, 10, 4, False),
)


async def judged(book: Payments, **arguments: Any) -> dict[str, Any]:
    config = book.config(**arguments.pop("table", {}))
    answer = await ask(config, "backtest_rule", **{"as_of": UNTIL, **arguments})
    (found,) = answer["backtests"]
    return dict(found)


async def test_figures_are_those_counted_by_hand(payments: Payments) -> None:
    payments.fill(SPENT)
    found = await judged(payments, rule="block if amount > 220")
    figures = found["proposed"]
    assert (found["transactions"], found["frauds"], found["fraud_amount"]) == (7, 3, 1615)
    assert (figures["hits"], figures["customers"], figures["customers_hurt"]) == (4, 3, 1)
    assert (figures["fraud_caught"], figures["fraud_caught_amount"]) == (2, 1400)
    assert (figures["false_positives"], figures["false_positive_amount"]) == (2, 550)
    assert (figures["precision"], figures["recall"]) == (0.5, 2 / 3)
    assert (figures["recall_amount"], figures["false_positive_rate"]) == (1400 / 1615, 0.5)
    assert [(day["day"], day["hits"], day["fraud_caught"], day["frauds"]) for day in found["by_day"]] == [
        ("2026-03-02", 3, 1, 1),
        ("2026-03-03", 0, 0, 1),
        ("2026-03-04", 1, 1, 1),
    ]
    assert (found["just_under"], found["fraud_just_under"]) == (2, 1)
    assert found["change"]["net_amount"] == 1400 - 2 * 25


async def test_young_labels_count_as_hits_but_not_in_shares(payments: Payments) -> None:
    payments.fill(SPENT)
    found = await judged(
        payments, rule="block if amount > 220", as_of="2026-03-05T00:00:00Z", table={"label_delay": "1d"}
    )
    figures = found["proposed"]
    assert (figures["hits"], figures["immature_hits"], figures["fraud_caught"]) == (4, 1, 1)
    assert (found["mature_transactions"], found["frauds"]) == (5, 2)
    assert figures["recall"] == 0.5
    assert any("2 transactions are younger than label_delay" in warning for warning in found["warnings"])


async def test_fraud_counts_once_it_is_reported(book: Payments) -> None:
    book.fill(SPENT)
    with book.writer.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE payments ADD COLUMN reported text")
        connection.exec_driver_sql("UPDATE payments SET reported = '2026-03-10 00:00:00' WHERE is_fraud = 1")
    columns = book.mapping()["columns"] | {"reported_at": "reported"}
    early = await judged(book, rule="block if amount > 220", as_of="2026-03-09", table={"columns": columns})
    late = await judged(book, rule="block if amount > 220", as_of="2026-03-11", table={"columns": columns})
    assert (early["frauds"], late["frauds"]) == (0, 3)


def with_rules(book: Payments, *rules: tuple[str, str]) -> dict[str, Any]:
    """The config's tables with rules in force."""
    with book.writer.begin() as connection:
        connection.exec_driver_sql("DROP TABLE IF EXISTS rules")
        connection.exec_driver_sql("CREATE TABLE rules (rule_id varchar(40), rule varchar(400))")
        for rule in rules:
            connection.exec_driver_sql("INSERT INTO rules VALUES ('%s', '%s')" % rule)  # noqa: UP031
    return {"table": "rules", "columns": {"rule_id": "rule_id", "rule": "rule"}}


async def against(book: Payments, rules: list[tuple[str, str]], **arguments: Any) -> dict[str, Any]:
    from blocks.config import Config

    tables = {"transactions": book.mapping(), "fraud_rules": with_rules(book, *rules)}
    warehouse = {"url": book.url, "tables": tables}
    config = Config.model_validate({"models": {}, "domains": {}, "warehouse": warehouse})
    answer = await ask(config, "backtest_rule", as_of=UNTIL, **arguments)
    (found,) = answer["backtests"]
    return dict(found)


async def test_a_changed_threshold_is_compared_with_the_rule_it_replaces(payments: Payments) -> None:
    payments.fill(SPENT)
    rules = [("R-1", "block if amount > 220"), ("R-2", "review if customer = 2")]
    found = await against(payments, rules, replaces="R-1", threshold=400)
    assert (found["rule"], found["current_rule"]) == ("block if amount > 400", "block if amount > 220")
    assert (found["proposed"]["hits"], found["current"]["hits"]) == (2, 4)
    change = found["change"]
    assert (change["newly_hit"], change["lost_fraud"], change["released_genuine"]) == (0, 0, 2)
    assert change["net_amount"] == 50
    assert [(each["rule_id"], each["relation"]) for each in found["overlaps"]] == [("R-2", "apart")]


async def test_overlaps_conflicts_and_duplicates_are_told(payments: Payments) -> None:
    payments.fill(SPENT)
    rules = [
        ("R-1", "block if amount > 100"),
        ("R-2", "allow if customer = 2"),
        ("R-3", "review if amount > 220"),
        ("R-4", "block if amount > 800"),
        ("R-5", "block if nonsense"),
    ]
    found = await against(payments, rules, rule="block if amount > 220")
    relations = {each["rule_id"]: (each["relation"], each["both"]) for each in found["overlaps"]}
    assert relations == {
        "R-1": ("inside", 4),
        "R-2": ("contains", 2),
        "R-3": ("same", 4),
        "R-4": ("contains", 1),
    }
    assert (found["conflicts"], found["duplicates"]) == (["R-2"], ["R-1"])
    assert found["hits_of_its_own"] == 0
    assert any("R-5 can't be read" in warning for warning in found["warnings"])


async def test_a_window_beyond_the_history_is_told(book: Payments) -> None:
    book.fill(SPENT)
    found = await judged(book, rule="review if count(customer, 4w) > 1")
    assert found["proposed"]["hits"] == 3
    assert any("looks back 4w" in warning for warning in found["warnings"])


async def test_a_rule_that_cannot_be_judged_says_where(book: Payments) -> None:
    book.fill(SPENT)
    found = await judged(book, rule="block if amuont > 220")
    assert found["problem"]["at"] == 9
    assert "did you mean amount?" in found["problem"]["shown"]
    assert found["problem"]["shown"].splitlines()[2].index("^") == 2 + 9
    assert (await judged(book, replaces="R-9", threshold=3))["problem"]["message"].startswith(
        "there is no rule"
    )


async def test_a_rule_that_hits_nothing_is_an_answer(book: Payments) -> None:
    book.fill(SPENT)
    found = await judged(book, rule="block if amount > 100000")
    assert found["never_fires"] == "it hit no transaction of the history"
    assert (found["proposed"]["precision"], found["proposed"]["recall"]) == (None, 0)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"rule": "block if amount > 1", "as_of": "2020-01-01"}, "there is no transaction before 2020-01-01"),
        ({"rule": "block if amount > 1", "since": "yesterday"}, "no ISO time"),
        ({"rule": "block if amount > 1", "since": "2027-01-01", "as_of": UNTIL}, "is not before"),
        ({"rule": "block if amount > 1", "tests": "{"}, "no JSON list"),
    ],
)
async def test_bad_arguments_are_refused_in_words(
    book: Payments, arguments: dict[str, Any], says: str
) -> None:
    book.fill(SPENT)
    with pytest.raises(RuntimeError, match=says):
        await ask(book.config(), "backtest_rule", **arguments)


async def test_a_bad_mapping_names_its_key(book: Payments) -> None:
    book.fill(SPENT)
    with pytest.raises(RuntimeError, match=r"warehouse\.tables\.transactions\.fraud_when.*column fraudulent"):
        await judged(book, rule="block if amount > 1", table={"fraud_when": "fraudulent = 1"})


async def test_a_hundred_days_stay_days_and_a_year_becomes_weeks(book: Payments) -> None:
    book.fill(rows(*((day, 500.0, 1, False) for day in range(0, 100))))
    found = await judged(book, rule="block if amount > 1", as_of="2027-06-01")
    assert (found["by"], len(found["by_day"])) == ("day", 100)
    book.fill(rows(*((day, 500.0, 1, False) for day in range(0, 364))))
    found = await judged(book, rule="block if amount > 1", as_of="2027-06-01")
    assert (found["by"], len(found["by_day"]), {day["hits"] for day in found["by_day"]}) == ("week", 52, {7})


def test_intervals_are_the_known_ones() -> None:
    half = wilson(5, 10)
    assert half and (round(half.low, 4), round(half.high, 4)) == (0.2366, 0.7634)
    none = wilson(0, 20)
    assert none and none.low == 0 and 0.15 < none.high < 0.17
    change = paired(10, 0, 100)
    assert change and 0.03 < change.low < 0.1 < change.high < 0.17
    week = daily([1, 2, 3, 4, 5, 6, 7])
    assert week and (round(week.low, 2), round(week.high, 2)) == (2.0, 6.0)
    assert daily([1, 2]) is None and wilson(0, 0) is None


CSV = "TRANSACTION_ID,TX_DATETIME,CUSTOMER_ID,TERMINAL_ID,TX_AMOUNT,TX_FRAUD\n"


def labelled(path: Path) -> Path:
    lines = [
        f"{n},2026-03-{2 + n % 7:02d} {n % 24:02d}:{n % 60:02d}:00,"
        f"{n % 9},{n % 5},{(n * 37) % 400}.5,{int(n % 11 == 0)}"
        for n in range(400)
    ]
    path.write_bytes(gzip.compress((CSV + "\n".join(lines) + "\n").encode()))
    return path


def test_the_evaluation_counts_every_figure_again(tmp_path: Path) -> None:
    found = evaluate_data(labelled(tmp_path / "transactions.csv.gz"))
    assert found["metrics"] == {"exact": 1.0}
    assert found["n"] > 150 and found["failures"] == []


def test_the_evaluation_would_notice_a_wrong_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from flows.fraud import recount

    real = recount.replay
    monkeypatch.setattr(
        recount, "replay", lambda rule, rows: [not real(rule, rows)[0], *real(rule, rows)[1:]]
    )
    found = evaluate_data(labelled(tmp_path / "transactions.csv.gz"), ["block if amount > 220"])
    assert found["metrics"]["exact"] < 1 and found["failures"]


@pytest.mark.parametrize(
    ("text", "says"),
    [("a,b\n1,2\n", "no column for"), (CSV, "no transaction"), (CSV + "1,then,1,1,1,0\n", "line 2")],
)
def test_a_file_that_is_no_labelled_data_is_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "transactions.csv"
    path.write_text(text)
    with pytest.raises(EvaluationError, match=says):
        evaluate_data(path)


@pytest.mark.full
def test_labelled_data_is_counted_exactly() -> None:
    path = Path(os.environ.get("ASPORA_FRAUD_TRANSACTIONS", ""))
    if not path.is_file():
        pytest.skip("needs labelled transactions; set ASPORA_FRAUD_TRANSACTIONS to their CSV")
    assert evaluate_data(path)["metrics"] == {"exact": 1.0}


def test_rules_are_read_from_a_file(tmp_path: Path) -> None:
    data, rules = labelled(tmp_path / "transactions.csv.gz"), tmp_path / "rules.txt"
    rules.write_text("# large amounts\n\nblock if amount > 220\n")
    found = evaluate_labelled("fraud", data, rules)
    assert [each["rule"] for each in found["rules"]] == ["block if amount > 220"]
    assert found["metrics"] == {"exact": 1.0}


@pytest.mark.parametrize(
    ("written", "says"),
    [("block if amuont >> 3\n", "character 18"), ("# none\n", "no rule in it"), (None, "No such file"),
     ("block if amuont > 3\n", "did you mean amount")],
)  # fmt: skip
def test_rules_that_cannot_be_read_are_refused(tmp_path: Path, written: str | None, says: str) -> None:
    data, rules = labelled(tmp_path / "transactions.csv.gz"), tmp_path / "rules.txt"
    if written is not None:
        rules.write_text(written)
    with pytest.raises(EvaluationError, match=says):
        evaluate_labelled("fraud", data, rules)


@pytest.mark.parametrize(
    ("name", "says"),
    [("rca", "not evaluated by rules; leave --rules out"), ("ecm", "leave --data out")],
)
def test_other_domains_take_no_rules(tmp_path: Path, name: str, says: str) -> None:
    with pytest.raises(EvaluationError, match=says):
        evaluate_labelled(name, tmp_path, tmp_path / "rules.txt")
