"""What Langfuse and Opik are told of a run, as it arrives there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from shutil import copyfile
from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langfuse import Langfuse
from opik.id_helpers import is_valid_uuid_v7

from blocks.database import Database
from tasks import corrections, journal, record, trace
from tasks.masking import Masker
from tasks.trace import Teller
from tests.record_world import NOW, began, step
from tests.telemetry_servers import Told
from tests.telemetry_world import (  # noqa: F401
    DIAGNOSED,
    PRICED,
    RUN,
    World,
    migrated_file,
    new_world,
    running_servers,
    settings,
)

INPUT, OUTPUT = "langfuse.observation.input", "langfuse.observation.output"


@pytest.fixture(name="database")
def small_database(migrated: Path, tmp_path: Path) -> Iterator[Database]:
    """SQLite: what is told does not depend on the database."""
    database = Database(f"sqlite:///{copyfile(migrated, tmp_path / 'record.db')}")
    yield database
    database.close()


def correct(world: World, execution_id: str, **fields: Any) -> None:
    """A user's correction."""
    world.database.write_now(
        lambda conn: corrections.add(conn, execution_id, fields, by="ana@example.com", via="cli")
    )


def root(world: World, execution_id: str) -> Told:
    """The span of an execution in Langfuse."""
    return world.langfuse.trace(Langfuse.create_trace_id(seed=execution_id))[0]


async def test_each_execution_is_a_trace_in_langfuse(world: World) -> None:
    """Its id follows from the execution's, its session is the run."""
    triage, diagnose = world.documents_run()
    await world.carry("langfuse")
    assert {span.trace for span in world.langfuse.spans.values()} == {
        Langfuse.create_trace_id(seed=triage),
        Langfuse.create_trace_id(seed=diagnose),
    }
    found = root(world, diagnose)
    assert (found.name, found.attributes["session.id"]) == ("ecm-diagnose", RUN)
    assert found.attributes["langfuse.observation.type"] == "agent"
    assert found.json(INPUT)["count"] == 90
    assert found.json(OUTPUT)["root_cause"] == "Rate limit"
    assert "HTTP 429" in found.json("langfuse.observation.metadata.reasoning_trace")
    assert found.json("langfuse.observation.metadata.user_correction") == "none"
    assert (found.start, found.end) == (NOW + timedelta(seconds=2), NOW + timedelta(seconds=14.3))


async def test_tool_calls_are_observations_with_their_times_and_what_they_found(world: World) -> None:
    _, diagnose = world.documents_run()
    await world.carry("langfuse")
    head, *steps = world.langfuse.trace(Langfuse.create_trace_id(seed=diagnose))
    tools = [span for span in steps if span.attributes["langfuse.observation.type"] == "tool"]
    assert [(span.name, (span.end - span.start).total_seconds()) for span in tools] == [
        (name, seconds) for name, seconds, _ in DIAGNOSED
    ]
    assert tools[0].start == NOW + timedelta(seconds=2)
    assert tools[1].start == NOW + timedelta(seconds=4.3)
    assert [span.json(OUTPUT)["summary"] for span in tools] == [summary for _, _, summary in DIAGNOSED]
    assert tools[0].json(INPUT)["service"] == "lulu"
    assert tools[0].json("langfuse.observation.metadata.server") == "logs-mcp"
    assert [span.failed for span in tools] == [False, False, True]
    assert {span.parent for span in steps} == {head.id}
    assert head.parent == ""


async def test_model_turns_are_generations_with_cost_by_kind_of_token(world: World) -> None:
    """At list prices of claude-sonnet-4.6 the parts are to each other as 3 : 15 : 0.3 : 3.75 a token."""
    _, diagnose = world.documents_run()
    await world.carry("langfuse")
    spans = world.langfuse.trace(Langfuse.create_trace_id(seed=diagnose))
    turn = next(span for span in spans if span.attributes["langfuse.observation.type"] == "generation")
    assert turn.attributes["langfuse.observation.model.name"] == "claude-sonnet-4-6"
    assert (turn.end - turn.start).total_seconds() == 8.7
    usage = turn.json("langfuse.observation.usage_details")
    assert (usage["input"], usage["output"], usage["total"]) == (20_000, 3_000, 34_000)
    assert (usage["cache_read_input_tokens"], usage["cache_creation_input_tokens"]) == (10_000, 1_000)
    cost = turn.json("langfuse.observation.cost_details")
    assert cost.pop("total") == 0.12
    assert sum(cost.values()) == pytest.approx(0.12)
    assert cost["output"] / cost["input"] == pytest.approx(5 * PRICED["output"] / PRICED["input"], rel=0.01)
    assert cost["input"] / cost["cache_read_input_tokens"] == pytest.approx(20, rel=0.01)


