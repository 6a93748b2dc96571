"""Words that operations people and software use for one another: a thesaurus for search.

One concept a line; members are words or short phrases, compared after stemming. They are what people write
("dns", "cannot be reached"), what software prints (an exception's name spelled as it is, so that its parts
are found; an errno, a gRPC status) and codes (HTTP statuses, SQLSTATE, ORA). A word may stand in several
concepts. The list is general (infrastructure, services, payments) and belongs to no corpus: a word earns its
place by what it means, never by the page it helps to find.
"""

from __future__ import annotations

from blocks.synonyms_data import DATA
from blocks.synonyms_machines import MACHINES
from blocks.synonyms_payments import PAYMENTS

_STATES: dict[str, str] = {
    # something is not there, or does not work
    "down": (
        "down, unavailable, unreachable, offline, gone, missing, disappeared, absent, dead, died, lost, "
        "outage, unresponsive, not reachable, not available, no answer, not running, no contact, stopped, "
        "vanished, shutdown, cannot be reached, not answer, not respond, ehostunreach, enetunreach, no "
        "route to host, stands still, out of service"
    ),
    "failure": (
        "fail, failure, error, fault, broken, broke, cannot, can't, unable, unsuccessful, exception, could "
        "not, does not work, problem, issue, trouble, 500, 5xx, goes wrong, went wrong, abort"
    ),
    "outage": (
        "outage, maintenance, unavailable, down, 502, 503, bad gateway, service unavailable, incident, "
        "planned work, downtime, status page, offline, disruption, degraded, upgrade window, not "
        "operational, cut over, 521, 523, temporarily out"
    ),
    "restart": (
        "restart, crash, crashloop, crashloopbackoff, die, reboot, oomkilled, bounce, killed, exit, panic, "
        "segfault, coming back, start again, sigkill, sigterm, sigsegv, core dump, respawn, falls over, "
        "fell over"
    ),
    "loss": (
        "drop, discard, lose, lost, throw away, thrown away, not delivered, ignored, swallowed, vanish, "
        "never arrived, gone, skipped, missing message, data loss, overwritten, purge, truncated, "
        "undelivered"
    ),
    "refusal": (
        "reject, refuse, decline, deny, forbidden, disallow, not accepted, not permitted, bounced, says no, "
        "turned away, turned down, barred, prohibited, veto, unaccepted, not eligible, takes no, takes "
        "nothing, no longer accepts, unsupported, not supported"
    ),
    "unknown": (
        "unknown, not recognised, not recognized, unrecognised, unrecognized, not enrolled, not registered, "
        "unregistered, unlisted, not listed, no such, not found, 404, does not exist, nonexistent, not "
        "known, nobody knows, never heard, unexpected, enoent, undefined, not whitelisted, not configured, "
        "not onboarded, unresolved, sqlstate 3D000"
    ),
    "gone": (
        "gone, 410, sunset, retired, decommissioned, deprecated, switched off, discontinued, end of life, "
        "eol, obsolete, withdrawn, removed, no longer supported, phased out, legacy, abandoned, old "
        "version, unsupported version, turned off, closed down, 426, upgrade required"
    ),
    "stuck": (
        "stuck, hang, hung, blocked, stalled, pending, waiting, halted, frozen, wedged, not progressing, no "
        "progress, halfway, idle, not finished, not moving, does not advance, holds up, stands still, "
        "parked, await, starved, never completes, never finishes, spinning, livelock"
    ),
    "flapping": (
        "flap, oscillate, unstable, up and down, toggle, intermittent, sporadic, on and off, back and "
        "forth, keeps changing, changing, switches between, comes and goes, again and again, flaky, "
        "transient"
    ),
    "absent value": (
        "null, npe, none, nil, undefined, absent value, empty, left out, unset, no value, without value, "
        "dereference, KeyError, AttributeError, IndexError"
    ),
    "nothing": (
        "empty, nothing, none, zero, nobody, no rows, no data, no results, no records, no content, 0 rows, "
        "blank, 0 bytes, no entries, no items"
    ),
    "missing": (
        "missing, absent, omitted, left out, forgotten, must be set, not present, not found, not provided, "
        "not supplied, was not set, not sent"
    ),
    "too old": (
        "stale, outdated, out of date, expired, not fresh, aged, not updated, last update, obsolete, last "
        "tick, last seen, not refreshed, too old"
    ),
    "fresh": "fresh, anew, latest, recent, renewed, up to date",
    "apart": (
        "differ, apart, mismatch, disagree, diverge, skewed, drift, deviate, unequal, discrepancy, out of "
        "step, out of line, inconsistent, not equal, does not match"
    ),
    "again": (
        "retry, again, repeat, resend, reattempt, attempt, redo, resubmit, once more, re run, rerun, "
        "redeliver"
    ),
    "give up": (
        "give up, gave up, exhausted retries, retries exhausted, max retries, abandon, cancelled, aborted, "
        "attempts exceeded, no more attempts"
    ),
    # time
    "slow": (
        "slow, latency, duration, delay, sluggish, long, longer, forever, response time, degraded, p99, "
        "percentile, performance, lagging, crawl"
    ),
    "timeout": (
        "timeout, timed out, deadline exceeded, no response, unresponsive, 504, gateway timeout, 408, took "
        "too long, read timed out, connect timed out, takes too long, etimedout, no answer, does not "
        "answer, hangs, waiting time, context deadline, never answered, ora 12170, 524, 522"
    ),
    "behind": (
        "behind, lag, late, backlog, delay, catch up, stale, outdated, overdue, trailing, past due, slip, "
        "sla breach"
    ),
    "backlog": (
        "backlog, queue, pile up, piling, accumulate, congested, lag, depth, unprocessed, waiting, queued, "
        "stack up, mount up, outstanding, unacked"
    ),
    "soon": (
        "soon, about to, going to, near, almost, close to, predicted, approaching, will, tomorrow, within "
        "the next, imminent, running out, filling up"
    ),
    "clock": (
        "clock, ntp, chrony, time sync, clock drift, clock skew, server time, system time, synchronising, "
        "request time, current time, skew, date header, amz date, time daemon, ntpd, chronyd, timedatectl, "
        "timesyncd, time source, stratum, leap second, minutes fast, minutes slow, hwclock, runs ahead, "
        "issued in the future, signature expired, earlier than, signed requests, signature not yet valid"
    ),
    "time window": (
        "recvwindow, time window, tolerance, outside the window, allowed window, validity window, too "
        "early, too late, not yet valid, time to live, ttl, lifetime, max age, freshness, 425"
    ),
    "time zone": (
        "timezone, time zone, tz, utc, gmt, local time, dst, daylight saving, summer time, winter time, "
        "midnight, clock change, one hour, hour off, zoneinfo, tzdata, offset naive"
    ),
    "flow of time": "out of order, older, too old, earlier, late arrival, sequence, ordering, overtaken",
    "day": "daily, today, 24 h, overnight, per day, calendar day, each day, every day",
    "end of day": "eod, end of day, day end, month end, evening, closing, nightly",
    # amounts
    "full": (
        "full, exhausted, capacity, saturated, used up, run out, out of, no space, filling, fills up, 100 "
        "percent, maxed, space left, no room, no more room, depleted, drained, enospc, edquot, none left, "
        "no free, all taken, all in use, maxmemory, all slots"
    ),
    "limit": (
        "limit, maximum, max, quota, ceiling, cap, threshold, budget, allowance, exceeded, velocity, per "
        "transaction, no more than, upper bound"
    ),
    "shortage": (
        "insufficient, dry, not enough, few, fewer, lack, shortage, low, less than, minimum, only, below, "
        "under, too small, scarce, empty, too little, inadequate, lower than"
    ),
    "excess": (
        "exceed, too many, too much, over, above, more than, overload, beyond, excess, too large, too big, "
        "too long, multiply, oversized, higher than, greater than, outgrown, 413"
    ),
    "growth": (
        "grow, increase, rise, surge, spike, climb, elevated, jump, burst, swell, ramp, flood, storm, "
        "multiplied, soar, influx"
    ),
    "overcommit": "overcommit, oversubscribed, add up to more, sum of",
    "duplicate": (
        "duplicate, twice, repeated, double, same, idempotency, already exists, replayed, second "
        "submission, second time, already submitted, already, unique constraint, unique violation, dedupe, "
        "deduplication, 409, conflict, again, sqlstate 23505, ora 00001, collision, reused, resent, eexist, "
        "1062, second copy"
    ),
    "underway": (
        "in progress, in flight, underway, ongoing, being processed, already running, not yet finished, "
        "still running"
    ),
    "half": "half, majority, most, several, more than half",
    "all": "all, every, everyone, whole, entire, any, completely, none, nobody, nothing, no single",
    "one": "one, single, specific, particular, some, certain, at least one",
}

CONCEPTS: dict[str, str] = {**_STATES, **MACHINES, **DATA, **PAYMENTS}
"""Name of a concept → its members, separated by commas."""
