"""What can go wrong when a message is sent to people, the same for every channel."""

from __future__ import annotations

import math


class Undelivered(Exception):
    """The message was not sent, as far as is known. The text says why, and holds no secret."""


class Unreachable(Undelivered):
    """No usable answer in time: it may be that the message was sent all the same."""


class Limited(Undelivered):
    """Too many at once.

    Attributes:
        seconds: when to come back.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"told to come back in {seconds:g} s")
        self.seconds = seconds


class Refused(Undelivered):
    """The other side does not take it.

    Attributes:
        final: it never will, as it is.
    """

    def __init__(self, reason: str, *, final: bool = False) -> None:
        super().__init__(reason)
        self.final = final


def wait(header: str | None, otherwise: float = 30.0) -> float:
    """Seconds of a Retry-After header, between one and an hour."""
    try:
        seconds = float(header or otherwise)
    except ValueError:
        seconds = otherwise
    return otherwise if math.isnan(seconds) else min(max(seconds, 1.0), 3600.0)
