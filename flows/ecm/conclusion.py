"""Words for a diagnosis: what the cause is, what shows it, what to do, and what it is not."""

from __future__ import annotations

import re
from datetime import datetime

from flows.ecm import prose
from flows.ecm.analysis import (
    FITS,
    FITS_WELL,
    Candidate,
    Case,
    Recalled,
    confidence,
    explanation,
    fitting,
)
from flows.ecm.models import Confidence, DiagnosisDraft, Evidence, Hypothesis
from flows.ecm.signals import HARM, Signal, search_text

_CAUSE_SENTENCES = 2
_FIX_SENTENCES = 5
_QUOTE_CHARS = 120
_FIELD = re.compile(r"[\w.-]+=$")


def conclude(case: Case) -> DiagnosisDraft:
    """The diagnosis that the case supports: no root cause where nothing holds the stage's orders up."""
    if not case.harm:
        return _nothing(case)
    best = explanation(case)
    fix = _fix(case, best)
    actions = case.known.context.get("actions") or []
    return DiagnosisDraft(
        root_cause=_cause(case, best),
        evidence=_evidence(case, best),
        recommended_fix=" ".join(prose.sentences(fix)[:_FIX_SENTENCES]) or _ask_people(case),
        fix_action=prose.action_for(actions, fix, f"{_told(case)} {_meaning(case, best)}") if best else None,
        runbook=str(best.page["runbook"]) if best else None,
        confidence=confidence(case),
        ruled_out=_ruled_out(case, best),
    )


def _nothing(case: Case) -> DiagnosisDraft:
    return DiagnosisDraft(
        root_cause=None,
        evidence=[],
        recommended_fix=None,
        fix_action=None,
        runbook=None,
        confidence=Confidence.low,
        ruled_out=_ruled_out(case, None),
    )


def _cause(case: Case, best: Candidate | None) -> str:
    parts = []
    if case.lesson:
        said = case.lesson.incident
        parts.append(
            f"{str(said['root_cause']).rstrip('.')}. So people corrected this before: {said['standing']}."
        )
    elif best:
        doubt = "" if best.fit >= FITS_WELL else "Possibly "
        parts.append(f"{doubt}{best.page['title']}: {_meaning(case, best)}")
    elif case.precedent:
        past = case.precedent.incident
        parts.append(f"As in incident {past['id']} ({past['title']}): {past['root_cause']}.")
    parts += [f"The logs show {_fact(signal)}." for signal in case.harm[:2]]
    if case.changes and case.own_code:
        parts.append(f"Shortly before: {case.changes[-1][1]}.")
    return " ".join(parts)


def _meaning(case: Case, best: Candidate | None) -> str:
    """The page's own words on the cause, those nearest to what the logs say."""
    if not best:
        return ""
    parts = list(dict.fromkeys(prose.sentences(f"{best.page['cause']}\n\n{best.page['excerpt']}")))
    return " ".join(prose.nearest(parts, _told(case), _CAUSE_SENTENCES))


def _told(case: Case) -> str:
    return " ".join(search_text(signal.template) for signal in case.harm[:3])


def _fact(signal: Signal) -> str:
    times = f"{signal.count} times since {_when(signal.first_seen)}"
    if signal.baseline_count:
        times = f"{signal.count} times in the window, {signal.baseline_count} in the time before"
    elif signal.change == "new":
        times += ", never in the time before"
    orders = f", naming {signal.orders} orders" if signal.orders else ""
    return f"“{signal.template[:200]}” in {', '.join(signal.services[:3])} {times}{orders}"


