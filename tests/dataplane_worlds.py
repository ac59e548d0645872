"""A node backend with pods behind and clients before it: in memory, and with real packets."""

import asyncio
import contextlib
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import dataplane_bed
import dataplane_builders as build
import pings
from dataplane_bed import network_of
from lbctl.model.virtual_service import Address
from lbctl_dataplane.backends import memory
from lbctl_dataplane.backends.nft import backend as nft
from lbctl_dataplane.backends.ovs import backend as ovs
from lbctl_dataplane.backends.ovs import ground
from lbctl_dataplane.backends.port import NodeBackend, Outcome
from lbctl_dataplane.rules.frontend import Frontend, Member, Place
from spaces import PREFIX

V4, V6 = "198.18.0.1", "2001:2::1"
PORT, TARGET = 80, 8080
PODS = (1, 2, 3, 4, 5)
PATIENCE_S = 1.5
"""For an answer: a SYN that a busy machine lost is sent again after a second."""


class Talk(Protocol):
    """One connection of a client through the backend."""

    def name(self) -> str:
        """Return who answers now; empty when nobody does."""
        ...

    def close(self) -> None: ...


class World(Protocol):
    """A backend with pods behind and clients before it."""

    refuses_vacant: bool
    """It tells clients of a place that no node serves; else a table beside it does."""

    def address(self, pod: int, version: int) -> str: ...
    def program(self, *frontends: Frontend) -> Outcome: ...
    def talk(self, place: Place) -> Talk: ...
    def refuses(self, place: Place) -> bool:
        """Tell whether a new client hears at once that nobody is there."""
        ...

    def pings(self, vip: str, timeout_s: float) -> bool:
        """Tell whether a VIP answers a ping within a time."""
        ...


class MemoryTalk:
    def __init__(self, backend: memory.MemoryBackend, connection: memory.Connection) -> None:
        self._backend, self._connection = backend, connection
        self._stream = connection.place.protocol == "TCP"
        self._first = self._send() if self._stream else ""

    def name(self) -> str:
        found = self._send()
        # A pod resets the middle of a connection that it does not know.
        return "" if self._stream and found != self._first else found

    def _send(self) -> str:
        member = self._backend.send(self._connection)
        return f"pod{int(str(member.address)[-1], 16)}" if member else ""

    def close(self) -> None: ...


class MemoryWorld:
    refuses_vacant = True

    def __init__(self) -> None:
        known = (self.address(pod, version) for pod in PODS for version in (4, 6))
        self._backend = memory.MemoryBackend(pods=frozenset(map(build.ip, known)))
        self._clients = 0

    def address(self, pod: int, version: int) -> str:
        return f"10.0.0.{pod}" if version == 4 else f"fd00::{pod}"

    def program(self, *frontends: Frontend) -> Outcome:
        return asyncio.run(self._backend.program(frontends))

    def talk(self, place: Place) -> Talk:
        self._clients += 1
        client = memory.Connection(build.ip("203.0.113.10"), self._clients, place)
        return MemoryTalk(self._backend, client)

    def refuses(self, place: Place) -> bool:
        return self._backend.refuses(place)

    def pings(self, vip: str, timeout_s: float) -> bool:
        return self._backend.answers_pings(build.ip(vip))


class SocketTalk:
    def __init__(self, connection: socket.socket | None) -> None:
        self._connection = connection
        self._name = self._read().split()[0] if connection and self._stream() else ""

    def _stream(self) -> bool:
        return self._connection is not None and self._connection.type is socket.SOCK_STREAM

    def _read(self) -> str:
        assert self._connection is not None
        return self._connection.recv(200).decode()

    def name(self) -> str:
        if self._connection is None:
            return ""
        if self._stream():
            return self._name if self._answer() else ""
        # One datagram may get lost on a busy machine; a flow is broken when the next one is, too.
        return (self._answer() or self._answer()).partition(" ")[0]

    def _answer(self) -> str:
        assert self._connection is not None
        with contextlib.suppress(OSError):
            self._connection.sendall(b"ping")
            return self._read()
        return ""

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


class Client(Protocol):
    """Where connections come from."""

    def connect(self, address: str, port: int, timeout_s: float) -> socket.socket: ...
    def udp(self, address: str, port: int, timeout_s: float) -> socket.socket: ...


