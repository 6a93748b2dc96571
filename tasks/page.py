"""The detail page of one execution, as markdown: for `aspora show` and for the run's artifact.

What data, tools and models wrote is escaped: no links, images or markup come from it.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from blocks.printable import printable
from blocks.units import MICRO, format_dollars
from tasks import approvals, archive, corrections, journal, record
from tasks.corrections import Correction
from tasks.trace import costs

_MARKUP = re.compile(r"([\\`*_{}\[\]()<>#!|~])")
_START = re.compile(r"^(\d*)([-+=.])")
_ADDRESS = re.compile(r":(?=//)|\bwww(?=\.)", re.IGNORECASE)
_LONGEST = 400
"""Characters of an argument, a field of a table, a name."""
_PROSE = 4_000
"""Characters of what is read as prose: reasoning, answers, evidence, what people said."""
_ROWS = 50
"""Records of one table."""
_COLUMNS = 14
"""Records with more fields are listed one under the other, unless told otherwise."""
_HIDDEN = (
    "actions", "context", "patterns", "evidence", "ruled_out", "refuted_by", "fixes", "effect", "result",
    "previous", "picture", "findings",
)  # fmt: skip


def page(conn: Connection, execution_id: str, columns: int = _COLUMNS) -> str:
    """The page.

    Args:
        columns: how many a table may have; records with more fields are listed one under the other.

    Raises:
        UnknownExecution: there is no such execution.
    """
    row = record.get(conn, execution_id)
    steps, missing = _steps(conn, row)
    finished, said = record.view(conn, execution_id), corrections.of_execution(conn, execution_id)
    asked = [each for each in approvals.of_run(conn, row.run_id) if each.execution_id == execution_id]
    parts = [
        f"# {row.execution_id}",
        _head(row, finished),
        _input(row),
        missing or _tools(steps),
        _trace(row.reasoning_trace),
        _output(row, columns),
        *(_approval(each) for each in asked),
        _correction(finished, said),
        _cost(row, steps),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _steps(conn: Connection, row: record.Execution) -> tuple[list[journal.Step], str]:
    """The journal, and what is told in its place where it can't be read."""
    try:
        return archive.steps(conn, row), ""
    except archive.ArchiveError as error:
        return [], f"## Tool calls\n\n{escape(str(error))}"


def escape(text: str, longest: int = _LONGEST) -> str:
    """Text of unknown origin on one line, with markdown's signs taken for what they are."""
    one_line = printable(" ".join(text.split()))
    cut = one_line if len(one_line) <= longest else one_line[:longest] + "…"
    marked = _START.sub(r"\1\\\2", _MARKUP.sub(r"\\\1", cut))
    return _ADDRESS.sub("\\g<0>\u200b", marked)


def _head(row: record.Execution, finished: record.SkillExecution | None) -> str:
    corrected = finished is not None and finished.outcome == record.CORRECTED
    outcome = f"{row.outcome or 'waits or runs'}{', corrected by a user' if corrected else ''}"
    lines = [
        f"{row.skill_role} of {row.domain}, run `{row.run_id}`",
        f"**Outcome:** {outcome}" + (f" ({escape(row.error)})" if row.error else ""),
        f"**Model:** {row.model}" + (", no language model" if row.provider == "offline" else ""),
        f"**Started:** {row.started_at:%Y-%m-%d %H:%M:%S} UTC",
    ]
    return "  \n".join(lines)


def _input(row: record.Execution) -> str:
    source = f" (from {row.from_skill}, by `{row.rule}`)" if row.from_skill else ""
    return f"## Input{source}\n\n" + (_fields(row.input_data) or "- everything")


def _tools(steps: list[journal.Step]) -> str:
    calls = [step for step in steps if step.kind == "tool"]
    if not calls:
        return "## Tool calls\n\nnone"
    lines = [
        f"{step.call}. `{_code(step.name)}`({escape(_arguments(step.input))})  \n   → {_found(step)}  "
        f"({step.seconds:.2f} s)"
        for step in calls
    ]
    return "## Tool calls\n\n" + "\n".join(lines)


