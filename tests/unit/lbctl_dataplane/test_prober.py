"""The monitors of a node as its role uses them; members are asked by a fake."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import dataplane_builders as build
import event_loops
import monitor_builders
from lbctl.model.monitors import Failure, Monitor
from lbctl.model.virtual_service import Policy
from lbctl.translate.failing import FailingMember
from lbctl_dataplane.monitors.health import Target
from lbctl_dataplane.monitors.prober import Prober
from lbctl_dataplane.rules.frontend import Frontend

MONITOR = monitor_builders.monitor(interval_ms=1000, timeout_ms=400, fall=2, rise=2)
PLACE, OTHER = build.place(), build.place("198.18.0.2")


class Members:
    """Members that answer as they are told, and count who asks."""

    def __init__(self) -> None:
        self.failing: dict[str, Failure | OSError] = {}
        self.slow_s = 0.0
        self.asked: Counter[str] = Counter()
        self.at_once = 0
        self.most_at_once = 0

    async def ask(self, target: Target) -> Failure | None:
        name = str(target.address)
        self.asked[name] += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(self.slow_s)
        finally:
            self.at_once -= 1
        said = self.failing.get(name)
        if isinstance(said, OSError):
            raise said
        return said


class Counted:
    """What was counted."""

    def __init__(self) -> None:
        self.results: Counter[str] = Counter()
        self.standing = (0, 0)

    def probed(self, kind: str, result: str, took_s: float) -> None:
        self.results[result] += 1

    def stand(self, asked: int, failing: int) -> None:
        self.standing = (asked, failing)


class Stage:
    """A prober, its members, and the frontends that it was given last."""

    def __init__(self, **options: Any) -> None:
        self.members, self.counted = Members(), Counted()
        self.prober = Prober(self.counted, self.members.ask, **options)
        self.woken = 0
        self._given: tuple[Frontend, ...] = ()
        self._monitor: Monitor | None = MONITOR

    def give(self, *frontends: Frontend, monitor: Monitor | None = MONITOR) -> None:
        self._given, self._monitor = frontends, monitor
        self.judge()

    def judge(self) -> tuple[list[str], ...]:
        service = build.service(policy=Policy(monitor=self._monitor))
        verdict = self.prober.judge([service], self._given)
        return tuple([str(m.address) for m in entry.members] for entry in verdict.frontends)

    def failing(self) -> list[tuple[str, str]]:
        verdict = self.prober.judge(
            [build.service(policy=Policy(monitor=self._monitor))], self._given
        )
        return [(str(member.address), member.reason) for member in verdict.failing]

    async def probes(self, count: int) -> None:
        """Wait until every member has been asked so often again."""
        before = dict(self.members.asked)
        await event_loops.until(
            lambda: all(asked >= before[name] + count for name, asked in self.members.asked.items())
        )

    def wake(self) -> None:
        self.woken += 1


def play(scene: Callable[[Stage], Coroutine[Any, Any, None]], **options: Any) -> None:
    @contextlib.asynccontextmanager
    async def staged() -> AsyncIterator[Stage]:
        stage = Stage(**options)
        async with event_loops.running(stage.prober.follow(stage.wake)):
            yield stage

    async def body() -> None:
        async with staged() as stage:
            await scene(stage)

    event_loops.run(body(), event_loops.Hurried)


def test_a_member_that_fails_leaves_and_comes_back() -> None:
    async def scene(stage: Stage) -> None:
        stage.give(build.frontend(PLACE, "10.0.0.1", "10.0.0.2"))
        stage.members.failing["10.0.0.1"] = Failure.REFUSED
        await event_loops.until(lambda: stage.judge() == (["10.0.0.2"],))
        assert stage.failing() == [("10.0.0.1", "Refused")]
        assert stage.counted.standing == (2, 1)
        assert stage.woken == 1
        stage.members.failing.clear()
        await event_loops.until(lambda: stage.judge() == (["10.0.0.1", "10.0.0.2"],))
        assert stage.failing() == []
        assert stage.woken == 2

    play(scene)


def test_who_failed_when_the_agent_ran_before_fails_until_it_is_proved_to_work() -> None:
    async def scene(stage: Stage) -> None:
        def before(pod: str, reason: str) -> FailingMember:
            return FailingMember("default.kuard", build.ip(pod), "TCP", 8080, reason)

        stage.prober.restore((before("10.0.0.1", "TimedOut"), before("10.0.0.2", "NoLongerKnown")))
        stage.give(build.frontend(PLACE, "10.0.0.1", "10.0.0.2"))
        assert stage.failing() == [("10.0.0.1", "TimedOut")]
        assert stage.judge() == (["10.0.0.2"],)
        await event_loops.until(lambda: stage.failing() == [])

    play(scene)


def test_where_all_fail_all_stay_and_that_is_told() -> None:
    async def scene(stage: Stage) -> None:
        stage.give(build.frontend(PLACE, "10.0.0.1", "10.0.0.2"))
        stage.members.failing = {f"10.0.0.{n}": Failure.TIMED_OUT for n in (1, 2)}
        await event_loops.until(lambda: len(stage.failing()) == 2)
        assert stage.judge() == (["10.0.0.1", "10.0.0.2"],)

    play(scene)


def test_a_member_of_many_frontends_is_asked_once() -> None:
    async def scene(stage: Stage) -> None:
        stage.give(build.frontend(PLACE, "10.0.0.1"), build.frontend(OTHER, "10.0.0.1"))
        await event_loops.until(lambda: stage.members.asked["10.0.0.1"] >= 2)
        assert stage.counted.standing == (1, 0)
        assert stage.members.most_at_once == 1

    play(scene)


def test_without_a_monitor_nobody_is_asked() -> None:
    async def scene(stage: Stage) -> None:
        stage.give(build.frontend(PLACE, "10.0.0.1"), monitor=None)
        await asyncio.sleep(5)
        assert stage.members.asked == {}
        assert stage.judge() == (["10.0.0.1"],)

    play(scene)


def test_who_left_is_asked_no_more() -> None:
    async def scene(stage: Stage) -> None:
        stage.give(build.frontend(PLACE, "10.0.0.1", "10.0.0.2"))
        await event_loops.until(lambda: len(stage.members.asked) == 2)
        stage.give(build.frontend(PLACE, "10.0.0.2"))
        asked = stage.members.asked["10.0.0.1"]
        await event_loops.until(lambda: stage.members.asked["10.0.0.2"] >= 5)
        assert stage.members.asked["10.0.0.1"] == asked

    play(scene)


def test_no_more_probes_are_under_way_than_may_be_and_all_get_their_turn() -> None:
    async def scene(stage: Stage) -> None:
        stage.members.slow_s = 0.3
        stage.give(build.frontend(PLACE, *(f"10.0.0.{n}" for n in range(1, 21))))
        await event_loops.until(lambda: len(stage.members.asked) == 20)
        await stage.probes(1)
        assert stage.members.most_at_once == 3

    play(scene, at_once=3)


def test_what_the_machine_cannot_do_is_no_verdict() -> None:
    async def scene(stage: Stage) -> None:
        stage.give(build.frontend(PLACE, "10.0.0.1", "10.0.0.2"))
        stage.members.failing["10.0.0.1"] = OSError(24, "Too many open files")
        await event_loops.until(lambda: stage.counted.results["untold"] >= 5)
        assert stage.failing() == []

    play(scene)
