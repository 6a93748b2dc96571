"""The sample company's services: what each does itself, and what it calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Service:
    """A service as it normally is.

    Attributes:
        seconds: what it takes itself for a request.
        failing: share of requests that it fails itself.
        calls: callee → calls a request.
        own: whether the company deploys it; partners and databases are others' or not deployed.
        chatter: what its logs say all the time.
    """

    seconds: float
    failing: float
    calls: Mapping[str, float] = field(default_factory=dict)
    own: bool = True
    chatter: tuple[str, ...] = ("request {id} handled in {ms} ms",)


ENTRY = "web-gateway"
REQUESTS = 40.0
"""Requests a second at the entry, on average over the day."""

SERVICES: Mapping[str, Service] = {
    ENTRY: Service(
        0.012, 0.0006, {"accounts": 0.8, "payments": 0.35, "quotes": 0.6, "search": 0.3},
        chatter=("GET /api/v2/{page} 200 in {ms} ms", "session {id} renewed"),
    ),
    "accounts": Service(0.018, 0.0003, {"accounts-db": 2.0, "sessions": 1.0}),
    "payments": Service(
        0.035, 0.0008, {"ledger": 1.0, "screening": 0.9, "payout-router": 0.7, "payments-db": 3.0},
        chatter=("payment {id} accepted", "payment {id} state changed to SENT"),
    ),
    "quotes": Service(0.010, 0.0002, {"rates": 1.0, "pricing": 1.0}),
    "pricing": Service(0.008, 0.0002, {"rates-cache": 1.0}),
    "rates": Service(0.014, 0.0005, {"rates-cache": 0.9, "fx-partner": 0.1}),
    "search": Service(0.022, 0.0004, {"search-index": 1.2}),
    "ledger": Service(
        0.016, 0.0002, {"ledger-db": 4.0}, chatter=("posted entries of {id}", "balance check of {id} ok"),
    ),
    "screening": Service(0.040, 0.0006, {"watchlists": 1.0, "screening-partner": 0.3}),
    "watchlists": Service(0.011, 0.0002),
    "payout-router": Service(0.020, 0.0007, {"payout-partner": 0.8, "notifications": 0.5}),
    "notifications": Service(0.009, 0.0010),
    "sessions": Service(0.003, 0.0001),
    "rates-cache": Service(0.001, 0.0001),
    "accounts-db": Service(0.004, 0.0, own=False, chatter=("checkpoint complete: wrote {ms} buffers",)),
    "payments-db": Service(0.005, 0.0, own=False, chatter=("checkpoint complete: wrote {ms} buffers",)),
    "ledger-db": Service(0.003, 0.0, own=False, chatter=("checkpoint complete: wrote {ms} buffers",)),
    "search-index": Service(0.012, 0.0002, own=False, chatter=("merged segment {id}",)),
    "fx-partner": Service(0.120, 0.0020, own=False, chatter=()),
    "screening-partner": Service(0.180, 0.0030, own=False, chatter=()),
    "payout-partner": Service(0.150, 0.0020, own=False, chatter=()),
}  # fmt: skip
