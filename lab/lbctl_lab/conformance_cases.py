"""Which cases of Kubernetes' own end-to-end suite concern a load balancer, and how each went. Pure.

The 17 cases with the LoadBalancer feature tag, and the neighbours n1 to n8: these need no load
balancer outside, but fix what a Service of that type means beside one.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

LOAD_BALANCERS = "LoadBalancers"
LOCAL = "LoadBalancers ExternalTrafficPolicy: Local"
SERVICES = "Services"

Verdict = Literal["passed", "failed", "skipped", "not run"]


@dataclass(frozen=True, slots=True)
class Case:
    """One case of the suite."""

    key: str
    """Its number in our table."""
    group: str
    text: str
    """As upstream spells it, without tags."""
    minutes: int = 2
    """About how long it takes: the long ones are started first."""
    lacks: str = ""
    """What it still waits for; empty when it has to pass."""

    @property
    def focus(self) -> str:
        """Return the expression of `-ginkgo.focus` for this case and no other."""
        group, text = re.escape(self.group), re.escape(self.text)
        return rf"\[sig-network\] {group} (\[.*\] )?{text}( \[|$)"


LACKS = {
    "15": "kube-proxy answers the health port of an IPv4 Service on IPv4 alone,"
    " the case asks for the nodes' IPv6 addresses too",
}


def _cases(group: str, *rows: tuple[str, str, int]) -> tuple[Case, ...]:
    return tuple(Case(key, group, text, minutes, LACKS.get(key, "")) for key, text, minutes in rows)


POLICY = "LoadBalancer service with {} traffic policy"
CYCLES = "preserve UDP traffic when server pod cycles for a LoadBalancer service on"
DISRUPTION = "should not have connectivity disruption during rolling update with"
NONE_READY = "terminating endpoints when there are no ready endpoints with"
CASES = (
    *_cases(
        LOAD_BALANCERS,
        ("1", "should be able to change the type and ports of a TCP service", 1),
        ("2", "should be able to change the type and ports of a UDP service", 1),
        ("3", "should only allow access from service loadbalancer source ranges", 2),
        ("4", f"should have session affinity work for {POLICY.format('Local')}", 1),
        ("5", f"should be able to switch session affinity for {POLICY.format('Local')}", 1),
        ("6", f"should have session affinity work for {POLICY.format('Cluster')}", 1),
        ("7", f"should be able to switch session affinity for {POLICY.format('Cluster')}", 1),
        ("8", "should handle load balancer cleanup finalizer for service", 1),
        ("9", "should be able to create LoadBalancer Service without NodePort and change it", 1),
        ("10", f"should be able to {CYCLES} different nodes", 2),
        ("11", f"should be able to {CYCLES} the same nodes", 2),
        ("12", f"{DISRUPTION} externalTrafficPolicy=Cluster", 15),
        ("13", f"{DISRUPTION} externalTrafficPolicy=Local", 15),
    ),
    *_cases(
        LOCAL,
        ("14", "should work for type=LoadBalancer", 3),
        ("15", "should only target nodes with endpoints", 3),
        ("16", "should target all nodes with endpoints", 1),
        ("17", "should work from pods", 1),
    ),
    *_cases(
        SERVICES,
        (
            "n1",
            "should serve endpoints on same port and different protocol for internal traffic"
            " on Type LoadBalancer",
            1,
        ),
        ("n2", "should fail health check node port if there are only terminating endpoints", 1),
        (
            "n3",
            "should implement NodePort and HealthCheckNodePort correctly when"
            " ExternalTrafficPolicy changes",
            1,
        ),
        ("n4", f"should fallback to {NONE_READY} internalTrafficPolicy=Cluster", 1),
        ("n5", f"should fallback to local {NONE_READY} internalTrafficPolicy=Local", 1),
        # Upstream spells this one so.
        ("n6", f"should fallback to {NONE_READY} externallTrafficPolicy=Cluster", 1),
        ("n7", f"should fallback to local {NONE_READY} externalTrafficPolicy=Local", 1),
        ("n8", "should complete a service status lifecycle", 1),
    ),
)
BY_KEY: Mapping[str, Case] = {case.key: case for case in CASES}


@dataclass(frozen=True, slots=True)
class Step:
    """What a case said it was doing."""

    after_s: float
    text: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a case went."""

    case: Case
    verdict: Verdict
    took_s: float = 0.0
    reason: str = ""
    """Why it did not pass, on one line."""
    figures: str = ""
    """What it measured, on one line."""
    steps: tuple[Step, ...] = ()

    @property
    def is_held_against_us(self) -> bool:
        """Return whether a run with this outcome has failed."""
        return self.verdict != "passed" and not self.case.lacks