def socket_talk(client: Client, place: Place, timeout_s: float) -> Talk:
    """Connect to a place; whether or not somebody answers there."""
    if place.protocol == "UDP":
        return SocketTalk(client.udp(str(place.vip), place.port, timeout_s))
    with contextlib.suppress(OSError):
        return SocketTalk(client.connect(str(place.vip), place.port, timeout_s))
    return SocketTalk(None)


def refuses(client: Client, place: Place) -> bool:
    """Tell whether a client of a place hears at once that nobody is there."""
    with contextlib.suppress(OSError):  # other errors are no refusals
        try:
            if place.protocol != "UDP":
                client.connect(str(place.vip), place.port, PATIENCE_S).close()
                return False
            with client.udp(str(place.vip), place.port, PATIENCE_S) as datagrams:
                datagrams.send(b"hello")
                datagrams.recv(100)
        except ConnectionRefusedError:
            return True
    return False


class PacketWorld:
    """A bed with one of the backends that move real packets."""

    refuses_vacant = True

    def __init__(self, bed: dataplane_bed.Bed) -> None:
        self.bed = bed
        self.legs = tuple(map(build.ip, dataplane_bed.LEGS))

    def backend(self) -> NodeBackend:
        """Return a backend that has just started."""
        raise NotImplementedError

    def address(self, pod: int, version: int) -> str:
        return self.bed.pod_addresses(pod)[version == 6]

    def program(self, *frontends: Frontend) -> Outcome:
        with network_of(self.bed.node):
            return asyncio.run(self._program(frontends))

    async def _program(self, frontends: tuple[Frontend, ...]) -> Outcome:
        backend = self.backend()
        known = asyncio.Event()
        async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
            following = tasks.create_task(backend.follow(known.set))
            await known.wait()
            outcome = await backend.program(frontends)
            assert backend.legs()
            following.cancel()
        return outcome

    def talk(self, place: Place) -> Talk:
        return socket_talk(self.bed, place, PATIENCE_S)

    def refuses(self, place: Place) -> bool:
        return refuses(self.bed, place)

    def pings(self, vip: str, timeout_s: float) -> bool:
        return pings.answered(self.bed.client, vip, timeout_s)


class OvsWorld(PacketWorld):
    names = ground.Names("br-int", "svc0")

    def backend(self) -> NodeBackend:
        return ovs.OvsBackend(self.names, lambda: self.legs)


class NftWorld(PacketWorld):
    gateways: tuple[Address, ...] = ()
    """Where answers go; by the node's routes where there is none."""

    def backend(self) -> NodeBackend:
        return nft.NftBackend("svc0", lambda: self.legs, lambda: self.gateways)


def serve(
    world: World,
    at: Place,
    pods: tuple[int, ...],
    lingering: tuple[int, ...] = (),
    **fields: object,
) -> Frontend:
    def group(numbers: tuple[int, ...]) -> tuple[Member, ...]:
        return build.members(*(world.address(pod, at.vip.version) for pod in numbers), port=TARGET)

    return Frontend("default.kuard", at, group(pods), group(lingering), **fields)  # type: ignore[arg-type]


def weighted(world: World, at: Place, weights: dict[int, int]) -> Frontend:
    """Return a frontend whose pods have weights."""
    members = (
        Member(build.ip(world.address(pod, at.vip.version)), TARGET, weight)
        for pod, weight in weights.items()
    )
    return Frontend("default.kuard", at, tuple(sorted(members)))


@contextlib.contextmanager
def talks(world: World, at: Place, count: int) -> Iterator[list[Talk]]:
    made = [world.talk(at) for _ in range(count)]
    try:
        yield made
    finally:
        for talk in made:
            talk.close()


def names(made: list[Talk]) -> list[str]:
    return [talk.name() for talk in made]


@contextlib.contextmanager
def bed_with_pods(
    name: str, kind: type[dataplane_bed.Bed] = dataplane_bed.Bed
) -> Iterator[dataplane_bed.Bed]:
    """A node with pods, and the environment that leads to its switch."""
    folder = tempfile.TemporaryDirectory(prefix=PREFIX)
    made = kind(Path(folder.name), name)
    before = {key: os.environ.get(key) for key in made.env}
    try:
        made.up()
        for pod in PODS:
            made.add_pod(pod, TARGET)
        os.environ.update(made.env)
        yield made
    finally:
        for key, value in before.items():
            os.environ.pop(key, None)
            if value is not None:
                os.environ[key] = value
        made.down()
        folder.cleanup()