async def test_traces_are_found_by_domain_skill_role_outcome_and_time(world: World) -> None:
    triage, diagnose = (Langfuse.create_trace_id(seed=each) for each in world.documents_run())
    await world.carry("langfuse")
    found = world.langfuse.found
    assert found("ecm") == found("success") == {triage, diagnose}
    assert found("ecm-diagnose") == found("specialist") == {diagnose}
    assert found("manager") == {triage}
    for span in world.langfuse.spans.values():
        assert span.json("langfuse.trace.metadata.domain") == "ecm"
        assert NOW <= span.start <= NOW + timedelta(seconds=20)


async def test_a_corrected_execution_is_found_under_user_corrected(world: World) -> None:
    """Corrected before it was told, and after: the same spans, another outcome, and a score."""
    triage, diagnose = world.documents_run()
    correct(world, triage, actual_root_cause="nothing was stuck")
    await world.carry()
    before = set(world.langfuse.spans)
    assert world.langfuse.found("user_corrected") == {Langfuse.create_trace_id(seed=triage)}

    correct(world, diagnose, actual_root_cause="timeout, says jo.doe@example.com")
    await world.carry()
    assert set(world.langfuse.spans) == before
    assert world.langfuse.found("user_corrected") == {
        Langfuse.create_trace_id(seed=triage), Langfuse.create_trace_id(seed=diagnose),
    }  # fmt: skip
    assert world.langfuse.found("success") == set()
    assert root(world, diagnose).json("langfuse.trace.metadata.recorded_outcome") == "success"
    score = next(
        each
        for each in world.langfuse.scores.values()
        if each["traceId"] == Langfuse.create_trace_id(seed=diagnose)
    )
    assert (score["name"], score["value"], score["dataType"]) == ("user_corrected", 1.0, "BOOLEAN")
    assert score["observationId"] == root(world, diagnose).id
    assert score["comment"].startswith("actual_root_cause: timeout, says <email:")
    assert "ana@example.com" not in str(world.langfuse.scores) + str(world.opik.scores)


async def test_correcting_again_replaces_the_score(world: World) -> None:
    _, diagnose = world.documents_run()
    correct(world, diagnose, actual_root_cause="timeout")
    await world.carry()
    correct(world, diagnose, actual_root_cause="a wrong password")
    await world.carry()
    (score,) = world.langfuse.scores.values()
    assert score["comment"] == "actual_root_cause: a wrong password"
    assert {each["reason"] for each in world.opik.scores.values()} == {score["comment"]}


async def test_a_run_is_one_trace_in_opik_as_the_document_draws_it(world: World) -> None:
    world.documents_run()
    await world.carry("opik")
    (told,) = world.opik.traces.values()
    assert told["name"] == "ecm-2026-02-17-08:00:23"
    assert told["output"] == {
        "ecm-triage": "route_to=ecm-diagnose",
        "ecm-diagnose (lulu)": 'root_cause="Rate limit", confidence=high',
    }
    assert told["input"] == {"stage": "all"}
    triage, diagnose = world.opik.below(None)
    assert [(each["name"], each["type"]) for each in (triage, diagnose)] == [
        ("ecm-triage", "general"), ("ecm-diagnose", "general"),
    ]  # fmt: skip
    assert triage["output"]["route_to"] == "ecm-diagnose"
    assert diagnose["metadata"]["from_skill"] == "ecm-triage"
    assert [(each["name"], each["type"]) for each in world.opik.below(triage["id"])] == [
        ("query_stuck_orders", "tool"), ("claude-haiku-4.5", "llm"),
    ]  # fmt: skip
    names = [each["name"] for each in world.opik.below(diagnose["id"])]
    assert sorted(names) == sorted([*(name for name, _, _ in DIAGNOSED), "claude-sonnet-4.6"])
    turn = next(each for each in world.opik.below(diagnose["id"]) if each["type"] == "llm")
    assert (turn["total_estimated_cost"], turn["provider"], turn["model"]) == (
        0.12, "anthropic", "claude-sonnet-4-6",
    )  # fmt: skip
    assert turn["usage"]["prompt_tokens"] == 31_000
    assert turn["usage"]["completion_tokens"] == 3_000
    assert {each["trace_id"] for each in world.opik.spans.values()} == {told["id"]}
    assert all(is_valid_uuid_v7(id) for id in (*world.opik.traces, *world.opik.spans))


