"""Past incidents of the company, as its people wrote them down."""

# ruff: noqa: E501 - a table

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random
from typing import Any

# days ago, hours it took, stage, title, symptoms, root cause, fix, outcome
_PAST: tuple[tuple[int, float, str, str, str, str, str, str], ...] = (
    (34, 5, "lulu", "Lulu payouts piling up after campaign",
     "80+ AED payouts stuck, gateway got HTTP 429 Too Many Requests for most calls since the Eid campaign started",
     "We exceeded Lulu's request quota; the gateway retried at once and made it worse",
     "Lowered worker concurrency to 4 with exponential backoff and sent the stuck orders again at 2 per second",
     "resolved, all orders paid within 50 minutes"),
    (61, 9, "lulu", "Lulu orders not confirmed overnight",
     "Lulu payouts unpaid, every call answered 401 from midnight UTC",
     "The API secret issued by Lulu had run out after 180 days; nobody had the renewal in the calendar",
     "Partner desk got a new secret, vault updated, gateway restarted", "resolved, calendar entry added"),
    (88, 3, "lulu", "Lulu slow at month end",
     "Orders late, many read timeouts against Lulu, no error answers",
     "Lulu's core was overloaded on payday, answers took over 40 seconds",
     "Raised the client timeout for the day, reconciled before anything was sent twice", "resolved by itself"),
    (20, 4, "meridian", "Meridian down",
     "EUR-PHP orders stuck, connection refused and 503 from Meridian",
     "Meridian had a data centre failure", "Moved open orders to the backup payout partner until they were back",
     "resolved"),
    (47, 6, "meridian", "Meridian payouts fail after their release",
     "Gateway could not read Meridian's replies, payouts were in fact made",
     "Meridian renamed a field in the payout reply without notice",
     "Adapted the mapping, replayed callbacks", "resolved, no double payments"),
    (15, 2, "zento", "Zento wallet credits stalled",
     "KES payouts rejected with insufficient balance",
     "Our prefunded balance with Zento was used up on a Sunday",
     "Treasury sent an emergency top-up, orders went through afterwards", "resolved"),
    (72, 3.5, "zento", "Zento consumer stopped reading",
     "No Zento payout for three hours and no errors at all, queue kept growing",
     "One malformed message blocked the consumer, which kept rejecting and re-reading it",
     "Moved the poison message to the dead letter queue, put the waiting orders back on the queue", "resolved"),
    (41, 20, "kaveri", "INR bank credits waiting",
     "GBP-INR orders late since the afternoon, Kaveri accepted nothing",
     "Public holiday in Maharashtra that was missing in our bank calendar",
     "Nothing to repair; customers informed, orders went out on the next working day", "resolved by waiting"),
    (97, 5, "kaveri", "Kaveri handshake errors",
     "All calls to Kaveri failed in the TLS handshake",
     "Their intermediate certificate had expired", "Kaveri installed a renewed certificate after our call",
     "resolved by partner"),
    (27, 7, "compliance_review", "Screening holds four times as many as usual",
     "Hundreds of orders on hold with hits on one single list entry",
     "A new sanctions list entry with a very common name matched without date of birth",
     "Compliance lead confirmed false positives and released the held orders in bulk", "resolved, matching tuned"),
    (66, 30, "compliance_review", "Reviews late over the long weekend",
     "Compliance queue old but not larger than usual", "Two analysts on leave",
     "None needed, colleagues from Manila helped out", "resolved"),
    (12, 2.5, "fx", "Quotes refused as too old",
     "Orders stuck before conversion, service would not price them",
     "The market data feed had silently stopped, so all rates were older than allowed",
     "Restarted the feed subscription and switched to the secondary source", "resolved"),
    (53, 1.5, "fx", "fx-service out of connections",
     "Timeouts when asking for a connection from the pool",
     "A report held database connections open for an hour", "Killed the report, recycled the pods", "resolved"),
    (38, 8, "kyc", "Identity checks pending", "Identra calls limited, 429 answers, 200 checks waiting",
     "Backfill of old customers used up the hourly allowance we have with Identra",
     "Stopped the backfill, then resubmitted the checks slowly", "resolved"),
    (80, 4, "kyc", "kyc-service errors after release",
     "Unhandled exceptions from the minute the new version was live",
     "The release read a setting that does not exist in production", "Rolled back", "resolved in 25 minutes"),
    (23, 14, "bank_transfer", "Northgate file not taken",
     "Transfers from the evening did not leave until next morning",
     "Our file reached the bank after its cut-off because the nightly job started late",
     "Waited for the next window, moved the job forward by an hour", "resolved"),
    (58, 3, "bank_transfer", "Transfers locked as possible duplicates",
     "Orders refused because the same payment seemed to be in progress",
     "A worker died in the middle and left its locks behind",
     "Checked with the bank that nothing had been paid, cleared the leftover locks", "resolved"),
    (31, 2, "card_funding", "Card captures failing",
     "Velora rejected our client certificate", "Client certificate had expired the day before",
     "New certificate issued and installed", "resolved"),
    (76, 1, "card_funding", "Card funding slow",
     "Latency alarm, a handful of orders over SLA", "Black Friday traffic", "None, went back to normal",
     "closed, no action"),
    (19, 3, "tambo", "Tambo pickups not created",
     "NullPointerException in the Tambo gateway right after a deployment",
     "The release forgot a default for the branch code", "Rolled back to the version before", "resolved"),
    (84, 6, "tambo", "Cash pickups stuck, looked like throttling",
     "A few 429 answers seen first, then it turned out that all calls had 403",
     "Tambo had blocked our API user because of an expired contract annex, the 429s were the usual trickle",
     "Annex signed, API user enabled by Tambo", "resolved, first diagnosis was wrong"),
    (45, 1, "lulu", "Alarm about gateway deprecation warnings",
     "Many new warnings in the log of the Lulu gateway", "Library upgrade logs deprecations, harmless",
     "Warnings silenced", "closed, false alarm"),
)  # fmt: skip


def past(rng: Random, now: datetime) -> tuple[dict[str, Any], ...]:
    """Rows for the platform record's `incidents` table, oldest first; times are UTC."""
    rows = []
    for days, hours, stage, title, symptoms, cause, fix, outcome in _PAST:
        opened = (now - timedelta(days=days + rng.uniform(0, 2), hours=rng.uniform(0, 12))).replace(
            microsecond=0
        )
        rows.append(
            {
                "domain": "ecm",
                "stage": stage,
                "title": title,
                "symptoms": symptoms,
                "root_cause": cause,
                "fix": fix,
                "outcome": outcome,
                "source": "sample",
                "opened_at": opened,
                "resolved_at": opened + timedelta(hours=hours),
            }
        )
    return tuple(sorted(rows, key=lambda row: str(row["opened_at"])))
