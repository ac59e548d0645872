"""How each reason comes about: what users and others have to do for kuard to end with it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import inspect_bed
from controller_bed import SETTINGS, Bed, served
from lbctl.kube import resources
from lbctl.model.reasons import Reason
from lbctl.settings import Settings

Act = Callable[[Bed], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Story:
    """What happens, under which settings."""

    act: Act
    settings: Settings = SETTINGS


def asks(text: str, *families: str) -> Story:
    """Create kuard with a requested address."""

    async def act(bed: Bed) -> None:
        await bed.create(families=families or ("IPv4",), loadBalancerIP=text)

    return Story(act)


def births(**spec: Any) -> Act:
    """Create kuard with further fields."""

    async def act(bed: Bed) -> None:
        await bed.create(**spec)

    return act


async def exhausted(bed: Bed) -> None:
    for name in ("a", "b", "c"):
        await bed.create(name)
        await served(bed, name)
    await bed.create()


async def taken(bed: Bed) -> None:
    await bed.create("other", loadBalancerIP="192.0.2.2")
    await served(bed, "other")
    await bed.create(loadBalancerIP="192.0.2.2")


async def kept(bed: Bed) -> None:
    await beside_another(bed, ports=[{"port": 9090}])
    await served(bed)
    patch = {"metadata": {"annotations": {"lbctl.io/shared-ip": None}}}
    await bed.api.patch(resources.SERVICES, "kuard", patch, "default")


async def not_ready(bed: Bed) -> None:
    await inspect_bed.endpoints(bed, {"ready": False})
    await bed.create()


async def no_port(bed: Bed) -> None:
    await inspect_bed.endpoints(bed, {"ready": True}, port="metrics")
    await bed.create()


async def no_node_port(bed: Bed) -> None:
    await bed.agent("edge-1", remoteMembers="nodePorts")
    await bed.scale(1)
    await bed.create(allocateLoadBalancerNodePorts=False)


async def member(bed: Bed) -> None:
    await bed.scale(1)
    await bed.create()


async def agent(bed: Bed) -> None:
    await bed.agent("node-1")
    await member(bed)
    await bed.until(lambda: bed.decision() is not None)


async def failing(bed: Bed) -> None:
    await agent(bed)
    fault = {"key": "default.kuard", "reason": "NoPodPort", "message": "no port of the switch"}
    await bed.acknowledge("node-1", exceptions=[fault])


async def programmed(bed: Bed) -> None:
    await agent(bed)
    await bed.acknowledge("node-1")


async def no_router(bed: Bed) -> None:
    await bed.fabric()
    await programmed(bed)


async def late_router(bed: Bed) -> None:
    await bed.agent("router", "router")
    await no_router(bed)


async def everything(bed: Bed) -> None:
    await late_router(bed)
    await bed.acknowledge("router")


async def draining(bed: Bed) -> None:
    await member(bed)
    await served(bed)
    await bed.until(bed.published)
    await bed.delete()


async def withdrawn(bed: Bed) -> None:
    await bed.agent("node-1")
    await bed.create()
    await served(bed)
    await bed.delete()


async def noted(
    bed: Bed, name: str = "kuard", notes: dict[str, str] | None = None, **spec: Any
) -> None:
    """Create a Service with annotations."""
    full = {"type": "LoadBalancer", "ports": [{"name": "", "port": 8080}], **spec}
    body = {"metadata": {"name": name, "annotations": notes or {}}, "spec": full}
    await bed.api.create(resources.SERVICES, body, "default")


def annotated(**notes: str) -> Act:
    """Create kuard with annotations of ours."""

    async def act(bed: Bed) -> None:
        await noted(
            bed, notes={f"lbctl.io/{key.replace('_', '-')}": text for key, text in notes.items()}
        )

    return act


async def disagreeing(bed: Bed) -> None:
    notes = {"metallb.io/loadBalancerIPs": "192.0.2.1", "kube-vip.io/loadbalancerIPs": "192.0.2.2"}
    await noted(bed, notes=notes)


async def beside_another(bed: Bed, **spec: Any) -> None:
    """Create kuard for the address that another Service is willing to share."""
    notes = {"lbctl.io/shared-ip": "both", "lbctl.io/load-balancer-ips": "192.0.2.2"}
    await noted(bed, "other", notes)
    await served(bed, "other")
    await noted(bed, notes=notes, **spec)


async def clashing(bed: Bed) -> None:
    await beside_another(bed)


async def unlike(bed: Bed) -> None:
    await beside_another(bed, ports=[{"port": 9090}], externalTrafficPolicy="Local")


async def outdone(bed: Bed) -> None:
    """Create kuard with a member, for a name that an older Service has."""
    notes = {"lbctl.io/hostname": "www.lb.example"}
    await noted(bed, "other", notes)
    await served(bed, "other")
    await noted(bed, notes=notes)


async def nodeless(bed: Bed) -> None:
    await slice_of(bed, "IPv4", {"addresses": ["10.9.9.9"]})


async def named(bed: Bed) -> None:
    await slice_of(bed, "FQDN", {"addresses": ["example.org"]})


async def slice_of(bed: Bed, kind: str, endpoint: dict[str, Any]) -> None:
    """Create kuard with one endpoint that somebody wrote by hand."""
    meta = {"name": "kuard-1", "labels": {"kubernetes.io/service-name": "kuard"}}
    ports = [{"name": "", "port": 8080, "protocol": "TCP"}]
    body = {"metadata": meta, "addressType": kind, "endpoints": [endpoint], "ports": ports}
    await bed.api.create(resources.ENDPOINT_SLICES, body, "default")
    await bed.create()


async def policed(bed: Bed, **spec: Any) -> None:
    """Create an L4Policy for kuard."""
    body = {
        "metadata": {"name": "kuard", "namespace": "default"},
        "spec": {"targetRefs": [{"name": "kuard"}], **spec},
    }
    await bed.api.create(resources.L4_POLICIES, body, "default")


async def switched_off(bed: Bed) -> None:
    await policed(bed, enabled=False)
    await member(bed)


async def unweighed(bed: Bed) -> None:
    await policed(bed, memberWeights=[{"addresses": "0.0.0.0/0", "weight": 0}])
    await member(bed)


V4_ONLY = inspect_bed.settings(addressPools=[{"name": "v4", "addresses": ["192.0.2.0/30"]}])
FENCED = inspect_bed.settings(
    addressPools=[
        {"name": "default", "addresses": ["192.0.2.1-192.0.2.3"], "reserved": ["192.0.2.2"]},
        {"name": "theirs", "addresses": ["192.0.2.8/30"], "serves": {"namespaces": ["shop"]}},
    ]
)
NO_NAMES = inspect_bed.settings(nameservice={})
FENCED_NAMES = inspect_bed.settings(
    nameservice={
        "subdomains": ["lb.example"],
        "suffixes": [{"suffix": "shop.lb.example", "namespaces": ["shop"]}],
    }
)
SLOW_NAMES = inspect_bed.settings(nameservice={"subdomains": ["lb.example"], "ttl": 3600})
BLOCKED = inspect_bed.settings(LbctlSettings={"blockedNamespaceList": ["default"]})
STOPPED = inspect_bed.settings(LbctlSettings={"deleteConfig": "true"})

UNREACHABLE = inspect_bed.settings(
    addressPools=[
        {"addresses": ["192.0.2.0/28"], "external": {"url": "http://127.0.0.1:9"}},
    ]
)

TOLD: Mapping[Reason, Story] = {
    Reason.ALLOCATED: Story(births()),
    Reason.POOL_EXHAUSTED: Story(exhausted),
    Reason.NO_POOL: Story(births(families=("IPv6",)), V4_ONLY),
    Reason.ADDRESS_MALFORMED: asks("192.0.2"),
    Reason.ADDRESS_NOT_IN_POOL: asks("203.0.113.1"),
    Reason.ADDRESS_TAKEN: Story(taken),
    Reason.ADDRESS_WRONG_FAMILY: asks("2001:db8::1"),
    Reason.ADDRESS_KEPT: Story(kept),
    Reason.ADDRESS_REQUESTS_DISAGREE: Story(disagreeing),
    Reason.ADDRESS_RESERVED: Story(births(loadBalancerIP="192.0.2.2"), FENCED),
    Reason.ADDRESS_AWAITED: Story(births(), UNREACHABLE),
    Reason.POOL_NOT_FOUND: Story(annotated(address_pool="nowhere")),
    Reason.POOL_NOT_ALLOWED: Story(annotated(address_pool="theirs"), FENCED),
    Reason.PORT_CLASH: Story(clashing),
    Reason.SHARING_NOT_ALLOWED: Story(unlike),
    Reason.PROGRAMMED: Story(everything),
    Reason.NO_ENDPOINTS: Story(births()),
    Reason.NO_READY_ENDPOINTS: Story(not_ready),
    Reason.NO_BACKEND_PORT: Story(no_port),
    Reason.NO_NODE_PORT: Story(no_node_port),
    Reason.ENDPOINTS_WITHOUT_NODE: Story(nodeless),
    Reason.ENDPOINTS_ARE_NAMES: Story(named),
    Reason.PROTOCOL_NOT_SERVED: Story(births(ports=[{"port": 80, "protocol": "SCTP"}])),
    Reason.SOURCE_RANGE_MALFORMED: Story(births(loadBalancerSourceRanges=["nonsense"])),
    Reason.POLICY_REFUSED: Story(annotated(algorithm="fastest")),
    Reason.TRAFFIC_OFF: Story(switched_off),
    Reason.WEIGHTS_ZERO: Story(unweighed),
    Reason.NO_AGENT: Story(member),
    Reason.WAITING_FOR_AGENT: Story(agent),
    Reason.PROGRAMMING_FAILED: Story(failing),
    Reason.NO_FABRIC: Story(programmed),
    Reason.NO_ROUTER: Story(no_router),
    Reason.WAITING_FOR_ROUTER: Story(late_router),
    Reason.PUBLISHED: Story(member),
    Reason.NO_SUBDOMAIN: Story(births(), NO_NAMES),
    Reason.NAMES_DECLINED: Story(annotated(dns="false")),
    Reason.HOSTNAME_TAKEN: Story(outdone),
    Reason.HOSTNAME_MALFORMED: Story(annotated(hostname="not_a_host.lb.example")),
    Reason.HOSTNAME_NOT_IN_ZONE: Story(annotated(hostname="www.example.org")),
    Reason.HOSTNAME_NOT_ALLOWED: Story(annotated(hostname="a.shop.lb.example"), FENCED_NAMES),
    Reason.NAME_SETTING_MALFORMED: Story(annotated(ttl="soon")),
}
"""Reasons that stand in conditions of the Service."""

LEAVING: Mapping[Reason, Story] = {
    Reason.DRAINING: Story(draining, SLOW_NAMES),
    Reason.WITHDRAWN: Story(withdrawn),
}
"""Reasons that stand in the status of the L4VirtualService: the Service is going."""


async def nothing(bed: Bed) -> None:
    await inspect_bed.leads(bed)


async def led(bed: Bed) -> None:
    await inspect_bed.leads(bed)
    await bed.create()


async def changed(bed: Bed) -> None:
    await inspect_bed.leads(bed)
    await bed.create(type="ClusterIP")


async def theirs(bed: Bed) -> None:
    await inspect_bed.leads(bed)
    await bed.create(loadBalancerClass="example.org/lb")


UNTOLD: Mapping[Reason, Story] = {
    Reason.NO_SUCH_SERVICE: Story(nothing),
    Reason.NOT_LOAD_BALANCER: Story(changed),
    Reason.CLASS_NOT_OURS: Story(theirs),
    Reason.NAMESPACE_NOT_SERVED: Story(led, BLOCKED),
    Reason.STOPPED: Story(led, STOPPED),
    Reason.NO_CONTROLLER: Story(births()),
    Reason.WAITING_FOR_CONTROLLER: Story(led),
}
"""Reasons that nobody is there to write: only `lbctl explain` says them; no controller runs."""
