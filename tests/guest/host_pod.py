"""A pod of a guest's own network."""

import subprocess
import sys

import dataplane_bed

_RUNNING: list[subprocess.Popen[str]] = []


def start(name: str, port: int, *addresses: str) -> None:
    """Let it answer, as pods outside do."""
    server = subprocess.Popen(
        [sys.executable, "-c", dataplane_bed.SERVER, name, str(port), *addresses],
        stdout=subprocess.PIPE,
        text=True,
    )
    _RUNNING.append(server)
    assert server.stdout is not None
    assert server.stdout.readline() == "up\n"


def end() -> None:
    """End all that were started."""
    while _RUNNING:
        dataplane_bed.stop(_RUNNING.pop())
