"""Type commands as a person would, show their real output, and stop where it is not as promised.

Shell.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping

from lbctl_lab import errors, status

POLL_S = 0.1


def shell_env() -> dict[str, str]:
    """Return the environment of a person who evaluated `lbctl lab env`."""
    values = status.env()
    own = os.path.dirname(sys.executable)  # noqa: PTH120 (a PATH entry, not a file to open)
    path = f"{values['PATH']}:{own}:{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    return {**os.environ, **values, "PATH": path}


def run(command: str, env: Mapping[str, str], timeout_s: float = 90.0) -> str:
    """Run one shell command, return what a terminal would show. Its exit code is not judged."""
    done = subprocess.run(
        ["bash", "-c", command],
        env=dict(env), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        check=False, timeout=timeout_s,
    )  # fmt: skip
    return done.stdout


class Walk:
    """A sequence of typed commands with promises about what they print."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env

    def say(self, text: str) -> None:
        """Print a heading."""
        print(f"\n\033[1m# {text}\033[0m", flush=True)

    def type(self, command: str, *promises: str, within_s: float = 0.0) -> str:
        """Show a command and its output once every promise (a regular expression) is in it.

        The command is repeated silently for at most `within_s` seconds until it is; what is
        printed is always the output of one real run. Raises LabError with the missing promise.
        """
        print(f"\033[1m$ {command}\033[0m", flush=True)
        start = time.monotonic()
        while True:
            shown = run(command, self._env)
            missing = [text for text in promises if not re.search(text, shown, re.MULTILINE)]
            took = time.monotonic() - start
            if not missing or took >= within_s:
                break
            time.sleep(POLL_S)
        print(shown, end="" if shown.endswith("\n") else "\n", flush=True)
        if missing:
            raise errors.LabError(
                command, f"after {took:.1f} s the output has no match for {missing[0]!r}"
            )
        return shown
