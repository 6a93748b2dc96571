"""Ended executions as traces: one an execution for Langfuse, one a run for Opik.

Everything comes from the record and the journal. Personal data is masked and sizes are bounded here, before
anything leaves.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy import Connection, select

from blocks.config import Config
from blocks.model import ModelError, Usage, price
from blocks.schema import corrections, handoffs, skill_executions
from blocks.telemetry import Level, Score, Span, Trace
from blocks.units import MICRO
from tasks import archive, record
from tasks.journal import Step
from tasks.masking import Masker
from tasks.record import Execution

LONGEST = 4_000
"""Characters of one text."""
LONGEST_RAW = 6_000
"""Characters of one text that are masked at all; masks are shorter than what they stand for."""
ITEMS = 50
DEPTH = 8
DOCUMENT = 30_000
"""Characters of an input or output as JSON."""
STEPS = 200
LINES = 50
"""Executions whose output a run's trace shows in a line each."""
LINE = 300
_STAMP = re.compile(r"(.+-(\d{4}-\d\d-\d\d-\d\d:\d\d:\d\d))-[0-9a-f]{4,32}")
_WHOLE_WORDS = re.compile(r".*[\s,;\"'|&<>]", re.DOTALL)
_LONGEST_WORD = 200
_NOT_IN_A_LINE = ("summary",)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ended:
    """An ended execution as the record has it.

    Attributes:
        outcome: its outcome, `user_corrected` if people say it was wrong.
        routed: the skills that it handed on to, `none` where no rule matched.
        correction: what people say is right.
        said_at: when they first said anything about it.
    """

    row: Execution
    outcome: str
    steps: tuple[Step, ...] = ()
    routed: tuple[str, ...] = ()
    correction: Mapping[str, Any] | None = None
    said_at: datetime | None = None

    @property
    def end(self) -> datetime:
        """When it ended; never before it began, whatever the clock did."""
        return max(self.row.finished_at or self.row.started_at, self.row.started_at)


def read(conn: Connection, execution_id: str, steps: bool = True) -> Ended:
    """An ended execution.

    Args:
        steps: its journal too.

    Raises:
        UnknownExecution: there is none of that id.
        ValueError: it has not ended.
    """
    row, view = record.get(conn, execution_id), skill_executions.c
    found = conn.execute(
        select(view.outcome, view.user_correction).where(view.execution_id == execution_id)
    ).first()
    if found is None:
        raise ValueError(f"{execution_id} has not ended")
    routed = select(handoffs.c.to_skill).where(handoffs.c.from_execution_id == execution_id)
    said_at = select(corrections.c.created_at).where(corrections.c.execution_id == execution_id)
    return Ended(
        row=row,
        outcome=found.outcome,
        steps=_steps(conn, row) if steps else (),
        routed=tuple(dict.fromkeys(conn.execute(routed.order_by(handoffs.c.id)).scalars())),
        correction=found.user_correction,
        said_at=conn.execute(said_at.order_by(corrections.c.id).limit(1)).scalar(),
    )


def _steps(conn: Connection, row: Execution) -> tuple[Step, ...]:
    """The journal; none of it if it was archived and can't be read."""
    try:
        return tuple(archive.steps(conn, row))
    except archive.ArchiveError as error:
        _log.warning("%s is told without its steps: %s", row.execution_id, error)
        return ()


def read_run(conn: Connection, run_id: str) -> list[Ended]:
    """The run's executions that have ended, without their journals: managers, then in order of start."""
    rows = sorted(record.of_run(conn, run_id), key=lambda row: row.skill_role != "manager")
    return [read(conn, row.execution_id, steps=False) for row in rows if row.outcome is not None]


