"""Which specialists run next: the domain's rules over a pattern and what specialists found about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from blocks import config
from tasks.domain import Domain
from tasks.rules import AUTO_FIX, MANAGER, Rule, compile_rule, domain_scope


@dataclass(frozen=True)
class Route:
    """A rule that fired and the specialist it leads to."""

    to_skill: str
    when: str


class Router:
    """The compiled rules of one domain.

    Args:
        settings: the domain's section of the config.
        code: the domain's code, which types the rules' names.

    Raises:
        RuleError: a rule has bad syntax.
    """

    def __init__(self, settings: config.Domain, code: Domain) -> None:
        self._settings = settings
        self._scope = domain_scope(code.name, settings, code)
        self._rules: list[tuple[Rule, config.Rule]] = [
            (compile_rule(rule.when, self._scope), rule) for rule in settings.routing
        ]

    def after_manager(self, pattern: Mapping[str, Any]) -> list[Route]:
        """The specialists for a pattern, in the rules' order, each once."""
        return self._fired({MANAGER: pattern, AUTO_FIX: self.auto_fix}, newest=MANAGER)

    def after(self, skill: str, found: Mapping[str, Mapping[str, Any]]) -> list[Route]:
        """The specialists that follow once `skill` has ended.

        Args:
            skill: the specialist that ended last.
            found: the pattern under `manager`, and outputs of this pattern's specialists by skill name.
        """
        bindings: dict[str, Any] = {self.bound(name): output for name, output in found.items()}
        action = found[skill].get("fix_action")
        allowed = self.auto_fix and any(action == each.name for each in self._settings.actions)
        return self._fired({**bindings, AUTO_FIX: allowed}, newest=self.bound(skill))

    @property
    def auto_fix(self) -> bool:
        """True if the domain allows fixes and has at least one action."""
        return self._settings.auto_fix and bool(self._settings.actions)

    def knows(self, skill: str) -> bool:
        """Whether it is a specialist of the domain."""
        return skill in self._scope.skills.values()

    def bound(self, skill: str) -> str:
        """A skill's name in rules."""
        names = {name: bound for bound, name in self._scope.skills.items()}
        return names.get(skill, MANAGER)

    def _fired(self, bindings: Mapping[str, Any], newest: str) -> list[Route]:
        ready = [
            (rule, settings)
            for rule, settings in self._rules
            if rule.needs <= bindings.keys() and newest in (rule.needs or {MANAGER})
        ]
        routes = {
            settings.route_to: Route(settings.route_to, settings.when)
            for rule, settings in reversed(ready)
            if rule.evaluate(bindings)
        }
        return list(reversed(routes.values()))
