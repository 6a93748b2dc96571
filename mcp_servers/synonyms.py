"""Words that operations people use for one another: a small thesaurus for search.

One concept a line; members are words or short phrases, compared after stemming. A word may stand in several
concepts. The list is general (infrastructure, services, payments) and belongs to no corpus: a word earns its
place by what it means, never by the page it helps to find.
"""

from __future__ import annotations

CONCEPTS: dict[str, str] = {
    # something is not there, or does not work
    "down": (
        "down, unavailable, unreachable, offline, gone, missing, disappeared, absent, dead, died, "
        "lost, outage, unresponsive, not reachable, not available, no answer, not running, no "
        "contact, stopped, vanished, shutdown"
    ),
    "failure": (
        "fail, failed, failure, error, fault, broken, broke, cannot, can't, unable, unsuccessful, "
        "exception, could not, does not work, problem, issue, trouble, 500, 5xx"
    ),
    "outage": (
        "outage, maintenance, unavailable, down, 502, 503, bad gateway, service unavailable, incident"
    ),
    "restart": (
        "restart, crash, crashloop, crashloopbackoff, die, dying, reboot, oomkilled, bounce, killed, "
        "exit, panic, segfault, coming back, start again"
    ),
    "loss": (
        "drop, discard, lose, lost, throw away, thrown away, dropped, not delivered, ignored, swallowed"
    ),
    "refusal": (
        "reject, refuse, decline, deny, denied, forbidden, disallow, not accepted, not permitted, bounced"
    ),
    "stuck": (
        "stuck, hang, hung, blocked, stalled, pending, waiting, halted, frozen, wedged, not "
        "progressing, no progress, halfway, idle, not finished, not moving, does not advance"
    ),
    "flapping": (
        "flap, flapping, oscillate, unstable, up and down, toggle, intermittent, sporadic, on and "
        "off, back and forth, keeps changing, changing, changed, switches between"
    ),
    # time
    "slow": (
        "slow, latency, duration, delay, sluggish, long, longer, forever, response time, slowness, "
        "degraded, p99, percentile, performance"
    ),
    "timeout": (
        "timeout, timed out, deadline exceeded, no response, unresponsive, 504, gateway timeout, 408, "
        "took too long, read timed out, connect timed out"
    ),
    "behind": "behind, lag, late, backlog, delay, catch up, stale, outdated",
    "backlog": (
        "backlog, queue, pile up, piles up, piling, accumulate, congested, lag, depth, unprocessed, waiting"
    ),
    "soon": (
        "soon, about to, going to, near, nearly, almost, close to, predicted, approaching, will, "
        "tomorrow, within the next, imminent, running out, filling up"
    ),
    "clock": (
        "clock, ntp, chrony, time sync, clock drift, clock skew, server time, system time, synchronising"
    ),
    "flow of time": "out of order, older, too old, earlier, late arrival, sequence",
    # amounts
    "full": (
        "full, exhausted, capacity, saturated, used up, run out, running out, out of, no space, "
        "filling, fills up, 100 percent, maxed, space left"
    ),
    "limit": "limit, maximum, max, quota, ceiling, cap, threshold, budget, allowance, exceeded",
    "shortage": "insufficient, not enough, few, fewer, lack, shortage, low, less than, minimum, only",
    "excess": "exceed, too many, too much, over, above, more than, overload, beyond, excess",
    "growth": "grow, increase, rise, surge, spike, climb, elevated, jump, burst",
    "overcommit": "overcommit, overcommitted, oversubscribed, add up to more, sum of",
    "duplicate": (
        "duplicate, twice, repeated, double, same, idempotency, already exists, replayed, second submission, "
        "second time, already submitted"
    ),
    "underway": "in progress, in flight, underway, ongoing, being processed, already running, in process",
    "half": "half, majority, most, several, more than half",
    "all": "all, every, everyone, whole, entire, any, completely, none, nobody, nothing, no single",
    "one": "one, single, specific, particular, some, certain, at least one",
    # resources
    "disk": (
        "disk, volume, storage, filesystem, file system, drive, partition, mount, pvc, "
        "persistentvolume, persistent volume, data directory"
    ),
    "inode": "inode, inodes, files, df -i, number of files",
    "memory": "memory, ram, oom, heap, out of memory",
    "cpu": "cpu, processor, core, compute, cpu limit",
    "throttling": "throttle, throttling, limited, slowed down, capped, cut off",
    "descriptor": "file descriptor, open files, ulimit, emfile, file handle",
    "network": "network, nic, interface, link, eth0, network card, packet, connectivity",
    "connection": (
        "connection refused, connection reset, econnrefused, econnreset, socket, connect, connection, "
        "broken pipe"
    ),
    "name lookup": (
        "dns, hostname, no such host, nxdomain, name resolution, could not resolve, "
        "unknownhostexception, unknown host, enotfound, getaddrinfo, resolve host, name or service "
        "not known"
    ),
    "conntrack": "conntrack, nf_conntrack, connection tracking",
    "inbound": "receive, rx, incoming, inbound, ingress",
    "outbound": "send, transmit, tx, outgoing, outbound, egress, push, deliver, publish, post, forward",
    "array": "raid, md array, mdadm, array, spare",
    # machines and programs
    "node": "node, host, machine, server, worker, vm",
    "node agent": "kubelet, node agent",
    "replica": "replica, copy, copies, instance, member, peer, pod",
    "container": "container, pod, app, application, workload",
    "namespace": "namespace, tenant, project, team",
    "job": "job, batch, cronjob, cron, task, nightly",
    "per node": "daemonset, daemon, per node, every node, all nodes",
    "stateful": "statefulset, stateful, stateful set",
    "control plane": "apiserver, api server, control plane, kube api, kubernetes api, kubectl, masters",
    "extension api": "aggregated api, apiservice, extension api, metrics server, aggregation layer",
    "election": "leader, master, election, elect, quorum, majority",
    "autoscaler": "autoscaler, hpa, autoscaling, horizontal pod autoscaler, scale out, scale up",
    "placement": "schedule, scheduler, assign, placement, place, misscheduled, unschedulable",
    "dead man's switch": "watchdog, dead man's switch, always firing, heartbeat, always on",
    "health": (
        "readiness, ready, liveness, health check, healthcheck, probe, healthy, unhealthy, notready, unready"
    ),
    "shard": "shard, partition, parallel, sharding",
    # configuration and change
    "configuration": "config, configuration, settings, yaml, yml, parameter, option, misconfigured",
    "invalid": (
        "invalid, malformed, incorrect, wrong, syntax error, bad, illegal, corrupt, 400, 422, unprocessable"
    ),
    "mismatch": (
        "mismatch, differ, different, inconsistent, disagree, diverge, discrepancy, does not match, "
        "not matched"
    ),
    "reload": "reload, picked up, apply, reloader, refresh, load",
    "sync": "sync, reconcile, synchronise, synchronize, reconciliation",
    "release": (
        "deploy, deployment, release, rollout, roll out, update, upgrade, version, new build, "
        "shipped, rolled out"
    ),
    "rollback": "rollback, roll back, rolled back, revert, undo, regression, previous version",
    "schema": (
        "schema, field, format, payload, contract, deserialize, unmarshal, parse, parsing, unexpected "
        "field, unknown field, missing field, column, mapping, json, validation, unrecognized field, "
        "unrecognised field, required property, required field, property, attribute, deserialization, "
        "renamed, unexpected token, unexpected type, parser"
    ),
    # identity
    "certificate": (
        "certificate, cert, tls, ssl, x509, pki, handshake, keystore, ca, pkix, truststore, trust "
        "store, chain"
    ),
    "expiry": (
        "expire, expired, expiry, expiration, not after, runs out, no longer valid, ends, outdated, "
        "past its validity, not yet valid, has run out, ran out"
    ),
    "renewal": "renew, renewal, rotate, rotation, refresh, reissue",
    "credential": (
        "credential, password, token, secret, api key, apikey, authentication, unauthorized, "
        "unauthorised, 401, login, sign in, signature, key, auth, unauthenticated, not authorized"
    ),
    "permission": "permission, forbidden, 403, rbac, access denied, not allowed, role, privilege",
    "rate limit": (
        "rate limit, rate limiting, throttled, 429, too many requests, retry after, backoff, "
        "back off, requests "
        "per second, qps, too many calls, calls a second, request budget"
    ),
    # observing
    "notification": (
        "notification, notify, page, paged, pager, pagerduty, slack, email, integration, message, "
        "alert routing"
    ),
    "scraping": "scrape, collect, ingest, poll, pull, target, exporter",
    "metric": "metric, sample, series, data point, measurement, telemetry",
    "rule": "rule, expression, recording rule, evaluation, evaluate, computed, promql",
    "remote storage": "remote write, remote storage, long term storage, thanos, cortex, mimir",
    "block": "compaction, compact, block, merge, tsdb, time series database",
    "quota of errors": "slo, error budget, burn rate, service level",
    # data stores and messaging
    "database": "database, db, sql, postgres, mysql, oracle, rds, store",
    "lock": "lock, deadlock, contention, blocked query, lock wait",
    "pool": "pool, connection pool, pool exhausted, too many connections, no free connections",
    "replication": "replication, replica lag, standby, secondary",
    "messaging": (
        "queue, consumer, topic, kafka, broker, rabbitmq, sqs, consumer group, offset, dead letter, "
        "dlq, consumers"
    ),
    "cache": "cache, redis, memcached, eviction, stale data",
    # payments
    "compliance": (
        "compliance, aml, kyc, sanctions, screening, watchlist, ofac, pep, due diligence, fraud check"
    ),
    "hold": (
        "hold, held, on hold, freeze, frozen, manual review, suspended, flagged, review, analyst, "
        "under review"
    ),
    "cut-off": (
        "cutoff, cut off, cut-off, business hours, banking hours, bank holiday, weekend, next "
        "business day, value date, clearing window, settlement window, after hours"
    ),
    "payout": (
        "payout, disburse, disbursement, transfer, remittance, payment, settle, settlement, credit transfer"
    ),
    "partner": (
        "partner, provider, vendor, upstream, third party, counterparty, gateway, correspondent, bank"
    ),
    "refund": "refund, reversal, return, chargeback, reversed, money back",
    "exchange rate": "fx, exchange rate, currency, quote, rate feed, conversion",
    "funding": (
        "balance, prefund, prefunding, float, liquidity, funds, nostro, top up, insufficient funds, overdrawn"
    ),
    "callback": "webhook, callback, status update, acknowledgement, ack, notification url",
    "order": "order, transaction, payment",
    "beneficiary": "beneficiary, recipient, payee, receiver, account number, iban, ifsc",
}
