"""Services and endpoints by the thousand on the lab's API server; what benchmarks share."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import yaml

from lbctl.kube import client, resources
from lbctl.kube.resources import Resource
from lbctl.model import errors
from lbctl_lab import controlplane

NAMESPACE = "bench"
NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
IMAGE = "gcr.io/kuar-demo/kuard-amd64:1"
AT_A_TIME = 16
GIVE_UP_S = 600.0

Act = Callable[[int], Awaitable[object]]


def service(number: int, port: int = 8080) -> dict[str, Any]:
    """Return a LoadBalancer Service without selector and node ports."""
    spec = {
        "type": "LoadBalancer",
        "allocateLoadBalancerNodePorts": False,
        "ports": [{"port": port, "targetPort": 8080}],
    }
    return {"metadata": {"name": f"svc-{number}"}, "spec": spec}


async def create_service(api: client.Client, number: int) -> None:
    """Create Service `svc-<number>`."""
    await api.create(resources.SERVICES, service(number), NAMESPACE)


async def create_slice(api: client.Client, number: int, endpoints: list[Any]) -> None:
    """Create the hand-made EndpointSlice of Service `svc-<number>`."""
    labels = {"kubernetes.io/service-name": f"svc-{number}"}
    body = {
        "metadata": {"name": f"svc-{number}-hand", "labels": labels},
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": [{"port": 8080, "protocol": "TCP", "name": ""}],
    }
    await api.create(resources.ENDPOINT_SLICES, body, NAMESPACE)


async def pace(count: int, per_s: float, act: Act) -> None:
    """Do something `count` times at a rate, whether or not the one before has ended."""
    start = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for number in range(count):
            await asyncio.sleep(max(0.0, start + number / per_s - time.monotonic()))
            group.create_task(_awaited(act(number)))


async def spread(count: int, act: Act, width: int = AT_A_TIME) -> None:
    """Do something `count` times, `width` at a time."""
    numbers = iter(range(count))

    async def worker() -> None:
        for number in numbers:
            await act(number)

    async with asyncio.TaskGroup() as group:
        for _ in range(width):
            group.create_task(worker())


async def _awaited(work: Awaitable[object]) -> None:
    await work


async def clean(api: client.Client) -> None:
    """Delete all Services and slices of the namespace and wait until they are gone."""
    for resource in (resources.SERVICES, resources.ENDPOINT_SLICES):
        listed = await api.list(resource, NAMESPACE)
        names = [obj["metadata"]["name"] for obj in listed.items]
        await spread(len(names), _dropper(api, resource, names))
    async with asyncio.timeout(GIVE_UP_S):
        while (await api.list(resources.SERVICES, NAMESPACE)).items:  # noqa: ASYNC110
            await asyncio.sleep(0.5)


def _dropper(api: client.Client, resource: Resource, names: list[str]) -> Act:
    return lambda number: _drop(api, resource, names[number])


async def _drop(api: client.Client, resource: Resource, name: str) -> None:
    try:
        await api.delete(resource, name, NAMESPACE)
    except errors.NotFound:
        return


async def make_namespace(api: client.Client) -> None:
    """Make the namespace, or empty the one that is there."""
    try:
        await api.create(NAMESPACES, {"metadata": {"name": NAMESPACE}})
    except errors.AlreadyExists:
        await clean(api)


def real_endpoints() -> list[Any]:
    """Start four pods on the lab's nodes and return them as endpoints."""
    kubectl = controlplane.kubectl
    kubectl("-n", NAMESPACE, "delete", "deployment", "pods", "--ignore-not-found")
    kubectl("-n", NAMESPACE, "create", "deployment", "pods", f"--image={IMAGE}", "--replicas=4")
    kubectl("-n", NAMESPACE, "rollout", "status", "deployment", "pods", "--timeout=60s")
    pods = yaml.safe_load(kubectl("-n", NAMESPACE, "get", "pods", "-o", "yaml"))["items"]
    return [
        {
            "addresses": [pod["status"]["podIP"]],
            "nodeName": pod["spec"]["nodeName"],
            "conditions": {"ready": True},
        }
        for pod in pods
    ]
