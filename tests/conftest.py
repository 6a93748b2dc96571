"""Fixtures that all tests may use; what shares a Prefect server runs in one process.

Of the full tests, files with few of them come first: these take longest, and should not run alone at the end.
"""

from __future__ import annotations

from collections import Counter

import pytest

pytest_plugins = ["tests.harness", "tests.postgres", "tests.redshift"]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("prefect"):
            item.add_marker(pytest.mark.xdist_group("prefect"))
    sizes = Counter(item.path for item in items if item.get_closest_marker("full"))
    items.sort(key=lambda item: sizes[item.path])
