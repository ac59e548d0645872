"""Which health check node ports a node answers, and what: the contract of kube-proxy's. Pure.

A load balancer in front of the nodes asks port `spec.healthCheckNodePort` of a Service with
externalTrafficPolicy Local whether a node has ready endpoints of it (KEP-27; kube-proxy's
pkg/proxy/healthcheck/service_health.go).
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lbctl.model.virtual_service import Phase, VirtualService
from lbctl_dataplane.rules.frontend import Endpoints

OK, UNAVAILABLE = 200, 503
WEIGHT = "X-Load-Balancing-Endpoint-Weight"
"""Header with the number of ready endpoints here, by which a balancer may weigh nodes."""


@dataclass(frozen=True, slots=True)
class LocalEndpoints:
    """The ready endpoints of one Service on one node."""

    namespace: str
    service: str
    count: int


def wanted(
    services: Iterable[VirtualService], endpoints: Endpoints, node: str
) -> Mapping[int, LocalEndpoints]:
    """Return what to answer for, by port; the API server gives no port to two Services."""
    asked = (service for service in services if service.policy.health_check_node_port)
    return {
        service.policy.health_check_node_port: _local(service, endpoints, node)
        for service in asked
        if service.phase is not Phase.WITHDRAWN
    }


def _local(service: VirtualService, endpoints: Endpoints, node: str) -> LocalEndpoints:
    found = endpoints.get(service.key, ()) if service.policy.enabled else ()
    # A dual-stack pod is two endpoints; kube-proxy counts addresses of each family by itself.
    versions = [end.address.version for end in found if end.node == node and end.ready]
    count = max((versions.count(version) for version in (4, 6)), default=0)
    return LocalEndpoints(service.service.namespace, service.service.name, count)


def answer(local: LocalEndpoints, *, healthy: bool) -> tuple[int, bytes]:
    """Return status and body; `healthy` tells whether the node forwards as it should.

    >>> answer(LocalEndpoints("default", "kuard", 0), healthy=True)[0]
    503
    """
    body = {
        "service": {"namespace": local.namespace, "name": local.service},
        "localEndpoints": local.count,
        "serviceProxyHealthy": healthy,
    }
    return OK if local.count and healthy else UNAVAILABLE, json.dumps(body, indent=1).encode()
