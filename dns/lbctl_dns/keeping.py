"""Keeps on disk what a restart goes on from: gathered, and written beside other work."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from lbctl_dns import frames, journal, snapshot, table, zone

log = logging.getLogger(__name__)

SAVE_EVERY_S = 2.0


@dataclass(frozen=True, slots=True)
class State:
    """What is kept; nothing of it changes while it is written."""

    body: bytes
    """All sets: what `snapshot.render` takes."""
    steps: journal.Steps
    """Of the zones that secondaries may take before the API has been read."""


def write(path: Path, state: State) -> None:
    """Write the snapshot, and the journal beside it. Raises OSError."""
    beside = journal.path_beside(path)
    if state.steps or beside.exists():
        # The journal first: without the snapshot that it leads to, it is dropped.
        snapshot.save(beside, journal.render(state.steps))
    snapshot.save(path, snapshot.render(state.body))


def read(path: Path) -> tuple[zone.RecordSet, ...]:
    """Return the sets that were kept; none where there are none, or they cannot be read."""
    try:
        return snapshot.load(path) or ()
    except (snapshot.Damaged, frames.OutOfStep, OSError) as error:
        log.error("no names from disk: %s", error)
        return ()


class Copy:
    """What is shown but SOAs, ready to be written: to gather 10,000 names anew took 55 ms.

    In that time, every two seconds, changes waited: the first half of it blocked the event loop,
    the second half held the interpreter in a thread.
    """

    def __init__(self) -> None:
        self._pieces: dict[zone.SetKey, bytes] = {}

    def take(self, change: frames.Transaction) -> None:
        """Follow one change of what is shown."""
        if change.reset:
            self._pieces.clear()
        for key in change.deletes:
            self._pieces.pop(key, None)
        for one in change.upserts:
            if one.rtype != zone.SOA:
                self._pieces[one.name, one.rtype] = frames.piece(one)

    def body(self, soas: Iterable[zone.RecordSet]) -> bytes:
        """Return it all behind these SOAs, as a snapshot holds it."""
        first = (frames.piece(table.encode(one)) for one in soas)
        return b"".join((*first, *self._pieces.values()))


class Keeper:
    """Writes the state some time after it changed, if there is a place for it."""

    def __init__(self, path: Path | None, state: Callable[[], State]) -> None:
        self._path = path
        self._state = state
        self._changed = asyncio.Event()

    def changed(self) -> None:
        """Have the state written soon."""
        self._changed.set()

    async def run(self) -> None:
        """Write until cancelled; what can't be written is tried again with the next change."""
        while self._path is not None:
            await self._changed.wait()
            self._changed.clear()
            try:
                # A disk takes longer than a change may wait.
                await asyncio.to_thread(write, self._path, self._state())
            except OSError as error:
                log.error("names are not saved: %s", error)
            await asyncio.sleep(SAVE_EVERY_S)

    def write_last(self) -> None:
        """Write what is not written yet."""
        if self._path is not None and self._changed.is_set():
            try:
                write(self._path, self._state())
            except OSError as error:
                log.error("names are not saved: %s", error)
