"""ServingNodes become what the leader needs to know of agents: who acknowledged what. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lbctl.translate.failing import FailingMember, parse_failing

REMOTE_BY_NODE_PORTS = "nodePorts"
"""What a ServingNode's `spec.remoteMembers` says where the node serves them."""


@dataclass(frozen=True, slots=True)
class AgentState:
    """One agent: how far it has programmed, and what it could not."""

    node: str
    role: str
    """`node` or `router`."""
    live: bool
    decisions: int
    """Programmed up to this resourceVersion of L4VirtualServices."""
    slices: int
    """The same of EndpointSlices."""
    exceptions: Mapping[str, str]
    """Keys that could not be programmed → `<reason>: <message>`."""
    backend: str = ""
    """What moves its packets; empty: it has not said, or is a router."""
    excluded: str = ""
    """Why the node is to get no new connections while others can; empty: it may get them."""
    failing: tuple[FailingMember, ...] = ()
    """Members on the node that fail their health monitor."""
    relay: bool = False
    """It serves endpoints on whose node no agent is; see `lbctl.translate.remote`."""

    def has(self, key: str, decision: int, slices: int) -> bool:
        """Tell whether a decision and the slices it stands on are programmed."""
        return self.decisions >= decision and self.slices >= slices and key not in self.exceptions


def is_relay(spec: Mapping[str, Any]) -> bool:
    """Tell by the spec of a ServingNode whether the node serves remote members."""
    return spec.get("remoteMembers") == REMOTE_BY_NODE_PORTS


def parse_agent(obj: Mapping[str, Any], *, live: bool) -> AgentState:
    """Return the state in a ServingNode; `live` is judged from the agent's Lease."""
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    return AgentState(
        node=obj["metadata"]["name"],
        role=spec.get("role", "node"),
        live=live,
        decisions=int(status.get("decisions") or 0),
        slices=int(status.get("slices") or 0),
        exceptions={
            entry["key"]: f"{entry['reason']}: {entry.get('message', '')}".rstrip(": ")
            for entry in status.get("exceptions") or ()
        },
        backend=spec.get("backend") or "",
        excluded=spec.get("excluded") or "",
        failing=parse_failing(status),
        relay=is_relay(spec),
    )
