"""What PostgreSQL understands and Redshift does not, or differently, as patterns over SQL.

The sources are pages of the Amazon Redshift Database Developer Guide, below
https://docs.aws.amazon.com/redshift/latest/dg/.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from sqlalchemy_redshift.dialect import RESERVED_WORDS


class Rule(NamedTuple):
    """Something that must not occur."""

    what: str
    pattern: str
    source: str


FEATURES, FUNCTIONS = "c_unsupported-postgresql-features.html", "c_unsupported-postgresql-functions.html"
TYPES, WINDOWS = "c_unsupported-postgresql-datatypes.html", "r_Window_function_synopsis.html"
SELECT = "r_SELECT_synopsis.html"

RULES = (
    Rule(
        "a statement that is no SELECT",
        r"^(?!(\(?SELECT|WITH|BEGIN|ROLLBACK|SET LOCAL|DECLARE|FETCH|CLOSE)\b)",
        "",
    ),
    Rule(
        "a statement that writes",
        r"\b(INSERT INTO|UPDATE \w+ SET|DELETE FROM|MERGE INTO|RETURNING|ON CONFLICT)\b",
        SELECT,
    ),
    Rule("an aggregate with FILTER", r"\bFILTER\s*\(", SELECT),
    Rule("LATERAL", r"\bLATERAL\b", SELECT),
    Rule("DISTINCT ON", r"\bDISTINCT\s+ON\b", SELECT),
    Rule(
        "FETCH FIRST, FOR UPDATE or TABLESAMPLE",
        r"\b(FETCH FIRST|FOR UPDATE|FOR SHARE|TABLESAMPLE)\b",
        SELECT,
    ),
    Rule("a materialized WITH", r"\bAS\s+(NOT\s+)?MATERIALIZED\b", "r_WITH_clause.html"),
    Rule("a list in VALUES", r"\bVALUES\s*\(", SELECT),
    Rule("IS DISTINCT FROM", r"\bIS\s+(NOT\s+)?DISTINCT\s+FROM\b", FUNCTIONS),
    Rule("a boolean tested by IS", r"\bIS\s+(NOT\s+)?(TRUE|FALSE|UNKNOWN)\b", "r_Boolean_type.html"),
    Rule("an array", r"\bARRAY\s*\[|\[\]|\bANY\s*\(|\bUNNEST\s*\(", TYPES),
    Rule(
        "a type that is not there",
        r"\bAS (JSONB?|UUID|BYTEA|INET|CIDR|MONEY|XML|HSTORE|BIT|TSVECTOR|OID)\b",
        TYPES,
    ),
    Rule("an operator of PostgreSQL's JSON or arrays", r"->|@>|<@|\?\||#>", TYPES),
    Rule(
        "a function that is not there",
        r"\b(STRING_AGG|ARRAY_AGG|EVERY|XML_AGG|CORR|COVAR_POP|COVAR_SAMP|REGR_\w+|CLOCK_TIMESTAMP|JUSTIFY_\w+|PG_SLEEP"
        r"|TRANSACTION_TIMESTAMP|DIV|SETSEED|WIDTH_BUCKET|GENERATE_SERIES|GENERATE_SUBSCRIPTS|BIT_LENGTH|OVERLAY"
        r"|CONVERT_FROM|CONVERT_TO|ENCODE|FORMAT|QUOTE_NULLABLE|REGEXP_MATCHES|REGEXP_SPLIT_TO_\w+|MAKE_INTERVAL"
        r"|JSONB?_\w+|ROW_TO_JSON|TO_JSONB?|MODE)\s*\(",
        FUNCTIONS,
    ),
    Rule("a function of SQLite", r"\b(STRFTIME|UNIXEPOCH|JULIANDAY|GLOB|IFNULL)\b", ""),
    Rule(
        "a percentile, which needs other words in a window",
        r"\bPERCENTILE_(CONT|DISC)\s*\(",
        "r_WF_PERCENTILE_CONT.html",
    ),
    Rule("a mean, which is a whole number of whole numbers", r"\bAVG\s*\(", "r_AVG.html"),
    Rule(
        "a window frame other than ROWS",
        r"\b(RANGE|GROUPS)\s+(BETWEEN|UNBOUNDED|CURRENT|\d|\$)|\bEXCLUDE\b",
        WINDOWS,
    ),
    Rule(
        "the database's own clock, whose zone and transaction decide what it says",
        r"\b(NOW|GETDATE|TIMEOFDAY|STATEMENT_TIMESTAMP)\s*\(|\b(CURRENT_TIMESTAMP|CURRENT_DATE|CURRENT_TIME|LOCALTIMESTAMP|SYSDATE)\b",
        "Date_functions_header.html",
    ),
    Rule(
        "time arithmetic",
        r"\bINTERVAL\b|\bDATEADD\b|\bDATE_TRUNC\b|\bAT TIME ZONE\b",
        "r_interval_literals.html",
    ),
    Rule("a parameter in GROUP BY", r"\bGROUP BY ((?!UNION|ORDER|LIMIT|HAVING)[^()])*\$\d", ""),
)

_AGGREGATES = ("sum", "count", "min", "max", "avg")
_TYPE_NAMES = {"timestamp"}
_LITERAL = re.compile(r"'(?:[^']|'')*'")
_NAME = re.compile(r'"[^"]*"')


def broken(sql: str) -> list[str]:
    """What of the rules a statement breaks."""
    bare = _NAME.sub("quoted", _LITERAL.sub("''", sql)).strip()
    found = [rule.what for rule in RULES if re.search(rule.pattern, bare, re.IGNORECASE)]
    return [*found, *_windows(bare), *_names(bare)]


def _windows(sql: str) -> Iterator[str]:
    """An aggregate over an ordered window needs a frame (WINDOWS); no window may order nulls (FEATURES)."""
    for match in re.finditer(r"\bOVER\s*\(", sql, re.IGNORECASE):
        window = sql[match.end() : _closing(sql, match.end())].upper()
        before = sql[: match.start()].rstrip()
        name = re.search(r"(\w+)\s*$", before[: _opening(before)])
        if "NULLS" in window:
            yield "a window that orders nulls"
        if name and name[1].lower() in _AGGREGATES and "ORDER BY" in window and "ROWS" not in window:
            yield f"{name[1]} over an ordered window without a frame"


def _names(sql: str) -> Iterator[str]:
    """Reserved words must be quoted (r_pg_keywords.html)."""
    for name in re.findall(r"\bAS (\w+)", sql, re.IGNORECASE):
        if name.lower() in RESERVED_WORDS - _TYPE_NAMES:
            yield f"the reserved word {name} as a name"


def _closing(sql: str, start: int) -> int:
    depth = 1
    for place in range(start, len(sql)):
        depth += {"(": 1, ")": -1}.get(sql[place], 0)
        if not depth:
            return place
    return len(sql)


def _opening(sql: str) -> int:
    """Where the parenthesis opens that the text ends with."""
    depth = 0
    for place in range(len(sql) - 1, -1, -1):
        depth += {")": 1, "(": -1}.get(sql[place], 0)
        if not depth:
            return place
    return 0
