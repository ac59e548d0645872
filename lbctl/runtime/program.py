"""Run one long-lived asyncio program: until it ends, or SIGTERM or SIGINT cancels it."""

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path

from lbctl.model import errors
from lbctl.runtime import collector, config_file, logs
from lbctl.settings import Settings

Program = Coroutine[None, None, None]


def start(config: Path | None, make: Callable[[Settings], Program]) -> int:
    """Load the settings, set the log up, run the program made of them; return the exit code.

    0 after a signal, 1 after an error of ours, which is printed without a trace.
    """
    try:
        settings = config_file.load(config)
    except errors.Misconfigured as error:
        print(f"lbctl: {error}", file=sys.stderr)
        return 1
    logs.configure(settings.lbctl)
    return run(make(settings))


def run(program: Program) -> int:
    """Run `program` and return the exit code: 0 on a signal, 1 on an error of ours (printed)."""
    failed = 0
    try:
        with collector.leaving_out_survivors():
            asyncio.run(_until_signal(program))
    except* errors.LbctlError as group:
        failed = 1
        for error in group.exceptions:
            print(f"lbctl: {error}", file=sys.stderr)
    return failed


async def _until_signal(program: Program) -> None:
    task = asyncio.ensure_future(program)
    loop = asyncio.get_running_loop()
    stopped = False

    def stop() -> None:
        nonlocal stopped
        stopped = True
        task.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    try:
        await task
    except asyncio.CancelledError:
        if not stopped:
            raise
