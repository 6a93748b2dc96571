"""The churn domain as Prefect flows: manager → routing → specialists."""

from __future__ import annotations

from typing import Any

from prefect import flow

from flows import performance
from flows.churn import DOMAIN
from flows.churn.models import ChurnInput


@flow(name="churn-analyze-signals", persist_result=False)
async def churn_analyze_signals(execution_id: str) -> None:
    """Scores the customers' risk of leaving, and groups those at risk by reason."""
    await performance.perform(execution_id)


@flow(name="churn-personalize", persist_result=False)
async def churn_personalize(execution_id: str) -> None:
    """Drafts an offer and its experiment for one segment; once a person has approved it, sends it."""
    await performance.perform(execution_id)
    await performance.decide_and_carry_out(execution_id)


@flow(name="churn", persist_result=False)
async def churn(input: ChurnInput | None = None, trigger_id: str = "") -> Any:
    """Finds who is leaving and why, and drafts what to offer them; sending waits for a person."""
    specialists = {"churn-personalize": churn_personalize}
    return await performance.run_domain(
        DOMAIN, input or ChurnInput(), trigger_id, churn_analyze_signals, specialists
    )
