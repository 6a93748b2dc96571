"""Which change a rollback touches."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from tasks.domain import CallTool, Incomplete, Target

LOOK_BACK = timedelta(days=30)
_FIELDS = ("change_id", "service", "kind", "version", "previous_version")


class Changes:
    """The change that is to be taken back, as long as it is still in force."""

    noun = "changes"
    fields: tuple[str, ...] = _FIELDS

    async def targets(
        self, context: Mapping[str, Any], fix: Mapping[str, Any], call: CallTool
    ) -> list[Target]:
        """The change of the fix's scope; none if it was taken back, or another one of its kind followed.

        Raises:
            Incomplete: the changes can't be read.
        """
        since = (datetime.now(UTC) - LOOK_BACK).isoformat()
        status, found = await call("query_changes", {"id": str(fix["scope"]), "since": since})
        if status == "error":
            raise Incomplete(f"the change {fix['scope']} could not be read: {found}")
        change = next(iter(found["changes"]), None)
        if change is None:
            return []
        service = str(change.get("service") or context["service"])
        status, later = await call(
            "query_changes", {"services": [service], "since": str(change["at"]), "limit": 200}
        )
        if status == "error":
            raise Incomplete(f"what followed {fix['scope']} could not be read: {later}")
        if any(_replaces(other, change) for other in later["changes"]):
            return []
        return [_target(change, service)]


def _replaces(other: Mapping[str, Any], change: Mapping[str, Any]) -> bool:
    """Whether a later change took this one back, or put another version in its place."""
    if other["id"] == change["id"] or other.get("status", "done") != "done":
        return False
    if other.get("undoes") == change["id"]:
        return True
    deployed = ("deploy", "rollback")
    same = other["kind"] in deployed and change["kind"] in deployed
    return same and other.get("service") == change.get("service")


def _target(change: Mapping[str, Any], service: str) -> Target:
    fields = {name: str(change.get(name) or "") for name in _FIELDS}
    fields |= {"change_id": str(change["id"]), "service": service}
    return Target(key=f"{change['id']}@{change['at']}", fields=fields)
