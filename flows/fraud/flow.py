"""The fraud domain as Prefect flows: manager → routing → specialists."""

from __future__ import annotations

from typing import Any

from prefect import flow

from flows import performance
from flows.fraud import DOMAIN
from flows.fraud.models import FraudInput


@flow(name="fraud-simulate-rule", persist_result=False)
async def fraud_simulate_rule(execution_id: str) -> None:
    """Judges proposed rules on the past."""
    await performance.perform(execution_id)


@flow(name="fraud-edge-cases", persist_result=False)
async def fraud_edge_cases(execution_id: str) -> None:
    """Looks where a rule misfires and what passes just under it, and refines it."""
    await performance.perform(execution_id)


@flow(name="fraud-qa", persist_result=False)
async def fraud_qa(execution_id: str) -> None:
    """Goes through the checklist before a rule goes live."""
    await performance.perform(execution_id)


@flow(name="fraud", persist_result=False)
async def fraud(input: FraudInput | None = None, trigger_id: str = "") -> Any:
    """Judges proposed fraud rules on the past, with edge cases and a checklist where they are needed."""
    specialists = {"fraud-edge-cases": fraud_edge_cases, "fraud-qa": fraud_qa}
    return await performance.run_domain(
        DOMAIN, input or FraudInput(), trigger_id, fraud_simulate_rule, specialists
    )
