"""A partner switches off the version of its API that we call."""

# ruff: noqa: E501 - log lines are as long as software prints them

from __future__ import annotations

from flows.ecm.sample.fault import Fault, Line

_GONE = (
    Line(
        "ERROR",
        "POST https://{host}/v2/payouts for {order} returned 410 Gone: API v2 has been retired, please use v3",
    ),
    Line("ERROR", "payout {order} not created: {partner} answered 410 Gone after {ms} ms"),
    Line("WARN", "response from {host} carries header Sunset: {day}, endpoint /v2/balance", "steady", 5),
)
_UNSUPPORTED = (
    Line(
        "ERROR",
        'create transfer failed order={order} status=400 code=UNSUPPORTED_API_VERSION message="Version 2021-06-01 is no longer supported"',
    ),
    Line(
        "ERROR",
        "status poll failed: https://{host}/transfers?api-version=2021-06-01 status=400 code=UNSUPPORTED_API_VERSION",
        "steady",
        8,
    ),
    Line("WARN", "{partner} client initialised with deprecated api-version 2021-06-01", "steady", 1),
)

RETIREMENT = Fault(
    name="retired_version",
    stages=("lulu", "meridian", "zento", "tambo"),
    wordings=(_GONE, _UNSUPPORTED),
    cause_keywords=("api version", "retired", "no longer supported", "deprecat", "sunset", "old version"),
    runbooks=("partner-api-version-discontinued.md",),
    action="reroute_orders",
    refusal=(502, "{partner} no longer supports the API version of this request"),
    passing=0.1,
)
