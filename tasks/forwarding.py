"""Forwards the outbox to Langfuse and Opik: at least once, under ids that make it once.

A courier carries one destination's rows, the oldest first. It claims some, tells the destination, and deletes
them when it has confirmed. What then fails is told apart by trying fewer:

- Several at once are not taken, for whatever reason: one is tried by itself.
- One by itself is refused: it is `failed`, with the reason. `aspora telemetry --retry` makes it due again.
- One by itself gets no usable answer: the destination counts as down. It is tried again after a pause, each
  longer than the one before, with rows first that did not fail yet. No attempt is counted, and nothing is
  given up, however long that lasts. Only when the destination takes others do those get the blame, and are
  `failed` after many attempts.
- The destination asks to come back later, or takes nothing as it is set up (a wrong key, say): nothing is
  tried until then.

A forwarder that is killed leaves its claims; they run out, and the next one tells the same again.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from blocks.database import DatabaseError
from blocks.messengers import Limited, Refused, Undelivered
from blocks.schema import TELEMETRY, corrections
from blocks.telemetry import SECONDS, Destination, Score, Settings, Trace
from tasks import outbox, trace
from tasks.clock import utc
from tasks.outbox import Row
from tasks.platform import Platform
from tasks.trace import Ended, Teller

MOST = 50
"""Rows told at once."""
MOST_CHARACTERS = 2_000_000
"""Of all of them as JSON."""
CLAIM = timedelta(seconds=2 * SECONDS)
"""Longer than telling ever takes."""
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
ROW_PAUSE = 5.0
LONGEST_ROW_PAUSE = 3600.0
MOST_ATTEMPTS = 10
"""That a row fails by itself while others are taken."""
MOST_SUSPECTS = 500
TOLD_REASONS = 20
"""Different reasons of refusal that are logged; `aspora telemetry` shows them all the same."""

_log = logging.getLogger("aspora.forwarder")


@dataclass(frozen=True)
class Load:
    """What is told at once, and the rows that it fulfils."""

    rows: tuple[Row, ...]
    traces: tuple[Trace, ...]
    scores: tuple[Score, ...]


class Courier:
    """Carries the rows of one destination.

    Args:
        clock: monotonic seconds.
        now: the time that rows are due by.
    """

    def __init__(
        self,
        platform: Platform,
        settings: Settings,
        destination: Destination,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = utc,
    ) -> None:
        self._database = platform.database
        self._teller = Teller(platform.masker, platform.config)
        self._settings = settings
        self._destination = destination
        self._clock = clock
        self._now = now
        self._size = MOST
        self._pause = FIRST_PAUSE
        self._closed_until = 0.0
        self._down = False
        self._suspects: set[int] = set()
        self._told: set[str] = set()

    async def carry(self) -> int:
        """Tells of all that is due, unless the destination is down; how many rows were confirmed."""
        count = 0
        while self._clock() >= self._closed_until:
            rows = await self._database.write(self._claim)
            if not rows:
                break
            count += await self._round(rows)
        return count

    async def close(self) -> None:
        """Closes the destination's connections."""
        await self._destination.close()

    def _claim(self, conn: Connection) -> list[Row]:
        return outbox.claim(conn, self._settings.name, self._size, CLAIM, self._suspects, self._now())

    async def _round(self, rows: Sequence[Row]) -> int:
        open_ = {row.id for row in rows}
        try:
            load = await self._load(rows)
            open_ = {row.id for row in load.rows}
            await self._release([row for row in rows if row.id not in open_])
            if not load.rows:
                return 0
            return await self._tell(load)
        except BaseException:
            await self._database.write(lambda conn: outbox.put_off(conn, sorted(open_), self._now()))
            raise

    async def _tell(self, load: Load) -> int:
        try:
            await self._destination.send(load.traces, load.scores)
        except Undelivered as error:
            await self._failed(load.rows, error)
            return 0
        await self._database.write(lambda conn: outbox.confirm(conn, load.rows))
        await self._works()
        return len(load.rows)

    async def _failed(self, rows: Sequence[Row], error: Undelivered) -> None:
        unusable = isinstance(error, Refused) and not error.final
        if isinstance(error, Limited) or unusable:
            await self._release(rows, f"{error}")
            self._close(error)
        elif len(rows) > 1:
            self._size = 1
            await self._release(rows)
        elif isinstance(error, Refused):
            await self._give_up(rows[0], f"{error}")
        else:
            row, reason = rows[0], f"{error}"
            self._suspect(row)
            pause = min(ROW_PAUSE * 2**row.attempts, LONGEST_ROW_PAUSE)
            until = self._now() + timedelta(seconds=_jittered(pause))
            await self._database.write(lambda conn: outbox.put_off(conn, [row.id], until, reason))
            self._close(error)

    async def _give_up(self, row: Row, reason: str) -> None:
        await self._database.write(lambda conn: outbox.give_up(conn, row.id, reason))
        self._warn(f"does not take {row.kind} {row.subject}", reason)

    async def _works(self) -> None:
        self._size = min(2 * self._size, MOST)
        self._pause = FIRST_PAUSE
        if self._down:
            self._down = False
            _log.warning("%s takes telemetry again; what waited is being told", self._settings.title)
        if not self._suspects:
            return
        suspects, self._suspects = self._suspects, set()
        if await self._database.write(lambda conn: outbox.blame(conn, suspects, MOST_ATTEMPTS)):
            self._warn("takes others, but not all", f"given up after {MOST_ATTEMPTS} attempts")

    def _suspect(self, row: Row) -> None:
        """Others are tried before it from now on: it may be the row, and not the destination."""
        if len(self._suspects) < MOST_SUSPECTS:
            self._suspects.add(row.id)

    def _close(self, error: Undelivered) -> None:
        """Nothing is tried for a while; people are told once."""
        pause = error.seconds if isinstance(error, Limited) else _jittered(self._pause)
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
        self._closed_until = self._clock() + pause
        self._size = 1
        if not self._down:
            self._down = True
            _log.warning(
                "%s at %s takes no telemetry (%s); it is kept, and tried again until it works",
                self._settings.title,
                self._settings.place,
                error,
            )

    def _warn(self, what: str, reason: str) -> None:
        """Says it once for each reason."""
        if reason not in self._told and len(self._told) < TOLD_REASONS:
            self._told.add(reason)
            _log.warning("%s %s: %s (`aspora telemetry` shows how many)", self._settings.title, what, reason)

    async def _release(self, rows: Sequence[Row], reason: str | None = None) -> None:
        ids = [row.id for row in rows]
        if ids:
            await self._database.write(lambda conn: outbox.put_off(conn, ids, self._now(), reason))

    async def _load(self, rows: Sequence[Row]) -> Load:
        """What the first rows say, as many as may be told at once. What can't be told at all has failed."""
        kept: list[Row] = []
        traces: dict[str, Trace] = {}
        scores: dict[str, Score] = {}
        runs: dict[str, list[Ended]] = {}
        size = 0
        for row in rows:
            try:
                made, score = await self._make(row, runs)
            except (DatabaseError, asyncio.CancelledError):
                raise
            except Exception as error:  # a row that can't be told must not hold up the others
                await self._give_up(row, f"it can't be told: {type(error).__name__}: {error}")
                continue
            size += _size(made)
            if kept and size > MOST_CHARACTERS:
                break
            kept.append(row)
            traces[made.key] = _joined(traces.get(made.key), made)
            if score and score.span:
                scores[score.span.key] = score
        return Load(tuple(kept), tuple(traces.values()), tuple(scores.values()))

    async def _make(self, row: Row, runs: dict[str, list[Ended]]) -> tuple[Trace, Score | None]:
        """A row's trace, and its score if it is a correction.

        Args:
            runs: those that were read already, by id.
        """

        def read(conn: Connection) -> Ended:
            ended = trace.read(conn, _execution(conn, row))
            run_id = ended.row.run_id
            if self._settings.name == "opik" and run_id not in runs:
                runs[run_id] = trace.read_run(conn, run_id)
            return ended

        def make(ended: Ended) -> tuple[Trace, Score | None]:
            run = runs.get(ended.row.run_id)
            made = self._teller.of_run(run, [ended]) if run else self._teller.of_execution(ended)
            return made, self._teller.score(ended, made) if row.kind == "correction" else None

        ended = await self._database.read(read)
        return await asyncio.to_thread(make, ended)


def state(conn: Connection) -> list[outbox.State]:
    """How far each destination has been told."""
    return [outbox.state(conn, name) for name in TELEMETRY]


def _execution(conn: Connection, row: Row) -> str:
    """The id of the execution that a row is about.

    Raises:
        LookupError: the record has it no more.
    """
    if row.kind == "execution":
        return row.subject
    found = conn.execute(
        select(corrections.c.execution_id).where(corrections.c.id == int(row.subject))
    ).scalar()
    if found is None:
        raise LookupError(f"the record has no correction {row.subject}")
    return str(found)


def _joined(before: Trace | None, now: Trace) -> Trace:
    """A trace with the spans of both."""
    if before is None:
        return now
    spans = {span.key: span for span in (*before.spans, *now.spans)}
    return replace(now, spans=tuple(spans.values()))


def _size(made: Trace) -> int:
    documents = [made.input, made.output, dict(made.metadata)]
    for span in made.spans:
        documents += [span.input, span.output, dict(span.metadata)]
    return sum(len(json.dumps(each, default=str, ensure_ascii=False)) for each in documents)


def _jittered(seconds: float) -> float:
    return seconds * random.uniform(0.75, 1.25)  # noqa: S311 - spreads, hides nothing
