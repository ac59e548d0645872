"""The first program of a guest kernel: makes it usable and answers calls from its serial line.

A line in is {"call": "module:function", "with": [arguments]}, a line out {"result": …} or
{"error": "traceback"}. When the line ends, the one who asked is gone: the guest turns itself off.
"""

import asyncio
import ctypes
import importlib
import inspect
import json
import os
import platform
import sys
import traceback
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

sys.path.extend(sys.argv[1:])

from guest import commands

SERIAL = "/dev/ttyS0"
MODULES = Path("/usr/lib/uml/modules")
POWER_OFF = 0x4321FEDC
"""LINUX_REBOOT_CMD_POWER_OFF of reboot(2)."""
MOUNTS = (("proc", "/proc"), ("sysfs", "/sys"), ("tmpfs", "/run"))


def make_usable() -> None:
    """Mount what programs expect, and let the kernel find its modules."""
    os.environ |= {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR": "/run"}
    for kind, place in MOUNTS:
        commands.run(["mount", "-t", kind, kind, place])
    tree = Path("/run/kernel/lib/modules")
    tree.mkdir(parents=True)
    (tree / platform.release()).symlink_to(MODULES / platform.release())
    # Also for what the kernel asks for by itself, such as the parts of an nftables rule.
    loader = Path(commands.LOADER)
    loader.write_text('#!/bin/sh\nexec /sbin/modprobe -d /run/kernel "$@"\n')
    loader.chmod(0o755)
    Path("/proc/sys/kernel/modprobe").write_text(str(loader))
    commands.run(["ip", "link", "set", "lo", "up"])


def answers(calls: IO[bytes]) -> Iterator[dict[str, Any]]:
    """Yield the answer to each call."""
    with asyncio.Runner() as runner:
        for line in calls:
            if not line.strip():
                continue  # a reminder
            asked = json.loads(line)
            try:
                yield {"result": _call(runner, asked["call"], asked["with"])}
            except Exception:
                yield {"error": traceback.format_exc()}


def _call(runner: asyncio.Runner, name: str, arguments: list[Any]) -> Any:
    module, _, function = name.partition(":")
    found = getattr(importlib.import_module(module), function)(*arguments)
    return runner.run(found) if inspect.iscoroutine(found) else found


def main() -> None:
    make_usable()
    line = os.open(SERIAL, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(line)
    with os.fdopen(line, "rb", closefd=False) as calls, os.fdopen(line, "wb") as answered:
        answered.write(b'{"result": "ready"}\n')
        answered.flush()
        for answer in answers(calls):
            answered.write(json.dumps(answer).encode() + b"\n")
            answered.flush()


if __name__ == "__main__":
    try:
        main()
    finally:
        traceback.print_exc()
        ctypes.CDLL(None).reboot(POWER_OFF)
