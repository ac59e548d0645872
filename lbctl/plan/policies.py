"""Which rules hold for the traffic of a Service: its policy, annotations and fields. Pure.

What the L4Policy says counts before what an annotation says, and that before the Service's fields.
Only source ranges add up: who may connect has to be let in by the policy and by the Service.
"""

import contextlib
import dataclasses
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from lbctl.model.policy import Aspect, DeclaredPolicy, TrafficRules, lacking
from lbctl.model.reasons import Reason, Refused
from lbctl.model.virtual_service import Policy
from lbctl.translate.service import ServiceFacts
from lbctl.translate.serving_nodes import AgentState

NOBODY = "0.0.0.0/32"
"""A range that no client is in: nothing comes from the unspecified address (RFC 1122 §3.2.1.3)."""
USUAL_TIMEOUT_S = 10_800
"""Of a Service that has affinity and says no timeout (Kubernetes `v1.ClientIPConfig`)."""
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Ruling:
    """What is asked of one Service's traffic, and by whom."""

    rules: TrafficRules | Refused
    """Policy and annotations together; a refusal when one of them can't be followed."""
    governing: DeclaredPolicy | None = None
    """The L4Policy that counts."""


def governors(policies: Iterable[DeclaredPolicy]) -> dict[str, DeclaredPolicy]:
    """Return the policy that counts for each Service `<namespace>/<name>`: the oldest."""
    found: dict[str, DeclaredPolicy] = {}
    for policy in sorted(policies, key=lambda policy: policy.age):
        for target in policy.targets:
            found.setdefault(f"{policy.namespace}/{target}", policy)
    return found


def ruling(service: ServiceFacts, policies: Iterable[DeclaredPolicy]) -> Ruling:
    """Return what holds for a Service, of all these policies, in whatever order."""
    found = governors(policies).get(f"{service.namespace}/{service.name}")
    if found is not None and found.counting is None and isinstance(found.demand, Refused):
        detail = f"L4Policy {found.name}: {found.demand.detail}"
        return Ruling(Refused(Reason.POLICY_REFUSED, detail), found)
    if found is None or found.counting is None or isinstance(service.rules, Refused):
        return Ruling(service.rules, found)
    return Ruling(found.counting.rules.over(service.rules), found)


def resolve(service: ServiceFacts, policies: Iterable[DeclaredPolicy]) -> Policy | Refused:
    """Return the one policy of a Service's traffic, or why there is none."""
    rules = ruling(service, policies).rules
    return rules if isinstance(rules, Refused) else apply(rules, service.policy)


def apply(rules: TrafficRules, fields: Policy) -> Policy:
    """Return what the Service's fields say, with what rules ask in their place."""
    ranges = narrowed(fields.source_ranges, rules.source_ranges)
    found = dataclasses.replace(
        fields,
        source_ranges=ranges,
        enabled=rules.enabled,
        algorithm=rules.algorithm or fields.algorithm,
        limits=rules.limits or fields.limits,
        drain_timeout_s=rules.drain_timeout_s,
        monitor=rules.monitor,
        weights=rules.weights,
    )
    keeps = rules.persistence
    if keeps is None:
        return found
    if not keeps.by_client:
        return dataclasses.replace(found, session_affinity="None", session_affinity_timeout_s=0)
    return dataclasses.replace(
        found,
        session_affinity="ClientIP",
        session_affinity_timeout_s=keeps.timeout_s
        or fields.session_affinity_timeout_s
        or USUAL_TIMEOUT_S,
    )


def narrowed(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    """Return the ranges of who is in both; no range lets everybody in, one that is none nobody.

    >>> narrowed(("10.0.0.0/8", "192.0.2.0/24"), ("10.1.0.0/16", "203.0.113.0/24"))
    ('10.1.0.0/16',)
    """
    if not one or not other:
        return one or other
    theirs = _networks(other)
    both = (_common(mine, entry) for mine in _networks(one) for entry in theirs)
    return tuple(dict.fromkeys(str(entry) for entry in both if entry is not None)) or (NOBODY,)


def _common(one: Network, other: Network) -> Network | None:
    """Return the smaller of two networks that have addresses in common."""
    if one.version != other.version or not one.overlaps(other):
        return None
    return max(one, other, key=lambda network: network.prefixlen)


def _networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Return what parses; what does not is nobody's range."""
    found: list[Network] = []
    for text in texts:
        with contextlib.suppress(ValueError):
            found.append(ipaddress.ip_network(text))
    return tuple(found)


def backends(agents: Iterable[AgentState]) -> tuple[str, ...]:
    """Return the backends of the nodes that are alive, sorted, each once."""
    nodes = (agent for agent in agents if agent.role == "node" and agent.live)
    return tuple(sorted({agent.backend for agent in nodes if agent.backend}))


def unsupported(
    rules: TrafficRules | Refused, agents: Iterable[AgentState]
) -> tuple[tuple[str, tuple[Aspect, ...]], ...]:
    """Return what backends of nodes can't do of the rules: (backend, what), sorted."""
    if isinstance(rules, Refused) or rules == TrafficRules():
        return ()  # who asks for nothing costs no look at the agents
    found = ((backend, lacking(rules, backend)) for backend in backends(agents))
    return tuple((backend, aspects) for backend, aspects in found if aspects)


def told(lacks: Iterable[tuple[str, tuple[Aspect, ...]]]) -> str:
    """Return in words what backends can't do; empty when they do everything."""
    return "; ".join(
        f"backend {backend} does not do {', '.join(aspect.value for aspect in aspects)}"
        for backend, aspects in lacks
    )
