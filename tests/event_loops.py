"""Run the asynchronous part of a test, with a safety limit instead of a hang."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
LIMIT_S = 20.0
"""Far above what any test needs: it only ends a test that would hang."""


def run(body: Coroutine[Any, Any, T]) -> T:
    """Run `body` in a loop of its own and return its value."""

    async def limited() -> T:
        async with asyncio.timeout(LIMIT_S):
            return await body

    return asyncio.run(limited())


@contextlib.asynccontextmanager
async def running(*programs: Awaitable[Any]) -> AsyncIterator[list[asyncio.Future[Any]]]:
    """Run programs beside the block; cancel them at its end."""
    tasks = [asyncio.ensure_future(program) for program in programs]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def turns(count: int = 10) -> None:
    """Let everything that is ready run: `count` turns of the loop, no time."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(true: Callable[[], bool]) -> None:
    """Give the loop turns until something holds (for conditions that no event announces)."""
    while not true():  # noqa: ASYNC110 (the limit of `run` ends it)
        await asyncio.sleep(0.001)
