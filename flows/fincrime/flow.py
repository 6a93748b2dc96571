"""The FinCrime domain as Prefect flows: manager → routing → specialist."""

from __future__ import annotations

from typing import Any

from prefect import flow

from flows import performance
from flows.fincrime import DOMAIN
from flows.fincrime.models import FinCrimeInput


@flow(name="fincrime-hypothesis", persist_result=False)
async def fincrime_hypothesis(execution_id: str) -> None:
    """Forms ranked hypotheses about accounts, each with its measured indicators."""
    await performance.perform(execution_id)


@flow(name="fincrime-diagnose", persist_result=False)
async def fincrime_diagnose(execution_id: str) -> None:
    """Tests an account's hypotheses, doubts them, and drafts the narrative. It files nothing."""
    await performance.perform(execution_id)


@flow(name="fincrime", persist_result=False)
async def fincrime(input: FinCrimeInput | None = None, trigger_id: str = "") -> Any:
    """Judges accounts, customers, alerts or transactions: false positive, investigate, or escalate."""
    specialists = {"fincrime-diagnose": fincrime_diagnose}
    return await performance.run_domain(
        DOMAIN, input or FinCrimeInput(), trigger_id, fincrime_hypothesis, specialists
    )
