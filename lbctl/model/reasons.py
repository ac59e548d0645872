"""The closed table of reasons; conditions, events, metric labels and docs use it. Pure."""

import enum
from dataclasses import dataclass


class Reason(enum.Enum):
    """Why a condition is as it is; the value is what users see."""

    ALLOCATED = "Allocated"
    POOL_EXHAUSTED = "PoolExhausted"
    NO_POOL = "NoPool"
    ADDRESS_MALFORMED = "AddressMalformed"
    ADDRESS_NOT_IN_POOL = "AddressNotInPool"
    ADDRESS_TAKEN = "AddressTaken"
    ADDRESS_WRONG_FAMILY = "AddressWrongFamily"
    ADDRESS_REQUESTS_DISAGREE = "AddressRequestsDisagree"
    ADDRESS_KEPT = "AddressKept"
    UNKNOWN_ANNOTATION = "UnknownAnnotation"
    """Of an event only: a condition names it in its message."""
    ADDRESS_RESERVED = "AddressReserved"
    ADDRESS_AWAITED = "AddressAwaited"
    POOL_NOT_FOUND = "PoolNotFound"
    POOL_NOT_ALLOWED = "PoolNotAllowed"
    PORT_CLASH = "PortClash"
    SHARING_NOT_ALLOWED = "SharingNotAllowed"
    POOL_SERVES = "Serves"
    POOL_MALFORMED = "Malformed"
    NAME_TAKEN = "NameTaken"
    OVERLAPS = "Overlaps"
    POLICY_ACCEPTED = "Accepted"
    POLICY_INVALID = "Invalid"
    POLICY_CONFLICTED = "Conflicted"
    TARGET_NOT_FOUND = "TargetNotFound"
    POLICY_SUPPORTED = "Supported"
    POLICY_UNSUPPORTED = "Unsupported"
    NO_BACKEND = "NoBackend"
    POLICY_REFUSED = "PolicyRefused"
    TRAFFIC_OFF = "TrafficOff"
    WEIGHTS_ZERO = "WeightsZero"
    PROGRAMMED = "Programmed"
    NO_ENDPOINTS = "NoEndpoints"
    NO_READY_ENDPOINTS = "NoReadyEndpoints"
    NO_BACKEND_PORT = "NoBackendPort"
    NO_NODE_PORT = "NoNodePort"
    ENDPOINTS_WITHOUT_NODE = "EndpointsWithoutNode"
    ENDPOINTS_ARE_NAMES = "EndpointsAreNames"
    PROTOCOL_NOT_SERVED = "ProtocolNotServed"
    SOURCE_RANGE_MALFORMED = "SourceRangeMalformed"
    NO_AGENT = "NoAgent"
    WAITING_FOR_AGENT = "WaitingForAgent"
    PROGRAMMING_FAILED = "ProgrammingFailed"
    NO_FABRIC = "NoFabric"
    NO_ROUTER = "NoRouter"
    WAITING_FOR_ROUTER = "WaitingForRouter"
    PUBLISHED = "Published"
    NO_SUBDOMAIN = "NoSubdomain"
    NAMES_DECLINED = "NamesDeclined"
    HOSTNAME_TAKEN = "HostnameTaken"
    HOSTNAME_MALFORMED = "HostnameMalformed"
    HOSTNAME_NOT_IN_ZONE = "HostnameNotInZone"
    HOSTNAME_NOT_ALLOWED = "HostnameNotAllowed"
    NAME_SETTING_MALFORMED = "NameSettingMalformed"
    DRAINING = "Draining"
    WITHDRAWN = "Withdrawn"
    NO_SUCH_SERVICE = "NoSuchService"
    NOT_LOAD_BALANCER = "NotLoadBalancer"
    CLASS_NOT_OURS = "ClassNotOurs"
    NAMESPACE_NOT_SERVED = "NamespaceNotServed"
    STOPPED = "Stopped"
    NO_CONTROLLER = "NoController"
    WAITING_FOR_CONTROLLER = "WaitingForController"


