"""A small world that obeys plans: an API in memory and agents that acknowledge when asked to.

It is the fake behind the property tests of `lbctl.plan.order`; what it keeps are the model's own
values, so it can be asked at every moment who serves which address.
"""

import dataclasses
import datetime
import itertools
from typing import Any, TypeAlias

import builders
from lbctl.ipam import allocator
from lbctl.ipam.allocator import AddressRequest, Grant
from lbctl.ipam.ledger import Ledger
from lbctl.ipam.pools import AddressPools
from lbctl.model.allocation import Allocation, Holder
from lbctl.model.pool import AddressPool
from lbctl.model.virtual_service import Address, Phase, ServiceRef, VirtualService
from lbctl.plan import offers, order, steps, times, vips
from lbctl.plan.hostnames import NameRegister, Naming, wanted_names
from lbctl.plan.view import ObservedDecision, View
from lbctl.translate.endpoints import parse_endpoints
from lbctl.translate.service import FINALIZER, translate_service
from lbctl.translate.serving_nodes import AgentState

Place: TypeAlias = tuple[Address, int]
"""Where clients connect to; all ports of this world are TCP."""
SHARING = "lbctl.io/shared-ip"
ASKING = "lbctl.io/load-balancer-ips"
HOSTS = "lbctl.io/hostname"


@dataclasses.dataclass
class Agent:
    """One node or router: what it has programmed, and up to which version."""

    node: str
    role: str
    decisions: int = 0
    slices: int = 0
    programmed: dict[str, frozenset[Place]] = dataclasses.field(default_factory=dict)


