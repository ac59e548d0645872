"""What an L4Policy, or an annotation of a Service, asks of the Service's traffic. Pure."""

import dataclasses
import enum
import functools
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from lbctl.model.monitors import Monitor
from lbctl.model.reasons import Refused

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
ALGORITHMS = ("maglev", "round-robin", "least-connections", "source-hash")
"""How a member is chosen for a new connection; the first one is the default."""


class Aspect(enum.Enum):
    """What a policy may ask for; the value is the field as users write it."""

    ENABLED = "enabled: false"
    MAGLEV = "algorithm: maglev"
    ROUND_ROBIN = "algorithm: round-robin"
    LEAST_CONNECTIONS = "algorithm: least-connections"
    SOURCE_HASH = "algorithm: source-hash"
    PERSISTENCE = "persistence"
    PERSISTENCE_TIMEOUT = "persistence.timeoutSeconds"
    SOURCE_RANGES = "sourceRanges"
    CONNECTIONS = "limits.connections"
    CONNECTIONS_PER_SECOND = "limits.connectionsPerSecond"
    CONNECTIONS_PER_CLIENT = "limits.connectionsPerClient"
    DRAIN_TIMEOUT = "drainTimeoutSeconds"
    MEMBER_WEIGHTS = "memberWeights"
    MONITOR = "monitor"


@dataclass(frozen=True, slots=True)
class Limits:
    """What each node takes at most at each place of one virtual service; 0: any number."""

    connections: int = 0
    """At a time."""
    connections_per_s: int = 0
    """New ones."""
    connections_per_client: int = 0
    """At a time, of one client address."""


@dataclass(frozen=True, slots=True)
class Persistence:
    """Whether the same client address goes to the same member."""

    by_client: bool
    timeout_s: int = 0
    """Since the client's last connection ended; 0: what is usual."""


@dataclass(frozen=True, slots=True)
class MemberWeight:
    """How many new connections some members get, beside others, which count `USUAL_WEIGHT`."""

    weight: int
    """0: none; the connections that they have go on."""
    node: str = ""
    """Of the members on this node; empty: on any."""
    addresses: str = ""
    """Of the members in this CIDR, canonical; empty: in any."""

    def fits(self, address: Address, node: str) -> bool:
        """Tell whether a member is meant."""
        if self.node and self.node != node:
            return False
        return not self.addresses or address in _network(self.addresses)


USUAL_WEIGHT = 1
"""Of a member that nobody gave a weight."""


@functools.lru_cache(maxsize=1024)
def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(text)


def weight_of(address: Address, node: str, weights: Iterable[MemberWeight]) -> int:
    """Return the weight of a member: that of the first entry which fits.

    >>> weights = (MemberWeight(0, node="node-1"), MemberWeight(3, addresses="10.0.0.0/8"))
    >>> pod = ipaddress.ip_address("10.1.2.3")
    >>> weight_of(pod, "node-1", weights), weight_of(pod, "node-2", weights)
    (0, 3)
    """
    return next((entry.weight for entry in weights if entry.fits(address, node)), USUAL_WEIGHT)


@dataclass(frozen=True, slots=True)
class TrafficRules:
    """What is asked of a Service's traffic; what is None or empty is not said."""

    enabled: bool = True
    """False: nobody gets through."""
    algorithm: str = ""
    persistence: Persistence | None = None
    source_ranges: tuple[str, ...] = ()
    """Canonical CIDRs."""
    limits: Limits | None = None
    drain_timeout_s: int | None = None
    monitor: Monitor | None = None
    weights: tuple[MemberWeight, ...] = ()
    """The first that fits a member counts."""

    def over(self, other: "TrafficRules") -> "TrafficRules":
        """Return these rules, and what they do not say as another one says it.

        >>> TrafficRules(algorithm="maglev").over(TrafficRules(drain_timeout_s=9)).drain_timeout_s
        9
        """
        said = {
            field.name: value
            for field in dataclasses.fields(self)
            if (value := getattr(self, field.name)) != field.default
        }
        return dataclasses.replace(other, **said)


@dataclass(frozen=True, slots=True)
class Demand:
    """The rules of one L4Policy and the Services that they are for."""

    rules: TrafficRules
    targets: frozenset[str]
    """Names of Services in the policy's namespace."""


