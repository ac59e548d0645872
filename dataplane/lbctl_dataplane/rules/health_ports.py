"""Which health check node ports a node answers, and what: the contract of kube-proxy's. Pure.

A load balancer in front of the nodes asks port `spec.healthCheckNodePort` of a Service with
externalTrafficPolicy Local whether a node has ready endpoints of it (KEP-27; kube-proxy's
pkg/proxy/healthcheck/service_health.go).
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lbctl.model.virtual_service import Phase, VirtualService
from lbctl.translate.endpoints import Endpoint
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


class Wanted:
    """What to answer for on one node, by views that follow each other.

    A view costs what asks for a port, and reads those endpoints that changed.
    """

    def __init__(self, node: str) -> None:
        self._node = node
        self._given: Sequence[VirtualService] = ()
        self._asking: tuple[VirtualService, ...] = ()
        self._made: dict[str, _Made] = {}

    def of(
        self, services: Sequence[VirtualService], endpoints: Endpoints
    ) -> Mapping[int, LocalEndpoints]:
        """Return it by port; the API server gives no port to two Services."""
        if services is not self._given:
            self._given, self._asking = services, tuple(filter(_asks, services))
        self._made = {
            service.key: self._one(service, endpoints.get(service.key, ()))
            for service in self._asking
        }
        return {
            made.service.policy.health_check_node_port: made.local for made in self._made.values()
        }

    def _one(self, service: VirtualService, found: tuple[Endpoint, ...]) -> "_Made":
        known = self._made.get(service.key)
        if known is not None and known.service is service and known.found is found:
            return known
        return _Made(service, found, _local(service, found, self._node))


@dataclass(frozen=True, slots=True)
class _Made:
    service: VirtualService
    found: tuple[Endpoint, ...]
    local: LocalEndpoints


def _asks(service: VirtualService) -> bool:
    return bool(service.policy.health_check_node_port) and service.phase is not Phase.WITHDRAWN


def _local(service: VirtualService, found: Iterable[Endpoint], node: str) -> LocalEndpoints:
    counted = found if service.policy.enabled else ()
    # A dual-stack pod is two endpoints; kube-proxy counts addresses of each family by itself.
    versions = [end.address.version for end in counted if end.node == node and end.ready]
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
