"""Words for what was measured: headlines, findings, and the draft of a narrative."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from flows.fincrime.models import (
    INNOCENT,
    Answer,
    CaseFile,
    Challenge,
    Hypothesis,
    Screened,
    Stand,
    Tested,
    Verdict,
)

NAMES = {
    "structuring": "cash split to stay under the reporting threshold",
    "fan_in": "many new senders pay one account (fan-in)",
    "fan_out": "one account pays many new receivers (fan-out)",
    "gather_scatter": "money gathered from many and scattered to many (gather-scatter)",
    "scatter_gather": "money scattered over others and gathered again (scatter-gather)",
    "cycle": "money that comes back through others (cycle)",
    "bipartite": "a group that pays another group, all of them new to each other (bipartite)",
    "stack": "a layer of accounts between the same senders and receivers (stack)",
    "pass_through": "money that hardly rests (rapid pass-through)",
    "dormant": "a dormant account that woke up",
    "mule_network": "new accounts that hand on strangers' money (mule network)",
    "corridor": "an unusual corridor",
    "payroll": "wages",
    "marketplace": "a marketplace that pays its sellers",
    "merchant": "a merchant's takings",
    "family_remittance": "support for family abroad",
    "own_accounts": "transfers among the customer's own accounts",
    "rents": "rents of tenants",
    "salary": "a salary",
    "purchase": "one large purchase",
    "collection": "a collection of small gifts",
}
_SHOWN = 3
_NAMED = 6


def measured(hypothesis: Hypothesis) -> str:
    """The indicators in a line."""
    parts = []
    for one in hypothesis.indicators:
        usual = f" (usual {one.usual:,.6g})" if one.usual is not None else ""
        parts.append(f"{one.name} {one.value:,.6g}{usual}")
    return "; ".join(parts)


def headline(case: Screened) -> str:
    """One account in a sentence."""
    suspicious = [each for each in case.hypotheses if not each.innocent]
    innocent = [each for each in case.hypotheses if each.innocent]
    parts = []
    if suspicious:
        parts.append(f"{NAMES[suspicious[0].kind]} ({suspicious[0].score:.2f}): {measured(suspicious[0])}")
    if innocent:
        parts.append(f"innocent: {NAMES[innocent[0].kind]} ({innocent[0].score:.2f})")
    return "; ".join(parts) or "nothing out of the ordinary, and nothing that explains itself"


def screening(cases: Sequence[Screened], open_alerts: int, note: str) -> str:
    """All accounts in two or three sentences."""
    if not cases:
        return note or "There was no account to look at."
    pressing = [case for case in cases if any(not each.innocent for each in case.hypotheses)]
    of = f"{open_alerts} open alerts, " if open_alerts else ""
    parts = [f"{of}{len(cases)} account{'s' if len(cases) > 1 else ''} looked at"]
    if not pressing:
        return f"{parts[0]}: none shows a shape of laundering."
    first = pressing[0]
    parts.append(
        f"{len(pressing)} show{'s' if len(pressing) == 1 else ''} one, "
        f"most of all {first.subject}: {NAMES[_kind(first)]}"
    )
    return "; ".join(parts) + "."


def _kind(case: Screened) -> str:
    return next(each.kind for each in case.hypotheses if not each.innocent)


def findings(file: CaseFile, challenge: Challenge) -> list[str]:
    """What speaks for and against, and how the doubts went."""
    supports = {each.kind: each.support for each in challenge.stands}
    found = []
    for one in file.hypotheses[:_NAMED]:
        left = f", {supports[one.kind]:.2f} after every doubt" if one.kind in supports else ""
        found.append(f"{NAMES[one.kind]}: {one.score:.2f}{left}; {measured(one)}")
        found += [f"against {one.kind.replace('_', ' ')}: {each}" for each in one.against]
    return found


def second_look(challenge: Challenge, kind: str) -> str:
    """What the sceptical pass tried, and what came of it."""
    of = [each for each in challenge.doubts if each.kind == kind]
    if not of:
        return "There was no hypothesis of laundering to doubt."
    fallen = [each for each in of if not each.holds]
    told = "; ".join(f"{each.question} {each.finding}" for each in fallen)
    return f"{len(of)} doubts, {len(fallen)} of them weaken it" + (f": {told}" if told else "") + "."


def narrative(file: CaseFile, tested: Tested) -> list[Answer]:
    """The draft of a suspicious-activity narrative, from measured facts only."""
    proof = tested.proof
    senders = [each.sender for each in proof if each.receiver == file.subject]
    receivers = [each.receiver for each in proof if each.sender == file.subject]
    came = sum(each.value or 0 for each in proof if each.receiver == file.subject)
    went = sum(each.value or 0 for each in proof if each.sender == file.subject)
    first, last = min(each.time for each in proof), max(each.time for each in proof)
    holder = f"customer {file.customer}" if file.customer else "a customer who is not registered here"
    opened = f", opened {file.opened_at:%Y-%m-%d}" if file.opened_at else ""
    kind = "business" if file.business else "private"
    whole = (
        f" (the first {len(proof)} of {tested.proof_total} transfers)"
        if tested.proof_total > len(proof)
        else ""
    )
    return [
        Answer(
            question="who",
            text=f"Account {file.subject} of {holder}, {kind}{opened}. Paid by {_several(senders)}; "
            f"paid {_several(receivers)}.",
        ),
        Answer(
            question="what",
            text=f"{NAMES[tested.kind].capitalize()}: {came:,.2f} {file.currency} came in and {went:,.2f} "
            f"{file.currency} went out in {len(proof)} transfers{whole}. In a usual month "
            f"{file.usual_month:,.2f} come in.",
        ),
        Answer(
            question="when",
            text=f"Between {first:%Y-%m-%d %H:%M} and {last:%Y-%m-%d %H:%M} UTC, {_span(last - first)}.",
        ),
        Answer(
            question="where",
            text=f"The account is held in {file.country or '[country unknown]'}. [Branch, channel and the "
            "counterparties' banks: to be added.]",
        ),
        Answer(
            question="why",
            text=f"It is unusual because: {measured(tested)}. [What the customer says: to be added.]",
        ),
        Answer(question="how", text=_how(tested)),
    ]


def next_steps(verdict: Verdict, hypothesis: str) -> list[str]:
    """What a person should do."""
    if verdict == Verdict.probable_false_positive:
        return ["Close the alert with these reasons, if you agree."]
    steps = [
        "Ask the customer for the purpose and the origin of the money.",
        "Look at the counterparties' registrations, devices and addresses for what they share.",
    ]
    if hypothesis in ("mule_network", "scatter_gather", "bipartite", "cycle"):
        steps.append("Look at the other accounts of the proof as well; they are one case.")
    if verdict == Verdict.escalate:
        steps.append("Finish the narrative, and decide whether to report. Nothing was filed.")
    return steps


def summary(file: CaseFile, verdict: Verdict, first: Verdict, stand: Stand | None) -> str:
    """The case in two sentences."""
    if stand is None:
        innocent = next((each for each in file.hypotheses if each.innocent), None)
        why = f"; {NAMES[innocent.kind]} explains it" if innocent else ""
        return f"Probable false positive: {file.subject} shows no shape of laundering{why}."
    words = {
        Verdict.probable_false_positive: "Probable false positive",
        Verdict.investigate: "Investigate",
        Verdict.escalate: "Escalate",
    }
    lowered = f" The sceptical pass lowered it from {first.value}." if first != verdict else ""
    return (
        f"{words[verdict]}: {file.subject}, {NAMES[stand.kind]}, support {stand.support:.2f} of "
        f"{stand.score:.2f} after every doubt.{lowered}"
    )


def best(file: CaseFile, challenge: Challenge) -> tuple[Tested | None, Stand | None]:
    """The hypothesis that is left with the most support."""
    by_kind = {each.kind: each for each in file.hypotheses if each.kind not in INNOCENT}
    for stand in challenge.stands:
        if stand.kind in by_kind:
            return by_kind[stand.kind], stand
    return None, None


def _how(tested: Tested) -> str:
    lines = [
        f"{each.time:%Y-%m-%d %H:%M} {each.sender or 'unknown'} → {each.receiver or 'unknown'} "
        f"{each.value or 0:,.2f}"
        for each in tested.proof[:_NAMED]
    ]
    more = f"; and {tested.proof_total - len(lines)} more" if tested.proof_total > len(lines) else ""
    return "; ".join(lines) + more + "."


def _several(accounts: Sequence[str]) -> str:
    names = [each for each in dict.fromkeys(accounts) if each]
    if not names:
        return "nobody in the proof"
    more = f" and {len(names) - _SHOWN} others" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _span(span: timedelta) -> str:
    days = span.total_seconds() / 86400
    return f"within {days:.1f} days" if days >= 1 else f"within {span.total_seconds() / 3600:.1f} hours"
