"""A rule in its own language again, always written the same way."""

from __future__ import annotations

from flows.fraud.rule.tree import (
    All,
    Arithmetic,
    Compare,
    Feature,
    Field,
    Missing,
    Node,
    Not,
    Number,
    OneOf,
    Rule,
    Some,
    Text,
)

_UNITS = ((604800, "w"), (86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def written(rule: Rule) -> str:
    """The rule's text in its plainest form; parsing it gives the same rule."""
    return f"{rule.action} if {spelled(rule.condition)}"


def spelled(node: Node) -> str:  # noqa: PLR0911
    """One node's text."""
    match node:
        case Number():
            return window(int(node.value)) if _is_duration(node) else number(node.value)
        case Text():
            return "'" + node.value.replace("'", "''") + "'"
        case Field():
            return node.name
        case Feature():
            parts = [part for part in (node.of, node.key) if part]
            return f"{node.kind}({', '.join([*parts, *([window(node.seconds)] if node.seconds else [])])})"
        case Arithmetic():
            return f"({spelled(node.left)} {node.operator} {spelled(node.right)})"
        case Compare():
            return f"{spelled(node.left)} {node.operator} {spelled(node.right)}"
        case OneOf():
            return f"{spelled(node.value)} in ({', '.join(spelled(choice) for choice in node.choices)})"
        case Missing():
            return f"{spelled(node.value)} is null"
        case Not():
            return f"not ({spelled(node.part)})"
        case All() | Some():
            joint = " and " if isinstance(node, All) else " or "
            return joint.join(_grouped(part) for part in node.parts)


def window(seconds: int) -> str:
    """A duration in its largest whole unit, such as `7d`; weeks only where days would be many."""
    for size, unit in _UNITS:
        if seconds % size == 0 and seconds >= (2 * size if unit == "w" else size):
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def number(value: float) -> str:
    """A number without needless digits."""
    return str(int(value)) if value == int(value) and abs(value) < 10**15 else repr(value)


def _is_duration(node: Number) -> bool:
    return node.duration and node.value > 0 and node.value == int(node.value)


def _grouped(node: Node) -> str:
    text = spelled(node)
    return f"({text})" if isinstance(node, All | Some) else text
