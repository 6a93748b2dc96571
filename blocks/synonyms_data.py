"""Synonyms of identity, observation, data stores and messaging; see `blocks.synonyms`."""

from __future__ import annotations

DATA: dict[str, str] = {
    # identity
    "certificate": (
        "certificate, cert, tls, ssl, x509, pki, handshake, keystore, ca, pkix, truststore, trust store, "
        "chain, mtls, self signed, intermediate, ocsp, crl, hostname mismatch, subject alternative name, "
        "pem, csr, lets encrypt, acme, issuer"
    ),
    "cipher": (
        "cipher, protocol version, tls 1.2, tls 1.3, tlsv1, encryption, algorithm, hardened, handshake "
        "failure, unsupported protocol, tls version, ssl version, key exchange, sha1, kex, no matching host "
        "key, security level"
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
        "rps, too fast, transactions per second, spike arrest, concurrency limit, faster, lower the speed, "
        "calls per second"
    ),
    "quota": (
        "quota, daily limit, used up, allotment, monthly limit, daily transaction, plan limit, contract "
        "limit, increase request, daily cap, volume limit, allowance, transactions per day, calls per day"
    ),
    # observing
    "notification": (
        "notification, notify, page, pager, pagerduty, slack, email, integration, message, alert routing"
    ),
    "customer message": (
        "sms, fcm, apns, twilio, device token, smtp, ses, sendgrid, NotRegistered, unregistered device, "
        "text message, customer message, handset, inform customers, whatsapp, firebase, mailbox "
        "unavailable, delivery receipt, template rejected, dlt, sender id, push notification, bounced mail"
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
        "failure, same rows, concurrent update, StaleObjectStateException, blocked by, idle in transaction, "
        "long transaction, 1205, 1213"
    ),
    "lease": (
        "acquire lock, redis lock, distributed lock, redlock, lease, shedlock, lock left, leftover lock, "
        "stale lock, orphaned lock, lockfile, lock file, pidfile, pid file, could not acquire, not given "
        "back, dead worker, mutex, semaphore, fencing token, advisory lock, left behind, held by another, "
        "held by owner, lock held, lock owner"
    ),
    "pool": (
        "pool, connection pool, pool exhausted, too many connections, no free connections, connection "
        "slots, too many clients, max connections, connection is not available, sqlstate 53300, ora 00020, "
        "pooler, pgbouncer, idle connections, timeout waiting for connection, sessions, borrow a "
        "connection, 1040, connections used up"
    ),
    "replication": (
        "replication, replica lag, standby, secondary, read replica, wal receiver, replay lag, read copy, "
        "in sync replicas, isr, NotEnoughReplicas, seconds behind master, canceling statement due to "
        "conflict"
    ),
    "read-only": (
        "read only, readonly, cannot execute insert, cannot execute update, takes no changes, takes no more "
        "writes, writes disabled, no writes, not writable, write to the standby, wrong primary, former "
        "primary, sqlstate 25006, ora 16000, not master, read mode, writes blocked, cluster block, 1290"
    ),
    "slow query": (
        "slow query, long running query, query plan, execution plan, missing index, sequential scan, seq "
        "scan, explain, statement timeout, canceling statement, sqlstate 57014, ora 01013, statistics, "
        "analyze, index scan, planner, heavy query, hot query, table scan, expensive query"
    ),
    "vacuum": "vacuum, autovacuum, bloat, wraparound, transaction id, dead tuples, dead rows, xid, txid",
    "integrity": (
        "constraint, foreign key, violates, sqlstate 23503, ora 02291, integrity, orphaned, dangling "
        "reference, referenced row, parent record, parent row, referential, does not exist in the parent"
    ),
    "database start": (
        "database system is starting up, shutting down, in recovery, failover, sqlstate 08006, admin "
        "shutdown, terminating connection, administrator command, ora 03113, end of file on communication "
        "channel, no listener, server has gone away, server closed the connection, 2006, 2013, sqlstate "
        "57p01, sqlstate 57p03"
    ),
    "messaging": (
        "queue, consumer, topic, kafka, broker, rabbitmq, sqs, consumer group, offset, dead letter, dlq, "
        "producer, subscription, pubsub, sns, kinesis, amqp, jms, activemq, nats, subscriber, event bus, "
        "event stream"
    ),
    "poison": (
        "poison, bad message, dead letter, dlq, deserializing key value, listener failed, seek past, skip "
        "the entry, skip the message, redelivery, redelivered, max deliveries, undeliverable, put aside, "
        "parked message, unprocessable message, same offset, RecordDeserializationException, head of line, "
        "max receive count, holds up"
    ),
    "rebalance": (
        "rebalance, rebalanced, CommitFailedException, offset commit failed, revoked partitions, partitions "
        "revoked, partitions assigned, session timeout, thrown out of the group, leave group, group "
        "coordinator, poll interval, consumer kicked, static membership, reassigned, partitions to another "
        "member, illegal_generation, unknown_member_id"
    ),
    "offsets": (
        "reset offset, offset reset, log truncated, committed offset, bookmark, checkpoint, rewind, "
        "starting point, watermark, log retention, keeps data, out of range, skipped"
    ),
    "broker trouble": (
        "not_leader_for_partition, NotLeaderOrFollower, leader not available, under replicated, offline "
        "partition, NotEnoughReplicas, unknown topic, broker may not be available, zookeeper, isr, in sync "
        "replicas, brokers are down, memory alarm, connection blocked, flow control"
    ),
    "cache": (
        "cache, redis, memcached, eviction, stale data, maxmemory, hit rate, miss, invalidation, valkey, "
        "elasticache, hazelcast, ehcache, lifetimes, stampede, thundering herd, oom command not allowed, "
        "remembered, noeviction, misconf, stale entries"
    ),
}
