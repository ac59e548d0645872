"""Network namespaces of a test run, named after its process, so that a run that was killed leaves
nothing in the way: its namespaces are swept by the next one. Needs root."""

import contextlib
import os
import re
import signal
import subprocess
from pathlib import Path

PREFIX = "lbctl-t-"
MADE_BY = re.compile(rf"{PREFIX}(\d+)-")
NETNS = Path("/run/netns")


def sh(*argv: str, inside: str = "", env: dict[str, str] | None = None) -> str:
    enter = ("nsenter", f"--net={NETNS}/{inside}") if inside else ()
    done = subprocess.run(
        [*enter, *argv],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **(env or {})},
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip()}")
    return done.stdout


def named(bed: str, place: str) -> str:
    """Return the name of one place of a bed of this process: unlike that of any other run."""
    return f"{PREFIX}{os.getpid()}-{bed}-{place}"


def add(space: str) -> None:
    sh("ip", "netns", "add", space)
    sh("ip", "link", "set", "lo", "up", inside=space)


def delete(space: str) -> None:
    sh("ip", "netns", "delete", space)


def sweep() -> None:
    """End what a killed run left in its namespaces, and take them away."""
    for left in sorted(NETNS.glob(f"{PREFIX}*")):
        made_by = MADE_BY.match(left.name)
        if made_by and Path(f"/proc/{made_by[1]}").exists():
            continue
        for pid in sh("ip", "netns", "pids", left.name).split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        delete(left.name)
