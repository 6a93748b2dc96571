"""All measurements of speed, as ratios within this run: `make bench`."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from tests.bench import alerts, latency, overhead, record, scrape, specialists, startup, triage

WAITS = {
    "aspora --help": 0.5,
    "first progress line": 1.0,
    "first run in a new state directory": 15.0,
    "run without a server": 15.0,
    "run with a server": 6.0,
}
"""Seconds that people may have to wait."""


def main() -> None:
    """Measures and prints one table."""
    table = Table(title="Speed, measured in this run", title_justify="left")
    for column in ("what", "ours", "reference", "ratio", "limit"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for what, seconds in startup.measure().items():
        table.add_row(what, f"{seconds:.2f} s", "", "", f"{WAITS[what]:g} s")
    run = overhead.measure()
    for name, what, limit in (
        ("bare", "a bare Prefect flow", "1.3"),
        ("calling", "one with its tool calls", ""),
    ):
        table.add_row(
            f"a run of {run['subflows']} skills and {run['tasks']} steps, against {what}",
            f"{run['run_seconds']:.2f} s",
            f"{run[f'{name}_seconds']:.2f} s",
            f"{run['run_seconds'] / run[f'{name}_seconds']:.2f}",
            limit,
        )
    for each in triage.bench_triage():
        left = "with" if each.left_at else "without"
        table.add_row(
            f"triage tool, {each.orders:,} orders, {left} left_at; answer {each.bytes:,} bytes",
            f"{each.tool_ms:.0f} ms",
            f"{each.raw_ms:.0f} ms",
            f"{each.ratio:.2f}",
            "1.2 + 20 ms",
        )
    recorded, bare = record.measure()
    table.add_row(
        f"recording an execution of {record.STEPS} steps, totals and outbox, against bare inserts",
        f"{recorded:.1f} ms",
        f"{bare:.1f} ms",
        f"{recorded / bare:.2f}",
        "2",
    )
    smallest, *larger = scrape.measure()
    for size in larger:
        table.add_row(
            f"a scrape at {size.executions:,} executions, against {smallest.executions:,}",
            f"{size.ours:.0f} ms",
            f"{smallest.ours:.0f} ms",
            f"{size.ours / smallest.ours:.2f}",
            "",
        )
    storm = alerts.measure()
    table.add_row(
        f"{storm.sent:,} alerts at 300/s, {storm.acknowledged:,} acknowledged, {storm.lost} lost; 99 %",
        f"{storm.p99_ms:.0f} ms",
        "",
        "",
        "200 ms",
    )
    waits = latency.measure()
    warm, process = waits["warm worker"], waits["Prefect's process worker"]
    for name, ours, theirs, limit in (
        ("median", warm.median, process.median, "2 s"),
        ("95 %", warm.p95, process.p95, ""),
    ):
        table.add_row(
            f"webhook to the flow's first line, warm worker against Prefect's; {name}",
            f"{ours:.1f} s",
            f"{theirs:.1f} s",
            f"{ours / theirs:.2f}",
            limit,
        )
    ours, theirs = specialists.measure().values()
    table.add_row(
        f"{specialists.SPECIALISTS} specialists at once, aspora up against Prefect's server, both on SQLite",
        f"{ours:.1f} s",
        f"{theirs:.1f} s",
        f"{ours / theirs:.2f}",
        "",
    )
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
