"""Members on nodes without an agent: asked at their nodes' ports, with real packets."""

import ipaddress
from collections.abc import Iterator

import pytest

import dataplane_bed
import dataplane_builders as build
from dataplane_worlds import PORT, V4, V6, NftWorld, bed_with_pods, names, talks
from lbctl.model.virtual_service import Listener, Policy
from lbctl.translate import remote
from lbctl.translate.endpoints import Endpoint
from lbctl.translate.remote import Crew
from lbctl_dataplane.rules.frontend import Frontend
from lbctl_dataplane.rules.local import LocalFrontends
from nft_agents import CLIENTS, nft
from relay_bed import (
    FAR,
    NODE_PORT,
    TARGET,
    RelayBed,
    far_addresses,
    far_pod_addresses,
    own_addresses,
)

pytestmark = pytest.mark.root

RELAY = "relay"
CREW = Crew(frozenset({RELAY}), (RELAY,), sharing=1)
both = pytest.mark.parametrize("vip", [V4, V6])
each_protocol = pytest.mark.parametrize("protocol", ["TCP", "UDP"])


@pytest.fixture(scope="module")
def relay_bed() -> Iterator[dataplane_bed.Bed]:
    with bed_with_pods("relay", RelayBed) as made:
        yield made


@pytest.fixture
def world(relay_bed: dataplane_bed.Bed) -> Iterator[NftWorld]:
    made = NftWorld(relay_bed)
    yield made
    made.program()
    for version in (4, 6):
        assert "elements" not in nft(made, "list", "set", "inet", "lbctl-node", f"remote{version}")


def on(node: str, address: str, *, ready: bool = True) -> Endpoint:
    ports = tuple(("", protocol, TARGET) for protocol in ("TCP", "UDP"))
    return Endpoint(build.ip(address), node, ready, ready, False, ports)


def far(*numbers: int, ready: bool = True) -> list[Endpoint]:
    """Return the pods of far nodes, by both families."""
    found = [(number, address) for number in numbers for address in far_pod_addresses(number)]
    return [on(f"far-{number}", address, ready=ready) for number, address in found]


def bare(*numbers: int) -> list[Endpoint]:
    return [on("", address) for number in numbers for address in far_addresses(number)]


def local(world: NftWorld, *pods: int) -> list[Endpoint]:
    return [on(RELAY, world.address(pod, version)) for pod in pods for version in (4, 6)]


def hosts(*numbers: int) -> dict[tuple[str, int], ipaddress.IPv4Address | ipaddress.IPv6Address]:
    found = [(number, build.ip(text)) for number in numbers for text in far_addresses(number)]
    return {(f"far-{number}", address.version): address for number, address in found}


def frontends(
    *endpoints: Endpoint,
    known: tuple[int, ...] = FAR,
    traffic: str = "Cluster",
    ranges: tuple[str, ...] = (),
) -> tuple[Frontend, ...]:
    """Return what the relay programs for a Service with these endpoints; it knows some nodes."""
    listeners = tuple(
        Listener("", protocol, PORT, "pool", NODE_PORT) for protocol in ("TCP", "UDP")
    )
    policy = Policy(external_traffic_policy=traffic, source_ranges=ranges)
    service = build.service(vips=(V4, V6), listeners=listeners, policy=policy)
    spread = remote.spread(endpoints, CREW, hosts(*known))
    return LocalFrontends(RELAY).of([service], {service.key: spread})


@both
@each_protocol
def test_a_pod_that_no_route_leads_to_answers_by_its_nodes_port(
    world: NftWorld, vip: str, protocol: str
) -> None:
    assert world.program(*frontends(*far(1))).missing == {}
    with talks(world, build.place(vip, protocol), 3) as made:
        assert names(made) == ["far1"] * 3