def _code(name: str) -> str:
    """A name that a model wrote, to stand between backticks."""
    one_line = printable(" ".join(name.split())).replace("`", "'")
    return _ADDRESS.sub("\\g<0>\u200b", one_line)


def _found(step: journal.Step) -> str:
    return ("error: " if step.status == "error" else "") + escape(step.summary or step.status)


def _arguments(arguments: Mapping[str, Any] | None) -> str:
    given = {name: value for name, value in (arguments or {}).items() if value not in ("", None)}
    return ", ".join(f"{name}={value}" for name, value in given.items())


def _trace(trace: str | None) -> str:
    if not trace:
        return ""
    return "## Reasoning trace\n\n" + "\n".join(
        f"> {escape(line, _PROSE)}" for line in trace.splitlines() if line
    )


def _output(row: record.Execution, columns: int) -> str:
    output = row.output_data
    if not isinstance(output, dict):
        return "## Output\n\nnone"
    records = _records(output)
    parts = [f"## Output\n\n{_fields({name: output[name] for name in output if name not in records})}"]
    parts += [_list("Findings", output.get("findings", []))]
    parts += [_picture(output["picture"])] if output.get("picture") else []
    parts += [_table(output["patterns"], columns)] if output.get("patterns") else []
    parts += [f"### {name}\n\n{_table(rows, columns)}" for name, rows in records.items()]
    parts += [_list("Evidence", [_evidence(item) for item in output.get("evidence", [])])]
    parts += [_list("Would refute it", output.get("refuted_by", []))]
    dropped = [f"{item['cause']}: {item['reason']}" for item in output.get("ruled_out", [])]
    parts += [_list("Ruled out", dropped)]
    parts += [_list("Proposed", (output.get("effect") or {}).get("text", []))]
    parts += [_list("Done", [output["result"]["text"]])] if output.get("result") else []
    return "\n\n".join(part for part in parts if part)


def _picture(lines: list[str]) -> str:
    """Lines of a picture in signs, as they are."""
    shown = (printable(line).replace("`", "'")[:_LONGEST] for line in lines)
    return "\n".join(("```text", *shown, "```"))


