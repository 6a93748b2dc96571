"""`aspora check`: people, Slack, and approvals that could never be given or told of."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.test_check import CONFIG, found, new_place  # noqa: F401

PEOPLE = CONFIG.replace(
    "models:\n",
    "platform:\n  people: {ops: [ann, bob], heads: [hera]}\n  operators: [ops]\n"
    "slack:\n"
    "  bots: [{mention: '@toy', user_id: U0TOY}]\n"
    "  channels: {toy: C1, default: C2}\n"
    "  users: {U0ANN: ann}\n"
    "models:\n",
    1,
).replace("approvers: [ops]\n", "approvers: [ops]\n      escalate_after: 4h\n      escalate_to: [heads]\n")


def test_sound_people_have_no_problems(place: Path) -> None:
    assert found(place, text=PEOPLE) == []


@pytest.mark.parametrize(
    ("old", "new", "key", "words", "level"),
    [
        ("operators: [ops]", "operators: [opps]", "platform.operators[0]", "opps is no group", "warning"),
        ("approvers: [ops]", "approvers: [opps]", "domains.toy.guardrails.approvers[0]", "no group",
         "warning"),
        ("escalate_to: [heads]", "escalate_to: [head]", "domains.toy.guardrails.escalate_to[0]", "no group",
         "warning"),
        ("ops: [ann, bob]", "ops: []", "domains.toy.guardrails.approvers", "nobody may approve", "error"),
        ("      escalate_after: 4h\n", "", "domains.toy.guardrails.escalate_to", "without escalate_after",
         "error"),
        ("      escalate_to: [heads]\n", "", "domains.toy.guardrails.escalate_after", "without escalate_to",
         "error"),
        ("escalate_after: 4h", "escalate_after: 24h", "domains.toy.guardrails.escalate_after", "can never",
         "warning"),
        ("escalate_after: 4h", "remind_after: 2d\n      escalate_after: 4h",
         "domains.toy.guardrails.remind_after", "can never", "warning"),
        ("user_id: U0TOY}", "user_id: U0TOY}, {mention: '@b', user_id: U0TOY}",
         "slack.bots[1].user_id", "the same as slack.bots[0].user_id", "error"),
        ("user_id: U0TOY}", "user_id: U0TOY}, {mention: '@TOY', user_id: U2}",
         "slack.bots[1].mention", "the same as slack.bots[0].mention", "error"),
        ("U0ANN: ann", "ann: ann", "slack.users.ann", "is no Slack user id", "error"),
        ("U0ANN: ann", "U0ANN: anna", "slack.users.U0ANN", "anna is in no group", "warning"),
        ("body: {where: stage}", "approvals: 4", "domains.toy.actions[0].approvals",
         "needs 4 different people, and 3 may approve", "error"),
    ],
)  # fmt: skip
def test_each_is_named(place: Path, old: str, new: str, key: str, words: str, level: str) -> None:
    (told,) = [problem for problem in found(place, old, new, PEOPLE) if problem.key == key]
    assert words in told.message
    assert told.level == level


def test_a_dangerous_action_needs_two_who_may_approve(place: Path) -> None:
    text = PEOPLE.replace("body: {where: stage}", "dangerous: true").replace("[ann, bob]", "[ann]")
    assert found(place, text=text) == []
    (told,) = found(place, "heads: [hera]", "heads: []", text)
    assert told.key == "domains.toy.actions[0].dangerous"
    assert "needs 2 different people, and 1 may approve" in told.message
