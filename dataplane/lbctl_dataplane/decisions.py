"""What is decided and who answers: L4VirtualServices and EndpointSlices as one consistent view.

Feeds on watches and reads no clock. An L4VirtualService that vanished without having been
withdrawn is doubt: it is *held*, and yields only to a better decision (design decision 6).
"""

import logging
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from lbctl.kube.objects import Json, generation_of, metadata, name_of, version_of
from lbctl.kube.store import Change, Store
from lbctl.model.virtual_service import (
    Address,
    Phase,
    VirtualService,
    parse_virtual_service,
    spec_version,
)
from lbctl.translate import endpoints as endpoints_of
from lbctl.translate.endpoints import Endpoint
from lbctl_dataplane.packed import pack, unpack

log = logging.getLogger(__name__)

_NODES = "nodes"
"""What a trimmed slice says beside its text: where its endpoints are."""


@dataclass(frozen=True, slots=True)
class Behind:
    """The endpoints of one virtual service, and how new that knowledge is."""

    endpoints: tuple[Endpoint, ...] = ()
    versions: Mapping[str, int] = field(default_factory=dict)
    """By node: the newest resourceVersion of a slice with endpoints on it."""


@dataclass(frozen=True, slots=True)
class View:
    """One moment: all decisions with their endpoints, and the versions that it covers."""

    services: tuple[VirtualService, ...]
    spec_versions: Mapping[str, int]
    behind: Mapping[str, Behind]
    decisions: int
    """Every L4VirtualService up to this resourceVersion is in."""
    slices: int
    """Every EndpointSlice up to this resourceVersion is in."""
    concerned: bool
    """Whether a decision of ours or its endpoints changed since the view before."""
    awaited: bool = True
    """Whether somebody may wait for our word about what changed."""

    @property
    def endpoints(self) -> dict[str, tuple[Endpoint, ...]]:
        """Return the endpoints by virtual service."""
        return {key: behind.endpoints for key, behind in self.behind.items()}


@dataclass(frozen=True, slots=True)
class Decision:
    """One L4VirtualService as last seen."""

    service: VirtualService
    raw: Json
    """As the store keeps it."""
    generation: int
    version: int
    """Of the last write of its spec, as far as it can be told."""
    held: bool = False