class World:
    """Services, IPAllocations and decisions of one cluster, with one version counter for all."""

    def __init__(self, pool: AddressPool, naming: Naming = builders.NAMING) -> None:
        self.pool = pool
        self.naming = naming
        self.now = builders.NOW
        self.services: dict[str, dict[str, Any]] = {}
        self.slices: dict[str, dict[str, Any]] = {}
        self.allocations: dict[str, Allocation] = {}
        self.decisions: dict[str, ObservedDecision] = {}
        self.told: dict[tuple[str, Address], datetime.datetime] = {}
        """When names of each decision last had each address."""
        self.agents = [Agent("node-1", "node"), Agent("node-2", "node"), Agent("router", "router")]
        self._versions = itertools.count(100)
        self._uids = itertools.count(1)

    # --- what users and Kubernetes do -----------------------------------------------------------

    def create(
        self,
        name: str,
        families: tuple[str, ...] = ("IPv4",),
        *,
        port: int = 8080,
        key: str = "",
        policy: str = "PreferDualStack",
    ) -> None:
        """Create a Service, unless one of that name exists; with a key it shares its address."""
        if name in self.services:
            return
        ports = [{"port": port, "protocol": "TCP"}]
        obj = builders.service(ipFamilies=list(families), ports=ports, ipFamilyPolicy=policy)
        notes = {SHARING: key} if key else {}
        obj["metadata"] |= {
            "name": name,
            "uid": f"uid-{next(self._uids)}",
            "creationTimestamp": times.render(self.now),
            "annotations": notes,
        }
        self._store(name, obj)

    def change(self, name: str, spec: dict[str, Any], notes: dict[str, str] | None = None) -> None:
        """Change parts of a Service's spec, and annotations; an empty one is taken away."""
        obj = self.services.get(name)
        if obj is None or "deletionTimestamp" in obj["metadata"]:
            return
        kept = {**obj["metadata"]["annotations"], **(notes or {})}
        notes = {key: text for key, text in kept.items() if text}
        meta = {**obj["metadata"], "annotations": notes}
        self._store(name, {**obj, "metadata": meta, "spec": {**obj["spec"], **spec}})

    def scribble(self, name: str, address: str) -> None:
        """Let somebody else write an address into a Service's status."""
        obj = self.services.get(name)
        if obj is not None and obj["spec"]["type"] == "LoadBalancer":
            status = {**obj["status"], "loadBalancer": {"ingress": [{"ip": address}]}}
            self._store(name, {**obj, "status": status})

    def delete(self, name: str) -> None:
        """Delete a Service: it goes at once without a finalizer, else it waits for ours."""
        obj = self.services.get(name)
        if obj is None:
            return
        if obj["metadata"].get("finalizers"):
            obj["metadata"]["deletionTimestamp"] = "2026-11-21T12:00:00Z"
            self._store(name, obj)
        else:
            del self.services[name]

    def retype(self, name: str, kind: str) -> None:
        """Change a Service's type; the API server clears its ingress when it leaves."""
        obj = self.services.get(name)
        if obj is None or "deletionTimestamp" in obj["metadata"]:
            return
        obj["spec"]["type"] = kind
        if kind != "LoadBalancer":
            obj["status"]["loadBalancer"] = {}
        self._store(name, obj)

    def stray(self, name: str) -> None:
        """Let a late write of an earlier leader give a Service one more address."""
        obj = self.services.get(name)
        if obj is None or "deletionTimestamp" in obj["metadata"]:
            return
        stranger = AddressRequest(Holder(ServiceRef("default", name, "")), 4)
        stock = self._stock()
        offer = allocator.allocate(stranger, stock.pools, stock.ledger)
        if isinstance(offer, Grant):
            holder = offers.holder_of(translate_service(obj, builders.OWNERSHIP))
            stray = dataclasses.replace(offer.allocation, holders=(holder,))
            self.do(steps.CreateAllocation(stray))

    def scale(self, name: str, ready: int) -> None:
        """Give a Service that many ready endpoints."""
        ends = [builders.endpoint(f"10.244.1.{n + 1}", f"node-{n % 2 + 1}") for n in range(ready)]
        self.slices[name] = builders.endpoint_slice(*ends, version=next(self._versions))

    def acknowledge(self, index: int) -> None:
        """Let one agent program all that stands in the API now, and say so."""
        agent = self.agents[index]
        agent.programmed = {
            key: places_of(found.virtual_service)
            for key, found in self.decisions.items()
            if found.virtual_service.phase is not Phase.WITHDRAWN
        }
        agent.decisions = agent.slices = next(self._versions)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += datetime.timedelta(seconds=seconds)

    # --- what the controller does ---------------------------------------------------------------

    def view(self, name: str) -> View:
        """Return what one pass would see."""
        obj = self.services.get(name)
        known = translate_service(obj, builders.OWNERSHIP) if obj else None
        slices = [self.slices[name]] if name in self.slices else []
        held = tuple(
            sorted(
                (entry for entry in self.allocations.values() if name in _names_of(entry)),
                key=lambda entry: (entry.address.version, int(entry.address)),
            )
        )
        stock, decision = self._stock(), self.decisions.get(f"default.{name}")
        decided = decision.virtual_service if decision is not None else None
        kept = [*stock.ledger.reserved(f"default/{name}", 4)]
        kept += stock.ledger.reserved(f"default/{name}", 6)
        return View(
            key=f"default/{name}",
            service=known,
            decision=decision,
            allocations=held,
            offers=offers.offers(stock, known, held, decided),
            endpoints=parse_endpoints(slices),
            named_endpoints=False,
            slices_version=max((int(s["metadata"]["resourceVersion"]) for s in slices), default=0),
            agents=tuple(
                AgentState(entry.node, entry.role, True, entry.decisions, entry.slices, {})
                for entry in self.agents
            ),
            fabric=True,
            name_taken=False,
            naming=self.naming,
            unfit=offers.unfit(stock, known, held),
            reserved=tuple(kept),
            reuse_delays={self.pool.name: self.pool.reuse_delay_s},
            rivals=self._rivals(name),
        )

    def _rivals(self, name: str) -> dict[str, str]:
        answering: dict[str, set[str]] = {}
        for key, host in self.answered():
            answering.setdefault(host, set()).add(key.replace(".", "/"))
        own = {host for key, host in self.answered() if key == f"default.{name}"}
        return self.register().rivals(
            f"default/{name}", own, lambda host: answering.get(host, set())
        )

    def register(self) -> NameRegister:
        """Return who asks for which names now."""
        found = NameRegister()
        for name, obj in self.services.items():
            facts = translate_service(obj, builders.OWNERSHIP)
            if facts.ours and not facts.deleting:
                hosts = wanted_names(self.naming, facts, {}).hosts
                found.enter(f"default/{name}", (facts.created, facts.uid), hosts)
        return found

    def answered(self) -> list[tuple[str, str]]:
        """Return the names that DNS answers, each with the key of the decision."""
        return [
            (key, name.host)
            for key, entry in self.decisions.items()
            for name in entry.virtual_service.names
            if name.published
        ]

    def plan(self, name: str) -> order.Plan:
        """Return what the controller would do now."""
        return order.plan_service(self.view(name), self.now)

    def names(self) -> set[str]:
        """Return every name that a pass could be about."""
        held = {name for entry in self.allocations.values() for name in _names_of(entry)}
        held |= {entry.reserved_for.partition("/")[2] for entry in self.allocations.values()} - {""}
        return {*self.services, *held, *(key.partition(".")[2] for key in self.decisions)}

    def settle(self) -> None:
        """Run controller and agents until nothing changes any more."""
        for _ in range(60):
            todo = [step for name in sorted(self.names()) for step in self.plan(name).steps]
            for step in todo:
                self.do(step)
            for index in range(len(self.agents)):
                self.acknowledge(index)
            self.advance(20)
            if not todo and not any(self.plan(name).steps for name in self.names()):
                return
        raise AssertionError("the world does not come to rest")

    def do(self, step: steps.Step) -> None:
        """Do one step as the API server would: stale writes are refused silently."""
        match step:
            case steps.CreateAllocation(allocation) | steps.ChangeAllocation(allocation):
                self._write_allocation(allocation, allocation)
            case steps.ReleaseAllocation(allocation, kept):
                self._write_allocation(allocation, kept)
            case steps.WriteDecision(wanted, replaces):
                self._write_decision(wanted, replaces)
            case steps.DeleteDecision(key, uid):
                if key in self.decisions and self.decisions[key].uid == uid:
                    del self.decisions[key]
            case steps.WriteDecisionStatus(key, status):
                if key in self.decisions:
                    self.decisions[key] = dataclasses.replace(self.decisions[key], status=status)
            case _:
                self._do_on_service(step)

    def _do_on_service(self, step: steps.Step) -> None:
        match step:
            case steps.AddFinalizer(service):
                self._patch(service, finalizers=[FINALIZER])
            case steps.RemoveFinalizer(service):
                self._unfinalize(service.name, service.uid)
            case steps.WriteServiceStatus():
                self._write_status(step)
            case steps.ClearServiceStatus(service):
                self._set_status(service, {"loadBalancer": {}})

    def _write_allocation(self, before: Allocation, after: Allocation | None) -> None:
        found = self.allocations.get(before.name)
        if (found.resource_version if found else "") != before.resource_version:
            return
        if after is None:
            del self.allocations[before.name]
            return
        uid = found.uid if found else f"alloc-{next(self._uids)}"
        version = str(next(self._versions))
        self.allocations[before.name] = dataclasses.replace(
            after, uid=uid, resource_version=version
        )

    def _stock(self) -> offers.Stock:
        return offers.Stock(AddressPools([self.pool]), Ledger(self.allocations.values()))

    def _write_decision(self, wanted: VirtualService, replaces: str) -> None:
        found = self.decisions.get(wanted.key)
        if (found is None) != (replaces == "") or (found and found.resource_version != replaces):
            return
        version = next(self._versions)
        self.decisions[wanted.key] = ObservedDecision(
            virtual_service=wanted,
            uid=found.uid if found else f"vs-{next(self._uids)}",
            resource_version=str(version),
            generation=found.generation + 1 if found else 1,
            spec_version=version,
            status=found.status if found else None,
        )

    def _write_status(self, step: steps.WriteServiceStatus) -> None:
        ingress = [{"ip": str(entry)} for entry in step.ingress]
        conditions = [
            {
                "type": entry.type.value,
                "status": "True" if entry.true else "False",
                "reason": entry.reason.value,
                "message": entry.message,
                "lastTransitionTime": "2026-11-21T12:00:00Z",
            }
            for entry in step.conditions
        ]
        status = {"loadBalancer": {"ingress": ingress}, "conditions": conditions}
        meta = {"finalizers": [FINALIZER]} if step.finalizes else {}
        self._set_status(step.service, status, meta)

    def _set_status(
        self, service: Any, status: dict[str, Any], meta: dict[str, Any] | None = None
    ) -> None:
        obj = self.services.get(service.name)
        if obj is None or obj["metadata"]["resourceVersion"] != service.resource_version:
            return
        if obj["spec"]["type"] != "LoadBalancer":
            status = {**status, "loadBalancer": {}}
        meta = {**obj["metadata"], **(meta or {})}
        self._store(service.name, {**obj, "metadata": meta, "status": status})

    def _patch(self, service: Any, **meta: Any) -> None:
        obj = self.services.get(service.name)
        if obj is not None and obj["metadata"]["uid"] == service.uid:
            self._store(service.name, {**obj, "metadata": {**obj["metadata"], **meta}})

    def _unfinalize(self, name: str, uid: str) -> None:
        obj = self.services.get(name)
        if obj is None or obj["metadata"]["uid"] != uid:
            return
        obj["metadata"].pop("finalizers", None)
        self._store(name, obj)
        if "deletionTimestamp" in obj["metadata"]:
            del self.services[name]

    def _store(self, name: str, obj: dict[str, Any]) -> None:
        obj["metadata"]["resourceVersion"] = str(next(self._versions))
        self.services[name] = obj

    # --- what must hold at every moment ---------------------------------------------------------

    def shown(self) -> dict[str, list[str]]:
        """Return the addresses that each Service shows."""
        found: dict[str, list[str]] = {}
        for name, obj in self.services.items():
            ingress = obj["status"]["loadBalancer"].get("ingress") or ()
            found[name] = [entry["ip"] for entry in ingress]
        return found

    def served(self) -> dict[Place, set[str]]:
        """Return which decisions each place is served for, in the API or on any agent."""
        found: dict[Place, set[str]] = {}
        for key, entry in self.decisions.items():
            for place in places_of(entry.virtual_service):
                found.setdefault(place, set()).add(key)
        for agent in self.agents:
            for key, places in agent.programmed.items():
                for place in places:
                    found.setdefault(place, set()).add(key)
        return found

    def tell(self) -> None:
        """Note which addresses names have at this moment."""
        for key, entry in self.decisions.items():
            if any(name.published for name in entry.virtual_service.names):
                for vip in vips.current(entry.virtual_service):
                    self.told[key, vip.address] = self.now

    def cached(self, key: str) -> set[Address]:
        """Return the addresses that clients may still have from a decision's names."""
        ttl = datetime.timedelta(seconds=self.naming.ttl_s)
        return {
            address
            for (owner, address), moment in self.told.items()
            if owner == key and self.now < moment + ttl
        }


def places_of(decided: VirtualService) -> frozenset[Place]:
    """Return where a decision has clients served."""
    return frozenset(
        (vip.address, listener.port) for vip in decided.vips for listener in decided.listeners
    )


def _names_of(allocation: Allocation) -> set[str]:
    return {holder.service.name for holder in allocation.holders}
