"""Where the lab keeps its files, what it knows about itself, and the lock of a running command.

Shell. There is one lab per machine, so there is one place.
"""

import contextlib
import dataclasses
import json
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lbctl_lab import errors, plan

ROOT = Path("/var/lib/lbctl-lab")
"""The lab's folder: on disk, since containers' file systems lie in it; `down` removes it."""

MARK = "LBCTL_LAB"
"""Environment variable that every process of the lab carries, with `ROOT` as its value."""

LOCK_NAME = "\0lbctl-lab"
"""Abstract socket that a changing command holds: no file to leave behind, freed by the kernel."""


Kind = Literal["pods", "processes", "bare"]
"""What runs lbctl: pods of a helm release, processes of the host, nothing."""


@dataclass(frozen=True, slots=True)
class Lab:
    """What `up` writes down about the lab it makes."""

    checkout: str
    nodes: int
    kind: Kind
    pid: int
    """The process id of the `up` that made it."""
    phase: str
    """`starting` until all of it works, then `up`."""
    sysctls: dict[str, str] = dataclasses.field(default_factory=dict)
    """Host-wide kernel settings as they were before, restored by `down`."""
    backend: plan.Backend = "ovs"
    cni: plan.Cni = "ovs"


def load() -> Lab | None:
    """Return what is written about the lab, or nothing when there is none or it is half-written."""
    try:
        return Lab(**json.loads((ROOT / "lab.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None


def save(lab: Lab) -> None:
    """Write the lab's own file, whole or not at all."""
    write(ROOT / "lab.json", json.dumps(dataclasses.asdict(lab), indent=1))


def save_sysctls(values: dict[str, str]) -> None:
    """Note the host's kernel settings as they are before a kubelet changes them."""
    lab = require_up()
    save(dataclasses.replace(lab, sysctls=values))


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    """Write a file in one step (a reader never sees half of it); make its folder if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(text)
    beside.chmod(mode)
    beside.rename(path)
    return path


def checkout() -> str:
    """Return the folder of the checkout this program belongs to."""
    return str(Path(__file__).resolve().parents[2])


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """Hold the machine's one lab lock; refuse when another lab command is changing things."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as lock:
        try:
            lock.bind(LOCK_NAME)
        except OSError as taken:
            lab = load()
            who = f"started from {lab.checkout}, pid {lab.pid}" if lab else "just started"
            raise errors.LabError(
                "lab", f"another `lbctl lab` command is at work ({who})", "wait until it has ended"
            ) from taken
        yield


def require_root() -> None:
    """Refuse to go on without root: namespaces, mounts and Open vSwitch need it."""
    if os.geteuid() != 0:
        raise errors.LabError("lab", "needs root (namespaces, mounts, cgroups)", "run it as root")


def require_up() -> Lab:
    """Return the running lab, or refuse with the cure."""
    lab = load()
    if lab is None:
        raise errors.LabError("lab", "is not up on this machine", "lbctl lab up")
    return lab