class Book:
    """Keeps decisions and their endpoints; a view costs what changed since the one before.

    Calls `wake` when a new view is worth a pass, and `later` when nobody waits for it: a new
    decision without members here, or a change that only concerns DNS.
    """

    def __init__(
        self,
        services: Store,
        slices: Store,
        wake: Callable[[], None],
        later: Callable[[], None] | None = None,
        node: str = "",
    ) -> None:
        """Follow two stores. Endpoints on `node` are waited for; where it is empty, all are."""
        self._services = services
        self._slices = slices
        self._wake = wake
        self._later = later or wake
        self._node = node
        self._known: dict[str, Decision] = {}
        self._held: set[str] = set()
        self._sorted: tuple[VirtualService, ...] | None = None
        """What is to be served, sorted by key; None after a change."""
        self._versions: dict[str, int] = {}
        self._behind: dict[str, Behind] = {}
        self._stale: set[str] = set()
        """Keys whose endpoints are to be read again."""
        self._concerned = False
        self._awaited = False
        services.subscribe(self._on_service)
        slices.subscribe(self._on_slice)

    def view(self) -> View:
        """Return this moment and start to count changes anew."""
        concerned, self._concerned = self._concerned, False
        awaited, self._awaited = self._awaited, False
        self._read_again()
        return View(
            services=self._now(),
            spec_versions=dict(self._versions),
            behind=dict(self._behind),
            decisions=self._services.resource_version,
            slices=self._slices.resource_version,
            concerned=concerned,
            awaited=awaited,
        )

    def _now(self) -> tuple[VirtualService, ...]:
        if self._sorted is None and self._held:
            self._sorted = without_yielding(self._known.values())
        elif self._sorted is None:
            self._sorted = tuple(self._known[key].service for key in sorted(self._known))
        return self._sorted

    def _read_again(self) -> None:
        for key in self._stale:
            if key in self._known:
                self._behind[key] = read_slices(self._slices.indexed(key))
        self._stale.clear()

    def concern_again(self) -> None:
        """Say that the last view was not programmed: the next one concerns us as well."""
        self._concerned = self._awaited = True

    def held(self) -> tuple[VirtualService, ...]:
        """Return what is held for doubt."""
        return tuple(self._known[key].service for key in sorted(self._held))

    def held_objects(self) -> tuple[Json, ...]:
        """Return what is held, as API objects for the state on disk."""
        return tuple(self._known[key].raw for key in sorted(self._held))

    def forget(self, key: str) -> None:
        """Let go of a held decision: its Service is proved to be gone."""
        decision = self._known.get(key)
        if decision is not None and decision.held:
            self._drop(key)
            self._changed(awaited=True)

    def _on_service(self, change: Change) -> None:
        if change.new is None:
            self._lost(change.key)
            return
        decision = _read(change.new)
        if decision is None:
            return
        known = self._known.get(change.key)
        if known is not None and not known.held and known.generation == decision.generation:
            self._status_moved(known, decision)
            return
        self._put(change.key, decision)
        # What is held may have to yield to it, and that at once.
        awaited = bool(self._held) or _acts(known, decision.service)
        self._changed(awaited=awaited or self._has_members(change.key))

    def _put(self, key: str, decision: Decision) -> None:
        if key not in self._known:
            self._stale.add(key)
        self._known[key] = decision
        self._versions[key] = decision.version
        (self._held.add if decision.held else self._held.discard)(key)
        self._sorted = None

    def _drop(self, key: str) -> None:
        del self._known[key], self._versions[key]
        self._behind.pop(key, None)
        self._held.discard(key)
        self._sorted = None

    def _status_moved(self, known: Decision, now: Decision) -> None:
        # The leader's note in the status may tell the version of the spec more exactly.
        if now.version < known.version:
            # The spec is the same: what was made of it may stay.
            self._put(known.service.key, replace(now, service=known.service))
            self._wake()

    def _lost(self, key: str) -> None:
        known = self._known.get(key)
        if known is None:
            return
        if known.service.phase is Phase.WITHDRAWN:
            self._drop(key)
            return
        log.warning("deleted without withdrawal: holding it", extra={"key": f"L4LBService/{key}"})
        self._put(key, replace(known, held=True))
        self._changed(awaited=True)

    def _on_slice(self, change: Change) -> None:
        both = [obj for obj in (change.old, change.new) if obj is not None]
        counts = any(map(self._counts, both))
        for key in {owner_of(obj) for obj in both} & self._known.keys():
            self._stale.add(key)
            self._changed(awaited=counts or self._has_members(key))

    def _has_members(self, key: str) -> bool:
        return any(self._counts(obj) for obj in self._slices.indexed(key))

    def _counts(self, obj: Json) -> bool:
        """Tell whether a slice has endpoints that are waited for."""
        nodes: tuple[str, ...] = obj[_NODES]
        return self._node in nodes if self._node else bool(nodes)

    def _changed(self, *, awaited: bool) -> None:
        self._concerned = True
        self._awaited = self._awaited or awaited
        (self._wake if awaited else self._later)()


def _acts(known: Decision | None, now: VirtualService) -> bool:
    """Tell whether every agent has something to do, or its word is waited for to take away."""
    if now.phase is Phase.WITHDRAWN:
        return True
    if known is None:
        return False
    before = known.service
    return (before.vips, before.listeners, before.policy) != (now.vips, now.listeners, now.policy)


def _read(obj: Json) -> Decision | None:
    found = unpack(obj)
    try:
        service = parse_virtual_service(found)
    except (KeyError, ValueError, TypeError) as error:
        log.error("not understood, keeping what was: %r", error, extra={"key": name_of(obj)})
        return None
    return Decision(service, obj, generation_of(found), spec_version(found))


