"""Faults that a partner, a bank or our standing with one of them causes."""

# ruff: noqa: E501 - log lines are as long as software prints them

from __future__ import annotations

from flows.ecm.sample.fault import Fault, Line

_PAYOUTS = ("lulu", "meridian", "zento", "kaveri", "tambo")
_HTTP = (*_PAYOUTS, "card_funding", "kyc")

_RATE_LIMIT = Fault(
    name="rate_limit",
    stages=_HTTP,
    wordings=(
        (
            Line(
                "ERROR",
                "POST https://{host}/v2/transfers -> HTTP 429 Too Many Requests order={order} retry_after={n}s",
            ),
            Line("WARN", "retry {attempt}/5 for {order} scheduled in 1s after status 429"),
            Line("ERROR", "giving up on {order} after 5 attempts, last status 429"),
            Line("WARN", "response header x-ratelimit-remaining=0 x-ratelimit-reset={n}", "steady", 20),
        ),
        (
            Line(
                "ERROR",
                '{partner} client: request for {order} rejected: code=THROTTLED message="API call volume exceeded"',
            ),
            Line("WARN", "{partner} client: backing off 500ms, order {order}, code=THROTTLED"),
            Line("WARN", "outbound worker pool saturated by retries, active={many}", "steady", 6),
        ),
        (
            Line(
                "ERROR",
                'c.p.PartnerClientException: 429 from {host}: {{"error":"quota_exceeded","window":"60s"}} [{order}]',
            ),
            Line("ERROR", "order {order} not sent, partner quota for this window used up"),
            Line("INFO", "requests in last minute to {host}: {many}", "steady", 10),
        ),
    ),
    cause_keywords=("rate limit", "rate-limit", "ratelimit", "429", "throttl", "too many requests", "quota"),
    runbooks=("07-partner-api-throttling.md",),
    stage_runbooks={"lulu": ("25-lulu-api-issues.md",), "kyc": ("18-identra-kyc-vendor.md",)},
    action="retry_orders",
    refusal=(409, "{partner} limits our calls; only a slow resend gets through"),
    passing=0.35,
)

_EXPIRED_CREDENTIAL = Fault(
    name="expired_credential",
    stages=_HTTP,
    wordings=(
        (
            Line("ERROR", "POST https://{host}/v2/transfers -> HTTP 401 Unauthorized order={order} body={{\"error\":\"invalid_client\"}}"),
            Line("ERROR", "token request to https://{host}/oauth/token failed: 401 invalid_client: client secret expired", "steady", 12),
            Line("WARN", "no valid access token, {order} postponed"),
        ),
        (
            Line("ERROR", "{partner} answered 403 for {order}: API key is no longer valid"),
            Line("ERROR", "{partner} answered 403 for {order}: key {id} past its end date"),
            Line("WARN", "health probe {partner}: authentication refused", "steady", 8),
        ),
        (
            Line("ERROR", "AuthenticationError while sending {order}: signature rejected, signing key not active since {day}"),
            Line("ERROR", "AuthenticationError while sending {order}: 401"),
            Line("WARN", "secret store: version 14 of {service}/signing-key has passed expiry date {day}", "steady", 4),
        ),
    ),
    cause_keywords=("credential", "expired key", "api key", "secret", "401", "403", "unauthorized", "authenticat", "signing key", "access token"),
    runbooks=("11-partner-authentication-failures.md",),
    stage_runbooks={"lulu": ("25-lulu-api-issues.md",), "kyc": ("18-identra-kyc-vendor.md",)},
    action=None,
    refusal=(502, "{partner} refuses our login"),
    passing=0.0,
)  # fmt: skip

