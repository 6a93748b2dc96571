"""Tells who watches a run what happens in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """One thing that happened.

    Attributes:
        kind: `run`, `skill`, `model`, `tool`, `route`, `approval` or `action`.
        text: what happened, for people.
        skill: whose doing it was.
        done: for counted work, how many of `total`.
    """

    kind: str
    text: str
    skill: str = ""
    done: int = 0
    total: int = 0


Listener = Callable[[Event], None]

_listener: ContextVar[Listener | None] = ContextVar("progress", default=None)


def tell(kind: str, text: str, skill: str = "", done: int = 0, total: int = 0) -> None:
    """Tells the listener, if somebody watches."""
    listener = _listener.get()
    if listener:
        listener(Event(kind, text, skill, done, total))


@contextmanager
def watched(listener: Listener) -> Iterator[None]:
    """Within this block, `listener` hears of every event."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
