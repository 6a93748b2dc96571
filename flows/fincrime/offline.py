"""How the FinCrime skills think when no model is configured.

Each skill is a pure function from what is known so far to the next tool calls or the answer. The measuring is
in the tools; here it is only asked for and put into words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flows.fincrime import prose
from flows.fincrime.doubts import lower, verdict
from flows.fincrime.models import (
    CaseFile,
    Challenge,
    DiagnosisDraft,
    Evidence,
    HypothesesDraft,
    PatternDraft,
    Screening,
    Stand,
    Tested,
    Verdict,
)
from tasks.domain import Answer, Ask, Known, ToolCall

_SUBJECTS = ("account", "customer", "alert", "transaction")


def hypothesise(known: Known) -> Ask | Answer:
    """Screens what was asked about, and words the hypotheses."""
    if not known.results:
        given = {name: known.context[name] for name in (*_SUBJECTS, "as_of") if known.context.get(name)}
        return Ask([ToolCall("screen_accounts", given)], "What may be behind it, and what explains it?")
    if known.results[-1].status == "error":
        return Answer(HypothesesDraft(patterns=[], summary="The transfers could not be read."))
    found = Screening.model_validate(known.results[-1].content)
    patterns = [PatternDraft(subject=case.subject, headline=prose.headline(case)) for case in found.cases]
    summary = prose.screening(found.cases, found.open_alerts, found.note)
    return Answer(HypothesesDraft(patterns=patterns, summary=summary), "Ranked by how well laundering fits.")


def diagnose(known: Known) -> Ask | Answer:
    """Tests the hypotheses, doubts them, looks the proof up, and concludes."""
    subject, as_of = str(known.context["subject"]), known.context.get("as_of")
    given = {"account": subject, **({"as_of": as_of} if as_of else {})}
    if not known.results:
        neighbours = {"account": subject, "limit": 20, **({"until": as_of} if as_of else {})}
        return Ask(
            [ToolCall("test_hypotheses", given), ToolCall("get_neighbours", neighbours)],
            "What do the transfers show for each hypothesis?",
        )
    files = known.of("test_hypotheses")
    if not files:
        return Answer(_unread())
    file = CaseFile.model_validate(files[-1].content)
    if not any(result.name == "challenge_hypotheses" for result in known.results):
        return Ask(
            _second(file, given), "What would knock it down, and does the proof stand in the warehouse?"
        )
    challenges = known.of("challenge_hypotheses")
    if not challenges:
        return Answer(_unread())
    challenge = Challenge.model_validate(challenges[-1].content)
    tested, stand = prose.best(file, challenge)
    return Answer(_conclude(known, file, challenge, tested, stand), _thought(stand))


def _second(file: CaseFile, given: Mapping[str, Any]) -> list[ToolCall]:
    proof = [each.id for one in file.hypotheses if not one.innocent for each in one.proof]
    calls = [ToolCall("challenge_hypotheses", given)]
    if proof:
        calls.append(ToolCall("get_transactions", {"ids": list(dict.fromkeys(proof))[:200]}))
    return calls


def _conclude(
    known: Known, file: CaseFile, challenge: Challenge, tested: Tested | None, stand: Stand | None
) -> DiagnosisDraft:
    first = verdict(max((each.score for each in challenge.stands), default=0.0))
    second = lower(first, challenge.verdict)
    suspicious = second != Verdict.probable_false_positive
    return DiagnosisDraft(
        hypothesis=tested.kind if tested and suspicious else "",
        first_verdict=first,
        proof=[each.id for each in tested.proof] if tested else [],
        evidence=_evidence(known, tested, stand),
        against=_against(challenge, tested),
        second_verdict=second,
        second_look=prose.second_look(challenge, tested.kind if tested else ""),
        narrative=prose.narrative(file, tested) if tested and tested.proof and suspicious else [],
        next_steps=prose.next_steps(second, tested.kind if tested else ""),
        summary=prose.summary(file, second, first, stand),
    )


def _evidence(known: Known, tested: Tested | None, stand: Stand | None) -> list[Evidence]:
    if tested is None or stand is None:
        return []
    found = [
        Evidence(
            tool_call=known.of("test_hypotheses")[-1].number, source="case", finding=prose.measured(tested)
        ),
        Evidence(
            tool_call=known.of("challenge_hypotheses")[-1].number,
            source="doubts",
            finding=f"support {stand.support:.2f} is left of {stand.score:.2f}",
        ),
    ]
    looked_up = known.of("get_transactions")
    if looked_up:
        count = len(looked_up[-1].content["transfers"])
        finding = f"{count} transfers of the proof stand in the warehouse"
        found.append(Evidence(tool_call=looked_up[-1].number, source="graph", finding=finding))
    return found


def _against(challenge: Challenge, tested: Tested | None) -> list[str]:
    if tested is None:
        return []
    fallen = [each for each in challenge.doubts if each.kind == tested.kind and not each.holds]
    return [*tested.against, *(f"{each.question} {each.finding}" for each in fallen)]


def _thought(stand: Stand | None) -> str:
    return f"{stand.kind} keeps {stand.support:.2f}." if stand else "No shape of laundering is left."


def _unread() -> DiagnosisDraft:
    return DiagnosisDraft(
        hypothesis="",
        first_verdict=Verdict.investigate,
        proof=[],
        evidence=[],
        against=[],
        second_verdict=Verdict.investigate,
        second_look="The transfers could not be read.",
        narrative=[],
        next_steps=[],
        summary="The transfers could not be read.",
    )
