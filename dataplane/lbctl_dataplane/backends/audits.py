"""When to read everything back: drift is looked for now and then, at a bounded cost."""

import asyncio
import contextlib
import logging
from collections.abc import Iterator

log = logging.getLogger(__name__)

EVERY_S = 4.5
"""Drift is repaired within 5 s where an audit is cheap enough for that."""
SHARE = 0.05
"""Part of the time that may go into audits: a long one makes the next one come later."""


class Audits:
    """Times the audits of one backend."""

    def __init__(self) -> None:
        self._at = float("-inf")
        self._slow = False

    def due(self) -> bool:
        """Tell whether everything is to be read back now."""
        return asyncio.get_running_loop().time() >= self._at

    def distrust(self) -> None:
        """Let the next audit be due at once: what is known may be wrong."""
        self._at = float("-inf")

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Time one audit; after it, the next one is due later. When it fails it stays due."""
        clock = asyncio.get_running_loop().time
        began = clock()
        yield
        pause_s = max(EVERY_S, (clock() - began) / SHARE)
        self._at = clock() + pause_s
        slow = pause_s > EVERY_S
        if slow and not self._slow:
            log.info("reading everything back takes long: once in %.0f s from now on", pause_s)
        self._slow = slow
