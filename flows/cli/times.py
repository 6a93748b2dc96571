"""Options that say how far back, from when to when, and which words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from flows.cli.errors import Usage

Since = Annotated[
    str, typer.Option("--since", help="How far back, such as 24h or 7d, or a moment: 2026-12-01 08:00.")
]
Until = Annotated[str, typer.Option("--until", help="The end, written as for --since; now if absent.")]
Period = Annotated[str, typer.Option("--since", help="How far back, such as 24h or 7d.")]

SHORTEST, LONGEST = timedelta(minutes=15), timedelta(days=3650)
"""Periods that a report may be of."""
LONGEST_TEXT = 1000


def moment(option: str, text: str) -> datetime:
    """A moment, or so long ago.

    Raises:
        Usage: it is neither.
    """
    from blocks.units import parse_duration, parse_moment

    try:
        return datetime.now(UTC) - parse_duration(text)
    except (ValueError, OverflowError) as error:
        try:
            return parse_moment(text)
        except (ValueError, OverflowError):
            remedy = "or a moment, such as 2026-12-01 08:00 (UTC)"
            raise Usage(f"{option}: {error}, {remedy}") from None


def period(text: str) -> timedelta:
    """How far back a report goes.

    Raises:
        Usage: it is no duration, or one too short or too long.
    """
    from blocks.units import parse_duration

    try:
        found = parse_duration(text)
    except ValueError as error:
        raise Usage(f"--since: {error}") from error
    if not SHORTEST <= found <= LONGEST:
        raise Usage(f"--since: {text!r} is out of bounds; write 15m at least, and 3650d at most")
    return found


def words(text: str) -> str:
    """Words to search for.

    Raises:
        Usage: they are too many.
    """
    if len(text) > LONGEST_TEXT:
        raise Usage(f"--text: {len(text):,} characters are too many; write {LONGEST_TEXT:,} at most")
    return text
