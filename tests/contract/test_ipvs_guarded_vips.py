"""The table beside IPVS on a real kernel: who may connect, and what else of a VIP is reached.

Servers that listen on the VIP itself stand in for IPVS, which gets what they get.
"""

import asyncio
import contextlib
import functools
import socket
import subprocess
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from typing import Any

import pytest

import dataplane_bed
import dataplane_builders as build
import pings
import spaces
from dataplane_bed import network_of
from lbctl import delta
from lbctl.model.policy import Limits
from lbctl_dataplane.backends import choice
from lbctl_dataplane.backends.ipvs.gate import NftFilter
from lbctl_dataplane.backends.tables import counter
from lbctl_dataplane.rules.frontend import Frontend, merged
from lbctl_dataplane.rules.ipvs import gate
from spaces import sh

pytestmark = pytest.mark.root

VIPS = ("198.18.0.1", "2001:2::1")
CLIENTS = ("203.0.113.1", "2001:db8:c::1")
NODES = ("203.0.113.2", "2001:db8:c::2")
PORT, DAEMON = 8080, 10250
KUBE_PROXY = """
add table ip kube-proxy
add chain ip kube-proxy services { type nat hook prerouting priority -100; }
add rule ip kube-proxy services ip daddr 198.18.0.1 tcp dport 8080 dnat to 203.0.113.2:10250
"""


class Place:
    """A node with VIPs of its own, and a client beside it."""

    def __init__(self) -> None:
        self.node = spaces.named("filter", "node")
        self.client = spaces.named("filter", "client")
        self._servers: list[subprocess.Popen[str]] = []

    def up(self) -> None:
        for space in (self.node, self.client):
            spaces.add(space)
            dataplane_bed.forward(space)
        pair = ("type", "veth", "peer", "name", "eth0", "netns", self.client)
        sh("ip", "link", "add", "svc0", "netns", self.node, *pair)
        ends = ((self.node, "svc0", NODES), (self.client, "eth0", CLIENTS))
        for space, device, addresses in ends:
            for address, length in zip(addresses, (24, 64), strict=True):
                way = ("dev", device, "nodad")
                sh("ip", "address", "add", f"{address}/{length}", *way, inside=space)
            sh("ip", "link", "set", device, "up", inside=space)
        for vip, node in zip(VIPS, NODES, strict=True):
            sh("ip", "address", "add", vip, "dev", "lo", "nodad", inside=self.node)
            sh("ip", "route", "add", vip, "via", node, inside=self.client)
        for port in (PORT, DAEMON):
            self._servers.append(dataplane_bed.pod_server(self.node, f"on{port}", port, *VIPS))

    def down(self) -> None:
        for server in self._servers:
            dataplane_bed.stop(server)
        for space in (self.node, self.client):
            spaces.delete(space)

    def run(self, body: Callable[[], Coroutine[Any, Any, None]]) -> None:
        with network_of(self.node):
            asyncio.run(body())

    def connection(self, address: str, port: int) -> socket.socket:
        with network_of(self.client):
            return socket.create_connection((address, port), timeout=2)

    def answer(self, address: str, port: int) -> str:
        """Return who answers; what went wrong otherwise."""
        try:
            with network_of(self.client):
                made = socket.create_connection((address, port), timeout=0.7)
        except OSError as error:
            return type(error).__name__
        with made:
            return made.recv(100).decode().split()[0]

    def datagram_answer(self, address: str, port: int) -> str:
        with dataplane_bed.datagrams_from(self.client, address, port, 0.7) as datagrams:
            try:
                datagrams.send(b"ping")
                return datagrams.recv(100).decode().split()[0]
            except OSError as error:
                return type(error).__name__


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    made = Place()
    made.up()
    yield made
    made.down()


@pytest.fixture(autouse=True)
def _emptied(place: Place) -> Iterator[None]:
    yield
    for table in ("inet lbctl-ipvs", "ip kube-proxy"):
        with contextlib.suppress(RuntimeError):
            sh("nft", "delete", "table", *table.split(), inside=place.node)


