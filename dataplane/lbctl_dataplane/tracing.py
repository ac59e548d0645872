"""`lbctl trace`: read what routers and nodes act by, walk a packet through it, show it."""

import asyncio
import ipaddress
import json
import os
from collections.abc import Mapping
from pathlib import Path

from lbctl.kube import client, kubectl_rules, resources
from lbctl.kube.objects import Json, name_of
from lbctl.model.virtual_service import (
    Address,
    ServiceRef,
    VirtualService,
    parse_virtual_service,
    spec_version,
)
from lbctl.plan import policies
from lbctl.translate import remote
from lbctl.translate.endpoints import SERVICE_LABEL
from lbctl.translate.policies import translate_policy
from lbctl_dataplane import decisions, relay, serving_nodes
from lbctl_dataplane.rules import tracer, tracer_entry
from lbctl_dataplane.rules.frontend import Claim, Member, Place
from lbctl_dataplane.rules.router.legs import Knowledge, ServingNode
from lbctl_dataplane.rules.tracer import Packet, Trace, Way


def parse_packet(source: str, place: str, protocol: str) -> Packet:
    """Return the packet from CLIENT to VIP:PORT or [VIP]:PORT. Raises ValueError."""
    host, colon, port = place.rpartition(":")
    if not colon or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"{place}: not VIP:PORT, as 192.0.2.1:80 or [2001:db8::1]:80")
    vip = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    sender = ipaddress.ip_address(source)
    if sender.version != vip.version:
        raise ValueError(f"{source} and {vip}: a flow is of one IP version")
    return Packet(sender, Place(vip, protocol, int(port)))


async def walk(packet: Packet, entry: str, kubeconfig: Path | None, context: str) -> Trace:
    """Return the trace of a packet by what the cluster says now. Raises LbctlError.

    `entry` is the node that the fabric brings it to; empty: a router chooses.
    """
    cluster = kubectl_rules.find(kubeconfig, context, os.environ, Path.home())
    async with client.Client(cluster) as api:
        decided, reported = await asyncio.gather(
            api.list(resources.L4_VIRTUAL_SERVICES), api.list(resources.SERVING_NODES)
        )
        services = tuple(map(parse_virtual_service, decided.items))
        claim = tracer.claim_at(services, packet.place)
        if claim is None:
            return tracer.nobody(packet, services)
        versions = {name_of(obj): spec_version(obj) for obj in decided.items}
        nodes = serving_nodes.parse_nodes(reported.items)
        known = await _known(api, claim, versions[claim.service.key], nodes)
        policy = "" if claim.service.policy.enabled else await policy_of(api, claim.service.service)
    if entry:
        return tracer_entry.trace(packet, claim, known, nodes, entry, policy)
    return tracer.trace(packet, claim, known, nodes, policy)


async def _known(
    api: client.Client, claim: Claim, version: int, nodes: Mapping[str, ServingNode]
) -> Knowledge:
    service = claim.service.service
    slices = await api.list(
        resources.ENDPOINT_SLICES,
        service.namespace,
        label_selector=f"{SERVICE_LABEL}={service.name}",
    )
    behind = decisions.read_slices(slices.items)
    crew = remote.crew_of(nodes)
    # Where nobody relays, users need no right to read Nodes.
    listed = (await api.list(resources.NODES)).items if crew.relays else ()
    endpoints = remote.spread(behind.endpoints, crew, relay.hosts(listed))
    return Knowledge(endpoints, remote.versions(behind.versions, crew), version)


async def policy_of(api: client.Client, service: ServiceRef) -> str:
    """Return the name of the L4Policy that counts for a Service; empty without one."""
    listed = await api.list(resources.L4_POLICIES, service.namespace)
    governors = policies.governors(map(translate_policy, listed.items))
    found = governors.get(f"{service.namespace}/{service.name}")
    return found.name if found is not None else ""


def render_text(found: Trace) -> str:
    """Return a trace for people."""
    at = found.packet.place
    lines = [f"{found.packet.client} → {_joined(at.vip, at.port)} {at.protocol}"]
    if found.service is not None:
        lines.append(f"  {_served(found.service)}")
    if found.entry:
        lines.append(f"  enters by {found.entry}")
    total = sum(way.weight for way in found.ways)
    for way in found.ways:
        lines.append(f"  {way.node}: {way.weight} of {total} new flows, {_by(found, way)}")
        lines += [f"    {_joined(member.address, member.port)}" for member in way.members]
    lines += [f"  {past.node}: none, {past.why}" for past in found.detours]
    return "\n".join([*lines, f"{found.verdict}{': ' if found.why else ''}{found.why}"])


def render_json(found: Trace) -> str:
    """Return a trace for scripts."""
    at = found.packet.place
    return json.dumps(
        {
            "client": str(found.packet.client),
            "vip": str(at.vip),
            "port": at.port,
            "protocol": at.protocol,
            "verdict": found.verdict,
            "why": found.why,
            "entry": found.entry or None,
            "virtualService": found.service.name if found.service is not None else None,
            "ways": [
                {
                    "node": way.node,
                    "leg": str(way.leg),
                    "by": way.by or None,
                    "weight": way.weight,
                    "members": [_member(member) for member in way.members],
                }
                for way in found.ways
            ],
            "detours": [{"node": past.node, "why": past.why} for past in found.detours],
        },
        indent=2,
    )


def _by(found: Trace, way: Way) -> str:
    if way.by:
        return f"by {'the' if way.by == tracer_entry.LINK else 'device'} {way.by} to {way.leg}"
    return "here" if way.node == found.entry else f"by leg {way.leg}"


def _served(service: VirtualService) -> str:
    of = service.service
    return f"{service.name} ({of.namespace}/{of.name}, {service.phase.value})"


def _joined(address: Address, port: int) -> str:
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


def _member(member: Member) -> Json:
    return {"address": str(member.address), "port": member.port}
