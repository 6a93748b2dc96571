"""Which customers an approved offer is sent to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tasks.domain import CallTool, Incomplete, Target


class Customers:
    """The customers of the segment who may be written to at this moment, without the control group."""

    noun = "customers"
    fields: tuple[str, ...] = ("customer_id", "offer", "driver")

    async def targets(
        self, context: Mapping[str, Any], fix: Mapping[str, Any], call: CallTool
    ) -> list[Target]:
        """The recipients of the fix's offer, the largest loss first.

        Raises:
            Incomplete: they can't be read.
        """
        offer, _, share = str(fix["scope"]).rpartition("@")
        asked = {
            "driver": context["driver"],
            "offer": offer,
            "control_share": float(share),
            "as_of": context["as_of"],
        }
        status, found = await call("list_recipients", asked)
        if status == "error":
            raise Incomplete(f"the recipients of {offer} could not be read: {found}")
        return [_target(each, offer, str(context["driver"])) for each in found["recipients"]]


def _target(recipient: Mapping[str, Any], offer: str, driver: str) -> Target:
    """A customer, in the state between one message and the next: two proposals don't write in one."""
    fields = {"customer_id": str(recipient["customer_id"]), "offer": offer, "driver": driver}
    key = f"{fields['customer_id']}@{recipient['last_contact']}"
    return Target(key=key, fields=fields, amount=float(recipient["value"]))
