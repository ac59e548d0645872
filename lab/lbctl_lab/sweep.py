"""Take a lab away completely, whatever state it is in. Shell; `select` and the parsers are pure.

How the lab's things are known again (and nobody else's are touched):
- processes: the mark in their environment, a root file system that lies in the lab's folder (what
  runs in pods), or one of its namespaces;
- namespaces and interfaces: the exact names of the plan;
- mounts: below the lab's folder; cgroups: those of the processes in pods.
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lbctl_lab import commands, errors, leftovers, plan, processes, state, sysctls

KILL_WITHIN_S = 20.0
CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class View:
    """What a sweep looks at in one process."""

    pid: int
    marked: bool
    contained: bool
    """Its root file system is a container's of the lab."""
    netns: int
    """Inode of its network namespace; 0 when it could not be read."""


def select(
    views: Iterable[View], namespaces: frozenset[int], spared: frozenset[int]
) -> frozenset[int]:
    """Return the pids of the lab's processes, but for the spared ones (us and parents)."""
    return frozenset(
        view.pid
        for view in views
        if view.pid not in spared and (view.marked or view.contained or view.netns in namespaces)
    )


def is_contained(mountinfo: str, folder: Path) -> bool:
    r"""Return whether the root in a /proc/PID/mountinfo is an overlay of files below a folder.

    >>> is_contained("36 35 0:1 / / rw - overlay overlay rw,lowerdir=/lab/1/fs,upperdir=/lab/2/fs",
    ...     Path("/lab"))
    True
    """
    roots = [line for line in mountinfo.splitlines() if line.split()[4] == "/"]
    return bool(roots) and f"={folder}/" in roots[-1].rpartition(" - ")[2]


def parse_cgroups(text: str) -> frozenset[str]:
    r"""Return the paths in a /proc/PID/cgroup that are not the root, without leading slash.

    >>> sorted(parse_cgroups("4:memory:/k8s.io/ab\n0::/\n"))
    ['k8s.io/ab']
    """
    paths = (line.split(":", 2)[2] for line in text.splitlines() if line.count(":") > 1)
    return frozenset(path.strip("/") for path in paths) - {""}


def parse_mounts(text: str, below: Path) -> list[Path]:
    r"""Return the mount points below a folder in a /proc/self/mountinfo, the newest first.

    >>> parse_mounts("36 35 0:1 / /a\\040b/c rw - tmpfs t rw\n", Path("/a b"))
    [PosixPath('/a b/c')]
    """
    found = [Path(_unescape(line.split()[4])) for line in text.splitlines()]
    return [path for path in reversed(found) if below in path.parents or path == below]