@both
def test_it_sees_the_relays_address_and_a_pod_of_the_relay_the_clients(
    world: NftWorld, vip: str
) -> None:
    world.program(*frontends(*far(1)))
    with world.bed.connect(vip, PORT) as connection:
        assert connection.recv(200).decode().split() == ["far1", own_addresses(1)[vip == V6]]
    world.program(*frontends(*local(world, 1)))
    with world.bed.connect(vip, PORT) as connection:
        assert connection.recv(200).decode().split() == ["pod1", CLIENTS[vip]]


@both
@each_protocol
def test_what_is_on_no_node_is_reached_at_its_own_address(
    world: NftWorld, vip: str, protocol: str
) -> None:
    assert world.program(*frontends(*bare(2))).missing == {}
    with talks(world, build.place(vip, protocol), 3) as made:
        assert names(made) == ["bare2"] * 3


@both
def test_connections_survive_one_five_zero_two(world: NftWorld, vip: str) -> None:
    at = build.place(vip)
    world.program(*frontends(*far(1)))
    with talks(world, at, 4) as held:
        assert names(held) == ["far1"] * 4
        world.program(*frontends(*far(1, 2), *local(world, 1, 2, 3)))
        assert names(held) == ["far1"] * 4
        with talks(world, at, 60) as made:
            assert set(names(made)) == {"far1", "far2", "pod1", "pod2", "pod3"}
        world.program(*frontends())
        assert world.refuses(at)
        world.program(*frontends(*far(2), *local(world, 4)))
        with talks(world, at, 30) as made:
            assert set(names(made)) == {"far2", "pod4"}


@both
def test_a_connection_that_kube_proxy_may_have_taken_elsewhere_outlives_the_nodes_pods(
    world: NftWorld, vip: str
) -> None:
    world.program(*frontends(*far(1)))
    with talks(world, build.place(vip), 3) as held:
        world.program(*frontends(*far(2)))
        assert names(held) == ["far1"] * 3
    world.program(*frontends(*far(1), traffic="Local"))
    with talks(world, build.place(vip), 3) as held:
        world.program(*frontends(*far(2), traffic="Local"))
        assert names(held) == [""] * 3


@both
def test_a_client_that_sends_on_from_its_port_leaves_a_node_without_pods(
    world: NftWorld, vip: str
) -> None:
    world.program(*frontends(*far(1)))
    with talks(world, build.place(vip, "UDP"), 3) as held:
        assert names(held) == ["far1"] * 3
        world.program(*frontends(*far(2)))
        assert names(held) == ["far2"] * 3


@both
def test_while_its_pods_are_not_ready_a_node_keeps_its_connections(
    world: NftWorld, vip: str
) -> None:
    at = build.place(vip)
    world.program(*frontends(*far(1), traffic="Local"))
    with talks(world, at, 3) as held:
        world.program(*frontends(*far(1, ready=False), *far(2), traffic="Local"))
        assert names(held) == ["far1"] * 3
        with talks(world, at, 5) as made:
            assert names(made) == ["far2"] * 5


@both
def test_a_node_whose_address_nobody_knows_is_named(world: NftWorld, vip: str) -> None:
    missing = world.program(*frontends(*far(1, 2), known=(1,))).missing
    assert missing == {"default.kuard": tuple(map(build.ip, far_pod_addresses(2)))}
    with talks(world, build.place(vip), 5) as made:
        assert names(made) == ["far1"] * 5


def test_who_may_not_connect_is_kept_out_before_its_address_is_hidden(world: NftWorld) -> None:
    world.program(*frontends(*far(1), ranges=("192.0.2.0/24", "2001:db8::/32")))
    for vip in (V4, V6):
        with pytest.raises(TimeoutError):
            world.bed.connect(vip, PORT, timeout_s=0.7)


def test_nothing_changes_where_nothing_changed(world: NftWorld) -> None:
    wanted = frontends(*far(1, 2), *bare(2), *local(world, 1))
    world.program(*wanted)
    assert world.program(*wanted).changed == 0
