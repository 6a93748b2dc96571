"""Fixtures that all tests may use; what shares a Prefect server runs in one process."""

from __future__ import annotations

import pytest

pytest_plugins = ["tests.harness", "tests.postgres", "tests.redshift"]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("prefect"):
            item.add_marker(pytest.mark.xdist_group("prefect"))
