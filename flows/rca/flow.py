"""The auto-RCA domain as Prefect flows: manager → routing → specialists."""

from __future__ import annotations

from typing import Any

from prefect import flow

from flows import performance
from flows.rca import DOMAIN
from flows.rca.models import RcaInput


@flow(name="rca-detect-anomaly", persist_result=False)
async def rca_detect_anomaly(execution_id: str) -> None:
    """Finds the services that an alert comes from, and tells causes from symptoms."""
    await performance.perform(execution_id)


@flow(name="rca-trace-deploy", persist_result=False)
async def rca_trace_deploy(execution_id: str) -> None:
    """Looks for the change that caused it; once a person has approved its rollback, carries it out."""
    await performance.perform(execution_id)
    await performance.decide_and_carry_out(execution_id)


@flow(name="auto-rca", persist_result=False)
async def auto_rca(input: RcaInput | None = None, trigger_id: str = "") -> Any:
    """Traces an alert to the service and the change that caused it, and proposes to take that back."""
    specialists = {"rca-trace-deploy": rca_trace_deploy}
    return await performance.run_domain(
        DOMAIN, input or RcaInput(), trigger_id, rca_detect_anomaly, specialists
    )
