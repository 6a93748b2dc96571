"""Routing rules against the skills of their domain and what those return."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from blocks import config
from blocks.config_file import Problem, Source, suggest
from blocks.marked_yaml import Path as Keys
from tasks.domain import Domain
from tasks.rule_types import faults
from tasks.rules import MANAGER, RuleError, Scope, compile_rule, domain_scope


def problems(source: Source, whole: config.Config, name: str, code: Domain | None) -> Iterator[Problem]:
    """Everything wrong with a domain's rules. Without the domain's code only their targets are checked."""
    domain = whole.domains[name]
    seen: dict[config.Rule, int] = {}
    for index, rule in enumerate(domain.routing):
        keys: Keys = ("domains", name, "routing", index)
        target = _target(whole, name, rule.route_to)
        if target:
            yield source.problem((*keys, "route_to"), *target)
        first = seen.setdefault(rule, index)
        if first != index:
            yield source.problem(keys, f"repeats routing[{first}]", "remove one of them")
    if code is None:
        return
    scope = domain_scope(name, domain, code)
    wrong = {index: faults(rule.when, scope) for index, rule in enumerate(domain.routing)}
    for index, found in wrong.items():
        place: Keys = ("domains", name, "routing", index, "when")
        yield from (source.problem(place, fault.message, fault.remedy) for fault in found)
    if not any(wrong.values()):
        yield from _order(source, name, domain, scope)


def _target(whole: config.Config, name: str, target: str) -> tuple[str, str] | None:
    skills = whole.domains[name].skills
    specialists = [skill.name for skill in skills if skill.role == "specialist"]
    if target in specialists:
        return None
    if any(skill.name == target for skill in skills):
        return f"{target} is the manager", "route to a specialist; " + suggest(target, specialists)
    for other, domain in whole.domains.items():
        if any(skill.name == target for skill in domain.skills):
            remedy = f"route to a specialist of {name}; " + suggest(target, specialists)
            return f"{target} belongs to domain {other}, and a domain routes only to its own skills", remedy
    return f"unknown skill {target}", suggest(target, specialists)


def _order(source: Source, name: str, domain: config.Domain, scope: Scope) -> Iterator[Problem]:
    """Rules that wait for a specialist that never runs before them, and specialists that never run."""
    needs = {index: _needs(rule.when, scope) for index, rule in enumerate(domain.routing)}
    reached = _reached(domain, scope, needs)
    for index, rule in enumerate(domain.routing):
        keys: Keys = ("domains", name, "routing", index, "when")
        itself = [bound for bound in needs[index] if scope.skills.get(bound) == rule.route_to]
        for bound in sorted(needs[index] - reached):
            message = f"{bound} can't have run before: no rule leads to {scope.skills.get(bound, bound)}"
            yield source.problem(keys, message, f"add a rule with route_to: {scope.skills.get(bound, bound)}")
        if itself and itself[0] in reached:
            message = f"the rule leads from {rule.route_to} to itself"
            yield source.problem(keys, message, "route to another specialist")
    for index, skill in enumerate(domain.skills):
        if skill.role == "specialist" and skill.name not in {rule.route_to for rule in domain.routing}:
            keys = ("domains", name, "skills", index)
            yield source.problem(
                keys, f"no rule leads to {skill.name}", "add a rule, or remove it", "warning"
            )


def _needs(text: str, scope: Scope) -> frozenset[str]:
    try:
        return compile_rule(text, scope).needs
    except RuleError:
        return frozenset()


def _reached(domain: config.Domain, scope: Scope, needs: Mapping[int, frozenset[str]]) -> set[str]:
    """Names in rules of all skills that can run, following the rules from the manager on."""
    names = {skill: bound for bound, skill in scope.skills.items()}
    reached, before = {MANAGER}, 0
    while len(reached) > before:
        before = len(reached)
        for index, rule in enumerate(domain.routing):
            if needs[index] <= reached and rule.route_to in names:
                reached.add(names[rule.route_to])
    return reached
