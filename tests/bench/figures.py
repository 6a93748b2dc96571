"""All measurements of speed, as rows of one table and as lines that show how cost grows with size."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field

from tests.bench import (
    alerts,
    backtest,
    latency,
    million,
    overhead,
    record,
    scrape,
    specialists,
    startup,
    tokens,
    triage,
)

WAITS = {
    "aspora --help": 0.5,
    "first progress line": 1.0,
    "first run in a new state directory": 15.0,
    "run without a server": 15.0,
    "run with a server": 6.0,
    "run with aspora up": 6.0,
}
"""Seconds that people may have to wait."""


@dataclass(frozen=True)
class Figure:
    """A row: what was measured, against what, and what is wanted."""

    what: str
    ours: str
    reference: str = ""
    ratio: float | None = None
    wanted: str = ""


@dataclass(frozen=True)
class Growth:
    """How milliseconds grow with a size, by line."""

    title: str
    sizes: list[str]
    lines: dict[str, list[float]]


@dataclass(frozen=True)
class Section:
    """What one command measures."""

    name: str
    title: str
    figures: list[Figure] = field(default_factory=list)
    growth: list[Growth] = field(default_factory=list)
    failed: str = ""
    """Why it could not be measured."""
    load: float = 0.0
    """How many processes wanted to run, by the minute before it began."""

    @property
    def command(self) -> str:
        """What measures it."""
        return f"python -m tests.bench.{self.name}"


def sections(only: Collection[str] = ()) -> Iterator[Section]:
    """Measures one after the other; all by default. What fails is told, and the rest goes on."""
    for name, measure in SECTIONS.items():
        if only and name not in only:
            continue
        load = os.getloadavg()[0]
        try:
            title, figures, growth = measure()
        except Exception as error:  # one that fails must not cost the hour of the others
            yield Section(name, name, failed=repr(error)[:300], load=load)
        else:
            yield Section(name, title, figures, growth, load=load)


Measured = tuple[str, list[Figure], list[Growth]]


def _startup() -> Measured:
    figures = [
        Figure(what, f"{seconds:.2f} s", wanted=f"{WAITS[what]:g} s" if what in WAITS else "")
        for what, seconds in startup.measure().items()
    ]
    return "Waiting for the command line", figures, []


def _overhead() -> Measured:
    run = overhead.measure()
    against = {
        "bare": ("a bare Prefect flow of as many subflows and tasks", "1.3"),
        "loop": ("a flow of as many tasks in a bare loop", ""),
        "calling": ("the bare flow, making the run's tool calls", ""),
        "durable": ("pydantic-ai's durable agent, same turns and tools", ""),
    }
    figures = [
        Figure(
            f"a run of {run['subflows']} skills and {run['tasks']} steps, against {what}",
            f"{run['run_seconds']:.2f} s",
            f"{run[f'{name}_seconds']:.2f} s",
            run["run_seconds"] / run[f"{name}_seconds"],
            wanted,
        )
        for name, (what, wanted) in against.items()
    ]
    return "What a run costs besides its work", figures, []


def _triage() -> Measured:
    found = triage.bench_triage()
    figures = [
        Figure(
            f"triage tool, {each.orders:,} orders, {each.share:.0%} open, "
            f"{'with' if each.left_at else 'without'} left_at; answer {each.bytes:,} bytes",
            f"{each.tool_ms:.0f} ms",
            f"{each.raw_ms:.0f} ms",
            each.ratio,
            "1.2 and 20 ms",
        )
        for each in found
    ]
    kind = (found[0].share, found[0].left_at)
    same = [each for each in found if (each.share, each.left_at) == kind]
    lines = {"tool": [each.tool_ms for each in same], "one raw statement": [each.raw_ms for each in same]}
    return "Triage against raw SQL", figures, [Growth("Orders", [f"{e.orders:,}" for e in same], lines)]


def _backtest() -> Measured:
    figures = [
        Figure(
            f"backtest of `{each.rule}`",
            f"{each.tool_seconds:.2f} s",
            f"{each.raw_seconds:.2f} s",
            each.tool_seconds / each.raw_seconds,
            "1.5",
        )
        for each in backtest.bench_backtest()
    ]
    return f"Backtest of {backtest.SIZE:,} transactions against raw SQL", figures, []


def _record() -> Measured:
    ours, bare = record.measure()
    what = f"an execution of {record.STEPS} steps with totals and outbox, against bare inserts of its rows"
    return "Recording", [Figure(what, f"{ours:.1f} ms", f"{bare:.1f} ms", ours / bare, "2")], []


def _scrape() -> Measured:
    found = scrape.measure()
    smallest = found[0]
    figures = [
        Figure(
            f"a scrape at {each.executions:,} executions, against {smallest.executions:,}",
            f"{each.ours:.0f} ms",
            f"{smallest.ours:.0f} ms",
            each.ours / smallest.ours,
            "1",
        )
        for each in found[1:]
    ]
    lines = {"scrape": [each.ours for each in found], "counting executions": [each.scan for each in found]}
    return (
        "A scrape of `/metrics`",
        figures,
        [Growth("Executions", [f"{e.executions:,}" for e in found], lines)],
    )


def _million() -> Measured:
    figures = [
        Figure(f"`{name}`", f"{median:.0f} ms", wanted=f"{million.LIMIT_MS} ms")
        for name, (median, _) in million.measure().items()
    ]
    return f"Pages at {million.EXECUTIONS:,} executions and ten times as many steps", figures, []


def _alerts() -> Measured:
    storm = alerts.measure(rate=167, seconds=60)
    kept = f"{storm.sent:,} alerts within a minute: {storm.acknowledged:,} acknowledged, {storm.lost} lost"
    figures = [
        Figure(f"{kept}; half of them within", f"{storm.p50_ms:.0f} ms"),
        Figure("99 % within", f"{storm.p99_ms:.0f} ms", wanted="200 ms"),
    ]
    return "The gateway", figures, []


def _latency() -> Measured:
    waits = latency.measure()
    warm, process = waits["warm worker"], waits["Prefect's process worker"]
    figures = [
        Figure(
            f"webhook to the flow's first line, warm worker against Prefect's; {name}",
            f"{ours:.1f} s",
            f"{theirs:.1f} s",
            ours / theirs,
            wanted,
        )
        for name, ours, theirs, wanted in (
            ("median", warm.median, process.median, "2 s"),
            ("95 %", warm.p95, process.p95, ""),
        )
    ]
    return "From a webhook to the flow", figures, []


def _specialists() -> Measured:
    ours, theirs = specialists.measure().values()
    what = (
        f"{specialists.SPECIALISTS} specialists at once, aspora up against Prefect's server, both on SQLite"
    )
    return "Many at once", [Figure(what, f"{ours:.1f} s", f"{theirs:.1f} s", ours / theirs)], []


def _tokens() -> Measured:
    figures = [
        Figure(
            f"a diagnosis by {name}: {cost.turns:.0f} turns, {cost.input_tokens:,.0f} tokens sent, "
            f"{cost.output_tokens:,.0f} answered; cached against uncached",
            f"${cost.cached:.3f}",
            f"${cost.uncached:.3f}",
            cost.cached / cost.uncached,
            f"${tokens.DOCUMENT / 3:.2f}" if name.startswith("claude-sonnet") else "",
        )
        for name, cost in tokens.measure().items()
    ]
    return "Dollars of a diagnosis at list price", figures, []


SECTIONS: dict[str, Callable[[], Measured]] = {
    "startup": _startup,
    "overhead": _overhead,
    "triage": _triage,
    "backtest": _backtest,
    "record": _record,
    "scrape": _scrape,
    "million": _million,
    "alerts": _alerts,
    "latency": _latency,
    "specialists": _specialists,
    "tokens": _tokens,
}
