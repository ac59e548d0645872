"""Run the asynchronous part of a test, with a safety limit instead of a hang."""

import asyncio
import contextlib
import selectors
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

T = TypeVar("T")
LIMIT_S = 60.0
"""Far above what any test needs: it only ends a test that would hang."""
LOOK_S = 0.001
"""The shortest wait: what is under way on the loopback arrives in it."""


class _Impatient(selectors.DefaultSelector):
    """Waits for a `pace`-th of the time it is told to, and counts what it left out."""

    def __init__(self, pace: int) -> None:
        super().__init__()
        self.pace = pace
        self.skipped_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= LOOK_S:
            return super().select(timeout)
        short = max(timeout / self.pace, LOOK_S)
        ready = super().select(short)
        if not ready:
            self.skipped_s += timeout - short
        return ready


class Hurried(asyncio.SelectorEventLoop):
    """A loop in which waiting takes a `pace`-th of its time: back-offs and leases cost nothing.

    Only waits in which nothing arrives are shortened. What is computed takes as long on its clock
    as on any other, so that a busy machine does not make leases and calls run out.
    """

    pace = 100

    def __init__(self) -> None:
        self._impatient = _Impatient(self.pace)
        super().__init__(self._impatient)

    def time(self) -> float:
        return super().time() + self._impatient.skipped_s


class Brisk(Hurried):
    """A loop for those who wait for other programs, which need their time to answer."""

    pace = 10


def run(
    body: Coroutine[Any, Any, T],
    loop_factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop,
) -> T:
    """Run `body` in a loop of its own and return its value."""

    async def limited() -> T:
        try:
            async with asyncio.timeout(LIMIT_S * _pace()):
                return await body
        finally:
            await _end_connections()

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
        await asyncio.sleep(LOOK_S * _pace())


async def _end_connections() -> None:
    """End what is left of connections: one with TLS closes only when the server has answered."""
    loop = asyncio.get_running_loop()
    for transport in list(getattr(loop, "_transports", {}).values()):
        transport.abort()
    await turns(3)


def _pace() -> int:
    loop = asyncio.get_running_loop()
    return loop.pace if isinstance(loop, Hurried) else 1
