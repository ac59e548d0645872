"""Members that fail their health monitor, as ServingNodes tell; what that makes of endpoints. Pure.

docs/reference/health-monitors.md tells the rule: who fails counts as not ready, unless all do.
"""

import ipaddress
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, replace
from typing import Any

from lbctl.model.virtual_service import Address
from lbctl.translate.endpoints import Endpoint

Failing = Set[tuple[str, Address, str, int]]
"""Node, address, protocol and port of members of one virtual service."""
_PortOf = tuple[Address, tuple[str, str, int]]


@dataclass(frozen=True, slots=True)
class FailingMember:
    """One member that fails, and for whom."""

    key: str
    """Of the virtual service, `<namespace>.<service>`."""
    address: Address
    protocol: str
    port: int
    reason: str

    def on(self, node: str) -> tuple[str, Address, str, int]:
        """Return which member of the virtual service it is, by the word of its node."""
        return (node, self.address, self.protocol, self.port)

    def order(self) -> tuple[str, int, int, str, int]:
        """Return a sort key; addresses of two families do not compare by themselves."""
        return (self.key, self.address.version, int(self.address), self.protocol, self.port)


def render_failing(member: FailingMember) -> dict[str, Any]:
    """Return an entry of `status.failing`; `parse_failing` is the inverse."""
    return {
        "key": member.key,
        "address": str(member.address),
        "protocol": member.protocol,
        "port": member.port,
        "reason": member.reason,
    }


def parse_failing(status: Mapping[str, Any]) -> tuple[FailingMember, ...]:
    """Return who fails by the status of a ServingNode; what does not parse is left out."""
    found = (_parse(entry) for entry in status.get("failing") or ())
    return tuple(member for member in found if member is not None)


def _parse(entry: Mapping[str, Any]) -> FailingMember | None:
    try:
        address = ipaddress.ip_address(entry["address"])
        return FailingMember(
            entry["key"], address, entry["protocol"], entry["port"], entry["reason"]
        )
    except (KeyError, ValueError):
        return None  # one that says nothing must not cost the others


def by_key(told: Iterable[tuple[str, FailingMember]]) -> dict[str, Failing]:
    """Return who fails by the key of the virtual service, from nodes and what each told."""
    found: dict[str, set[tuple[str, Address, str, int]]] = {}
    for node, member in told:
        found.setdefault(member.key, set()).add(member.on(node))
    return {key: frozenset(members) for key, members in found.items()}


def is_failing(endpoint: Endpoint, port: tuple[str, str, int], failing: Failing) -> bool:
    """Tell whether an endpoint's port fails by the word of its own node: others have none."""
    return (endpoint.node, endpoint.address, *port[1:]) in failing


def without_failing(endpoints: tuple[Endpoint, ...], failing: Failing) -> tuple[Endpoint, ...]:
    """Return endpoints of which those that fail get no new connections.

    Each port and family is judged by itself; where every ready endpoint of one fails, readiness
    wins and nothing changes. An endpoint that fails on some of its ports becomes two, one for
    each kind of port.
    """
    out = _out(endpoints, failing)
    if not out:
        return endpoints
    return tuple(part for endpoint in endpoints for part in _parts(endpoint, out))


def _out(endpoints: tuple[Endpoint, ...], failing: Failing) -> Set[_PortOf]:
    """Return whose ports fail while another endpoint's do not."""
    pools: dict[tuple[int, str, str], list[tuple[_PortOf, bool]]] = {}
    for endpoint in endpoints:
        if endpoint.ready and endpoint.node:
            for port in endpoint.ports:
                pool = pools.setdefault((endpoint.address.version, *port[:2]), [])
                pool.append(((endpoint.address, port), is_failing(endpoint, port, failing)))
    return {
        one
        for pool in pools.values()
        if not all(fails for _, fails in pool)
        for one, fails in pool
        if fails
    }


def _parts(endpoint: Endpoint, out: Set[_PortOf]) -> tuple[Endpoint, ...]:
    """Return an endpoint by what becomes of its ports: nothing, no new flows, none at all."""
    sorted_out = [port for port in endpoint.ports if (endpoint.address, port) in out]
    if not sorted_out or not endpoint.ready:
        return (endpoint,)
    keeps = tuple(port for port in endpoint.ports if port not in sorted_out)
    # TCP keeps its connections; of UDP nothing is kept, as nobody would ever end it.
    lingers = tuple(port for port in sorted_out if port[1] != "UDP")
    ended = tuple(port for port in sorted_out if port[1] == "UDP")
    parts = (
        replace(endpoint, ports=keeps),
        replace(endpoint, ports=lingers, ready=False, serving=True),
        replace(endpoint, ports=ended, ready=False, serving=False),
    )
    return tuple(part for part in parts if part.ports)