_PARTNER_OUTAGE = Fault(
    name="partner_outage",
    stages=_PAYOUTS,
    wordings=(
        (
            Line("ERROR", "POST https://{host}/v2/transfers -> HTTP 503 Service Unavailable order={order}"),
            Line("ERROR", "POST https://{host}/v2/transfers -> HTTP 502 Bad Gateway order={order}"),
            Line("WARN", "circuit breaker {partner} OPEN, {order} parked"),
            Line("ERROR", "health check {partner}: 0 of 3 endpoints up", "steady", 12),
        ),
        (
            Line("ERROR", "dial tcp {ip}:443: connect: connection refused host={host} order={order}"),
            Line("ERROR", "dial tcp {ip}:443: connect: no route to host host={host} order={order}"),
            Line("WARN", "partner heartbeat missed, last ok at {time}", "steady", 10),
        ),
        (
            Line(
                "ERROR",
                "{order}: {partner} returned maintenance page (text/html) instead of JSON, status 503",
            ),
            Line("ERROR", "{order}: {partner} unavailable, will try later"),
            Line("WARN", "availability of {partner} in last 15 min: {pct}%", "steady", 4),
        ),
    ),
    cause_keywords=(
        "outage",
        "unavailable",
        "503",
        "502",
        "is down",
        "partner down",
        "connection refused",
        "no route to host",
        "maintenance",
        "cannot be reached",
        "unreachable",
    ),
    runbooks=("03-payout-partner-down.md",),
    stage_runbooks={"lulu": ("25-lulu-api-issues.md",)},
    action="reroute_orders",
    refusal=(502, "{partner} cannot be reached"),
    passing=0.02,
)

_SCHEMA_CHANGE = Fault(
    name="schema_change",
    stages=_HTTP,
    wordings=(
        (
            Line("ERROR", "cannot parse reply of {partner} for {order}: missing required property 'transactionRef' (got 'transaction_reference')"),
            Line("ERROR", "{order} left in state SUBMITTED, reply not understood"),
            Line("WARN", "unknown property 'transaction_reference' in reply from {host}", "steady", 14),
        ),
        (
            Line("ERROR", "JsonMappingException: Cannot deserialize value of type `java.math.BigDecimal` from Object value (path: $.payout.amount) order={order}"),
            Line("ERROR", "reply of {host} for {order} not stored, deserialisation failed"),
            Line("INFO", "{host} response header x-api-version: 2026-02 (was 2025-09)", "steady", 6),
        ),
        (
            Line("ERROR", "pydantic_core ValidationError: 1 validation error for PayoutReply status: Input should be 'PAID','PENDING' or 'REJECTED' input_value='SETTLED' order={order}"),
            Line("ERROR", "{order}: HTTP 200 from {partner} but body failed validation"),
        ),
    ),
    cause_keywords=("schema", "format", "parse", "deserial", "validation", "unreadable", "can't read", "required property", "unknown property"),
    runbooks=("09-unreadable-partner-replies.md",),
    action=None,
    refusal=(409, "the reply of {partner} cannot be read, so the state of this order is unknown"),
    passing=0.05,
)  # fmt: skip

_PARTNER_SLOW = Fault(
    name="partner_slow",
    stages=_HTTP,
    wordings=(
        (
            Line("ERROR", "POST https://{host}/v2/transfers timed out after 30000 ms order={order}"),
            Line("WARN", "{order}: outcome unknown after read timeout, moved to pending-confirmation"),
            Line("WARN", "p95 latency {host} 27{ms} ms over last 5 min", "steady", 10),
        ),
        (
            Line("ERROR", "context deadline exceeded (Client.Timeout exceeded while awaiting headers) url=https://{host}/payout order={order}"),
            Line("WARN", "slow upstream {host}: waited 30.0s, order={order}"),
        ),
        (
            Line("ERROR", "java.net.SocketTimeoutException: Read timed out [{order}]"),
            Line("ERROR", "{partner} did not answer in time for {order}, status will be queried"),
            Line("INFO", "in-flight requests to {partner}: {many}", "steady", 8),
        ),
    ),
    cause_keywords=("timeout", "timed out", "slow", "latency", "deadline"),
    runbooks=("13-partner-answers-slowly.md",),
    action=None,
    refusal=(409, "this order's outcome at {partner} is unknown; it must be confirmed first"),
    passing=0.25,
)  # fmt: skip

