"""Groups of people in the config, and who is in them."""

from __future__ import annotations

from collections.abc import Iterable

from blocks.config import Config
from tasks.votes import SLACK, identity


def members(settings: Config, named: Iterable[str]) -> list[str]:
    """The people that these groups and single names stand for, in that order."""
    people = settings.platform.people
    return list(dict.fromkeys(person for each in named for person in people.get(each, [each])))


def contains(settings: Config, named: Iterable[str], person: str) -> bool:
    """Whether a person is one of these."""
    return identity(person) in {identity(each) for each in members(settings, named)}


def of_slack(settings: Config, user_id: str) -> str:
    """The person behind a Slack account; the account itself if the config does not know it."""
    return settings.slack.users.get(user_id, f"{SLACK}{user_id}")


def known_as(settings: Config, name: str) -> str:
    """The person whom the config now knows behind a name like `slack:U0ANN`; any other name as it is."""
    accounts = {identity(f"{SLACK}{id}"): person for id, person in settings.slack.users.items()}
    return accounts.get(identity(name), name)


def slack_ids(settings: Config, named: Iterable[str]) -> list[str]:
    """Slack accounts of those people who have one."""
    wanted = {identity(each) for each in members(settings, named)}
    known = [id for id, person in settings.slack.users.items() if identity(person) in wanted]
    return known + [each.removeprefix(SLACK) for each in members(settings, named) if each.startswith(SLACK)]
