"""Which service an alert comes from: causes before symptoms, and silence where nothing is wrong."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.rca.analysis import Alert, Finding, Graph, Kind, Observed, find, reach
from flows.rca.picture import spark
from flows.rca.usual import usual

STEP = 300
START = 1_771_200_000
NORMAL = 580
WINDOW = 8
AT = START + (NORMAL + 5) * STEP - 1
"""Five samples of the window lie before the alert, three after it."""
GRAPH: Graph = {"web": ["shop", "search"], "shop": ["bank", "db"], "bank": ["db"], "search": []}
SECONDS = {"web": 0.01, "shop": 0.03, "search": 0.02, "bank": 0.05, "db": 0.01}
CALLS = {"web": 1000.0, "shop": 600.0, "search": 400.0, "bank": 300.0, "db": 900.0}
TROUBLE = range(NORMAL + 5, NORMAL + WINDOW)

Change = Callable[[str, int], float]


def nothing(name: str, sample: int) -> float:
    return 0.0


def slower(service: str, seconds: float, when: range = TROUBLE) -> Change:
    return lambda name, sample: seconds if name == service and sample in when else 0.0


def system(
    slow: Change = nothing,
    failing: Change = nothing,
    shape: Callable[[int], float] = lambda sample: 1.0,
    seed: int = 1,
) -> dict[str, Observed]:
    """Services whose latency and failures come from their own and those of what they call."""
    rng = Random(seed)
    found: dict[str, dict[Kind, list[tuple[float, float]]]] = {
        name: {"latency": [], "failures": [], "requests": []} for name in SECONDS
    }
    for sample in range(NORMAL + WINDOW):
        at = START + sample * STEP
        seconds: dict[str, float] = {}
        passing: dict[str, float] = {}
        for name in ("db", "bank", "shop", "search", "web"):
            seconds[name] = SECONDS[name] * rng.lognormvariate(0, 0.05) * shape(sample) + slow(name, sample)
            passing[name] = 1 - failing(name, sample)
            for callee in GRAPH.get(name, []):
                share = CALLS[callee] / CALLS[name] / (2 if callee == "db" else 1)
                seconds[name] += share * seconds[callee]
                passing[name] *= 1 - share * (1 - passing[callee])
            found[name]["latency"].append((at, seconds[name]))
            count = CALLS[name]
            mean = min(count, count * (0.002 + 1 - passing[name]))
            failed = min(count, max(0, round(rng.gauss(mean, math.sqrt(mean)))))
            found[name]["failures"].append((at, failed / count))
            found[name]["requests"].append((at, count))
    return {name: split(kinds) for name, kinds in found.items()}


def split(kinds: Mapping[Kind, list[tuple[float, float]]]) -> Observed:
    border = START + NORMAL * STEP
    return Observed(
        {kind: [point for point in points if point[0] < border] for kind, points in kinds.items()},
        {kind: [point for point in points if point[0] >= border] for kind, points in kinds.items()},
    )


def first(finding: Finding) -> str:
    assert finding.anomalous, finding
    return finding.candidates[0].service


@pytest.fixture(scope="module")
def calm() -> dict[str, Observed]:
    return system()


@pytest.mark.parametrize("service", list(SECONDS))
@pytest.mark.parametrize("kind", ["latency", "failures"])
def test_the_service_with_the_trouble_of_its_own_comes_first(service: str, kind: Kind) -> None:
    if kind == "latency":
        observed = system(slow=slower(service, 0.2))
    else:
        observed = system(failing=slower(service, 0.1))
    found = find(observed, GRAPH, Alert(AT, "web", kind))
    assert first(found) == service
    assert found.kind == kind
    callers = [
        one for one in found.candidates if one.service != service and service in reach(GRAPH, one.service)
    ]
    assert all(one.score < 0.5 * found.candidates[0].score for one in callers)


def test_the_path_leads_from_the_alert_to_the_cause() -> None:
    found = find(system(slow=slower("bank", 0.2)), GRAPH, Alert(AT, "web", "latency"))
    assert found.candidates[0].path == ("web", "shop", "bank")
    assert found.onset == pytest.approx(AT, abs=STEP)


@pytest.mark.parametrize("kind", ["latency", "failures", None])
def test_a_normal_window_is_not_anomalous(kind: Kind | None) -> None:
    found = [find(system(seed=seed), GRAPH, Alert(AT, "web", kind)).anomalous for seed in range(2, 10)]
    assert sum(found) <= 1


def test_what_follows_the_time_of_day_is_normal() -> None:
    def daily(sample: int) -> float:
        return 1 + 0.6 * math.sin(sample * STEP / 86_400 * 2 * math.pi)

    assert usual(system(shape=daily)["web"].normal["latency"]).hourly
    assert not find(system(shape=daily), GRAPH, Alert(AT, "web", "latency")).anomalous
    found = find(system(shape=daily, slow=slower("db", 0.1)), GRAPH, Alert(AT, "web", "latency"))
    assert first(found) == "db"


def test_a_level_that_drifted_before_the_alert_is_no_cause() -> None:
    """The bank is slower since hours, the search since the alert."""
    both = lambda name, sample: (  # noqa: E731
        slower("search", 0.1)(name, sample)
        + slower("bank", 0.05, range(NORMAL - 2, NORMAL + WINDOW))(name, sample)
    )
    assert first(find(system(slow=both), GRAPH, Alert(AT, "search", "latency"))) == "search"
    found = find(system(slow=both), GRAPH, Alert(AT, "web", "latency"))
    assert "search" in [one.service for one in found.candidates[:2]]


def test_one_bad_sample_in_the_past_hides_nothing() -> None:
    past = lambda name, sample: 5.0 if sample == 50 else slower("bank", 0.2)(name, sample)  # noqa: E731
    assert first(find(system(slow=past), GRAPH, Alert(AT, "web", "latency"))) == "bank"


def test_a_callee_that_was_never_called_before_blames_its_caller() -> None:
    observed = system(failing=slower("bank", 0.2))
    points = [(START + sample * STEP, 1.0) for sample in TROUBLE]
    counts = [(at, 60.0) for at, _ in points]
    observed["lost-host"] = Observed({}, {"failures": points, "requests": counts})
    found = find(observed, {**GRAPH, "bank": ["db", "lost-host"]}, Alert(AT, "web", "failures"))
    assert first(found) == "bank"
    assert list(found.candidates[0].new_callees) == ["lost-host"]


def test_one_that_fails_because_what_it_calls_is_too_slow() -> None:
    observed = system(slow=slower("bank", 3.0), failing=slower("web", 0.2))
    assert first(find(observed, GRAPH, Alert(AT, "web", "failures"))) == "bank"


def test_missing_samples_are_no_anomaly_and_hide_none() -> None:
    rng = Random(3)

    def thinned(observed: dict[str, Observed]) -> dict[str, Observed]:
        return {
            name: Observed(
                {kind: [p for p in points if rng.random() > 0.3] for kind, points in one.normal.items()},
                {kind: [p for p in points if name == "web" or rng.random() > 0.3]
                 for kind, points in one.window.items()},
            )
            for name, one in observed.items()
        }  # fmt: skip

    assert not find(thinned(system()), GRAPH, Alert(AT, "web", "latency")).anomalous
    observed = thinned(system(slow=slower("shop", 0.3)))
    assert first(find(observed, GRAPH, Alert(AT, "web", "latency"))) == "shop"


def test_without_counts_of_requests_a_cause_is_still_found() -> None:
    observed = {
        name: Observed(
            {kind: points for kind, points in one.normal.items() if kind != "requests"},
            {kind: points for kind, points in one.window.items() if kind != "requests"},
        )
        for name, one in system(failing=slower("search", 0.2)).items()
    }
    assert first(find(observed, GRAPH, Alert(AT, "web", "failures"))) == "search"


def test_calls_in_a_circle_end_and_explain_nothing() -> None:
    graph = {**GRAPH, "db": ["shop"]}
    found = find(system(slow=slower("search", 0.2)), graph, Alert(AT, "web", "latency"))
    assert first(found) == "search"


def test_services_without_metrics_are_told() -> None:
    found = find(system(), {**GRAPH, "web": ["shop", "search", "ghost"]}, Alert(AT, "web", "latency"))
    assert "1 services of the graph have no metrics: ghost" in found.notes


def test_without_a_graph_all_services_are_compared() -> None:
    found = find(system(slow=slower("search", 0.3)), {}, Alert(AT, "search", "latency"))
    assert first(found) == "search"
    assert any("shows no calls" in note for note in found.notes)


def test_an_alert_without_a_service_starts_at_the_entry_points() -> None:
    found = find(system(slow=slower("db", 0.2)), GRAPH, Alert(AT))
    assert (found.service, first(found)) == ("web", "db")


def test_one_sample_only_is_too_little_to_call_anything_anomalous() -> None:
    single = {"web": Observed({"latency": [(AT - 5000, 0.1)]}, {"latency": [(AT + 10, 9.0)]})}
    found = find(single, {}, Alert(AT, "web", "latency"))
    assert found.rarity is None
    assert any("only 1 samples of normal latency" in note for note in found.notes)


@pytest.mark.parametrize("observed", [{}, {"web": Observed()}])
def test_nothing_to_read_is_nothing_anomalous(observed: dict[str, Observed]) -> None:
    found = find(observed, GRAPH, Alert(AT, "web", "latency"))
    assert not found.anomalous and any("no samples" in note for note in found.notes)


def test_a_trouble_that_is_on_since_before_the_alert_has_an_earlier_onset(calm: dict[str, Observed]) -> None:
    early = slower("bank", 0.2, range(NORMAL + 2, NORMAL + WINDOW))
    found = find(system(slow=early), GRAPH, Alert(AT, "web", "latency"))
    assert first(found) == "bank"
    assert found.onset == START + (NORMAL + 2) * STEP


def test_only_the_nearest_services_are_looked_at() -> None:
    wide: Graph = {"web": [f"s{number}" for number in range(100_000)]}
    assert len(reach(wide, "web", 300)) == 300


names = st.sampled_from(["a", "b", "c", "d"])
values = st.floats(0, 1, allow_nan=False)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(names, st.lists(names, max_size=4), max_size=4),
    st.dictionaries(names, st.lists(values, min_size=0, max_size=40), max_size=4),
    st.sampled_from([None, "latency", "failures", "saturation"]),
)
def test_any_graph_and_any_samples_give_a_bounded_answer(
    graph: Graph, samples: Mapping[str, list[float]], kind: Kind | None
) -> None:
    observed = {
        name: split(
            {
                "latency": [
                    (START + (NORMAL - 30 + place) * STEP, value) for place, value in enumerate(told)
                ],
                "failures": [
                    (START + (NORMAL - 30 + place) * STEP, value) for place, value in enumerate(told)
                ],
            }
        )
        for name, told in samples.items()
    }
    found = find(observed, graph, Alert(AT, "a", kind))
    assert all(0 <= one.score <= 1 and 0 <= one.share <= 1 and one.own >= 0 for one in found.candidates)
    assert found == find(observed, graph, Alert(AT, "a", kind))


def test_latency_in_another_unit_gives_the_same_ranking() -> None:
    observed = system(slow=slower("bank", 0.2))
    scaled = {
        name: Observed(
            {kind: [(at, v * 1000 if kind == "latency" else v) for at, v in points]
             for kind, points in one.normal.items()},
            {kind: [(at, v * 1000 if kind == "latency" else v) for at, v in points]
             for kind, points in one.window.items()},
        )
        for name, one in observed.items()
    }  # fmt: skip
    alert = Alert(AT, "web", "latency")
    ranking = [[one.service for one in find(each, GRAPH, alert).candidates] for each in (observed, scaled)]
    assert ranking[0] == ranking[1]


@pytest.mark.parametrize(
    ("series", "bars"), [([], ""), ([1.0, 1.0], "▁▁"), ([0.0, 1.0], "▁█"), ([0.0] * 80, "▁" * 40)]
)
def test_a_series_is_drawn_as_bars(series: list[float], bars: str) -> None:
    assert spark(series) == bars
