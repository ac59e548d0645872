"""Caches become the frozen View that one pass decides from."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from lbctl.engine.caches import NAME_INDEX, Caches
from lbctl.ipam.allocator import Grant
from lbctl.ipam.ledger import Ledger
from lbctl.ipam.resolve import Resolved, resolve
from lbctl.kube.objects import Json, generation_of, metadata, name_of, version_of
from lbctl.model import names
from lbctl.model.allocation import Allocation, parse_allocation
from lbctl.model.pool import AddressPool
from lbctl.model.reasons import Refused
from lbctl.model.virtual_service import parse_virtual_service, spec_version
from lbctl.plan import offers
from lbctl.plan.hostnames import Naming
from lbctl.plan.steps import DecisionStatus
from lbctl.plan.view import ObservedDecision, View
from lbctl.translate import remote
from lbctl.translate.endpoints import holds_names, parse_endpoints
from lbctl.translate.namespaces import Scope
from lbctl.translate.policies import translate_policy
from lbctl.translate.pools import is_mirror, translate_pool
from lbctl.translate.remote import Crew
from lbctl.translate.service import Ownership, ServiceFacts, translate_service
from lbctl.translate.serving_nodes import AgentState, parse_agent

Clock = Callable[[], float]
"""Seconds, from any start."""
Offers = Mapping[int, Grant | Refused]
Hear = Callable[[str, ServiceFacts | None, Offers], Offers]
SETTLING_S = 1.0
"""A new Service's first EndpointSlice is waited for so long: without any it has no endpoints."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the settings say that decisions depend on."""

    pools: Sequence[AddressPool]
    """Those of the settings."""
    ownership: Ownership
    naming: Naming
    scope: Scope = field(default=Scope())
    stopped: bool = False
    """No Service is ours any more: all that was made is withdrawn (`deleteConfig`)."""


class Liveness(Protocol):
    """Who knows which agents are alive."""

    def live(self, node: str) -> bool:
        """Tell whether the agent of a node is alive."""
        ...


