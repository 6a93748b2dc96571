"""How findings about a stage become a diagnosis: signals, hypotheses, contrast, verdict."""

from __future__ import annotations

from collections.abc import Sequence

from flows.ecm.models import Confidence, DiagnosisDraft
from flows.ecm.signals import Signal, search_text, signals, stage_words
from tasks.domain import Known


def signals_of(known: Known) -> list[Signal]:
    """The unusual log templates of all reports so far, the weightiest first."""
    context = known.context
    return signals(str(context["stuck_at"]), context.get("sample_orders") or [], known.of("query_application_logs"))


def queries(stage: str, found: Sequence[Signal]) -> list[str]:
    """What to search the runbooks for: each strong signal's words, all together, and the symptom."""
    names = stage_words(stage)
    told = [search_text(signal.template, names) for signal in found if signal.weight > 0][:4]
    together = " ".join(told[:3])[:400]
    asked = [*told, together, f"{stage} orders stuck {told[0] if told else 'backlog'}"]
    return list(dict.fromkeys(query for query in asked if query.strip()))


def symptoms(stage: str, found: Sequence[Signal]) -> str:
    """The strongest signals' words, as a question to memory."""
    return " ".join(search_text(signal.template) for signal in found[:2] if signal.weight > 0)


def conclude(known: Known) -> DiagnosisDraft:
    return DiagnosisDraft(root_cause=None, evidence=[], recommended_fix=None, fix_action=None, runbook=None, confidence=Confidence.low, ruled_out=[])
