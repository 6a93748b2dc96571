"""Reading what runbooks and action descriptions say in plain English: steps, negations, what a step does."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from blocks.text import Index, words


def _any(*patterns: str) -> re.Pattern[str]:
    """Any of these, as whole words."""
    return re.compile(rf"(?i)\b(?:{'|'.join(patterns)})\b")


_EMPHASIS = re.compile(r"[*_`]{1,3}(?=\S)|(?<=\S)[*_`]{1,3}")
_START = re.compile(r"^\s{0,3}(?:[-+*]|\d+[.)])\s+|^\s*#{1,6}\s*", re.MULTILINE)
_LINK = re.compile(r"\[([^\]\n]*)\]\([^)\n]*\)")
_TABLE = re.compile(r"^\s*\|.*$", re.MULTILINE)
_END = re.compile(r"(?<=[.!?;])\s+(?=[A-Z(\"'])|\n+")
_PART = re.compile(r"(?:[,:;–→]|\bbut\b|\bthen\b)\s*")

_ORDERS = r"(?:order|payment|payout|transfer)s?"
_ORDER = re.compile(rf"(?i)\b{_ORDERS}\b")
_NEGATED = re.compile(
    r"(?i)\b(?:never|not|no|don't|doesn't|can't|cannot|won't|without|nobody|none|avoid|instead of)"
    r"\s+(?:\S+\s+){0,2}$"
)
_BY_ITSELF = _any(
    "by (?:themselves|itself)",
    "on (?:their|its) own",
    r"automatic\w*",
    "nobody (?:has|needs) to",
    "no action",
)
_USELESS = _any(
    "brings? nothing",
    "(?:does|do|will|would|may) not help",
    "(?:won't|doesn't|don't) help",
    "helps? nobody",
    "(?:is|are) (?:useless|pointless|no use|forbidden|not allowed)",
    "makes? (?:it|things|matters) worse",
    "(?:may|might|can|could|would|will) (?:duplicate|double|pay)",
)
_HARMLESS = _any(
    "harmless",
    "cosmetic",
    "(?:can|may) (?:safely )?be ignored",
    "safe to ignore",
    "(?:no|not an|not a) incident",
    f"no (?:impact|effect) on {_ORDERS}",
    f"{_ORDERS} (?:is|are) (?:not|never) (?:held|affected|delayed|stopped|concerned|touched)",
    f"(?:does|do) not (?:affect|delay|hold|stop|touch) (?:up )?(?:any )?{_ORDERS}",
    f"no {_ORDERS} (?:is|are) (?:held|affected|delayed|stuck)",
)
_REPAIR = _any(
    r"renew\w*",
    r"rotat\w+",
    r"replac\w+",
    r"re-?issu\w+",
    r"re-?install\w*",
    r"(?:new|fresh) (?:secret|key|credential\w*|token|certificate|password)",
    "top(?:s|ped|ping)? up",
    r"refill\w*",
    "fund(?:s|ed)? the",
    "prefund the",
    r"transfer\w* (?:money|funds)",
    r"wire\w*",
    "roll(?:s|ed|ing)? ?back",
    "go(?:es)? back to the (?:version|release)",
    r"revert\w*",
    r"adapt\w*",
    r"patch\w*",
    r"hot-?fix\w*",
    r"(?:fix|correct|change)\w* the (?:code|mapping|parser|schema|query)",
    r"add\w* (?:capacity|disk|memory)",
    r"whitelist\w*",
    r"allow-?list\w*",
    r"re-?authenticat\w+",
    r"reset\w* the (?:password|secret)",
    "(?:they|bank|partner|vendor|provider) (?:must|has to|have to|needs? to) "
    "(?:correct|fix|repair|restore|change)",
)
"""Work of a person that must come before orders can move."""

_OTHER_THING = _any(
    "files?", "uploads?", "documents?", "reports?", "e-?mails?", "exports?", "jobs?", "statements?"
)
"""What a step may be about instead of orders."""

_FAMILIES: Mapping[str, re.Pattern[str]] = {
    "unlock": _any(
        r"unlock\w*",
        r"(?:clear|remov|delet|drop|releas|free|purg)\w*\b[^.;]{0,40}\b"
        r"(?:lock|mark|marker|flag|guard|lease|reservation)s?",
    ),
    "release": _any(
        r"un-?hold\w*",
        r"un-?freez\w+",
        r"(?:releas|lift|free|unblock)\w*\b[^.;]{0,60}\b"
        r"(?:holds?|held|orders?|payments?|cases?|alerts?|them)",
    ),
    "requeue": _any(
        r"re-?(?:en)?queu\w*",
        r"re-?driv\w+",
        r"re-?publish\w*",
        r"re-?deliver\w*",
        r"(?:put|place|push|mov)\w*\b[^.;]{0,40}\b(?:on|onto|into|in|to) (?:the|its|their|a) "
        r"(?:\w+ )?(?:queue|topic)",
        r"fresh messages?",
    ),
    "reroute": _any(
        r"re-?rout\w+",
        r"divert\w*",
        r"fail(?:ing)? ?over",
        r"(?:mov|switch|shift|send|redirect|transfer)\w*\b[^.;]{0,50}\b"
        r"(?:backup|back-up|secondary|alternat\w+|other|second|standby|fallback)",
    ),
    "retry": _any(
        r"re-?tr(?:y|ies|ied|ying)",
        r"re-?(?:send|submit|process|run|play|attempt)\w*",
        r"(?:send|submit|try|attempt|push|run|let|execut|releas)\w*\b[^.;]{0,60}\b"
        r"(?:again|once more|anew|a second time)",
    ),
    "cancel": _any(r"cancel\w*", r"refund\w*", r"void\w*"),
    "restart": _any(r"restart\w*", r"reboot\w*", r"recycl\w+"),
    "pause": _any(r"paus\w+", r"suspend\w*", r"park\w*"),
}
"""What actions on orders do, each in the words that people use for it; the most telling first."""


def plain(text: str) -> str:
    """Text without its markdown: marks, links' addresses, tables."""
    lines = _START.sub("", _TABLE.sub("", text))
    return _EMPHASIS.sub("", _LINK.sub(r"\1", lines)).strip()


