"""The settings tree of all processes. Pure: what a settings file may say, with units and reasons.

Loading a file is `lbctl.runtime.config_file`. Unknown keys are errors that name the key.
"""

import ipaddress
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic.alias_generators import to_camel


class _Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True
    )


DnsLabel = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
DomainName = Annotated[
    str, Field(pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9-]{1,63}\.?$")
]


class AddressPoolSettings(_Section):
    """One pool that IPAM gives addresses from."""

    name: DnsLabel
    addresses: tuple[str, ...] = Field(min_length=1)
    """CIDRs or `first-last` ranges, IPv4 and IPv6; each family may have several."""

    @field_validator("addresses")
    @classmethod
    def _each_parses(cls, addresses: tuple[str, ...]) -> tuple[str, ...]:
        for text in addresses:
            first, dash, last = text.partition("-")
            if not dash:
                ipaddress.ip_network(text)
            elif int(ipaddress.ip_address(first)) > int(ipaddress.ip_address(last)):
                raise ValueError(f"{text}: the first address is after the last")
        return addresses


class SoaSettings(_Section):
    """Timers of the zone's SOA record, seconds (AKO's values, but for what a field says)."""

    mname: str = ""
    """Primary name server; empty: `ns1.<zone>`."""
    rname: str = ""
    """Mailbox, with a dot for the `@`; empty: `hostmaster.<zone>`."""
    refresh: int = Field(default=10800, ge=1, le=2**31 - 1)
    retry: int = Field(default=3600, ge=1, le=2**31 - 1)
    expire: int = Field(default=86400, ge=1, le=2**31 - 1)
    negative_ttl: int = Field(default=30, ge=0, le=86400)
    """How long resolvers remember that a name does not exist (RFC 2308)."""


class NameServiceSettings(_Section):
    """The DNS server and the names it gives."""

    subdomains: tuple[DomainName, ...] = ()
    """Zones that lbctl is authoritative for; the first one names Services."""
    ttl: int = Field(default=5, ge=0, le=86400)
    """Seconds a resolver may keep an address."""
    empty_grace: float = Field(default=10.0, ge=0, le=3600)
    """Seconds that a name stays while there are endpoints but none is ready."""
    ns_addresses: tuple[str, ...] = Field(default=(), alias="nsAddresses")
    """Addresses of the name servers (glue); the n-th of each family is `ns<n>.<zone>`."""
    soa: SoaSettings = SoaSettings()
    workers: int = Field(default=1, ge=1, le=64)
    """Processes that answer queries; one is worth several CoreDNS cores."""


class LeaseSettings(_Section):
    """Leader election, seconds."""

    namespace: DnsLabel = "lbctl-system"
    name: DnsLabel = "lbctl-controller"
    duration: int = Field(default=8, ge=2, le=120)
    """A crashed leader is replaced after this long at the latest."""
    renew: float = Field(default=2.0, gt=0, le=60)
    """Time between two renewals; well below `duration`."""


class ServiceSettings(_Section):
    """Which Services are ours."""

    load_balancer_class: str = Field(default="lbctl.io/lbctl")
    default_class: bool = Field(default=True)
    """Take Services that name no class (AKO: defaultLBController)."""


class AgentSettings(_Section):
    """The agent on one node or router."""

    backend: Literal["ovs"] = "ovs"
    bridge: str = "br-int"
    """The OVS bridge that pods are ports of."""
    service_interface: str = Field(default="svc0")
    """The port towards the fabric; traffic to VIPs enters here."""
    legs: tuple[str, ...] = ()
    """Addresses of the service interface that the fabric sends VIP traffic to, ≤ 1 per family."""
    state_dir: str = Field(default="/var/lib/lbctl")
    liveness_seconds: int = Field(default=10, ge=2, le=300)
    """Time between two renewals of the agent's Lease."""

    @field_validator("legs")
    @classmethod
    def _each_parses(cls, legs: tuple[str, ...]) -> tuple[str, ...]:
        for leg in legs:
            ipaddress.ip_address(leg)
        return legs


class LogSettings(_Section):
    """Logging of all processes."""

    level: Literal["DEBUG", "INFO", "WARN", "ERROR"] = "INFO"
    format: Literal["text", "json"] = "text"
    """`text` is AKO's layout."""


class Settings(_Section):
    """Everything an operator can set."""

    cluster_name: DnsLabel = Field(default="my-cluster")
    """Prefix of virtual service names; unique per fabric."""
    tenant: str = "admin"
    """Tenant of the fabric objects (AKO: tenantName)."""
    address_pools: tuple[AddressPoolSettings, ...] = Field(default=(), alias="addressPools")
    nameservice: NameServiceSettings = NameServiceSettings()
    services: ServiceSettings = ServiceSettings()
    lease: LeaseSettings = LeaseSettings()
    agent: AgentSettings = AgentSettings()
    log: LogSettings = LogSettings()
