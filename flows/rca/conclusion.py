"""Words for a trace: which change is suspected, what shows it, what would refute it, and what it was not."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from flows.rca.changes import SUSPECTED, Case, Signal, Suspect
from flows.rca.models import Confidence, Evidence, Hypothesis, TraceDraft

_VERBS: Mapping[str, tuple[str, ...]] = {
    "deploy": ("deploy", "deploys", "deployment", "release", "version"),
    "rollback": ("deploy", "deploys", "deployment", "release", "version"),
    "config": ("config", "configs", "configuration", "setting", "settings"),
    "flag": ("flag", "flags", "toggle"),
    "migration": ("migration", "migrations", "schema"),
    "other": (),
}
"""What an action's name or description calls a kind of change."""
_QUOTE = 120
_SIMILAR = 0.3


def conclude(case: Case) -> TraceDraft:
    """The trace that the case supports: no root cause where no change explains the trouble."""
    cause = case.cause
    return TraceDraft(
        root_cause=_cause(case, cause) if cause else None,
        suspected_change=cause.id if cause else None,
        evidence=_evidence(case, cause),
        refuted_by=_refuted_by(case, cause) if cause else [],
        recommended_fix=_fix(cause) if cause else _ask_people(case),
        fix_action=action_for(case.known.context.get("actions") or [], cause.change) if cause else None,
        confidence=case.confidence,
        ruled_out=_ruled_out(case, cause),
    )


def action_for(actions: Sequence[Mapping[str, Any]], change: Mapping[str, Any]) -> str | None:
    """The action that takes back a change of this kind, by the words of its name and description."""
    wanted = set(_VERBS.get(str(change["kind"]), ()))
    for action in actions:
        if wanted & set(re.findall(r"[a-z]+", str(action["name"]).lower())):
            return str(action["name"])
    for action in actions:
        if wanted & set(re.findall(r"[a-z]+", str(action.get("description", "")).lower())):
            return str(action["name"])
    return None


def _cause(case: Case, cause: Suspect) -> str:
    doubt = "" if case.confidence == Confidence.high else "Possibly "
    when = f"{cause.minutes:.0f} min before" if cause.minutes > 0 else "as"
    parts = [f"{doubt}{cause.text}, {when} the trouble at {case.service} began."]
    if cause.change.get("diff"):
        parts.append(f"It changed: {str(cause.change['diff'])[:240]}.")
    parts += [f"Logged since: “{signal.template[:160]}” ({signal.count} times)." for signal in _since(case)]
    return " ".join(parts)


def _evidence(case: Case, cause: Suspect | None) -> list[Evidence]:
    found = []
    if cause:
        found.append(
            Evidence(tool_call=cause.call, source="changes", finding=_timing(case, cause), quote=cause.id)
        )
    found += [
        Evidence(
            tool_call=signal.call,
            source="logs",
            finding=f"“{signal.template[:200]}” {signal.count} times since {signal.first_seen:%H:%M} UTC, "
            f"new or far more than before",
            quote=_quote(signal.template),
        )
        for signal in case.signals[:3]
    ]
    for result in case.known.of("query_metrics")[:1]:
        context = case.known.context
        text = f"{context['metric']} of {case.service} left its usual {context['usual']:.3g} at the onset, "
        found.append(
            Evidence(tool_call=result.number, source="metrics", finding=f"{text}up to {context['peak']:.3g}")
        )
    for result in case.known.of("get_similar_incidents")[:1]:
        said = [each for each in result.content.get("corrections", []) if each["trusted"]]
        likely = sorted([*said, *result.content["incidents"]], key=lambda past: -past["similarity"])
        found += [
            Evidence(
                tool_call=result.number,
                source="incident",
                finding=_past(past),
                quote=_quote(str(past["title"])),
            )
            for past in likely[:1]
            if past["similarity"] >= _SIMILAR
        ]
    return found


