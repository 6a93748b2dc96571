"""Work beside a run: when it is done, in which order, and what its failure does."""

from __future__ import annotations

import asyncio
import logging

import pytest

from tasks.beside import beside, soon


async def test_work_is_done_when_the_block_ends_and_not_waited_for_before() -> None:
    done: list[str] = []
    may_go_on = asyncio.Event()

    async def work() -> None:
        await may_go_on.wait()
        done.append("page")

    async with beside():
        await soon("execution", work())
        assert done == []
        may_go_on.set()
    assert done == ["page"]


async def test_work_about_the_same_thing_keeps_its_order() -> None:
    done: list[int] = []
    may_go_on = asyncio.Event()

    async def first() -> None:
        await may_go_on.wait()
        done.append(1)

    async def second() -> None:
        done.append(2)

    async def other() -> None:
        may_go_on.set()

    async with beside():
        await soon("execution", first())
        await soon("execution", second())
        await soon("something else", other())
    assert done == [1, 2]


async def test_failed_work_is_logged_and_stops_neither_the_run_nor_later_work(
    caplog: pytest.LogCaptureFixture,
) -> None:
    done: list[str] = []

    async def failing() -> None:
        raise OSError("no route to Prefect")

    async def later() -> None:
        done.append("later")

    with caplog.at_level(logging.WARNING):
        async with beside():
            await soon("ecm-x1", failing())
            await soon("ecm-x1", later())
    assert done == ["later"]
    assert "ecm-x1" in caplog.text
    assert "no route to Prefect" in caplog.text


async def test_failed_work_outside_of_a_block_fails_nothing_either(caplog: pytest.LogCaptureFixture) -> None:
    async def failing() -> None:
        raise OSError("no route to Prefect")

    with caplog.at_level(logging.WARNING):
        await soon("ecm-x1", failing())
    assert "no route to Prefect" in caplog.text


async def test_work_of_a_failing_run_is_done_too() -> None:
    done: list[str] = []

    async def work() -> None:
        done.append("page")

    with pytest.raises(ValueError, match="the run failed"):
        async with beside():
            await soon("execution", work())
            raise ValueError("the run failed")
    assert done == ["page"]


async def test_outside_of_a_run_work_is_done_at_once() -> None:
    done: list[str] = []

    async def work() -> None:
        done.append("page")

    await soon("execution", work())
    assert done == ["page"]
