"""The paths that `make bench-dataplane` compares, each on a node of its own, side by side."""

import asyncio
import contextlib
import ipaddress
import os
import resource
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import dataplane_space as space
import dataplane_traffic as traffic
from dataplane_traffic import Way

import dataplane_bed
from dataplane_bed import network_of
from lbctl_dataplane.backends.nft import backend as nft
from lbctl_dataplane.backends.ovs import backend as ovs
from lbctl_dataplane.backends.ovs import ground
from lbctl_dataplane.backends.port import NodeBackend
from lbctl_dataplane.rules.frontend import Frontend
from spaces import sh

LOADING_S = 900.0
DIRECT, PLAIN = "plain routing", "plain routing, offloads off"
NFT, OVS, PROXY, HAPROXY = "lbctl nft", "lbctl ovs", "kube-proxy nftables", "HAProxy, TCP"
BASELINES = {OVS: PLAIN}
"""What a path is compared with, where it is not plain routing as it is."""
HAPROXY_HEAD = """
global
  maxconn 4000
  nbthread 2
defaults
  mode tcp
  maxconn 4000
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  option nolinger
"""


@dataclass(frozen=True)
class Route:
    """One way to the pods, ready to be used."""

    name: str
    services: int
    """How many there are; the measured one is the last."""
    way: Way
    loaded_s: float = 0.0
    """Wall time of programming all from nothing."""


@contextlib.contextmanager
def direct(name: str, kind: type[space.Node]) -> Iterator[Route]:
    """Route to a pod's own address."""
    with space.node("plain" if kind is space.PlainNode else "direct", kind) as bed:
        address = space.pod_addresses(bed)[0]
        yield Route(
            name,
            0,
            Way(bed.client, address, space.TARGET, address, space.SINK_TARGET, bed.programs()),
        )


@contextlib.contextmanager
def lbctl_nft(services: int) -> Iterator[Route]:
    """Let the backend nft program the node's kernel."""
    with space.node(f"nft{services}", space.RoutedNode) as bed:
        loaded_s = program(bed, lambda: nft.NftBackend("svc0", _legs, lambda: ()), services)
        yield Route(NFT, services, vip_way(bed, services), loaded_s)


@contextlib.contextmanager
def lbctl_ovs(services: int) -> Iterator[Route]:
    """Let the backend ovs program a switch."""
    names = ground.Names("br-int", "svc0")
    with space.node(f"ovs{services}", space.SwitchedNode) as bed:
        with _environment(bed.env):
            loaded_s = program(bed, lambda: ovs.OvsBackend(names, _legs), services)
        yield Route(OVS, services, vip_way(bed, services), loaded_s)


@contextlib.contextmanager
def kube_proxy(services: int, ruleset: str) -> Iterator[Route]:
    """Load the tables that kube-proxy had made on another node with the same pods."""
    with space.node(f"kp{services}", space.RoutedNode) as bed:
        began = time.monotonic()
        argv = space.entering(bed.node, "nft", "-f", "-")
        subprocess.run(argv, input=ruleset, text=True, check=True, timeout=LOADING_S)
        way = vip_way(bed, services)
        traffic.wait(way)
        yield Route(PROXY, services, way, time.monotonic() - began)


@contextlib.contextmanager
def haproxy(services: int) -> Iterator[Route]:
    """Let HAProxy listen at every VIP, which takes the client's address from the pods."""
    with space.node(f"ha{services}", space.RoutedNode) as bed:
        sh("ip", "route", "add", "local", "198.18.0.0/15", "dev", "lo", inside=bed.node)
        config = bed.folder / "haproxy.cfg"
        config.write_text(haproxy_config(space.frontends(bed, services)))
        _allow_many_files()
        began = time.monotonic()
        argv = space.entering(bed.node, "haproxy", "-db", "-q", "-f", str(config))
        with subprocess.Popen(argv) as child:
            try:
                way = vip_way(bed, services, child.pid)
                traffic.wait(way)
                yield Route(HAPROXY, services, way, time.monotonic() - began)
            finally:
                child.terminate()


def haproxy_config(frontends: Sequence[Frontend]) -> str:
    """Return the configuration for what the other paths serve."""
    lines = [HAPROXY_HEAD]
    for entry in frontends:
        place = entry.place
        lines.append(f"listen {entry.key}-{place.port}\n  bind {place.vip}:{place.port}\n")
        lines += [
            f"  server pod{number} {member.address}:{member.port}\n"
            for number, member in enumerate(entry.members)
        ]
    return "".join(lines)


def program(bed: dataplane_bed.Bed, backend: Callable[[], NodeBackend], services: int) -> float:
    """Let a backend that has just started program so many Services; return the time it took."""
    frontends = space.frontends(bed, services)
    with network_of(bed.node):
        return asyncio.run(_programmed(backend(), frontends))


async def _programmed(backend: NodeBackend, frontends: Sequence[Frontend]) -> float:
    known = asyncio.Event()
    async with asyncio.timeout(LOADING_S), asyncio.TaskGroup() as tasks:
        following = tasks.create_task(backend.follow(known.set))
        await known.wait()
        began = time.monotonic()
        await backend.program(frontends)
        took_s = time.monotonic() - began
        following.cancel()
    return took_s


def _legs() -> tuple[ipaddress.IPv4Address, ...]:
    return (ipaddress.IPv4Address(space.LEG),)


def vip_way(bed: space.Node, services: int, *programs: int) -> Way:
    """Return how clients reach the last of so many Services; by which processes beside pods'."""
    last, sink = str(space.vip(services - 1)), str(space.SINK_VIP)
    own = (*bed.programs(), *programs)
    return Way(bed.client, last, space.PORT, sink, space.PORT, own)


def _allow_many_files() -> None:
    """Let what is started from now on listen at thousands of places."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextlib.contextmanager
def _environment(extra: Mapping[str, str]) -> Iterator[None]:
    """Let commands find a switch that is not the machine's own, while it is programmed."""
    before = {name: os.environ.get(name) for name in extra}
    os.environ.update(extra)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
