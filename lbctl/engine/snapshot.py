"""Caches become the frozen View that one pass decides from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lbctl.engine.caches import NAME_INDEX, Caches
from lbctl.engine.liveness import Liveness
from lbctl.ipam import allocator
from lbctl.ipam.allocator import AddressRequest, Grant
from lbctl.ipam.ledger import Ledger
from lbctl.ipam.ranges import AddressPool
from lbctl.kube.objects import Json, generation_of, metadata, name_of, version_of
from lbctl.model import names
from lbctl.model.allocation import Allocation, parse_allocation
from lbctl.model.reasons import Refused
from lbctl.model.virtual_service import Address, parse_virtual_service, spec_version
from lbctl.plan.steps import DecisionStatus
from lbctl.plan.view import Naming, ObservedDecision, View
from lbctl.translate.endpoints import parse_endpoints
from lbctl.translate.namespaces import Scope
from lbctl.translate.service import Ownership, ServiceFacts, translate_service
from lbctl.translate.serving_nodes import AgentState, parse_agent


@dataclass(frozen=True, slots=True)
class Rules:
    """What the settings say that decisions depend on."""

    pools: Sequence[AddressPool]
    ownership: Ownership
    naming: Naming
    scope: Scope = field(default=Scope())
    stopped: bool = False
    """No Service is ours any more: all that was made is withdrawn (`deleteConfig`)."""


class Snapshots:
    """Makes views; keeps the ledger of addresses beside the caches."""

    def __init__(self, caches: Caches, liveness: Liveness, rules: Rules) -> None:
        self.ledger = Ledger()
        self.rules = rules
        self._caches = caches
        self._liveness = liveness
        self._agents: tuple[AgentState, ...] | None = None

    def agents_changed(self) -> None:
        """Forget what was known of agents: a ServingNode or a Lease moved."""
        self._agents = None

    def view(self, key: str) -> View:
        """Return everything about the Service `<namespace>/<name>` at this moment."""
        obj = self._caches.services.get(key)
        served = self._is_served(key)
        service = translate_service(obj, self.rules.ownership, served=served) if obj else None
        slices = self._caches.slices.indexed(key)
        decision = self._decision(key)
        allocations = self._allocations(key)
        return View(
            service=service,
            decision=decision,
            allocations=allocations,
            offers=self._offers(service, allocations, decision),
            endpoints=parse_endpoints(slices),
            slices_version=max((version_of(entry) for entry in slices), default=0),
            agents=self._known_agents(),
            fabric=len(self._caches.fabrics) > 0,
            name_taken=self._name_taken(key, service),
            naming=self.rules.naming,
        )

    def _is_served(self, key: str) -> bool:
        namespace = key.partition("/")[0]
        labels = metadata(self._caches.namespaces.get(namespace) or {}).get("labels") or {}
        return not self.rules.stopped and self.rules.scope.selects(namespace, labels)

    def _decision(self, key: str) -> ObservedDecision | None:
        found = self._caches.decisions.indexed(key)
        return observed_decision(found[0]) if found else None

    def _allocations(self, key: str) -> tuple[Allocation, ...]:
        found = (parse_allocation(obj) for obj in self._caches.allocations.indexed(key))
        return tuple(sorted(found, key=lambda entry: (entry.address.version, int(entry.address))))

    def _offers(
        self,
        service: ServiceFacts | None,
        allocations: tuple[Allocation, ...],
        decision: ObservedDecision | None,
    ) -> Mapping[int, Grant | Refused]:
        if service is None or not service.ours or service.deleting:
            return {}
        held = {entry.address.version for entry in allocations if entry.holder.uid == service.uid}
        shown = _shown(service, decision)
        return {
            family: self._offer(service, family, shown.get(family))
            for family in service.families
            if family not in held
        }

    def _offer(self, service: ServiceFacts, family: int, shown: Address | None) -> Grant | Refused:
        if isinstance(service.wanted, Refused):
            return service.wanted
        request = AddressRequest(service.uid, family, service.wanted.get(family), shown)
        return allocator.allocate(request, self.rules.pools, self.ledger)

    def _known_agents(self) -> tuple[AgentState, ...]:
        if self._agents is None:
            self._agents = tuple(
                parse_agent(obj, live=self._liveness.live(name_of(obj)))
                for obj in self._caches.serving_nodes
            )
        return self._agents

    def _name_taken(self, key: str, service: ServiceFacts | None) -> bool:
        if service is None:
            return False
        cluster = self.rules.naming.cluster
        plain = names.virtual_service_name(cluster, service.namespace, service.name)
        holders = self._caches.decisions.indexed(NAME_INDEX + plain)
        return any(obj["spec"]["service"]["uid"] != service.uid for obj in holders)


def _shown(service: ServiceFacts, decision: ObservedDecision | None) -> dict[int, Address]:
    """Return the addresses that are out there already, by family: they are adopted if free."""
    shown: dict[int, Address] = {entry.version: entry for entry in service.ingress}
    if decision is not None and decision.virtual_service.service.uid == service.uid:
        shown |= {vip.address.version: vip.address for vip in decision.virtual_service.vips}
    return shown


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
