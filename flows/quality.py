"""All evaluations, one after the other, and what they measured as one table."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from blocks.config_file import load
from blocks.home import ROOT, config_path
from blocks.shares import judged
from flows.evaluation import (
    EvaluationError,
    FaultSet,
    evaluate_domain,
    evaluate_labelled,
    evaluation_of,
)
from mcp_servers import evaluate as runbooks
from tasks.progress import tell

FOLDER_ENV = "ASPORA_EVAL_DATA"
"""The environment variable that names the folder of labelled data."""
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
_WORLDS: Mapping[FaultSet, str] = {
    "sample": "sample worlds",
    "held-out": "worlds kept out",
    "unseen": "worlds kept out, second set",
}
_HEAD = ("evaluation", "metric", "cases", "reference", "target", "ours", "95 % interval", "verdict")


class PageError(Exception):
    """The page can't take the table. The message says why."""


@dataclass(frozen=True)
class Part:
    """One evaluation.

    Attributes:
        on: what it is measured on.
        work: makes it; None if something that it needs is not there.
        missing: what that is.
    """

    name: str
    on: str
    work: Callable[[], dict[str, Any]] | None
    missing: str = ""


def folder(given: Path | None = None) -> Path:
    """The folder of labelled data: the given one, `ASPORA_EVAL_DATA`, or `../shared/data`."""
    return given or Path(os.environ.get(FOLDER_ENV) or ROOT.parent / "shared" / "data")


def parts(data: Path, seeds: int, first: int) -> Iterator[Part]:
    """Every evaluation that there is: of each domain on worlds and labelled data, and of the runbook search.

    Args:
        data: the folder of labelled data.
        seeds: how many worlds.
        first: the first seed.
    """
    for name in load(config_path()).domains:
        try:
            module = evaluation_of(name)
        except EvaluationError as error:
            yield Part(name, "sample worlds", None, str(error))
            continue
        sets: Sequence[FaultSet] = getattr(module, "FAULT_SETS", ("sample",))
        for faults in sets:
            work = partial(evaluate_domain, name, seeds=seeds, first=first, model="offline", faults=faults)
            yield Part(name, _WORLDS[faults], work)
        if pattern := getattr(module, "DATA", ""):
            yield _labelled(name, data, pattern)
    yield _runbooks(data)


def evaluate_all(data: Path, seeds: int, first: int) -> list[dict[str, Any]]:
    """Makes every evaluation; one that can't be made says why, and the others go on.

    Returns:
        For each `evaluation`, `on`, and its result with `seconds`, or `skipped` (what it needs is not there)
        or `failed` (why).
    """
    done: list[dict[str, Any]] = []
    for part in parts(data, seeds, first):
        if part.work is None:
            done.append({"evaluation": part.name, "on": part.on, "skipped": part.missing})
            tell("eval", f"{part.on}: skipped: {part.missing}", part.name)
            continue
        tell("eval", f"{part.on} …", part.name)
        begun = time.monotonic()
        found = _made(part.work)
        seconds = round(time.monotonic() - begun, 1)
        done.append({"evaluation": part.name, "on": part.on, "seconds": seconds, **found})
    return done


def rows(done: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """The table's rows, a metric each; where an evaluation has standards, only the metrics that they name."""
    return [
        _row(each, name)
        for each in done
        if "metrics" in each
        for name in (each["standards"] or each["metrics"])
        if name in each["metrics"]
    ]


def table(done: Sequence[Mapping[str, Any]]) -> str:
    """What was measured as a markdown table, then what was not."""
    lines = [_line(_HEAD), _line(["---"] * len(_HEAD)), *map(_line, rows(done))]
    left_out = [
        f"- {each['evaluation']}, {each['on']}: {word}: {each[word]}"
        for each in done
        for word in ("skipped", "failed")
        if word in each
    ]
    return "\n".join([*lines, *(["", "Not measured:", "", *left_out] if left_out else [])])


def page_text(done: Sequence[Mapping[str, Any]], seeds: int, first: int) -> str:
    """The table with when and how it was measured."""
    minutes = sum(each.get("seconds", 0.0) for each in done) / 60
    return (
        f"Measured on {datetime.now(UTC):%Y-%m-%d} with the offline rules, on {seeds} worlds of each kind "
        f"(seeds {first} to {first + seeds - 1}), in {minutes:.0f} minutes.\n\n{table(done)}"
    )


def check_page(page: Path) -> None:
    """Looks whether the page can take the table, before anything is measured.

    Raises:
        PageError: it can't be read, or has no markers.
    """
    _around(page)


def write(page: Path, text: str) -> None:
    """Puts the text between the page's markers, in place of what stood there.

    Raises:
        PageError: the page can't be read or written, or has no markers.
    """
    before, after = _around(page)
    try:
        page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")
    except OSError as error:
        raise PageError(f"--page {page}: {error.strerror}") from error


def _around(page: Path) -> tuple[str, str]:
    """What stands before and after the place of the table."""
    try:
        content = page.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise PageError(f"--page {page}: {getattr(error, 'strerror', None) or error}") from error
    before, begin, rest = content.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise PageError(f"--page {page}: it lacks the lines {BEGIN} and {END}; the table goes between them")
    return before, after


def _labelled(name: str, data: Path, pattern: str) -> Part:
    on = pattern.partition("/")[0]
    found = sorted(data.glob(pattern))
    if not found:
        return Part(name, on, None, f"there is no {pattern} in {_shown(data)}")
    return Part(name, on, partial(evaluate_labelled, name, found[0]))


def _runbooks(data: Path) -> Part:
    corpus, queries = data / runbooks.CORPUS, data / runbooks.QUERIES
    for path in (corpus, queries):
        if not path.exists():
            return Part("runbooks", runbooks.CORPUS, None, f"there is no {path.name} in {_shown(data)}")
    return Part("runbooks", runbooks.CORPUS, partial(_searched, corpus, queries))


def _searched(corpus: Path, queries: Path) -> dict[str, Any]:
    return judged(runbooks.evaluate_runbooks(corpus, queries), runbooks.LABELLED)


def _shown(data: Path) -> str:
    """A folder as a page may name it: relative to the checkout if it lies beside it."""
    near = data.resolve()
    return os.path.relpath(near, ROOT) if near.is_relative_to(ROOT.parent) else data.name


def _made(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The evaluation, or why it can't be made: a fault of one must not cost the others."""
    try:
        return work()
    except Exception as error:
        told = isinstance(error, EvaluationError | runbooks.EvaluationError)
        return {"failed": str(error) if told else f"{type(error).__name__}: {error}"}


def _row(done: Mapping[str, Any], name: str) -> tuple[str, ...]:
    standard = done["standards"].get(name, {})
    interval = done.get("intervals", {}).get(name)
    return (
        f"{done['evaluation']}, {done['on']}",
        name,
        str(done.get("cases", {}).get(name, done["n"])),
        _figure(standard.get("reference")),
        _figure(standard.get("target")),
        _figure(done["metrics"][name]),
        f"{_figure(interval[0])} to {_figure(interval[1])}" if interval else "–",
        done["verdicts"].get(name) or "–",
    )


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
