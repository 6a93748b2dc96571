"""Joins measured facts to what a model wrote, and checks its claims: each skill's final output.

A model can rank, name, word and lower; it can't change a number that routing reads, name a transfer that is
not in the warehouse, or raise a verdict above what the doubts left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from flows.fincrime import drawing, prose
from flows.fincrime.doubts import lower, verdict
from flows.fincrime.models import (
    CaseFile,
    Challenge,
    Diagnosis,
    DiagnosisDraft,
    Handoff,
    Hypotheses,
    HypothesesDraft,
    Hypothesis,
    Moment,
    Pattern,
    PatternDraft,
    Proof,
    Ranked,
    Screened,
    Screening,
    Verdict,
)
from mcp_servers.transfers import Transfer
from tasks.domain import Known
from tasks.evidence import held

MOST_FINDINGS = 14
_LONGEST = 500
_SOURCE_OF = {
    "test_hypotheses": "case",
    "screen_accounts": "case",
    "challenge_hypotheses": "doubts",
    "get_transactions": "graph",
    "get_neighbours": "graph",
    "get_flows": "graph",
    "get_time_profile": "graph",
    "find_paths": "graph",
    "get_account": "graph",
}


def hypotheses(draft: BaseModel | None, known: Known) -> Hypotheses:
    """The report: every account that was screened, in order of suspicion, with the tool's numbers.

    Raises:
        Incomplete: the transfers could not be read.
    """
    words = draft if isinstance(draft, HypothesesDraft) else HypothesesDraft(patterns=[], summary="")
    facts = known.facts("screen_accounts", "the transfers could not be read")
    screening = Screening.model_validate({"cases": [], **facts})
    cases = {case.subject: case for case in screening.cases}
    patterns = [
        _pattern(rank, cases[name], text, screening)
        for rank, (name, text) in enumerate(_ranked(cases, words.patterns), 1)
    ]
    ranked = [_row(case.subject, each) for case in screening.cases for each in case.hypotheses]
    own = [f"{warning}" for case in screening.cases for warning in (*case.warnings, *_cut(case))]
    return Hypotheses(
        patterns=patterns,
        summary=words.summary or prose.screening(screening.cases, screening.open_alerts, screening.note),
        hypotheses=sorted(ranked, key=lambda row: -row.score),
        as_of=screening.as_of,
        warnings=_warnings(facts, [*([screening.note] if screening.note else []), *own]),
    )


def diagnosis(draft: BaseModel | None, known: Known) -> Diagnosis:
    """The judged case: the milder verdict of model and measurement, and only proof that exists.

    Raises:
        Incomplete: the account's transfers could not be read.
    """
    facts = known.facts("test_hypotheses", "the transfers could not be read")
    file = CaseFile.model_validate(facts)
    doubted = known.of("challenge_hypotheses")
    challenge = Challenge.model_validate(doubted[-1].content) if doubted else None
    words = draft if isinstance(draft, DiagnosisDraft) else None
    supports = {each.kind: each.support for each in challenge.stands} if challenge else {}
    exists = _existing(known, file)
    named = list(dict.fromkeys(words.proof)) if words else []
    proof = [exists[id] for id in named if id in exists]
    kept = held(words.evidence, known.results, _SOURCE_OF) if words else []
    first, final = _verdicts(words, challenge, bool(proof))
    kind = words.hypothesis if words and words.hypothesis in {each.kind for each in file.hypotheses} else ""
    suspicious = final != Verdict.probable_false_positive
    total = next((each.proof_total for each in file.hypotheses if each.kind == kind), len(proof))
    return Diagnosis(
        subject=file.subject,
        verdict=final,
        hypothesis=kind if suspicious else "",
        support=max(supports.values(), default=0.0) if not kind else supports.get(kind, 0.0),
        first_verdict=first,
        summary=_summary(words, file, final),
        findings=_findings(words, file, challenge),
        picture=drawing.money_flow(file.subject, proof, file.currency, max(total, len(proof))),
        narrative=words.narrative if words and suspicious else [],
        timeline=_timeline(file, proof),
        transactions=proof,
        proof_total=max(total, len(proof)),
        hypotheses=[_row(file.subject, each) for each in file.hypotheses],
        doubts=challenge.doubts if challenge else [],
        evidence=kept,
        next_steps=(words.next_steps if words else [])[:MOST_FINDINGS],
        dropped_proof=len(named) - len(proof),
        dropped_evidence=len(words.evidence) - len(kept) if words else 0,
        warnings=_warnings(facts, [*file.warnings, *file.cut]),
    )


def _verdicts(
    words: DiagnosisDraft | None, challenge: Challenge | None, proven: bool
) -> tuple[Verdict, Verdict]:
    """The first verdict and the final one. Unread doubts, or no proof, leave a person to look at it."""
    measured = challenge.verdict if challenge else Verdict.investigate
    if words is None:
        return measured, lower(measured, Verdict.investigate)
    first = words.first_verdict
    if challenge:
        first = lower(first, verdict(max((each.score for each in challenge.stands), default=0.0)))
    final = lower(lower(first, words.second_verdict), measured)
    return first, final if proven else lower(final, Verdict.investigate)


def _existing(known: Known, file: CaseFile) -> dict[str, Proof]:
    """Every transfer that a tool of this execution found in the warehouse."""
    found = {each.id: each for one in file.hypotheses for each in one.proof}
    for tool in ("get_transactions", "get_flows"):
        for result in known.of(tool):
            for row in result.content.get("transfers", []):
                transfer = Transfer.model_validate(row)
                found.setdefault(transfer.id, _proof(transfer))
    missing = {id for result in known.of("get_transactions") for id in result.content.get("missing", [])}
    return {id: each for id, each in found.items() if id not in missing}


def _proof(transfer: Transfer) -> Proof:
    cash = "cash" if transfer.cash else ""
    return Proof(
        id=transfer.id,
        time=transfer.time,
        sender=transfer.sender or cash,
        receiver=transfer.receiver or cash,
        value=transfer.value,
        cash=transfer.cash,
    )


def _warnings(facts: Mapping[str, Any], own: Sequence[str]) -> list[str]:
    told = facts.get("cut", []) if "cases" in facts else []
    cut = [f"the tool's answer was cut to the skill's limit: {what}" for what in told]
    return list(dict.fromkeys([*own, *cut]))


def _cut(case: Screened) -> list[str]:
    return [f"{case.subject}: {what}" for what in case.cut]


def _ranked(cases: Mapping[str, Screened], drafts: Sequence[PatternDraft]) -> list[tuple[str, str]]:
    """Accounts with headlines: by suspicion; those equally suspicious in the model's order."""
    headlines = {item.subject: item.headline for item in drafts if item.subject in cases}
    names = [*headlines, *(name for name in cases if name not in headlines)]
    names.sort(key=lambda name: -cases[name].suspicion)
    return [(name, headlines.get(name, "")) for name in names]