def frontends() -> list[Frontend]:
    places = [
        build.place(vip, protocol, PORT) for vip in VIPS for protocol in ("TCP", "UDP", "SCTP")
    ]
    return [build.frontend(entry, "10.0.0.1") for entry in places]


async def program(beside: NftFilter, *wanted: Frontend) -> int:
    """Bring the table to what frontends need; return the number of elements that were changed."""
    elements = {key: ends for entry in wanted for key, ends in gate.elements(entry).items()}
    change = delta.diff(elements, await beside.observe())
    await beside.change(change)
    assert not delta.diff(elements, await beside.observe())
    return len(change.upserts) + len(change.deletes)


def limited(*ranges: str) -> list[Frontend]:
    return [
        replace(entry, open_to_all=False, source_ranges=merged(ranges, entry.place.vip.version))
        for entry in frontends()
    ]


def test_only_ports_of_listeners_are_reached(place: Place) -> None:
    assert [place.answer(vip, DAEMON) for vip in VIPS] == ["on10250"] * 2

    async def body() -> None:
        await program(NftFilter("svc0"), *frontends())

    place.run(body)
    for vip in VIPS:
        assert place.answer(vip, PORT) == "on8080"
        assert place.datagram_answer(vip, PORT) == "on8080"
        assert place.answer(vip, DAEMON) == "ConnectionRefusedError"
        assert place.datagram_answer(vip, DAEMON) == "ConnectionRefusedError"
    assert [place.answer(node, DAEMON) for node in NODES] == ["on10250"] * 2


def test_places_that_nobody_serves_are_refused_though_others_have_the_vip(place: Place) -> None:
    # What listens on the VIP stands in for what the packets would meet on their way elsewhere.
    vacant = [build.frontend(entry.place) for entry in frontends()]

    async def body() -> None:
        beside = NftFilter("svc0")
        await program(beside, *vacant)
        for vip in VIPS:
            assert place.answer(vip, PORT) == "ConnectionRefusedError"
            assert place.datagram_answer(vip, PORT) == "ConnectionRefusedError"
            assert place.answer(vip, DAEMON) == "on10250"
        await program(beside, *frontends())
        assert [place.answer(vip, PORT) for vip in VIPS] == ["on8080"] * 2

    place.run(body)


def test_pings_are_answered_unless_they_are_kept_off(place: Place) -> None:
    async def body(*, answer_pings: bool) -> None:
        await program(NftFilter("svc0", answer_pings=answer_pings), *frontends())

    for answer_pings in (True, False, True):
        place.run(functools.partial(body, answer_pings=answer_pings))
        for vip in VIPS:
            wait_s = 5 if answer_pings else 0.5
            assert pings.answered(place.client, vip, wait_s) is answer_pings


def test_only_clients_in_the_ranges_get_through(place: Place) -> None:
    async def body() -> None:
        beside = NftFilter("svc0")
        await program(beside, *limited("203.0.113.0/30", "192.0.2.1/32", "2001:db8:c::1/128"))
        assert [place.answer(vip, PORT) for vip in VIPS] == ["on8080"] * 2
        await program(beside, *limited("192.0.2.1/32", "2001:db8:d::/64"))
        assert [place.answer(vip, PORT) for vip in VIPS] == ["TimeoutError"] * 2
        assert [place.datagram_answer(vip, PORT) for vip in VIPS] == ["TimeoutError"] * 2
        await program(beside, *limited())
        assert [place.answer(vip, PORT) for vip in VIPS] == ["TimeoutError"] * 2
        await program(beside, *frontends())
        assert [place.answer(vip, PORT) for vip in VIPS] == ["on8080"] * 2

    place.run(body)


def within(limits: Limits) -> list[Frontend]:
    return [replace(entry, limits=limits) for entry in frontends()]


def test_connections_beyond_a_limit_are_refused(place: Place) -> None:
    async def body() -> None:
        beside = NftFilter("svc0")
        await program(beside, *within(Limits(connections=1)))
        for vip in VIPS:
            with place.connection(vip, PORT):
                assert place.answer(vip, PORT) == "ConnectionRefusedError"
                await program(beside, *within(Limits(connections=3)))
                assert place.answer(vip, PORT) == "on8080"
            await program(beside, *within(Limits(connections=1)))
        await program(beside, *frontends())
        assert [place.answer(vip, PORT) for vip in VIPS] == ["on8080"] * 2

    place.run(body)


