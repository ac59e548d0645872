"""Run the asynchronous part of a test, with a safety limit instead of a hang."""

import asyncio
import contextlib
import selectors
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

T = TypeVar("T")
LIMIT_S = 60.0
"""Far above what any test needs: it only ends a test that would hang."""
PACE = 10


class _Impatient(selectors.DefaultSelector):
    """Waits for a `PACE`-th of the time it is told to."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(timeout / PACE if timeout else timeout)


class Hurried(asyncio.SelectorEventLoop):
    """A loop whose clock runs `PACE` times as fast: back-offs and leases take no time."""

    def __init__(self) -> None:
        super().__init__(_Impatient())

    def time(self) -> float:
        return super().time() * PACE


def run(
    body: Coroutine[Any, Any, T],
    loop_factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop,
) -> T:
    """Run `body` in a loop of its own and return its value."""

    limit = LIMIT_S * (PACE if loop_factory is Hurried else 1)

    async def limited() -> T:
        async with asyncio.timeout(limit):
            return await body

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(limited())


@contextlib.asynccontextmanager
async def running(*programs: Awaitable[Any]) -> AsyncIterator[Sequence[asyncio.Future[Any]]]:
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
