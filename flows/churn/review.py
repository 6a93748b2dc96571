"""Joins measured facts to what a model wrote, and checks its claims: each skill's final output.

A model can rank, name and choose from the catalogue; it can't change a number that routing reads, nor write
to a customer in words of its own, nor offer what is not allowed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import BaseModel

from flows.churn import offline
from flows.churn.models import (
    Confidence,
    Evidence,
    Experiment,
    Handoff,
    OfferFacts,
    Offers,
    Pattern,
    PatternDraft,
    Plan,
    PlanDraft,
    Profile,
    Risks,
    SegmentFacts,
    Send,
    Signals,
    SignalsDraft,
)
from tasks.domain import Known
from tasks.evidence import held

_SOURCE_OF = {
    "profile_segment": "history",
    "list_offers": "catalogue",
    "plan_experiment": "experiment",
}
_LONGEST = 400


def signals(draft: BaseModel | None, known: Known) -> Signals:
    """The report: every segment that the tool found, in the model's order, with the tool's numbers.

    Raises:
        Incomplete: the customers could not be scored.
    """
    words = draft if isinstance(draft, SignalsDraft) else SignalsDraft(patterns=[], summary="")
    content = known.facts("score_customers", "the customers could not be scored")
    facts = Risks.model_validate(content)
    previous = {item["driver"] for item in (known.context.get("previous") or {}).get("patterns", [])}
    segments = {each.driver: each for each in facts.segments}
    cut = [f"the tool's answer was cut to the skill's limit: {what}" for what in content.get("cut", [])]
    return Signals(
        patterns=[
            _pattern(segments[name], facts, headline, name in previous)
            for name, headline in _ranked(segments, words.patterns)
        ],
        summary=words.summary or offline.summary(facts),
        customers=facts.customers,
        at_risk=facts.at_risk,
        problem=facts.problem,
        model=facts.model,
        left_out=facts.left_out,
        picture=facts.picture,
        warnings=[*([facts.problem] if facts.problem else []), *facts.warnings, *cut]
        + ([facts.note] if facts.note else []),
    )


def plan(draft: BaseModel | None, known: Known) -> Plan:
    """The draft with only that evidence which rests on a finding, and an offer only if it is allowed.

    Sending is proposed only with a reason that came true before, and an offer that pays.
    """
    driver = str(known.context["driver"])
    words = draft if isinstance(draft, PlanDraft) else _nothing()
    kept = held(words.evidence, known.results, _SOURCE_OF)
    profile = _profile(known)
    offer = _allowed(words.offer, known) if words.root_cause else None
    design = _design(known, offer)
    confidence = _confidence(words.confidence, kept, profile)
    action = _action(known)
    sends = (
        [_send(action, offer, design)]
        if offer and design and design.treatment and action and confidence != Confidence.low
        else []
    )
    return Plan(
        driver=driver,
        root_cause=words.root_cause,
        evidence=kept,
        offer=offer.id if offer else None,
        confidence=confidence,
        ruled_out=words.ruled_out,
        recommended_fix=_fix(offer, design, known),
        message=offer.text if offer else "",
        experiment=design,
        refuted_by=_refuted_by(offer, design),
        fixes=sends,
        summary=_summary(driver, offer, sends, confidence, known),
        picture=profile.picture if profile else [],
        dropped_evidence=len(words.evidence) - len(kept),
    )


def _ranked(segments: Mapping[str, SegmentFacts], drafts: Sequence[PatternDraft]) -> list[tuple[str, str]]:
    headlines = {item.driver: item.headline for item in drafts if item.driver in segments}
    return [*headlines.items(), *((name, "") for name in segments if name not in headlines)]


def _pattern(segment: SegmentFacts, facts: Risks, headline: str, continuing: bool) -> Pattern:
    telling = facts.model is not None and facts.model.telling
    return Pattern(
        driver=segment.driver,
        customers=segment.customers,
        contactable=segment.contactable,
        risk=segment.risk,
        lift=round(segment.risk / facts.usual_risk, 2) if facts.usual_risk else 0.0,
        expected_leavers=segment.expected_leavers,
        value_at_risk=segment.value_at_risk,
        avoidable_value=segment.avoidable_value,
        offers=segment.offers,
        telling=telling,
        continuing=continuing,
        headline=(headline or offline.headline(segment, facts.usual_risk))[:_LONGEST],
        context=Handoff(
            driver=segment.driver,
            as_of=facts.as_of,
            customers=segment.customers,
            contactable=segment.contactable,
            risk=segment.risk,
            usual_risk=facts.usual_risk,
            value_at_risk=segment.value_at_risk,
            avoidable_value=segment.avoidable_value,
            signs=segment.signs,
            telling=telling,
        ),
    )


def _nothing() -> PlanDraft:
    return PlanDraft(root_cause=None, evidence=[], offer=None, confidence=Confidence.low, ruled_out=[])


def _profile(known: Known) -> Profile | None:
    found = known.of("profile_segment")
    return Profile.model_validate(found[-1].content) if found else None


def _offers(known: Known) -> Offers | None:
    found = known.of("list_offers")
    return Offers.model_validate(found[-1].content) if found else None


def _allowed(id: str | None, known: Known) -> OfferFacts | None:
    """The offer, if the tool showed it for this segment and allows it."""
    offers = _offers(known)
    return next((each for each in offers.offers if each.id == id and each.allowed), None) if offers else None


def _design(known: Known, offer: OfferFacts | None) -> Experiment | None:
    designs = [Experiment.model_validate(result.content) for result in known.of("plan_experiment")]
    return next((each for each in reversed(designs) if offer and each.offer == offer.id), None)


def _confidence(claimed: Confidence, evidence: Sequence[Evidence], profile: Profile | None) -> Confidence:
    """What was claimed, as far as history bears it."""
    if profile is None or not any(item.source == "history" for item in evidence):
        return Confidence.low
    if not profile.confirmed and claimed == Confidence.high:
        return Confidence.medium
    return claimed


def _action(known: Known) -> str | None:
    """The allowed action that sends an offer."""
    actions = known.context.get("actions") or []
    return next((str(each["name"]) for each in actions if str(each["name"]).startswith("send")), None)


def _send(action: str, offer: OfferFacts, design: Experiment) -> Send:
    return Send(
        action=action,
        scope=f"{offer.id}@{design.control_share}",
        reason=f"{offer.id} to {design.treatment} customers; {design.control} get nothing, to compare.",
    )


def _fix(offer: OfferFacts | None, design: Experiment | None, known: Known) -> str | None:
    if offer is None:
        offers = _offers(known)
        if offers and offers.offers:
            return f"Offer nothing: {offers.offers[0].reason or 'no offer of the catalogue was chosen'}."
        return "The catalogue has no offer for this reason; have its owners look at it."
    test = f" {offline.designed(design.model_dump()).capitalize()}." if design else ""
    return f"Send {offer.id}: “{offer.text}”{test}"


def _refuted_by(offer: OfferFacts | None, design: Experiment | None) -> list[str]:
    if offer is None or design is None:
        return []
    return [
        f"After {design.days:.0f} days as many of those who got {offer.id} have left as of the control group."
    ]


def _summary(
    driver: str, offer: OfferFacts | None, sends: Sequence[Send], confidence: Confidence, known: Known
) -> str:
    if offer is None:
        return f"{driver}: {_fix(None, None, known)}"
    if not sends:
        why = "the reason is not sure enough" if confidence == Confidence.low else "nobody would get it"
        return f"{driver}: {offer.id} would answer it, but nothing is proposed: {why}."
    return f"{driver}: {sends[0].reason} A draft until a person approves it."
