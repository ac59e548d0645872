"""Source ranges on the real switch: who may connect does, nobody else reaches a member."""

import contextlib
import ipaddress
import socket
import time
from collections.abc import Iterator

import pytest

import dataplane_bed
import dataplane_builders as build
import dataplane_whole as whole
from dataplane_bed import network_of
from dataplane_worlds import PORT, TARGET, V4, V6, OvsWorld, bed_with_pods
from lbctl.model.virtual_service import Listener, Policy
from lbctl.translate.endpoints import Endpoint
from lbctl_dataplane.backends.port import Outcome
from spaces import sh

pytestmark = pytest.mark.root

CLIENTS = {4: ("203.0.113.10", "198.51.100.10"), 6: ("2001:db8:c::10", "2001:db8:d::10")}
LISTENERS = (Listener("", "TCP", PORT, "pool"), Listener("", "UDP", PORT, "pool-udp"))
PORTS = (("", "TCP", TARGET), ("", "UDP", TARGET))
MANY = 300


@pytest.fixture(scope="module")
def bed() -> Iterator[dataplane_bed.Bed]:
    with bed_with_pods("ranges") as made:
        for address in (*CLIENTS[4], *CLIENTS[6]):
            sh("ip", "address", "add", address, "dev", "lo", "nodad", inside=made.client)
        yield made


def allow(world: OvsWorld, *ranges: str) -> Outcome:
    """Program a Service on both VIPs with these ranges, as an agent would."""
    service = build.service(vips=(V4, V6), listeners=LISTENERS, policy=Policy(source_ranges=ranges))
    ends = tuple(
        Endpoint(build.ip(world.address(1, version)), "node-1", True, True, False, PORTS)
        for version in (4, 6)
    )
    return world.program(*whole.frontends([service], {service.key: ends}, "node-1"))


def connects(world: OvsWorld, source: str) -> bool:
    """Tell whether a client address gets through by TCP; by UDP it must be the same."""
    vip = V4 if ipaddress.ip_address(source).version == 4 else V6
    stream = False
    with network_of(world.bed.client):
        with (
            contextlib.suppress(TimeoutError),
            socket.create_connection((vip, PORT), 0.7, (source, 0)) as made,
        ):
            stream = bool(made.recv(100))
        family = socket.AF_INET if vip == V4 else socket.AF_INET6
        with socket.socket(family, socket.SOCK_DGRAM) as datagrams:
            datagrams.bind((source, 0))
            datagrams.settimeout(0.7)
            datagrams.sendto(b"hello", (vip, PORT))
            answered = False
            with contextlib.suppress(TimeoutError):
                answered = bool(datagrams.recv(100))
    assert answered is stream
    return stream


@pytest.mark.parametrize("version", [4, 6])
def test_only_those_inside_a_range_get_through(world: OvsWorld, version: int) -> None:
    inside, outside = CLIENTS[version]
    network = str(ipaddress.ip_network(f"{inside}/{24 if version == 4 else 48}", strict=False))
    allow(world, network)
    assert connects(world, inside)
    assert not connects(world, outside)
    allow(world, f"{inside}/{32 if version == 4 else 128}", f"{outside}/32")
    assert connects(world, inside)
    allow(world)
    assert connects(world, outside)


@pytest.mark.parametrize("version", [4, 6])
def test_ranges_of_the_other_family_let_nobody_in(world: OvsWorld, version: int) -> None:
    allow(world, "::/0" if version == 4 else "0.0.0.0/0")
    assert not connects(world, CLIENTS[version][0])
    assert connects(world, CLIENTS[10 - version][0])


def test_two_halves_are_everybody_and_cost_one_flow(world: OvsWorld) -> None:
    one = allow(world, "0.0.0.0/0", "::/0").changed
    assert allow(world, "0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1").changed == 0
    assert one > 0
    assert connects(world, CLIENTS[4][1])
    assert connects(world, CLIENTS[6][1])


def test_a_range_that_does_not_parse_lets_nobody_in_and_the_others_count(world: OvsWorld) -> None:
    allow(world, "kuard")
    assert not connects(world, CLIENTS[4][0])
    assert not connects(world, CLIENTS[6][0])
    allow(world, "kuard", f"{CLIENTS[4][0]}/32")
    assert connects(world, CLIENTS[4][0])
    assert not connects(world, CLIENTS[4][1])


def test_hundreds_of_ranges_are_one_flow_each_and_program_at_once(world: OvsWorld) -> None:
    many = [f"10.{n % 250}.{n // 250 * 2}.0/24" for n in range(MANY)]
    allow(world)
    before = time.monotonic()
    changed = allow(world, *many, f"{CLIENTS[4][0]}/32").changed
    assert time.monotonic() - before < 10.0
    assert changed <= (MANY + 1) * len(LISTENERS) + 4  # and what was open to all goes
    assert connects(world, CLIENTS[4][0])
    assert not connects(world, CLIENTS[4][1])
    assert allow(world, *reversed(many), f"{CLIENTS[4][0]}/32").changed == 0


def test_a_change_of_ranges_breaks_no_connection_that_is_there(world: OvsWorld) -> None:
    allow(world, f"{CLIENTS[4][0]}/32")
    with (
        network_of(world.bed.client),
        socket.create_connection((V4, PORT), 2, (CLIENTS[4][0], 0)) as made,
    ):
        assert made.recv(100)
        allow(world, f"{CLIENTS[4][1]}/32")
        made.sendall(b"ping")
        assert made.recv(100) == b"ping"
    assert not connects(world, CLIENTS[4][0])
    assert connects(world, CLIENTS[4][1])
