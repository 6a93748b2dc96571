"""Versions of the platform database's tables, applied by `Database.migrate()`."""

HEAD = "0009"
"""The newest version: what this code works with."""
