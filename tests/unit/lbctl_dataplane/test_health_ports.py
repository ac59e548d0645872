"""Health check node ports as a load balancer asks them, over real HTTP."""

import asyncio
import contextlib
import dataclasses
import json
import socket
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

import dataplane_builders as build
import event_loops
from lbctl.model.virtual_service import Phase, Policy, VirtualService
from lbctl.translate.endpoints import Endpoint
from lbctl_dataplane import decisions
from lbctl_dataplane.backends import memory
from lbctl_dataplane.health_ports import HealthPorts
from lbctl_dataplane.node import Beside, NodeRole
from lbctl_dataplane.rules import health_ports
from lbctl_dataplane.rules.health_ports import LocalEndpoints

NODE, OTHER = "node-1", "node-2"


async def well() -> str:
    return ""


async def unwell() -> str:
    return "the last pass failed"


def free_port() -> int:
    with socket.create_server(("", 0)) as free:
        return int(free.getsockname()[1])


def kuard(port: int, **fields: Any) -> VirtualService:
    policy = Policy(external_traffic_policy="Local", health_check_node_port=port, **fields)
    return build.service(policy=policy)


def ends(*nodes: str, ready: bool = True, six: bool = False) -> tuple[Endpoint, ...]:
    prefix = "fd00::" if six else "10.0.0."
    return tuple(
        Endpoint(build.ip(f"{prefix}{n}"), node, ready, True, not ready, (("", "TCP", 8080),))
        for n, node in enumerate(nodes, 1)
    )


def counted(service: VirtualService, found: tuple[Endpoint, ...]) -> Mapping[int, LocalEndpoints]:
    return health_ports.Wanted(NODE).of([service], {service.key: found})


def test_ready_endpoints_of_this_node_count() -> None:
    found = ends(NODE, OTHER, NODE)
    assert counted(kuard(30001), found) == {30001: LocalEndpoints("default", "kuard", 2)}


def test_a_dual_stack_pod_counts_once() -> None:
    found = (*ends(NODE, NODE), *ends(NODE, NODE, six=True))
    assert counted(kuard(30001), found)[30001].count == 2


@pytest.mark.parametrize(
    ("service", "found"),
    [
        (kuard(30001), ()),
        (kuard(30001), ends(OTHER)),
        (kuard(30001), ends(NODE, ready=False)),
        (kuard(30001, enabled=False), ends(NODE)),
    ],
    ids=["nowhere", "elsewhere", "terminating", "switched off"],
)
def test_without_ready_endpoints_here_there_is_none(
    service: VirtualService, found: tuple[Endpoint, ...]
) -> None:
    assert counted(service, found)[30001].count == 0


def test_who_has_no_port_or_is_withdrawn_is_not_asked() -> None:
    gone = dataclasses.replace(kuard(30001), phase=Phase.WITHDRAWN)
    assert counted(gone, ends(NODE)) == {}
    assert counted(kuard(0), ends(NODE)) == {}


async def ask(port: int, host: str = "127.0.0.1") -> tuple[int, Any, dict[str, str]]:
    """Return status, body and header fields."""
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: node\r\n\r\n")
    head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
    writer.close()
    first, *rest = head.split("\r\n")
    return int(first.split()[1]), json.loads(body), dict(line.split(": ", 1) for line in rest)


async def open_at(port: int) -> bool:
    try:
        await ask(port)
    except OSError:
        return False
    return True


async def until_open(port: int) -> None:
    while not await open_at(port):  # noqa: ASYNC110 (the limit of `run` ends it)
        await asyncio.sleep(0.02)


def free(port: int) -> bool:
    """Tell whether nobody listens; who would connect meanwhile might be left without an answer."""
    with contextlib.suppress(OSError), socket.create_server(("", port)):
        return True
    return False


@contextlib.asynccontextmanager
async def serving(
    ports: HealthPorts, wanted: Mapping[int, LocalEndpoints]
) -> AsyncIterator[HealthPorts]:
    async with event_loops.running(ports.follow()):
        ports.want(wanted)
        yield ports