class Teller:
    """Makes traces of ended executions.

    Args:
        settings: for what model turns cost by kind of token.
    """

    def __init__(self, masker: Masker, settings: Config) -> None:
        self._masker = masker
        self._settings = settings

    def of_execution(self, ended: Ended) -> Trace:
        """An execution as a trace of its own, whose id follows from the execution's."""
        row = ended.row
        return Trace(
            key=row.execution_id,
            name=row.skill_name,
            start=row.started_at,
            end=ended.end,
            session=row.run_id,
            tags=(row.domain, row.skill_name, row.skill_role, ended.outcome),
            metadata=self._short(ended),
            spans=self._spans(ended),
        )

    def of_run(self, run: Sequence[Ended], new: Sequence[Ended]) -> Trace:
        """A run as a trace, with the spans of those executions that are to be told now.

        Args:
            run: all its executions that have ended, in order; the manager's is the first.
            new: some of them, with their journals.
        """
        first = run[0].row
        name, stamp = _stamp(first)
        outcomes = dict.fromkeys(each.outcome for each in run)
        worst = next((each for each in run if _level(each) == "error"), None)
        return Trace(
            key=first.run_id,
            name=name,
            start=first.started_at,
            end=max(each.end for each in run),
            stamp=stamp,
            session=first.run_id,
            input=self._told(first.input_data),
            output=self._lines(run[:LINES]),
            level="error" if worst else "ok",
            note=self._note(worst) if worst else "",
            tags=tuple(dict.fromkeys((first.domain, *(each.row.skill_name for each in run), *outcomes))),
            metadata={
                "run_id": first.run_id,
                "domain": first.domain,
                "executions": len(run),
                "cost_dollars": sum(each.row.cost_micro for each in run) / MICRO,
                "latency": latency(run),
            },
            spans=tuple(span for each in new for span in self._spans(each)),
        )

    def score(self, ended: Ended, trace: Trace) -> Score:
        """What people say about an execution, as it stands now."""
        correction = self._told(dict(ended.correction or {}))
        return Score(
            trace=trace,
            span=next((span for span in trace.spans if span.key == ended.row.execution_id), None),
            name=record.CORRECTED,
            value=float(ended.outcome == record.CORRECTED),
            comment="; ".join(f"{name}: {_plain(value)}" for name, value in correction.items())[:LONGEST],
            at=ended.said_at or ended.end,
            metadata={"correction": correction} if correction else {},
        )

    def line(self, ended: Ended) -> str:
        """An execution's output in a line: `route_to=ecm-diagnose`, `root_cause="…", confidence=high`."""
        output = ended.row.output_data if isinstance(ended.row.output_data, dict) else {}
        shown: dict[str, Any] = {"route_to": ",".join(ended.routed)} if ended.routed else {}
        if ended.row.skill_role == "specialist" or not shown:
            shown |= {name: value for name, value in output.items() if _fits_a_line(name, value)}
        told = self._told(shown) if shown else {"outcome": ended.outcome}
        return ", ".join(f"{name}={_quoted(value)}" for name, value in told.items())[:LINE]

    def _lines(self, run: Sequence[Ended]) -> dict[str, str]:
        """The outputs in a line each, by skill and by what it was about."""
        lines: dict[str, str] = {}
        for each in run:
            about = f" ({self._told(each.row.pattern_key)})" if each.row.pattern_key else ""
            name = f"{each.row.skill_name}{about}"
            lines[each.row.execution_id if name in lines else name] = self.line(each)
        return lines

    def _spans(self, ended: Ended) -> tuple[Span, ...]:
        steps = ended.steps[:STEPS]
        return (
            self._skill(ended, len(ended.steps) - len(steps)),
            *(self._step(ended, each) for each in steps),
        )

    def _skill(self, ended: Ended, left_out: int) -> Span:
        row = ended.row
        output = row.output_data
        routed = {"route_to": ",".join(ended.routed)} if ended.routed else {}
        told = self._told({**routed, **output} if isinstance(output, dict) else {**routed, "output": output})
        return Span(
            key=row.execution_id,
            name=row.skill_name,
            kind="skill",
            start=row.started_at,
            end=ended.end,
            input=self._told(row.input_data),
            output=told,
            level=_level(ended),
            note=self._note(ended),
            tags=(row.skill_role, ended.outcome),
            metadata={
                **self._short(ended),
                "reasoning_trace": self._told(row.reasoning_trace or ""),
                "user_correction": self._told(ended.correction or "none"),
                "output_line": self.line(ended),
                "rule": row.rule or "",
                "pattern": self._told(row.pattern_key or ""),
                "tokens": {kind: getattr(row, f"{kind}_tokens") for kind in _KINDS},
                "latency": latency([ended])["total"],
                **({"steps_left_out": left_out} if left_out > 0 else {}),
            },
        )

    def _step(self, ended: Ended, step: Step) -> Span:
        start = step.started_at
        common: dict[str, Any] = {
            "key": f"{step.execution_id}/{step.sequence}",
            "parent": step.execution_id,
            "name": self._masker.text(step.name),
            "start": start,
            "end": start + timedelta(seconds=max(0.0, step.seconds)),
            "level": "error" if step.status == "error" else "ok",
            "note": self._told(step.summary) if step.status == "error" else "",
        }
        how = {"sequence": step.sequence, "seconds": step.seconds, "status": step.status}
        if step.kind == "tool":
            return Span(
                **common,
                kind="tool",
                input=self._told(step.input),
                output={"summary": self._told(step.summary), "status": step.status},
                metadata={**how, "server": self._server(ended.row.domain, step.name)},
            )
        tokens = {kind: count for kind, count in (step.tokens or {}).items() if kind in _KINDS}
        return Span(
            **common,
            kind="model",
            output=self._turn(step.output),
            model=self._model(step.name),
            provider=ended.row.provider,
            tokens={**tokens, "total": sum(tokens.values())},
            cost=costs(self._model(step.name), tokens, step.cost_micro),
            metadata=how,
        )

    def _turn(self, output: Any) -> Any:
        """What the model wrote, and which tools it asked for."""
        blocks = output.get("content", []) if isinstance(output, dict) else []
        calls = [{"tool": each.get("name")} for each in blocks if each.get("type") == "tool_use"]
        text = "\n".join(str(each.get("text")) for each in blocks if each.get("type") == "text")
        reason = output.get("stop_reason") if isinstance(output, dict) else None
        return self._told({"text": text, "calls": calls, "stop_reason": reason})

    def _short(self, ended: Ended) -> dict[str, Any]:
        """What an execution is searched by."""
        row = ended.row
        return {
            "execution_id": row.execution_id,
            "run_id": row.run_id,
            "domain": row.domain,
            "skill": row.skill_name,
            "role": row.skill_role,
            "outcome": ended.outcome,
            "recorded_outcome": row.outcome,
            "from_skill": row.from_skill or "",
            "model": row.model,
            "provider": row.provider,
            "cost_dollars": row.cost_micro / MICRO,
            "latency_seconds": round(row.latency_seconds or 0.0, 3),
        }

    def _model(self, name: str) -> str:
        """The model's id, as it is called outside."""
        return self._settings.models[name].id if name in self._settings.models else name

    def _server(self, domain: str, tool: str) -> str:
        """The MCP server that the domain has a tool from."""
        settings = self._settings.domains.get(domain)
        offered = settings.mcp_tools.items() if settings else ()
        return next((server for server, tools in offered if tool in tools), "")

    def _note(self, ended: Ended) -> str:
        return str(self._told(ended.row.error or "")) if _level(ended) != "ok" else ""

    def _told(self, content: Any) -> Any:
        """JSON-like content, masked and no larger than may leave."""
        told = cut(self._masker.data(cut(content, LONGEST_RAW, ITEMS)), LONGEST, ITEMS + 1)
        text = json.dumps(told, ensure_ascii=False, default=str)
        return told if len(text) <= DOCUMENT else {"cut": text[:DOCUMENT] + "…"}


