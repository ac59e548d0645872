"""Wait until a process of the lab is ready, and say at once when it has ended instead. Shell."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from lbctl_lab import commands, errors, processes, values

LAST_LINES = 8
PAUSE_S = 0.05
PODS = f"kubectl -n {values.NAMESPACE} get pods,events"


def until_runs(name: str, check: Sequence[str], *, timeout_s: float) -> None:
    """Wait until a command succeeds; `name` is the process, or part of lbctl, that it checks."""
    reason = ""

    def succeeds() -> bool:
        nonlocal reason
        try:
            commands.run(check)
        except errors.LabError as failed:
            reason = failed.reason
            return False
        return True

    until(name, succeeds, timeout_s=timeout_s, why=lambda: reason)


def until_exists(name: str, path: Path, *, timeout_s: float) -> None:
    """Wait until a process has made a file or socket."""
    until(name, path.exists, timeout_s=timeout_s, why=lambda: f"{path} is not there")


def until(
    name: str,
    ready: Callable[[], bool],
    *,
    timeout_s: float,
    why: Callable[[], str],
    pause_s: float = PAUSE_S,
) -> None:
    """Wait until `ready`; raise when the process has ended, or after the timeout.

    What is no process of the host runs in pods.
    """
    record = processes.records().get(name)
    end = time.monotonic() + timeout_s
    while not ready():
        if record and not processes.is_alive(record):
            raise errors.LabError(name, f"has ended:\n{last_lines(name)}", f"lbctl lab logs {name}")
        if time.monotonic() > end:
            reason = f"not ready after {timeout_s:.0f} s: {why()}"
            if record is None:
                raise errors.LabError(name, reason, PODS)
            raise errors.LabError(name, f"{reason}\n{last_lines(name)}", f"lbctl lab logs {name}")
        time.sleep(pause_s)


def last_lines(name: str) -> str:
    """Return the end of a process's log, indented."""
    lines = processes.log_path(name).read_text(errors="replace").splitlines()
    return "\n".join(f"    {line}" for line in lines[-LAST_LINES:])
