"""Personal approver tokens: shown once, kept as digests, proving who decides on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select

from blocks.schema import approver_tokens
from tests.chat_world import approval
from tests.commands import Aspora, new_aspora  # noqa: F401
from tests.fix_world import Api, World, new_api, new_world  # noqa: F401


def made(aspora: Aspora, name: str) -> str:
    done = aspora("token", name)
    assert done.code == 0
    return done.out.strip()


def test_a_token_verifies_who_decides(
    aspora: Aspora, world: World, api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.action["approvals"] = 2
    world.write()
    aspora("run", "ecm")
    id = approval(world).id
    claimed = aspora("approve", id, "--as", "ann")
    assert (claimed.code, api.calls) == (3, [])
    assert "a typed name is no verification" in claimed.err
    file = tmp_path / "ann.token"
    file.write_text(made(aspora, "Ann") + "\n")
    first = aspora("approve", id, "--as", "ann", "--token-file", str(file), "--json")
    assert (first.code, first.json["status"], first.json["missing"]) == (4, "recorded", 1)
    assert "1 more must approve" in aspora("approve", id, "--as", "ann", "--token-file", str(file)).err
    monkeypatch.setenv("ASPORA_APPROVER_TOKEN", made(aspora, "bob"))
    second = aspora("approve", id, "--as", "bob", "--json")
    assert (second.code, second.json["approval_status"], second.json["approvers"]) == (
        0,
        "done",
        ["ann", "bob"],
    )
    assert approval(world).verified


def test_who_started_the_run_does_not_approve_it(
    aspora: Aspora, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the name of the login, which is a claim and enough to refuse."""
    monkeypatch.setenv("LOGNAME", "ann")
    world.action["approvals"] = 2
    world.write()
    aspora("run", "ecm")
    for name, code in (("Ann", 3), ("bob", 4)):
        monkeypatch.setenv("ASPORA_APPROVER_TOKEN", made(aspora, name))
        done = aspora("approve", approval(world).id, "--as", name)
        assert (done.code, "ann asked for this run" in done.err.lower()) == (code, code == 3)


def test_an_approval_does_not_outlive_its_token(
    aspora: Aspora, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.action["approvals"] = 2
    world.write()
    aspora("run", "ecm")
    id = approval(world).id
    for name in ("ann", "bob"):
        monkeypatch.setenv("ASPORA_APPROVER_TOKEN", made(aspora, name))
        done = aspora("approve", id, "--as", name, "--json")
        assert (done.code, done.json["approvers"]) == (4, [name])
        if name == "ann":
            aspora("token", "ann", "--revoke")
    assert approval(world).status == "waiting"


def test_a_wrong_token_decides_nothing(aspora: Aspora, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another person's, a made-up one, a revoked one; although a name alone would do."""
    aspora("run", "ecm")
    id, token = approval(world).id, made(aspora, "ann")
    for name, value in (("bob", token), ("ann", token[:-1]), ("ann", "aspora-x")):
        monkeypatch.setenv("ASPORA_APPROVER_TOKEN", value)
        done = aspora("approve", id, "--as", name)
        assert done.code == 3
        assert token[:-1] not in done.err + done.out
    monkeypatch.setenv("ASPORA_APPROVER_TOKEN", token)
    assert aspora("token", "ANN", "--revoke").code == 0
    assert aspora("approve", id, "--as", "ann").code == 3
    assert aspora("reject", id, "--as", "ann", "--reason", "no").code == 3
    assert approval(world).status == "waiting"
    assert aspora("token", "ann", "--revoke").code == 1


def test_only_digests_are_kept_and_none_is_listed(aspora: Aspora, world: World) -> None:
    tokens = {made(aspora, "ann"), made(aspora, "ann")}
    assert len(tokens) == 2
    kept = world.database.read_now(lambda conn: conn.execute(select(approver_tokens)).all())
    assert {len(row.digest) for row in kept} == {64}
    listed = aspora("token", "--list")
    assert listed.out.count("ann: made 20") == 2
    assert not any(token in listed.out + str(kept) for token in tokens)
    aspora("token", "ann", "--revoke")
    assert all(each["revoked_at"] for each in aspora("token", "--list", "--json").json)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("token",), "name a person, or --list"),
        (("token", "ann", "--list"), "name a person, or --list"),
        (("approve", "apr-x", "--as", "ann", "--token-file", "/nowhere"), "No such file"),
        (("approve", "apr-x", "--as", "ann", "--token-file", "/dev/null"), "the file is empty"),
    ],
)
def test_wrong_usage(aspora: Aspora, arguments: tuple[str, ...], words: str) -> None:
    done = aspora(*arguments)
    assert done.code == 2
    assert words in done.err
