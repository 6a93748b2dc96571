"""One domain of the config: its code, skills, prompts, guardrails and actions."""

from __future__ import annotations

import importlib
import re
import string
from collections.abc import Iterable, Iterator
from pathlib import Path

import cel

from blocks import config
from blocks.config_file import Problem, Source, suggest
from blocks.marked_yaml import Path as Keys
from tasks.domain import Domain
from tasks.rules import AUTO_FIX, MANAGER, bound_name

_HOST = re.compile(r"[a-z][a-z0-9+.-]*://([^/?#]*)", re.IGNORECASE)


def code(source: Source, name: str, domain: config.Domain) -> tuple[list[Problem], Domain | None]:
    """The domain's `DOMAIN`, or the problem that keeps it from being found."""
    keys: Keys = ("domains", name, "module")
    try:
        module = importlib.import_module(domain.module)
    except Exception as error:
        message = f"{domain.module} can't be imported: {type(error).__name__}: {error}"
        return [source.problem(keys, message, "name the package that holds the domain's DOMAIN")], None
    found = getattr(module, "DOMAIN", None)
    if not isinstance(found, Domain):
        remedy = "define DOMAIN = tasks.domain.Domain(…) in its __init__.py"
        return [source.problem(keys, f"{domain.module} has no DOMAIN", remedy)], None
    if found.name != name:
        message = f"{domain.module}.DOMAIN is named {found.name}, not {name}"
        return [source.problem(keys, message, "use the same name in both")], found
    return [], found


def problems(source: Source, whole: config.Config, name: str, code: Domain | None) -> Iterator[Problem]:
    """Everything wrong with a domain but its rules and tools."""
    domain = whole.domains[name]
    yield from _skills(source, name, domain)
    if code:
        yield from _implemented(source, name, domain, code)
    yield from _guardrails(source, name, domain)
    yield from _actions(source, name, domain, code)


def _skills(source: Source, name: str, domain: config.Domain) -> Iterator[Problem]:
    keys: Keys = ("domains", name, "skills")
    managers = [index for index, skill in enumerate(domain.skills) if skill.role == "manager"]
    if not managers:
        yield source.problem(keys, "no skill has role manager", "give exactly one skill role: manager")
    for index in managers[1:]:
        message = f"a second manager, beside {domain.skills[managers[0]].name}"
        yield source.problem(
            (*keys, index, "role"), message, "make it a specialist; a domain has one manager"
        )
    for index in _repeated(skill.name for skill in domain.skills):
        message = f"the skill {domain.skills[index].name} stands twice"
        yield source.problem((*keys, index, "name"), message, "give it another name")
    yield from _bound(source, name, domain)


def _bound(source: Source, name: str, domain: config.Domain) -> Iterator[Problem]:
    """Specialists whose name in rules is taken or can't be written there."""
    manager = next((skill.name for skill in domain.skills if skill.role == "manager"), name)
    taken = {MANAGER: "the manager's pattern", AUTO_FIX: "the flag"}
    for index, skill in enumerate(domain.skills):
        bound = bound_name(skill.name, name, manager)
        if skill.role != "specialist" or taken.get(bound) == skill.name:
            continue
        keys: Keys = ("domains", name, "skills", index, "name")
        if bound in taken:
            message = f"{skill.name} would be {bound} in rules, which is {taken[bound]}"
            yield source.problem(keys, message, "give it another name")
        elif not _writable(bound):
            yield source.problem(
                keys, f"rules can't name it: {bound} is a word of CEL", "give it another name"
            )
        taken.setdefault(bound, skill.name)


def _writable(bound: str) -> bool:
    try:
        return list(cel.compile(bound).variables()) == [bound]
    except Exception:
        return False


def _implemented(source: Source, name: str, domain: config.Domain, code: Domain) -> Iterator[Problem]:
    for index, skill in enumerate(domain.skills):
        keys: Keys = ("domains", name, "skills", index, "name")
        if skill.name not in code.skills:
            message = f"{domain.module} has no skill {skill.name}"
            yield source.problem(keys, message, suggest(skill.name, code.skills))
            continue
        prompt = prompt_path(domain.module, skill.name)
        if not prompt.is_file():
            yield source.problem(keys, "its prompt is missing", f"write {_beside(source, prompt)}")
        elif not prompt.read_text("utf-8", "replace").strip():
            yield source.problem(keys, f"its prompt {_beside(source, prompt)} is empty", "write it")
    unused = sorted(code.skills.keys() - {skill.name for skill in domain.skills})
    for skill_name in unused:
        message = f"{domain.module} has a skill {skill_name} that is not listed"
        remedy = "list it, if it should run"
        yield source.problem(("domains", name, "skills"), message, remedy, "warning")


