"""Read a cluster's facts: the API server, and the system's resolver. Changes nothing."""

import asyncio
import secrets
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from lbctl.kube import resources
from lbctl.kube.client import Client
from lbctl.kube.objects import Json, metadata, name_of
from lbctl.kube.resources import Resource
from lbctl.model import errors
from lbctl.preflight import parse, questions
from lbctl.preflight.facts import (
    ClusterFacts,
    Definition,
    Delegation,
    Fact,
    Node,
    Proxy,
    Service,
    Unread,
    Workload,
)

T = TypeVar("T")

RESOLVER_WAIT_S = 3.0
RESOLV_CONF = Path("/etc/resolv.conf")
DNS_PORT = 53
_REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_CILIUM_POOLS = "ciliumloadbalancerippools.cilium.io"
_WORKLOADS = (resources.DEPLOYMENTS, resources.DAEMON_SETS, resources.STATEFUL_SETS)


async def cluster(api: Client, zones: tuple[str, ...]) -> ClusterFacts:
    """Return what can be read; raises only where the API server does not answer us at all."""
    version = _version(await api.raw("GET", "/version"))
    definitions = await _try(_definitions(api))
    async with asyncio.TaskGroup() as group:
        may_define = group.create_task(_try(_may_define(api)))
        nodes = group.create_task(_try(_nodes(api)))
        cidrs = group.create_task(_try(_service_cidrs(api)))
        services = group.create_task(_try(_services(api)))
        labels = group.create_task(_try(_labels(api)))
        workloads = group.create_task(_try(_workloads(api)))
        pools = group.create_task(_try(_cilium_pools(api, definitions)))
        proxy = group.create_task(_try(_proxy(api)))
        asked = {zone: group.create_task(_try(delegation(zone))) for zone in zones}
    return ClusterFacts(
        version,
        definitions,
        may_define.result(),
        nodes.result(),
        cidrs.result(),
        services.result(),
        labels.result(),
        workloads.result(),
        pools.result(),
        proxy.result(),
        {zone: task.result() for zone, task in asked.items()},
    )


def _version(answer: Json) -> Fact[tuple[int, int]]:
    try:
        return parse.version(answer)
    except (KeyError, ValueError) as error:
        return Unread(f"/version of the API server: {error!r}")


async def _try(reading: Awaitable[T]) -> Fact[T]:
    try:
        return await reading
    except (errors.LbctlError, OSError, ValueError) as error:
        return Unread(str(error) or type(error).__name__)


async def _listed(api: Client, resource: Resource, parsed: Callable[[Json], T]) -> tuple[T, ...]:
    found = await api.list(resource)
    return tuple(parsed(obj) for obj in found.items)


async def _definitions(api: Client) -> tuple[Definition, ...]:
    return await _listed(api, resources.DEFINITIONS, parse.definition)


async def _nodes(api: Client) -> tuple[Node, ...]:
    return await _listed(api, resources.NODES, parse.node)


async def _services(api: Client) -> tuple[Service, ...]:
    return await _listed(api, resources.SERVICES, parse.service)


async def _labels(api: Client) -> dict[str, dict[str, str]]:
    found = await api.list(resources.NAMESPACES)
    return {name_of(obj): metadata(obj).get("labels") or {} for obj in found.items}


async def _service_cidrs(api: Client) -> tuple[str, ...]:
    try:
        found = await api.list(resources.SERVICE_CIDRS)
    except errors.NotFound as error:
        raise ValueError("the API server has no ServiceCIDR objects (before 1.33)") from error
    return tuple(str(cidr) for obj in found.items for cidr in obj["spec"].get("cidrs") or ())


async def _workloads(api: Client) -> tuple[Workload, ...]:
    found: list[Workload] = []
    for resource in _WORKLOADS:
        listed = await api.list(resource)
        found += [parse.workload(resource.kind, obj) for obj in listed.items]
    # kube-vip and cloud controllers are often static pods, which only the kubelet knows as such.
    pods = await api.list(resources.PODS, "kube-system")
    return (*found, *(parse.workload("Pod", obj) for obj in pods.items))


async def _may_define(api: Client) -> bool:
    wanted = {
        "verb": "create",
        "group": resources.DEFINITIONS.group,
        "resource": resources.DEFINITIONS.plural,
    }
    body: Json = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": wanted},
    }
    answer = await api.raw("POST", _REVIEW, body=body)
    return bool(answer["status"]["allowed"])


async def _cilium_pools(api: Client, definitions: Fact[tuple[Definition, ...]]) -> int:
    if isinstance(definitions, Unread):
        raise ValueError(definitions.reason)
    for found in definitions:
        if found.name == _CILIUM_POOLS and found.versions:
            plural, _, group = found.name.partition(".")
            kind = "CiliumLoadBalancerIPPool"
            listed = await api.list(Resource(group, found.versions[0], plural, kind, False))
            return len(listed.items)
    return 0


async def _proxy(api: Client) -> Proxy:
    try:
        return parse.proxy(await api.get(resources.CONFIG_MAPS, "kube-proxy", "kube-system"))
    except errors.NotFound as error:
        raise ValueError("there is no ConfigMap kube-system/kube-proxy") from error


async def delegation(zone: str) -> Delegation:
    """Ask the system's resolver for the name servers of a zone. Raises OSError, ValueError."""
    text = await asyncio.to_thread(RESOLV_CONF.read_text)
    servers = parse.name_servers(text)
    return await ask((servers[0], DNS_PORT), zone)


async def ask(server: tuple[str, int], zone: str) -> Delegation:
    """Ask one resolver, over UDP. Raises OSError (no answer is one), ValueError."""
    number = secrets.randbelow(65536)
    host, port = server
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    loop = asyncio.get_running_loop()
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.connect((host, port))
        try:
            async with asyncio.timeout(RESOLVER_WAIT_S):
                await loop.sock_sendall(sock, questions.render(zone, number))
                return questions.parse(await loop.sock_recv(sock, 4096), number)
        except TimeoutError as error:
            reason = f"resolver {host}: no answer in {RESOLVER_WAIT_S:g} s"
            raise TimeoutError(reason) from error
