"""EndpointSlices of one Service become endpoints, once each, and the rule who is usable. Pure.

Source: Kubernetes API `discovery.k8s.io/v1` and KEP-1669 (terminating endpoints).
"""

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lbctl.model.virtual_service import Address, Listener

SERVICE_LABEL = "kubernetes.io/service-name"


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

    def port_for(self, listener: Listener) -> int | None:
        """Return the number behind a listener, None when the endpoint has no such port."""
        for name, protocol, number in self.ports:
            if name == listener.name and protocol == listener.protocol:
                return number
        return None


def parse_endpoints(slices: Iterable[Mapping[str, Any]]) -> tuple[Endpoint, ...]:
    """Return the endpoints of all slices of one Service, sorted by address, each once.

    An address may stand in two slices while the slice controller moves it: the better state
    counts (ready before serving before not), and its ports are joined.
    """
    found: dict[Address, Endpoint] = {}
    for obj in slices:
        if obj.get("addressType") == "FQDN":
            continue
        ports = _ports(obj)
        for entry in obj.get("endpoints") or ():
            endpoint = _endpoint(entry, ports)
            known = found.get(endpoint.address)
            found[endpoint.address] = _join(known, endpoint) if known else endpoint
    return tuple(sorted(found.values(), key=lambda endpoint: _order(endpoint.address)))


def usable(endpoints: Iterable[Endpoint]) -> tuple[Endpoint, ...]:
    """Return who gets new connections: the ready, else the serving and terminating (KEP-1669)."""
    known = tuple(endpoints)
    ready = tuple(endpoint for endpoint in known if endpoint.ready)
    return ready or tuple(
        endpoint for endpoint in known if endpoint.serving and endpoint.terminating
    )


def _order(address: Address) -> tuple[int, int]:
    return (address.version, int(address))


def _ports(obj: Mapping[str, Any]) -> tuple[tuple[str, str, int], ...]:
    return tuple(
        sorted(
            (port.get("name") or "", port.get("protocol") or "TCP", int(port["port"]))
            for port in obj.get("ports") or ()
            if port.get("port") is not None
        )
    )


def _endpoint(entry: Mapping[str, Any], ports: tuple[tuple[str, str, int], ...]) -> Endpoint:
    conditions = entry.get("conditions") or {}
    ready = conditions.get("ready")
    serving = conditions.get("serving")
    return Endpoint(
        # The first address is the endpoint; the API keeps further ones for history's sake.
        address=ipaddress.ip_address(entry["addresses"][0]),
        node=entry.get("nodeName") or "",
        ready=ready is not False,
        serving=serving is not False if serving is not None else ready is not False,
        terminating=bool(conditions.get("terminating")),
        ports=ports,
    )


def _join(one: Endpoint, other: Endpoint) -> Endpoint:
    better, worse = sorted((one, other), key=_badness)
    ports = tuple(sorted({*better.ports, *worse.ports}))
    return Endpoint(
        better.address,
        better.node or worse.node,
        better.ready,
        better.serving,
        better.terminating,
        ports,
    )


def _badness(endpoint: Endpoint) -> tuple[bool, bool, bool]:
    return (not endpoint.ready, not endpoint.serving, endpoint.terminating)