def prompt_path(module: str, skill: str) -> Path:
    """Where a skill's prompt stands: `prompts/<skill>.md` in the domain's package."""
    file = importlib.import_module(module).__file__
    return Path(str(file)).parent / "prompts" / f"{skill}.md"


def _beside(source: Source, path: Path) -> str:
    base = source.path.absolute().parent
    return str(path.relative_to(base)) if path.is_relative_to(base) else str(path)


def _guardrails(source: Source, name: str, domain: config.Domain) -> Iterator[Problem]:
    keys: Keys = ("domains", name, "guardrails")
    specialists = [skill.name for skill in domain.skills if skill.role == "specialist"]
    waiting = domain.guardrails.human_in_loop
    for index, skill in enumerate(waiting):
        if skill not in specialists:
            message = f"{skill} is no specialist of {name}"
            yield source.problem((*keys, "human_in_loop", index), message, suggest(skill, specialists))
    if domain.guardrails.approvers and not waiting:
        message = "does nothing, since nothing waits for a person"
        yield source.problem((*keys, "approvers"), message, "add human_in_loop, or remove it", "warning")
    if domain.auto_fix and not domain.actions:
        message = "does nothing without actions"
        yield source.problem(
            ("domains", name, "auto_fix"), message, "declare actions, or remove it", "warning"
        )


def _actions(source: Source, name: str, domain: config.Domain, code: Domain | None) -> Iterator[Problem]:
    known = _target_fields(code)
    for index in _repeated(action.name for action in domain.actions):
        message = f"the action {domain.actions[index].name} stands twice"
        yield source.problem(("domains", name, "actions", index, "name"), message, "give it another name")
    for index, action in enumerate(domain.actions):
        keys: Keys = ("domains", name, "actions", index)
        yield from _url(source, (*keys, "url"), action.url, known)
        if action.undo:
            yield from _url(source, (*keys, "undo", "url"), action.undo.url, known)
        for field, wanted in action.body.items():
            if known and wanted not in known:
                yield source.problem(
                    (*keys, "body", field), f"unknown field {wanted}", suggest(wanted, known)
                )
        if action.dangerous and not domain.guardrails.approvers:
            remedy = f"name approvers in domains.{name}.guardrails"
            yield source.problem((*keys, "dangerous"), "nobody may approve it", remedy)


def _target_fields(code: Domain | None) -> set[str]:
    """The fields that actions may name; empty if the domain's code doesn't tell them."""
    fixers = [skill.fixer for skill in code.skills.values() if skill.fixer] if code else []
    return {field for fixer in fixers for field in getattr(fixer, "fields", ())}


def _url(source: Source, keys: Keys, url: str, known: set[str]) -> Iterator[Problem]:
    try:
        parts = list(string.Formatter().parse(url))
    except ValueError as error:
        yield source.problem(keys, f"bad placeholder: {error}", "write fields as {order_id}")
        return
    host = _HOST.match(url)
    if not host:
        yield source.problem(keys, "is no full URL", "begin it with https:// and a host")
    elif "{" in host[1]:
        yield source.problem(keys, "a field may not choose the host", "use fields in the path or query only")
    for _, field, form, conversion in parts:
        if field is None:
            continue
        if form or conversion or not field.isidentifier():
            yield source.problem(keys, f"bad placeholder {{{field}}}", "write fields as {order_id}")
        elif known and field not in known:
            yield source.problem(keys, f"unknown field {{{field}}}", suggest(field, known))


def _repeated(names: Iterable[str]) -> list[int]:
    """The places at which a name stands again."""
    seen: set[str] = set()
    again: list[int] = []
    for index, name in enumerate(names):
        if name in seen:
            again.append(index)
        seen.add(name)
    return again
