"""The ECM domain as Prefect flows: manager → routing → specialists."""

from __future__ import annotations

from typing import Any

from prefect import flow

from flows import performance
from flows.ecm import DOMAIN
from flows.ecm.models import EcmInput


@flow(name="ecm-triage", persist_result=False)
async def ecm_triage(execution_id: str) -> None:
    """Finds the stages whose orders are stuck, and ranks them."""
    await performance.perform(execution_id)


@flow(name="ecm-diagnose", persist_result=False)
async def ecm_diagnose(execution_id: str) -> None:
    """Looks for the root cause of one stuck stage."""
    await performance.perform(execution_id)


@flow(name="ecm-resolve", persist_result=False)
async def ecm_resolve(execution_id: str) -> None:
    """Proposes a fix; once a person has approved it, carries it out."""
    await performance.perform(execution_id)
    await performance.decide_and_carry_out(execution_id)


@flow(name="ecm", persist_result=False)
async def ecm(input: EcmInput | None = None, trigger_id: str = "") -> Any:
    """Triages stuck orders, has each serious stage diagnosed, and proposes fixes."""
    specialists = {"ecm-diagnose": ecm_diagnose, "ecm-resolve": ecm_resolve}
    return await performance.run_domain(DOMAIN, input or EcmInput(), trigger_id, ecm_triage, specialists)
