"""Short ways to say frontends, decisions and endpoints in tests of the data plane."""

import ipaddress
from collections.abc import Sequence
from typing import Any

from lbctl.model.virtual_service import (
    Listener,
    Phase,
    Policy,
    ServiceRef,
    Vip,
    VipRole,
    VirtualService,
    render_virtual_service,
)
from lbctl.translate.failing import FailingMember, render_failing
from lbctl_dataplane.backends.choice import Choice
from lbctl_dataplane.rules.frontend import Frontend, Member, Place

ip = ipaddress.ip_address
CHOSEN = Choice("ovs", "setting agent.backend")


def place(vip: str = "198.18.0.1", protocol: str = "TCP", port: int = 80) -> Place:
    return Place(ip(vip), protocol, port)


def members(*addresses: str, port: int = 8080) -> tuple[Member, ...]:
    return tuple(sorted(Member(ip(address), port) for address in addresses))


def frontend(at: Place, *addresses: str, **fields: Any) -> Frontend:
    return Frontend("default.kuard", at, members(*addresses), **fields)


def service(
    name: str = "kuard",
    vips: Sequence[str] = ("198.18.0.1", "2001:2::1"),
    phase: Phase = Phase.SERVING,
    **fields: Any,
) -> VirtualService:
    fields.setdefault("policy", Policy())
    return VirtualService(
        service=ServiceRef("default", name, f"uid-{name}"),
        name=f"lab--default-{name}",
        phase=phase,
        vips=tuple(
            Vip(ip(vip), fields.pop("role", VipRole.CURRENT), f"ip-{vip}", f"uid-{vip}")
            for vip in vips
        ),
        listeners=fields.pop("listeners", (Listener("", "TCP", 80, "pool"),)),
        **fields,
    )


def service_object(
    decision: VirtualService, version: int, generation: int = 1, **status: Any
) -> dict[str, Any]:
    return {
        "metadata": {
            "name": decision.key,
            "resourceVersion": str(version),
            "generation": generation,
        },
        "spec": render_virtual_service(decision),
        "status": status,
    }


def slice_object(
    name: str,
    version: int,
    *endpoints: tuple[str, str],
    service_name: str = "kuard",
    port: int = 8080,
    conditions: dict[str, bool] | None = None,
) -> dict[str, Any]:
    """Endpoints are (address, node)."""
    return {
        "metadata": {
            "name": name,
            "namespace": "default",
            "resourceVersion": str(version),
            "labels": {"kubernetes.io/service-name": service_name},
        },
        "addressType": "IPv4",
        "endpoints": [
            {"addresses": [address], "nodeName": node, "conditions": conditions or {"ready": True}}
            for address, node in endpoints
        ],
        "ports": [{"name": "", "protocol": "TCP", "port": port}],
    }


def serving_node(
    name: str,
    legs: Sequence[tuple[str, str]],
    decisions: int = 0,
    slices: int = 0,
    excluded: str = "",
    failing: Sequence[str] = (),
) -> dict[str, Any]:
    """Legs are (address, MAC); members of default.kuard fail by their addresses."""
    return {
        "metadata": {"name": name, "resourceVersion": "1"},
        "spec": {
            "role": "node",
            "legs": [
                {"family": f"IPv{ip(address).version}", "address": address, "mac": mac}
                for address, mac in legs
            ],
            "excluded": excluded,
        },
        "status": {
            "decisions": str(decisions),
            "slices": str(slices),
            "failing": [
                render_failing(FailingMember("default.kuard", ip(address), "TCP", 8080, "TimedOut"))
                for address in failing
            ],
        },
    }
