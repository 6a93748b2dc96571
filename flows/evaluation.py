"""Quality of a domain's skills on sample worlds whose truth is known, and on labelled data.

A domain that can be evaluated has a module `evaluate` with

- `evaluate_world`, which draws a world into the given state directory, runs the domain on it, and compares,
  and `summarise`, which gives the worlds' outcomes as shares; `WORLDS`, the standards of those metrics, and
  `FAULT_SETS`, the sets of faults that worlds can have, are optional;
- for labelled data, `evaluate_data`, which takes the data's path, and, if its module has `RULES`, as a second
  argument the texts of the rules to evaluate in their place; `DATA`, where it lies in the folder of labelled
  data, and `LABELLED`, the standards of those metrics.
"""

from __future__ import annotations

import importlib
import logging
import multiprocessing
import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol, cast

import anyio
from pydantic import BaseModel

from blocks.config_file import load
from blocks.home import ROOT, config_path
from blocks.shares import judged
from tasks import report
from tasks.domain import Domain
from tasks.platform import opened
from tasks.progress import tell
from tasks.run import RunFailed, admitted
from tasks.skill import perform

MODELS = ("offline", "scripted")
MAX_PROCESSES = 8

FaultSet = Literal["sample", "held-out", "unseen"]
"""The faults that the skills were built with, or one of two sets kept out of their building."""

_UNSET = (
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_BASE_URL",
    "ANTHROPIC_AUTH_TOKEN",
    "ASPORA_DATABASE_URL",
    "ASPORA_WAREHOUSE_URL",
)
"""What would lead a world's run out of its own state directory."""


class EvaluationError(Exception):
    """The evaluation can't be made. The message says why and what there is."""


class Evaluated(Protocol):
    """What a domain's module `evaluate` offers."""

    def evaluate_world(self, seed: int, home: Path, model: str, faults: FaultSet) -> BaseModel:
        """Draws the world of a seed into `home`, the process's state directory, and runs the domain on it."""

    def summarise(self, worlds: Sequence[BaseModel]) -> dict[str, Any]:
        """`metrics` (name → share, None where there was nothing to measure), `failures`, and more."""


def evaluate_domain(name: str, *, seeds: int, first: int, model: str, faults: FaultSet) -> dict[str, Any]:
    """Runs a domain on the worlds of consecutive seeds, several at once, each in its own temporary home.

    Args:
        seeds: how many worlds.
        first: the first seed.
        model: `offline`, or `scripted`: a local stand-in that speaks the Messages API; no language model.
        faults: which faults can occur in the worlds.

    Returns:
        `{"n": worlds, "model": …, "metrics": {…}, "failures": […], …}`.

    Raises:
        EvaluationError: there is no such domain, it can't be evaluated, or there is no such model.
    """
    if model not in MODELS:
        raise EvaluationError(f"there is no model {model!r} to evaluate; there are: {', '.join(MODELS)}")
    module = module_of(name)
    evaluated = evaluation_of(name)
    work = partial(_world, module=module, model=model, faults=faults)
    processes = max(1, min(MAX_PROCESSES, os.cpu_count() or 1, seeds))
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        worlds = []
        for world in pool.map(work, range(first, first + seeds)):
            worlds.append(world)
            tell("eval", f"{len(worlds)} of {seeds} worlds", name, len(worlds), seeds)
    result = {"n": seeds, "model": model, **evaluated.summarise(worlds)}
    return judged(result, getattr(evaluated, "WORLDS", {}))


def evaluate_labelled(name: str, data: Path, rules: Path | None = None) -> dict[str, Any]:
    """Scores a domain on labelled data of its own layout, by its module's `evaluate_data`.

    Args:
        name: a domain, or the last part of its module's name, as `evaluate_domain` takes too.
        data: a file or folder.
        rules: a file with a rule a line; empty lines and those that begin with # don't count.

    Raises:
        EvaluationError: there is no such domain, it has no labelled data or no rules, or a file or folder
            is not of its layout.
    """
    evaluated = evaluation_of(name)
    evaluate = getattr(evaluated, "evaluate_data", None)
    if evaluate is None:
        raise EvaluationError(f"domain {name} is not evaluated on labelled data; leave --data out")
    standards = getattr(evaluated, "LABELLED", {})
    if rules is None:
        return judged(evaluate(data), standards)
    if not hasattr(evaluated, "RULES"):
        raise EvaluationError(f"domain {name} is not evaluated by rules; leave --rules out")
    return judged(evaluate(data, _listed(rules)), standards)


def run_once(code: Domain, given: BaseModel) -> dict[str, Any]:
    """One run of a domain on this process's state, without a workflow server; its report."""
    return anyio.run(_run_once, code, given)


async def _run_once(code: Domain, given: BaseModel) -> dict[str, Any]:
    async with opened() as platform:
        with suppress(RunFailed):
            async with admitted(code, given) as run:
                if not run.refusal:
                    manager = await run.manage(perform)
                    await run.pursue(manager, dict.fromkeys(code.skills, perform))
        return dict(await platform.database.read(lambda conn: report.of_run(conn, run.run_id)))


def _listed(rules: Path) -> list[str]:
    try:
        lines = [line.strip() for line in rules.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise EvaluationError(f"--rules {rules}: {getattr(error, 'strerror', None) or error}") from error
    listed = [line for line in lines if line and not line.startswith("#")]
    if not listed:
        raise EvaluationError(f"--rules {rules}: there is no rule in it; write one a line")
    return listed


def module_of(name: str) -> str:
    """The module of a domain, by its name or by the last part of its module's.

    Raises:
        EvaluationError: there is no such domain.
    """
    modules = {key: domain.module for key, domain in load(config_path()).domains.items()}
    known = {module.rpartition(".")[2]: module for module in modules.values()} | modules
    if name not in known:
        raise EvaluationError(f"there is no domain {name!r}; there are: {', '.join(modules)}")
    return known[name]


def evaluation_of(name: str) -> Evaluated:
    """A domain's module `evaluate`.

    Raises:
        EvaluationError: there is no such domain, or it has none.
    """
    module = module_of(name)
    try:
        return cast(Evaluated, importlib.import_module(f"{module}.evaluate"))
    except ModuleNotFoundError as error:
        if error.name != f"{module}.evaluate":
            raise
        raise EvaluationError(f"domain {name} has no evaluation: {module}.evaluate does not exist") from error


def _world(seed: int, *, module: str, model: str, faults: FaultSet) -> BaseModel:
    """Evaluates one world in this process, which does nothing else."""
    logging.disable(logging.WARNING)
    for variable in _UNSET:
        os.environ.pop(variable, None)
    with tempfile.TemporaryDirectory(prefix=f"aspora-eval-{seed}-") as home:
        os.environ["ASPORA_HOME"] = home
        os.environ["ASPORA_CONFIG"] = str(ROOT / "aspora.config.yaml")
        evaluated = cast(Evaluated, importlib.import_module(f"{module}.evaluate"))
        return evaluated.evaluate_world(seed, Path(home).resolve(), model, faults)
