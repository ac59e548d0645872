"""A guest kernel that has what the machine's own may lack, such as IPVS: user-mode-linux.

It boots in seconds inside a network namespace, sees the machine's files read-only (so its Python,
its programs and this checkout are just there), and runs functions for the one who made it. It ends
with its maker, even when that one is killed. Needs root and the package user-mode-linux.
"""

import contextlib
import json
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import spaces

KERNEL = "linux.uml"
HERE = Path(__file__).parent / "guest"
MEMORY = "512M"
BOOT_S, CALL_S, REMIND_S = 90.0, 60.0, 0.3
UNKNOWN_STATE = "ptrace set fp regs failed"
"""What the kernel says when it can't run on this CPU without the shim."""


class Ended(Exception):
    """The guest is gone, or did not answer in time; with the last of what its kernel said."""


class Guest:
    """One running kernel with network interfaces vec0, vec1, … on the given tap devices."""

    def __init__(self, folder: Path, space: str, taps: Sequence[str]) -> None:
        self._folder, self._space, self._taps = folder, space, taps
        self._console = folder / "console"

    def up(self) -> None:
        """Boot, with the shim if this CPU asks for it. Raises Ended when it doesn't get there."""
        try:
            self._boot({})
        except Ended:
            if UNKNOWN_STATE not in self._said():
                raise
            self._boot({"LD_PRELOAD": str(shim(self._folder))})

    def call(self, name: str, *arguments: Any) -> Any:
        """Return what `module:function` returns in the guest; arguments and result are JSON.

        A module stays loaded until the guest ends. Raises RuntimeError with the guest's traceback.
        """
        asked = json.dumps({"call": name, "with": arguments}).encode() + b"\n"
        with self._answering(CALL_S):
            self._line.sendall(asked)
            self._remind()
            answer = self._answer()
        if "error" in answer:
            raise RuntimeError(f"in the guest: {answer['error']}")
        return answer["result"]

    def run(self, *argv: str, stdin: str = "") -> str:
        """Return what a command printed in the guest."""
        return str(self.call("guest.commands:run", list(argv), stdin))

    def down(self) -> None:
        """End it: it has nothing to lose."""
        self._running.kill()  # and with it all that it started: see `_command`
        self._running.wait()
        self._answers.close()
        self._line.close()

    def _boot(self, environment: dict[str, str]) -> None:
        self._line, theirs = socket.socketpair()
        with theirs, self._console.open("wb") as console:
            self._running = subprocess.Popen(
                self._command(theirs.fileno(), environment),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs.fileno()],
            )
        self._answers = self._line.makefile("rb")
        try:
            with self._answering(BOOT_S):
                self._answer()
        except Ended:
            self.down()
            raise

    def _command(self, line: int, environment: dict[str, str]) -> list[str]:
        """Return how to start it.

        All its processes live in a PID namespace, whose first one is killed when its maker ends:
        the kernel takes the others away with it. The first one is a shell, since a kernel that
        panics ends by a signal, and the first process of a namespace does not get that.
        """
        interfaces = [
            f"vec{number}:transport=tap,ifname={tap},depth=128,gro=1"
            for number, tap in enumerate(self._taps)
        ]
        return [
            *("setpriv", "--pdeathsig", "KILL", "--"),
            *("unshare", "--pid", "--fork", "--kill-child", "--"),
            *("nsenter", f"--net={spaces.NETNS / self._space}", "--"),
            *("env", *(f"{name}={value}" for name, value in environment.items())),
            *("sh", "-c", '"$@"; exit $?', KERNEL),
            *(KERNEL, f"mem={MEMORY}", f"uml_dir={self._folder}", "quiet"),
            *("rootfstype=hostfs", "rootflags=/", "ro", "root=/dev/root"),
            *("con=null", "con0=null,fd:1", f"ssl0=fd:{line}", *interfaces),
            *(f"init={sys.executable}", "--", str(HERE / "first.py"), str(HERE.parent)),
        ]

    def _remind(self) -> None:
        """Wait for the beginning of an answer.

        The kernel misses now and then that its line has something to read (about once in a hundred
        calls): another byte reminds it.
        """
        deadline = time.monotonic() + CALL_S
        while not select.select([self._line], [], [], REMIND_S)[0]:
            if time.monotonic() > deadline:
                raise TimeoutError(f"nothing in {CALL_S:g} s")
            self._line.sendall(b"\n")

    def _answer(self) -> dict[str, Any]:
        line = self._answers.readline()
        if not line:
            raise Ended(f"the guest kernel ended: {self._said()[-2000:]}")
        return dict(json.loads(line))

    @contextlib.contextmanager
    def _answering(self, within_s: float) -> Iterator[None]:
        self._line.settimeout(within_s)
        try:
            yield
        except OSError as error:
            raise Ended(f"no answer from the guest: {error}: {self._said()[-2000:]}") from error

    def _said(self) -> str:
        return self._console.read_text(errors="replace")


def shim(folder: Path) -> Path:
    """Return what to preload where the CPU's registers are more than the kernel knows."""
    made = folder / "ptrace_xstate.so"
    source = HERE / "ptrace_xstate.c"
    spaces.sh("gcc", "-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-o", str(made), str(source))
    return made


@contextlib.contextmanager
def guest(space: str, taps: Sequence[str] = ()) -> Iterator[Guest]:
    """A guest in a namespace, with its tap devices made before; off afterwards."""
    with tempfile.TemporaryDirectory(prefix=spaces.PREFIX) as folder:
        for tap in taps:
            spaces.sh("ip", "tuntap", "add", tap, "mode", "tap", inside=space)
            spaces.sh("ip", "link", "set", tap, "up", inside=space)
        made = Guest(Path(folder), space, taps)
        made.up()
        try:
            yield made
        finally:
            made.down()
