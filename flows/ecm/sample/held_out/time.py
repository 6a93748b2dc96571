"""Hosts whose time is wrong sign requests that the other side will not accept."""

# ruff: noqa: E501 - log lines are as long as software prints them

from __future__ import annotations

from flows.ecm.sample.fault import Fault, Line

_JAVA = (
    Line(
        "ERROR",
        "Unhandled error in PayoutDispatchJob [{order}]\n"
        "io.remitkit.http.RemoteRejectedException: 400 X-Req-Date differs from server date by {many} seconds, limit is 60\n"
        "\tat io.remitkit.http.SigningInterceptor.intercept(SigningInterceptor.java:118)\n"
        "\tat okhttp3.internal.http.RealInterceptorChain.proceed(RealInterceptorChain.java:109)\n"
        "\tat io.remitkit.dispatch.Worker.run(Worker.java:64)",
    ),
    Line("WARN", "PayoutDispatchJob [{order}] rescheduled, failures so far: {attempt}"),
    Line("WARN", "Lease renewed with a negative remaining duration, ignoring (worker-{thread})", "steady", 5),
    Line(
        "INFO",
        "node group edge-b replaced from image base-188, pods of {service} moved",
        "once",
        service="deployer",
    ),
)
_GO = (
    Line(
        "ERROR",
        'level=error caller=submit.go:211 order={order} attempt={attempt} err="remote: E4107 stale nonce: message is {many}s old"',
    ),
    Line(
        "ERROR", 'level=error caller=submit.go:219 order={order} msg="parked, remote keeps answering E4107"'
    ),
    Line(
        "WARN",
        'level=warn caller=hostagent.go:52 msg="timesyncd: no server reachable for {minutes}m, free running" node=edge-b-{n}',
        "steady",
        4,
    ),
    Line(
        "WARN", 'level=warn caller=span.go:88 msg="child span starts before its parent, dropped"', "steady", 9
    ),
)
_PYTHON = (
    Line("ERROR", "submit({order}) -> {partner} said 401: assertion rejected: 'iat' lies in the future"),
    Line("ERROR", "submit({order}) -> {partner} said 401: assertion rejected: 'nbf' not reached yet"),
    Line("INFO", "submit({order}): same key accepted from sibling pod {ip}, refused from this one", "steady", 3),
    Line("WARN", "kernel: Clocksource tsc unstable, delta {many} ms, switched to hpet", "once"),
    Line("WARN", "chronyc tracking: Leap status: Not synchronised, last update {minutes} min ago", "steady", 3),
)  # fmt: skip

TIME = Fault(
    name="signer_host_time",
    stages=("lulu", "meridian", "zento", "kaveri", "tambo", "card_funding", "kyc"),
    wordings=(_JAVA, _GO, _PYTHON),
    cause_keywords=(
        "clock", "time sync", "synchronis", "synchroniz", " ntp", "chrony", "skew", "drift", "system time",
        "host time", "wrong time", "disagree on the time", "timestamp",
    ),
    runbooks=("gateway-hosts-disagree-on-the-time.md",),
    action=None,
    refusal=(502, "{partner} finds the date of our request unacceptable"),
    passing=0.35,
)  # fmt: skip
