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
    ADDRESS_KEPT = "AddressKept"
    PROGRAMMED = "Programmed"
    NO_ENDPOINTS = "NoEndpoints"
    NO_READY_ENDPOINTS = "NoReadyEndpoints"
    NO_BACKEND_PORT = "NoBackendPort"
    NO_AGENT = "NoAgent"
    WAITING_FOR_AGENT = "WaitingForAgent"
    PROGRAMMING_FAILED = "ProgrammingFailed"
    NO_FABRIC = "NoFabric"
    NO_ROUTER = "NoRouter"
    WAITING_FOR_ROUTER = "WaitingForRouter"
    PUBLISHED = "Published"
    NO_SUBDOMAIN = "NoSubdomain"
    DRAINING = "Draining"
    WITHDRAWN = "Withdrawn"


MEANING: dict[Reason, str] = {
    Reason.ALLOCATED: "every address family of the Service has its address",
    Reason.POOL_EXHAUSTED: "no pool of that family has a free address; widen one or free one",
    Reason.NO_POOL: "no pool has addresses of that family; add a range to addressPools",
    Reason.ADDRESS_MALFORMED: "the requested address does not parse; correct the field named",
    Reason.ADDRESS_NOT_IN_POOL: "the requested address is in no pool; ask for another or add it",
    Reason.ADDRESS_TAKEN: "the requested address is held by another Service",
    Reason.ADDRESS_WRONG_FAMILY: "the requested address is of a family the Service does not have",
    Reason.ADDRESS_KEPT: "another address was requested; the Service keeps the one it has",
    Reason.PROGRAMMED: "done, and acknowledged by who did it",
    Reason.NO_ENDPOINTS: "the Service has no endpoints; check its selector and replicas",
    Reason.NO_READY_ENDPOINTS: "the Service has endpoints but none is ready; check the pods",
    Reason.NO_BACKEND_PORT: "no endpoint has the port; check targetPort against the container",
    Reason.NO_AGENT: "no node with a member runs a live lbctl agent",
    Reason.WAITING_FOR_AGENT: "the agents of the nodes with members have not acknowledged yet",
    Reason.PROGRAMMING_FAILED: "an agent could not program it; its ServingNode says why",
    Reason.NO_FABRIC: "no Fabric object exists, so nothing brings traffic to the nodes",
    Reason.NO_ROUTER: "the Fabric's router has no live lbctl agent",
    Reason.WAITING_FOR_ROUTER: "the Fabric's router has not acknowledged yet",
    Reason.PUBLISHED: "the DNS server answers the name",
    Reason.NO_SUBDOMAIN: "nameservice.subdomains is empty, so Services get no name",
    Reason.DRAINING: "the Service is going: its name is gone, its traffic goes on for the TTL",
    Reason.WITHDRAWN: "the Service is gone: waiting until every agent has removed it",
}
"""One sentence for users, with the cure where there is one."""


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
