"""What approvers read above the form of Prefect's UI."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest

from blocks.config import Action, Config, Domain, Model
from blocks.config import Skill as SkillSection
from flows import form
from tasks.approvals import Approval
from tasks.votes import Vote
from tests.record_world import NOW

EVIL = "<img src=x> [approve](https://evil.example) # *now* `rm` www.evil.example"


def config(**action: Any) -> Config:
    manager = SkillSection(name="ecm-triage", role="manager", model="m")
    retry = Action(name="retry", url="https://api.example/{order_id}", **action)
    domain = Domain(module="flows.ecm", skills=[manager], actions=[retry])
    return Config(models={"m": Model(id="m")}, domains={"ecm": domain})


def asked(text: str = "plain", **proposal: Any) -> Approval:
    plan = {
        "action": "retry", "description": text, "dangerous": False, "objects": 60, "amount": 120000.0,
        "sample": [{"order_id": text}, {"order_id": "o2"}], "text": "retry: 60 orders at 5/s, about 12s",
    }  # fmt: skip
    diagnosis = {
        "root_cause": text,
        "confidence": "high",
        "evidence": [{"source": "logs", "finding": text}, {"source": "runbook", "finding": "it fits"}],
    }
    whole = {"summary": text, "approvers": ["ops"], "plans": [plan], "diagnosis": diagnosis, **proposal}
    empty = dict.fromkeys(Approval.model_fields)
    return Approval.model_validate(
        {**empty, "id": "apr-1", "run_id": "r", "execution_id": "e", "domain": "ecm", "skill": "ecm-resolve",
         "subject": text, "proposal": whole, "status": "waiting", "requested_by": "ecm-resolve",
         "created_at": NOW, "expires_at": NOW + timedelta(days=1), "verified": False, "comment": ""}
    )  # fmt: skip


def test_the_form_shows_grounds_actions_and_their_effect() -> None:
    text = form.text(config(), asked(), (), "")
    assert text.startswith("**apr-1** asks ops for approval: **plain**")
    assert "### Root cause\n\nplain (confidence high)" in text
    assert "### Evidence\n\n- logs: plain\n- runbook: it fits" in text
    assert "### What will be done\n\n- retry: 60 orders at 5/s, about 12s, $120,000 in all." in text
    assert "For example plain, o2 …" in text
    assert "Waits until 2026-02-18 08:05 UTC" in text
    assert "verified" not in text


@pytest.mark.parametrize(
    ("action", "words"),
    [({"dangerous": True}, "2 different verified people"), ({"approvals": 3}, "3 different verified people"),
     ({"dangerous": True, "approvals": 1}, "a verified person")],
)  # fmt: skip
def test_it_says_who_must_approve_where_a_typed_name_is_not_enough(
    action: dict[str, Any], words: str
) -> None:
    given = Vote(
        approval_id="apr-1", person="ann", name="Ann", via="slack", verified=True, comment="", created_at=NOW
    )
    text = form.text(config(**action), asked(), [given], "")
    assert f"### Needs {words}" in text
    assert "`aspora approve apr-1 --as NAME` with a personal token" in text
    assert "Approved so far: Ann." in text


def test_it_says_why_the_last_answer_was_not_taken() -> None:
    text = form.text(config(), asked(), (), "a rejection needs a reason")
    assert text.startswith("**Not accepted:** a rejection needs a reason\n\n")


def test_data_brings_no_markup_into_it() -> None:
    text = form.text(config(), asked(EVIL), (), EVIL)
    for part in ("<img", "[approve](", "https://", "*now*", "www.evil"):
        assert part not in re.sub(r"\\.", "§", text)