def _when(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _evidence(case: Case, best: Candidate | None) -> list[Evidence]:
    found = [
        Evidence(
            tool_call=signal.call,
            source="logs",
            finding=f"{signal.level}: {_fact(signal)}",
            quote=_quote(signal.template),
        )
        for signal in case.harm[:3]
    ]
    if case.own_code:
        found += [
            Evidence(tool_call=call, source="logs", finding=f"Right before it: {line}", quote="")
            for call, line in case.changes[-1:]
        ]
    if best:
        text = f"{best.page['runbook']} ({best.page['title']}) describes it: {_meaning(case, best)}"
        found.append(
            Evidence(tool_call=best.call, source="runbook", finding=text, quote=str(best.page["runbook"]))
        )
    if case.lesson:
        return [*found, _said(case.lesson)]
    if not best and not case.precedent:
        found += [_said(each) for each in case.corrected[:1]]
    found += [
        Evidence(
            tool_call=past.call,
            source="incident",
            finding=f"Incident {past.incident['id']} looked like it: {past.incident['title']}. "
            f"Cause then: {past.incident['root_cause']}{_doubt(past)}. What helped: {past.incident['fix']}.",
            quote=str(past.incident["title"]),
        )
        for past in case.recalled[:1]
        if _agrees(case, best)
    ]
    return found


def _said(each: Recalled) -> Evidence:
    """What people said when the same lines were logged."""
    incident = each.incident
    text = f"Of the same log lines at {incident['stage']}, {incident['standing']}: {incident['root_cause']}"
    return Evidence(
        tool_call=each.call, source="incident", finding=text, quote=_quote(str(incident["title"]))
    )


def _doubt(past: Recalled) -> str:
    """Who disputes the cause of a past incident, if anybody does."""
    return f" ({past.incident['standing']})" if past.incident.get("standing") else ""


def _agrees(case: Case, best: Candidate | None) -> bool:
    """Whether the likest incident's cause is what the runbook describes, or the only cause there is."""
    if not best or not case.recalled:
        return case.precedent is not None
    pages = [f"{one.page['title']} {one.page['cause']} {one.page['excerpt']}" for one in case.candidates[:4]]
    return prose.nearest(pages, case.recalled[0].text, 1) == [pages[0]]


def _quote(template: str) -> str:
    """The longest run of a template's words that stands as such in the result."""
    parts = [part.strip() for part in re.split(r"<\*>|[\"'\\]", template)]
    return max(parts, key=len)[:_QUOTE_CHARS].strip() if parts else ""


def _fix(case: Case, best: Candidate | None) -> str:
    if best:
        return str(best.page["fix"])
    if case.lesson:
        return str(case.lesson.incident["fix"])
    return str(case.precedent.incident["fix"]) if case.precedent else ""


def _ask_people(case: Case) -> str:
    return f"No runbook describes this; have the team of {', '.join(case.harm[0].services[:1])} look at it."


def _ruled_out(case: Case, best: Candidate | None) -> list[Hypothesis]:
    found = [_unlikely(case, signal) for signal in case.signals if signal.weight < HARM][:4]
    if not case.harm:
        found += [_unlikely(case, signal) for signal in case.signals if signal.weight >= HARM][:2]
    found += _overruled(case, best)
    weighed = best and not case.lesson
    others = [one for one in case.candidates if one is not best and one.fit >= FITS][:2] if weighed else []
    found += [
        Hypothesis(
            cause=f"{one.page['title']} ({one.page['runbook']})",
            reason=f"{best.page['title']} fits the log lines better ({best.fit:.2f} against {one.fit:.2f}).",
        )
        for one in others
        if best
    ]
    if best and not case.lesson and case.recalled and not _agrees(case, best):
        past = case.recalled[0].incident
        found.append(
            Hypothesis(
                cause=f"{past['root_cause']} (incident {past['id']})",
                reason="It looked alike, but the log lines of today fit another cause better.",
            )
        )
    return found


def _overruled(case: Case, best: Candidate | None) -> list[Hypothesis]:
    """What people said against the logs, and the logs against what people said."""
    if case.lesson:
        page = fitting(case)
        same = page is None or (best is not None and page.page["runbook"] == best.page["runbook"])
        reason = "It fits the log lines, but people said of the same ones that it was something else."
        found = [] if same or page is None else [page]
        return [
            Hypothesis(cause=f"{one.page['title']} ({one.page['runbook']})", reason=reason) for one in found
        ]
    if not best and not case.precedent:
        return []
    return [
        Hypothesis(
            cause=f"{each.incident['root_cause']} ({each.incident['standing']})",
            reason="One person is not enough against what the logs and the rest show.",
        )
        for each in case.corrected[:1]
    ]


def _unlikely(case: Case, signal: Signal) -> Hypothesis:
    where = ", ".join(signal.services[:3])
    if signal.tie == "none":
        reason = f"It concerns {where}; no line of it names {case.stage} or its orders."
    elif signal.weight >= HARM:
        reason = "The backlog is as large as on other days, so it holds no more orders up than usual."
    elif not signal.orders:
        reason = "It names no order, so nothing shows that it holds any up."
    else:
        stuck = case.known.context.get("count")
        reason = f"Only {signal.count} lines of it, too few for {stuck} stuck orders."
    return Hypothesis(cause=f"“{signal.template[:160]}” ({signal.count} lines in {where})", reason=reason)
