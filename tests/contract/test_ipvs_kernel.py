"""What is IPVS's own: other people's virtual servers, drift, restarts, affinity, weights, UDP."""

import json
import time
from collections.abc import Iterator

import pytest

import dataplane_builders as build
import ipvs_bed
from dataplane_bed import LEGS
from dataplane_worlds import PODS, PORT, TARGET, V4, V6, names, serve, talks
from ipvs_world import IpvsWorld
from lbctl_dataplane.rules.frontend import Frontend

pytestmark = pytest.mark.root

OTHERS = "198.18.0.9:80"
both = pytest.mark.parametrize("vip", [V4, V6])


@pytest.fixture(scope="module")
def bed() -> Iterator[ipvs_bed.IpvsBed]:
    with ipvs_bed.bed_with_pods("ipvs", PODS, TARGET) as made:
        yield made


@pytest.fixture
def world(bed: ipvs_bed.IpvsBed) -> Iterator[IpvsWorld]:
    """The guest with nothing of ours in it, and so again afterwards."""
    made = IpvsWorld(bed)
    made.program()
    yield made
    bed.guest.run("ipvsadm", "-C")
    made.restart()
    made.program()


def listed(world: IpvsWorld) -> list[str]:
    return list(world.bed.guest.call("guest.ipvs_listing:listing"))


def ipvsadm(world: IpvsWorld, *words: str) -> None:
    world.bed.guest.run("ipvsadm", *words)


