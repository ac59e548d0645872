"""The API server of `make bench-dataplane`, with Services by the thousand on one node.

Each Service is there twice: as users make it, for kube-proxy, with its VIP as external IP; and as
the decision that lbctl's controller would have made, for the agent.
"""

import contextlib
import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dataplane_space as space
import load

import real_api
from dataplane_bed import network_of
from lbctl.kube import client, resources
from lbctl.model.virtual_service import (
    Listener,
    Phase,
    Policy,
    ServiceRef,
    Vip,
    VipRole,
    VirtualService,
    render_virtual_service,
)

NODE = "node-1"
WIDTH = 32
"""Writes at a time."""


@dataclass(frozen=True)
class Asked:
    """One Service."""

    name: str
    vip: ipaddress.IPv4Address
    target: int
    """The pods' port."""


def numbered(number: int) -> Asked:
    """Return Service `number`."""
    return Asked(f"svc-{number}", space.vip(number), space.TARGET)


SINK = Asked("sink", space.SINK_VIP, space.SINK_TARGET)


@dataclass(frozen=True)
class Cluster:
    """A node and the API server that its programs ask; both in the node's network."""

    bed: space.Node
    kubeconfig: Path


@contextlib.contextmanager
def cluster() -> Iterator[Cluster]:
    """Run an API server on a node; the caller is in that node's network until the block ends."""
    with (
        space.node("cluster", space.RoutedNode) as bed,
        network_of(bed.node),
        real_api.kube_apiserver(bed.folder) as kubeconfig,
    ):
        yield Cluster(bed, kubeconfig)


async def begin(api: client.Client, bed: space.Node) -> None:
    """Create the Node, the Services' namespace and the sink."""
    await api.create(resources.NODES, {"metadata": {"name": NODE}})
    address = {"type": "InternalIP", "address": space.LEG}
    await api.patch(resources.NODES, NODE, {"status": {"addresses": [address]}}, sub="status")
    await api.create(load.NAMESPACES, {"metadata": {"name": load.NAMESPACE}})
    await _create(api, SINK, bed)


async def grow(api: client.Client, bed: space.Node, before: int, count: int) -> None:
    """Create Services from number `before` up to `count`."""

    async def one(offset: int) -> None:
        await _create(api, numbered(before + offset), bed)

    await load.spread(count - before, one, WIDTH)


async def _create(api: client.Client, asked: Asked, bed: space.Node) -> None:
    ends = endpoints(bed, len(space.PODS))
    await api.create(resources.SERVICES, service(asked), load.NAMESPACE)
    await api.create(resources.ENDPOINT_SLICES, slice_of(asked, ends), load.NAMESPACE)
    await api.create(resources.L4_VIRTUAL_SERVICES, decision(asked))


def service(asked: Asked) -> dict[str, Any]:
    """Return a Service whose traffic stays on the node and keeps the client's address."""
    spec = {
        "ports": [{"name": "web", "port": space.PORT, "targetPort": asked.target}],
        "externalIPs": [str(asked.vip)],
        "externalTrafficPolicy": "Local",
    }
    return {"metadata": {"name": asked.name}, "spec": spec}


def endpoints(bed: space.Node, count: int) -> list[dict[str, Any]]:
    """Return the first `count` pods."""
    return [
        {"addresses": [address], "nodeName": NODE, "conditions": {"ready": True}}
        for address in space.pod_addresses(bed)[:count]
    ]


def slice_of(asked: Asked, ends: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a Service's EndpointSlice."""
    return {
        "metadata": {"name": asked.name, "labels": {"kubernetes.io/service-name": asked.name}},
        "addressType": "IPv4",
        "endpoints": ends,
        "ports": [{"name": "web", "protocol": "TCP", "port": asked.target}],
    }


def decision(asked: Asked) -> dict[str, Any]:
    """Return a Service's L4VirtualService."""
    made = VirtualService(
        ServiceRef(load.NAMESPACE, asked.name, f"uid-{asked.name}"),
        asked.name,
        Phase.SERVING,
        (Vip(asked.vip, VipRole.CURRENT, f"ip-{asked.name}", f"uid-{asked.name}"),),
        (Listener("web", "TCP", space.PORT, "web"),),
        Policy(),
    )
    return {"metadata": {"name": made.key}, "spec": render_virtual_service(made)}
