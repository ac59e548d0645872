"""Dirty keys: each waits at most once, none is worked on twice at a time, failures back off."""

import asyncio
import random
from collections import deque

BACKOFF_FIRST_S = 0.1
BACKOFF_CAP_S = 30.0
PATIENT_AT_A_TIME = 2
"""Keys in work up to which one that was put off is taken."""
PATIENCE_S = 10.0
"""A key is put off for so long at most."""
CALM_S = 0.25
"""Without a key that may not wait for so long, work that may wait is done even where it is slow."""


class WorkQueue:
    """The queue between events and passes; semantics of client-go's. One event loop."""

    def __init__(self) -> None:
        self.congested = False
        """Work takes long: what may wait makes way for what may not, even if that comes later."""
        self._last_taken = float("-inf")
        self._looking: asyncio.TimerHandle | None = None
        self._ready: deque[str] = deque()
        self._dirty: set[str] = set()
        self._working: dict[str, float] = {}
        """Keys in work, and until when each may be put off."""
        self._failures: dict[str, int] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._put_off: dict[str, None] = {}
        """Keys that wait for a quiet moment; first come, first taken."""
        self._until: dict[str, float] = {}
        """Until when a key that was put off may be put off again."""

    def __len__(self) -> int:
        return len(self._ready)

    def add(self, key: str) -> None:
        """Mark a key dirty; while it is being worked on, it waits for that to end."""
        if key in self._dirty:
            return
        self._dirty.add(key)
        self._put_off.pop(key, None)
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

    def seen(self, key: str) -> None:
        """Forget what marked a key in work: what its worker is about to look at has it all."""
        self._dirty.discard(key)

    def put_off(self, key: str) -> bool:
        """Let a key in work wait for a quiet moment; False when it has come or the key waited long.

        Quiet is when at most `PATIENT_AT_A_TIME` keys are in work and, where work is slow, no new
        one came for a while. What is put off is taken then or when it is due; it may be marked
        dirty meanwhile as any other.
        """
        until = self._working[key]
        quiet = not self._ready and self._is_quiet(PATIENT_AT_A_TIME)
        if quiet or until <= asyncio.get_running_loop().time():
            return False
        self._until[key] = until
        if key not in self._dirty:
            self._put_off[key] = None
        return True

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
        """Wait for a dirty key, or one that was put off, and take it; `done` must follow."""
        while not (self._ready or self._may_take_patient()):
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            self._look_again()
            try:
                await waiter
            except asyncio.CancelledError:
                if waiter.done() and not waiter.cancelled() and self._ready:
                    self._wake()  # the key that came for us is another worker's now
                raise
        return self._take()

    def done(self, key: str) -> None:
        """End the work on a key; if it was marked meanwhile, it is ready again."""
        del self._working[key]
        if key in self._dirty:
            self._push(key)

    def _is_quiet(self, in_work: int) -> bool:
        calm = asyncio.get_running_loop().time() - self._last_taken >= CALM_S
        return len(self._working) <= in_work and (calm or not self.congested)

    def _may_take_patient(self) -> bool:
        return bool(self._put_off) and (self._is_quiet(PATIENT_AT_A_TIME - 1) or self._is_overdue())

    def _is_overdue(self) -> bool:
        first = next(iter(self._put_off), None)
        return first is not None and self._until[first] <= asyncio.get_running_loop().time()

    def _look_again(self) -> None:
        """Wake a worker after a while, since no event tells that it is quiet now."""
        if self._put_off and self._looking is None:
            self._looking = asyncio.get_running_loop().call_later(CALM_S, self._look)

    def _look(self) -> None:
        self._looking = None
        self._wake()

    def _take(self) -> str:
        now = asyncio.get_running_loop().time()
        if not self._ready or self._is_overdue():
            key = next(iter(self._put_off))
            del self._put_off[key]
            del self._until[key]
            self._working[key] = now  # in its turn, so that it is not put off again
            if self._ready:
                self._wake()  # what this worker was woken for is another one's now
            return key
        key = self._ready.popleft()
        self._dirty.discard(key)
        self._last_taken = now
        self._working[key] = self._until.pop(key, now + PATIENCE_S)
        return key

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