class Snapshots:
    """Makes views; keeps the ledger of addresses beside the caches."""

    def __init__(self, caches: Caches, liveness: Liveness, rules: Rules, clock: Clock) -> None:
        self.ledger = Ledger()
        self.rules = rules
        self._resolved: Resolved | None = None
        self._caches = caches
        self._liveness = liveness
        self._clock = clock
        self.outside: Hear = lambda key, service, found: found
        """Is told of offers, and may know more: of what an external IPAM answered."""
        self.rivals: Callable[[str], Mapping[str, str]] = lambda key: {}
        """Tells who has names that a Service asks for."""
        self._agents: tuple[AgentState, ...] | None = None
        self._crew: Crew | None = None
        self._settled_at: dict[str, float] = {}
        """Until when new Services wait for their first EndpointSlice, by key."""

    @property
    def resolved(self) -> Resolved:
        """Return which pools of settings and objects give addresses."""
        if self._resolved is None:
            objects = self._caches.address_pools
            declared = [translate_pool(obj) for obj in objects if not is_mirror(obj)]
            self._resolved = resolve(self.rules.pools, declared)
        return self._resolved

    def pools_changed(self) -> None:
        """Forget which pools give addresses: the settings or an AddressPool moved."""
        self._resolved = None

    def agents_changed(self) -> None:
        """Forget what was known of agents: a ServingNode or a Lease moved."""
        self._agents = self._crew = None

    def view(self, key: str) -> View:
        """Return everything about the Service `<namespace>/<name>` at this moment."""
        service, labels = self.service(key)
        slices = self._caches.slices.indexed(key)
        decision = self._decision(key)
        allocations = self._allocations(key)
        stock = offers.Stock(self.resolved.pools, self.ledger, labels)
        decided = decision.virtual_service if decision is not None else None
        return View(
            key=key,
            service=service,
            decision=decision,
            allocations=allocations,
            offers=self.outside(key, service, offers.offers(stock, service, allocations, decided)),
            endpoints=remote.marked(parse_endpoints(slices), self.crew),
            named_endpoints=holds_names(slices),
            slices_version=max((version_of(entry) for entry in slices), default=0),
            agents=self.agents,
            crew=self.crew,
            fabric=len(self._caches.fabrics) > 0,
            name_taken=self._name_taken(key, service),
            naming=self.rules.naming,
            settling=self._is_settling(key, service, slices),
            unfit=offers.unfit(stock, service, allocations),
            reserved=self._reserved(key),
            # When stopped, nothing is kept for anybody.
            reuse_delays={} if self.rules.stopped else self.resolved.pools.reuse_delays,
            policies=tuple(translate_policy(obj) for obj in self._caches.policies.indexed(key)),
            namespace_labels=labels,
            rivals=self.rivals(key),
        )

    def service(self, key: str) -> tuple[ServiceFacts | None, Mapping[str, str]]:
        """Return the facts of a Service, if there is one, and the labels of its namespace."""
        namespace = self._caches.namespaces.get(key.partition("/")[0]) or {}
        labels: Mapping[str, str] = metadata(namespace).get("labels") or {}
        obj, served = self._caches.services.get(key), self._is_served(key, labels)
        found = translate_service(obj, self.rules.ownership, served=served) if obj else None
        return found, labels

    def _is_settling(self, key: str, service: ServiceFacts | None, slices: Sequence[Json]) -> bool:
        if slices or service is None or service.ingress or not (service.ours and service.selects):
            self._settled_at.pop(key, None)
            return False
        now = self._clock()
        return now < self._settled_at.setdefault(key, now + SETTLING_S)

    def _is_served(self, key: str, labels: Mapping[str, str]) -> bool:
        return not self.rules.stopped and self.rules.scope.selects(key.partition("/")[0], labels)

    def _decision(self, key: str) -> ObservedDecision | None:
        found = self._caches.decisions.indexed(key)
        return observed_decision(found[0]) if found else None

    def _allocations(self, key: str) -> tuple[Allocation, ...]:
        found = (parse_allocation(obj) for obj in self._caches.allocations.indexed(key))
        return tuple(sorted(found, key=lambda entry: (entry.address.version, int(entry.address))))

    def _reserved(self, key: str) -> tuple[Allocation, ...]:
        return (*self.ledger.reserved(key, 4), *self.ledger.reserved(key, 6))

    @property
    def agents(self) -> tuple[AgentState, ...]:
        """Return what is known of agents; the same object until it is other."""
        if self._agents is None:
            self._agents = tuple(
                parse_agent(obj, live=self._liveness.live(name_of(obj)))
                for obj in self._caches.serving_nodes
            )
        return self._agents

    @property
    def crew(self) -> Crew:
        """Return whose nodes serve; the same object until agents are others."""
        if self._crew is None:
            nodes = {agent.node: agent for agent in self.agents if agent.role == "node"}
            self._crew = remote.crew_of(nodes)
        return self._crew

    def _name_taken(self, key: str, service: ServiceFacts | None) -> bool:
        if service is None:
            return False
        cluster = self.rules.naming.cluster
        plain = names.virtual_service_name(cluster, service.namespace, service.name)
        holders = self._caches.decisions.indexed(NAME_INDEX + plain)
        return any(obj["spec"]["service"]["uid"] != service.uid for obj in holders)


def observed_decision(obj: Json) -> ObservedDecision:
    """Return an L4VirtualService as plans see it."""
    return ObservedDecision(
        virtual_service=parse_virtual_service(obj),
        uid=obj["metadata"]["uid"],
        resource_version=obj["metadata"]["resourceVersion"],
        generation=generation_of(obj),
        spec_version=spec_version(obj),
        status=_status(obj.get("status") or {}),
    )


def _status(status: Json) -> DecisionStatus | None:
    if not status:
        return None
    return DecisionStatus(
        state=status.get("state", ""),
        reason=status.get("reason", ""),
        members_up=status.get("membersUp", 0),
        members_total=status.get("membersTotal", 0),
        spec_version=int(status.get("specResourceVersion") or 0),
        generation=status.get("observedGeneration", 0),
        vip=status.get("vip", ""),
        host=status.get("host", ""),
    )
