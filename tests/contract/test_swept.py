"""A test run that is killed leaves nothing in the way of the next."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

import spaces

pytestmark = pytest.mark.root

KILLED = """
import os, signal, subprocess, spaces
space = spaces.named("killed", "node")
spaces.add(space)
sleep = ["nsenter", f"--net={spaces.NETNS}/{space}", "sleep", "600"]
left = subprocess.Popen(sleep, stdout=subprocess.DEVNULL)
print(space, left.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def killed_run() -> tuple[str, int]:
    """Return the namespace and the process that a killed run left."""
    run = subprocess.run(
        [sys.executable, "-c", KILLED],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": str(Path(__file__).parents[1])},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    space, pid = run.stdout.split()
    return space, int(pid)


def ends(pid: int) -> bool:
    """Return whether a process ends within ten seconds."""
    stat = Path(f"/proc/{pid}/stat")
    for _ in range(100):
        if not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.1)
    return False


def test_what_a_killed_run_left_is_swept_and_what_runs_is_kept() -> None:
    space, pid = killed_run()
    ours = spaces.named("kept", "node")
    spaces.add(ours)
    try:
        spaces.sweep()
        names = [path.name for path in spaces.NETNS.iterdir()]
        assert space not in names
        assert ours in names
        assert ends(pid)
    finally:
        spaces.delete(ours)
