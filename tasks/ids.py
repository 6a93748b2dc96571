"""Ids: derived from what they name, so that a rerun finds what an earlier one wrote; short enough to type."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime
from uuid import UUID, uuid5

_NAMESPACE = UUID("6d6f2f0e-5a0c-5c57-9a83-2f6a9f2d5b11")
_TYPEABLE = "23456789abcdefghjkmnpqrstuvwxyz"


def key(*parts: str) -> str:
    """The same UUID for the same parts, always."""
    return str(uuid5(_NAMESPACE, "\x1f".join(parts)))


def execution_key(run_id: str, skill: str, handoff: str = "") -> str:
    """Key of the one execution of a skill that a handoff of a run leads to."""
    return key("execution", run_id, skill, handoff)


def stamped(name: str, at: datetime, seed: str) -> Iterator[str]:
    """Candidates `name-2026-02-17-08:00:23-1a2b`, each with more digits of the seed: take the first free."""
    digest = hashlib.sha256(seed.encode()).hexdigest()
    for digits in (4, 8, 16, 32):
        yield f"{name}-{at:%Y-%m-%d-%H:%M:%S}-{digest[:digits]}"


def typeable(prefix: str, seed: str) -> Iterator[str]:
    """Candidates `apr-7f3k2m`, each longer: take the first free. No letters that look like digits."""
    number = int.from_bytes(hashlib.sha256(seed.encode()).digest(), "big")
    letters = "".join(_TYPEABLE[number // len(_TYPEABLE) ** place % len(_TYPEABLE)] for place in range(24))
    for length in (6, 9, 12, 24):
        yield f"{prefix}-{letters[:length]}"