def endpoint(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def test_others_virtual_servers_are_left_alone(world: IpvsWorld) -> None:
    ipvsadm(world, "-A", "-t", OTHERS, "-s", "rr")
    ipvsadm(world, "-a", "-t", OTHERS, "-r", "10.244.71.11:8080", "-g")
    before = listed(world)
    world.program(serve(world, build.place(V4), (1,)))
    assert len(listed(world)) == 2
    world.program()
    assert listed(world) == before


def test_a_place_that_somebody_else_serves_is_left_to_him(world: IpvsWorld) -> None:
    ipvsadm(world, "-A", "-t", f"{V4}:{PORT}", "-s", "rr")
    world.restart()
    taken, free = serve(world, build.place(V4), (1,)), serve(world, build.place(V6), (1,))
    assert world.program(taken, free).missing == {"default.kuard": (taken.members[0].address,)}
    assert f"{V4}:{PORT} rr → " in listed(world)
    with talks(world, free.place, 1) as made:
        assert names(made) == ["pod1"]
    ipvsadm(world, "-D", "-t", f"{V4}:{PORT}")
    world.restart()
    assert world.program(taken, free).missing == {}
    with talks(world, taken.place, 1) as made:
        assert names(made) == ["pod1"]


@both
def test_what_drifted_is_put_right_by_the_agent_that_made_it(world: IpvsWorld, vip: str) -> None:
    at = build.place(vip)
    wanted = serve(world, at, (1, 2))
    world.program(wanted)
    before = listed(world)
    ipvsadm(world, "-E", "-t", endpoint(vip, PORT), "-s", "rr")
    world.bed.guest.run("ip", f"-{at.vip.version}", "route", "del", "local", vip, "table", "local")
    with talks(world, at, 1) as made:
        assert names(made) == [""]
    deadline = time.monotonic() + 20
    while not world.program(wanted).changed and time.monotonic() < deadline:
        time.sleep(0.2)
    assert listed(world) == before
    with talks(world, at, 1) as made:
        assert names(made) != [""]


@both
def test_members_that_drifted_are_put_right(world: IpvsWorld, vip: str) -> None:
    at = build.place(vip)
    world.program(serve(world, at, (1, 2)))
    before = listed(world)
    where, pod = endpoint(vip, PORT), world.address(1, at.vip.version)
    ipvsadm(world, "-d", "-t", where, "-r", endpoint(pod, TARGET))
    ipvsadm(world, "-a", "-t", where, "-r", endpoint(pod, PORT), "-m")
    world.restart()
    assert world.program(serve(world, at, (1, 2))).changed == 2
    assert listed(world) == before
    with talks(world, at, 20) as made:
        assert set(names(made)) == {"pod1", "pod2"}


@both
def test_a_restarted_agent_finds_its_own_and_breaks_nothing(world: IpvsWorld, vip: str) -> None:
    at = build.place(vip)
    wanted = serve(world, at, (1, 2, 3), affinity=True, affinity_timeout_s=60)
    world.program(wanted)
    with talks(world, at, 10) as made:
        before = names(made)
        world.restart()
        assert world.program(wanted).changed == 0
        assert names(made) == before


def test_a_connection_to_a_member_that_vanished_is_reset(world: IpvsWorld) -> None:
    at = build.place(V4)
    world.program(serve(world, at, (1,)))
    with world.bed.connect(V4, PORT) as made:
        assert made.recv(100).startswith(b"pod1")
        world.program(serve(world, at, (2,)))
        with pytest.raises(ConnectionError):
            for _ in range(3):
                made.sendall(b"ping")
                made.recv(100)


@both
def test_without_a_member_for_new_connections_they_are_refused_at_once(
    world: IpvsWorld, vip: str
) -> None:
    world.program(serve(world, build.place(vip), (), lingering=(1,)))
    with pytest.raises(ConnectionRefusedError):
        world.bed.connect(vip, PORT)
    with world.bed.udp(vip, PORT) as datagrams:
        world.program(serve(world, build.place(vip, "UDP"), (), lingering=(1,)))
        datagrams.send(b"ping")
        with pytest.raises(ConnectionRefusedError):
            datagrams.recv(100)


def test_a_vip_stays_while_one_of_its_places_does(world: IpvsWorld) -> None:
    web, other = build.place(V4), build.place(V4, port=81)
    world.program(serve(world, web, (1,)), serve(world, other, (2,)))
    world.program(serve(world, other, (2,)))
    with talks(world, other, 1) as made:
        assert names(made) == ["pod2"]
    with pytest.raises(ConnectionRefusedError):
        world.bed.connect(V4, PORT)


def test_sctp_is_programmed(world: IpvsWorld) -> None:
    at = build.place(V4, "SCTP")
    world.program(serve(world, at, (1,)))
    assert listed(world) == [f"{V4}:{PORT} mh → {world.address(1, 4)}:{TARGET}"]
    assert "SCTP" in world.bed.guest.run("cat", "/proc/net/ip_vs")
    world.restart()
    assert world.program(serve(world, at, (1,))).changed == 0


def test_the_legs_are_told_with_the_mac_of_the_service_interface(world: IpvsWorld) -> None:
    mac = json.loads(world.bed.guest.run("ip", "-j", "link", "show", "dev", "svc0"))[0]["address"]
    assert world.bed.guest.call("guest.ipvs_node:legs") == [[leg, mac] for leg in LEGS]


def test_a_member_whose_route_comes_later_is_served_then(world: IpvsWorld) -> None:
    at = build.place(V4)
    wanted = Frontend("default.kuard", at, build.members("10.99.0.9", port=TARGET))
    assert world.program(wanted).missing
    world.bed.guest.run("ip", "route", "add", "10.99.0.9/32", "dev", "vec1")
    deadline = time.monotonic() + 20
    while world.program(wanted).missing and time.monotonic() < deadline:
        time.sleep(0.1)
    assert listed(world) == [f"{V4}:{PORT} mh → 10.99.0.9:{TARGET}"]
    world.bed.guest.run("ip", "route", "del", "10.99.0.9/32")


@both
@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
def test_a_member_may_be_the_node_itself(world: IpvsWorld, vip: str, protocol: str) -> None:
    at = build.place(vip, protocol)
    wanted = Frontend("default.kuard", at, build.members(LEGS[vip == V6], port=TARGET))
    world.bed.guest.call("guest.host_pod:start", "host", TARGET, *LEGS)
    try:
        assert world.program(wanted).missing == {}
        with talks(world, at, 3) as made:
            assert names(made) == ["host"] * 3
    finally:
        world.bed.guest.call("guest.host_pod:end")


def test_a_scheduler_that_the_kernel_lacks_costs_its_own_services_the_choice_alone(
    world: IpvsWorld,
) -> None:
    loader = "/proc/sys/kernel/modprobe"
    asking = serve(world, build.place(V4), (1, 2), algorithm="least-connections")
    usual = serve(world, build.place(V4, port=81), (1, 2))
    before = world.bed.guest.run("cat", loader).strip()
    world.bed.guest.run("sysctl", "-qw", "kernel.modprobe=/bin/false")
    try:
        done = world.program(usual, asking)
        assert "modprobe -a ip_vs ip_vs_wlc" in done.complaint
        assert {line.split()[1] for line in listed(world)} == {"mh"}
        with talks(world, asking.place, 1) as made, talks(world, usual.place, 1) as others:
            assert "" not in names(made) + names(others)
        assert world.program(usual, asking).changed == 0
    finally:
        world.bed.guest.run("sysctl", "-qw", f"kernel.modprobe={before}")
    world.restart()
    assert world.program(usual, asking).complaint == ""
    assert f"{V4}:{PORT} wlc" in "\n".join(listed(world))
