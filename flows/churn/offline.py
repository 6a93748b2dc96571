"""How the churn skills think when no model is configured.

Each skill is a pure function from what is known so far to the next tool calls or the answer. The analysis is
in `analysis.py` behind the tools; here it is only asked for and put into words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flows.churn.models import (
    Confidence,
    Evidence,
    Experiment,
    Hypothesis,
    OfferFacts,
    Offers,
    PatternDraft,
    PlanDraft,
    Profile,
    Risks,
    SegmentFacts,
    SignalsDraft,
)
from tasks.domain import Answer, Ask, Known, ToolCall


def analyze(known: Known) -> Ask | Answer:
    """Asks for the scores once, and words the segments."""
    if not known.results:
        arguments = {name: known.context[name] for name in ("driver", "as_of") if known.context.get(name)}
        return Ask([ToolCall("score_customers", arguments)], "Who is likely to leave, and why?")
    if known.results[-1].status == "error":
        return Answer(SignalsDraft(patterns=[], summary="The customers could not be scored."))
    facts = Risks.model_validate(known.results[-1].content)
    patterns = [
        PatternDraft(driver=each.driver, headline=headline(each, facts.usual_risk)) for each in facts.segments
    ]
    return Answer(SignalsDraft(patterns=patterns, summary=summary(facts)), "Ranked by avoidable value.")


def headline(segment: SegmentFacts, usual: float) -> str:
    """A segment in a sentence."""
    lift = f", {segment.risk / usual:.1f} times the usual risk" if usual else ""
    return (
        f"{segment.customers} customers, {segment.risk:.0%} likely to leave{lift}; "
        f"${segment.value_at_risk:,.0f} a year at risk, ${segment.avoidable_value:,.0f} by this reason; "
        f"{'; '.join(segment.signs[:2])}"
    )


def summary(facts: Risks) -> str:
    """The run in a few sentences."""
    if facts.problem:
        return f"Nothing can be said about who leaves: {facts.problem}."
    days = f"{facts.horizon_days:.0f} days"
    parts = [
        f"{facts.at_risk} of {facts.customers} customers are at risk of leaving within {days}, "
        f"against {facts.usual_risk:.1%} as usual"
    ]
    if facts.segments:
        first = facts.segments[0]
        parts.append(f"most value goes with {first.driver}: ${first.avoidable_value:,.0f} a year")
    else:
        parts.append("no group of them stands out")
    if facts.model:
        auc = facts.model.auc
        parts.append(
            f"on the newest known time the model told leavers with AUC {auc.value:.2f} "
            f"({auc.low:.2f} to {auc.high:.2f})"
        )
    return "; ".join(parts) + "."


def personalize(known: Known) -> Ask | Answer:
    """Looks at the segment and the catalogue, designs the test of the best allowed offer, and concludes."""
    driver, as_of = str(known.context["driver"]), str(known.context["as_of"])
    about = {"driver": driver, "as_of": as_of}
    if not known.results:
        calls = [ToolCall("profile_segment", about), ToolCall("list_offers", about)]
        return Ask(calls, f"Is {driver} the reason, and what answers it?")
    best = _best(known)
    if best and not any(result.name == "plan_experiment" for result in known.results):
        return Ask(
            [ToolCall("plan_experiment", {**about, "offer": best.id})], "How would its effect be seen?"
        )
    return Answer(_plan(known, driver, best), "The offer with the largest net value, tested against nothing.")


def _best(known: Known) -> OfferFacts | None:
    allowed = [offer for found in _offers(known) for offer in found.offers if offer.allowed]
    return max(allowed, key=lambda offer: offer.net_value, default=None)


def _offers(known: Known) -> list[Offers]:
    return [Offers.model_validate(result.content) for result in known.of("list_offers")]


def _plan(known: Known, driver: str, best: OfferFacts | None) -> PlanDraft:
    profiles = [
        (result.number, Profile.model_validate(result.content)) for result in known.of("profile_segment")
    ]
    confidence = _confidence(profiles[-1][1]) if profiles else Confidence.low
    return PlanDraft(
        root_cause=_cause(driver, profiles[-1][1]) if profiles else None,
        evidence=[*_history(profiles), *_catalogue(known, best), *_test(known)],
        offer=best.id if best else None,
        confidence=confidence,
        ruled_out=_ruled_out(known, best),
    )


def _cause(driver: str, profile: Profile) -> str:
    sign = profile.differences[0] if profile.differences else None
    told = (
        f" ({sign.measure.replace('_', ' ')} {sign.segment:,.2f}, others {sign.others:,.2f})" if sign else ""
    )
    doubt = "" if profile.confirmed else "Possibly "
    mix = [each for each in profile.mix if each.segment >= 0.5]
    where = f" Most have {mix[0].attribute.replace('_', ' ')} {mix[0].value}." if mix else ""
    return f"{doubt}{driver}{told}: what sets these customers apart adds most to their risk.{where}"


def _confidence(profile: Profile) -> Confidence:
    """High where customers like these did leave, about as many as expected."""
    if not profile.confirmed:
        return Confidence.low
    low, high = profile.past_share.low, profile.past_share.high
    expected = profile.past_expected / max(1, profile.past_customers)
    return Confidence.high if low <= expected <= high else Confidence.medium


def _history(profiles: list[tuple[int, Profile]]) -> list[Evidence]:
    found = []
    for number, profile in profiles[-1:]:
        if profile.past_customers:
            share, others = profile.past_share, profile.past_others_share
            found.append(
                Evidence(
                    tool_call=number,
                    source="history",
                    finding=f"{profile.past_left} of {profile.past_customers} customers at risk for this "
                    f"reason left in the newest known time ({share.low:.0%} to {share.high:.0%}; "
                    f"{profile.past_expected:.0f} were expected), of those at no risk {others.value:.1%}",
                )
            )
        for each in profile.differences[:2]:
            measure = each.measure.replace("_", " ")
            finding = f"{measure}: {each.segment:,.2f} on average, all others {each.others:,.2f}"
            found.append(Evidence(tool_call=number, source="history", finding=finding, quote=each.measure))
        found += [
            Evidence(
                tool_call=number,
                source="history",
                finding=f"{each.segment:.0%} have {each.attribute} {each.value}, others {each.others:.0%}",
                quote=each.value,
            )
            for each in profile.mix[:1]
        ]
    return found


def _catalogue(known: Known, best: OfferFacts | None) -> list[Evidence]:
    if best is None:
        return []
    number = known.of("list_offers")[-1].number
    finding = (
        f"{best.id} costs ${best.cost_per_customer:,.2f} a customer and keeps {best.kept:.0f} of them if it "
        f"works as assumed ({best.assumed_effect:.0%}): ${best.net_value:,.0f} a year net"
    )
    return [Evidence(tool_call=number, source="catalogue", finding=finding, quote=best.id)]


def _test(known: Known) -> list[Evidence]:
    return [
        Evidence(tool_call=result.number, source="experiment", finding=designed(result.content))
        for result in known.of("plan_experiment")[-1:]
    ]


def designed(content: Mapping[str, Any]) -> str:
    """An experiment in a sentence."""
    design = Experiment.model_validate(content)
    seen = f"; this many show {design.smallest_effect:.0%}" if design.smallest_effect else ""
    verdict = "enough" if design.enough else f"too few at once{seen}"
    return (
        f"{design.treatment} get it and {design.control} get nothing, drawn by chance; {design.needed_each} "
        f"in each group are needed to see {design.usual_share:.1%} become {design.assumed_share:.1%} "
        f"({verdict})"
    )


def _ruled_out(known: Known, best: OfferFacts | None) -> list[Hypothesis]:
    found = []
    for offers in _offers(known)[-1:]:
        for each in offers.offers:
            if best and each.id == best.id:
                continue
            reason = each.reason or f"it brings ${each.net_value:,.0f} net, less than the one chosen"
            found.append(Hypothesis(cause=f"offer {each.id}", reason=reason))
    return found[:5]
