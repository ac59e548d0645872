"""The kernel's IPVS by netlink: read virtual servers and members, run commands."""

import errno
import ipaddress
import socket
import struct
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pyroute2
from pyroute2.netlink.exceptions import NetlinkError

from lbctl.model import errors
from lbctl_dataplane.rules.frontend import Place
from lbctl_dataplane.rules.ipvs import balancer
from lbctl_dataplane.rules.ipvs.balancer import RealServer, Step, VirtualServer

_LISTING = Path("/proc/thread-self/net/ip_vs")
_NAMES = {number: name for name, number in balancer.PROTOCOLS.items()}
_ALL_FLAGS = 0xFFFF_FFFF
_MASQUERADE = 0
"""IP_VS_CONN_F_MASQ: translate; the library's default would route the packet on as it is."""


class NoScheduler(errors.Unavailable):
    """A virtual server was refused as if the kernel lacked its scheduler."""

    def __init__(self, scheduler: str, text: str) -> None:
        super().__init__(text)
        self.scheduler = scheduler


def cure(scheduler: str = balancer.SCHEDULER) -> str:
    """Return what to do where the kernel lacks a module."""
    return (
        f"load them: modprobe -a ip_vs ip_vs_{scheduler} "
        "(packages of the kernel's modules hold them)"
    )


async def servers() -> dict[Place, VirtualServer]:
    """Return all virtual servers, those of others too. Raises Unavailable without IPVS."""
    async with _kernel() as kernel:
        messages = await kernel.service("dump")
    found = (message.get_attr("IPVS_CMD_ATTR_SERVICE") for message in messages)
    # What is chosen by a mark has no place.
    return dict(_parse(service) for service in found if service.get_attr("IPVS_SVC_ATTR_ADDR"))


def members() -> dict[RealServer, int]:
    """Return the weights of all members of all places."""
    try:
        return balancer.parse_members(_LISTING.read_text())
    except OSError as error:
        raise errors.Unavailable(f"{_LISTING}: {error.strerror}; {cure()}") from error


async def run(steps: Iterable[Step]) -> None:
    """Run commands, in their order. Raises Unavailable at the first that the kernel refuses."""
    wanted = tuple(steps)
    if not wanted:
        return
    async with _kernel() as kernel:
        for step in wanted:
            try:
                await _run(kernel, step)
            except NetlinkError as error:
                raise _refused(step, error.code) from error


@asynccontextmanager
async def _kernel() -> AsyncIterator[Any]:
    async with pyroute2.AsyncIPVS() as kernel:
        try:
            await kernel.setup_endpoint()
        except NetlinkError as error:
            raise errors.Unavailable(f"this kernel has no IPVS; {cure()}") from error
        yield kernel


async def _run(kernel: Any, step: Step) -> None:
    service = _service(step.place, step.server)
    if step.member is None:
        await kernel.service(step.verb, service)
        return
    real = pyroute2.IPVSDest(
        addr=str(step.member.address),
        port=step.member.port,
        fwd_method=_MASQUERADE,
        weight=step.weight,
    )
    await kernel.dest(step.verb, service, real)


def _service(place: Place, server: VirtualServer | None) -> Any:
    chosen = server or VirtualServer(0)
    return pyroute2.IPVSService(
        addr=str(place.vip),
        port=place.port,
        protocol=balancer.PROTOCOLS[place.protocol],
        # Another name than this one would be left out without a word, and mean `wlc`.
        sched_name=chosen.scheduler,
        flags={"flags": chosen.flags, "mask": _ALL_FLAGS},
        timeout=chosen.persistence_s,
        netmask=_whole_address(place.vip.version),
    )


def _whole_address(version: int) -> str:
    """Return a mask that keeps clients apart.

    IPv6 takes the length of a prefix, which the library writes as if it were an IPv4 address.
    """
    if version == 4:
        return "255.255.255.255"
    return socket.inet_ntoa(struct.pack("=I", 128))


def _parse(service: Any) -> tuple[Place, VirtualServer]:
    def value(name: str) -> Any:
        return service.get_attr(f"IPVS_SVC_ATTR_{name}")

    address = ipaddress.ip_address(value("ADDR"))
    place = Place(address, _NAMES[value("PROTOCOL")], value("PORT"))
    flags = value("FLAGS")["flags"] & ~balancer.HASHED
    return place, VirtualServer(flags, value("TIMEOUT"), value("SCHED_NAME"))


def _refused(step: Step, code: int) -> errors.Unavailable:
    about = step.member if step.member is not None else step.place
    text = f"IPVS refused to {step.verb} {about}: {errno.errorcode.get(code, code)}"
    if code != errno.ENOENT or step.verb == "del" or step.server is None:
        return errors.Unavailable(text)
    # The kernel asks for a scheduler by itself, where its module is installed.
    return NoScheduler(step.server.scheduler, f"{text}; {cure(step.server.scheduler)}")
