"""A connector runs out of memory, restarts, and loses the orders it had taken from the queue."""

# ruff: noqa: E501 - log lines are as long as software prints them

from __future__ import annotations

from flows.ecm.sample.fault import Fault, Line

_JAVA = (
    Line(
        "ERROR",
        "Processing of order {order} failed\n"
        "java.lang.OutOfMemoryError: Java heap space\n"
        "\tat java.base/java.util.Arrays.copyOf(Arrays.java:3537)\n"
        "\tat com.fasterxml.jackson.core.util.TextBuffer.expand(TextBuffer.java:890)\n"
        "\tat io.remitkit.connector.OrderConsumer.onMessage(OrderConsumer.java:97)",
    ),
    Line("ERROR", "Terminating due to java.lang.OutOfMemoryError: Java heap space", "steady", 4),
    Line("INFO", "Started {service} {version} in {slow_ms} ms", "steady", 4),
    Line("WARN", "GC overhead: {pct}% of the last minute spent in full collections", "steady", 6),
)
_CONTAINER = (
    Line("ERROR", "worker {thread} died with signal 9 (SIGKILL) while handling {order}"),
    Line("WARN", "received {order} from queue, no result recorded before restart"),
    Line(
        "WARN",
        "Container {service} in pod {service}-{id} terminated: reason=OOMKilled exitCode=137 restartCount={n}",
        "steady",
        5,
        service="deployer",
    ),
    Line("WARN", "memory usage at 97% of limit (1024Mi), rss growing", "steady", 6),
)

MEMORY = Fault(
    name="memory_kills",
    stages=("meridian", "zento", "kaveri", "kyc", "compliance_review"),
    wordings=(_JAVA, _CONTAINER),
    cause_keywords=("memory", "oomkill", "heap"),
    runbooks=("service-out-of-memory.md",),
    action="requeue_orders",
    refusal=(409, "order is not with any worker; there is nothing to act on"),
    passing=0.4,
)
