"""What an agent reports, and how often it writes."""

import asyncio
import contextlib
import copy
import ipaddress
from collections.abc import Callable
from typing import Any

import dataplane_builders as build
import event_loops
from lbctl.kube.resources import Resource
from lbctl.model import errors
from lbctl_dataplane import serving_nodes
from lbctl_dataplane.backends.port import Leg
from lbctl_dataplane.rules.router.legs import Forwarding
from lbctl_dataplane.serving_node import Exemption, Identity, Report, Reporter, capped

LEG = Leg(build.ip("172.31.241.6"), "02:00:00:00:00:06")


class Server:
    """One ServingNode in memory, with conditional patches."""

    def __init__(self) -> None:
        self.object: dict[str, Any] | None = None
        self.writes: list[str] = []
        self.refusals: list[errors.LbctlError] = []
        self._version = 0

    def touch(self) -> None:
        assert self.object is not None
        self._version += 1
        self.object["metadata"]["resourceVersion"] = str(self._version)

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Any:
        if self.object is None:
            raise errors.NotFound(name)
        return copy.deepcopy(self.object)

    async def create(self, resource: Resource, body: Any, namespace: str | None = None) -> Any:
        self.object = copy.deepcopy(body)
        self.writes.append("create")
        self.touch()
        return copy.deepcopy(self.object)

    async def patch(
        self,
        resource: Resource,
        name: str,
        body: Any,
        namespace: str | None = None,
        *,
        sub: str = "",
        kind: str = "",
    ) -> Any:
        if self.refusals:
            raise self.refusals.pop()
        if self.object is None:
            raise errors.NotFound(name)
        if body["metadata"]["resourceVersion"] != self.object["metadata"]["resourceVersion"]:
            raise errors.Conflict(name)
        self.object.update({key: value for key, value in body.items() if key != "metadata"})
        self.writes.append(sub or "spec")
        self.touch()
        return copy.deepcopy(self.object)


class Machine:
    """What a role says about its machine."""

    def __init__(self, legs: tuple[Leg, ...] | None) -> None:
        self._legs = legs
        self.reason = ""
        self.forwards: Forwarding | None = None

    def legs(self) -> tuple[Leg, ...] | None:
        return self._legs

    def excluded(self) -> str:
        return self.reason

    def forwarding(self) -> Forwarding | None:
        return self.forwards


class Bench:
    def __init__(self, legs: tuple[Leg, ...] | None = (LEG,)) -> None:
        self.server = Server()
        self.machine = Machine(legs)
        identity = Identity("node-1", "node", build.CHOSEN)
        self.reporter = Reporter(self.server, identity, self.machine)

    def run(self, until: Callable[[], bool], report: Report | None = None) -> None:
        async def scenario() -> None:
            task = asyncio.ensure_future(self.reporter.run())
            if report is not None:
                self.reporter.want(report)
            async with asyncio.timeout(20):
                while not until():  # noqa: ASYNC110 - until something outside is so
                    await asyncio.sleep(0.01)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

        asyncio.run(scenario())

    def decisions(self) -> str:
        return str((self.server.object or {}).get("status", {}).get("decisions", ""))


def test_the_object_is_made_with_its_legs_and_then_acknowledges() -> None:
    bench = Bench()
    bench.run(lambda: bench.decisions() == "7", Report(7, 9))
    assert bench.server.writes == ["create", "status"]
    assert bench.server.object is not None
    assert bench.server.object["spec"] == {
        "role": "node",
        "backend": "ovs",
        "backendReason": "setting agent.backend",
        "legs": [{"family": "IPv4", "address": "172.31.241.6", "mac": "02:00:00:00:00:06"}],
        "excluded": "",
        "peers": "",
        "networks": [],
        "remoteMembers": "never",
    }
    assert bench.server.object["status"] == {
        "decisions": "7", "slices": "9", "allFailing": False, "message": "", "exceptions": [],
        "failing": [],
    }  # fmt: skip


