"""What an L4Policy's rules do to packets on the real switch."""

import pathlib
import re
from collections.abc import Iterator

import pytest

import affinity_scenes
import dataplane_bed
import dataplane_builders as build
import dataplane_whole as whole
from dataplane_worlds import (
    PODS,
    PORT,
    TARGET,
    V4,
    V6,
    OvsWorld,
    bed_with_pods,
    names,
    serve,
    talks,
)
from lbctl.model.policy import Limits
from lbctl.model.virtual_service import Listener, Policy
from lbctl.translate.endpoints import Endpoint
from lbctl_dataplane.rules import constants
from lbctl_dataplane.rules.ovs.affinity import LIMIT, LONGEST_S

pytestmark = pytest.mark.root
LISTENERS = (Listener("", "TCP", PORT, "pool"),)
MANY = 24
"""Connections that a hash of both ends puts on one of five members once in 10^16 runs."""


@pytest.fixture(scope="module")
def bed() -> Iterator[dataplane_bed.Bed]:
    with bed_with_pods("rules") as made:
        yield made


def carry(world: OvsWorld, policy: Policy) -> None:
    """Program a Service with all pods on both VIPs, as an agent would."""
    service = build.service(vips=(V4, V6), listeners=LISTENERS, policy=policy)
    ends = tuple(
        Endpoint(
            build.ip(world.address(pod, version)),
            "node-1",
            True,
            True,
            False,
            (("", "TCP", TARGET),),
        )
        for pod in PODS
        for version in (4, 6)
    )
    world.program(*whole.frontends([service], {service.key: ends}, "node-1"))


@pytest.mark.parametrize("vip", [V4, V6])
def test_traffic_that_is_off_ends_connections_and_lets_nobody_in(world: OvsWorld, vip: str) -> None:
    at = build.place(vip, port=PORT)
    carry(world, Policy())
    with talks(world, at, 2) as made:
        assert all(names(made))
        carry(world, Policy(enabled=False))
        assert names(made) == ["", ""]
        with talks(world, at, 1) as late:
            assert names(late) == [""]
    carry(world, Policy())
    with talks(world, at, 1) as made:
        assert all(names(made))


@pytest.mark.parametrize("vip", [V4, V6])
def test_a_hash_of_the_source_gives_one_client_one_member_and_others_spread(
    world: OvsWorld, vip: str
) -> None:
    at = build.place(vip, port=PORT)
    carry(world, Policy(algorithm="source-hash"))
    with talks(world, at, MANY) as made:
        assert len({*names(made)} - {""}) == 1
    # What a backend does not do, it leaves: the default.
    carry(world, Policy(algorithm="round-robin"))
    with talks(world, at, MANY) as made:
        assert len({*names(made)} - {""}) > 1


@pytest.mark.parametrize("vip", [V4, V6])
def test_a_client_is_remembered_while_it_sends_and_then_no_more(world: OvsWorld, vip: str) -> None:
    affinity_scenes.remembered_while_it_sends(world, vip, timeout_s=3)


def remembered(world: OvsWorld) -> list[str]:
    """Return what the switch has learned, one text for each client of a place."""
    learned = f"cookie={constants.LEARNED_COOKIE:#x}/{constants.COOKIE_MASK:#x}"
    dump = world.bed.ofctl("--no-names", "--no-stats", "dump-flows", "br-int", learned)
    return [line.strip() for line in dump.splitlines() if "actions=" in line]


def remembering(world: OvsWorld, vip: str, pods: tuple[int, ...], timeout_s: int = 600) -> None:
    at, sticky = build.place(vip, port=PORT), {"affinity": True, "affinity_timeout_s": timeout_s}
    world.program(serve(world, at, pods, **sticky))


@pytest.mark.parametrize("vip", [V4, V6])
def test_clients_of_a_member_that_goes_are_forgotten_and_others_are_not(
    world: OvsWorld, vip: str
) -> None:
    at = build.place(vip, port=PORT)
    remembering(world, vip, (1,))
    with talks(world, at, 1) as made:
        assert names(made) == ["pod1"]
    (known,) = remembered(world)
    remembering(world, vip, (1, 2, 3))
    assert remembered(world) == [known]
    remembering(world, vip, (2, 3))
    assert remembered(world) == []
    remembering(world, vip, PODS)
    with talks(world, at, 3) as made:
        assert len(set(names(made))) == 1


def test_a_place_that_remembers_no_more_forgets_its_clients(world: OvsWorld) -> None:
    remembering(world, V4, (1, 2))
    with talks(world, build.place(V4, port=PORT), 1):
        assert len(remembered(world)) == 1
    carry(world, Policy(algorithm="source-hash"))
    assert remembered(world) == []


def test_another_time_forgets_nobody(world: OvsWorld) -> None:
    remembering(world, V4, (1, 2), timeout_s=600)
    with talks(world, build.place(V4, port=PORT), 1):
        (before,) = remembered(world)
    remembering(world, V4, (1, 2), timeout_s=900)
    (after,) = remembered(world)
    # By and by the switch learns the new time.
    assert after.replace("=900,", "=600,") == before


def test_a_time_beyond_that_of_flows_is_the_longest_one(world: OvsWorld) -> None:
    remembering(world, V4, (1,), timeout_s=86_400)
    with talks(world, build.place(V4, port=PORT), 1):
        (known,) = remembered(world)
    assert f"idle_timeout={LONGEST_S}," in known


def test_who_is_beyond_the_number_of_clients_of_a_member_goes_by_the_hash(
    world: OvsWorld, tmp_path: pathlib.Path
) -> None:
    at = build.place(V4, port=PORT)
    remembering(world, V4, (1,))
    with talks(world, at, 1):
        (known,) = remembered(world)
    world.bed.ofctl("del-flows", "br-int", f"table={constants.TABLE_REMEMBERED}")
    own = re.search(r"nw_src=[0-9.]+", known)
    assert own is not None
    others = (known.replace(own[0], f"nw_src=10.{n >> 8}.{n & 255}.1") for n in range(LIMIT))
    full = tmp_path / "flows"
    full.write_text("".join(line.replace(" actions", ",actions") + "\n" for line in others))
    world.bed.ofctl("add-flows", "br-int", str(full))
    with talks(world, at, 3) as made:
        assert names(made) == ["pod1"] * 3
    assert not [line for line in remembered(world) if own[0] in line]
    assert len(remembered(world)) == LIMIT


@pytest.mark.parametrize("vip", [V4, V6])
def test_beyond_the_rate_clients_are_dropped_and_connections_go_on(
    world: OvsWorld, vip: str
) -> None:
    at = build.place(vip, port=PORT)
    world.program(serve(world, at, (1,), limits=Limits(connections_per_s=1)))
    with world.bed.connect(vip, PORT) as known:
        assert known.recv(100)
        with pytest.raises(TimeoutError):
            for _ in range(9):
                world.bed.connect(vip, PORT, timeout_s=0.5).close()
        for _ in range(50):
            known.sendall(b"ping")
            assert known.recv(100) == b"ping"