def _past(incident: Mapping[str, Any]) -> str:
    """A past incident, and what people say of its cause."""
    doubt = f" ({incident['standing']})" if incident.get("standing") else ""
    helped = f" What helped: {incident['fix']}." if incident["fix"] else ""
    return (
        f"Incident {incident['id']} looked like it: {incident['title']}. "
        f"Cause then: {incident['root_cause']}{doubt}.{helped}"
    )


def _timing(case: Case, cause: Suspect) -> str:
    when = f"{cause.minutes:.0f} min before the onset" if cause.minutes > 0 else "at the onset"
    usual = f"; so near by chance in {cause.chance:.0%} of cases" if cause.chance >= 0.01 else ""
    shared = f"; both it and what is new speak of {', '.join(cause.shared[:3])}" if cause.shared else ""
    return f"{cause.text}: {when}{usual}{shared}"


def _refuted_by(case: Case, cause: Suspect) -> list[str]:
    metric, usual = case.known.context["metric"], case.known.context["usual"]
    version, before = cause.change.get("version"), cause.change.get("previous_version")
    found = [
        f"{metric} of {case.service} does not come back to about {usual:.3g} within 10 minutes after it is "
        f"taken back."
    ]
    if version and before:
        found.append(f"Instances that still run {before} show the same {metric} as those with {version}.")
    elif cause.change["kind"] == "flag":
        found.append("Requests for which the flag is off show the same trouble.")
    early = [signal for signal in case.signals[:3] if _earlier(signal, cause)]
    found += [
        f"Against it: “{signal.template[:120]}” was logged since {signal.first_seen:%H:%M} UTC already."
        for signal in early[:1]
    ]
    rivals = [one for one in case.suspects if one is not cause and one.suspicion >= SUSPECTED]
    found += [
        f"Only taking back {one.id} ({one.minutes:.0f} min before the onset) helps." for one in rivals[:2]
    ]
    return found


def _earlier(signal: Signal, cause: Suspect) -> bool:
    return signal.first_seen.isoformat() < str(cause.change["at"])


def _fix(cause: Suspect) -> str:
    change = cause.change
    where = change.get("service") or "the service"
    if change["kind"] in ("deploy", "rollback"):
        back = f" to {change['previous_version']}" if change.get("previous_version") else ""
        return f"Roll {where} back from {change.get('version') or change['id']}{back}."
    if change["kind"] == "flag":
        return f"Turn the flag of {change['id']} back ({change.get('version') or change['summary'][:100]})."
    if change["kind"] == "migration":
        return f"Have the owners of {where} look at the migration {change['id']}: undoing it may lose data."
    return f"Take {change['id']} back: {change['summary'][:160]}."


def _ask_people(case: Case) -> str:
    logged = f" Its logs say: “{case.signals[0].template[:160]}”." if case.signals else ""
    return f"No recorded change explains it; have the team of {case.service} look at it.{logged}"


def _ruled_out(case: Case, cause: Suspect | None) -> list[Hypothesis]:
    found = [
        Hypothesis(cause=f"{one.text}", reason=_weaker(case, one, cause))
        for one in case.suspects
        if one is not cause
    ][:4]
    cleared = [
        Hypothesis(cause=f"{change['kind']} {change['id']}: {change['summary'][:120]}", reason=reason)
        for change, reason in case.cleared
        if (change.get("service") or case.service) == case.service
    ]
    return [*found, *cleared[:4]]


def _weaker(case: Case, one: Suspect, cause: Suspect | None) -> str:
    where = one.change.get("service")
    if where and where != case.service:
        return f"It changed {where}, and the trouble is {case.service}'s own."
    if cause and one.suspicion >= SUSPECTED:
        return f"{cause.id} fits better ({cause.suspicion:.2f} against {one.suspicion:.2f})."
    hours = one.minutes / 60
    return f"It ran for {hours:.0f} h without trouble." if hours >= 1 else "Changes like it come too often."


def _since(case: Case) -> list[Signal]:
    return case.signals[:2]


def _quote(template: str) -> str:
    """The longest run of a template's words that stands as such in the result."""
    parts = [part.strip() for part in re.split(r"<\*>|[\"'\\]", template)]
    return max(parts, key=len)[:_QUOTE].strip() if parts else ""
