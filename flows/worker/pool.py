"""A Prefect worker of process pools whose runs are forks of a process that has everything imported.

Prefect's own worker starts an interpreter for each run, which imports Prefect and the project for 4–5
seconds. Both serve the same work pool.
"""

from __future__ import annotations

import abc
import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Container, Iterable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import anyio
import anyio.abc
import httpx
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterParentFlowRunId,
    FlowRunFilterParentTaskRunId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    TaskRunFilter,
    TaskRunFilterId,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import FlowRun, State, StateType, Worker
from prefect.events.clients import get_events_subscriber
from prefect.events.filters import EventFilter, EventNameFilter
from prefect.exceptions import PrefectHTTPStatusError
from prefect.states import AwaitingRetry, Cancelled, Crashed
from prefect.workers.base import BaseWorker, BaseWorkerResult
from prefect.workers.process import ProcessJobConfiguration, ProcessVariables
from websockets.exceptions import WebSocketException

from blocks.home import ROOT
from flows.worker.forks import Fork, Forks
from tasks import lease
from tasks.clock import utc

CANCEL_SECONDS = 1.0
"""How often cancelled runs are looked for, while runs are under way."""
FINISHES_WITHIN = 5.0
"""What runs have to finish when the worker is told to stop, in seconds."""
LOST_SECONDS = 10.0
"""How often runs of dead processes are looked for."""
GONE = timedelta(seconds=10)
"""So long after its last change, a run is lost whose process is gone."""
UNSTARTED = timedelta(seconds=60)
"""So long after it was taken, a run is lost that has no process."""
BEAT_SECONDS = 30
"""Between two heartbeats of a worker that does not say."""
SILENT_BEATS = 3
"""So many heartbeats missed, and a worker of another host is taken for dead, with its runs."""
ATTEMPTS = 3
"""So often a run is started again whose process was lost."""
UNDER_WAY = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]
WAITING = ("Scheduled", "AwaitingRetry", "Resuming")
"""States of runs that may be fetched."""
WORKER = "prefect.worker.name"
"""The label by which Prefect tells whose run it is."""
ENDED = "The process of this run has ended"
ORPHANED = "The run that this was part of is not under way; its process was killed while this began."
LOST = "The process of this run is gone: its worker was stopped or killed."

_API_ERRORS = (httpx.HTTPError, PrefectHTTPStatusError)


class ForkResult(BaseWorkerResult):
    """How a run's process ended."""