MEANING: dict[Reason, str] = {
    Reason.ALLOCATED: "every address family of the Service has its address",
    Reason.POOL_EXHAUSTED: "no pool of that family has a free address; widen one or free one",
    Reason.NO_POOL: "no pool has addresses of that family; add a range to addressPools",
    Reason.ADDRESS_MALFORMED: "the requested address does not parse; correct the field named",
    Reason.ADDRESS_NOT_IN_POOL: "the requested address is in no pool; ask for another or add it",
    Reason.ADDRESS_TAKEN: "the requested address is held by another Service",
    Reason.ADDRESS_WRONG_FAMILY: "the requested address is of a family the Service does not have",
    Reason.ADDRESS_REQUESTS_DISAGREE: "two annotations, or one and the field, ask for different "
    "things; leave one",
    Reason.ADDRESS_KEPT: "the address is shared and can't be left by a change of the key; ask for "
    "another one",
    Reason.UNKNOWN_ANNOTATION: "lbctl has no such annotation; see the reference of Service fields",
    Reason.ADDRESS_RESERVED: "the requested address is never given, or is kept for another Service",
    Reason.ADDRESS_AWAITED: "the pool's external IPAM has given no address yet; see its answer",
    Reason.POOL_NOT_FOUND: "the requested pool does not exist or gives nothing; see its Ready",
    Reason.POOL_NOT_ALLOWED: "the pool does not serve this Service; see the pool's `serves`",
    Reason.PORT_CLASH: "a Service that holds the address has the same port; change one of them",
    Reason.SHARING_NOT_ALLOWED: "who holds the address does not share it with this Service",
    Reason.POOL_SERVES: "the pool gives addresses",
    Reason.POOL_MALFORMED: "a field of the pool is wrong: correct it; until then the pool gives "
    "addresses by its last good spec, if it had one",
    Reason.NAME_TAKEN: "the settings have a pool of that name; give this one another",
    Reason.OVERLAPS: "another pool has some of its addresses; remove them from one of the "
    "two; until then it gives addresses by its last good spec, if it had one",
    Reason.POLICY_ACCEPTED: "the policy counts for every Service that it names",
    Reason.POLICY_INVALID: "a field of the policy is wrong: correct it; until then its last good "
    "spec counts, and if it had none its Services are not announced",
    Reason.POLICY_CONFLICTED: "an older policy is for the same Service and counts; take the "
    "Service out of one of the two",
    Reason.TARGET_NOT_FOUND: "no Service of that name in the policy's namespace is served by "
    "lbctl; the policy counts as soon as there is one",
    Reason.POLICY_SUPPORTED: "the backends of all nodes do what the policy asks for",
    Reason.POLICY_UNSUPPORTED: "a backend can't do a part of what the policy asks for and does "
    "the rest; see the table of backends in the reference of L4Policy",
    Reason.NO_BACKEND: "no node agent has said yet which backend it has",
    Reason.POLICY_REFUSED: "the Service's policy, or an annotation like one, can't be followed; "
    "correct it",
    Reason.TRAFFIC_OFF: "the policy has enabled: false, so nobody gets through; set it to true",
    Reason.WEIGHTS_ZERO: "every usable endpoint has weight 0, so nobody new gets through; give one "
    "a weight in the policy's memberWeights",
    Reason.PROGRAMMED: "done, and acknowledged by who did it",
    Reason.NO_ENDPOINTS: "the Service has no endpoints; check its selector and replicas",
    Reason.NO_READY_ENDPOINTS: "the Service has endpoints but none is ready; check the pods",
    Reason.NO_BACKEND_PORT: "no endpoint has the port; check targetPort against the container",
    Reason.NO_NODE_PORT: "the members' nodes run no agent, and the Service has no node ports to "
    "reach them by; set allocateLoadBalancerNodePorts to true",
    Reason.ENDPOINTS_WITHOUT_NODE: "no endpoint says on which node it is; set nodeName in the "
    "EndpointSlice, or agent.remoteMembers on nodes that reach what is outside of the cluster",
    Reason.ENDPOINTS_ARE_NAMES: "the endpoints are names (addressType FQDN); list addresses",
    Reason.PROTOCOL_NOT_SERVED: "no backend carries the port's protocol; TCP and UDP are carried",
    Reason.SOURCE_RANGE_MALFORMED: "a source range does not parse and lets nobody in; correct it",
    Reason.NO_AGENT: "no node with a member runs a live lbctl agent",
    Reason.WAITING_FOR_AGENT: "the agents of the nodes with members have not acknowledged yet",
    Reason.PROGRAMMING_FAILED: "an agent could not program it; its ServingNode says why",
    Reason.NO_FABRIC: "no Fabric object exists, so nothing brings traffic to the nodes",
    Reason.NO_ROUTER: "the Fabric's router has no live lbctl agent",
    Reason.WAITING_FOR_ROUTER: "the Fabric's router has not acknowledged yet",
    Reason.PUBLISHED: "the DNS server answers the name",
    Reason.NO_SUBDOMAIN: "nameservice.subdomains is empty, so Services get no name",
    Reason.NAMES_DECLINED: "the Service is to have no name: annotation lbctl.io/dns, or optIn",
    Reason.HOSTNAME_TAKEN: "an older Service has the host name; ask for another, or wait until it "
    "goes",
    Reason.HOSTNAME_MALFORMED: "a host name asked for is none; correct the annotation named",
    Reason.HOSTNAME_NOT_IN_ZONE: "a host name asked for lies in no zone of nameservice.subdomains",
    Reason.HOSTNAME_NOT_ALLOWED: "the namespace may not have that name; see nameservice.suffixes",
    Reason.NAME_SETTING_MALFORMED: "an annotation about names can't be followed; correct it",
    Reason.DRAINING: "the Service is going: its name is gone, its traffic goes on for the TTL",
    Reason.WITHDRAWN: "the Service is gone: waiting until every agent has removed it",
    Reason.NO_SUCH_SERVICE: "there is no such Service; check namespace and name",
    Reason.NOT_LOAD_BALANCER: "the Service is of another type; set spec.type to LoadBalancer",
    Reason.CLASS_NOT_OURS: "the Service is another controller's; check spec.loadBalancerClass",
    Reason.NAMESPACE_NOT_SERVED: "its namespace is not served; check LbctlSettings' selectors",
    Reason.STOPPED: "deleteConfig is set, so no Service is served; set it to false",
    Reason.NO_CONTROLLER: "no live controller holds the Lease; start one, or read its log",
    Reason.WAITING_FOR_CONTROLLER: "the controller has not come to it yet",
}
"""One sentence for users, with the cure where there is one."""

