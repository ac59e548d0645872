"""The settings of the agent on one node or router. Pure."""

import ipaddress
from typing import Literal

from pydantic import Field, field_validator

from lbctl.settings_parts import Section


class AgentSettings(Section):
    """The agent on one node or router. Needs a restart."""

    backend: Literal["ovs", "nft", "ipvs", "announce-only", "auto"] = "ovs"
    """What moves packets: `nft`, `ipvs` for routed pods; `announce-only`: kube-proxy; `auto`."""
    bridge: str = "br-int"
    """The OVS bridge that pods are ports of."""
    service_interface: str = "svc0"
    """The port or interface towards the fabric; traffic to VIPs enters here."""
    legs: tuple[str, ...] = ()
    """`ADDRESS[/LENGTH][ via GATEWAY]` of it, ≤ 1 per family; empty: the Node's `lbctl.io/legs`."""
    peers: Literal["auto", "always", "never"] = "auto"
    """Forward to other nodes' members: `always` by weight (plain ECMP); `auto` without own ones."""
    remote_members: Literal["never", "nodePorts"] = "never"
    """Members on nodes without an agent: `nodePorts`: served by these, with this node's address."""
    answer_ping: bool = True
    """VIPs answer ICMP echo requests while they have members; else nobody does."""
    health_check_node_port: Literal["auto", "always", "never"] = "auto"
    """Answer `spec.healthCheckNodePort` of Services; `auto`: where kube-proxy does not run."""
    state_dir: str = "/var/lib/lbctl"
    """Where the last state is kept for a restart."""
    liveness_seconds: int = Field(default=10, ge=2, le=300)
    """Time between two renewals of the agent's Lease."""

    @field_validator("legs")
    @classmethod
    def _each_parses(cls, legs: tuple[str, ...]) -> tuple[str, ...]:
        for leg in legs:
            own, *gateway = leg.split(" via ", 1)
            ipaddress.ip_interface(own)
            for address in gateway:
                ipaddress.ip_address(address)
        return legs
