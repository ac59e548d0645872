"""Start, stop and find again the lab's long-running processes. Shell.

Each process is detached, logs to a file and is written down with its pid *and* its start time,
so that a pid that was given to somebody else is never signalled.
"""

import dataclasses
import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lbctl_lab import commands, errors, state


@dataclass(frozen=True, slots=True)
class Spec:
    """What to run: enough to start the same process again at any time."""

    name: str
    argv: tuple[str, ...]
    place: str = ""
    """Network namespace to run in: a node's name, `router`, or nothing for the host's."""
    env: Mapping[str, str] = field(default_factory=dict)
    after: tuple[str, ...] = ()
    """A command that completes each start (what the process forgets when it ends)."""


@dataclass(frozen=True, slots=True)
class Record:
    """A started process: its spec, pid and start time in clock ticks since boot."""

    spec: Spec
    pid: int
    started: int


def parse_stat(text: str) -> tuple[str, int]:
    """Return state letter and start time of a line of /proc/PID/stat (proc(5)).

    The name in parentheses may hold spaces and parentheses, so fields count from the last one.

    >>> parse_stat("7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 0 0")
    ('S', 4242)
    """
    fields = text.rpartition(")")[2].split()
    return fields[0], int(fields[19])


def start_time(pid: int) -> int | None:
    """Return when a live process started (ticks since boot); nothing if dead or a zombie."""
    try:
        letter, started = parse_stat(Path(f"/proc/{pid}/stat").read_text())
    except (OSError, IndexError, ValueError):
        return None
    return None if letter in "ZX" else started


def is_alive(record: Record) -> bool:
    """Return whether this very process still runs."""
    return start_time(record.pid) == record.started


def log_path(name: str) -> Path:
    """Return the log file of a process."""
    return state.ROOT / "logs" / f"{name}.log"


def _record_path(name: str) -> Path:
    return state.ROOT / "processes" / f"{name}.json"


def decode(text: str) -> Record:
    """Return the record of a JSON text as `encode` makes it."""
    raw = json.loads(text)
    spec = raw["spec"]
    spec |= {"argv": tuple(spec["argv"]), "after": tuple(spec["after"])}
    return Record(Spec(**spec), raw["pid"], raw["started"])


def encode(record: Record) -> str:
    """Return a record as JSON text."""
    return json.dumps(dataclasses.asdict(record), indent=1)


def records() -> dict[str, Record]:
    """Return all processes ever started by this lab, by name, sorted."""
    found = sorted((state.ROOT / "processes").glob("*.json"))
    return {path.stem: decode(path.read_text()) for path in found}


def find(name: str) -> Record:
    """Return the record of one process, or refuse with the names there are."""
    known = records()
    if name not in known:
        raise errors.LabError(name, "no such process", f"one of: {', '.join(known) or 'none'}")
    return known[name]


def launch(spec: Spec) -> Record:
    """Start a process detached from this one and write it down; does not wait until it is ready."""
    log = log_path(spec.name)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        child = subprocess.Popen(
            [*commands.inside(spec.place), *spec.argv],
            stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
            env=commands.environment({**spec.env, state.MARK: str(state.ROOT)}), cwd="/",
        )  # fmt: skip
    record = Record(spec, child.pid, start_time(child.pid) or 0)
    state.write(_record_path(spec.name), encode(record))
    if spec.after:
        commands.run(spec.after, env={**spec.env, state.MARK: str(state.ROOT)})
    return record


def start(name: str) -> None:
    """Start a process again as it was; nothing happens when it runs."""
    record = find(name)
    if not is_alive(record):
        launch(record.spec)


def stop(name: str, *, grace_s: float = 10.0) -> None:
    """Ask a process to end (SIGTERM), end it after the grace time; returns when it is gone."""
    record = find(name)
    _signal(record, signal.SIGTERM)
    if not _gone(record, grace_s):
        kill(name)


def kill(name: str) -> None:
    """End a process at once (SIGKILL); returns when it is gone."""
    record = find(name)
    _signal(record, signal.SIGKILL)
    if not _gone(record, 10.0):
        raise errors.LabError(name, f"pid {record.pid} does not end", "look at its kernel stack")


def _signal(record: Record, number: signal.Signals) -> None:
    # A pidfd pins the process: between the check and the signal the pid can't become another's.
    try:
        pinned = os.pidfd_open(record.pid)
    except ProcessLookupError:
        return
    try:
        if is_alive(record):
            signal.pidfd_send_signal(pinned, number)
    except ProcessLookupError:
        return
    finally:
        os.close(pinned)


def _gone(record: Record, timeout_s: float) -> bool:
    end = time.monotonic() + timeout_s
    while is_alive(record):
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