_LOW_FLOAT = Fault(
    name="low_float",
    stages=_PAYOUTS,
    wordings=(
        (
            Line("ERROR", "{partner} declined {order}: INSUFFICIENT_PREFUND_BALANCE"),
            Line("WARN", "balance of settlement account at {partner} below amount of next payout, {order} waits"),
        ),
        (
            Line("ERROR", "payout {order} rejected reason=NSF account=NOSTRO-{stage} code=51"),
            Line("WARN", "payout {order} put back, available funds at {partner}: 0.00"),
            Line("WARN", "nostro position {stage}: 0.00, expected minimum 250000.00", "steady", 4),
        ),
        (
            Line("ERROR", "HTTP 402 from {host} order={order}: {{\"code\":\"WALLET_EMPTY\",\"detail\":\"merchant balance too low\"}}"),
            Line("ERROR", "cannot pay out {order}: merchant balance too low"),
        ),
    ),
    cause_keywords=("balance", "prefund", "float", "insufficient", "nostro", "funds", "liquidity", "402"),
    runbooks=("16-prefunding-and-nostro-balances.md",),
    action=None,
    refusal=(409, "our account at {partner} has no money left"),
    passing=0.1,
)  # fmt: skip

_TLS_EXPIRY = Fault(
    name="tls_expiry",
    stages=(*_HTTP, "bank_transfer"),
    wordings=(
        (
            Line("ERROR", "SSLHandshakeException: PKIX path validation failed: validity check failed: NotAfter: {day} host={host} order={order}"),
            Line("ERROR", "could not open secure channel to {host}, {order} not sent"),
        ),
        (
            Line("ERROR", "tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time is after {day}T00:00:00Z order={order} host={host}"),
            Line("ERROR", "handshake with {host} failed for {order}"),
        ),
        (
            Line("ERROR", "curl: (35) {host}: sslv3 alert certificate expired, {order} not transmitted"),
            Line("ERROR", "mutual TLS with {partner} refused: our client certificate serial {id} is out of date ({order})"),
            Line("WARN", "certificate CN={service} notAfter={day}", "steady", 4),
        ),
    ),
    cause_keywords=("certificate", "tls", "ssl", "handshake", "x509"),
    runbooks=("14-certificates.md",),
    action=None,
    refusal=(502, "no secure channel to {partner}"),
    passing=0.0,
)  # fmt: skip

_BANK_CUTOFF = Fault(
    name="bank_cutoff",
    stages=("bank_transfer", "kaveri"),
    wordings=(
        (
            Line("WARN", "{partner} acknowledged {order} with status ACCP-DEFERRED, value date {next_day}"),
            Line("WARN", "{order} arrived after processing window, deferred to {next_day}"),
            Line("WARN", "settlement window of {partner} closed at {time}, next opening {next_day}", "steady", 3),
        ),
        (
            Line("ERROR", "batch rejected by {partner}: NON_BUSINESS_DAY, includes {order}"),
            Line("WARN", "{order} rescheduled, {partner} calendar says {day} is closed"),
        ),
        (
            Line("WARN", "pain.002 from {partner}: RJCT TM01 (Cut Off Time) for {order}"),
            Line("WARN", "{order}: submission refused with TM01, queued for next cycle"),
        ),
    ),
    cause_keywords=("cut-off", "cutoff", "cut off", "holiday", "business day", "non_business", "processing window", "settlement window", "settle in windows", "tm01", "bank calendar", "deferred"),
    runbooks=("20-bank-calendar-and-cut-offs.md",),
    action=None,
    refusal=(409, "{partner} takes no payments before its next working window"),
    passing=0.0,
)  # fmt: skip

PARTNER_FAULTS = (
    _RATE_LIMIT, _EXPIRED_CREDENTIAL, _PARTNER_OUTAGE, _SCHEMA_CHANGE, _PARTNER_SLOW, _LOW_FLOAT, _TLS_EXPIRY,
    _BANK_CUTOFF,
)  # fmt: skip
