"""The agent as a whole: a real client and watches, an API server and a switch in memory."""

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import dataplane_builders as build
import event_loops
from fakes import api_server
from lbctl.kube import resources
from lbctl.kube.client import Client
from lbctl.model import errors
from lbctl.model.virtual_service import Phase, Policy, render_virtual_service
from lbctl.settings import AgentSettings, Settings
from lbctl.translate.failing import FailingMember, parse_failing
from lbctl_dataplane.agent import Agent, Options, Pace
from lbctl_dataplane.backends import memory
from lbctl_dataplane.backends.port import Leg, Outcome
from lbctl_dataplane.monitors.port import Verdict
from lbctl_dataplane.node import Beside, NodeRole
from lbctl_dataplane.rules.frontend import Frontend

NODE = "node-1"
SETTLED_S = 0.3
"""Long enough for an agent that would write to have written."""
PACE = Pace(resync_s=0.1, hold_check_s=0.05, backoff_s=(0.02,))
KUARD = build.service(vips=["198.18.0.1"])
VIP = build.place()


class Switch(memory.MemoryBackend):
    """The switch in memory, with faults to be had."""

    def __init__(self) -> None:
        super().__init__((Leg(build.ip("172.31.241.6"), "02:00:00:00:00:06"),))
        self.broken = False

    async def program(self, frontends: Sequence[Frontend]) -> Outcome:
        if self.broken:
            raise errors.Unavailable("bridge br-int does not answer")
        return await super().program(frontends)

    def serves(self, client_port: int = 1) -> bool:
        return self.send(memory.Connection(build.ip("192.0.2.1"), client_port, VIP)) is not None


class Monitors:
    """Monitors that say what they are told."""

    def __init__(self) -> None:
        self.failing: tuple[FailingMember, ...] = ()
        self.changed: Callable[[], None] = lambda: None

    async def follow(self, changed: Callable[[], None]) -> None:
        self.changed = changed

    def restore(self, failing: tuple[FailingMember, ...]) -> None:
        self.failing = failing

    def judge(self, services: object, frontends: tuple[Frontend, ...]) -> Verdict:
        return Verdict(frontends, self.failing)

    def say(self, *failing: FailingMember) -> None:
        self.failing = failing
        self.changed()


class Stage:
    """One API server with an agent of one node."""

    def __init__(self, fake: api_server.ApiServer, api: Client, folder: Path) -> None:
        self.fake, self.api, self.switch = fake, api, Switch()
        self.kuard = KUARD
        self.monitors = Monitors()
        self._folder = folder
        self._version = ""

    @contextlib.asynccontextmanager
    async def agent(self) -> AsyncIterator[None]:
        settings = Settings(agent=AgentSettings(state_dir=str(self._folder)))
        role = NodeRole(NODE, self.switch, build.CHOSEN, Beside(monitors=self.monitors))
        task = asyncio.ensure_future(Agent(self.api, role, Options(NODE, settings, PACE)).run())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def decide(self, phase: Phase = Phase.SERVING) -> None:
        decision = dataclasses.replace(self.kuard, phase=phase)
        body = {"metadata": {"name": decision.key}, "spec": render_virtual_service(decision)}
        found: dict[str, Any] | None = None
        with contextlib.suppress(errors.NotFound):
            found = await self.api.get(resources.L4_VIRTUAL_SERVICES, decision.key)
        if found is None:
            found = await self.api.create(resources.L4_VIRTUAL_SERVICES, body)
        else:
            found |= {"spec": body["spec"]}
            found = await self.api.replace(resources.L4_VIRTUAL_SERVICES, found)
        self._version = found["metadata"]["resourceVersion"]

    async def endpoints(self) -> None:
        body = build.slice_object("kuard-1", 0, ("10.0.0.1", NODE))
        body["metadata"].pop("resourceVersion")
        made = await self.api.create(resources.ENDPOINT_SLICES, body, "default")
        self._version = made["metadata"]["resourceVersion"]

    async def service(self) -> None:
        body = {
            "metadata": {"name": "kuard", "namespace": "default"},
            "spec": {"type": "ClusterIP"},
        }
        made = await self.api.create(resources.SERVICES, body, "default")
        reference = dataclasses.replace(KUARD.service, uid=made["metadata"]["uid"])
        self.kuard = dataclasses.replace(KUARD, service=reference)

    async def status(self) -> dict[str, Any]:
        try:
            found = await self.api.get(resources.SERVING_NODES, NODE)
        except (errors.NotFound, errors.Unavailable):
            return {}
        return dict(found.get("status") or {})

    async def acknowledged(self) -> bool:
        status = await self.status()
        seen = max(int(status.get("decisions", 0)), int(status.get("slices", 0)))
        return seen >= int(self._version)

    def writes(self) -> list[str]:
        return [write for write in self.fake.objects.writes if "servingnodes" in write]


async def until(condition: Callable[[], bool | Awaitable[bool]]) -> None:
    while True:  # the limit of `run` ends it
        found = condition()
        if found if isinstance(found, bool) else await found:
            return
        await asyncio.sleep(0.01)


def play(folder: Path, scene: Callable[[Stage], Coroutine[Any, Any, None]]) -> None:
    async def stage() -> None:
        async with api_server.serving() as fake, Client(fake.cluster) as api:
            await scene(Stage(fake, api, folder))

    event_loops.run(stage(), event_loops.Hurried)


async def serving(stage: Stage) -> None:
    await stage.service()
    await stage.decide()
    await stage.endpoints()
    await until(stage.acknowledged)
    assert stage.switch.serves()