def test_new_connections_beyond_a_rate_are_refused(place: Place) -> None:
    async def body() -> None:
        await program(NftFilter("svc0"), *within(Limits(connections_per_s=1)))
        for vip in VIPS:
            answers = [place.answer(vip, PORT) for _ in range(20)]
            assert answers[0] == "on8080"
            assert set(answers) == {"on8080", "ConnectionRefusedError"}

    place.run(body)


async def in_two_steps(beside: NftFilter, before: list[Frontend], after: list[Frontend]) -> None:
    """Change the table as the backend does: what comes, then, unread in between, what goes."""
    was, wanted = (
        {key: ends for entry in found for key, ends in gate.elements(entry).items()}
        for found in (before, after)
    )
    change = delta.diff(wanted, was)
    await beside.change(delta.Delta(change.upserts, frozenset()))
    await beside.change(delta.Delta({}, change.deletes))
    assert not delta.diff(wanted, await beside.observe())


def test_connections_of_a_client_beyond_its_limit_are_refused(place: Place) -> None:
    one, two = (within(Limits(connections_per_client=limit)) for limit in (1, 2))

    async def body() -> None:
        beside = NftFilter("svc0")
        await program(beside, *one)
        for vip in VIPS:
            with place.connection(vip, PORT):
                assert place.answer(vip, PORT) == "ConnectionRefusedError"
                await in_two_steps(beside, one, two)
                with place.connection(vip, PORT), place.connection(vip, PORT):
                    assert place.answer(vip, PORT) == "ConnectionRefusedError"
            await in_two_steps(beside, two, one)
        assert counter.refused(choice.IPVS) == {"ipvs": 2 * len(VIPS)}
        await in_two_steps(beside, one, frontends())
        assert [place.answer(vip, PORT) for vip in VIPS] == ["on8080"] * 2

    place.run(body)


def test_who_may_not_connect_uses_no_limit_up(place: Place) -> None:
    async def body() -> None:
        limits = Limits(connections_per_s=1)
        outside = limited("192.0.2.1/32", "2001:db8:d::/64")
        await program(NftFilter("svc0"), *(replace(entry, limits=limits) for entry in outside))
        assert [place.answer(vip, PORT) for vip in VIPS] == ["TimeoutError"] * 2
        assert counter.refused(choice.IPVS) == {"ipvs": 0}

    place.run(body)


def test_kube_proxy_does_not_take_what_enters_by_the_service_interface(place: Place) -> None:
    sh("sh", "-c", f"nft -f - <<'END'{KUBE_PROXY}END", inside=place.node)
    assert place.answer(VIPS[0], PORT) == "on10250"

    async def body() -> None:
        await program(NftFilter("svc0"), *frontends())

    place.run(body)
    assert place.answer(VIPS[0], PORT) == "on8080"
    assert "dnat to 203.0.113.2:10250" in sh("nft", "list", "ruleset", inside=place.node)


def test_a_table_that_was_damaged_is_made_anew(place: Place) -> None:
    async def body() -> None:
        beside = NftFilter("svc0")
        await program(beside, *frontends())
        assert await program(beside, *frontends()) == 0
        sh("nft", "flush", "chain", "inet", "lbctl-ipvs", "input")
        assert place.answer(VIPS[0], DAEMON) == "on10250"
        assert await program(beside, *frontends()) > 0
        assert place.answer(VIPS[0], DAEMON) == "ConnectionRefusedError"

    place.run(body)


def test_thousands_of_places_are_read_back_as_written(place: Place) -> None:
    wanted = [
        build.frontend(build.place(f"198.18.{n // 250}.{n % 250}"), "10.0.0.1") for n in range(3000)
    ]

    async def body() -> None:
        assert await program(NftFilter("svc0"), *wanted) == 6000

    place.run(body)
