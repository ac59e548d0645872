"""EndpointSlices of one Service become endpoints, once each, and the rule who is usable. Pure.

Source: Kubernetes API `discovery.k8s.io/v1`, KEP-1672 (conditions), KEP-1669 (terminating
endpoints), kube-proxy's `CategorizeEndpoints`. docs/reference/endpoints.md is the table.
"""

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lbctl.model.policy import MemberWeight, weight_of
from lbctl.model.virtual_service import Address, Listener

SERVICE_LABEL = "kubernetes.io/service-name"


@dataclass(frozen=True, slots=True)
class Remote:
    """How an endpoint is reached on whose node no agent is; see `lbctl.translate.remote`."""

    node: str
    """Where it runs; empty: it says no node, and is reached at its own address."""
    at: Address | None = None
    """Where that node takes connections to its node ports; None: not known here, or nowhere."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address behind a Service with its state and ports."""

    address: Address
    node: str
    """Node name; empty for hand-made endpoints without one."""
    ready: bool
    serving: bool
    terminating: bool
    ports: tuple[tuple[str, str, int], ...]
    """(port name, protocol, number), sorted."""
    remote: Remote | None = None
    """Set: a relay serves it; `node` is then that one, or its own where all of them do."""
    share: int = 1
    """What its weight is multiplied by, beside endpoints that several nodes serve."""

    @property
    def home(self) -> str:
        """Return the node that it runs on, whoever serves it; empty: it says none."""
        return self.node if self.remote is None else self.remote.node

    def port_for(self, listener: Listener) -> int | None:
        """Return its number behind a listener; None when it has no such port, or no way to it."""
        if self.remote is not None and self.remote.node and not listener.node_port:
            return None
        for name, protocol, number in self.ports:
            if name == listener.name and protocol == listener.protocol:
                return number
        return None


def parse_endpoints(slices: Iterable[Mapping[str, Any]]) -> tuple[Endpoint, ...]:
    """Return the endpoints of all slices of one Service, sorted by address, each once.

    An address may stand in two slices while the slice controller moves it, or when a pod got the
    address of one that is still terminating: the better state counts. Where two slices give a
    port two numbers (a changed targetPort), the newer slice counts. Slices of names (FQDN) hold no
    addresses and are left out; `holds_names` tells of them.
    """
    found: dict[Address, Endpoint] = {}
    for obj in sorted(slices, key=_age):
        if obj.get("addressType") == "FQDN":
            continue
        ports = _ports(obj)
        for entry in obj.get("endpoints") or ():
            endpoint = _endpoint(entry, ports)
            known = found.get(endpoint.address) if endpoint is not None else None
            if endpoint is not None:
                found[endpoint.address] = _join(known, endpoint) if known else endpoint
    return tuple(sorted(found.values(), key=lambda endpoint: _order(endpoint.address)))


def holds_names(slices: Iterable[Mapping[str, Any]]) -> bool:
    """Tell whether any slice lists names, which nothing can be sent to."""
    return any(obj.get("addressType") == "FQDN" and obj.get("endpoints") for obj in slices)


def usable(
    endpoints: Iterable[Endpoint], excluded: frozenset[str] = frozenset()
) -> tuple[Endpoint, ...]:
    """Return who of all gets new connections: what the fabric and the controller go by.

    Nodes that are `excluded` get none while others have members in the same state.
    """
    return next(preferences(endpoints, excluded), ())


def weighed(endpoints: Iterable[Endpoint], weights: Sequence[MemberWeight]) -> tuple[Endpoint, ...]:
    """Return the endpoints that a policy's weights leave new connections to."""
    return tuple(
        endpoint
        for endpoint in endpoints
        if not weights or weight_of(endpoint.address, endpoint.node, weights)
    )


def usable_on(endpoints: Iterable[Endpoint], node: str) -> tuple[Endpoint, ...]:
    """Return who of one node's endpoints gets the new connections that reach this node.

    Its own terminating ones serve when it has no ready one, although others elsewhere are ready:
    the connection is here, and nobody takes it any further (KEP-1669, "gracefully handle any new
    connections that arrive before the load balancer is able to remove the node").
    """
    return usable(endpoint for endpoint in endpoints if endpoint.node == node)


def preferences(
    endpoints: Iterable[Endpoint], excluded: frozenset[str] = frozenset()
) -> Iterator[tuple[Endpoint, ...]]:
    """Yield groups of endpoints, each not empty: the first one gets the new connections.

    The next group is for whoever cannot use the one before, as a router whose nodes are not
    ready yet. Neither traffic policy nor hints count: nodes hand nothing to other nodes, so that
    `Cluster` and `Local` choose alike, and who connects from outside is in no zone.
    """
    placed = [end for end in endpoints if end.node or end.remote is not None]
    ready = [endpoint for endpoint in placed if endpoint.ready]
    leaving = [end for end in placed if not end.ready and end.serving and end.terminating]
    for group in (ready, leaving):
        for out in (False, True):
            chosen = tuple(end for end in group if (end.node in excluded) is out)
            if chosen:
                yield chosen


def _age(obj: Mapping[str, Any]) -> tuple[int, str]:
    """Return a sort key, older slices first; two of the same age do not change their order."""
    meta = obj["metadata"]
    return (int(meta.get("resourceVersion") or 0), meta.get("name") or "")


def _order(address: Address) -> tuple[int, int]:
    return (address.version, int(address))


def _ports(obj: Mapping[str, Any]) -> tuple[tuple[str, str, int], ...]:
    return _each_once(
        (port.get("name") or "", port.get("protocol") or "TCP", int(port["port"]))
        for port in obj.get("ports") or ()
        if port.get("port")
    )


def _each_once(ports: Iterable[tuple[str, str, int]]) -> tuple[tuple[str, str, int], ...]:
    """Return ports sorted, one number for each name and protocol: the last one."""
    numbers = {port[:2]: port[2] for port in ports}
    return tuple(sorted((*key, number) for key, number in numbers.items()))


def _endpoint(entry: Mapping[str, Any], ports: tuple[tuple[str, str, int], ...]) -> Endpoint | None:
    conditions = entry.get("conditions") or {}
    try:
        # The first address is the endpoint; the API keeps further ones for history's sake.
        address = ipaddress.ip_address(entry["addresses"][0])
    except (ValueError, IndexError):
        return None  # one that a careless hand made must not cost the others
    return Endpoint(
        address=address,
        node=entry.get("nodeName") or "",
        # Not said is true, true, false: the API's own words.
        ready=conditions.get("ready") is not False,
        serving=conditions.get("serving") is not False,
        terminating=bool(conditions.get("terminating")),
        ports=ports,
    )


def _join(older: Endpoint, newer: Endpoint) -> Endpoint:
    better, worse = sorted((newer, older), key=_badness)
    return Endpoint(
        better.address,
        better.node or worse.node,
        better.ready,
        better.serving,
        better.terminating,
        _each_once((*older.ports, *newer.ports)),
    )


def _badness(endpoint: Endpoint) -> tuple[bool, bool, bool]:
    # Of two pods with one address the terminating one is the former.
    return (not endpoint.ready, endpoint.terminating, not endpoint.serving)
