"""What is decided and who answers: L4VirtualServices and EndpointSlices as one consistent view.

Feeds on watches and reads no clock. An L4VirtualService that vanished without having been
withdrawn is doubt: it is *held*, and yields only to a better decision (design decision 6).
"""

import logging
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

log = logging.getLogger(__name__)


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

    @property
    def endpoints(self) -> dict[str, tuple[Endpoint, ...]]:
        """Return the endpoints by virtual service."""
        return {key: behind.endpoints for key, behind in self.behind.items()}


@dataclass(frozen=True, slots=True)
class Decision:
    """One L4VirtualService as last seen."""

    service: VirtualService
    raw: Json
    generation: int
    version: int
    """Of the last write of its spec, as far as it can be told."""
    held: bool = False


class Book:
    """Keeps decisions and their endpoints; calls `wake` when a new view is worth a pass."""

    def __init__(self, services: Store, slices: Store, wake: Callable[[], None]) -> None:
        self._services = services
        self._slices = slices
        self._wake = wake
        self._known: dict[str, Decision] = {}
        self._behind: dict[str, Behind] = {}
        self._concerned = False
        services.subscribe(self._on_service)
        slices.subscribe(self._on_slice)

    def view(self) -> View:
        """Return this moment and start to count changes anew."""
        concerned, self._concerned = self._concerned, False
        services = without_yielding(self._known.values())
        return View(
            services=services,
            spec_versions={key: decision.version for key, decision in self._known.items()},
            behind={service.key: self._behind_of(service) for service in services},
            decisions=self._services.resource_version,
            slices=self._slices.resource_version,
            concerned=concerned,
        )

    def concern_again(self) -> None:
        """Say that the last view was not programmed: the next one concerns us as well."""
        self._concerned = True

    def held(self) -> tuple[VirtualService, ...]:
        """Return what is held for doubt."""
        return tuple(known.service for known in self._known.values() if known.held)

    def held_objects(self) -> tuple[Json, ...]:
        """Return what is held, as API objects for the state on disk."""
        return tuple(known.raw for known in self._known.values() if known.held)

    def forget(self, key: str) -> None:
        """Let go of a held decision: its Service is proved to be gone."""
        decision = self._known.get(key)
        if decision is not None and decision.held:
            del self._known[key]
            self._changed()

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
        self._known[change.key] = decision
        self._changed()

    def _status_moved(self, known: Decision, now: Decision) -> None:
        # The leader's note in the status may tell the version of the spec more exactly.
        if now.version < known.version:
            self._known[known.service.key] = now
            self._wake()

    def _lost(self, key: str) -> None:
        known = self._known.get(key)
        if known is None:
            return
        if known.service.phase is Phase.WITHDRAWN:
            del self._known[key]
            return
        log.warning("deleted without withdrawal: holding it", extra={"key": f"L4LBService/{key}"})
        self._known[key] = replace(known, held=True)
        self._changed()

    def _on_slice(self, change: Change) -> None:
        for obj in (change.old, change.new):
            key = owner_of(obj) if obj is not None else ""
            self._behind.pop(key, None)
            if key in self._known:
                self._changed()

    def _behind_of(self, service: VirtualService) -> Behind:
        found = self._behind.get(service.key)
        if found is None:
            found = read_slices(self._slices.indexed(service.key))
            self._behind[service.key] = found
        return found

    def _changed(self) -> None:
        self._concerned = True
        self._wake()


def _read(obj: Json) -> Decision | None:
    try:
        service = parse_virtual_service(obj)
    except (KeyError, ValueError, TypeError) as error:
        log.error("not understood, keeping what was: %r", error, extra={"key": name_of(obj)})
        return None
    return Decision(service, obj, generation_of(obj), spec_version(obj))


def without_yielding(known: Iterable[Decision]) -> tuple[VirtualService, ...]:
    """Return what to serve, sorted by key: a held decision yields addresses given to another.

    Two that share an address under the same IPAllocation do so on purpose.
    """
    decisions = sorted(known, key=lambda decision: decision.service.key)
    given: dict[Address, set[str]] = {}
    for decision in decisions:
        if not decision.held and decision.service.phase is not Phase.WITHDRAWN:
            for vip in decision.service.vips:
                given.setdefault(vip.address, set()).add(vip.allocation_uid)
    return tuple(
        _yielded(decision.service, given) if decision.held else decision.service
        for decision in decisions
    )


def _yielded(service: VirtualService, given: Mapping[Address, set[str]]) -> VirtualService:
    kept = tuple(
        vip for vip in service.vips if given.get(vip.address, set()) <= {vip.allocation_uid}
    )
    return replace(service, vips=kept)


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
    """Return an EndpointSlice with what is read here only: memory counts on every node."""
    meta = metadata(obj)
    labels = meta.get("labels") or {}
    kept = {key: meta.get(key) for key in ("name", "namespace", "resourceVersion")}
    owner = labels.get(endpoints_of.SERVICE_LABEL)
    kept["labels"] = {endpoints_of.SERVICE_LABEL: owner} if owner else {}
    endpoints = [
        {key: entry[key] for key in ("addresses", "conditions", "nodeName") if key in entry}
        for entry in obj.get("endpoints") or ()
    ]
    return {
        "metadata": kept,
        "addressType": obj.get("addressType"),
        "endpoints": endpoints,
        "ports": obj.get("ports"),
    }


def trim_service(obj: Json) -> Json:
    """Return an L4VirtualService with what is read here only."""
    meta, status = metadata(obj), obj.get("status") or {}
    return {
        "metadata": {key: meta.get(key) for key in ("name", "generation", "resourceVersion")},
        "spec": obj.get("spec"),
        "status": {
            key: status[key]
            for key in ("specResourceVersion", "observedGeneration")
            if key in status
        },
    }


def read_slices(slices: Iterable[Json]) -> Behind:
    """Return the endpoints of one Service's slices."""
    found = tuple(slices)
    versions: dict[str, int] = {}
    for obj in found:
        for entry in obj.get("endpoints") or ():
            node = entry.get("nodeName") or ""
            versions[node] = max(versions.get(node, 0), version_of(obj))
    return Behind(endpoints_of.parse_endpoints(found), versions)
