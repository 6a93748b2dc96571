"""What a proposed fix demands of the people who approve it."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, or_, select

from blocks.config import Action, Config
from blocks.schema import triggers
from tasks import people, votes
from tasks.approvals import Approval
from tasks.votes import Vote, identity

_PERSONAL = ("slack", "whatsapp", "run", "cli")
"""Sources of triggers behind which a person stands."""


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


def may_decide(settings: Config, asked: Approval, name: str) -> bool:
    """Whether this person is among those who may decide on it."""
    allowed = approvers(settings, asked)
    return allowed is None or _same(settings, name) in {_same(settings, each) for each in allowed}


def asker(conn: Connection, settings: Config, asked: Approval, name: str) -> str | None:
    """Who asked for the run, or for a part of it, and may be this person; None if nobody."""
    own = select(triggers.c.id).where(triggers.c.run_id == asked.run_id).scalar_subquery()
    of_run = or_(triggers.c.run_id == asked.run_id, triggers.c.part_of == own)
    query = select(triggers.c.asked_by, triggers.c.source).where(of_run, triggers.c.asked_by != "")
    in_slack = list(settings.slack.users.values())
    for row in conn.execute(query):
        person = people.known_as(settings, row.asked_by)
        others = in_slack if row.source in _PERSONAL else [person]
        if votes.may_be_one(people.known_as(settings, name), person, others):
            return person
    return None


def approved(conn: Connection, settings: Config, asked: Approval) -> list[Vote]:
    """Whose approvals count now, under the names that the config now has for them."""
    return counted(conn, settings, asked, votes.of(conn, asked.id))


def counted(conn: Connection, settings: Config, asked: Approval, given: Iterable[Vote]) -> list[Vote]:
    """Those of the votes that count now: of people who may still approve, each of them once."""
    strict, in_slack = verified(settings, asked), list(settings.slack.users.values())
    kept: list[Vote] = []
    for vote in given:
        name = people.known_as(settings, vote.name)
        if not may_decide(settings, asked, name) or any(
            votes.may_be_one(name, other.name, in_slack) for other in kept
        ):
            continue
        if strict and (not vote.verified or asker(conn, settings, asked, name)):
            continue
        kept.append(vote.model_copy(update={"name": name}))
    return kept


def _same(settings: Config, name: str) -> str:
    return identity(people.known_as(settings, name))


def _now(settings: Config, asked: Approval) -> list[Action]:
    """The proposal's actions as the config has them now."""
    planned = {plan["action"] for plan in asked.proposal.get("plans", [])}
    domain = settings.domains.get(asked.domain)
    return [action for action in domain.actions if action.name in planned] if domain else []
