"""What people see while the lab works: steps with elapsed seconds, on standard error. Shell."""

import contextlib
import sys
import time
from collections.abc import Iterator


class Progress:
    """Print one line per step, with the seconds since the start and the step's own."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def elapsed_s(self) -> float:
        """Return the seconds since this object was made."""
        return time.monotonic() - self._start

    def say(self, text: str) -> None:
        """Print one line with the elapsed time before it."""
        sys.stderr.write(f"[{self.elapsed_s():6.1f} s] {text}\n")
        sys.stderr.flush()

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Print the name of a step when it has ended, with how long it took."""
        began = time.monotonic()
        yield
        self.say(f"{name} ({time.monotonic() - began:.1f} s)")
