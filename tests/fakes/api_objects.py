"""What an API server keeps, and the rules by which it changes: versions, finalizers, conflicts.

Holds exactly what lbctl relies on; `tests/contract/test_api_*.py` runs against this and the
real kube-apiserver.
"""

import itertools
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from lbctl.kube import resources
from lbctl.kube.resources import Resource

Json = dict[str, Any]
Place = tuple[str, str]
"""Namespace (empty for cluster-scoped objects) and name."""

NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
LOAD_BALANCER = "LoadBalancer"


@dataclass(frozen=True, slots=True)
class Rules:
    """How one resource type behaves."""

    resource: Resource
    status: bool
    """Has a status subresource; then the main endpoint ignores status."""
    generation: bool
    """Counts changes of everything but metadata and status."""
    unconditional: bool
    """May be replaced without a resourceVersion."""
    strategic: bool = True
    """Takes strategic merge patches; custom resources do not."""


KNOWN = (
    Rules(resources.SERVICES, status=True, generation=False, unconditional=True),
    Rules(resources.NODES, status=True, generation=False, unconditional=True),
    Rules(resources.EVENTS, status=False, generation=False, unconditional=True),
    Rules(resources.ENDPOINT_SLICES, status=False, generation=True, unconditional=True),
    Rules(resources.LEASES, status=False, generation=False, unconditional=False),
    Rules(resources.L4_VIRTUAL_SERVICES, True, True, unconditional=False, strategic=False),
    Rules(resources.IP_ALLOCATIONS, False, True, unconditional=False, strategic=False),
    Rules(resources.ADDRESS_POOLS, True, True, unconditional=False, strategic=False),
    Rules(resources.L4_POLICIES, True, True, unconditional=False, strategic=False),
    Rules(resources.SERVING_NODES, True, True, unconditional=False, strategic=False),
    Rules(resources.FABRICS, True, True, unconditional=False, strategic=False),
    Rules(resources.ZONES, False, True, unconditional=False, strategic=False),
    Rules(resources.PODS, status=True, generation=True, unconditional=True),
    Rules(resources.CONFIG_MAPS, status=False, generation=False, unconditional=True),
    Rules(resources.DEPLOYMENTS, status=True, generation=True, unconditional=True),
    Rules(resources.DAEMON_SETS, status=True, generation=True, unconditional=True),
    Rules(resources.STATEFUL_SETS, status=True, generation=True, unconditional=True),
    Rules(resources.SERVICE_CIDRS, status=True, generation=False, unconditional=True),
    Rules(resources.DEFINITIONS, True, True, unconditional=False, strategic=False),
    # Last: the path of a namespaced object looks like a subresource of its namespace.
    Rules(resources.NAMESPACES, status=True, generation=False, unconditional=True),
)


class Refusal(Exception):
    """A request that the server does not grant: an HTTP status and Kubernetes' reason.

    Without a reason it is what a proxy on the way would say: plain text.
    """

    def __init__(self, code: int, reason: str, message: str, retry_after: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.headers = {"Retry-After": retry_after} if retry_after else {}


@dataclass(frozen=True, slots=True)
class Event:
    """One change as watches tell it, with the object before."""

    version: int
    resource: Resource
    type: str
    object: Json
    before: Json | None


@dataclass(slots=True)
class Objects:
    """All objects of one cluster; one counter of versions for all, as etcd's revision is."""

    version: int = 1
    oldest: int = 1
    """Watches from before this version are refused: it was compacted."""
    history: list[Event] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)
    """`<verb> <plural>[/<subresource>] <name>` of each write that changed something."""
    _kept: dict[str, dict[Place, Json]] = field(default_factory=dict)
    _uids: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _listeners: list[Callable[[], None]] = field(default_factory=list)

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call `listener` after each change."""
        self._listeners.append(listener)

    def listed(self, rules: Rules) -> list[tuple[Place, Json]]:
        """Return the objects of a type, in the order of their names."""
        return sorted(self._of(rules).items())

    def get(self, rules: Rules, place: Place) -> Json:
        """Return a copy of one object."""
        found = self._of(rules).get(place)
        if found is None:
            message = f'{rules.resource.plural} "{place[1]}" not found'
            raise Refusal(404, "NotFound", message)
        return _copy(found)

    def create(self, rules: Rules, namespace: str, body: Json) -> Json:
        """Keep a new object and return it."""
        obj = _copy(body)
        meta = obj.setdefault("metadata", {})
        place = (namespace, _valid_name(meta))
        if place in self._of(rules):
            message = f'{rules.resource.plural} "{place[1]}" already exists'
            raise Refusal(409, "AlreadyExists", message)
        if rules.status:
            obj.pop("status", None)
        meta |= {"uid": f"uid-{next(self._uids):05}", "creationTimestamp": "2026-11-21T12:00:00Z"}
        if namespace:
            meta["namespace"] = namespace
        if rules.generation:
            meta["generation"] = 1
        return self._keep(rules, place, _completed(rules, obj), "create")

    def replace(
        self, rules: Rules, place: Place, body: Json, sub: str = "", verb: str = "replace"
    ) -> Json:
        """Put a new state in an object's place; a resourceVersion in it must be the last one."""
        old = self.get(rules, place)
        self._check_version(rules, old, body, verb)
        new = _replaced(rules, old, _copy(body), sub)
        if new == old:
            return old
        if rules.generation and _counted(new) != _counted(old):
            new["metadata"]["generation"] = old["metadata"]["generation"] + 1
        return self._keep(rules, place, new, verb, sub)

    def delete(self, rules: Rules, place: Place, preconditions: Json) -> Json:
        """Delete an object, or mark it when finalizers hold it."""
        old = self.get(rules, place)
        for key, wanted in preconditions.items():
            if old["metadata"].get(key) != wanted:
                message = f"the {key} in the precondition ({wanted}) is not that of the object"
                raise Refusal(409, "Conflict", message)
        if not old["metadata"].get("finalizers"):
            return self._drop(rules, place, old)
        if "deletionTimestamp" in old["metadata"]:
            return old
        old["metadata"]["deletionTimestamp"] = "2026-11-21T12:00:00Z"
        return self._keep(rules, place, old, "delete")

    def deny(self, rules: Rules, place: Place) -> None:
        """Tell watches that an object is gone which is there: what a restored etcd may do."""
        told = self.get(rules, place)
        self.version += 1
        told["metadata"]["resourceVersion"] = str(self.version)
        self._tell(rules, "DELETED", told, told)

    def compact(self) -> None:
        """Forget the past: watches from before now are refused."""
        self.oldest = self.version
        self.history.clear()

    # --- inside ---------------------------------------------------------------------------------

    def _of(self, rules: Rules) -> dict[Place, Json]:
        return self._kept.setdefault(rules.resource.plural, {})

    def _check_version(self, rules: Rules, old: Json, body: Json, verb: str) -> None:
        asked = (body.get("metadata") or {}).get("resourceVersion")
        if not asked and verb == "replace" and not rules.unconditional:
            message = "metadata.resourceVersion: must be specified for an update"
            raise Refusal(422, "Invalid", message)
        if asked and asked != old["metadata"]["resourceVersion"]:
            message = f'the object has been modified: "{old["metadata"]["name"]}"'
            raise Refusal(409, "Conflict", message)

    def _keep(self, rules: Rules, place: Place, obj: Json, verb: str, sub: str = "") -> Json:
        before = self._of(rules).get(place)
        meta = obj["metadata"]
        if "deletionTimestamp" in meta and not meta.get("finalizers"):
            return self._drop(rules, place, obj)
        self.version += 1
        meta["resourceVersion"] = str(self.version)
        self._of(rules)[place] = obj
        path = "/".join(filter(None, (rules.resource.plural, sub)))
        self.writes.append(f"{verb} {path} {place[1]}")
        self._tell(rules, "MODIFIED" if before else "ADDED", obj, before)
        return _copy(obj)

    def _drop(self, rules: Rules, place: Place, obj: Json) -> Json:
        before = self._of(rules).pop(place)
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        self.writes.append(f"drop {rules.resource.plural} {place[1]}")
        self._tell(rules, "DELETED", obj, before)
        return obj

    def _tell(self, rules: Rules, kind: str, obj: Json, before: Json | None) -> None:
        told = _copy(obj)
        self.history.append(Event(self.version, rules.resource, kind, told, before))
        for listener in self._listeners:
            listener()


