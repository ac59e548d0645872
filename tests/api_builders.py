"""Objects and questions for the contract of the Kubernetes API."""

import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import event_loops
from fakes import api_server
from lbctl.kube import resources
from lbctl.kube.client import STRATEGIC_MERGE_PATCH, Client
from lbctl.kube.config import ClusterConfig
from lbctl.kube.objects import Json

Body = Callable[[Client], Coroutine[Any, Any, None]]
Ask = Callable[[Body], None]


@contextlib.asynccontextmanager
async def fake_client() -> AsyncIterator[Client]:
    """Return a client of the server in memory."""
    async with api_server.serving() as fake, Client(fake.cluster) as api:
        yield api


def ask(body: Body, cluster: ClusterConfig | None) -> None:
    """Run a body with a client of a real cluster, or of the fake when there is none."""

    async def within() -> None:
        async with Client(cluster) if cluster else fake_client() as api:
            await body(api)

    event_loops.run(within())


def service(name: str, **spec: Any) -> Json:
    """Return a Service of type LoadBalancer."""
    return {
        "metadata": {"name": name},
        "spec": {
            "type": "LoadBalancer",
            "allocateLoadBalancerNodePorts": False,
            "ports": [{"port": 80}],
            **spec,
        },
    }


def decision(name: str) -> Json:
    """Return the L4VirtualService of a Service in the namespace `default`."""
    spec = {
        "service": {"namespace": "default", "name": name, "uid": "u"},
        "name": f"lab--default-{name}",
        "phase": "Serving",
        "vips": [],
        "listeners": [],
    }
    return {"metadata": {"name": f"default.{name}"}, "spec": spec}


def version(obj: Json) -> int:
    """Return the resourceVersion."""
    return int(obj["metadata"]["resourceVersion"])


async def patched(api: Client, name: str, patch: Json, sub: str = "") -> Json:
    """Patch a Service strategically and return it."""
    return await api.patch(
        resources.SERVICES, name, patch, "default", sub=sub, kind=STRATEGIC_MERGE_PATCH
    )
