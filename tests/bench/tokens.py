"""Tokens and dollars of a diagnosis at list price: without prompt caching, and with it.

ECM's sample worlds are diagnosed by the scripted stand-in for a language model, which reads all that the
tools answer; its requests are counted. No tokenizer of these models is at hand, so a token is taken as three
characters of the request. Each diagnosis is priced with a cold cache, as the first within five minutes.
`python -m tests.bench.tokens [--seeds N]`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blocks import model
from blocks.model import Usage
from blocks.units import MICRO
from flows.ecm import evaluate, scripted

CHARACTERS = 3
"""A token, by assumption."""
DOCUMENT = 0.12
"""Dollars of a diagnosis in the architecture document."""
LEAST_CACHED = {"claude-sonnet-4-6": 1024, "claude-haiku-4-5": 4096, "claude-opus-4-6": 4096}
"""Tokens that a cached part must have at least, by model; from Anthropic's page on prompt caching."""

Body = Mapping[str, Any]


@dataclass(frozen=True)
class Asked:
    """One turn: tokens of the part that stays, of all else that was sent, and of the answer."""

    stable: int
    rest: int
    answered: int


@dataclass(frozen=True)
class Cost:
    """Medians of a diagnosis: tokens in and out over its turns, and dollars."""

    diagnoses: int
    turns: float
    input_tokens: float
    output_tokens: float
    uncached: float
    cached: float


def measure(seeds: int = 8) -> dict[str, Cost]:
    """The costs by model id."""
    diagnoses = _diagnoses(seeds)
    return {name: _cost(name, diagnoses) for name in LEAST_CACHED}


def _diagnoses(seeds: int) -> list[list[Asked]]:
    """The turns of each diagnosis on so many worlds."""
    found: dict[str, list[Asked]] = defaultdict(list)
    respond = scripted.respond

    def counted(request: Body) -> dict[str, Any]:
        answer = respond(request)
        if "root_cause" in request["output_config"]["format"]["schema"]["properties"]:
            context = request["messages"][0]["content"][0]["text"]
            found[f"{seed} {context}"].append(_asked(request, answer))
        return answer

    scripted.respond = counted
    try:
        for seed in range(seeds):
            with tempfile.TemporaryDirectory() as home:
                os.environ["ASPORA_HOME"] = home
                evaluate.evaluate_world(seed, Path(home), "scripted", "sample")
    finally:
        scripted.respond = respond
    return list(found.values())


def _asked(request: Body, answer: Body) -> Asked:
    stable = [*request["system"], *request.get("tools", []), request["output_config"]]
    sent = [block for message in request["messages"] for block in message["content"]]
    return Asked(_tokens(stable), _tokens(sent), _tokens(answer["content"]))


def _tokens(blocks: Sequence[Body]) -> int:
    return sum(len(_read(block)) for block in blocks) // CHARACTERS


def _read(block: Body) -> str:
    """What a model reads of a block: a text as it is, all else as JSON."""
    texts = [block[name] for name in ("text", "content") if isinstance(block.get(name), str)]
    return texts[0] if texts else json.dumps(block, ensure_ascii=False)


def _cost(name: str, diagnoses: Sequence[Sequence[Asked]]) -> Cost:
    def median(values: list[float]) -> float:
        return statistics.median(values)

    return Cost(
        diagnoses=len(diagnoses),
        turns=median([len(turns) for turns in diagnoses]),
        input_tokens=median([sum(turn.stable + turn.rest for turn in turns) for turns in diagnoses]),
        output_tokens=median([sum(turn.answered for turn in turns) for turns in diagnoses]),
        uncached=median([_dollars(name, [_plain(turn) for turn in turns]) for turns in diagnoses]),
        cached=median([_dollars(name, _with_cache(name, turns)) for turns in diagnoses]),
    )


def _plain(turn: Asked) -> Usage:
    return Usage(input_tokens=turn.stable + turn.rest, output_tokens=turn.answered)


def _with_cache(name: str, turns: Sequence[Asked]) -> list[Usage]:
    """As the platform asks: each turn marks what it sends for the next one, which reads that."""
    usages, known = [], 0
    for turn in turns:
        whole = turn.stable + turn.rest
        written = whole - known if whole >= LEAST_CACHED[name] else 0
        usages.append(
            Usage(
                input_tokens=whole - known - written,
                output_tokens=turn.answered,
                cache_read_tokens=known,
                cache_write_tokens=written,
            )
        )
        known += written
    return usages


def _dollars(name: str, usages: Sequence[Usage]) -> float:
    return sum(model.price(name, usage) for usage in usages) / MICRO


def main() -> None:
    """Prints the costs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=8)
    for name, cost in measure(parser.parse_args().seeds).items():
        sys.stdout.write(f"{name}: {cost}\n")


if __name__ == "__main__":
    main()
