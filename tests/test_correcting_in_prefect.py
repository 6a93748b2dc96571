"""The flow behind the deployment `correct`: what its form gives is kept as a claim, and shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from prefect.client.orchestration import get_client

from flows.correcting import correct
from tasks import corrections, record
from tasks.platform import open_now
from tests.record_world import began
from tests.worlds import STRAIGHT, write_config

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect")]


async def test_what_the_form_gives_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASPORA_HOME", str(tmp_path))
    monkeypatch.delenv("ASPORA_DATABASE_URL", raising=False)
    config = write_config(tmp_path / "aspora.config.yaml", STRAIGHT)
    monkeypatch.setenv("ASPORA_CONFIG", str(config))
    database = open_now().database

    def ended(conn: record.Connection) -> str:
        id_ = began(conn).execution_id
        record.finish(conn, id_, "success", output={"root_cause": "an outage"})
        return id_

    id_ = database.write_now(ended)
    await correct(f" {id_} ", "a quota", "ann", "it was no [outage](http://evil)")
    (kept,) = database.read_now(lambda c: corrections.of_execution(c, id_))
    assert (kept.corrected_by, kept.via, kept.verified) == ("ann", "prefect", False)
    assert kept.correction == {
        "actual_root_cause": "a quota",
        "what_was_wrong": "it was no [outage](http://evil)",
    }
    async with get_client() as client:
        found = (await client.request("POST", "/artifacts/filter", json={"limit": 200})).json()
    shown = [each["data"] for each in found if f"# {id_}" in str(each["data"])]
    assert shown and "a quota" in shown[0] and "](http" not in shown[0]
    with pytest.raises(record.UnknownExecution, match="there is no execution 'nope'"):
        await correct("nope", "a quota", "ann")


def test_the_form_explains_its_fields() -> None:
    fields = correct.parameters.properties
    assert set(fields) == {"execution_id", "actual_root_cause", "name", "what_was_wrong"}
    assert all(each.get("description") for each in fields.values())
