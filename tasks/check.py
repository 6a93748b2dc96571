"""Everything that can be said about a config before it runs: each problem with file, line, key and remedy."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path

from blocks.config import Config
from blocks.config_file import ConfigError, Problem, Source, read, suggest, validate
from tasks import (
    check_deployments,
    check_domain,
    check_people,
    check_routing,
    check_servers,
    check_triggers,
)

RETIREMENT_DAYS = 90
"""A model that is retired sooner than this is warned of."""


def check(
    config_path: Path, *, connect: bool = False, today: date | None = None
) -> tuple[Config | None, list[Problem]]:
    """Check a config file as a whole.

    Imports the domains' and in-memory servers' modules, so it may take seconds the first time. Servers by
    command or URL are only contacted with `connect`.

    Args:
        config_path: the file; `prefect.yaml` is looked for beside it.
        connect: ask servers by command or URL for their tools too.
        today: the day from which model retirements are counted; now if absent.

    Returns:
        The config, None if the file itself doesn't load, and all problems, in the file's order.
    """
    try:
        source = read(config_path)
        config = validate(source)
    except ConfigError as error:
        return None, list(error.problems)
    with ThreadPoolExecutor(1) as thread:
        servers = thread.submit(asyncio.run, check_servers.ask(source, config, connect)).result()
    problems = [*_models(source, config, today or datetime.now(UTC).date()), *servers.problems]
    problems += check_triggers.problems(source, config)
    problems += check_people.problems(source, config)
    problems += check_deployments.problems(source, config)
    for name, domain in config.domains.items():
        found, code = check_domain.code(source, name, domain)
        problems += found
        problems += check_domain.problems(source, config, name, code)
        problems += check_routing.problems(source, config, name, code)
        problems += check_servers.tool_problems(source, config, name, servers)
    return config, sorted(problems, key=lambda problem: (problem.line, problem.key))


def _models(source: Source, config: Config, today: date) -> Iterator[Problem]:
    used: set[str] = set()
    for name, domain in config.domains.items():
        for index, skill in enumerate(domain.skills):
            used.add(skill.model)
            if skill.model not in config.models:
                keys = ("domains", name, "skills", index, "model")
                yield source.problem(
                    keys, f"unknown model {skill.model}", suggest(skill.model, config.models)
                )
    retired = _retirements()
    for model, section in config.models.items():
        if model not in used:
            yield source.problem(
                ("models", model), "no skill uses this model", "remove it, or name it in a skill", "warning"
            )
        last = retired.get(section.id)
        if last and (last - today).days <= RETIREMENT_DAYS:
            verb = "was" if last < today else "is"
            message = f"the provider's model {section.id} {verb} retired on {last.isoformat()}"
            yield source.problem(("models", model, "id"), message, "name a newer model", "warning")


def _retirements() -> dict[str, date]:
    """Model id → the day on which the API stops serving it, as the installed Anthropic SDK knows it."""
    from anthropic.resources.messages import messages

    return {model: day for model, text in messages.DEPRECATED_MODELS.items() if (day := _day(text))}


def _day(text: str) -> date | None:
    """`November 30th, 2026` as a date; None if it is written otherwise."""
    plain = re.sub(r"(\d)(st|nd|rd|th)\b", r"\1", text)
    try:
        return datetime.strptime(plain, "%B %d, %Y").replace(tzinfo=UTC).date()
    except ValueError:
        return None
