"""Shows the platform's steps as Prefect tasks where a flow runs, and just runs them elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

T = TypeVar("T")

_task: Any = None


async def visible(name: str, work: Callable[[], Awaitable[T]]) -> T:
    """Runs `work`, as a Prefect task of that name when inside a flow run.

    The journal, not Prefect, keeps results: the task is for people who watch.
    """
    if not _in_flow():
        return await work()
    result: T = await _step()(name, _Opaque(work))
    return result


def _in_flow() -> bool:
    if "prefect.context" not in sys.modules:
        return False
    from prefect.context import FlowRunContext

    return FlowRunContext.get() is not None


class _Opaque:
    """Keeps Prefect from walking through a step's data in search of futures."""

    __slots__ = ("work",)

    def __init__(self, work: Callable[[], Awaitable[Any]]) -> None:
        self.work = work


def _step() -> Any:
    global _task  # noqa: PLW0603 - prefect is imported on first use
    if _task is None:
        from prefect import task
        from prefect.cache_policies import NO_CACHE

        async def step(name: str, opaque: _Opaque) -> Any:
            return await opaque.work()

        _task = task(name="step", task_run_name="{name}", cache_policy=NO_CACHE, persist_result=False)(step)
    return _task
