"""Fixtures that all tests may use."""

pytest_plugins = ["tests.harness", "tests.postgres"]