def test_legs_that_are_not_known_yet_take_none_back() -> None:
    first = Bench()
    first.run(lambda: first.decisions() == "7", Report(7, 9))
    again = Bench(legs=None)
    again.server = first.server
    again.reporter = Reporter(first.server, Identity("node-1", "node", build.CHOSEN), again.machine)
    again.run(lambda: again.decisions() == "8", Report(8, 9))
    assert first.server.object is not None
    assert len(first.server.object["spec"]["legs"]) == 1


def test_an_exclusion_is_told_and_taken_back() -> None:
    bench = Bench()
    for version, reason in enumerate(("label x", ""), 7):
        bench.machine.reason = reason
        assert bench.reporter.place_differs()
        bench.run(lambda wanted=str(version): bench.decisions() == wanted, Report(version, 9))  # type: ignore[misc]
        assert bench.server.object is not None
        assert bench.server.object["spec"]["excluded"] == reason
        assert not bench.reporter.place_differs()


def test_what_is_passed_on_to_peers_is_told_and_taken_back() -> None:
    bench = Bench()
    networks = (ipaddress.ip_network("172.31.241.0/24"),)
    for version, forwards in enumerate((Forwarding(True, networks), None), 7):
        bench.machine.forwards = forwards
        assert bench.reporter.place_differs()
        bench.run(lambda wanted=str(version): bench.decisions() == wanted, Report(version, 9))  # type: ignore[misc]
        assert bench.server.object is not None
        assert serving_nodes.parse_node(bench.server.object).forwarding == forwards


def test_a_write_of_somebody_else_is_read_and_written_over() -> None:
    bench = Bench()

    async def scenario() -> None:
        task = asyncio.ensure_future(bench.reporter.run())
        async with asyncio.timeout(20):
            for version in (1, 2):
                bench.reporter.want(Report(version, 0))
                while bench.decisions() != str(version):  # noqa: ASYNC110 - as above
                    await asyncio.sleep(0.01)
                bench.server.touch()
        task.cancel()

    asyncio.run(scenario())


def test_an_object_that_was_deleted_is_made_again() -> None:
    bench = Bench()
    bench.run(lambda: bench.decisions() == "7", Report(7, 9))
    bench.server.object = None
    bench.run(lambda: bench.decisions() == "8", Report(8, 9))


def test_an_outage_delays_a_report_and_loses_none() -> None:
    bench = Bench()
    bench.server.refusals = [errors.Unavailable("down"), errors.Conflict("moved")]
    bench.run(lambda: bench.decisions() == "7", Report(7, 9))


def test_what_nobody_waits_for_goes_with_the_next_report_or_after_a_while() -> None:
    bench = Bench()

    async def scenario() -> None:
        async with event_loops.running(bench.reporter.run()):
            bench.reporter.want(Report(1, 0))
            await event_loops.until(lambda: bench.decisions() == "1")
            for version in range(2, 50):
                bench.reporter.want_sometime(Report(version, 0))
            await event_loops.turns(50)
            assert bench.decisions() == "1"
            bench.reporter.want(Report(50, 0))
            await event_loops.until(lambda: bench.decisions() == "50")
            for version in range(51, 100):
                bench.reporter.want_sometime(Report(version, 0))
            await event_loops.until(lambda: bench.decisions() == "99")

    event_loops.run(scenario(), event_loops.Hurried)
    assert bench.server.writes == ["create", "status", "status", "status"]


def exemptions(count: int) -> tuple[Exemption, ...]:
    return tuple(Exemption(f"default.s{n:03}", "NoLeg", "") for n in range(count))


def test_few_exceptions_are_reported_as_they_are() -> None:
    report = Report(500, 500, exemptions(3))
    assert capped(report, {}, limit=3) == report


def test_a_report_with_more_exceptions_than_fit_acknowledges_no_more_than_is_true() -> None:
    versions = {f"default.s{n:03}": 100 + n for n in range(5)}
    report = capped(Report(500, 500, exemptions(5)), versions, limit=3)
    assert report.exceptions == exemptions(3)
    assert report.decisions == 102
    assert report.slices == 500