def latency(run: Sequence[Ended]) -> dict[str, Any]:
    """Where the time went, in seconds and percent of the part it belongs to.

    Managers and specialists add up to the total, tools and model turns to what either did; those that ran
    side by side count each. Waiting for people is no latency.
    """
    total = _part(run, sum(each.row.latency_seconds or 0.0 for each in run))
    parts = {"total": total}
    for role in ("manager", "specialist"):
        theirs = [each for each in run if each.row.skill_role == role]
        if theirs:
            parts[role] = _part(theirs, total["seconds"])
    return parts


def costs(model: str, tokens: Mapping[str, int], micro: int) -> dict[str, float]:
    """What a turn cost in dollars: in total, and by kind of token as list prices have it."""
    total = {"total": micro / MICRO}
    if not micro:
        return total
    try:
        listed = {kind: price(model, Usage(**{f"{kind}_tokens": tokens.get(kind, 0)})) for kind in _KINDS}
    except ModelError:
        return total
    whole = sum(listed.values())
    parts = {kind: part * micro / whole / MICRO for kind, part in listed.items() if part}
    return {**parts, **total}


def cut(content: Any, longest: int, items: int, depth: int = DEPTH) -> Any:
    """JSON-like content with long texts, long lists and deep levels cut off, and said so."""
    if isinstance(content, str):
        return content if len(content) <= longest else _shortened(content, longest)
    if isinstance(content, Mapping | list | tuple) and depth == 0:
        return "…"
    more = f"… {len(content) - items} more" if isinstance(content, Mapping | list | tuple) else ""
    if isinstance(content, Mapping):
        first = islice(content.items(), items)
        kept = {str(name)[:LINE]: cut(value, longest, items, depth - 1) for name, value in first}
        return kept if len(content) <= items else {**kept, "…": more}
    if isinstance(content, list | tuple):
        told = [cut(item, longest, items, depth - 1) for item in content[:items]]
        return told if len(content) <= items else [*told, more]
    return content


