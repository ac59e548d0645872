"""The drains of one node: when a member's time is over, it is programmed away at once."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence

from lbctl_dataplane.rules.draining import Drain, Draining
from lbctl_dataplane.rules.frontend import Frontend

LATER_S = 0.05


def since_boot_s() -> float:
    """Return the seconds since the machine's boot; nobody sets this clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Drains:
    """Knows since when members drain, and asks for a pass when one is over."""

    def __init__(self, now_s: Callable[[], float] = since_boot_s) -> None:
        self._now_s = now_s
        self._draining = Draining()
        self._moved = asyncio.Event()

    def restore(self, drains: Sequence[Drain]) -> None:
        """Take what drained when this agent ran before, on the same boot."""
        self._draining.restore(drains)

    @property
    def drains(self) -> tuple[Drain, ...]:
        """Return what drains, to be kept for a restart; sorted."""
        return self._draining.drains

    def of(self, frontends: Sequence[Frontend]) -> tuple[Frontend, ...]:
        """Return the frontends without the members whose drain time is over."""
        before = self._draining.next_s
        found = self._draining.of(frontends, self._now_s())
        if self._draining.next_s != before:
            self._moved.set()
        return found

    async def follow(self, changed: Callable[[], None]) -> None:
        """Call `changed` whenever a drain is over, for ever."""
        while True:
            self._moved.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._rest_s()):
                    await self._moved.wait()
                    continue
            changed()

    def _rest_s(self) -> float | None:
        at_s = self._draining.next_s
        # A moment later, as the loop's clock is another one: an early pass would find it not over.
        return None if at_s is None else max(at_s - self._now_s(), 0.0) + LATER_S