def sentences(text: str) -> list[str]:
    """The sentences and list items of a markdown text, in order."""
    found = (" ".join(part.split()).strip(" |") for part in _END.split(plain(text)))
    return [part for part in found if len(part) > 2]


def is_harmless(text: str) -> bool:
    """Whether a page says that what it describes holds up no orders."""
    return _HARMLESS.search(text) is not None


def nearest(parts: Sequence[str], asked: str, most: int) -> list[str]:
    """The parts that answer `asked` best, in their own order; the first ones if none does."""
    index = Index([{"title": "", "text": part} for part in parts], {"title": 1.0, "text": 1.0})
    scores = index.scores(asked)
    best = sorted(range(len(parts)), key=lambda place: (-scores[place], place))[:most]
    return [parts[place] for place in sorted(best)]


def action_for(actions: Sequence[Mapping[str, Any]], fix: str, cause: str) -> str | None:
    """The action that a fix asks for and that is meant for its cause; None if a person has to act first.

    An action is asked for where a step that isn't negated tells to do what the action does, and no step
    before it repairs something by hand. Of several, the one whose description suits the cause best is taken.

    Args:
        actions: name and description of each.
        fix: the runbook's steps.
        cause: what went wrong, in the runbook's and the logs' words.
    """
    asked: list[Mapping[str, Any]] = []
    for step in sentences(fix):
        if _BY_ITSELF.search(step) or _USELESS.search(step):
            continue
        for clause in _clauses(step):
            if _told(_REPAIR, clause):
                return _best(asked, cause)
            asked += [action for action in actions if action not in asked and _does(action, clause)]
    return _best(asked, cause)


def _told(pattern: re.Pattern[str], clause: str) -> bool:
    """Whether a clause says it, and doesn't say not to."""
    return any(not _NEGATED.search(clause[: found.start()]) for found in pattern.finditer(clause))


def _clauses(step: str) -> list[str]:
    """A step's parts, conditions apart from what they lead to."""
    return [part for part in _PART.split(step) if part.strip()]


def _does(action: Mapping[str, Any], clause: str) -> bool:
    """Whether a clause tells to do what an action does, and to orders."""
    if _OTHER_THING.search(clause) and not _ORDER.search(clause):
        return False
    operation = _operation(action)
    families = {name for name, pattern in _FAMILIES.items() if pattern.search(operation)}
    told = {name for name, pattern in _FAMILIES.items() if _told(pattern, clause)}
    if families:
        return bool(_leading(families) & _leading(told))
    named = set(words(str(action["name"]).replace("_", " ")))
    return bool(named) and named <= set(words(clause))


def _leading(families: set[str]) -> set[str]:
    """The most telling of several readings, in the order of the table."""
    first = next((name for name in _FAMILIES if name in families), None)
    return {first} if first else set()


def _operation(action: Mapping[str, Any]) -> str:
    """What an action does: its name, and its description's first sentence."""
    described = sentences(str(action.get("description") or ""))
    return f"{str(action['name']).replace('_', ' ')}. {described[0] if described else ''}"


def _best(asked: Sequence[Mapping[str, Any]], cause: str) -> str | None:
    if len(asked) < 2:
        return str(asked[0]["name"]) if asked else None
    documents = [{"title": "", "text": str(action.get("description") or "")} for action in asked]
    scores = Index(documents, {"title": 1.0, "text": 1.0}).scores(cause)
    return str(asked[max(range(len(asked)), key=lambda place: (scores[place], -place))]["name"])
