"""All measurements of speed, as ratios within this run: `make bench`."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from tests.bench import overhead, startup, triage

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
    table.add_row(
        f"a run of {run['subflows']} skills and {run['tasks']} steps, against a bare Prefect flow",
        f"{run['run_seconds']:.2f} s",
        f"{run['bare_seconds']:.2f} s",
        f"{run['run_seconds'] / run['bare_seconds']:.2f}",
        "1.3",
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
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