def _unescape(field: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        field = field.replace(code, character)
    return field


def sweep() -> list[str]:
    """Remove everything of a lab; return in words what there was. Idempotent."""
    lab = state.load()
    did = end_all()
    leftovers.remove(leftovers.find())
    if lab is not None:
        sysctls.restore(lab.sysctls)
    if state.ROOT.exists():
        commands.run(["rm", "-rf", "--one-file-system", str(state.ROOT)], timeout_s=300)
        did.append(str(state.ROOT))
    return did


def end_all() -> list[str]:
    """End everything that runs, with mounts, namespaces and links; files stay. Idempotent."""
    killed, cgroups = _kill_all()
    did = [f"{killed} processes"] if killed else []
    if mounts := _unmount_all():
        did.append(f"{mounts} mounts")
    did += _remove_namespaces()
    did += _remove_links()
    _remove_cgroups(cgroups)
    return did


def look() -> list[View]:
    """Return a view of every process of this machine that can be read."""
    pids = (int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal())
    return [view for view in map(_view, pids) if view is not None]


def _view(pid: int) -> View | None:
    here = Path(f"/proc/{pid}")
    if processes.start_time(pid) is None:
        return None
    try:
        environ = (here / "environ").read_bytes().split(b"\0")
        contained = is_contained((here / "mountinfo").read_text(), state.ROOT)
        netns = (here / "ns" / "net").stat().st_ino
    except OSError:
        return None
    return View(pid, f"{state.MARK}={state.ROOT}".encode() in environ, contained, netns)


def _cgroups(pid: int) -> frozenset[str]:
    try:
        return parse_cgroups(Path(f"/proc/{pid}/cgroup").read_text())
    except OSError:
        return frozenset()


def _namespaces() -> Mapping[str, int]:
    names = [plan.namespace(place) for place in plan.places(plan.MAX_NODES)]
    there = [name for name in names if (commands.NETNS / name).exists()]
    own = Path("/proc/self/ns/net").stat().st_ino
    # A file that is no namespace yet (a killed `ip netns add`) has some other inode; the host's
    # own namespace must never be taken for the lab's.
    inodes = {name: (commands.NETNS / name).stat().st_ino for name in there}
    return {name: inode for name, inode in inodes.items() if inode != own}


def _ancestors() -> frozenset[int]:
    pid, found = os.getpid(), set()
    while pid > 1 and pid not in found:
        found.add(pid)
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        pid = int(fields[1])
    return frozenset(found | {1})


def _kill_all() -> tuple[int, frozenset[str]]:
    """Kill until nothing of the lab's is left: containerd and kubelet may start more meanwhile.

    Returns how many ended, and the cgroups of those that ran in containers.
    """
    namespaces, spared = frozenset(_namespaces().values()), _ancestors()
    seen: set[int] = set()
    cgroups: frozenset[str] = frozenset()
    end = time.monotonic() + KILL_WITHIN_S
    while left := select(views := look(), namespaces, spared):
        contained = {view.pid for view in views if view.contained}
        for pid in left:
            if pid in contained:
                cgroups |= _cgroups(pid)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        seen |= left
        if time.monotonic() > end:
            raise errors.LabError("lab", f"processes do not end: {sorted(left)}", "look at them")
        time.sleep(0.05)
    return len(seen), cgroups


def _unmount_all() -> int:
    """Unmount all below the lab's folder; lazily when something still holds one."""
    count = 0
    for path in parse_mounts(Path("/proc/self/mountinfo").read_text(), state.ROOT):
        count += 1
        if not commands.succeeds(["umount", str(path)]):
            commands.run(["umount", "--lazy", str(path)])
    return count


def _remove_namespaces() -> list[str]:
    did = []
    for place in plan.places(plan.MAX_NODES):
        name = plan.namespace(place)
        if (commands.NETNS / name).exists():
            commands.run(["ip", "netns", "del", name])
            did.append(f"namespace {name}")
    with contextlib.suppress(OSError):
        if not any(commands.NETNS.iterdir()):
            # Made (and mounted) by the first `ip netns add`; nobody else's when it is empty.
            commands.succeeds(["umount", str(commands.NETNS)])
            commands.NETNS.rmdir()
    return did


def _remove_links() -> list[str]:
    names = [plan.BRIDGE, f"{plan.PREFIX}r", *(node.port for node in plan.nodes(plan.MAX_NODES))]
    there = [name for name in names if Path(f"/sys/class/net/{name}").exists()]
    for name in there:
        if commands.succeeds(["ip", "link", "show", name]):
            # A link between namespaces may go by itself with the namespace, at any moment.
            commands.succeeds(["ip", "link", "del", name])
    return [f"interface {name}" for name in there]


def _remove_cgroups(paths: Iterable[str]) -> None:
    """Remove containers' cgroups in every hierarchy, and their parents where those are empty."""
    for path in paths:
        for folder in (CGROUPS / path, *CGROUPS.glob(f"*/{path}")):
            _remove_cgroup(folder)
            with contextlib.suppress(OSError):
                folder.parent.rmdir()


def _remove_cgroup(folder: Path) -> None:
    """Remove one cgroup; the kernel says busy for a moment after its last process has ended."""
    end = time.monotonic() + 5.0
    while folder.exists():
        try:
            folder.rmdir()
        except OSError as busy:
            if time.monotonic() > end:
                raise errors.LabError(
                    str(folder), f"cgroup stays: {busy}", "see its tasks"
                ) from busy
            time.sleep(0.05)
