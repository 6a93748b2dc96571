"""The stages an order passes through, and the services that log about them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """One stage of an order.

    Attributes:
        name: as in `orders.stuck_at`.
        sla: hours an order may stay.
        service: the service that carries the stage out; its log file has the same name.
        partner: who is on the other side, as logs name them.
        host: the partner's API host.
        payout: the last stage: an order that leaves it is completed.
        slow: orders beyond the SLA at any time when nothing is wrong.
        overshoot: mean hours that a slow order stays beyond the SLA.
        share: weight of the stage among orders that keep the SLA.
        corridors: source and target currency of its orders.
    """

    name: str
    sla: float
    service: str
    partner: str
    host: str
    payout: bool
    slow: int
    overshoot: float
    share: float
    corridors: tuple[str, ...]


_ALL = ("GBP-AED", "EUR-PHP", "GBP-KES", "GBP-INR", "USD-PEN", "EUR-INR", "CAD-INR")

STAGES = (
    Stage("lulu", 2, "lulu-gateway", "Lulu", "api.luluexchange.test", True, 6, 3, 16, ("GBP-AED", "EUR-AED")),
    Stage("meridian", 2, "meridian-gateway", "Meridian", "pay.meridian.test", True, 8, 3, 10, ("EUR-PHP",)),
    Stage("zento", 3, "zento-gateway", "Zento", "wallet.zento.test", True, 12, 5, 9, ("GBP-KES", "EUR-UGX")),
    Stage("kaveri", 4, "kaveri-connector", "Kaveri Bank", "imps.kaveri.test", True, 30, 8, 14,
          ("GBP-INR", "EUR-INR", "CAD-INR")),
    Stage("tambo", 6, "tambo-gateway", "Tambo", "cash.tambo.test", True, 34, 10, 7, ("USD-PEN", "EUR-BOB")),
    Stage("card_funding", 1, "card-funding", "Velora", "acq.velora.test", False, 8, 3, 12, _ALL),
    Stage("bank_transfer", 12, "bank-transfer", "Northgate Bank", "h2h.northgate.test", False, 74, 14, 10,
          _ALL),
    Stage("fx", 1, "fx-service", "Quotenet", "rates.quotenet.test", False, 7, 2, 8, _ALL),
    Stage("kyc", 12, "kyc-service", "Identra", "verify.identra.test", False, 88, 16, 7, _ALL),
    Stage("compliance_review", 24, "compliance-review", "ListWatch", "lists.listwatch.test", False, 132, 22,
          7, _ALL),
)  # fmt: skip

STAGE = {stage.name: stage for stage in STAGES}

SHARED = (
    "order-api", "payments-queue", "ledger-core", "notifications", "fraud-scoring", "customer-portal",
    "config-service", "deployer", "scheduler", "analytics-export",
)  # fmt: skip
"""Services that serve every stage."""

PLAIN = frozenset({"ledger-core", "notifications"})
"""Services that log plain text; the others write JSON lines."""
