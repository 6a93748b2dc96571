"""What somebody proposes in a sample world, and what is wrong with it, if anything."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any


@dataclass(frozen=True)
class Plot:
    """One proposal of a world.

    Attributes:
        story: its story's name.
        rule: as it is proposed.
        truth: what a judge must find: `field` and `value` of the segment that it hurts, or the `check` that
            fails; empty if nothing is wrong.
        tests: JSON of the test cases that come with it.
        in_force: a rule in force that belongs to the story.
        hurt: field and value whose genuine customers spend much.
        just_under: the amount under which fraudsters stay, if they do.
    """

    story: str
    rule: str
    truth: dict[str, Any]
    tests: str = ""
    in_force: str = ""
    hurt: tuple[str, str] = ("", "")
    just_under: float = 0.0


@dataclass(frozen=True)
class Story:
    """A kind of proposal. `route`: the specialist that must look at it; empty if none must."""

    name: str
    route: str
    plot: Callable[[Random], Plot]


def _tests(hit: dict[str, Any], pass_: dict[str, Any]) -> str:
    return json.dumps([{"transactions": [hit], "hit": True}, {"transactions": [pass_], "hit": False}])


def _amounts(threshold: float) -> str:
    return _tests({"amount": threshold + 100}, {"amount": 12})


def _misfires(rng: Random) -> Plot:
    threshold = rng.choice((200, 220, 250))
    hurt = rng.choice((("country", "AE"), ("country", "US"), ("terminal_type", "travel"), ("tenure", "new")))
    truth = {"field": hurt[0], "value": hurt[1]}
    rule = rng.choice((f"block if amount > {threshold}", f"block if amount over {threshold}"))
    return Plot("misfires", rule, truth, _amounts(threshold), hurt=hurt)


def _evaded(rng: Random) -> Plot:
    threshold = rng.choice((400, 450, 500))
    truth = {"evasion": "easy"}
    return Plot(
        "evaded", f"block if amount > {threshold}", truth, _amounts(threshold), just_under=float(threshold)
    )


def _conflicts(rng: Random) -> Plot:
    kind = rng.choice(("atm", "travel", "online"))
    in_force = f"allow if terminal_type = '{kind}' and amount < 1500"
    return Plot(
        "conflicts", "block if amount > 650", {"check": "conflicts"}, _amounts(650), in_force=in_force
    )


def _duplicates(rng: Random) -> Plot:
    in_force, proposed = rng.choice(
        (
            ("block if amount > 600", "block if amount > 700"),
            ("block if amount > 600", "review if amount >= 650 and amount > 600"),
            ("review if count(card, 1h) > 3", "review if more than 3 transactions on one card in an hour"),
        )
    )
    tests = _amounts(700) if "amount" in proposed else _velocity("card")
    return Plot("duplicates", proposed, {"check": "duplicates"}, tests, in_force=in_force)


def _dead(rng: Random) -> Plot:
    rule = rng.choice(
        (
            "block if amount > 500 and amount < 100",
            "review if country = 'ZZ' and amount > 50",
            "review if count(terminal, 1h) < 1",
            "block if hour > 23",
        )
    )
    return Plot("dead", rule, {"check": "can fire"})


def _untested(rng: Random) -> Plot:
    return Plot("untested", rng.choice(_SOUND)[0], {"check": "tests"})


def _typo(rng: Random) -> Plot:
    rule = rng.choice(
        (
            "block if amuont > 220",
            "block if amount >> 220",
            "review if count(terminal 1h) > 3",
            "review if count(terminal, 1) > 3",
            "block amount > 220",
        )
    )
    return Plot("typo", rule, {"check": "syntax and fields"})


def _sound(rng: Random) -> Plot:
    rule, key = rng.choice(_SOUND)
    return Plot("sound", rule, {}, _velocity(key))


_SOUND = (
    ("review if more than 3 transactions on one terminal in 30 minutes", "terminal"),
    ("review if count(terminal, 20m) >= 4", "terminal"),
    ("review if distinct(card, terminal, 30m) > 3", "terminal"),
)


def _velocity(key: str) -> str:
    other = "card" if key == "terminal" else "terminal"
    burst = [{key: "X-1", other: f"Y-{n}", "customer": f"C-{n}", "amount": 3} for n in range(6)]
    return json.dumps(
        [
            {"transactions": burst, "hit": True},
            {"transactions": [{key: "X-1", "customer": "C-1", "amount": 3}], "hit": False},
        ]
    )


STORIES: tuple[Story, ...] = (
    Story("misfires", "fraud-edge-cases", _misfires),
    Story("evaded", "fraud-edge-cases", _evaded),
    Story("conflicts", "fraud-qa", _conflicts),
    Story("duplicates", "fraud-qa", _duplicates),
    Story("dead", "fraud-qa", _dead),
    Story("untested", "fraud-qa", _untested),
    Story("typo", "fraud-qa", _typo),
)
SOUND = Story("sound", "", _sound)
"""Nothing is wrong with it."""