def _records(output: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """What else the output lists record by record."""
    return {name: value for name, value in output.items() if name not in _HIDDEN and _lists_records(value)}


def _lists_records(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _table(records: list[dict[str, Any]], most: int) -> str:
    columns = [name for name, value in records[0].items() if not isinstance(value, dict | list)]
    shown, more = records[:_ROWS], len(records) - _ROWS
    table = _wide(shown, columns) if len(columns) > most else _narrow(shown, columns)
    return f"{table}\n\nand {more} more" if more > 0 else table


def _narrow(records: list[dict[str, Any]], columns: list[str]) -> str:
    rows = [" | ".join(escape(_short(one.get(name))) for name in columns) for one in records]
    rule = " | ".join("---" for _ in columns)
    return "\n".join(f"| {line} |" for line in (" | ".join(columns), rule, *rows))


def _wide(records: list[dict[str, Any]], columns: list[str]) -> str:
    title = _title(records, columns)
    others = [name for name in columns if name != title]
    return "\n\n".join(
        f"**{escape(title)}: {escape(_short(one.get(title)))}**\n\n"
        + _fields({name: one.get(name) for name in others})
        for one in records
    )


def _title(records: list[dict[str, Any]], columns: list[str]) -> str:
    """The field that tells the records apart in the fewest words; PostgreSQL keeps no order of fields."""
    words = {name: [one.get(name) for one in records] for name in columns}
    telling = [
        name
        for name, said in words.items()
        if all(isinstance(each, str) and each for each in said) and len(set(said)) == len(said)
    ]
    return min(telling or columns, key=lambda name: (sum(len(_short(each)) for each in words[name]), name))


def _evidence(item: Mapping[str, Any]) -> str:
    return f"call {item.get('tool_call')}, {item.get('source')}: {item.get('finding')}"


def _approval(each: approvals.Approval) -> str:
    who = f" by {escape(each.decided_by)} ({each.decided_via})" if each.decided_by else ""
    word, time = ("at", each.decided_at) if each.decided_at else ("until", each.expires_at)
    when = f" {word} {time:%Y-%m-%d %H:%M} UTC"
    comment = f": {escape(each.comment)}" if each.comment else ""
    return f"**Approval {each.id}:** {each.status}{who}{when}{comment}"


def _correction(finished: record.SkillExecution | None, said: Sequence[Correction]) -> str:
    """What users say is right instead, and all that was said about it."""
    right = finished.user_correction if finished else None
    head = f"**User correction:** {escape(_listed(right), _PROSE) if right else 'NONE ✅'}"
    return "\n".join((head, "", *(f"- {_statement(each)}" for each in said))) if said else head


def _statement(each: Correction) -> str:
    """Who said what, when, and whether it stands."""
    proof = "verified" if each.verified else "a typed name"
    who = f"{each.created_at:%Y-%m-%d %H:%M} UTC, {escape(each.corrected_by)} ({escape(each.via)}, {proof})"
    words = escape(_listed(each.correction), _PROSE)
    if each.kind == "withdrawal":
        return f"{who} took back statement {each.refers_to}"
    if each.kind == "confirmation":
        what = f"statement {each.refers_to}" if each.refers_to else "that it was right"
        return f"{who} confirmed {what}" + (f": {words}" if words else "")
    return f"statement {each.id}, {who}: {words}"


def _listed(given: Any) -> str:
    if not isinstance(given, dict):
        return _short(given)
    return "; ".join(f"{name}: {_short(value)}" for name, value in given.items())


def _cost(row: record.Execution, steps: Sequence[journal.Step]) -> str:
    worked, latency = row.model_seconds + row.tool_seconds, "not ended"
    if row.latency_seconds is not None:
        beside = worked > row.latency_seconds + 0.005
        latency = f"{row.latency_seconds:.2f} s" + (", some calls side by side" if beside else "")
    return (
        f"**Cost:** {format_dollars(row.cost_micro)}\n\n{_tokens(row, steps)}\n\n"
        f"**Latency:** {latency}\n\n"
        f"- tools: {row.tool_seconds:.2f} s ({row.tool_seconds / (worked or 1):.0%})\n"
        f"- model: {row.model_seconds:.2f} s ({row.model_seconds / (worked or 1):.0%})"
    )


def _tokens(row: record.Execution, steps: Sequence[journal.Step]) -> str:
    """Tokens of each kind, and their share of the cost as list prices have it."""
    paid = Counter[str]()
    for step in steps:
        paid.update(costs(step.name, step.tokens or {}, step.cost_micro))
    counted = {
        "input": (row.input_tokens, "in"),
        "output": (row.output_tokens, "out"),
        "cache_read": (row.cache_read_tokens, "from cache"),
        "cache_write": (row.cache_write_tokens, "into cache"),
    }
    return "\n".join(
        f"- {count:,} tokens {words}"
        + (f": {format_dollars(round(paid[kind] * MICRO))}" if paid[kind] else "")
        for kind, (count, words) in counted.items()
        if count or kind in ("input", "output")
    )


def _fields(data: Any) -> str:
    if not isinstance(data, dict):
        return ""
    empty: tuple[Any, ...] = (None, "", [])
    shown = {name: value for name, value in data.items() if name not in _HIDDEN and value not in empty}
    return "\n".join(
        f"- {name}: {escape(_short(value), _PROSE if isinstance(value, str) else _LONGEST)}"
        for name, value in shown.items()
    )


def _list(title: str, items: list[str]) -> str:
    return f"### {title}\n\n" + "\n".join(f"- {escape(item, _PROSE)}" for item in items) if items else ""


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