def test_a_balancer_is_told_as_kube_proxy_tells_it() -> None:
    async def scene() -> None:
        port = free_port()
        wanted = {port: LocalEndpoints("default", "kuard", 2)}
        async with serving(HealthPorts("always", well), wanted) as ports:
            await until_open(port)
            for host in ("127.0.0.1", "::1"):
                status, body, fields = await ask(port, host)
                assert (status, body) == (
                    200,
                    {
                        "service": {"namespace": "default", "name": "kuard"},
                        "localEndpoints": 2,
                        "serviceProxyHealthy": True,
                    },
                )
            assert fields["Content-Type"] == "application/json"
            assert fields["X-Load-Balancing-Endpoint-Weight"] == "2"
            ports.want({port: LocalEndpoints("default", "kuard", 0)})
            status, body, fields = await ask(port)
            assert (status, body["localEndpoints"]) == (503, 0)

    event_loops.run(scene())


def test_a_node_that_cannot_program_is_not_healthy() -> None:
    async def scene() -> None:
        port = free_port()
        wanted = {port: LocalEndpoints("default", "kuard", 1)}
        async with serving(HealthPorts("always", unwell), wanted):
            await until_open(port)
            status, body, _ = await ask(port)
            assert (status, body["serviceProxyHealthy"]) == (503, False)

    event_loops.run(scene())


def test_a_port_that_is_no_more_wanted_is_closed_and_others_stay() -> None:
    async def scene() -> None:
        going, staying = free_port(), free_port()
        local = LocalEndpoints("default", "kuard", 1)
        async with serving(HealthPorts("always", well), {going: local}) as ports:
            await until_open(going)
            ports.want({going: local, staying: local})
            await until_open(staying)
            ports.want({staying: local})
            await event_loops.until(lambda: free(going))
            assert (await ask(staying))[0] == 200

    event_loops.run(scene())


def test_kube_proxy_has_the_ports_while_it_runs() -> None:
    async def scene() -> None:
        port, proxy = free_port(), socket.create_server(("127.0.0.1", 0))
        beside = (int(proxy.getsockname()[1]),)
        wanted = {port: LocalEndpoints("default", "kuard", 1)}
        async with serving(HealthPorts("auto", well, beside), wanted):
            await asyncio.sleep(6)
            assert not await open_at(port)
            proxy.close()
            await until_open(port)
            with socket.create_server(("127.0.0.1", beside[0])):
                await event_loops.until(lambda: free(port))

    event_loops.run(scene(), event_loops.Brisk)


def test_a_port_of_somebody_else_is_left_to_him_until_he_goes() -> None:
    async def scene() -> None:
        with socket.create_server(("", 0)) as other:
            port = int(other.getsockname()[1])
            wanted = {port: LocalEndpoints("default", "kuard", 1)}
            async with serving(HealthPorts("always", well), wanted):
                await asyncio.sleep(1)
                other.close()
                await until_open(port)
                assert (await ask(port))[0] == 200

    event_loops.run(scene(), event_loops.Brisk)


def test_never_is_never() -> None:
    async def scene() -> None:
        port = free_port()
        wanted = {port: LocalEndpoints("default", "kuard", 1)}
        async with serving(HealthPorts("never", well), wanted):
            await asyncio.sleep(6)
            assert not await open_at(port)

    event_loops.run(scene(), event_loops.Brisk)


def test_the_node_serves_what_decisions_ask_for() -> None:
    async def scene() -> None:
        port = free_port()
        service = kuard(port)
        behind = decisions.read_slices([build.slice_object("s", 1, ("10.0.0.1", NODE))])
        view = decisions.View((service,), {service.key: 1}, {service.key: behind}, 1, 1, True)
        ports = HealthPorts("always", well)
        role = NodeRole(NODE, memory.MemoryBackend(), build.CHOSEN, Beside(health=ports))
        async with event_loops.running(role.follow(lambda: None)):
            await role.program(view)
            await until_open(port)
            status, body, _ = await ask(port)
            assert (status, body["localEndpoints"]) == (200, 1)

    event_loops.run(scene())
