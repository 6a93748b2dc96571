"""Programs that a test needs: skipped without them, with the reason; an error where CI is set."""

from __future__ import annotations

import os
import shutil

import pytest


def program(name: str, package: str, places: str | None = None) -> str:
    """The program's path.

    Args:
        places: where to look, in place of PATH.
    """
    path = shutil.which(name, path=places)
    if path:
        return path
    reason = f"needs {name}; install Debian's package {package}"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