LEAVING = frozenset({Reason.DRAINING, Reason.WITHDRAWN})
"""Told by the L4VirtualService of a Service that is going: nobody looks at its conditions."""
QUIET = frozenset(
    {
        Reason.PROGRAMMED,
        Reason.NO_ENDPOINTS,
        Reason.NO_READY_ENDPOINTS,
        Reason.NO_FABRIC,
        Reason.PUBLISHED,
        Reason.NO_SUBDOMAIN,
        Reason.NAMES_DECLINED,
    }
)
"""Conditions say these without an event: they come and go with scaling, or hold for everybody."""
OF_POOLS = frozenset(
    {Reason.POOL_SERVES, Reason.POOL_MALFORMED, Reason.NAME_TAKEN, Reason.OVERLAPS}
)
"""Told by the condition Ready of an AddressPool, never of a Service."""
OF_POLICIES = frozenset(
    {
        Reason.POLICY_ACCEPTED,
        Reason.POLICY_INVALID,
        Reason.POLICY_CONFLICTED,
        Reason.TARGET_NOT_FOUND,
        Reason.POLICY_SUPPORTED,
        Reason.POLICY_UNSUPPORTED,
        Reason.NO_BACKEND,
    }
)
"""Told by the conditions of an L4Policy, never of a Service."""
EXPLAINED_ONLY = frozenset(
    {
        Reason.NO_SUCH_SERVICE,
        Reason.NOT_LOAD_BALANCER,
        Reason.CLASS_NOT_OURS,
        Reason.NAMESPACE_NOT_SERVED,
        Reason.STOPPED,
        Reason.NO_CONTROLLER,
        Reason.WAITING_FOR_CONTROLLER,
    }
)
"""No condition says these, because nobody is there to write it, or the Service is not ours."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A wish that can't be granted: a value, because users cause it and others go on."""

    reason: Reason
    detail: str
    """Names the field or object and what is wrong with it."""


class ConditionType(enum.Enum):
    """The conditions that lbctl puts on a Service."""

    ADDRESS_ALLOCATED = "lbctl.io/AddressAllocated"
    DATAPLANE_READY = "lbctl.io/DataplaneReady"
    FABRIC_PROGRAMMED = "lbctl.io/FabricProgrammed"
    NAME_REGISTERED = "lbctl.io/NameRegistered"


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition without its times, which the writer adds."""

    type: ConditionType
    true: bool
    reason: Reason
    message: str
