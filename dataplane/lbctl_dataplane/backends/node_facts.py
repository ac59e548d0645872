"""What a node's kernel knows of pods, itself and the service interface, read when it changes."""

import asyncio
import contextlib
import errno
import json
import socket
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from lbctl.model import errors
from lbctl.model.virtual_service import Address
from lbctl_dataplane.backends import commands
from lbctl_dataplane.backends.port import Leg
from lbctl_dataplane.rules import pod_routes
from lbctl_dataplane.rules.pod_routes import PodRoutes

_GROUPS = 0x1 | 0x10 | 0x40 | 0x100 | 0x400
"""RTMGRP_LINK, RTMGRP_IPV4_IFADDR and _ROUTE, RTMGRP_IPV6_IFADDR and _ROUTE (linux/rtnetlink.h)."""
_LARGE = 1 << 16
PROC_SYS_NET = Path("/proc/sys/net")
_FORWARDING = {4: "ipv4/ip_forward", 6: "ipv6/conf/all/forwarding"}


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts of one moment."""

    routes: PodRoutes
    service_mac: str


class NodeFacts:
    """The facts of a node whose VIP traffic enters by one interface."""

    def __init__(self, service_interface: str) -> None:
        self._interface = service_interface
        self._last: Facts | None = None
        self._texts: tuple[str, ...] = ()
        self._stale = True

    def legs(self, own: Callable[[], tuple[Address, ...]]) -> tuple[Leg, ...] | None:
        """Return the legs that `own` tells with the service interface's MAC; None: not known."""
        if self._last is None:
            return None
        mac = self._last.service_mac
        try:
            return tuple(Leg(address, mac) for address in own())
        except errors.Unavailable:
            return None

    async def follow(self, changed: Callable[[], None]) -> None:
        """Follow routes, addresses and links for ever; call `changed` first and at each change."""

        def look() -> None:
            if _drained(notes):
                self._stale = True
                changed()

        with _notes() as notes:
            loop = asyncio.get_running_loop()
            loop.add_reader(notes, look)
            try:
                self._stale = True
                changed()
                await loop.create_future()
            finally:
                loop.remove_reader(notes)

    async def now(self) -> Facts:
        """Return the facts; the same object while nothing changed.

        Raises Unavailable, with the cure, while there is no such interface.
        """
        known = self._last
        if known is None or self._stale:
            self._stale = False
            try:
                known = self._last = self._taken(await self._read(), known)
            except BaseException:
                self._stale = True
                raise
        return known

    async def _read(self) -> tuple[str, ...]:
        return tuple(
            await asyncio.gather(
                commands.run("ip", "-j", "address", "show"),
                commands.run("ip", "-j", "-4", "route", "show"),
                commands.run("ip", "-j", "-6", "route", "show"),
            )
        )

    def _taken(self, texts: tuple[str, ...], known: Facts | None) -> Facts:
        if known is not None and texts == self._texts:
            return known
        links, four, six = texts
        mac = self._mac(links)
        own = pod_routes.parse_own(links)
        routes = pod_routes.parse({4: four, 6: six}, [self._interface], own)
        if known is not None and routes == known.routes:
            routes = known.routes  # the same object while nothing changed: comparing is free
        self._texts = texts
        return Facts(routes, mac)

    def _mac(self, links: str) -> str:
        for link in json.loads(links):
            if link["ifname"] == self._interface:
                return str(link.get("address", ""))
        raise errors.Unavailable(
            f"no interface {self._interface} (setting agent.serviceInterface): name the one "
            "by which the fabric reaches this node"
        )


def check_forwarding(versions: Collection[int]) -> None:
    """Raise Unavailable, with the cure, where the kernel does not forward packets of a version."""
    for version in versions:
        path = PROC_SYS_NET / _FORWARDING[version]
        if path.read_text().strip() == "0":
            name = _FORWARDING[version].replace("/", ".")
            raise errors.Unavailable(f"net.{name} is 0: packets to pods need it; set it to 1")


@contextlib.contextmanager
def _notes() -> Iterator[socket.socket]:
    """Hold a socket by which the kernel tells of changes of routes, addresses and interfaces."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as notes:
        notes.setblocking(False)
        notes.bind((0, _GROUPS))
        yield notes


def _drained(notes: socket.socket) -> bool:
    """Read all that waits, whatever it says; return whether there was something."""
    found = False
    while True:
        try:
            notes.recv(_LARGE)
        except BlockingIOError:
            return found
        except OSError as error:
            # More than the socket holds means changes as well; what is lost is read anyhow.
            if error.errno != errno.ENOBUFS:
                raise
        found = True
