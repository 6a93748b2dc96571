"""Invented values for the variables of log lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from random import Random

from flows.ecm.sample.stages import Stage

_NAMES = (
    "Amara Okafor", "Ravi Menon", "Liza Santos", "Omar Haddad", "Grace Wanjiru", "Pedro Quispe",
    "Anita Kulkarni", "Tom Ashdown", "Fatima Noor", "Jun Villanueva", "Sarah Whitlock", "Mateo Rojas",
    "Deepa Iyer", "Kofi Boateng",
)  # fmt: skip
_MADE: dict[str, Callable[[Random], str]] = {
    "name": lambda rng: rng.choice(_NAMES),
    "phone": lambda rng: f"+{rng.choice((971, 63, 254, 91, 51, 44))}{rng.randrange(10**8, 10**9)}",
    "email": lambda rng: rng.choice(_NAMES).lower().replace(" ", ".") + f"{rng.randrange(99)}@example.com",
    "id": lambda rng: f"{rng.getrandbits(40):010x}",
    "ip": lambda rng: f"10.{rng.randrange(20, 40)}.{rng.randrange(256)}.{rng.randrange(1, 255)}",
    "ms": lambda rng: str(rng.randrange(40, 900)),
    "slow_ms": lambda rng: str(rng.randrange(1500, 4800)),
    "n": lambda rng: str(rng.randrange(1, 12)),
    "many": lambda rng: str(rng.randrange(120, 2400)),
    "pct": lambda rng: str(rng.randrange(2, 60)),
    "attempt": lambda rng: str(rng.randrange(1, 6)),
    "minutes": lambda rng: str(rng.randrange(20, 600)),
    "thread": lambda rng: str(rng.randrange(1, 33)),
    "customer": lambda rng: f"C-{rng.randrange(100000, 999999)}",
}


class _Values(Mapping[str, str]):
    def __init__(self, rng: Random, known: Mapping[str, str]) -> None:
        self._rng, self._known = rng, known

    def __getitem__(self, key: str) -> str:
        return self._known[key] if key in self._known else _MADE[key](self._rng)

    def __iter__(self) -> Iterator[str]:
        return iter((*self._known, *_MADE))

    def __len__(self) -> int:
        return len(self._known) + len(_MADE)


def of_stage(stage: Stage, version: str) -> dict[str, str]:
    """The variables that a stage fixes: partner, host, service, stage, version."""
    return {
        "partner": stage.partner,
        "host": stage.host,
        "service": stage.service,
        "stage": stage.name,
        "version": version,
    }


def fill(text: str, rng: Random, known: Mapping[str, str]) -> str:
    """A line with its variables filled in.

    Known by the caller: order, partner, host, service, stage, version, and for lines of a fault time (HH:MM
    of the onset), day and next_day (ISO dates), minutes (since the onset). Invented: name, phone, email, id,
    ip, ms (40-900), slow_ms (1500-4800), n (1-11), many (120-2400), pct (2-59), attempt, minutes elsewhere,
    thread, customer.

    Raises:
        KeyError: the line has another variable.
    """
    return text.format_map(_Values(rng, known)) if "{" in text else text
