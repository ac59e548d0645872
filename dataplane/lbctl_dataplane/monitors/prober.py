"""The monitors of one node: thousands of probes in one process, one per target at a time."""

import asyncio
import contextlib
import logging
import math
import random
import resource
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from lbctl.model.monitors import Failure, Monitor
from lbctl.model.virtual_service import VirtualService
from lbctl.translate.failing import FailingMember
from lbctl_dataplane.monitors import answers, probes
from lbctl_dataplane.monitors.health import Target
from lbctl_dataplane.monitors.judging import Judge
from lbctl_dataplane.monitors.port import Verdict
from lbctl_dataplane.monitors.roster import Roster, Turn
from lbctl_dataplane.rules.frontend import Frontend

log = logging.getLogger(__name__)

AT_ONCE = 2000
"""Probes under way at a time, a file descriptor each; further ones wait for one that ends."""
FILES = 2 * AT_ONCE
"""Open files, with those for everything else."""
TICK_S = 0.01
"""Probes that are due within it start together: fewer turns of the loop, and far below 100 ms."""
COMPLAINT_S = 60.0
"""What this machine cannot do is logged once in so long."""
PASSED, UNTOLD = "passed", "untold"
"""Results beside those of `Failure`."""

Ask = Callable[[Target], Awaitable[Failure | None]]


def allow_many_files() -> None:
    """Let this process have as many open files as its limits let it: a probe is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Tally(Protocol):
    """Who counts probes: see `lbctl_dataplane.metrics.Probes`."""

    def probed(self, kind: str, result: str, took_s: float) -> None:
        """Count one probe."""
        ...

    def stand(self, asked: int, failing: int) -> None:
        """Take note of how many targets are asked, and of how many members fail."""
        ...


class Prober:
    """Asks the members of the frontends that it judged last."""

    def __init__(self, tally: Tally, ask: Ask = probes.ask, at_once: int = AT_ONCE) -> None:
        self._tally = tally
        self._ask = ask
        self._at_once = at_once
        self._judge = Judge()
        self._given: Sequence[VirtualService] = ()
        self._monitors: dict[str, Monitor] = {}
        self._roster = Roster(random.random)
        self._news = asyncio.Event()
        self._restored: tuple[FailingMember, ...] = ()
        self._running = 0
        self._rests_until = 0.0
        self._complains_at = 0.0

    def judge(self, services: Sequence[VirtualService], frontends: tuple[Frontend, ...]) -> Verdict:
        """Return the frontends without members that fail; from now on these members are asked."""
        if services is not self._given:
            self._given = services
            self._monitors = {
                service.key: service.policy.monitor
                for service in services
                if service.policy.monitor is not None
            }
        moved = self._judge.take(frontends, self._monitors)
        if moved:
            now = asyncio.get_running_loop().time()
            for target, why in self._judge.targets_of(self._restored).items():
                self._roster.recall(target, why, now)
            self._restored = ()
            self._roster.update(moved, self._judge.targets, now)
            self._news.set()
        made = self._judge.judge(self._roster.changed, self._roster.failure)
        self._roster.changed.clear()
        failing = self._judge.failing
        down = {(member.address, member.protocol, member.port) for member in failing}
        self._tally.stand(len(self._roster), len(down))
        return Verdict(made, failing)

    def restore(self, failing: tuple[FailingMember, ...]) -> None:
        """Take who failed when this agent ran before: they fail until they are proved to work."""
        self._restored = failing

    async def follow(self, changed: Callable[[], None]) -> None:
        """Ask for ever; call `changed` when what is known of somebody is other than before."""
        clock = asyncio.get_running_loop().time
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._news.clear()
                room = self._at_once - self._running
                for turn in self._roster.due(clock(), TICK_S, room):
                    self._running += 1
                    tasks.create_task(self._take_turn(turn, changed))
                await self._rest()

    async def _rest(self) -> None:
        """Wait until the next probe is due and there is room for it, or for news."""
        full = self._running >= self._at_once
        at = None if full else self._roster.next_at()
        self._rests_until = math.inf if at is None else at
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(at):
                await self._news.wait()

    async def _take_turn(self, turn: Turn, changed: Callable[[], None]) -> None:
        clock, monitor = asyncio.get_running_loop().time, turn.target.monitor
        began, result, told = clock(), UNTOLD, False
        try:
            failure = await self._ask(turn.target)
            result = failure.value if failure is not None else PASSED
            told = True
        except OSError as error:
            self._complain(turn.target, error)
        finally:
            self._running -= 1
        self._tally.probed(monitor.kind.value, result, clock() - began)
        if told and self._roster.told(turn, failure):
            self._log_news(turn.target)
            changed()
        if not told:
            self._roster.untold(turn)
        if (self._roster.next_at() or 0.0) < self._rests_until:
            self._news.set()

    def _log_news(self, target: Target) -> None:
        why, place = self._roster.failure(target), answers.authority(target.address, target.port)
        if why is None:
            log.info("%s passes its %s monitor again", place, target.monitor.kind.value)
        else:
            log.info("%s fails its %s monitor: %s", place, target.monitor.kind.value, why.value)

    def _complain(self, target: Target, error: OSError) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._complains_at:
            log.warning(
                "this machine cannot ask %s, which says nothing about it: %s",
                answers.authority(target.address, target.port),
                error,
            )
            self._complains_at = now + COMPLAINT_S