def _shortened(text: str, longest: int) -> str:
    """The beginning, without the word that is cut: half an e-mail address would not be masked."""
    end = text[longest - _LONGEST_WORD : longest]
    whole = _WHOLE_WORDS.match(end)
    return text[: longest - _LONGEST_WORD] + (whole[0] if whole else "") + "…"


def _part(run: Sequence[Ended], whole: float) -> dict[str, Any]:
    seconds = sum(each.row.latency_seconds or 0.0 for each in run)
    tools, model = sum(each.row.tool_seconds for each in run), sum(each.row.model_seconds for each in run)
    return {
        **_share(seconds, whole),
        "tools": _share(tools, tools + model),
        "llm": _share(model, tools + model),
    }


def _share(seconds: float, whole: float) -> dict[str, float]:
    return {"seconds": round(seconds, 3), "percent": round(100 * seconds / whole) if whole else 0}


def _stamp(row: Execution) -> tuple[str, datetime]:
    """A run's name for people, and the time in it: from the run's id, which never changes."""
    match = _STAMP.fullmatch(row.run_id)
    if not match:
        return row.run_id, row.started_at
    try:
        return match[1], datetime.strptime(match[2], "%Y-%m-%d-%H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return row.run_id, row.started_at


def _level(ended: Ended) -> Level:
    if ended.row.outcome == "error":
        return "error"
    return "warning" if ended.row.outcome in ("partial", "refused") else "ok"


def _fits_a_line(name: str, value: Any) -> bool:
    return name not in _NOT_IN_A_LINE and isinstance(value, str | int | float) and value not in ("", None)


def _quoted(value: Any) -> str:
    text = _plain(value)
    return f'"{text}"' if " " in text else text


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


_KINDS = ("input", "output", "cache_read", "cache_write")