class WarmWorker(BaseWorker[ProcessJobConfiguration, ProcessVariables, ForkResult], abc.ABC):
    """Serves pools of type `process`.

    As an abstract class it is not registered with Prefect, whose own worker keeps the type's name.
    """

    type = "process"
    job_configuration = ProcessJobConfiguration
    job_configuration_variables = ProcessVariables

    def __init__(self, forks: Forks, pool: str) -> None:
        super().__init__(work_pool_name=pool)
        self._forks = forks
        self._under_way: dict[UUID, Fork] = {}
        self._cancelled: set[UUID] = set()

    async def run(
        self,
        flow_run: FlowRun,
        configuration: ProcessJobConfiguration,
        task_status: anyio.abc.TaskStatus[Any] | None = None,
    ) -> ForkResult:
        """Runs a flow run in a fork to its end; when the worker is stopped, for a moment longer."""
        directory = configuration.working_dir or ROOT
        fork = await self._forks.start(str(flow_run.id), configuration.env, directory)
        self._under_way[flow_run.id] = fork
        if task_status:
            task_status.started(fork.name)
        try:
            code = await fork.wait()
        except asyncio.CancelledError:
            with anyio.CancelScope(shield=True):
                await self._leave(flow_run.id, fork)
            raise
        finally:
            self._under_way.pop(flow_run.id, None)
        if flow_run.id not in self._cancelled:
            await self._end_subflows(flow_run.id, Crashed(message=f"{ENDED} with code {code}."))
        return ForkResult(
            identifier=fork.name, status_code=0 if flow_run.id in self._cancelled else code or 0
        )

    async def start(self, *args: Any, **settings: Any) -> None:
        """Serves the pool, ends cancelled runs, and looks for those whose process is gone."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._again, self._cancel_some, CANCEL_SECONDS)
            group.start_soon(self._again, self._find_lost, LOST_SECONDS)
            group.start_soon(self._again, self._fetch_at_once, CANCEL_SECONDS)
            await super().start(*args, **settings)
            group.cancel_scope.cancel()

    async def _again(self, round_: Callable[[], Awaitable[None]], seconds: float) -> None:
        while True:
            if self.is_setup:
                try:
                    await round_()
                except _API_ERRORS as error:
                    self._logger.info("tried again in %g s: %s", seconds, error)
            await anyio.sleep(seconds if self.is_setup else CANCEL_SECONDS)

    async def _fetch_at_once(self) -> None:
        """Asks for runs as soon as the server tells that one waits; the loop that asks anyway is slow."""
        waiting = EventFilter(event=EventNameFilter(name=[f"prefect.flow-run.{name}" for name in WAITING]))
        try:
            async with get_events_subscriber(filter=waiting, reconnection_attempts=0) as events:
                await self.get_and_submit_flow_runs()
                async for _ in events:
                    await self.get_and_submit_flow_runs()
        except (OSError, WebSocketException) as error:
            self._logger.info("the server's events are not heard: %s", error)

    async def _cancel_some(self) -> None:
        waiting = [id for id in self._under_way if id not in self._cancelled]
        if waiting:
            found = await self._read(FlowRunFilterId(any_=waiting), [StateType.CANCELLING])
            await asyncio.gather(*(self._cancel(flow_run.id) for flow_run in found))

    async def _cancel(self, id: UUID) -> None:
        """Kills a run: asked to end, Prefect's engine would report a crash, and the run be started again."""
        fork = self._under_way.get(id)
        if fork is None:
            return
        self._cancelled.add(id)
        await fork.kill()
        cancelled: State[Any] = Cancelled(message="Cancelled; its process has ended.")
        await self._end_subflows(id, cancelled)
        await self._set(id, cancelled)

    async def _leave(self, id: UUID, fork: Fork) -> None:
        """Ends a run's process without its knowledge, as a crash would, so that it is gone on with later."""
        if await fork.wait(FINISHES_WITHIN) is None:
            await fork.kill()
            with contextlib.suppress(*_API_ERRORS):
                await self._lost(await self.client.read_flow_run(id))

    async def _find_lost(self) -> None:
        pool = WorkPoolFilter(name=WorkPoolFilterName(any_=[self._work_pool_name]))
        under_way = await self._read(None, UNDER_WAY, work_pool_filter=pool)
        others = [flow_run for flow_run in under_way if flow_run.id not in self._under_way]
        dead = await self._dead() if others else ()
        for flow_run in others:
            if is_lost(flow_run, dead):
                await self._lost(flow_run)
        for parent in await self._parents(await self._read(None, UNDER_WAY, subflows=True), pool):
            if is_over(parent):
                await self._end_subflows(parent.id, Crashed(message=ORPHANED))

    async def _dead(self) -> Container[object]:
        """Names of the pool's workers that are silent."""
        return silent(await self.client.read_workers_for_work_pool(self._work_pool_name))

    async def _parents(self, subflows: Iterable[FlowRun], pool: WorkPoolFilter) -> list[FlowRun]:
        """The runs of the pool that these subflows are part of, each once."""
        tasks = [each.parent_task_run_id for each in subflows if each.parent_task_run_id]
        if not tasks:
            return []
        wanted = TaskRunFilter(id=TaskRunFilterId(any_=tasks))
        return await self.client.read_flow_runs(task_run_filter=wanted, work_pool_filter=pool)

    async def _lost(self, flow_run: FlowRun) -> None:
        """Notes the truth about a run whose process is gone, and lets it start again: its journal goes on."""
        await self._end_subflows(flow_run.id, Crashed(message=LOST))
        if flow_run.state and flow_run.state.is_cancelling():
            state: State[Any] = Cancelled(message=LOST)
        elif flow_run.run_count < ATTEMPTS:
            state = AwaitingRetry(message=LOST)
        else:
            state = Crashed(message=LOST)
        self._logger.warning("flow run %s: %s Now it is %s.", flow_run.name, LOST, state.name)
        await self._set(flow_run.id, state)

    async def _end_subflows(self, id: UUID, state: State[Any]) -> None:
        with contextlib.suppress(*_API_ERRORS):
            for subflow in await self._read(None, UNDER_WAY, parent=[id]):
                await self._end_subflows(subflow.id, state)
                await self._set(subflow.id, state.fresh_copy())

    async def _read(
        self,
        ids: FlowRunFilterId | None,
        states: Iterable[StateType],
        parent: list[UUID] | None = None,
        subflows: bool = False,
        **filters: Any,
    ) -> list[FlowRun]:
        return await self.client.read_flow_runs(
            flow_run_filter=FlowRunFilter(
                id=ids,
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(states))),
                parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=parent) if parent else None,
                parent_task_run_id=FlowRunFilterParentTaskRunId(is_null_=False) if subflows else None,
            ),
            **filters,
        )

    async def _set(self, id: UUID, state: State[Any]) -> None:
        await self.client.set_flow_run_state(id, state, force=True)


def is_lost(flow_run: FlowRun, dead: Container[object] = ()) -> bool:
    """Whether a run's process has been gone for a while, or it was given none for too long.

    A run that was suspended has the name of its former process until it gets its new one.

    Args:
        dead: names of workers that are; what they ran on other hosts is lost.
    """
    since = utc() - flow_run.state.timestamp if flow_run.state else UNSTARTED
    process = flow_run.infrastructure_pid
    if not process:
        return since > UNSTARTED
    gone = lease.is_gone(process) or (not lease.is_here(process) and flow_run.labels.get(WORKER) in dead)
    return since > GONE and gone


def is_over(flow_run: FlowRun) -> bool:
    """Whether a run has not been under way for a while: nothing is then part of it that is."""
    state = flow_run.state
    return state is not None and state.type not in UNDER_WAY and utc() - state.timestamp > GONE


def silent(workers: Sequence[Worker]) -> set[object]:
    """Names of the workers that have sent no heartbeat for long, compared with the last that any sent."""
    beats = {
        each.name: (each.last_heartbeat_time, each.heartbeat_interval_seconds or BEAT_SECONDS)
        for each in workers
    }
    last = max((at for at, _ in beats.values() if at), default=None)
    return {
        name
        for name, (at, seconds) in beats.items()
        if at and last and last - at > SILENT_BEATS * timedelta(seconds=seconds)
    }