async def test_the_latency_breakdown_is_the_documents(world: World) -> None:
    world.documents_run()
    await world.carry("opik")
    (told,) = world.opik.traces.values()
    latency = told["metadata"]["latency"]
    assert latency["total"]["seconds"] == 13.9
    assert latency["manager"] | {"tools": 0, "llm": 0} == {
        "seconds": 1.6, "percent": 12, "tools": 0, "llm": 0,
    }  # fmt: skip
    assert (latency["specialist"]["seconds"], latency["specialist"]["percent"]) == (12.3, 88)
    assert latency["specialist"]["tools"] == {"seconds": 3.6, "percent": 29}
    assert latency["specialist"]["llm"] == {"seconds": 8.7, "percent": 71}
    assert told["metadata"]["cost_dollars"] == pytest.approx(0.123)


async def test_a_run_that_goes_on_stays_one_trace(world: World) -> None:
    """What ends days later, after an approval, joins what was told before."""
    _, diagnose = world.documents_run()
    await world.carry("opik")

    def resolve(conn: Any) -> None:
        row = began(conn, "ecm-resolve", RUN, from_skill="ecm-diagnose", now=NOW + timedelta(days=2))
        record.finish(conn, row.execution_id, "rejected", now=NOW + timedelta(days=2, seconds=5))

    world.database.write_now(resolve)
    await world.carry("opik")
    (told,) = world.opik.traces.values()
    assert [each["name"] for each in world.opik.below(None)] == ["ecm-triage", "ecm-diagnose", "ecm-resolve"]
    assert told["tags"] == ["ecm", "ecm-triage", "ecm-diagnose", "ecm-resolve", "success", "rejected"]
    correct(world, diagnose, actual_root_cause="timeout")
    await world.carry("opik")
    (told,) = world.opik.traces.values()
    assert "user_corrected" in told["tags"]
    assert {id for id, _ in world.opik.scores} == {told["id"], world.opik.below(None)[1]["id"]}


async def test_personal_data_is_masked_wherever_it_stands(world: World) -> None:
    """Input, arguments of tools, what the model wrote, the reasoning trace."""
    world.documents_run()
    await world.carry()
    assert len(world.langfuse.spans) == 8
    for told in (str(world.langfuse.spans), json.dumps([world.opik.traces, world.opik.spans])):
        for secret in ("jo.doe@example.com", "Jo Doe", "GB33BUKB20201555555555", "7946"):
            assert secret not in told
        assert "<email:" in told
        assert "<person:" in told


@pytest.mark.full
async def test_huge_outputs_are_cut_and_the_rest_still_arrives(world: World) -> None:
    """A megabyte of text, a list of thousands, a journal of hundreds of steps."""

    def write(conn: Any) -> str:
        row = began(conn, input_data={"text": "x" * 1_000_000, "list": list(range(5_000))})
        for number in range(1, 301):
            journal.append(conn, step(row.execution_id, number, input={"text": "y" * 10_000}))
        record.finish(conn, row.execution_id, "success", output={f"k{n}": "z" * 9_000 for n in range(200)})
        return row.execution_id

    execution_id = world.database.write_now(write)
    assert await world.carry() == 2
    spans = world.langfuse.trace(Langfuse.create_trace_id(seed=execution_id))
    assert len(spans) == 1 + trace.STEPS
    assert spans[0].json("langfuse.observation.metadata.steps_left_out") == 100
    assert all(len(span.attributes[INPUT]) < 2 * trace.DOCUMENT for span in spans)
    assert "… 4950 more" in spans[0].attributes[INPUT]


async def test_what_failed_says_why(world: World) -> None:
    def write(conn: Any) -> str:
        row = began(conn)
        record.finish(conn, row.execution_id, "error", error="the model API answered 529", now=NOW)
        return row.execution_id

    execution_id = world.database.write_now(write)
    await world.carry()
    found = root(world, execution_id)
    assert found.failed
    assert found.attributes["langfuse.observation.status_message"] == "the model API answered 529"
    (told,) = world.opik.traces.values()
    assert told["error_info"]["message"] == "the model API answered 529"


@hypothesis.settings(max_examples=50, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=30,
    )
)
def test_nothing_that_json_holds_can_fail_to_be_told(content: Any) -> None:
    """Bounded, and encodable, half surrogates and NaN included."""
    teller = Teller(Masker(b"k" * 32), settings())
    told = json.dumps(teller._told(content), default=str, ensure_ascii=False)
    assert len(told) <= trace.DOCUMENT + 100