def test_a_decision_with_endpoints_is_programmed_and_then_acknowledged(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.agent():
            await serving(stage)
            assert stage.switch.serves()

    play(tmp_path, scene)


def test_nothing_is_written_for_what_concerns_nobody_here(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.agent():
            await serving(stage)
            before = stage.writes()
            await stage.api.patch(
                resources.L4_VIRTUAL_SERVICES, KUARD.key, {"status": {"state": "Up"}}, sub="status"
            )
            other = build.slice_object("other", 0, ("10.0.0.9", NODE), service_name="other")
            other["metadata"].pop("resourceVersion")
            await stage.api.create(resources.ENDPOINT_SLICES, other, "default")
            await asyncio.sleep(SETTLED_S)
            assert stage.writes() == before

    play(tmp_path, scene)


def test_a_withdrawal_is_acknowledged_when_it_is_gone(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.agent():
            await serving(stage)
            await stage.decide(Phase.WITHDRAWN)
            await until(stage.acknowledged)
            assert not stage.switch.serves()

    play(tmp_path, scene)


def test_a_decision_that_vanishes_is_held_until_its_service_is_gone_too(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.agent():
            await serving(stage)
            await stage.api.delete(resources.L4_VIRTUAL_SERVICES, KUARD.key)
            await asyncio.sleep(SETTLED_S)
            assert stage.switch.serves(2)
            await stage.api.delete(resources.SERVICES, "kuard", "default")
            await until(lambda: not stage.switch.serves(3))

    play(tmp_path, scene)


def test_a_restart_without_the_api_server_serves_what_was(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.agent():
            await serving(stage)
        stage.fake.unavailable = True
        stage.switch = Switch()
        async with stage.agent():
            await until(stage.switch.serves)

    play(tmp_path, scene)


def test_after_an_outage_what_changed_meanwhile_is_caught_up(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.agent():
            await serving(stage)
        await stage.decide(Phase.WITHDRAWN)
        async with stage.agent():
            await until(stage.acknowledged)
            assert not stage.switch.serves(2)

    play(tmp_path, scene)


def test_a_switch_that_takes_nothing_is_reported_and_then_no_more(tmp_path: Path) -> None:
    async def failing(stage: Stage) -> bool:
        return bool((await stage.status()).get("allFailing"))

    async def scene(stage: Stage) -> None:
        async with stage.agent():
            await serving(stage)
            known = await stage.status()
            stage.switch.broken = True
            await until(lambda: failing(stage))
            status = await stage.status()
            assert status["decisions"] == known["decisions"]
            assert "br-int" in status["message"]
            stage.switch.broken = False
            await until(lambda: _not(failing(stage)))

    play(tmp_path, scene)


def test_what_monitors_say_is_reported_though_no_decision_changed(tmp_path: Path) -> None:
    down = FailingMember(KUARD.key, build.ip("10.0.0.1"), "TCP", 8080, "TimedOut")

    async def failing(stage: Stage) -> tuple[FailingMember, ...]:
        return parse_failing(await stage.status())

    async def told(stage: Stage, *expected: FailingMember) -> bool:
        return await failing(stage) == expected

    async def scene(stage: Stage) -> None:
        async with stage.agent():
            await serving(stage)
            stage.monitors.say(down)
            await until(lambda: told(stage, down))
            written = len(stage.writes())
            await asyncio.sleep(SETTLED_S)
            assert len(stage.writes()) == written
            stage.monitors.say()
            await until(lambda: told(stage))

    play(tmp_path, scene)


def test_who_failed_before_a_restart_fails_after_it(tmp_path: Path) -> None:
    down = FailingMember(KUARD.key, build.ip("10.0.0.1"), "TCP", 8080, "TimedOut")

    async def scene(stage: Stage) -> None:
        async with stage.agent():
            await serving(stage)
            stage.monitors.say(down)
            await until(lambda: _fails(stage, down))
        stage.monitors = Monitors()
        async with stage.agent():
            assert stage.monitors.failing == (down,)

    async def _fails(stage: Stage, member: FailingMember) -> bool:
        return parse_failing(await stage.status()) == (member,)

    play(tmp_path, scene)


def test_a_drain_goes_on_after_a_restart(tmp_path: Path) -> None:
    def kept() -> list[Any]:
        return list(
            json.loads((tmp_path / f"agent-{NODE}.json").read_text())["objects"]["draining"]
        )

    async def scene(stage: Stage) -> None:
        async with stage.agent():
            await serving(stage)
            leaving = {"ready": False, "serving": True, "terminating": True}
            body = build.slice_object("kuard-2", 0, ("10.0.0.2", NODE), conditions=leaving)
            body["metadata"].pop("resourceVersion")
            await stage.api.create(resources.ENDPOINT_SLICES, body, "default")
            stage.kuard = dataclasses.replace(stage.kuard, policy=Policy(drain_timeout_s=3600))
            await stage.decide()
            await until(stage.acknowledged)
        before = kept()
        assert [entry["address"] for entry in before] == ["10.0.0.2"]
        await stage.decide()
        async with stage.agent():
            await until(stage.acknowledged)
        assert kept() == before

    play(tmp_path, scene)


async def _not(condition: Awaitable[bool]) -> bool:
    return not await condition


async def _decide_many(stage: Stage, count: int) -> None:
    for number in range(count):
        decision = build.service(f"idle-{number}", vips=[f"198.18.1.{number + 1}"])
        body = {"metadata": {"name": decision.key}, "spec": render_virtual_service(decision)}
        made = await stage.api.create(resources.L4_VIRTUAL_SERVICES, body)
        stage._version = made["metadata"]["resourceVersion"]


def test_decisions_without_members_cost_few_reports_together(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.agent():
            await serving(stage)
            written = len(stage.writes())
            await _decide_many(stage, 40)
            await until(stage.acknowledged)
            # One where the forty come within the two seconds that a report may wait.
            assert 1 <= len(stage.writes()) - written <= 4

    play(tmp_path, scene)
