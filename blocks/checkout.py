"""The git checkout that a file stands in, if it does."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

SECONDS = 5.0
"""How long git may take."""
_GIT = ("git", "--no-optional-locks", "--literal-pathspecs", "-c", "core.fsmonitor=false")


@dataclass(frozen=True)
class Commit:
    """The last commit that changed a file. Its author is what somebody wrote there."""

    hash: str
    author: str


def last_commit(file: Path) -> Commit | None:
    """The last commit of a file; None if it stands in no checkout, is changed since, or git can't tell."""
    if _git(file, "status", "--porcelain", "--ignored") != "":
        return None
    hash, _, author = (_git(file, "log", "-1", "--format=%h%n%an") or "").partition("\n")
    return Commit(hash, author.strip()) if hash else None


def _git(file: Path, *arguments: str) -> str | None:
    """What git says about the file; None if it fails."""
    environment = {name: text for name, text in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(  # noqa: S603 - fixed arguments, and a path behind --
            [*_GIT, *arguments, "--", file.name],
            cwd=file.parent, env=environment, capture_output=True, timeout=SECONDS, check=False,
            stdin=subprocess.DEVNULL, encoding="utf-8", errors="replace",
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.returncode == 0 else None
