"""People, Slack and approvals in the config: names against groups, times against each other."""

from __future__ import annotations

from collections.abc import Iterator

from blocks.config import Config, DomainGuardrails
from blocks.config_file import Problem, Source, suggest
from blocks.marked_yaml import Path as Keys
from tasks import people


def problems(source: Source, config: Config) -> Iterator[Problem]:
    """Unknown people, bots that can't be told apart, approvals that can never be given."""
    yield from _operators(source, config)
    yield from _slack(source, config)
    for name, domain in config.domains.items():
        keys: Keys = ("domains", name, "guardrails")
        yield from _approvers(source, config, keys, domain.guardrails)
        yield from _escalation(source, config, keys, domain.guardrails)
        yield from _times(source, keys, domain.guardrails)
        yield from _enough(source, config, name)


def _operators(source: Source, config: Config) -> Iterator[Problem]:
    if config.platform.people:
        yield from _unknown(source, config, ("platform", "operators"), config.platform.operators)


def _approvers(source: Source, config: Config, keys: Keys, guardrails: DomainGuardrails) -> Iterator[Problem]:
    if not config.platform.people:
        return
    yield from _unknown(source, config, (*keys, "approvers"), guardrails.approvers)
    yield from _unknown(source, config, (*keys, "escalate_to"), guardrails.escalate_to)
    if guardrails.approvers and not people.members(config, guardrails.approvers):
        message = f"nobody is in {', '.join(guardrails.approvers)}, so nobody may approve"
        yield source.problem((*keys, "approvers"), message, "name its members in platform.people")


def _unknown(source: Source, config: Config, keys: Keys, named: list[str]) -> Iterator[Problem]:
    """Names that are neither a group nor a person of any group or of Slack."""
    groups, accounts = config.platform.people, config.slack.users.values()
    known = {person for members in groups.values() for person in members} | set(accounts)
    for index, name in enumerate(named):
        if name not in groups and name not in known:
            message = f"{name} is no group of platform.people, and no person of one"
            yield source.problem((*keys, index), message, suggest(name, [*groups, *sorted(known)]), "warning")


def _escalation(
    source: Source, config: Config, keys: Keys, guardrails: DomainGuardrails
) -> Iterator[Problem]:
    if guardrails.escalate_to and guardrails.escalate_after is None:
        remedy = "add escalate_after, such as 4h, or remove it"
        yield source.problem((*keys, "escalate_to"), "does nothing without escalate_after", remedy)
    if guardrails.escalate_after is not None and not guardrails.escalate_to:
        remedy = "add escalate_to, or remove it"
        yield source.problem((*keys, "escalate_after"), "does nothing without escalate_to", remedy)
    if guardrails.escalate_to and guardrails.approvers and not config.platform.people:
        message = "changes nothing, since anybody may approve while platform.people is empty"
        yield source.problem((*keys, "escalate_to"), message, "fill platform.people", "warning")


def _times(source: Source, keys: Keys, guardrails: DomainGuardrails) -> Iterator[Problem]:
    expires = guardrails.approval_expires
    for name in ("remind_after", "escalate_after"):
        after = getattr(guardrails, name)
        given = name in guardrails.model_fields_set
        if after is not None and given and after >= expires:
            message = "can never happen, since the approval has expired by then"
            yield source.problem((*keys, name), message, "make it shorter than approval_expires", "warning")


def _enough(source: Source, config: Config, name: str) -> Iterator[Problem]:
    """Actions that need more people than may approve."""
    domain = config.domains[name]
    guardrails = domain.guardrails
    if not config.platform.people or not guardrails.approvers:
        return
    count = len(people.members(config, [*guardrails.approvers, *guardrails.escalate_to]))
    for index, action in enumerate(domain.actions):
        if action.needed > count:
            given = "approvals" if action.approvals else "dangerous"
            message = f"{action.name} needs {action.needed} different people, and {count} may approve"
            remedy = "name more people in the approvers' groups of platform.people"
            yield source.problem(("domains", name, "actions", index, given), message, remedy)


def _slack(source: Source, config: Config) -> Iterator[Problem]:
    seen: dict[tuple[str, str], int] = {}
    for index, bot in enumerate(config.slack.bots):
        for name, value in (("mention", bot.mention.lower()), ("user_id", bot.user_id)):
            first = seen.setdefault((name, value), index)
            if first != index:
                message = f"the same as slack.bots[{first}].{name}"
                yield source.problem(("slack", "bots", index, name), message, "give each bot its own")
    yield from _users(source, config)


def _users(source: Source, config: Config) -> Iterator[Problem]:
    known = {person for members in config.platform.people.values() for person in members}
    for user, person in config.slack.users.items():
        keys = ("slack", "users", user)
        if not (user[:1] in ("U", "W") and user.isalnum() and user.isupper()):
            yield source.problem(keys, "is no Slack user id", "write the member id, such as U061F7AUR")
        if known and person not in known:
            message = f"{person} is in no group of platform.people"
            yield source.problem(keys, message, suggest(person, sorted(known)), "warning")
