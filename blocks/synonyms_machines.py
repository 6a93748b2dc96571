"""Synonyms of machines, networks, programs and their configuration; see `blocks.synonyms`."""

from __future__ import annotations

MACHINES: dict[str, str] = {
    # resources
    "disk": (
        "disk, volume, storage, filesystem, file system, drive, partition, mount, pvc, persistentvolume, "
        "persistent volume, data directory, enospc, no space left, space left on device, gigabytes, gb "
        "free, /dev/sd, extend file, ebs, tablespace, 507, sqlstate 53100, ora 01653"
    ),
    "disk health": (
        "io error, i o error, eio, bad sector, read only file system, erofs, read only filesystem, "
        "remounted, filesystem corruption, iops, disk latency, iowait, fsync, estale, nfs, stale file "
        "handle, mount failure"
    ),
    "inode": "inode, files, df -i, number of files",
    "log files": (
        "log rotation, logrotate, log files, wal, redo log, binlog, archiving, write ahead, journal, dumps, "
        "transaction log, ora 00257"
    ),
    "memory": (
        "memory, ram, oom, heap, out of memory, oomkilled, rss, garbage collection, metaspace, enomem, std "
        "bad alloc, sqlstate 53200, ora 04031, cgroup, gc overhead"
    ),
    "cpu": "cpu, processor, core, compute, cpu limit, load average, busy loop, hot loop, spinning",
    "throttling": "throttle, limited, slowed down, capped, cut off, braked, shaping, cfs quota",
    "threads": (
        "thread, executor, RejectedExecutionException, pthread, goroutine, process limit, max user "
        "processes, bulkhead, worker pool"
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
    "allow-list": (
        "allow list, allowlist, whitelist, cidr, subnet, safelist, access list, acl, ip not allowed, client "
        "address, source ip, source address, caller address, remote address, list of addresses, ip address, "
        "ip range, ip restriction, not authorized ip, permitted address, forbidden ip, known addresses, "
        "origin address, nat, egress, outgoing address, outbound address, not registered with them, address "
        "on file"
    ),
    "egress": (
        "egress, nat, outgoing address, outbound address, elastic ip, outbound ip, snat, outgoing gateway, "
        "public ip, exit node, forward proxy"
    ),
    "firewall": (
        "firewall, security group, network policy, waf, iptables, port closed, port blocked, blocked port, "
        "cloudflare, akamai, challenge page, bot protection, vpn, ipsec, tunnel, vpc peering, private link, "
        "packet filter"
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
    "image": (
        "image, manifest unknown, pull access denied, ecr, tag missing, CreateContainerError, container "
        "registry"
    ),
    "namespace": "namespace, tenant, project, team",
    "job": "job, batch, cronjob, cron, task, nightly, airflow, quartz, crontab",
    "misfire": (
        "misfire, missed schedule, did not run, never ran, never started, not started, skipped run, missed "
        "start, no run, FailedNeedsStart, never fired, fire time, missed fire, overran, overlapping run, "
        "not triggered"
    ),
    "per node": "daemonset, daemon, per node, every node, all nodes",
    "stateful": "statefulset, stateful, stateful set",
    "control plane": "apiserver, api server, control plane, kube api, kubernetes api, kubectl, masters",
    "extension api": "aggregated api, apiservice, extension api, metrics server, aggregation layer",
    "election": (
        "leader, master, election, quorum, majority, failover, promoted, split brain, leadership, step "
        "down, former primary"
    ),
    "autoscaler": (
        "autoscaler, hpa, autoscaling, horizontal pod autoscaler, scale out, scale up, max replicas"
    ),
    "placement": (
        "schedule, assign, placement, place, misscheduled, unschedulable, taint, toleration, affinity, no "
        "nodes available, insufficient cpu"
    ),
    "eviction of pods": (
        "evicted, cordon, preempted, disk pressure, memory pressure, spot interruption, node drained"
    ),
    "dead man's switch": "watchdog, dead man's switch, always firing, heartbeat, always on",
    "health": (
        "readiness, liveness, health check, healthcheck, probe, healthy, unhealthy, notready, unready, "
        "failed their check, actuator, healthz, livez, readyz, health endpoint"
    ),
    "proxy": (
        "proxy, envoy, nginx, haproxy, load balancer, alb, elb, sidecar, istio, ingress controller, service "
        "mesh, target group, traefik, api gateway, no live upstreams, upstream connect error"
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
        "eaddrinuse, address already in use, bind, port taken, port already, listen, same port, port conflict"
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
        "transaction, lost update, collide, same moment, same row, simultaneously, race condition, at once"
    ),
    "partial": (
        "partial, partly, half done, incomplete, some of, halfway, midway, in the middle, unfinished"
    ),
    "safe guard": "halted by, kill switch, paused, suspended, disabled, switched off, turned off, stop",
    # configuration and change
    "configuration": (
        "config, configuration, settings, yaml, yml, parameter, option, misconfigured, environment "
        "variable, helm, values file, terraform, dotenv, properties file, placeholder, env var, configmap"
    ),
    "flag": "toggle, flag, LaunchDarkly, remote config, unleash, canary, rollout percentage, kill switch",
    "default": "default, fall back, built in value",
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
        "deploy, release, rollout, roll out, update, upgrade, version, new build, shipped, build, redeploy, "
        "hotfix, patch"
    ),
    "rollback": (
        "rollback, roll back, revert, undo, regression, previous version, go back, build before, earlier "
        "build, earlier tag, back out"
    ),
    "version": "version, v1, v2, generation, migrate, compatibility, incompatible",
    "migration": (
        "migration, flyway, liquibase, alembic, ddl, alter table, schema change, database change, change "
        "script, changelog, changeset, relation does not exist, column does not exist, undefined column, no "
        "such table, undefined table, no such column, sqlstate 42703, ora 00942, schema version, sqlstate "
        "42p01"
    ),
    "code bug": (
        "NullPointerException, TypeError, AttributeError, NoneType, IndexError, KeyError, "
        "ClassCastException, IllegalStateException, stack trace, stacktrace, traceback, uncaught, bug, our "
        "own code, falls over, npe, nil pointer, division by zero, segfault, NoSuchMethodError, "
        "ClassNotFoundException, ImportError, ModuleNotFoundError, NoClassDefFoundError, coding error, "
        "ReferenceError, is not a function, IndexOutOfBoundsException, ZeroDivisionError, programming "
        "error, RuntimeException, unexpected null, does not handle, undefined, unhandled, cannot read "
        "properties"
    ),
    "schema": (
        "schema, field, format, payload, contract, deserialize, unmarshal, parse, unexpected field, unknown "
        "field, missing field, column, mapping, json, validation, unrecognized field, unrecognised field, "
        "required property, required field, property, attribute, renamed, unexpected token, unexpected "
        "type, parser, serialization, avro, protobuf, xsd, xml, make sense of, chokes, "
        "MismatchedInputException, enum, iso 20022, swift message, mt103, pacs, csv, cannot construct "
        "instance, shape, new element"
    ),
    "web page": (
        "html, web page, markup, doctype, unexpected character, unexpected token, expecting value, error "
        "page, login page, landing page, instead of json, instead of data, not json, invalid json, captcha, "
        "code 60, line 1 column 1, char 0, challenge page, interstitial, portal page"
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
        "431, megabytes, split the file, string data right truncation"
    ),
    "number form": (
        "decimal, NumberFormatException, not a number, nan, arithmetic, out of range, sqlstate 22003, "
        "thousand separator, minor units"
    ),
}