def _pattern(rank: int, case: Screened, headline: str, screening: Screening) -> Pattern:
    suspicious = next((each.kind for each in case.hypotheses if not each.innocent), "")
    innocent = next((each.kind for each in case.hypotheses if each.innocent), "")
    return Pattern(
        subject=case.subject,
        rank=rank,
        hypothesis=suspicious,
        suspicion=case.suspicion,
        explanation=innocent,
        transfers=case.transfers,
        total_in=case.total_in,
        total_out=case.total_out,
        usual_month=case.usual_month,
        counterparties=case.counterparties,
        new_counterparties=case.new_counterparties,
        alerts=len(case.alerts),
        headline=(headline or prose.headline(case))[:_LONGEST],
        context=Handoff(
            subject=case.subject,
            alerts=case.alerts,
            reason=case.reason,
            suspicion=case.suspicion,
            hypotheses=case.hypotheses,
            as_of=screening.as_of,
        ),
    )


def _row(subject: str, each: Hypothesis) -> Ranked:
    return Ranked(
        subject=subject,
        hypothesis=each.kind,
        innocent=each.innocent,
        score=each.score,
        measured=prose.measured(each),
        against="; ".join(each.against),
    )


def _summary(words: DiagnosisDraft | None, file: CaseFile, final: Verdict) -> str:
    if words is None:
        return f"{file.subject} was not judged to the end; a person should look at it."
    if final == words.second_verdict:
        return words.summary
    return f"{final.value.replace('_', ' ').capitalize()}, lower than the model's view. {words.summary}"


def _findings(words: DiagnosisDraft | None, file: CaseFile, challenge: Challenge | None) -> list[str]:
    found = prose.findings(file, challenge) if challenge else []
    if words:
        found = [*found, f"second look: {words.second_look}", *(f"against: {each}" for each in words.against)]
    return [each[:_LONGEST] for each in dict.fromkeys(found)][:MOST_FINDINGS]


def _timeline(file: CaseFile, proof: Sequence[Proof]) -> list[Moment]:
    moments = [
        Moment(
            time=each.time,
            what=f"{each.sender or 'unknown'} → {each.receiver or 'unknown'}: {each.value or 0:,.2f}",
        )
        for each in proof
    ]
    if file.opened_at:
        moments.append(Moment(time=file.opened_at, what=f"{file.subject} was opened"))
    return sorted(moments, key=lambda moment: moment.time)
