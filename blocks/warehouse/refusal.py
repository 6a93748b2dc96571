"""What a database said when it refused a statement, in words for people."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy.exc import DBAPIError

_UNDEFINED = ("42P01", "3F000")
"""The codes of a table and of a schema that are not there."""

_SENTENCES = (
    (
        r"^(interrupted|timed out)$|statement timeout",
        "{name} took longer than statement_timeout ({seconds:g} s)",
    ),
    (
        r"cancell?ed on user's request",
        "{name} took longer than statement_timeout ({seconds:g} s), waiting in its queue included, or "
        "longer than its workload management allows, or somebody cancelled the query; ask for less at once, "
        "or raise warehouse.statement_timeout or the queue's timeout",
    ),
    (
        r"cancell?ed by WLM [^\"]*(\"[^\"]*\")",
        "{name}: its workload management stopped the query by the rule {found}; ask for less at once, or "
        "let its administrator give this user a queue without that rule",
    ),
    (
        r"external table .* into local catalog.*read-only",
        "{name} reads no external or shared table in a READ ONLY transaction, which Redshift does from "
        "its patch 204 on; update it, or map a materialized view of that table",
    ),
    (r"locked", "{name} is locked by a writer; try again when its load has finished"),
    (r"not a database", "{name} is no SQLite database; check warehouse.url"),
)
"""What databases say, as patterns, and the sentence in its place."""


def said(error: BaseException | None) -> str:
    """The database's message; redshift_connector raises its whole answer as a dictionary."""
    answer = _answer(error)
    return " ".join(str(answer.get("M", answer) if answer else error).split())


def undefined(error: DBAPIError) -> bool:
    """Whether there is no such table or schema, and not another reason."""
    code = getattr(error.orig, "pgcode", None) or _answer(error.orig).get("C")
    return code in _UNDEFINED if code else "no such table" in str(error.orig)


def explained(name: str, reason: str, seconds: float) -> str:
    """A sentence for people.

    Args:
        name: what the warehouse is called.
        reason: the database's message, without secrets.
        seconds: the statement timeout.
    """
    for pattern, sentence in _SENTENCES:
        if match := re.search(pattern, reason):
            return sentence.format(name=name, seconds=seconds, found=match[match.lastindex or 0])
    return f"{name}: {reason[:500]}"


def _answer(error: BaseException | None) -> dict[str, Any]:
    first = error.args[0] if error and error.args else None
    return first if isinstance(first, dict) else {}
