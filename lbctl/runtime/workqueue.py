"""Dirty keys: each waits at most once, none is worked on twice at a time, failures back off."""

import asyncio
import random
from collections import deque

BACKOFF_FIRST_S = 0.1
BACKOFF_CAP_S = 30.0


class WorkQueue:
    """The queue between events and passes; semantics of client-go's. One event loop."""

    def __init__(self) -> None:
        self._ready: deque[str] = deque()
        self._dirty: set[str] = set()
        self._working: set[str] = set()
        self._failures: dict[str, int] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._waiters: deque[asyncio.Future[None]] = deque()

    def __len__(self) -> int:
        return len(self._ready)

    @property
    def load(self) -> int:
        """Return how many keys are ready or being worked on."""
        return len(self._ready) + len(self._working)

    def add(self, key: str) -> None:
        """Mark a key dirty; while it is being worked on, it waits for that to end."""
        if key in self._dirty:
            return
        self._dirty.add(key)
        if key not in self._working:
            self._push(key)

    def add_after(self, key: str, delay_s: float) -> None:
        """Mark a key dirty after a delay; an earlier timer of the same key stays."""
        loop = asyncio.get_running_loop()
        when = loop.time() + max(delay_s, 0.0)
        known = self._timers.get(key)
        if known is not None:
            if known.when() <= when:
                return
            known.cancel()
        self._timers[key] = loop.call_at(when, self._fire, key)

    def retry(self, key: str) -> None:
        """Mark a key dirty after its back-off: 0.1 s doubling to 30 s, jittered."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        # Bounded before it is a power: 2**1024 is no float, and a Service may fail for days.
        delay_s = min(BACKOFF_FIRST_S * 2 ** min(failures, 16), BACKOFF_CAP_S)
        self.add_after(key, delay_s * random.uniform(0.5, 1.0))  # noqa: S311

    def succeeded(self, key: str) -> None:
        """Forget the failures of a key."""
        self._failures.pop(key, None)

    async def get(self) -> str:
        """Wait for a dirty key and take it; `done` must follow."""
        while not self._ready:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if waiter.done() and not waiter.cancelled() and self._ready:
                    self._wake()  # the key that came for us is another worker's now
                raise
        key = self._ready.popleft()
        self._dirty.discard(key)
        self._working.add(key)
        return key

    def done(self, key: str) -> None:
        """End the work on a key; if it was marked meanwhile, it is ready again."""
        self._working.discard(key)
        if key in self._dirty:
            self._push(key)

    def _fire(self, key: str) -> None:
        self._timers.pop(key, None)
        self.add(key)

    def _push(self, key: str) -> None:
        self._ready.append(key)
        self._wake()

    def _wake(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
