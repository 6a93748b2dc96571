"""What a proposed fix demands of the people who approve it."""

from __future__ import annotations

from blocks.config import Action, Config
from tasks import people
from tasks.approvals import Approval


def needed(settings: Config, asked: Approval) -> int:
    """How many different people must approve: as when it was proposed, or as the config says now if more."""
    return max(1, int(asked.proposal.get("needed", 1)), *(action.needed for action in _now(settings, asked)))


def dangerous(settings: Config, asked: Approval) -> list[str]:
    """The proposal's actions that were dangerous when it was made, or are by now."""
    now = {action.name for action in _now(settings, asked) if action.dangerous}
    plans = asked.proposal.get("plans", [])
    return [plan["action"] for plan in plans if plan.get("dangerous") or plan["action"] in now]


def verified(settings: Config, asked: Approval) -> bool:
    """Whether only verified people may approve it."""
    return needed(settings, asked) > 1 or bool(dangerous(settings, asked))


def approvers(settings: Config, asked: Approval) -> list[str] | None:
    """The people who may decide on it; None if anybody may. Once escalated, those it was escalated to too."""
    domain = settings.domains.get(asked.domain)
    if domain is None or not domain.guardrails.approvers or not settings.platform.people:
        return None
    more = domain.guardrails.escalate_to if asked.escalated_at else []
    return people.members(settings, [*domain.guardrails.approvers, *more])


def _now(settings: Config, asked: Approval) -> list[Action]:
    """The proposal's actions as the config has them now."""
    planned = {plan["action"] for plan in asked.proposal.get("plans", [])}
    domain = settings.domains.get(asked.domain)
    return [action for action in domain.actions if action.name in planned] if domain else []
