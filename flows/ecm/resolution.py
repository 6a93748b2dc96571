"""Which orders a fix touches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tasks.domain import CallTool, Incomplete, Target

PAGE = 1000
MAX_PAGES = 20


class Orders:
    """The orders that are stuck in the context's stage at this moment; the oldest first."""

    noun = "orders"
    fields: tuple[str, ...] = ("order_id", "stage", "entered_at")

    async def targets(
        self, context: Mapping[str, Any], fix: Mapping[str, Any], call: CallTool
    ) -> list[Target]:
        """All stuck orders of the stage, or with scope `critical` the critical ones.

        Raises:
            Incomplete: the orders can't be read.
        """
        asked = {
            "stage": context["stuck_at"],
            "critical_only": fix.get("scope") == "critical",
            "orders": PAGE,
        }
        orders: list[dict[str, Any]] = []
        after = ""
        for _ in range(MAX_PAGES):
            status, page = await call("query_stuck_orders", {**asked, "after": after})
            if status == "error":
                raise Incomplete(f"the stuck orders could not be read: {page}")
            orders += page["orders"]
            after = page["next_after"]
            if not after:
                break
        return [_target(order) for order in sorted(orders, key=lambda order: str(order["entered_at"]))]


def _target(order: Mapping[str, Any]) -> Target:
    fields = {name: str(order[name]) for name in Orders.fields}
    return Target(
        key=f"{fields['order_id']}@{fields['entered_at']}",
        fields=fields,
        amount=float(order.get("amount_usd") or 0),
    )
