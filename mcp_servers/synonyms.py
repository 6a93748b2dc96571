"""Words that operations people use for one another: a small thesaurus for search.

One concept a line; members are words or short phrases, compared after stemming. A word may stand in several
concepts. The list is general (infrastructure, services, payments) and belongs to no corpus: a word earns its
place by what it means, never by the page it helps to find.
"""

from __future__ import annotations

CONCEPTS: dict[str, str] = {
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
        "reject, refuse, decline, deny, forbidden, disallow, not accepted, not permitted, bounced, says "
        "no, turned away, turned down, barred, prohibited, veto, unaccepted, not eligible, takes no, takes "
        "nothing, no longer accepts, unsupported, not supported"
    ),
    "unknown": (
        "unknown, not recognised, not recognized, unrecognised, unrecognized, not enrolled, not "
        "registered, unregistered, unlisted, not listed, no such, not found, 404, does not exist, "
        "nonexistent, not known, nobody knows, never heard, unexpected, enoent, undefined, not "
        "whitelisted, not configured, not onboarded, unresolved, sqlstate 3D000"
    ),
    "gone": (
        "gone, 410, sunset, retired, decommissioned, deprecated, switched off, discontinued, end of life, "
        "eol, obsolete, withdrawn, removed, no longer supported, phased out, legacy, abandoned, old "
        "version, unsupported version, turned off, closed down, 426, upgrade required"
    ),
    "stuck": (
        "stuck, hang, hung, blocked, stalled, pending, waiting, halted, frozen, wedged, not progressing, "
        "no progress, halfway, idle, not finished, not moving, does not advance, holds up, stands still, "
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
    "missing": "missing, absent, omitted, left out, forgotten, must be set",
    "too old": (
        "stale, outdated, out of date, expired, not fresh, aged, not updated, last update, obsolete, last "
        "tick, last seen, not refreshed"
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
        "timesyncd, time source, stratum, leap second, minutes fast, minutes slow, hwclock"
    ),
    "time window": (
        "recvwindow, time window, tolerance, outside the window, allowed window, validity window, too "
        "early, too late, not yet valid, time to live, ttl, lifetime, max age, freshness, 425"
    ),
    "time zone": (
        "timezone, time zone, tz, utc, gmt, local time, dst, daylight saving, summer time, winter time, "
        "midnight, clock change, one hour, hour off, zoneinfo, tzdata, offset naive"
    ),
    "flow of time": (
        "out of order, older, too old, earlier, late arrival, sequence, ordering, overtaken"
    ),
    "day": "daily, today, 24 h, overnight",
    "end of day": "eod, end of day, day end, month end, evening, closing, nightly",
    # amounts
    "full": (
        "full, exhausted, capacity, saturated, used up, run out, out of, no space, filling, fills up, 100 "
        "percent, maxed, space left, no room, no more room, depleted, drained, enospc, edquot, none left, "
        "no free, all taken, all in use, maxmemory, all slots"
    ),
    "limit": (
        "limit, maximum, max, quota, ceiling, cap, threshold, budget, allowance, exceeded, velocity, per "
        "transaction, no more than"
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
        "deduplication, 409, conflict, again, sqlstate 23505, ora 00001, collision, reused, resent, "
        "eexist, 1062, second copy"
    ),
    "underway": (
        "in progress, in flight, underway, ongoing, being processed, already running, not yet finished, "
        "still running"
    ),
    "half": "half, majority, most, several, more than half",
    "all": "all, every, everyone, whole, entire, any, completely, none, nobody, nothing, no single",
    "one": "one, single, specific, particular, some, certain, at least one",
    # resources
    "disk": (
        "disk, volume, storage, filesystem, file system, drive, partition, mount, pvc, persistentvolume, "
        "persistent volume, data directory, enospc, no space left, space left on device, gigabytes, gb "
        "free, /dev/sd, extend file, ebs, tablespace, 507, sqlstate 53100, ora 01653, enospace"
    ),
    "disk health": (
        "io error, i o error, eio, bad sector, read only file system, erofs, read only filesystem, "
        "remounted, filesystem corruption, iops, disk latency, iowait, fsync, estale, nfs, stale file "
        "handle, mount failure"
    ),
    "inode": "inode, files, df -i, number of files",
    "log files": (
        "log rotation, logrotate, log files, wal, redo log, binlog, archiving, write ahead, journal, "
        "dumps, transaction log, ora 00257"
    ),
    "memory": (
        "memory, ram, oom, heap, out of memory, oomkilled, rss, garbage collection, metaspace, enomem, std "
        "bad alloc, sqlstate 53200, ora 04031, cgroup"
    ),
    "cpu": "cpu, processor, core, compute, cpu limit, load average, busy loop, hot loop, spinning",
    "throttling": "throttle, limited, slowed down, capped, cut off, braked, shaping, cfs quota",
    "threads": (
        "thread, executor, RejectedExecutionException, pthread, goroutine, process limit, max user "
        "processes, bulkhead"
    ),
    "descriptor": (
        "file descriptor, open files, ulimit, emfile, file handle, enfile, handles, nofile, sockets not "
        "closed, socket leak, descriptors"
    ),
    "leak": (
        "leak, never closed, not closed, never released, not released, never freed, not given back, not "
        "returned, keeps growing, left open"
    ),
    "network": (
        "network, nic, interface, link, eth0, network card, packet, connectivity, internet, bandwidth, "
        "retransmission, retransmit"
    ),
    "connection": (
        "connection refused, connection reset, econnrefused, econnreset, socket, connect, broken pipe, "
        "epipe, reset by peer, premature close, unexpected eof, econnaborted, tcp, hung up, keep alive, "
        "remote host closed, hangs up, sqlstate 08001, enotconn"
    ),
    "name lookup": (
        "dns, hostname, no such host, nxdomain, name resolution, could not resolve, unknown host, "
        "enotfound, getaddrinfo, resolve host, name or service not known, servfail, server misbehaving, "
        "resolver, nameserver, name server, coredns, lookup, look up, eai again, domain name, cname, zone "
        "file, host name, ora 12154"
    ),
    "allow-list": "allow list, allowlist, whitelist, cidr, subnet, safelist, access list, acl",
    "egress": (
        "egress, nat, outgoing address, outbound address, elastic ip, outbound ip, snat, outgoing gateway, "
        "public ip"
    ),
    "firewall": (
        "firewall, security group, network policy, waf, iptables, port closed, port blocked, blocked port, "
        "cloudflare, akamai, challenge page, bot protection, vpn, ipsec, tunnel, vpc peering, private link"
    ),
    "conntrack": "conntrack, nf_conntrack, connection tracking",
    "inbound": "receive, rx, incoming, inbound, ingress",
    "outbound": (
        "send, transmit, tx, outgoing, outbound, egress, push, deliver, publish, post, forward, sent, "
        "submit, dispatch"
    ),
    "array": "raid, md array, mdadm, array, spare",
    # machines and programs
    "node": "node, host, machine, server, worker, vm, box, ec2",
    "node agent": "kubelet, node agent",
    "replica": "replica, copy, instance, member, peer, pod",
    "container": "container, pod, app, application, workload",
    "image": "image, manifest unknown, pull access denied, ecr, tag missing, CreateContainerError",
    "namespace": "namespace, tenant, project, team",
    "job": "job, batch, cronjob, cron, task, nightly, airflow, quartz, crontab",
    "misfire": (
        "misfire, missed schedule, did not run, never ran, never started, not started, skipped run, missed "
        "start, no run, FailedNeedsStart, never fired, fire time, missed fire, overran, overlapping run"
    ),
    "per node": "daemonset, daemon, per node, every node, all nodes",
    "stateful": "statefulset, stateful, stateful set",
    "control plane": "apiserver, api server, control plane, kube api, kubernetes api, kubectl, masters",
    "extension api": "aggregated api, apiservice, extension api, metrics server, aggregation layer",
    "election": (
        "leader, master, election, quorum, majority, failover, promoted, split brain, leadership, step "
        "down"
    ),
    "autoscaler": (
        "autoscaler, hpa, autoscaling, horizontal pod autoscaler, scale out, scale up, max replicas"
    ),
    "placement": (
        "schedule, assign, placement, place, misscheduled, unschedulable, taint, toleration, affinity, no "
        "nodes available, insufficient cpu"
    ),
    "eviction of pods": "evicted, cordon, preempted, disk pressure, memory pressure, spot interruption",
    "dead man's switch": "watchdog, dead man's switch, always firing, heartbeat, always on",
    "health": (
        "readiness, liveness, health check, healthcheck, probe, healthy, unhealthy, notready, unready, "
        "failed their check, actuator, healthz, livez, readyz, health endpoint"
    ),
    "proxy": (
        "proxy, envoy, nginx, haproxy, load balancer, alb, elb, sidecar, istio, ingress controller, "
        "service mesh, target group, traefik, api gateway"
    ),
    "circuit breaker": (
        "circuit breaker, circuitbreaker, circuit open, breaker open, CallNotPermittedException, short "
        "circuited, half open, fuse, outlier detection, ejected, tripped, hystrix, resilience4j, stop "
        "calling, fail fast"
    ),
    "shard": "shard, partition, parallel, bucket",
    "moved": (
        "redirect, 301, 308, 302, new address, changed address, base url, new url, endpoint changed, "
        "relocated, url has changed, has moved"
    ),
    "not offered": (
        "405, method not allowed, 501, not implemented, unimplemented, no such method, unknown operation, "
        "operation not offered, unsupported operation, method not found, feature not available, soapaction"
    ),
    "port taken": (
        "eaddrinuse, address already in use, bind, port taken, port already, listen, same port, port "
        "conflict"
    ),
    "port exhaustion": (
        "eaddrnotavail, cannot assign requested address, ephemeral ports, time wait, port exhaustion, "
        "source ports, local ports, snat ports, port range"
    ),
    "service unit": (
        "systemd, systemctl, unit failed, unit file, journalctl, service unit, start limit hit, init "
        "script, supervisord"
    ),
    "mounting": "ContainerCreating, mount, attach, unmounted volumes",
    "search engine": (
        "elasticsearch, opensearch, search index, cluster red, unassigned shards, flood stage watermark, "
        "lucene"
    ),
    "kernel": "kernel, dmesg, hung task, soft lockup, segfault, selinux, apparmor, syscall, sysctl",
    "serial access": (
        "serialization failure, could not serialize access, sqlstate 40001, concurrent update, write "
        "conflict, OptimisticLockException, version conflict, stale object, row was updated by another "
        "transaction, lost update"
    ),
    "partial": (
        "partial, partly, half done, incomplete, some of, halfway, midway, in the middle, unfinished"
    ),
    "safe guard": "halted by, kill switch, paused, suspended, disabled, switched off, turned off, stop",
    # configuration and change
    "configuration": (
        "config, configuration, settings, yaml, yml, parameter, option, misconfigured, environment "
        "variable, helm, values file, terraform, dotenv, properties file, placeholder"
    ),
    "flag": "toggle, flag, LaunchDarkly, remote config, unleash, canary, rollout percentage",
    "default": "default, fall back",
    "invalid": (
        "invalid, malformed, incorrect, wrong, syntax error, bad, illegal, corrupt, 400, 422, "
        "unprocessable, garbled, not well formed, cannot read, unreadable, does not conform, failed "
        "precondition"
    ),
    "mismatch": (
        "mismatch, differ, inconsistent, disagree, diverge, discrepancy, does not match, out of balance, "
        "not equal, unequal, do not add up, apart, do not agree, incompatible"
    ),
    "fingerprint": (
        "checksum, fingerprint, hash, digest, md5, sha256, hmac, signature mismatch, crc, integrity, "
        "tampered, signature verification, not what was expected"
    ),
    "reload": "reload, picked up, apply, refresh, load",
    "sync": "sync, reconcile, synchronise, synchronize, reconciliation, catch up",
    "release": (
        "deploy, release, rollout, roll out, update, upgrade, version, new build, shipped, build, "
        "redeploy, hotfix, patch"
    ),
    "rollback": (
        "rollback, roll back, revert, undo, regression, previous version, go back, build before, earlier "
        "build, earlier tag, back out"
    ),
    "version": "version, v1, v2, generation, migrate, compatibility, incompatible",
    "migration": (
        "migration, flyway, liquibase, alembic, ddl, alter table, schema change, database change, change "
        "script, changelog, changeset, relation does not exist, column does not exist, undefined column, "
        "no such table, undefined table, no such column, sqlstate 42703, ora 00942, schema version"
    ),
    "code bug": (
        "NullPointerException, TypeError, AttributeError, NoneType, IndexError, KeyError, "
        "ClassCastException, IllegalStateException, stack trace, stacktrace, traceback, unhandled "
        "exception, uncaught, bug, our own code, falls over, npe, nil pointer, division by zero, segfault, "
        "NoSuchMethodError, ClassNotFoundException, ImportError, ModuleNotFoundError, "
        "NoClassDefFoundError, coding error, ReferenceError, is not a function, IndexOutOfBoundsException, "
        "ZeroDivisionError, programming error, RuntimeException, unexpected null, does not handle"
    ),
    "schema": (
        "schema, field, format, payload, contract, deserialize, unmarshal, parse, unexpected field, "
        "unknown field, missing field, column, mapping, json, validation, unrecognized field, unrecognised "
        "field, required property, required field, property, attribute, renamed, unexpected token, "
        "unexpected type, parser, serialization, avro, protobuf, xsd, xml, make sense of, chokes, "
        "MismatchedInputException, enum, iso 20022, swift message, mt103, pacs, csv, cannot construct "
        "instance"
    ),
    "web page": (
        "html, web page, markup, doctype, unexpected character, unexpected token, expecting value, error "
        "page, login page, landing page, instead of json, instead of data, not json, invalid json, "
        "captcha, code 60, line 1 column 1, char 0, challenge page, interstitial, portal page"
    ),
    "content type": (
        "content type, media type, 415, 406, mime, application json, body type, multipart, accept"
    ),
    "encoding": (
        "encoding, charset, character set, utf 8, latin 1, iso 8859 1, cp1252, unicode, malformed input, "
        "unmappable, accents, invalid byte, byte order mark, bom, mojibake, garbled, special characters, "
        "non ascii, diacritics, decoding, byte sequence, umlaut, transliterate, sqlstate 22021, base64"
    ),
    "size": (
        "too large, too big, oversized, 413, message size, max size, body size, too long, sqlstate 22001, "
        "431, megabytes, split the file"
    ),
    "number form": (
        "decimal, NumberFormatException, not a number, nan, arithmetic, out of range, sqlstate 22003, "
        "thousand separator, minor units"
    ),
    # identity
    "certificate": (
        "certificate, cert, tls, ssl, x509, pki, handshake, keystore, ca, pkix, truststore, trust store, "
        "chain, mtls, self signed, intermediate, ocsp, crl, hostname mismatch, subject alternative name, "
        "pem, csr, lets encrypt, acme, issuer"
    ),
    "cipher": (
        "cipher, protocol version, tls 1.2, tls 1.3, tlsv1, encryption, algorithm, hardened, handshake "
        "failure, unsupported protocol, tls version, ssl version, key exchange, sha1, kex, no matching "
        "host key, security level"
    ),
    "decryption": (
        "decrypt, pgp, gpg, private key, public key, padding, AEADBadTagException, kms, hsm, wrong key, no "
        "secret key, jwe, key id, kid, keyring, key pair, jwks"
    ),
    "expiry": (
        "expire, expiry, not after, runs out, no longer valid, ends, outdated, past its validity, not yet "
        "valid, ran out, lapsed, past its date, too old, elapsed, out of date, validity, days left"
    ),
    "renewal": "renew, rotate, refresh, reissue, replaced, fresh, new secret, new key, roll the key",
    "credential": (
        "credential, password, token, secret, api key, apikey, authentication, unauthorized, unauthorised, "
        "401, login, sign in, signature, key, auth, unauthenticated, not authorized, oauth, invalid_grant, "
        "invalid_client, jwt, bearer, vault, consent, invalidsignature, sqlstate 28p01, ora 01017, service "
        "account, user name, passphrase, saml, sso, keytab, kerberos, iam, sts, assume role, 407, 1045, "
        "unseal"
    ),
    "revoked": (
        "revoked, withdrawn, pulled, deactivated, invalidated, taken away, blacklisted, no longer has"
    ),
    "permission": (
        "permission, forbidden, 403, rbac, access denied, not allowed, role, privilege, rights, scope, "
        "entitlement, may not, not permitted, eacces, eperm, unauthorized operation, sqlstate 42501, ora "
        "01031, widen, write access, read only access, authorisation"
    ),
    "lock-out": (
        "locked out, account locked, lockout, mfa, otp, 2fa, two factor, one time code, one time password, "
        "wrong codes, totp, shut out, failed attempts, failed logins, too many attempts, user locked, "
        "barred, user disabled, captcha, second factor, brute force, account disabled, wrong password, "
        "password expired, authenticator, ora 28000, unlock, account blocked, 423"
    ),
    "rate limit": (
        "rate limit, throttled, 429, too many requests, retry after, backoff, back off, requests per "
        "second, qps, too many calls, calls a second, request budget, resource_exhausted, slow down, tps, "
        "requests per minute, ProvisionedThroughputExceeded, calls per minute, calls a minute, ratelimit, "
        "rps, too fast, transactions per second, spike arrest, concurrency limit"
    ),
    "quota": (
        "quota, daily limit, used up, allotment, monthly limit, daily transaction, plan limit, contract "
        "limit, increase request, daily cap, volume limit, allowance"
    ),
    # observing
    "notification": (
        "notification, notify, page, pager, pagerduty, slack, email, integration, message, alert routing"
    ),
    "customer message": (
        "sms, fcm, apns, twilio, device token, smtp, ses, sendgrid, NotRegistered, unregistered device, "
        "text message, customer message, handset, inform customers, whatsapp, firebase, mailbox "
        "unavailable, delivery receipt, template rejected, dlt, sender id"
    ),
    "scraping": "scrape, collect, ingest, poll, pull, target, exporter",
    "metric": "metric, sample, series, data point, measurement, telemetry",
    "rule": "rule, expression, recording rule, evaluation, computed, promql",
    "remote storage": "remote write, remote storage, long term storage, thanos, cortex, mimir",
    "block": "compaction, block, merge, tsdb, time series database",
    "quota of errors": "slo, error budget, burn rate, service level",
    # data stores and messaging
    "database": (
        "database, db, sql, postgres, mysql, oracle, rds, store, postgresql, aurora, jdbc, sqlstate, psql, "
        "psycopg, hibernate, innodb, hikari, mongodb, dynamodb, cassandra"
    ),
    "lock": (
        "lock, deadlock, contention, blocked query, lock wait, wait for each other, sharelock, sqlstate "
        "40p01, sqlstate 55p03, ora 00060, resource busy, could not serialize access, serialization "
        "failure, same rows, concurrent update, StaleObjectStateException, blocked by, idle in "
        "transaction, long transaction, 1205, 1213"
    ),
    "lease": (
        "acquire lock, redis lock, distributed lock, redlock, lease, shedlock, lock left, leftover lock, "
        "stale lock, orphaned lock, lockfile, lock file, pidfile, pid file, could not acquire, not given "
        "back, dead worker, mutex, semaphore, fencing token, advisory lock, left behind, held by another, "
        "held by owner"
    ),
    "pool": (
        "pool, connection pool, pool exhausted, too many connections, no free connections, connection "
        "slots, too many clients, max connections, connection is not available, sqlstate 53300, ora 00020, "
        "pooler, pgbouncer, idle connections, timeout waiting for connection, sessions, borrow a "
        "connection, 1040"
    ),
    "replication": (
        "replication, replica lag, standby, secondary, read replica, wal receiver, replay lag, read copy, "
        "in sync replicas, isr, NotEnoughReplicas, seconds behind master, canceling statement due to "
        "conflict"
    ),
    "read-only": (
        "read only, readonly, cannot execute insert, cannot execute update, takes no changes, takes no "
        "more writes, writes disabled, no writes, not writable, write to the standby, wrong primary, "
        "former primary, sqlstate 25006, ora 16000, not master, read mode, writes blocked, cluster block, "
        "1290"
    ),
    "slow query": (
        "slow query, long running query, query plan, execution plan, missing index, sequential scan, seq "
        "scan, explain, statement timeout, canceling statement, sqlstate 57014, ora 01013, statistics, "
        "analyze, index scan, planner, heavy query, hot query, table scan, expensive query"
    ),
    "vacuum": (
        "vacuum, autovacuum, bloat, wraparound, transaction id, dead tuples, dead rows, xid, txid"
    ),
    "integrity": (
        "constraint, foreign key, violates, sqlstate 23503, ora 02291, integrity, orphaned, dangling "
        "reference, referenced row, parent record, parent row, referential, does not exist in the parent"
    ),
    "database start": (
        "database system is starting up, shutting down, in recovery, failover, sqlstate 08006, admin "
        "shutdown, terminating connection, administrator command, ora 03113, end of file on communication "
        "channel, no listener, server has gone away, server closed the connection, 2006, 2013"
    ),
    "messaging": (
        "queue, consumer, topic, kafka, broker, rabbitmq, sqs, consumer group, offset, dead letter, dlq, "
        "producer, subscription, pubsub, sns, kinesis, amqp, jms, activemq, nats, subscriber"
    ),
    "poison": (
        "poison, bad message, dead letter, dlq, deserializing key value, listener failed, seek past, skip "
        "the entry, skip the message, redelivery, redelivered, max deliveries, undeliverable, put aside, "
        "parked message, unprocessable message, same offset, RecordDeserializationException, head of line, "
        "max receive count, holds up"
    ),
    "rebalance": (
        "rebalance, rebalanced, CommitFailedException, offset commit failed, revoked partitions, "
        "partitions revoked, partitions assigned, session timeout, thrown out of the group, leave group, "
        "group coordinator, poll interval, consumer kicked, static membership, reassigned"
    ),
    "offsets": (
        "offset out of range, reset offset, offset reset, log truncated, committed offset, skipped "
        "messages, bookmark, checkpoint, rewind, starting point, watermark"
    ),
    "broker trouble": (
        "not_leader_for_partition, NotLeaderOrFollower, leader not available, under replicated, offline "
        "partition, NotEnoughReplicas, unknown topic, broker may not be available, zookeeper, isr, in sync "
        "replicas, brokers are down, memory alarm, connection blocked"
    ),
    "cache": (
        "cache, redis, memcached, eviction, stale data, maxmemory, hit rate, miss, invalidation, valkey, "
        "elasticache, hazelcast, ehcache, lifetimes, stampede, thundering herd, oom command not allowed, "
        "remembered, noeviction, misconf"
    ),
    # files
    "file delivery": (
        "sftp, ftp, ssh, enoent, receipt, inbox, NoSuchKey, mailbox, mft, outbox, host key, known_hosts, "
        "camt, feed, s3 bucket, settlement files"
    ),
    "part file": (
        "partial file, truncated, incomplete, zero bytes, 0 bytes, empty file, trailer, control total, "
        "record count, half written, unexpected end of file, eof, cut short, end of stream, row count, "
        "still being written, premature end, footer, header record"
    ),
    "confirmation": (
        "ack, acknowledgement, confirmation, receipt, nack, response file, proof of payment, utr, status "
        "report, pain.002, mt910"
    ),
    # payments
    "compliance": (
        "compliance, aml, kyc, sanctions, screening, watchlist, ofac, pep, due diligence, fraud check, "
        "name check, fraud, risk engine, transaction monitoring, financial crime, suspicious, risk score, "
        "adverse media, terror list, hit list, mlro, edd, unchecked, 451, legal reasons"
    ),
    "identity papers": (
        "kyc, document, passport, id card, id_expired, proof of address, driving licence, national id, "
        "onboarding, selfie, liveness check, source of funds, ekyc, jumio, onfido, aadhaar, emirates id, "
        "rekyc"
    ),
    "false positive": (
        "false positive, fuzzy match, name match, common names, possible match, potential match, match "
        "score, hits, alert volume, over matching, wrongly flagged, innocent, true match, similarity "
        "threshold"
    ),
    "hold": (
        "hold, held, freeze, frozen, manual review, suspended, flagged, review, analyst, under review, "
        "case queue, investigation, blocked order, quarantine, four eyes, approval"
    ),
    "cut-off": (
        "cutoff, cut off, business hours, banking hours, bank holiday, weekend, next business day, value "
        "date, clearing window, settlement window, after hours, closing hour, operating hours, session "
        "closed, market closed, window closed, outside hours, deadline, next working day, rtgs hours, "
        "closed window, too late for today, next window, same day"
    ),
    "holiday": (
        "holiday, business day, working day, calendar, days off, banks are closed, local banks, weekend, "
        "festival, eid, diwali, closed day, target day"
    ),
    "payout": (
        "payout, disburse, transfer, remittance, payment, settle, settlement, credit transfer, pay, money "
        "movement, wire, credit, paid"
    ),
    "partner": (
        "partner, provider, vendor, upstream, third party, counterparty, gateway, correspondent, bank, "
        "supplier, acquirer, external, psp, their side"
    ),
    "refund": (
        "refund, reversal, return, chargeback, money back, recall, dispute, recredit, give back money"
    ),
    "exchange rate": (
        "fx, exchange rate, currency, quote, rate feed, conversion, market data, usd, eur, forex, reuters"
    ),
    "funding": (
        "balance, dry, prefund, float, liquidity, funds, nostro, top up, insufficient funds, overdrawn, "
        "account is empty, overdraft, settlement account, not enough money, vostro, am04, sweep, credit "
        "line, replenish, 402, payment required"
    ),
    "books": (
        "ledger, books, debits, credits, posting, accounting, out of balance, unbalanced, trial balance, "
        "balance sheet, gl"
    ),
    "reconciliation": (
        "reconcile, reconciliation, recon, unmatched, break, statement, does not tie, discrepancy, "
        "matching, mt940, camt.053, difference, settlement report, do not add up, tie out, unexplained"
    ),
    "rounding": (
        "rounding, cent, penny, decimals, two places, 0.01, minor unit, bigdecimal, half up, "
        "ArithmeticException"
    ),
    "fee": "fee, charge, commission, pricing, tariff, interchange, deducted",
    "callback": (
        "webhook, callback, status update, acknowledgement, ack, notification url, event notification, "
        "postback, ipn, push update, endpoint url, status message"
    ),
    "order": "order, transaction, payment",
    "beneficiary": (
        "beneficiary, recipient, payee, receiver, account number, iban, ifsc, account closed, invalid "
        "account, name mismatch, creditor, bic, swift code, routing number, sort code, account name, ac01, "
        "ac04, mobile wallet, closed account, dormant, upi, vpa, msisdn, account details, bank code"
    ),
    "reference": (
        "reference, end to end id, idempotency key, request id, transaction id, uetr, order id, "
        "correlation id, uuid, dedupe key, message id"
    ),
    "corridor": (
        "corridor, rail, scheme, unsupported currency, swift, sepa, ach, imps, neft, rtgs, faster payments"
    ),
    "cancellation": "cancel, abort, interrupted, stopped by user, withdrawn",
}
