"""The controller as it ships, run against the API server in memory, and what users do there."""

import asyncio
import contextlib
import datetime
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import event_loops
from fakes import api_objects, api_server
from fakes.api_objects import Json, Refusal
from lbctl import app
from lbctl.kube import resources
from lbctl.kube.client import Client
from lbctl.kube.resources import Resource
from lbctl.plan import times
from lbctl.settings import Settings

NAMESPACE = "lbctl-system"
SETTINGS = Settings.model_validate(
    {
        "LbctlSettings": {"clusterName": "lab"},
        "addressPools": [
            {"name": "default", "addresses": ["192.0.2.1-192.0.2.3", "2001:db8::/124"]}
        ],
        # Without a TTL a withdrawn name takes no time: these tests wait for nothing.
        "nameservice": {"subdomains": ["lb.example"], "ttl": 0, "emptyGrace": 0},
        "lease": {"renew": 0.5, "duration": 2},
    }
)
RULES = {rules.resource.plural: rules for rules in api_objects.KNOWN}


class Bed:
    """One API server in memory and a client of it, for a user."""

    def __init__(self, fake: api_server.ApiServer, api: Client, folder: Path) -> None:
        self.fake = fake
        self.api = api
        self.kubeconfig = fake.kubeconfig(folder / "kubeconfig")

    # --- looking --------------------------------------------------------------------------------

    def find(self, resource: Resource, name: str, namespace: str = "") -> Json | None:
        """Return an object as the server keeps it now."""
        try:
            return self.fake.objects.get(RULES[resource.plural], (namespace, name))
        except Refusal:
            return None

    def all(self, resource: Resource) -> list[Json]:
        """Return every object of a type."""
        return [obj for _, obj in self.fake.objects.listed(RULES[resource.plural])]

    def service(self, name: str = "kuard") -> Json | None:
        """Return a Service of the namespace `default`."""
        return self.find(resources.SERVICES, name, "default")

    def decision(self, name: str = "kuard") -> Json | None:
        """Return the decision about that Service."""
        return self.find(resources.L4_VIRTUAL_SERVICES, f"default.{name}")

    def ingress(self, name: str = "kuard") -> list[str]:
        """Return the addresses that a Service shows."""
        status = (self.service(name) or {}).get("status") or {}
        shown = (status.get("loadBalancer") or {}).get("ingress") or ()
        return [entry["ip"] for entry in shown]

    def conditions(self, name: str = "kuard") -> dict[str, tuple[bool, str]]:
        """Return a Service's conditions of ours: whether true, and the reason."""
        status = (self.service(name) or {}).get("status") or {}
        return {
            entry["type"].removeprefix("lbctl.io/"): (entry["status"] == "True", entry["reason"])
            for entry in status.get("conditions") or ()
        }

    def state(self, name: str = "kuard") -> tuple[str, str, str] | None:
        """Return state, reason and members as `kubectl get lbvs` shows them."""
        status = (self.decision(name) or {}).get("status")
        return (status["state"], status["reason"], status["members"]) if status else None

    def published(self, name: str = "kuard") -> bool:
        """Tell whether DNS may answer any name of a Service."""
        spec = (self.decision(name) or {}).get("spec") or {}
        return any(entry["published"] for entry in spec.get("names") or ())

    def phase(self, name: str = "kuard") -> str:
        """Return the phase of the decision about a Service."""
        return str(((self.decision(name) or {}).get("spec") or {}).get("phase", ""))

    def holders(self) -> dict[str, str]:
        """Return who holds each address."""
        return {
            obj["spec"]["address"]: obj["spec"]["holders"][0]["name"]
            for obj in self.all(resources.IP_ALLOCATIONS)
        }

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until something holds, looking again at each change of any object."""
        while not true():
            await self.fake.until_changed()

    # --- what users and other controllers do ----------------------------------------------------

    async def create(
        self, name: str = "kuard", families: tuple[str, ...] = ("IPv4",), **spec: Any
    ) -> Json:
        """Create a Service of type LoadBalancer."""
        ports = [{"name": "", "port": 8080}]
        full = {"type": "LoadBalancer", "ipFamilies": list(families), "ports": ports, **spec}
        body = {"metadata": {"name": name}, "spec": full}
        return await self.api.create(resources.SERVICES, body, "default")

    async def delete(self, name: str = "kuard") -> None:
        """Delete a Service."""
        await self.api.delete(resources.SERVICES, name, "default")

    async def scale(self, ready: int, name: str = "kuard") -> None:
        """Give a Service that many ready endpoints on node-1."""
        slice_name = f"{name}-abc"
        labels = {"kubernetes.io/service-name": name}
        body = {
            "metadata": {"name": slice_name, "labels": labels},
            "addressType": "IPv4",
            "endpoints": [
                {
                    "addresses": [f"10.244.1.{n + 1}"],
                    "nodeName": "node-1",
                    "conditions": {"ready": True},
                }
                for n in range(ready)
            ],
            "ports": [{"name": "", "port": 8080, "protocol": "TCP"}],
        }
        if self.find(resources.ENDPOINT_SLICES, slice_name, "default") is None:
            await self.api.create(resources.ENDPOINT_SLICES, body, "default")
        else:
            await self.api.replace(resources.ENDPOINT_SLICES, body, "default")

    async def agent(self, node: str, role: str = "node", **spec: Any) -> None:
        """Bring an agent to life that has programmed nothing yet."""
        lease: Json = {"metadata": {"name": f"lbctl-agent-{node}"}}
        now = times.render(datetime.datetime.now(tz=datetime.UTC))
        lease["spec"] = {"holderIdentity": node, "leaseDurationSeconds": 600, "renewTime": now}
        await self.api.create(resources.LEASES, lease, NAMESPACE)
        body = {"metadata": {"name": node}, "spec": {"role": role, **spec}}
        await self.api.create(resources.SERVING_NODES, body)

    async def acknowledge(self, node: str, **status: Any) -> None:
        """Let an agent say that it has programmed all there is now."""
        now = str(self.fake.objects.version)
        body = {"status": {"decisions": now, "slices": now, **status}}
        await self.api.patch(resources.SERVING_NODES, node, body, sub="status")

    async def fabric(self) -> None:
        """Create a Fabric."""
        body = {"metadata": {"name": "leaf"}, "spec": {"driver": "linux"}}
        await self.api.create(resources.FABRICS, body)

    def controller(self, settings: Settings = SETTINGS) -> Any:
        """Return the controller's program, to be run."""
        return app.run_controller(settings, self.kubeconfig)


Body = Callable[[Bed], Coroutine[Any, Any, None]]
Play = Callable[[Body], None]


async def served(made: Bed, name: str = "kuard") -> None:
    """Wait until a Service shows its address and its decision its state."""
    await made.until(lambda: bool(made.ingress(name)) and made.state(name) is not None)


@contextlib.asynccontextmanager
async def bed(folder: Path) -> AsyncIterator[Bed]:
    """Serve an API without a controller."""
    async with api_server.serving() as fake, Client(fake.cluster) as api:
        yield Bed(fake, api, folder)


@contextlib.asynccontextmanager
async def controlled(folder: Path, settings: Settings = SETTINGS) -> AsyncIterator[Bed]:
    """Serve an API with one controller at work."""
    async with bed(folder) as made, event_loops.running(made.controller(settings)) as (task,):
        yield made
        assert not task.done(), "the controller ended by itself"


def failed(tasks: Sequence[asyncio.Future[Any]]) -> list[BaseException]:
    """Return what programs raised that have ended."""
    found = (task.exception() for task in tasks if task.done() and not task.cancelled())
    return [error for error in found if error is not None]
