"""The records of a new virtual service in the controller's log, with AKO's keys. Pure.

Who reads AKO's logs finds the same three lines in the same order: the Service's type, the virtual
service as one JSON value, each pool as one.
"""

import json
from dataclasses import dataclass

from lbctl.model.virtual_service import Listener, VirtualService


@dataclass(frozen=True, slots=True)
class Context:
    """What the fabric calls our surroundings, from `ControllerSettings`."""

    tenant: str
    service_engine_group: str = ""
    vrf: str = ""


def log_key(namespace: str, service: str) -> str:
    """Return the key that log lines of a Service carry."""
    return f"L4LBService/{namespace}/{service}"


def birth_records(decision: VirtualService, context: Context) -> tuple[str, ...]:
    """Return the messages about a virtual service that is about to be built."""
    return (
        "service is of type LoadBalancer, building a dedicated virtual service",
        f"virtual service: {json.dumps(_virtual_service(decision, context))}",
        *(f"pool: {json.dumps(_pool(entry, context.tenant))}" for entry in decision.listeners),
    )


def _virtual_service(decision: VirtualService, context: Context) -> dict[str, object]:
    hosts = [name.host for name in decision.names if not name.taken_by]
    return {
        "Name": decision.name,
        "Tenant": context.tenant,
        "ServiceEngineGroup": context.service_engine_group,
        "ApplicationProfile": "System-L4-Application",
        "NetworkProfile": _network_profile(decision),
        "PortProto": [_port(listener) for listener in decision.listeners],
        "VSVIPRefs": [
            {
                "Name": decision.name,
                "FQDNs": hosts,
                "IPAddresses": [str(vip.address) for vip in decision.vips],
                "VrfContext": context.vrf,
                "EastWest": False,
            }
        ],
        "ServiceMetadata": {
            "namespace": decision.service.namespace,
            "svc_name": decision.service.name,
            "hostnames": hosts,
            "crd_status": {},
            "pool_ratio": 0,
        },
        "SharedVS": False,
        "PoolRefs": None,
        "L4PolicyRefs": None,
    }


def _network_profile(decision: VirtualService) -> str:
    # lbctl rewrites addresses and keeps the client's: AKO calls that fast path, not proxy.
    protocols = {listener.protocol for listener in decision.listeners}
    return "System-UDP-Fast-Path" if protocols == {"UDP"} else "System-TCP-Fast-Path"


def _port(listener: Listener) -> dict[str, object]:
    return {
        "Port": listener.port,
        "Protocol": listener.protocol,
        "Name": listener.name,
        "EnableSSL": False,
    }


def _pool(listener: Listener, tenant: str) -> dict[str, object]:
    return {
        "Name": listener.pool,
        "Port": listener.port,
        "Protocol": listener.protocol,
        "Tenant": tenant,
    }
