"""The controller's copies of the API's objects, and who is told when they change."""

import asyncio
from collections.abc import Callable

from lbctl.kube import client, reflector, resources
from lbctl.kube.objects import Json, key_of, metadata
from lbctl.kube.store import Change, Store
from lbctl.translate.endpoints import SERVICE_LABEL
from lbctl.translate.policies import translate_policy

NAME_INDEX = "name:"
HOST_INDEX = "host:"
"""Of decisions whose host names DNS answers."""
KeysOf = Callable[[Json], list[str]]
"""Names the Services that an object concerns."""


def service_key(namespace: str, name: str) -> str:
    """Return the key of a Service in stores, indexes and the queue."""
    return f"{namespace}/{name}"


def _slim(obj: Json) -> Json:
    # Who last wrote which field is half of an object's size and nothing decides on it.
    obj["metadata"].pop("managedFields", None)
    return obj


def keys_of_slice(obj: Json) -> list[str]:
    """Return the Service key of an EndpointSlice; none when it belongs to no Service."""
    meta = obj["metadata"]
    service = (meta.get("labels") or {}).get(SERVICE_LABEL)
    return [service_key(meta["namespace"], service)] if service else []


def hosts_answered(decision: Json) -> frozenset[str]:
    """Return the names that DNS answers with the addresses of an L4VirtualService."""
    names = (decision.get("spec") or {}).get("names") or ()
    return frozenset(name["host"] for name in names if name["published"])


def _of_decision(obj: Json) -> list[str]:
    service = obj["spec"]["service"]
    return [
        service_key(service["namespace"], service["name"]),
        NAME_INDEX + obj["spec"]["name"],
        *(HOST_INDEX + host for host in hosts_answered(obj)),
    ]


def keys_of_allocation(obj: Json) -> list[str]:
    """Return the Service keys of the holders of an IPAllocation."""
    holders = obj["spec"].get("holders") or ()
    return [service_key(holder["namespace"], holder["name"]) for holder in holders]


def keys_waiting_for(obj: Json) -> list[str]:
    """Return the Service keys that an IPAllocation concerns: of holders and who it is kept for."""
    kept_for = obj["spec"].get("reservedFor")
    more = [service_key(kept_for["namespace"], kept_for["name"])] if kept_for else []
    return keys_of_allocation(obj) + more


def keys_of_policy(obj: Json) -> list[str]:
    """Return the Service keys that an L4Policy is for, by what it says or by its last good spec."""
    policy = translate_policy(obj)
    names = policy.named | policy.targets
    return [service_key(policy.namespace, name) for name in sorted(names)]


class Caches:
    """One Store for each resource that decisions are made from."""

    def __init__(self) -> None:
        self.services = Store(transform=_slim)
        self.namespaces = Store(transform=_slim)
        self.slices = Store(transform=_slim, index=keys_of_slice)
        self.decisions = Store(transform=_slim, index=_of_decision)
        self.allocations = Store(transform=_slim, index=keys_of_allocation)
        self.policies = Store(transform=_slim, index=keys_of_policy)
        self.serving_nodes = Store(transform=_slim)
        self.address_pools = Store(transform=_slim)
        self.fabrics = Store(transform=_slim)
        self.zones = Store(transform=_slim)
        self.leases = Store(transform=_slim)

    def feed(self, api: client.Client, group: asyncio.TaskGroup, namespace: str) -> None:
        """Start the watches; Leases only in `namespace`."""
        for resource, store in self.sources():
            group.create_task(reflector.Reflector(api, resource, store).run())
        leases = reflector.Reflector(api, resources.LEASES, self.leases, namespace)
        group.create_task(leases.run())

    def sources(self) -> tuple[tuple[resources.Resource, Store], ...]:
        """Return what is watched in the whole cluster, and where it is kept."""
        return (
            (resources.SERVICES, self.services),
            (resources.NAMESPACES, self.namespaces),
            (resources.ENDPOINT_SLICES, self.slices),
            (resources.L4_VIRTUAL_SERVICES, self.decisions),
            (resources.IP_ALLOCATIONS, self.allocations),
            (resources.ADDRESS_POOLS, self.address_pools),
            (resources.L4_POLICIES, self.policies),
            (resources.SERVING_NODES, self.serving_nodes),
            (resources.FABRICS, self.fabrics),
            (resources.ZONES, self.zones),
        )

    async def synced(self) -> None:
        """Wait until each cache holds one whole list; nothing is decided before."""
        for store in self._stores():
            await store.synced.wait()

    def keys_of_relabelled(self, change: Change) -> list[str]:
        """Return the Services of a namespace that is new or gone, or whose labels are others."""
        labels = [metadata(obj or {}).get("labels") for obj in (change.old, change.new)]
        if change.old is not None and labels[0] == labels[1]:
            return []
        return [key_of(obj) for obj in self.services if metadata(obj)["namespace"] == change.key]

    @property
    def is_synced(self) -> bool:
        """Tell whether each cache holds one whole list."""
        return all(store.synced.is_set() for store in self._stores())

    def _stores(self) -> tuple[Store, ...]:
        return (*(store for _, store in self.sources()), self.leases)


def keys_of_decision(obj: Json) -> list[str]:
    """Return the Service key of an L4VirtualService."""
    return _of_decision(obj)[:1]


def keys_of_service(obj: Json) -> list[str]:
    """Return the key of a Service itself."""
    return [key_of(obj)]