@dataclass(frozen=True, slots=True)
class DeclaredPolicy:
    """An L4Policy object: what it asks for, or what is wrong with it, and its last good spec."""

    namespace: str
    name: str
    created: str
    """creationTimestamp: the oldest of those for one Service counts."""
    demand: Demand | Refused
    named: frozenset[str]
    """The Services that it names now, as far as they can be read."""
    accepted: Demand | None = None
    """What counted when it was last looked at; None: it never was right."""

    @property
    def key(self) -> str:
        """Return `<namespace>/<name>`."""
        return f"{self.namespace}/{self.name}"

    @property
    def age(self) -> tuple[str, str]:
        """Return a sort key: the oldest first, those of one second by name."""
        return (self.created, self.name)

    @property
    def counting(self) -> Demand | None:
        """Return what counts: what it says, else its last good spec; None: nothing is known."""
        return self.accepted if isinstance(self.demand, Refused) else self.demand

    @property
    def targets(self) -> frozenset[str]:
        """Return the Services that it is for, by whichever spec counts."""
        return self.counting.targets if self.counting is not None else self.named


def aspects(rules: TrafficRules) -> tuple[Aspect, ...]:
    """Return what a backend must be able to do for these rules, in the order of the fields.

    >>> [aspect.value for aspect in aspects(TrafficRules(limits=Limits(connections=9)))]
    ['limits.connections']
    """
    keeps, limits = rules.persistence, rules.limits or Limits()
    asked = {
        Aspect.ENABLED: not rules.enabled,
        **{aspect: rules.algorithm == name for name, aspect in _BY_ALGORITHM.items()},
        Aspect.PERSISTENCE: keeps is not None,
        Aspect.PERSISTENCE_TIMEOUT: keeps is not None and bool(keeps.timeout_s),
        Aspect.SOURCE_RANGES: bool(rules.source_ranges),
        Aspect.CONNECTIONS: bool(limits.connections),
        Aspect.CONNECTIONS_PER_SECOND: bool(limits.connections_per_s),
        Aspect.CONNECTIONS_PER_CLIENT: bool(limits.connections_per_client),
        Aspect.DRAIN_TIMEOUT: rules.drain_timeout_s is not None,
        Aspect.MONITOR: rules.monitor is not None,
        Aspect.MEMBER_WEIGHTS: bool(rules.weights),
    }
    return tuple(aspect for aspect, wanted in asked.items() if wanted)


_BY_ALGORITHM = {
    "maglev": Aspect.MAGLEV,
    "round-robin": Aspect.ROUND_ROBIN,
    "least-connections": Aspect.LEAST_CONNECTIONS,
    "source-hash": Aspect.SOURCE_HASH,
}
EVERYWHERE = frozenset(
    {
        Aspect.ENABLED,
        Aspect.MAGLEV,
        Aspect.PERSISTENCE,
        Aspect.SOURCE_RANGES,
        Aspect.MONITOR,
        Aspect.MEMBER_WEIGHTS,
        Aspect.DRAIN_TIMEOUT,
    }
)
"""What each backend that moves packets can do; the agent itself asks members and ends drains."""
CAPABILITIES: dict[str, frozenset[Aspect]] = {
    "ovs": EVERYWHERE
    | {Aspect.SOURCE_HASH, Aspect.PERSISTENCE_TIMEOUT, Aspect.CONNECTIONS_PER_SECOND},
    "nft": EVERYWHERE
    | {
        Aspect.SOURCE_HASH,
        Aspect.ROUND_ROBIN,
        Aspect.PERSISTENCE_TIMEOUT,
        Aspect.CONNECTIONS,
        Aspect.CONNECTIONS_PER_SECOND,
        Aspect.CONNECTIONS_PER_CLIENT,
    },
    "ipvs": EVERYWHERE
    | {
        Aspect.SOURCE_HASH,
        Aspect.ROUND_ROBIN,
        Aspect.LEAST_CONNECTIONS,
        Aspect.PERSISTENCE_TIMEOUT,
        Aspect.CONNECTIONS,
        Aspect.CONNECTIONS_PER_SECOND,
        Aspect.CONNECTIONS_PER_CLIENT,
    },
    # The fabric leaves members out that are switched off; kube-proxy knows of no policy.
    "announce-only": frozenset({Aspect.ENABLED}),
}
"""What a backend can do, by its name in `ServingNode.spec.backend`."""


def lacking(rules: TrafficRules, backend: str) -> tuple[Aspect, ...]:
    """Return what of these rules a backend can't do; it does the rest."""
    able = CAPABILITIES.get(backend, EVERYWHERE)
    return tuple(aspect for aspect in aspects(rules) if aspect not in able)