def without_yielding(known: Iterable[Decision]) -> tuple[VirtualService, ...]:
    """Return what to serve, sorted by key: a held decision yields addresses given to another.

    Two that share an address under the same IPAllocation do so on purpose, but never a port of it:
    who has been given a port that a held decision has, too, proves that the address was given back.
    """
    decisions = sorted(known, key=lambda decision: decision.service.key)
    given: dict[Address, set[str]] = {}
    ports: dict[Address, set[tuple[str, int]]] = {}
    for decision in decisions:
        if not decision.held and decision.service.phase is not Phase.WITHDRAWN:
            for vip in decision.service.vips:
                given.setdefault(vip.address, set()).add(vip.allocation_uid)
                ports.setdefault(vip.address, set()).update(_ports(decision.service))
    return tuple(
        _yielded(decision.service, given, ports) if decision.held else decision.service
        for decision in decisions
    )


def _yielded(
    service: VirtualService,
    given: Mapping[Address, set[str]],
    ports: Mapping[Address, set[tuple[str, int]]],
) -> VirtualService:
    own = _ports(service)
    kept = tuple(
        vip
        for vip in service.vips
        if given.get(vip.address, set()) <= {vip.allocation_uid}
        and own.isdisjoint(ports.get(vip.address, ()))
    )
    return replace(service, vips=kept)


def _ports(service: VirtualService) -> set[tuple[str, int]]:
    return {(listener.protocol, listener.port) for listener in service.listeners}


def owner_of(obj: Json) -> str:
    """Return the key of the virtual service that an EndpointSlice belongs to; "" for none."""
    meta = metadata(obj)
    name = (meta.get("labels") or {}).get(endpoints_of.SERVICE_LABEL)
    return f"{meta.get('namespace')}.{name}" if name else ""


def slice_owners(obj: Json) -> tuple[str, ...]:
    """Return the index keys of an EndpointSlice (see `lbctl.kube.store.Index`)."""
    owner = owner_of(obj)
    return (owner,) if owner else ()


def trim_slice(obj: Json) -> Json:
    """Return an EndpointSlice with what is read here only, packed: memory counts on every node.

    Where its endpoints are is told beside: whether anybody waits for it is asked at each change.
    """
    meta, found = metadata(obj), unpack(obj)
    owner = (meta.get("labels") or {}).get(endpoints_of.SERVICE_LABEL)
    kept = {key: meta.get(key) for key in ("name", "namespace", "resourceVersion")}
    kept["labels"] = {endpoints_of.SERVICE_LABEL: owner} if owner else {}
    ends = list(map(_trim_endpoint, found.get("endpoints") or ()))
    content = {
        "addressType": found.get("addressType"),
        "endpoints": ends,
        "ports": found.get("ports"),
    }
    nodes = {sys.intern(entry.get("nodeName", "")) for entry in ends}
    return {**pack(kept, content), _NODES: tuple(sorted(nodes))}


def _trim_endpoint(entry: Json) -> Json:
    kept: Json = {"addresses": (entry.get("addresses") or [])[:1]}
    kept |= {key: entry[key] for key in ("conditions", "nodeName") if entry.get(key)}
    return kept


def trim_service(obj: Json) -> Json:
    """Return an L4VirtualService with what is read here only, packed."""
    meta, found = metadata(obj), unpack(obj)
    status = found.get("status") or {}
    content = {
        "spec": {key: value for key, value in (found.get("spec") or {}).items() if key != "names"},
        "status": {
            key: status[key]
            for key in ("specResourceVersion", "observedGeneration")
            if key in status
        },
    }
    return pack({key: meta.get(key) for key in ("name", "generation", "resourceVersion")}, content)


def read_slices(slices: Iterable[Json]) -> Behind:
    """Return the endpoints of one Service's slices."""
    found = tuple(map(unpack, slices))
    versions: dict[str, int] = {}
    for obj in found:
        for entry in obj.get("endpoints") or ():
            node = entry.get("nodeName") or ""
            versions[node] = max(versions.get(node, 0), version_of(obj))
    return Behind(endpoints_of.parse_endpoints(found), versions)