def _copy(obj: Json) -> Json:
    copied: Json = json.loads(json.dumps(obj))  # what crosses the wire; quicker than deepcopy
    return copied


def _valid_name(meta: Json) -> str:
    name = str(meta.get("name", ""))
    if not NAME.fullmatch(name):
        raise Refusal(422, "Invalid", f"metadata.name: Invalid value: {name!r}")
    return name


def _replaced(rules: Rules, old: Json, new: Json, sub: str) -> Json:
    """Return what is kept of a new state: each endpoint writes only its own part.

    The status endpoint of built-in types takes metadata as well, that of custom ones does not.
    """
    if sub == "status":
        meta = _metadata(old, new) if rules.strategic else old["metadata"]
        kept = {**old, "metadata": meta, "status": new.get("status", {})}
        return _checked(rules, kept)
    kept = {**new, "metadata": _metadata(old, new)}
    if rules.status:
        kept.pop("status", None)
        if "status" in old:
            kept["status"] = old["status"]
    return _completed(rules, kept)


def _metadata(old: Json, new: Json) -> Json:
    """Return what is kept of new metadata."""
    meta: Json = {**old["metadata"], **(new.get("metadata") or {})}
    for key in ("uid", "creationTimestamp", "deletionTimestamp", "generation", "resourceVersion"):
        meta.pop(key, None)
        if key in old["metadata"]:
            meta[key] = old["metadata"][key]
    for key in ("finalizers", "labels", "annotations"):
        if not (new.get("metadata") or {}).get(key):
            meta.pop(key, None)
    return meta


def _counted(obj: Json) -> Json:
    return {key: value for key, value in obj.items() if key not in ("metadata", "status")}


def _completed(rules: Rules, obj: Json) -> Json:
    """Return a Service as the API server's defaults and its clearing of fields leave it."""
    obj.setdefault("apiVersion", rules.resource.api_version)
    obj.setdefault("kind", rules.resource.kind)
    if rules.resource is not resources.SERVICES:
        return obj
    spec = obj.setdefault("spec", {})
    spec.setdefault("type", "ClusterIP")
    spec.setdefault("ipFamilies", ["IPv4"])
    for port in spec.get("ports") or ():
        port.setdefault("protocol", "TCP")
    status = obj.setdefault("status", {})
    status.setdefault("loadBalancer", {})
    if spec["type"] != LOAD_BALANCER:
        spec.pop("loadBalancerClass", None)
        status["loadBalancer"] = {}
    return obj


def _checked(rules: Rules, obj: Json) -> Json:
    """Return the object, or refuse an ingress on a Service that is no load balancer."""
    if rules.resource is not resources.SERVICES:
        return obj
    obj["status"].setdefault("loadBalancer", {})
    shown = (obj["status"]["loadBalancer"] or {}).get("ingress")
    if shown and obj["spec"]["type"] != LOAD_BALANCER:
        message = "status.loadBalancer.ingress: may only be used when `spec.type` is LoadBalancer"
        raise Refusal(422, "Invalid", message)
    return obj
