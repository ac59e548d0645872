"""Run other programs and say clearly when one fails. Shell."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from lbctl_lab import errors, plan

NETNS = Path("/run/netns")
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def inside(place: str) -> tuple[str, ...]:
    """Return the words that run a command in a place's network namespace; none for the host.

    `nsenter --net` and not `ip netns exec`: that one would change mounts (and hide cgroups).
    """
    return ("nsenter", f"--net={NETNS / plan.namespace(place)}") if place else ()


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment with the system folders on PATH."""
    path = f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}"
    return {**os.environ, "PATH": path, **(extra or {})}


def run(
    argv: Sequence[str],
    *,
    place: str = "",
    text: str | None = None,
    env: Mapping[str, str] | None = None,
    timeout_s: float = 60.0,
) -> str:
    """Run a command, return its standard output; raise `LabError` with its words on failure."""
    full = [*inside(place), *argv]
    try:
        done = subprocess.run(
            full, input=text, capture_output=True, text=True, check=False,
            env=environment(env), timeout=timeout_s,
        )  # fmt: skip
    except FileNotFoundError as missing:
        raise errors.LabError(argv[0], "is not installed", "make setup") from missing
    except subprocess.TimeoutExpired as late:
        raise errors.LabError(shlex.join(full), f"took longer than {timeout_s:.0f} s") from late
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()[-1500:] or f"exit code {done.returncode}"
        raise errors.LabError(shlex.join(full)[:400], said)
    return done.stdout


def succeeds(argv: Sequence[str], *, place: str = "", env: Mapping[str, str] | None = None) -> bool:
    """Return whether a command ends with exit code 0."""
    try:
        run(argv, place=place, env=env)
    except errors.LabError:
        return False
    return True


def missing(programs: Mapping[str, str]) -> dict[str, str]:
    """Return those of the programs (name → Debian package) that are not on this machine."""
    path = environment()["PATH"]
    return {
        name: package for name, package in programs.items() if not shutil.which(name, path=path)
    }
