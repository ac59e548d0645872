"""The garbage collector of a process that keeps many objects: what survived once is left out.

A full collection walks all objects there are. With 10,000 Services in the caches that is more than
half a second in which nothing else runs, and most of what it finds alive are trees without cycles,
which go with their last reference. So survivors are frozen, and the next collection walks only what
came since: its cost grows with the change. Cycles that were alive at a freeze and died later are
found by a sweep of everything, once in `SWEEP_S`.
"""

import contextlib
import gc
import time
from collections.abc import Callable, Iterator, Mapping

SWEEP_S = 3600.0
FULL = 2
"""The generation of a full collection."""


class Freezer:
    """Called by the collector before and after each collection."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._sweep_at = clock() + SWEEP_S

    def __call__(self, phase: str, found: Mapping[str, int]) -> None:
        """Freeze what survived a full collection; let one have everything when a sweep is due."""
        if found["generation"] != FULL:
            return
        if phase == "stop":
            gc.freeze()
        elif self._clock() >= self._sweep_at:
            gc.unfreeze()
            self._sweep_at = self._clock() + SWEEP_S


@contextlib.contextmanager
def leaving_out_survivors() -> Iterator[None]:
    """Let full collections meanwhile walk only what came since the one before."""
    freezer = Freezer()
    gc.callbacks.append(freezer)
    try:
        yield
    finally:
        gc.callbacks.remove(freezer)


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """Collect nothing meanwhile, and leave out of later collections what there is at the end."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
