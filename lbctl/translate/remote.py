"""Who serves endpoints on whose node no agent is: relays, which reach them by node ports. Pure.

An endpoint is *remote* where its node has no ServingNode (whether that agent lives does not count),
or where it says no node at all. Every relay serves every remote endpoint, so that a change of
relays moves no members; without any relay nothing is remote, and nobody serves them.
"""

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from lbctl.model.virtual_service import Address
from lbctl.translate.endpoints import Endpoint, Remote

Hosts = Mapping[tuple[str, int], Address]
"""Where Nodes are reached: by name and IP version."""


@dataclass(frozen=True, slots=True)
class Crew:
    """The nodes that serve."""

    agents: frozenset[str] = frozenset()
    """Those that have a ServingNode."""
    relays: tuple[str, ...] = ()
    """Those of them that serve remote endpoints as well; sorted."""
    sharing: int = 0
    """How many relays get new connections: those that are not excluded, or else all."""

    def serves(self, endpoint: Endpoint) -> bool:
        """Tell whether relays serve an endpoint."""
        return bool(self.relays) and endpoint.node not in self.agents


NOBODY = Crew()


class Node(Protocol):
    """What a ServingNode of role node says, in whichever form."""

    @property
    def relay(self) -> bool:
        """Tell whether it serves remote endpoints."""
        ...

    @property
    def excluded(self) -> object:
        """Return what is true where it is to get no new connections."""
        ...


def crew_of(nodes: Mapping[str, Node]) -> Crew:
    """Return who serves, from all ServingNodes of role node by name."""
    relays = sorted(name for name, node in nodes.items() if node.relay)
    open_ones = [name for name in relays if not nodes[name].excluded]
    return Crew(frozenset(nodes), tuple(relays), len(open_ones) or len(relays))


def marked(endpoints: tuple[Endpoint, ...], crew: Crew) -> tuple[Endpoint, ...]:
    """Return each endpoint once, and the remote ones as such; they keep their own node."""
    if not any(map(crew.serves, endpoints)):
        return endpoints
    return tuple(
        replace(end, remote=Remote(end.node)) if crew.serves(end) else end for end in endpoints
    )


def spread(
    endpoints: tuple[Endpoint, ...], crew: Crew, hosts: Hosts | None = None
) -> tuple[Endpoint, ...]:
    """Return endpoints by who serves them: a remote one once for each relay.

    All weigh alike in the end: one that is served on its own node alone counts as often as there
    are relays that get new connections. `hosts` say where nodes are reached; who only weighs
    does without.
    """
    if not any(map(crew.serves, endpoints)):
        return endpoints
    return tuple(part for end in endpoints for part in _parts(end, crew, hosts or {}))


def _parts(end: Endpoint, crew: Crew, hosts: Hosts) -> Iterable[Endpoint]:
    if not crew.serves(end):
        return (replace(end, share=crew.sharing),)
    way = Remote(end.node, hosts.get((end.node, end.address.version)))
    return (replace(end, node=relay, remote=way) for relay in crew.relays)


def addresses(node: Mapping[str, Any]) -> dict[int, Address]:
    """Return where a Node is reached by other nodes, by IP version: its first InternalIP of each.

    What does not parse is left out.
    """
    found: dict[int, Address] = {}
    for entry in (node.get("status") or {}).get("addresses") or ():
        if entry.get("type") == "InternalIP":
            try:
                address = ipaddress.ip_address(entry.get("address") or "")
            except ValueError:
                continue
            found.setdefault(address.version, address)
    return found


def versions(known: Mapping[str, int], crew: Crew) -> Mapping[str, int]:
    """Return by node the newest resourceVersion of a slice with endpoints that it serves.

    `known` has the same by the node that the endpoints say.
    """
    remote = [version for node, version in known.items() if node not in crew.agents]
    if not crew.relays or not remote:
        return known
    newest = max(remote)
    served = {name: max(newest, known.get(name, 0)) for name in crew.relays}
    return {**known, **served}
